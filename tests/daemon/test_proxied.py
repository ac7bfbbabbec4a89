"""Connections of a balancer: whose they are, and how long one waits to hear it."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon import proxied
from posthouse.daemon.listeners import behind_balancers
from posthouse.daemon.proxied import HEADER_SECONDS, Proxied

BALANCER = IPv4Address("TCP", "192.0.2.80", 5000)
LINE = b"PROXY TCP4 203.0.113.5 192.0.2.1 4711 25\r\n"


class Keeper(Protocol):
    def connectionMade(self) -> None:
        self.heard = b""
        self.at_first = self.transport.getPeer()
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


class Rooms(Factory):
    noisy = False

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.built: list[Keeper] = []
        self.full = False

    def buildProtocol(self, addr: object) -> Keeper | None:
        self.peers.append(addr.host)  # type: ignore[attr-defined]
        if self.full:
            return None
        self.built.append(Keeper())
        return self.built[-1]


class ProxiedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.rooms = Clock(), Rooms()
        self.factory = Proxied(self.rooms, ["192.0.2.80", "2001:db8::/64"], self.clock)

    def connect(self, address: object = BALANCER) -> tuple[Protocol, StringTransport]:
        protocol = self.factory.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        transport.protocol = protocol  # type: ignore[attr-defined]
        protocol.makeConnection(transport)
        return protocol, transport

    def test_the_room_knows_the_client_only(self) -> None:
        _, transport = self.connect()
        for at in range(len(LINE)):
            self.assertEqual((self.rooms.peers, transport.value()), ([], b""))
            transport.protocol.dataReceived(LINE[at : at + 1])  # type: ignore[attr-defined]
        transport.protocol.dataReceived(b"EHLO a\r\n")  # type: ignore[attr-defined]
        (keeper,) = self.rooms.built
        self.assertIs(transport.protocol, keeper)  # type: ignore[attr-defined]
        self.assertEqual((keeper.at_first.host, keeper.at_first.port), ("203.0.113.5", 4711))
        self.assertEqual((keeper.heard, transport.value()), (b"EHLO a\r\n", b"hello"))
        self.clock.advance(HEADER_SECONDS)
        self.assertEqual((transport.disconnecting, self.factory.waiting), (False, 0))

    def test_what_comes_behind_the_header_in_one_read(self) -> None:
        protocol, _ = self.connect()
        protocol.dataReceived(LINE + b"\x16\x03\x01")
        self.assertEqual(self.rooms.built[0].heard, b"\x16\x03\x01")

    def test_an_ipv6_client(self) -> None:
        protocol, _ = self.connect(IPv6Address("TCP", "2001:db8::5", 5000))
        protocol.dataReceived(b"PROXY TCP6 2001:DB8:1::7 ::1 1 2\r\n")
        self.assertEqual(self.rooms.built[0].at_first, IPv6Address("TCP", "2001:db8:1::7", 1))

    def test_a_health_check_is_the_balancers_own(self) -> None:
        protocol, _ = self.connect()
        protocol.dataReceived(b"PROXY UNKNOWN\r\n")
        self.assertEqual(self.rooms.built[0].at_first, BALANCER)

    def test_no_header_is_closed_without_a_word(self) -> None:
        for data in (b"EHLO a\r\n", b"PROXY TCP4 a b c d\r\n", b"\x16\x03\x01"):
            protocol, transport = self.connect()
            protocol.dataReceived(data)
            protocol.dataReceived(LINE)  # too late
            self.assertEqual((transport.value(), transport.disconnected), (b"", True))
        self.assertEqual((self.rooms.peers, self.factory.waiting), ([], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_header_that_does_not_come_is_not_waited_for(self) -> None:
        for data in (b"", LINE[:-1]):
            protocol, transport = self.connect()
            protocol.dataReceived(data)
            self.clock.advance(HEADER_SECONDS)
            self.assertEqual((transport.value(), transport.disconnected), (b"", True))

    def test_a_lost_connection_leaves_nothing(self) -> None:
        protocol, _ = self.connect()
        self.assertEqual(self.factory.waiting, 1)
        protocol.connectionLost(Failure(ConnectionError()))
        self.assertEqual((self.factory.waiting, self.clock.getDelayedCalls()), (0, []))

    def test_so_many_wait_and_no_more(self) -> None:
        self.patch(proxied, "MAX_WAITING", 2)
        self.connect(), self.connect()
        self.assertIsNone(self.factory.buildProtocol(BALANCER))

    def test_a_room_that_is_full(self) -> None:
        self.rooms.full = True
        protocol, transport = self.connect()
        protocol.dataReceived(LINE)
        self.assertTrue(transport.disconnected)

    def test_from_others_it_is_not_interpreted(self) -> None:
        for host in ("192.0.2.81", "127.0.0.1", "2001:db8:0:1::5"):
            protocol, _ = self.connect(IPv4Address("TCP", host, 1))
            assert isinstance(protocol, Keeper)
            protocol.dataReceived(LINE)
            self.assertEqual((protocol.heard, protocol.at_first.host), (LINE, host))

    def test_for_one_service_or_all(self) -> None:
        networks = ("smtp=192.0.2.80", "10.0.0.0/8")
        for service, host, other in (
            ("smtp", "192.0.2.80", True),
            ("https", "192.0.2.80", False),
            ("https", "10.1.1.1", True),
        ):
            factory = behind_balancers(networks, service, self.rooms, self.clock)
            self.assertEqual(factory.speaks_for_others(host), other, (service, host))
        self.assertIs(behind_balancers(("smtp=192.0.2.80",), "https", self.rooms, self.clock), self.rooms)
