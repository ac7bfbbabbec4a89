"""UDP and TCP exchanges over fake transports."""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from posthouse.dns.codec import Question, Status
from posthouse.dns.transport import ask_tcp, ask_udp
from posthouse.errors import TryLater
from tests.dns.test_codec import MX, response

GOOD = response(MX, "example.org 60 MX 10 mx1.example.org.")


class FakeDatagrams:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.peer: tuple[str, int] | None = None
        self.open = True

    def connect(self, host: str, port: int) -> None:
        self.peer = (host, port)

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def stopListening(self) -> None:
        self.open = False


class UdpReactor(MemoryReactorClock):
    """Adds IReactorUDP to the memory reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[tuple[Any, FakeDatagrams, str]] = []

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        transport = FakeDatagrams()
        protocol.transport = transport
        self.ports.append((protocol, transport, interface))
        return transport


class UdpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = UdpReactor()

    def test_asks_and_closes_the_socket(self) -> None:
        asked = ask_udp(self.reactor, "192.0.2.53", MX, 7, 5.0)
        protocol, transport, _ = self.reactor.ports[0]
        self.assertEqual(transport.peer, ("192.0.2.53", 53))
        protocol.datagramReceived(GOOD, ("192.0.2.53", 53))
        self.assertEqual(self.successResultOf(asked).records, ((10, "mx1.example.org"),))
        self.assertFalse(transport.open)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_forged_datagrams_are_ignored_while_the_true_one_comes(self) -> None:
        asked = ask_udp(self.reactor, "2001:db8::53", MX, 7, 5.0)
        protocol, _, interface = self.reactor.ports[0]
        self.assertEqual(interface, "::")
        protocol.datagramReceived(response(MX, "example.org 60 MX 1 evil.example.", query_id=8), None)
        protocol.datagramReceived(b"noise", None)
        self.assertNoResult(asked)
        protocol.datagramReceived(GOOD, None)
        protocol.datagramReceived(GOOD, None)
        self.assertEqual(self.successResultOf(asked).records, ((10, "mx1.example.org"),))

    def test_time_out_and_refusal_are_try_later(self) -> None:
        late = ask_udp(self.reactor, "192.0.2.53", MX, 7, 5.0)
        refused = ask_udp(self.reactor, "192.0.2.54", MX, 7, 5.0)
        self.reactor.ports[1][0].connectionRefused()
        self.failureResultOf(refused, TryLater)
        closed = ask_udp(self.reactor, "192.0.2.55", MX, 7, 5.0)
        self.reactor.ports[2][0].stopProtocol()
        self.failureResultOf(closed, TryLater)
        self.reactor.advance(5)
        self.failureResultOf(late, TryLater)
        self.assertFalse(any(transport.open for _, transport, _ in self.reactor.ports))


class TcpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def connect(self) -> tuple[Any, Any]:
        host, port, factory, _, _ = self.reactor.tcpClients[-1]
        self.assertEqual((host, port), ("192.0.2.53", 53))
        protocol = factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_reads_an_answer_in_any_pieces(self) -> None:
        for size in (1, 2, 3, 1000):
            asked = ask_tcp(self.reactor, "192.0.2.53", MX, 7, 5.0)
            protocol, transport = self.connect()
            self.assertEqual(struct.unpack("!H", transport.value()[:2])[0], len(transport.value()) - 2)
            stream = struct.pack("!H", len(GOOD)) + GOOD
            for at in range(0, len(stream), size):
                protocol.dataReceived(stream[at : at + size])
            self.assertEqual(self.successResultOf(asked).status, Status.FOUND)

    def test_nonsense_a_lost_connection_and_silence_are_try_later(self) -> None:
        asked = [ask_tcp(self.reactor, "192.0.2.53", Question("example.org", "MX"), 7, 5.0)]
        self.connect()[0].dataReceived(b"\x00\x03abc")
        asked.append(ask_tcp(self.reactor, "192.0.2.53", MX, 7, 5.0))
        self.connect()[0].connectionLost()
        asked.append(ask_tcp(self.reactor, "192.0.2.53", MX, 7, 5.0))
        self.reactor.tcpClients[-1][2].clientConnectionFailed(None, Failure(ConnectionRefusedError()))
        asked.append(ask_tcp(self.reactor, "192.0.2.53", MX, 7, 5.0))
        self.reactor.advance(5)
        for one in asked:
            self.failureResultOf(one, TryLater)
