"""The client's side of one SMTP connection: greeting, TLS, login, and the transaction (RFC 5321).

The promises:

- EHLO keywords are read whatever their case; what the server does not offer is not used.
- What came in before a TLS handshake is thrown away.
- The body leaves in blocks, dot-stuffed across their borders, without a bare CR or LF, at the peer's pace; a
  large one in chunks (RFC 3030) where the server takes them, each of which it may refuse.
- Everything that can go wrong ends in a ``Broken`` (the connection is of no more use) or in a reply.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from posthouse.faults import reach
from posthouse.model import RelayJob
from posthouse.smtp.data import ChunkOut, DataOut
from posthouse.smtp.line import MAX_LINES, PIPELINE, Answer, Broken, Clock, Line, Timeouts

__all__ = ["BLOCK", "MAX_LINES", "Answer", "Broken", "Clock", "Conversation", "Timeouts"]

BLOCK = 262_144  # as the store keeps them
CHUNK_FROM = 1 << 20  # bytes of a message from which it goes in chunks
CHUNK = 1 << 20


@implementer(IPushProducer)
class Conversation(Line):
    """One connection to a server. The methods are called one after the other, each awaited."""

    def __init__(self, clock: Clock, timeouts: Timeouts, name: str, lmtp: bool = False) -> None:
        Line.__init__(self, clock, timeouts)
        self._name = name
        self._lmtp = lmtp
        self.body_sent = False  # the end of the message was written: the server may have it
        self.keywords: dict[str, list[str]] = {}
        self._data_asked = False  # DATA went out with the envelope; its answer has not been read

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
    def handle(self) -> Any:
        """The OpenSSL connection, None where there is none."""
        find = getattr(self.transport, "getHandle", None)
        return find() if find is not None and self.encrypted else None

    @property
    def place(self) -> str:
        """The address at the other end, as text."""
        peer = self.transport.getPeer() if self.transport is not None else None
        return str(getattr(peer, "host", ""))

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

    async def more(self) -> Answer:
        """One more answer to the same message: LMTP gives one for each recipient (RFC 2033 4.2)."""
        return await self.answer(self._timeouts.end)

    def dataReceived(self, data: bytes) -> None:
        if self.body_sent:
            reach("relay.after-dot")
        Line.dataReceived(self, data)

    # -- the transaction -----------------------------------------------------------------------------

    async def envelope(
        self, mail: str, recipients: list[str], size: int, anew: bool = False
    ) -> tuple[Answer, list[Answer]]:
        """MAIL, RCPT and DATA, in one go where the server takes it (RFC 2920 3.1); the replies but DATA's.

        :param size: of the message, which tells how it will go. :param anew: the connection was used before.
        :return: the reply to MAIL, and one per recipient (none when MAIL was refused).
        :raises Broken: also when the server has had enough of the connection.
        """
        seconds = self._timeouts.command
        self._data_asked = False
        if not self.offers("PIPELINING"):
            if anew:
                _begun(await self.ask("RSET"))
            first = await self.ask(mail)
            if not first.good:
                return first, []
            return first, [await self.ask(recipient) for recipient in recipients]
        groups = [recipients[start : start + PIPELINE] for start in range(0, len(recipients), PIPELINE)]
        last = () if self._in_chunks(size) else ("DATA",)
        front: tuple[str, ...] = ("RSET", mail) if anew else (mail,)
        answers: list[Answer] = []
        began: Answer | None = None
        for number, group in enumerate(groups, 1):
            ends = number == len(groups)
            self._write(*front, *group, *(last if ends else ()))
            self._data_asked = ends and bool(last)
            if began is None:
                if anew:
                    _begun(await self.answer(seconds))
                began = await self.answer(seconds)
            for _ in group:
                answers.append(await self.answer(seconds))
            front = ()
            if not began.good:
                break
        assert began is not None, "there is always a recipient"
        for answer in (began, *answers):
            if answer.code == 421:
                raise Broken("the server closes the connection", answer)
        return began, answers if began.good else []

    async def leave(self) -> None:
        """There is nobody to send the message to. :raises Broken: the server is of no more use."""
        if self._data_asked:
            self._data_asked = False
            answer = await self.answer(self._timeouts.data)
            if answer.code == 354 or answer.code == 421:
                # It waits for a message without recipients: RFC 2920 3.1 warns of such servers. It gets none.
                self.hang_up()

    def _in_chunks(self, size: int) -> bool:
        return size >= CHUNK_FROM and self.offers("CHUNKING")

    async def data(self, job: RelayJob) -> Answer:
        """The message, by DATA or BDAT. The reply to its end, or the refusal before that."""
        self.body_sent = False
        if self._in_chunks(job.size):
            return await self._chunks(job)
        if self._data_asked:
            self._data_asked = False
            answer = await self.answer(self._timeouts.data)
            if answer.code == 421:
                raise Broken("the server closes the connection", answer)
        else:
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
            for start in range(0, job.size or 1, BLOCK):
                stop = min(start + BLOCK, job.size)
                piece = out.feed(await self._block(job, start, stop))
                await self._room()
                reach("relay.mid-body")
                # The end goes with the last block: one segment for a small message.
                if stop == job.size:
                    self._no_early_yes()
                    self.body_sent = True
                self._send(piece + out.end() if self.body_sent else piece)
            await self._room()
        except Exception:
            # Without the final dot the server keeps nothing. What it said before it hung up is its verdict.
            self.hang_up()
            if not self._answers or (self._answers[0].good and not self.body_sent):
                raise
        finally:
            self.transport.unregisterProducer()  # type: ignore[attr-defined]
        answer = await self.answer(self._timeouts.end)
        if answer.code == 421:
            raise Broken("the server closes the connection", answer)
        return answer

    async def _chunks(self, job: RelayJob) -> Answer:
        """BDAT (RFC 3030 2), one chunk after the reply to the last. The reply that decided.

        DATA would cost a pass over the whole for dots, and a server that does not want what is large could say
        so only after all of it has come.
        """
        assert self.transport is not None
        out = ChunkOut()
        self._paused = False
        self.transport.registerProducer(self, True)  # type: ignore[attr-defined]
        try:
            for first in range(0, job.size, CHUNK):
                last = min(first + CHUNK, job.size)
                pieces = []
                for start in range(first, last, BLOCK):
                    pieces.append(out.feed(await self._block(job, start, min(start + BLOCK, last))))
                if last == job.size:
                    pieces.append(out.end())
                size = sum(map(len, pieces))
                self._write(f"BDAT {size}{' LAST' if last == job.size else ''}")
                pieces = [piece for piece in pieces if piece]
                for number, piece in enumerate(pieces, 1):
                    await self._room()
                    if number == len(pieces):
                        self._no_early_yes()
                        # The server must not be thought to have nothing, once it can have all.
                        self.body_sent = last == job.size
                    self._send(piece)
                await self._room()
                answer = await self.answer(self._timeouts.end if self.body_sent else self._timeouts.block)
                if answer.code == 421:
                    raise Broken("the server closes the connection", answer)
                if self.body_sent or not answer.good:
                    return answer
        except Exception:
            # Without the last chunk the server keeps nothing. What it said before it hung up is its verdict.
            self.hang_up()
            if not self._answers or (self._answers[0].good and not self.body_sent):
                raise
            return self._answers.pop(0)
        finally:
            self.transport.unregisterProducer()  # type: ignore[attr-defined]
        raise Broken("there was nothing to send")

    def _no_early_yes(self) -> None:
        """A server that takes what it has not seen takes nothing. :raises Broken: this one does."""
        # What came in one piece with the reply before is not read yet.
        early = self._answers[0].good if self._answers else self._buffer.startswith(b"2")
        if early:
            raise Broken("the server said yes before the end of the message")

    async def _block(self, job: RelayJob, start: int, stop: int) -> bytes:
        found = job.read(start, stop)
        block: bytes
        if isinstance(found, bytes):
            block = found
        else:
            block = await self._within(maybeDeferred(lambda: found), self._timeouts.block)
        if len(block) != stop - start:
            raise Broken("the stored message is shorter than it was")
        return block

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
        if not self.usable:
            self.hang_up()
            return
        self._write("QUIT")
        farewell = Deferred.fromCoroutine(self.answer(self._timeouts.quit))
        farewell.addBoth(lambda ignored: self.hang_up())  # after the 221, or without it


def _begun(answer: Answer) -> None:
    """The reply to RSET. :raises Broken: the server has had enough."""
    if not answer.good:
        raise Broken("RSET was refused", answer)
