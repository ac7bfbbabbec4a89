"""A raw SMTP peer for tests: a server session on a string transport, and the fakes behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import ISSLTransport, ITLSTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import alsoProvides, implementer

from posthouse.errors import AuthFailed, NoSuchAccount, RelayDenied
from posthouse.interfaces import IAuthenticator, IMailIntake
from posthouse.model import Account, Envelope, Recipient
from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.rates import PeerRates
from posthouse.smtp.server import SMTPFactory, SMTPServer, SmtpSettings
from posthouse.work.pool import InlinePool
from posthouse.work.spool import Spool

ALICE = Account(1, 1, "alice@example.org", "Alice", True, False)
PASSWORD = b"correct horse"


class Wire(StringTransport):
    """A string transport that can start TLS (by saying so) and tells what happened to it."""

    def __init__(self, tls: bool = False) -> None:
        StringTransport.__init__(self)
        self.tls_started: list[Any] = []
        self.writes = 0
        self.aborted = False
        alsoProvides(self, ITLSTransport)
        if tls:
            alsoProvides(self, ISSLTransport)

    def write(self, data: bytes) -> None:
        self.writes += 1
        StringTransport.write(self, data)

    def startTLS(self, context: Any, normal: bool = True) -> None:
        self.tls_started.append(context)
        alsoProvides(self, ISSLTransport)

    def abortConnection(self) -> None:
        self.aborted = True
        StringTransport.abortConnection(self)

    def unregisterProducer(self) -> None:
        if self.producer is not None:
            StringTransport.unregisterProducer(self)


@implementer(IMailIntake)
@define(eq=False)
class FakeIntake:
    """Takes mail for ``users`` of example.org, keeps it in ``accepted``.

    ``later`` is asked before each answer; a Deferred that it returns is waited for. ``refuse`` maps a method's
    name to an error that it raises.
    """

    users: frozenset[str] = frozenset({"alice", "bob", "postmaster"})
    directory: str = "."
    memory_limit: int = 256 * 1024
    later: Callable[[str], Deferred[None] | None] = lambda what: None
    refuse: dict[str, Exception] = field(factory=dict)
    accepted: list[tuple[Envelope, bytes]] = field(factory=list)
    spools: list[Spool] = field(factory=list)
    calls: list[str] = field(factory=list)
    make_spool: Callable[[], Spool] | None = None

    def _answer(self, what: str, value: Callable[[], Any]) -> Deferred[Any]:
        self.calls.append(what)

        def answer(ignored: None) -> Any:
            error = self.refuse.get(what.split()[0])
            if error is not None:
                raise error
            return value()

        wait = self.later(what)
        return (succeed(None) if wait is None else wait).addCallback(answer)

    def check_sender(self, sender: str, account: Account | None) -> Deferred[None]:
        return self._answer(f"sender {sender}", lambda: None)

    def check_recipient(
        self, address: str, account: Account | None, sender: str | None = None
    ) -> Deferred[Recipient]:
        return self._answer(f"recipient {address}", lambda: self._route(address, account))

    def _route(self, address: str, account: Account | None) -> Recipient:
        local, _, domain = address.rpartition("@")
        if domain.lower() != "example.org":
            if account is None:
                raise RelayDenied()
            return Recipient(address, (), (address,))
        if local.lower() not in self.users:
            raise NoSuchAccount()
        return Recipient(address, (1,))

    def spool(self) -> Spool:
        if self.make_spool is not None:
            return self.make_spool()
        spool = Spool(self.directory, InlinePool(), self.memory_limit, reserve=0)
        self.spools.append(spool)
        return spool

    def accept(self, envelope: Envelope, spooled: Any) -> Deferred[str]:
        def take() -> str:
            self.accepted.append((envelope, spooled.read(0, spooled.size)))
            return f"Q{len(self.accepted)}"

        return self._answer("accept", take)


@implementer(IAuthenticator)
class FakeAuthenticator:
    """Knows Alice. ``later`` as for the intake."""

    def __init__(self) -> None:
        self.later: Callable[[str], Deferred[None] | None] = lambda what: None
        self.error: Exception | None = None
        self.asked: list[tuple[str, bytes, str]] = []

    def check_password(self, login: str, password: bytes, peer: str) -> Deferred[Account]:
        self.asked.append((login, password, peer))

        def answer(ignored: None) -> Account:
            if self.error is not None:
                raise self.error
            if (login, password) != (ALICE.address, PASSWORD):
                raise AuthFailed(cause="wrong password")
            return ALICE

        wait = self.later(login)
        return (succeed(None) if wait is None else wait).addCallback(answer)

    def check_basic(self, header: bytes, peer: str) -> Deferred[Account]:
        return fail(AuthFailed())

    def forget(self, account_id: int) -> None:
        pass


class _Address:
    def __init__(self, host: str) -> None:
        self.host = host


class Peer:
    """One connection to a server that runs in the test."""

    def __init__(
        self,
        role: str = "mx",
        *,
        host: str = "127.0.0.1",
        tls: bool | None = None,
        intake: FakeIntake | None = None,
        authenticator: FakeAuthenticator | None = None,
        context: Any = "context",
        clock: Clock | None = None,
        limits: ConnectionLimits | None = None,
        rates: PeerRates | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.intake = intake or FakeIntake()
        self.authenticator = authenticator or FakeAuthenticator()
        values = {"hostname": "mx.example.org", "default_domain": "example.org", **settings}
        self.factory = SMTPFactory(
            SmtpSettings(role=role, **values),
            self.intake,
            self.authenticator,
            context,
            self.clock,
            limits,
            rates=rates,
        )
        protocol = self.factory.buildProtocol(_Address(host))
        assert isinstance(protocol, SMTPServer)
        self.server = protocol
        self.wire = Wire(role == "submissions" if tls is None else tls)
        self.server.makeConnection(self.wire)
        self.greeting = self.read()

    def send(self, data: bytes) -> bytes:
        """Give the server these bytes; returns what it answered at once."""
        self.server.dataReceived(data)
        return self.read()

    def read(self) -> bytes:
        """What the server has said since the last look."""
        said: bytes = self.wire.value()
        self.wire.clear()
        return said

    def lines(self, *commands: str) -> list[str]:
        """Send each command, one after the other; the reply to each, without CRLF."""
        return [self.send(command.encode() + b"\r\n").decode().rstrip("\r\n") for command in commands]

    def codes(self, *commands: str) -> list[int]:
        """Send each command; the code of the reply to each."""
        return [int(line[:3]) for line in self.lines(*commands)]

    def hello(self) -> list[str]:
        """Say EHLO; returns the keywords' lines."""
        return [line[4:] for line in self.lines("EHLO client.example")[0].split("\r\n")[1:]]

    def login(self) -> str:
        """Say EHLO and log in as Alice; returns the last reply."""
        from base64 import b64encode

        self.hello()
        token = b64encode(b"\0" + ALICE.address.encode() + b"\0" + PASSWORD).decode()
        return self.lines(f"AUTH PLAIN {token}")[0]

    @property
    def closed(self) -> bool:
        """Whether the server has closed, at the latest after its lingering."""
        self.clock.advance(2.0)
        return bool(self.wire.disconnecting)

    def lose(self) -> None:
        """The connection breaks."""
        from twisted.internet.error import ConnectionLost
        from twisted.python.failure import Failure

        self.server.connectionLost(Failure(ConnectionLost()))
