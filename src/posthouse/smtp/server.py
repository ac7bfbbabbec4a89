"""The SMTP server of all three ports, RFC 5321 with its extensions: what a listener needs.

The session grows in three steps, each a class on the one before: ``session`` is the loop, ``hello`` is who is
there, ``mail`` is the transaction. All of it is a ``twisted.mail.smtp.ESMTP`` whose loop was replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.logger import Logger
from twisted.mail import smtp

from posthouse.interfaces import IAuthenticator, IMailIntake
from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.mail import MailSession
from posthouse.smtp.rates import PeerRates
from posthouse.smtp.replies import reply
from posthouse.smtp.settings import SmtpSettings

__all__ = ["SMTPFactory", "SMTPServer", "SmtpSettings"]


_LETTERS = {"mx": "m", "submission": "s", "submissions": "t"}  # the roles, as connection ids begin


class SMTPServer(MailSession):
    """One connection."""


class _Refusal(BaseProtocol):
    """A connection over the limits: hears why, and ends."""

    def __init__(self, text: str) -> None:
        self._wire = reply(421, "4.7.0", text).wire

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._wire)
        self.transport.loseConnection()


class _Clock(Protocol):
    def seconds(self) -> float: ...

    def callLater(self, delay: float, function: Callable[..., Any], /, *args: Any) -> IDelayedCall: ...


class SMTPFactory(smtp.SMTPFactory):
    """Makes the sessions of one listener.

    :param tls_context_factory: for STARTTLS; None: not offered. Port 465 wraps its listener instead.
    :param limits: shared by all listeners, as are the ``rates``.
    """

    noisy = False
    protocol: type[SMTPServer] = SMTPServer

    def __init__(
        self,
        settings: SmtpSettings,
        intake: IMailIntake,
        authenticator: IAuthenticator,
        tls_context_factory: Any,
        clock: _Clock,
        limits: ConnectionLimits | None = None,
        log: Logger | None = None,
        rates: PeerRates | None = None,
    ) -> None:
        smtp.SMTPFactory.__init__(self)
        if settings.role not in _LETTERS:
            raise ValueError(f"no such role: {settings.role!r}")
        self.domain = settings.hostname.encode("idna")
        self.settings = settings
        self.intake = intake
        self.authenticator = authenticator
        self.tls_context_factory = tls_context_factory
        self.clock = clock
        self.limits = limits if limits is not None else ConnectionLimits(clock)
        self.rates = rates if rates is not None else PeerRates(clock, self.limits)
        self.log = log if log is not None else Logger(namespace="posthouse.smtp")
        self.sessions: set[SMTPServer] = set()
        self._serial = 0
        self._closed: Deferred[None] | None = None

    def next_cid(self) -> str:
        """A connection id that no other connection of this or an earlier process has."""
        self._serial += 1
        return f"{_LETTERS[self.settings.role]}{int(self.clock.seconds() * 1000):x}-{self._serial:x}"

    def buildProtocol(self, addr: Any) -> BaseProtocol | None:
        peer = str(getattr(addr, "host", ""))
        if peer.startswith("::ffff:") and "." in peer:
            peer = peer[7:]
        refused = self.limits.admit(peer)
        if refused:
            self.log.warn("{peer} refused: {text}", event="smtp.limit", peer=peer, text=refused)
            # Inside TLS the words would cost a handshake; that is what the limit is there to avoid.
            return None if self.settings.role == "submissions" else _Refusal(refused)
        session = self.protocol(self, peer)
        self.sessions.add(session)
        return session

    def session_ended(self, session: SMTPServer) -> None:
        """Called once by each session when its connection is gone."""
        if session in self.sessions:
            self.sessions.discard(session)
            self.limits.release(session.peer)
            self.log.info(
                "{cid} from {peer} as {helo} ended after {messages} messages",
                event="smtp.end",
                cid=session.cid,
                peer=session.peer,
                role=self.settings.role,
                helo=session.helo,
                messages=session.messages,
            )
            if not self.sessions and self._closed is not None:
                closed, self._closed = self._closed, None
                closed.callback(None)

    def close_all(self, grace: float = 10.0) -> Deferred[None]:
        """Shutdown: 421 to whoever is between messages, time to finish for the others.

        :param grace: seconds after which the rest is cut. The Deferred fires when no session is left.
        """
        if not self.sessions:
            return succeed(None)
        closed = self._closed = Deferred()
        cut = self.clock.callLater(grace, self._cut)
        closed.addCallback(lambda ignored: cut.cancel() if cut.active() else None)
        for session in list(self.sessions):
            session.shut_down()
        return closed

    def _cut(self) -> None:
        for session in list(self.sessions):
            session.transport.abortConnection()
