"""The client's side of one SMTP connection: replies read with limits, and the transaction (RFC 5321).

The promises:

- Replies are bounded in length, in lines and in time; what came in before a TLS handshake is thrown away.
- EHLO keywords are read whatever their case; what the server does not offer is not used.
- The body leaves in blocks, dot-stuffed across their borders, without a bare CR or LF, at the peer's pace.
- Everything that can go wrong ends in a ``Broken`` (the connection is of no more use) or in a reply.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from typing import Protocol as Shape

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from posthouse.model import RelayJob
from posthouse.smtp.data import DataOut

__all__ = ["Answer", "Broken", "Conversation", "Timeouts"]

MAX_LINE = 2048  # octets; RFC 5321 4.5.3.1.5 says 512
MAX_LINES = 100
BLOCK = 65536
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
    """

    def __init__(
        self, text: str, answer: Answer | None = None, tls: bool = False, verdict: bool = False
    ) -> None:
        self.text = text
        self.answer = answer
        self.tls = tls
        self.verdict = verdict
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


@implementer(IPushProducer)
class Conversation(Protocol):
    """One connection to a server. The methods are called one after the other, each awaited."""

    def __init__(self, clock: Clock, timeouts: Timeouts, name: str, lmtp: bool = False) -> None:
        self._clock = clock
        self._timeouts = timeouts
        self._name = name
        self._buffer = b""
        self._lines: list[tuple[int, str]] = []
        self._answers: list[Answer] = []
        self._waiter: Deferred[Answer] | None = None
        self._drained: Deferred[None] | None = None
        self._paused = False
        self._lost: Broken | None = None
        self._tls_wanted = False
        self._lmtp = lmtp
        self.body_sent = False  # the end of the message was written: the server may have it
        self.keywords: dict[str, list[str]] = {}
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
        for command in commands:
            if "\r" in command or "\n" in command or "\0" in command:
                raise Broken("a command with a line end inside was not sent")
        assert self.transport is not None
        self.transport.write("".join(f"{command}\r\n" for command in commands).encode("utf-8"))

    # -- the session ---------------------------------------------------------------------------------

    async def open(self) -> Answer:
        """The greeting, then EHLO, or HELO for those who do not know it. Returns the greeting.

        :raises Broken: not welcome, with the server's answer.
        """
        greeting = await self.answer(self._timeouts.greeting)
        if not greeting.good:
            raise Broken("the server does not want to talk", greeting, verdict=True)
        await self.hello()
        return greeting

    async def hello(self) -> None:
        """EHLO; remembers what is offered. :raises Broken: refused."""
        self.keywords = {}
        answer = await self.ask(f"{'LHLO' if self._lmtp else 'EHLO'} {self._name}")
        if answer.good:
            for line in answer.lines[1:]:
                words = line.split()
                if words:
                    # "AUTH=PLAIN LOGIN" is an old way to write "AUTH PLAIN LOGIN".
                    key, equals, first = words[0].upper().partition("=")
                    self.keywords[key] = ([first] if equals else []) + words[1:]
            return
        if answer.code < 500 or self._lmtp:  # RFC 2033 4.1: LMTP knows no HELO
            raise Broken("EHLO was refused", answer)
        answer = await self.ask(f"HELO {self._name}")
        if not answer.good:
            raise Broken("HELO was refused", answer, verdict=True)

    async def start_tls(self, context: Any) -> None:
        """STARTTLS and EHLO again. :raises Broken: with ``tls`` set when clear text might still do."""
        answer = await self.ask("STARTTLS")
        if answer.code != 220:
            raise Broken("STARTTLS was refused", answer, tls=True)
        # What came before the handshake was not protected by it: whoever put it there must gain nothing.
        self._buffer, self._lines, self._answers = b"", [], []
        self._tls_wanted = True
        assert self.transport is not None
        self.transport.startTLS(context)  # type: ignore[attr-defined]
        await self.hello()
        self.encrypted = True

    async def login(self, user: str, password: str) -> None:
        """AUTH PLAIN, or LOGIN where only that is offered. :raises Broken: refused, or neither is offered."""
        offered = {word.upper() for word in self.keywords.get("AUTH", [])}
        if "PLAIN" in offered:
            token = b64encode(f"\0{user}\0{password}".encode()).decode()
            answer = await self.ask(f"AUTH PLAIN {token}")
        elif "LOGIN" in offered:
            answer = await self.ask("AUTH LOGIN")
            for word in (user, password):
                if answer.code == 334:
                    answer = await self.ask(b64encode(word.encode()).decode())
        else:
            raise Broken("the server offers no login that we know")
        if answer.code == 334:
            await self.ask("*")
        if not answer.good:
            raise Broken("the login was refused", answer)

    def offers(self, keyword: str) -> bool:
        """Did EHLO announce this?"""
        return keyword in self.keywords

    @property
    def tls(self) -> str:
        """The protocol version and cipher in use, "" in clear text."""
        if not self.encrypted:
            return ""
        try:
            handle = self.transport.getHandle()  # type: ignore[union-attr]
            return f"{handle.get_protocol_version_name()} with cipher {handle.get_cipher_name()}"
        except AttributeError:  # a transport without an OpenSSL connection
            return "TLS"

    @property
    def usable(self) -> bool:
        """May another transaction begin? Not when the server said something that nobody asked for."""
        return self._lost is None and not (self._answers or self._lines or self._buffer)

    async def reset(self) -> None:
        """Begin anew on a connection that was used before. :raises Broken: the server has had enough."""
        answer = await self.ask("RSET")
        if not answer.good:
            raise Broken("RSET was refused", answer)

    async def more(self) -> Answer:
        """One more answer to the same message: LMTP gives one for each recipient (RFC 2033 4.2)."""
        return await self.answer(self._timeouts.end)

    # -- the transaction -----------------------------------------------------------------------------

    async def envelope(self, mail: str, recipients: list[str]) -> tuple[Answer, list[Answer]]:
        """MAIL and RCPT commands, in one go where the server takes it; all replies.

        :return: the reply to MAIL, and one per recipient (none when MAIL was refused).
        """
        seconds = self._timeouts.command
        if not self.offers("PIPELINING"):
            first = await self.ask(mail)
            if not first.good:
                return first, []
            return first, [await self.ask(recipient) for recipient in recipients]
        answers: list[Answer] = []
        self._write(mail, *recipients[:PIPELINE])
        first = await self.answer(seconds)
        for start in range(0, len(recipients), PIPELINE):
            group = recipients[start : start + PIPELINE]
            if start:
                if not first.good:
                    break
                self._write(*group)
            for _ in group:
                answers.append(await self.answer(seconds))
        for answer in (first, *answers):
            if answer.code == 421:
                raise Broken("the server closes the connection", answer)
        return first, answers if first.good else []

    async def data(self, job: RelayJob) -> Answer:
        """DATA and the message. The reply to the end of data, or the refusal of DATA."""
        self.body_sent = False
        answer = await self.ask("DATA", self._timeouts.data)
        if answer.code != 354:
            if answer.good:
                raise Broken("the server answered DATA with success", answer)
            return answer
        assert self.transport is not None
        out = DataOut()
        self._paused = False
        self.transport.registerProducer(self, True)  # type: ignore[attr-defined]
        try:
            for start in range(0, job.size, BLOCK):
                stop = min(start + BLOCK, job.size)
                block = await self._within(maybeDeferred(job.read, start, stop), self._timeouts.block)
                if len(block) != stop - start:
                    raise Broken("the stored message is shorter than it was")
                await self._room()
                self.transport.write(out.feed(block))
            await self._room()
            self.transport.write(out.end())
            self.body_sent = True
        except Exception:
            # Without the final dot the server keeps nothing. What it said before it hung up is its verdict.
            self.hang_up()
            if not self._answers:
                raise
        finally:
            self.transport.unregisterProducer()  # type: ignore[attr-defined]
        answer = await self.answer(self._timeouts.end)
        if answer.code == 421:
            raise Broken("the server closes the connection", answer)
        return answer

    async def _within(self, waited: Deferred[Any], seconds: float) -> Any:
        """:raises Broken: the Deferred did not fire in time."""
        timer = self._clock.callLater(seconds, waited.cancel)
        try:
            return await waited
        except CancelledError:
            raise Broken("the stored message could not be read in time") from None
        finally:
            if timer.active():
                timer.cancel()

    async def _room(self) -> None:
        """Wait until the transport takes more. :raises Broken: it did not within the time for a block."""
        if self._lost is not None:
            raise self._lost
        if self._paused:
            self._drained = Deferred()
            timer = self._clock.callLater(
                self._timeouts.block, lambda: self._break(Broken("the server stopped reading"))
            )
            try:
                await self._drained
            finally:
                if timer.active():
                    timer.cancel()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)

    def stopProducing(self) -> None:
        self.resumeProducing()

    def quit(self) -> None:
        """Take leave. Nobody waits for it: the message's fate is known."""
        if self._lost is not None:
            return
        self._write("QUIT")
        farewell = Deferred.fromCoroutine(self.answer(self._timeouts.quit))
        farewell.addBoth(lambda ignored: self.hang_up())  # after the 221, or without it

    def hang_up(self) -> None:
        """End the connection without a word, at once; any number of times."""
        self._break(Broken("the connection was closed here"))
