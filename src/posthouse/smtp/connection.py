"""One connection of the SMTP server: its state, its timers, and how it ends.

The promises: a client that sends no complete command is cut after the idle time, however many bytes it
trickles; a session ends after its time, or after the message that is then on its way; whoever is closed can
read why; when the connection is gone, no timer, no Deferred and no spool is left of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, ITLSTransport
from twisted.mail import smtp
from zope.interface import implementer

from posthouse.smtp.limits import RateDeadline
from posthouse.smtp.replies import Reply, reply

if TYPE_CHECKING:
    from posthouse.smtp.server import SMTPFactory

__all__ = ["AUTH", "BDAT", "COMMAND", "DATA", "Connection"]

COMMAND, DATA, AUTH, BDAT = smtp.COMMAND, smtp.DATA, smtp.AUTH, "BDAT"

BASIC_LINE = 512  # octets with CRLF, RFC 5321 4.5.3.1.4
LINGER = 2.0  # seconds in which the peer may read why it is being closed, while we ignore what it sends
ABORT_AFTER = 15.0  # seconds for the last reply to leave

TIMED_OUT = reply(421, "4.4.2", "Timeout; closing the connection.")
SESSION_OVER = reply(421, "4.4.2", "Session too long; closing the connection.")
SHUTTING_DOWN = reply(421, "4.3.2", "Service shutting down; closing the connection.")


@implementer(IPushProducer)
class _Brake:
    """Stops the loop while the peer does not read our replies; the transport calls it."""

    def __init__(self, session: Connection) -> None:
        self._session = session

    def pauseProducing(self) -> None:
        self._session._stalled = True

    def resumeProducing(self) -> None:
        self._session._stalled = False
        self._session._pump()

    def stopProducing(self) -> None:
        pass


class Connection(smtp.ESMTP):
    """State, timers and end. ``Session`` adds the loop."""

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
        self._direct = False  # nothing waits in the transport, so we may write past it
        self._dead = False  # nothing more is read or answered
        self._expired = False
        self._farewell = SESSION_OVER
        self._first = True
        self._delayed: IDelayedCall | None = None
        self._session_timer: IDelayedCall | None = None
        self._close_timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.canStartTLS = self.ctx is not None and ITLSTransport.providedBy(self.transport)
        self._helo = (None, self.peer.encode())
        self._direct = isinstance(self.transport, FileDescriptor)
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
        # Also while the intake keeps a message: a 421 in place of its 250 would bring the message again.
        if (self.in_transaction or self._owed) and not self._expired:
            self._expired = True  # once more the same time for the message that is on its way
            self._session_timer = self.clock.callLater(self.settings.session_limit, self._session_over)
        else:
            self.close(self._farewell, linger=True)

    def shut_down(self) -> None:
        """The server stops: end at once, or after the message whose bytes are on their way.

        An envelope alone is no reason to wait: nobody knows when its message will come, and its sender comes
        again after the 421 (RFC 5321 3.8).
        """
        self._farewell = SHUTTING_DOWN
        if self.data_under_way:
            self._expired = True
        else:
            self.close(SHUTTING_DOWN)

    @property
    def _busy(self) -> bool:
        return self._owed or self._blocked or self._stalled

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            if self.deadline is not None:
                self.deadline.excuse(self.clock.seconds())
            self.transport.resumeProducing()

    def _flush(self) -> None:
        """All replies of one turn in one write: one segment, one TLS record."""
        out, self._out = self._out, []
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        if self._direct and self.transport.connected:
            # Now rather than when the reactor comes round again: the peer goes on at once, and the way through
            # the reactor costs more than the system call. A peer that does not take it all goes that way from
            # then on, and so does a broken connection, whose end the reactor has to see.
            sent = self.transport.writeSomeData(data)
            if sent == len(data):
                return
            self._direct = False
            if isinstance(sent, int):
                data = data[sent:]
        self.transport.write(data)

    # -- for the classes above this one ------------------------------------------------------------------

    account: Any = None  # who has logged in

    @property
    def in_transaction(self) -> bool:
        """Whether MAIL was accepted and the message has no answer yet."""
        return False

    @property
    def data_under_way(self) -> bool:
        """Whether a message has begun to arrive and has no answer yet."""
        return False

    @property
    def _ends_now(self) -> bool:
        """Whether the session is over as soon as its reply is said."""
        if self._farewell is SHUTTING_DOWN:
            return self._expired and not self.data_under_way
        return self._expired and not self.in_transaction

    def abandon(self) -> None:
        """Drop the transaction: the connection ends."""

    def _pump(self) -> None:
        raise AssertionError("defined by the subclass")
