"""The wire of an SMTP client: commands out, replies in, each with its limit and its time (RFC 5321 4.2, 4.5.3).

Promise: a reply is bounded in length, in lines and in time; whatever goes wrong ends in a ``Broken``, once, and
nothing waits for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from typing import Protocol as Shape

from attrs import frozen
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

__all__ = ["MAX_LINE", "MAX_LINES", "PIPELINE", "Answer", "Broken", "Clock", "Line", "Timeouts"]

MAX_LINE = 2048  # octets; RFC 5321 4.5.3.1.5 says 512
MAX_LINES = 100
PIPELINE = 100  # recipients in flight


class Clock(Shape):
    """What of a reactor is needed here."""

    def seconds(self) -> float: ...

    def callLater(self, delay: float, function: Callable[..., Any], /, *args: Any) -> IDelayedCall: ...


@frozen
class Timeouts:
    """Seconds per phase, RFC 5321 4.5.3.2."""

    connect: float = 30.0
    greeting: float = 300.0
    command: float = 300.0  # EHLO, STARTTLS, AUTH, MAIL, RCPT
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    quit: float = 10.0


@frozen
class Answer:
    """One reply of the server. ``enhanced`` is "" where it gave none."""

    code: int
    enhanced: str
    text: str
    lines: tuple[str, ...]

    @property
    def good(self) -> bool:
        return 200 <= self.code < 300


class Broken(Exception):
    """The connection is of no more use.

    :param answer: what the server said about it, if it did.
    :param tls: the handshake failed; clear text may still do.
    :param verdict: the answer is about us and any message (greeting, EHLO), not about this connection.
    :param result: what was wrong with TLS, in the words of RFC 8460 4.3.
    """

    def __init__(
        self,
        text: str,
        answer: Answer | None = None,
        tls: bool = False,
        verdict: bool = False,
        result: str = "",
    ) -> None:
        self.text = text
        self.answer = answer
        self.tls = tls
        self.verdict = verdict
        self.result = result
        super().__init__(text)


_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ ]|$)")


def read_answer(lines: list[tuple[int, str]]) -> Answer:
    """Put the lines of one reply together; the code of the last one counts (RFC 5321 4.2.1)."""
    code = lines[-1][0]
    enhanced = ""
    texts: list[str] = []
    for _, text in lines:
        match = _ENHANCED.match(text)
        if match is not None and match[1][0] == str(code)[0]:
            enhanced = enhanced or match[1]
            text = text[match.end() :]
        texts.append(text)
    return Answer(code, enhanced, " ".join(texts)[:1000], tuple(text for _, text in lines))


class Line(Protocol):
    """One connection, as replies. ``answer`` and ``ask`` are called one after the other, each awaited."""

    def __init__(self, clock: Clock, timeouts: Timeouts) -> None:
        self._clock = clock
        self._timeouts = timeouts
        self._buffer = b""
        self._lines: list[tuple[int, str]] = []
        self._answers: list[Answer] = []
        self._waiter: Deferred[Answer] | None = None
        self._drained: Deferred[None] | None = None
        self._paused = False
        self._lost: Broken | None = None
        self._tls_wanted = False
        self.encrypted = False

    # -- the transport's side -----------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        if self._lost is not None:
            return
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
            if not self._line(line.rstrip(b"\r")):
                return
        if len(self._buffer) > MAX_LINE:
            self._break(Broken("the server sends endless lines"))

    def _line(self, line: bytes) -> bool:
        match = _LINE.fullmatch(line)
        if match is None or len(line) > MAX_LINE or len(self._lines) >= MAX_LINES:
            self._break(Broken("the server does not speak SMTP"))
            return False
        text = re.sub("[^ -~]", "?", (match[3] or b"").decode("utf-8", "replace"))
        self._lines.append((int(match[1]), text))
        if match[2] != b"-":
            answer = read_answer(self._lines)
            self._lines = []
            if self._waiter is not None:
                waiter, self._waiter = self._waiter, None
                waiter.callback(answer)
                return self._lost is None
            if len(self._answers) >= PIPELINE + 5:
                self._break(Broken("the server sends replies that nobody asked for"))
                return False
            self._answers.append(answer)
        return True

    def connectionLost(self, reason: Any = None) -> None:
        text = reason.getErrorMessage() if isinstance(reason, Failure) else "connection lost"
        # Anything can go wrong with somebody else's TLS; OpenSSL's names for it help nobody but the log.
        self._break(Broken(f"connection lost: {text}"[:300], tls=self._tls_wanted and not self.encrypted))

    def _break(self, why: Broken) -> None:
        if self._lost is not None:
            return
        self._lost = why
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]
        waiter, self._waiter = self._waiter, None
        drained, self._drained = self._drained, None
        if waiter is not None:
            waiter.errback(why)
        if drained is not None:
            drained.errback(why)

    # -- waiting -----------------------------------------------------------------------------------

    async def answer(self, seconds: float) -> Answer:
        """The next reply. :raises Broken: none in time, or the connection ended."""
        if self._answers:
            return self._answers.pop(0)
        if self._lost is not None:
            raise self._lost
        self._waiter = Deferred()
        timer = self._clock.callLater(
            seconds,
            lambda: self._break(
                Broken(f"no answer within {seconds:g} seconds", tls=self._tls_wanted and not self.encrypted)
            ),
        )
        try:
            return await self._waiter
        finally:
            if timer.active():
                timer.cancel()

    async def ask(self, command: str, seconds: float | None = None) -> Answer:
        """Send one command; its reply. :raises Broken: also for 421, after which nothing can follow."""
        self._write(command)
        answer = await self.answer(self._timeouts.command if seconds is None else seconds)
        if answer.code == 421:
            raise Broken("the server closes the connection", answer)
        return answer

    def _write(self, *commands: str) -> None:
        if self._lost is not None:
            raise self._lost
        if self._answers or self._lines or self._buffer:
            # Taken for the replies to what follows, they would say yes to a message that is refused after them.
            last_word = next((answer for answer in self._answers if answer.code == 421), None)
            raise Broken("the server sends replies that nobody asked for", last_word)
        for command in commands:
            if "\r" in command or "\n" in command or "\0" in command:
                raise Broken("a command with a line end inside was not sent")
        assert self.transport is not None
        self._send("".join(f"{command}\r\n" for command in commands).encode("utf-8"))

    def _send(self, data: bytes) -> None:
        """To the socket at once where nothing waits before it: the way through the reactor costs more than the
        system call. What the peer does not take goes that way, and so does a broken connection, whose end the
        reactor has to see.
        """
        transport: Any = self.transport
        # After STARTTLS the transport is the same object, and the short way would go past the encryption.
        direct = isinstance(transport, FileDescriptor) and not self._tls_wanted
        if direct and transport.connected and not transport.disconnecting:
            while data and not (transport.dataBuffer or getattr(transport, "_tempDataBuffer", True)):
                sent = transport.writeSomeData(data)
                if not isinstance(sent, int) or sent <= 0:
                    break
                data = data[sent:]
        if data:
            transport.write(data)

    def hang_up(self) -> None:
        """End the connection without a word, at once; any number of times."""
        self._break(Broken("the connection was closed here"))
