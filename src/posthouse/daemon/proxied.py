"""Listeners behind a balancer: who comes from it says first, in a PROXY header, whom it speaks for.

The promises: a connection from a listed network is nothing to any room before its header was read, and has the
client's address from then on: in limits, throttles, logs, SPF and Received. Without a good header in time it is
closed without a word. From anybody else a header means nothing: it is read as the protocol's own bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

from twisted.internet.address import IPv4Address as V4
from twisted.internet.address import IPv6Address as V6
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from posthouse.daemon.proxyheader import read_header
from posthouse.errors import Malformed
from posthouse.peers import peer_address

__all__ = ["HEADER_SECONDS", "MAX_WAITING", "Proxied"]

HEADER_SECONDS = 5.0  # the specification asks for three at least (section 2)
MAX_WAITING = 1000  # connections whose header has not come yet

_log = Logger("posthouse.daemon.proxied")


class _Header(Protocol):
    """Reads the header, then gives the transport to who is meant to have it."""

    transport: Any
    _timer: IDelayedCall | None = None

    def __init__(self, factory: Proxied, address: Any) -> None:
        self._factory = factory
        self._address = address
        self._data = b""

    def connectionMade(self) -> None:
        self._factory.waiting += 1
        self._timer = self._factory.clock.callLater(HEADER_SECONDS, self._refuse, "no PROXY header in time")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._done()

    def _done(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            self._factory.waiting -= 1
            if timer.active():
                timer.cancel()

    def _refuse(self, why: str) -> None:
        self._done()
        self._data = b""
        _log.warn("{peer} closed: {why}", event="listen.proxied", peer=self._address.host, why=why)
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._timer is None:
            return
        self._data += data
        try:
            header = read_header(self._data)
        except Malformed as problem:
            self._refuse(problem.public)
            return
        if header is None:
            return
        self._done()
        peer = self._address
        if header.source is not None:
            host, port = header.source
            peer = V6("TCP", host, port) if ":" in host else V4("TCP", host, port)
        rest, self._data = self._data[header.length :], b""
        inner = self._factory.inner.buildProtocol(peer)
        if inner is None:
            self.transport.abortConnection()
            return
        # No wrapper stays in between: STARTTLS and the short way to the socket need the transport itself, which
        # from here on answers with the client's address to all who ask.
        self.transport.getPeer = lambda: peer
        self.transport.protocol = inner
        inner.makeConnection(self.transport)
        if rest:
            inner.dataReceived(rest)


class Proxied(Factory):
    """The factory of a listener.

    :param networks: of the balancers; their connections must begin with a header.
    """

    noisy = False

    def __init__(self, inner: Any, networks: Iterable[str], clock: Any) -> None:
        self.inner = inner
        self.clock = clock
        self.waiting = 0
        self._networks = [ip_network(network, strict=False) for network in networks]

    def startFactory(self) -> None:
        self.inner.doStart()

    def stopFactory(self) -> None:
        self.inner.doStop()

    def speaks_for_others(self, host: str) -> bool:
        """Is this the address of a balancer?"""
        address = peer_address(host)
        if address is None:
            return False
        return any(address.version == network.version and address in network for network in self._networks)

    def buildProtocol(self, addr: Any) -> Any:
        if not self.speaks_for_others(str(getattr(addr, "host", ""))):
            return self.inner.buildProtocol(addr)
        return _Header(self, addr) if self.waiting < MAX_WAITING else None
