"""How many connections a peer may hold and open, and how slowly it may send.

The promise: no address and no network can take all connections; loopback and listed networks are never held
back; the tables stay small whatever arrives. Networks count, too: an IPv6 host owns a /64 and more, so each of
three widths has its own limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol

__all__ = [
    "FACTORS",
    "LOOPBACK",
    "MAX_TABLE",
    "ConnectionLimits",
    "RateDeadline",
    "Seconds",
    "parse_peer",
    "peer_keys",
]

LOOPBACK = ("127.0.0.0/8", "::1/128")
MAX_TABLE = 100_000  # networks remembered
FACTORS = (1, 3, 9)  # of a limit: for the address and its two networks

_Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address


class Seconds(Protocol):
    """What is needed of a clock."""

    def seconds(self) -> float: ...


def parse_peer(host: str) -> _Address | None:
    """The address of a peer; IPv4 seen through an IPv6 socket is IPv4. None for a unix socket."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def peer_keys(address: _Address) -> tuple[tuple[int, int, int], ...]:
    """What an address is counted under: itself, its /24 and /16; for IPv6 itself, its /64 and /48."""
    number = int(address)
    if address.version == 4:
        return (4, 32, number), (4, 24, number >> 8), (4, 16, number >> 16)
    return (6, 128, number), (6, 64, number >> 64), (6, 48, number >> 80)


class ConnectionLimits:
    """Counts of open and of recent connections by address and network, shared by all SMTP listeners.

    :param per_address: open connections of one address; three times that for its /24 or /64, nine times for
        the /16 or /48.
    :param per_minute: new connections, with the same factors.
    :param total: open connections altogether.
    :param exempt: networks that are never held back beyond ``total``, nor delayed.
    """

    def __init__(
        self,
        clock: Seconds,
        per_address: int = 30,
        per_minute: int = 300,
        total: int = 2000,
        exempt: Iterable[str] = LOOPBACK,
    ) -> None:
        self._clock = clock
        self._per_address = per_address
        self._per_minute = per_minute
        self._total = total
        self._exempt = tuple(ip_network(network, strict=False) for network in exempt)
        # What `exempt` has said: it is asked several times for each message.
        self._known: dict[str, bool] = {}
        self._open: dict[tuple[int, int, int], int] = {}
        self._recent: dict[tuple[int, int, int], int] = {}
        self._minute = 0
        self.open = 0

    def exempt(self, host: str) -> bool:
        """Is this peer on loopback, on a unix socket, or in a listed network?"""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= MAX_TABLE:
                self._known.clear()
            known = self._known[host] = self._is_exempt(host)
        return known

    def _is_exempt(self, host: str) -> bool:
        address = parse_peer(host)
        if address is None:
            return True
        return any(address.version == network.version and address in network for network in self._exempt)

    def admit(self, host: str) -> str:
        """Count a new connection. Returns "" or, when it must be refused and was not counted, the reason."""
        if self.open >= self._total:
            return "Too many connections."
        if not self.exempt(host):
            address = parse_peer(host)
            assert address is not None  # exempt otherwise
            minute = int(self._clock.seconds() // 60)
            if minute != self._minute or len(self._recent) > MAX_TABLE:
                self._minute = minute
                self._recent.clear()
            keys = peer_keys(address)
            for key, factor in zip(keys, FACTORS, strict=True):
                recent = self._recent[key] = self._recent.get(key, 0) + 1
                if recent > self._per_minute * factor:
                    return "Too many connections in a short time."
                if self._open.get(key, 0) >= self._per_address * factor:
                    return "Too many connections from your network."
            for key in keys:
                self._open[key] = self._open.get(key, 0) + 1
        self.open += 1
        return ""

    def release(self, host: str) -> None:
        """A connection that was admitted has ended."""
        self.open -= 1
        address = parse_peer(host)
        if address is None or self.exempt(host):
            return
        for key in peer_keys(address):
            left = self._open.get(key, 0) - 1
            if left > 0:
                self._open[key] = left
            else:
                self._open.pop(key, None)


class RateDeadline:
    """How long a sender of bulk data may still take.

    It starts with ``grace`` seconds; time uses them up, each ``rate`` bytes give one second back, never
    beyond ``grace``. So a stall ends after ``grace``, and so does a trickle, but honest slow lines may take
    hours (the idea of Postfix's smtpd_min_data_rate).
    """

    __slots__ = ("_grace", "_last", "_left", "_rate")

    def __init__(self, now: float, grace: float, rate: int) -> None:
        self._grace = self._left = grace
        self._rate = rate
        self._last = now

    def received(self, now: float, count: int) -> None:
        """``count`` bytes came in."""
        left = self._left - (now - self._last) + count / self._rate
        self._left = min(self._grace, left)
        self._last = now

    def excuse(self, now: float) -> None:
        """The time since the last call was ours, not the sender's."""
        self._last = now

    def left(self, now: float) -> float:
        """Seconds until the sender is cut; zero or less: now."""
        return self._left - (now - self._last)
