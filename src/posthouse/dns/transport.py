"""One DNS exchange over UDP or TCP, each from a socket of its own.

Promise: the Deferred fires exactly once, with a response that answers the question, or with
:class:`~posthouse.errors.TryLater` after ``timeout`` seconds or a refused connection; the socket is closed
then. A fresh port, a random id and a random spelling per question make blind forging costly (RFC 5452 9.2);
datagrams that are not the answer are ignored while the true one may still come.

Specifications: RFC 1035 4.2, RFC 7766 (TCP), RFC 5452.
"""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Protocol
from twisted.python.failure import Failure

from posthouse.dns.codec import Answer, Question, parse_answer, write_question
from posthouse.dns.files import split_server
from posthouse.errors import Malformed, TryLater

__all__ = ["ask_tcp", "ask_udp"]


class _Exchange:
    """What the two transports share: the question, the time limit, the one result."""

    def __init__(
        self, reactor: Any, question: Question, query_id: int, timeout: float, edns: bool, spelling: str = ""
    ) -> None:
        self.question = question
        self.query_id = query_id
        self.spelling = spelling
        self.wire = write_question(question, query_id, edns=edns, spelling=spelling)
        self.done: Deferred[Answer] = Deferred(lambda _: self.cancelled())
        self.finished = False
        self._late = reactor.callLater(timeout, self.fail, "time-out")

    def read(self, wire: bytes) -> Answer:
        return parse_answer(self.question, self.query_id, wire, self.spelling)

    def answer(self, answer: Answer) -> None:
        if self._close():
            self.done.callback(answer)

    def fail(self, why: str) -> None:
        if self._close():
            self.done.errback(
                Failure(TryLater(cause=f"DNS {self.question.name}/{self.question.type}: {why}"))
            )

    def cancelled(self) -> None:
        self._close()

    def _close(self) -> bool:
        if self.finished:
            return False
        self.finished = True
        if self._late.active():
            self._late.cancel()
        self.hang_up()
        return True

    def hang_up(self) -> None:
        raise AssertionError("each transport has its own")


class _Datagrams(DatagramProtocol):
    noisy = False

    def __init__(self, exchange: _UdpExchange) -> None:
        self.exchange = exchange

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        try:
            answer = self.exchange.read(datagram)
        except Malformed:
            return  # stray or forged: the true answer may still come
        self.exchange.answer(answer)

    def connectionRefused(self) -> None:
        self.exchange.fail("connection refused")

    def stopProtocol(self) -> None:
        # epoll reports a refused datagram as an error on the socket, and the port closes without a word.
        self.exchange.fail("connection refused")


class _UdpExchange(_Exchange):
    port: Any = None

    def hang_up(self) -> None:
        if self.port is not None:
            self.port.stopListening()


class _Stream(Protocol):
    """Two bytes of length, then the message (RFC 1035 4.2.2)."""

    def __init__(self, exchange: _TcpExchange) -> None:
        self.exchange = exchange
        self.received = bytearray()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(struct.pack("!H", len(self.exchange.wire)) + self.exchange.wire)

    def dataReceived(self, data: bytes) -> None:
        if self.exchange.finished:
            return
        self.received += data  # bounded: at most 65,537 bytes before a verdict
        if len(self.received) < 2:
            return
        length = struct.unpack_from("!H", self.received)[0]
        if len(self.received) < 2 + length:
            return
        try:
            answer = self.exchange.read(bytes(self.received[2 : 2 + length]))
        except Malformed as error:
            self.exchange.fail(error.cause)
        else:
            self.exchange.answer(answer)

    def connectionLost(self, reason: Any = None) -> None:
        self.exchange.fail("connection lost")


class _Connector(ClientFactory):
    noisy = False

    def __init__(self, exchange: _TcpExchange) -> None:
        self.exchange = exchange

    def buildProtocol(self, addr: Any) -> Protocol:
        return _Stream(self.exchange)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.exchange.fail(reason.type.__name__ if reason.type is not None else "failed")


class _TcpExchange(_Exchange):
    connector: Any = None

    def hang_up(self) -> None:
        if self.connector is not None:
            self.connector.disconnect()


def ask_udp(
    reactor: Any,
    server: str,
    question: Question,
    query_id: int,
    timeout: float,
    edns: bool = True,
    spelling: str = "",
) -> Deferred[Answer]:
    """Ask over UDP. The socket is connected, so the kernel drops what comes from elsewhere.

    :param server: an address, or "address:port" with brackets around IPv6.
    :param spelling: the name as it is written in the question, and has to be in the answer.
    """
    exchange = _UdpExchange(reactor, question, query_id, timeout, edns, spelling)
    server, port = split_server(server)
    protocol = _Datagrams(exchange)
    try:
        exchange.port = reactor.listenUDP(
            0, protocol, interface="::" if ":" in server else "0.0.0.0", maxPacketSize=4096
        )
        assert protocol.transport is not None
        protocol.transport.connect(server, port)
        protocol.transport.write(exchange.wire)  # type: ignore[call-arg]  # connected: no address
    except Exception as error:
        # CannotListenError without IPv6, OSError without a route: another server may do better
        exchange.fail(f"{type(error).__name__} at {server}")
    return exchange.done


def ask_tcp(reactor: Any, server: str, question: Question, query_id: int, timeout: float) -> Deferred[Answer]:
    """Ask over TCP, after a truncated answer."""
    exchange = _TcpExchange(reactor, question, query_id, timeout, True)
    host, port = split_server(server)
    exchange.connector = reactor.connectTCP(host, port, _Connector(exchange), timeout=timeout)
    if exchange.finished:  # it failed before the connector was known
        exchange.hang_up()
    return exchange.done
