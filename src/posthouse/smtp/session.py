"""The loop of the SMTP server: bytes in, one command at a time, one reply per command, in order.

The promises:

- A command is looked at only when the reply to the one before is on its way, so asynchronous checks cannot
  change the order of replies, and pipelining (RFC 2920) is safe.
- CRLF ends a line and nothing else does. A bare CR, bare LF or NUL ends the connection with a reply that
  names it.
- No more than 64 KB and one read are buffered; an endless line ends the connection; what is left of it is
  never taken for a command.
- A client that sends no complete command is cut after the idle time, however many bytes it trickles.
- An exception in a command is a 451 and a line in the log; the peer sees nothing of it.

This replaces the loop of ``twisted.mail.smtp.ESMTP`` (a LineOnlyReceiver), whose class this remains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, ITLSTransport
from twisted.mail import smtp
from twisted.python.failure import Failure
from zope.interface import implementer

from posthouse.errors import PosthouseError
from posthouse.smtp.auth import MAX_AUTH_LINE
from posthouse.smtp.limits import RateDeadline
from posthouse.smtp.replies import Reply, reply, reply_to_error

if TYPE_CHECKING:
    from posthouse.smtp.server import SMTPFactory

__all__ = ["AUTH", "BDAT", "COMMAND", "DATA", "Session"]

COMMAND, DATA, AUTH, BDAT = smtp.COMMAND, smtp.DATA, smtp.AUTH, "BDAT"

HIGH_WATER = 65536  # bytes buffered while a command runs; beyond, the transport is paused
BASIC_LINE = 512  # octets with CRLF, RFC 5321 4.5.3.1.4
EXTENDED_LINE = 2048  # after EHLO, whose extensions lengthen MAIL, RCPT and AUTH
LINGER = 2.0  # seconds in which the peer may read why it is being closed, while we ignore what it sends
ABORT_AFTER = 15.0  # seconds for the last reply to leave

INTERNAL = reply(451, "4.3.0", "Local error in processing.")
BROKEN = reply(421, "4.3.0", "Local error; closing the connection.")
TOO_LONG = reply(500, "5.5.2", "Line too long; closing the connection.")
TIMED_OUT = reply(421, "4.4.2", "Timeout; closing the connection.")
SESSION_OVER = reply(421, "4.4.2", "Session too long; closing the connection.")
SHUTTING_DOWN = reply(421, "4.3.2", "Service shutting down; closing the connection.")
NOT_SMTP = reply(554, "5.5.1", "This is an SMTP port.")
TOO_MANY_ERRORS = reply(421, "4.7.0", "Too many errors; closing the connection.")
OUT_OF_STEP = reply(554, "5.5.0", "Wait for the reply before you send more; closing the connection.")

_FOREIGN = frozenset(
    {b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PRI"}
)  # HTTP methods: somebody makes a browser talk to us


def names_flaw(name: str) -> Reply:
    """The reply to a bare CR, bare LF or NUL."""
    return reply(521, "5.5.2", f"{name} received; only CRLF may end a line. Closing the connection.")


@implementer(IPushProducer)
class _Brake:
    """Stops the loop while the peer does not read our replies; the transport calls it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pauseProducing(self) -> None:
        self._session._stalled = True

    def resumeProducing(self) -> None:
        self._session._stalled = False
        self._session._pump()

    def stopProducing(self) -> None:
        pass


class Session(smtp.ESMTP):
    """The loop without the commands. A subclass defines ``command``, ``continue_auth``, ``data_block``,
    ``chunk_block`` and ``abandon``."""

    transport: Any  # ITCPTransport, ITLSTransport or a test's

    def __init__(self, factory: SMTPFactory, peer: str) -> None:
        smtp.ESMTP.__init__(self, contextFactory=factory.tls_context_factory)
        self.factory = factory
        self.settings = factory.settings
        self.clock = factory.clock
        self.log = factory.log
        self.host = factory.settings.hostname.encode("idna")
        self.peer = peer
        self.exempt = factory.limits.exempt(peer)
        self.cid = factory.next_cid()
        self.mode = COMMAND
        self.line_limit = BASIC_LINE
        self.deadline: RateDeadline | None = None  # within DATA and BDAT
        self.errors = 0
        self.refused = 0
        self.junk = 0
        self._rx = b""
        self._pos = 0
        self._out: list[bytes] = []
        self._owed = False  # a command waits for its one reply
        self._waiting: Deferred[Any] | None = None  # cancelled when the connection ends
        self._blocked = False  # the spool asks us to wait
        self._stalled = False  # the peer does not read
        self._paused = False
        self._pumping = False
        self._dead = False  # nothing more is read or answered
        self._expired = False
        self._first = True
        self._delayed: IDelayedCall | None = None
        self._session_timer: IDelayedCall | None = None
        self._close_timer: IDelayedCall | None = None

    # -- life ------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.canStartTLS = self.ctx is not None and ITLSTransport.providedBy(self.transport)
        self._helo = (None, self.peer.encode())
        self.transport.registerProducer(_Brake(self), True)
        self.setTimeout(self.settings.idle_timeout)
        self._session_timer = self.clock.callLater(self.settings.session_limit, self._session_over)
        self._out.append(b"220 %s ESMTP Posthouse\r\n" % (self.host,))
        self._flush()

    def callLater(self, period: float, func: Any) -> IDelayedCall:  # for TimeoutMixin
        return self.clock.callLater(period, func)

    def connectionLost(self, reason: Any = None) -> None:
        self._die()
        if self._close_timer is not None and self._close_timer.active():
            self._close_timer.cancel()
        self.factory.session_ended(self)

    def _die(self) -> None:
        """Stop everything that could still speak for this session; any number of times."""
        self._dead = True
        self._owed = False
        self._rx, self._pos = b"", 0
        self.setTimeout(None)
        for timer in (self._session_timer, self._delayed):
            if timer is not None and timer.active():
                timer.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        self.abandon()

    def close(self, last: Reply | None = None, linger: bool = False) -> None:
        """End the connection, after one more reply.

        :param linger: the peer may be in the middle of sending. A close now would make its TCP stack throw
            our reply away (RST), so read and ignore for a moment.
        """
        if self._dead:
            return
        if last is not None:
            self._out.append(last.wire)
            self.log.info(
                "{cid} closed by us: {code} {text}",
                event="smtp.close",
                cid=self.cid,
                peer=self.peer,
                code=last.code,
                text=last.text,
            )
        self._flush()
        self._die()
        self.transport.unregisterProducer()
        if linger:
            self._unpause()
            self._close_timer = self.clock.callLater(LINGER, self._lose)
        else:
            self._lose()

    def _lose(self) -> None:
        self._close_timer = self.clock.callLater(ABORT_AFTER, self.transport.abortConnection)
        self.transport.loseConnection()

    def timeoutConnection(self) -> None:
        if self.deadline is not None:
            left = self.deadline.left(self.clock.seconds())
            if self._busy:
                self.setTimeout(self.settings.idle_timeout)  # we are slow, not the peer
            elif left > 0:
                self.setTimeout(max(left, 0.1))
            else:
                self.close(TIMED_OUT, linger=True)
        elif self._owed:
            self.setTimeout(self.settings.idle_timeout)
        else:
            self.close(TIMED_OUT)

    def _session_over(self) -> None:
        if self.in_transaction and not self._expired:
            self._expired = True  # once more the same time for the message that is on its way
            self._session_timer = self.clock.callLater(self.settings.session_limit, self._session_over)
        else:
            self.close(SESSION_OVER, linger=True)

    def shut_down(self) -> None:
        """The server stops: end at once, or after the message that is on its way."""
        if self.in_transaction or self._owed:
            self._expired = True
        else:
            self.close(SHUTTING_DOWN)

    # -- bytes in ----------------------------------------------------------------------------------

    @property
    def _busy(self) -> bool:
        return self._owed or self._blocked or self._stalled

    @property
    def buffered(self) -> int:
        """Bytes that came in and were not looked at yet."""
        return len(self._rx) - self._pos

    def dataReceived(self, data: bytes) -> None:
        if self._dead:
            return
        # Bytes and an offset: what is left over is shorter than a line or than HIGH_WATER + one read.
        self._rx = self._rx[self._pos :] + data if self._pos < len(self._rx) else data
        self._pos = 0
        if self._first and data[:1] == b"\x16":  # a TLS hello has no line end to wait for
            self.close(NOT_SMTP)
            return
        self._pump()

    def _pump(self) -> None:
        if self._pumping:
            return  # a reply was given inside a command: the loop below goes on by itself
        self._pumping = True
        try:
            while not (self._owed or self._blocked or self._stalled or self._dead):
                mode = self.mode
                if mode in (COMMAND, AUTH):
                    if not self._one_line():
                        break
                elif self._pos < len(self._rx):
                    block = self._rx[self._pos :] if self._pos else self._rx
                    self._rx, self._pos = b"", 0
                    if self.deadline is not None:
                        self.deadline.received(self.clock.seconds(), len(block))
                    if mode == DATA:
                        self.data_block(block)
                    else:
                        self.chunk_block(block)
                else:
                    break
        except Exception:
            self.log.failure("{cid} failed", event="smtp.broken", cid=self.cid, peer=self.peer)
            self.close(BROKEN, linger=True)
        finally:
            self._pumping = False
        if self._out:
            self._flush()
        if self._paused:
            if not self._busy or (not self._blocked and self.buffered < HIGH_WATER):
                self._unpause()
        elif self._blocked or (self.buffered >= HIGH_WATER and self._busy):
            self._paused = True
            self.transport.pauseProducing()

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            if self.deadline is not None:
                self.deadline.excuse(self.clock.seconds())
            self.transport.resumeProducing()

    def give_back(self, rest: bytes) -> None:
        """Put the bytes behind a message back in front of the loop."""
        self._rx, self._pos = rest, 0

    def _one_line(self) -> bool:
        """Run one command, if a complete line is there."""
        rx, pos = self._rx, self._pos
        end = rx.find(b"\n", pos)
        limit = self._limit(rx, pos)
        if end < 0:
            if len(rx) - pos > limit:
                self.close(TOO_LONG, linger=True)
            return False
        if end + 1 - pos > limit:
            self.close(TOO_LONG, linger=True)
            return False
        line = rx[pos:end]
        if line[-1:] != b"\r":
            self.close(names_flaw("bare LF"), linger=True)
            return False
        line = line[:-1]
        if b"\r" in line or b"\0" in line:
            self.close(names_flaw("bare CR" if b"\r" in line else "NUL"), linger=True)
            return False
        self._pos = end + 1
        self.resetTimeout()
        self._owed = True
        try:
            if self.mode == AUTH:
                self.continue_auth(line)
            else:
                if self._first:
                    self._first = False
                    if line.split(b" ", 1)[0].upper() in _FOREIGN:
                        self.close(NOT_SMTP, linger=True)
                        return False
                self.command(line)
        except PosthouseError:
            self.answer_failure(Failure())
        except Exception:
            self.log.failure("{cid} failed in a command", event="smtp.broken", cid=self.cid, peer=self.peer)
            if self._owed:
                self.answer(INTERNAL)
        return True

    def _limit(self, rx: bytes, pos: int) -> int:
        if self.mode == AUTH or (self.may_authenticate and rx[pos : pos + 5].upper() == b"AUTH "):
            return MAX_AUTH_LINE
        return self.line_limit

    # -- replies out -------------------------------------------------------------------------------

    def _flush(self) -> None:
        """All replies of one turn in one write: one segment, one TLS record."""
        out, self._out = self._out, []
        if out:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def sendCode(self, code: int, message: bytes = b"") -> None:
        """The stock way to answer; the same rules hold."""
        self.answer(reply(code, "", message.decode("latin-1")))

    def answer(self, what: Reply, delay: float = 0.0) -> None:
        """The one reply to the command that runs. 5xx is counted, and delayed beyond the error budget."""
        if self._dead:
            return
        if not self._owed or self._delayed is not None:
            raise RuntimeError("a reply that no command asked for")
        if what.code >= 500:
            delay += self._count_error(what)
            if self._dead:
                return
        if delay > 0:
            self._delayed = self.clock.callLater(delay, self._answer_now, what)
        else:
            self._answer_now(what)

    def _answer_now(self, what: Reply) -> None:
        self._delayed = None
        self._out.append(what.wire)
        self._owed = False
        if what.code == 421:
            self.close()
        elif self._expired and not self.in_transaction:
            self.close(SESSION_OVER)
        else:
            self._pump()

    def _count_error(self, what: Reply) -> float:
        """Returns the delay; closes the connection when the budget is used up."""
        settings = self.settings
        trusted = self.exempt or self.account is not None
        if trusted and what.enhanced.startswith(("5.1.", "5.7.1")):
            # Whoever has logged in, or is listed, may be wrong about recipients more often than a stranger.
            self.refused += 1
            over = self.refused >= settings.refused_limit
        else:
            self.errors += 1
            over = self.errors >= settings.hard_errors
        if over:
            self._out.append(what.wire)
            self.close(TOO_MANY_ERRORS, linger=True)
            return 0.0
        return settings.error_delay if self.errors > settings.soft_errors and not self.exempt else 0.0

    def count_junk(self) -> None:
        """A command that leads to no message. Too many of them are errors."""
        self.junk += 1
        if self.junk > self.settings.junk_limit:
            self.errors += 1
            if self.errors >= self.settings.hard_errors:
                self.close(TOO_MANY_ERRORS, linger=True)

    def wait_for(self, deferred: Deferred[Any], then: Any, otherwise: Any = None) -> None:
        """Go on with ``then(result)`` when the Deferred fires, unless the connection ends before.

        A failure is answered from the error table, or given to ``otherwise(failure)``."""
        self._waiting = deferred

        def fired(result: Any) -> None:
            if self._waiting is not deferred:
                return  # the connection has ended
            self._waiting = None
            if isinstance(result, Failure):
                (otherwise or self.answer_failure)(result)
            else:
                then(result)

        deferred.addBoth(fired)
        deferred.addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        self.log.failure("{cid} failed", failure, event="smtp.broken", cid=self.cid, peer=self.peer)
        if self._owed and self._delayed is None:
            self.answer(INTERNAL)
        else:
            self.close(BROKEN, linger=True)

    def answer_failure(self, failure: Failure) -> None:
        """Answer an error of the house from the table, any other as a local error."""
        self.answer(self.reply_to_failure(failure))

    def reply_to_failure(self, failure: Failure, table: Any = None, event: str = "smtp.refused") -> Reply:
        """The reply from the error table; the private cause goes into the log."""
        known = reply_to_error(cast(BaseException, failure.value), table)
        if known is None:
            self.log.failure("{cid} failed", failure, event="smtp.broken", cid=self.cid, peer=self.peer)
            return INTERNAL
        cause = getattr(failure.value, "cause", "")
        if cause or event != "smtp.refused":
            self.log.warn(
                "{cid} {code}: {cause}",
                event=event,
                cid=self.cid,
                peer=self.peer,
                code=known.code,
                cause=cause,
            )
        return known

    # -- for the commands ----------------------------------------------------------------------------

    account: Any = None  # who has logged in

    @property
    def may_authenticate(self) -> bool:
        """Whether AUTH is offered now."""
        return False

    @property
    def in_transaction(self) -> bool:
        return self.mode in (DATA, BDAT)

    def command(self, line: bytes) -> None:
        raise AssertionError("defined by the subclass")

    def continue_auth(self, line: bytes) -> None:
        raise AssertionError("defined by the subclass")

    def data_block(self, block: bytes) -> None:
        raise AssertionError("defined by the subclass")

    def chunk_block(self, block: bytes) -> None:
        raise AssertionError("defined by the subclass")

    def abandon(self) -> None:
        """Drop the transaction: the connection ends."""
