"""Small pieces around listening sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.protocols.tls import TLSMemoryBIOFactory

from posthouse.config import Config
from posthouse.daemon.preflight import HeldPort
from posthouse.daemon.proxied import Proxied
from posthouse.settings import split_proxied
from posthouse.smtp.limits import LOOPBACK

__all__ = ["behind_balancers", "exempt_networks", "over_tls", "own_addresses", "stop_listening"]


class _OverTls(TLSMemoryBIOFactory):
    """Twisted's would wrap the None of a factory that wants no connection, and fail in it, twice in the log."""

    def buildProtocol(self, addr: Any) -> Any:
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else self.protocol(self, inner)


def over_tls(context: Any, factory: Any, reactor: Any) -> TLSMemoryBIOFactory:
    """The factory behind TLS from the first byte."""
    return _OverTls(context, False, factory, clock=reactor)


def behind_balancers(proxied: Iterable[str], service: str, factory: Any, reactor: Any) -> Any:
    """The factory, reading PROXY headers from those of ``listen.proxied`` that are for this service."""
    pairs = [split_proxied(text) for text in proxied]
    networks = [network for name, network in pairs if name in ("", service)]
    return Proxied(factory, networks, reactor) if networks else factory


def exempt_networks(config: Config) -> tuple[str, ...]:
    """Those that no limit of connections holds back."""
    return (*LOOPBACK, *config.smtp.exempt, *config.auth.exempt)


def stop_listening(ports: list[Any]) -> Deferred[Any]:
    """Close listening ports; fires when all are closed."""
    return DeferredList([port.stopListening() or succeed(None) for port in ports])


def own_addresses(held: list[HeldPort]) -> set[str]:
    """The addresses that we listen on; for "any", those that this machine would use to reach the world."""
    found = set()
    for one in held:
        if one.service == "smtp":
            address = one.address
            found.add(address)
            if address in ("0.0.0.0", "::"):
                found.add(_outward(one.family) or address)
    return found


def _outward(family: socket.AddressFamily) -> str | None:
    # Connecting a datagram socket sends nothing; the kernel only picks the source (RFC 5737, RFC 3849).
    target = "192.0.2.1" if family == socket.AF_INET else "2001:db8::1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None
