"""How many messages, recipients and guesses a stranger and its networks may come with in a while.

The promise: fixed windows, counters only, a table that stays small whatever arrives; who is exempt from
``ConnectionLimits`` is not counted here either. Three widths count, as for connections: the address, its /24 (IPv6:
/64) with three times the limit, its /16 (/48) with nine times.
"""

from __future__ import annotations

from attrs import define, field

from posthouse.smtp.limits import FACTORS, MAX_TABLE, ConnectionLimits, Seconds, parse_peer, peer_keys

__all__ = ["PeerRates", "Rate"]


@define(eq=False)
class Rate:
    """At most ``limit`` in ``window`` seconds for one address; 0: no limit."""

    limit: int
    window: float
    _counts: dict[tuple[int, int, int], int] = field(factory=dict)
    _began: int = 0

    def _turn(self, now: float) -> None:
        current = int(now // self.window)
        if current != self._began or len(self._counts) > MAX_TABLE:
            self._began = current
            self._counts.clear()

    def over(self, peer: str, now: float) -> bool:
        """Has it, or a network that it belongs to, had its share?"""
        address = parse_peer(peer)
        if not self.limit or address is None:
            return False
        self._turn(now)
        return any(
            self._counts.get(key, 0) >= self.limit * factor
            for key, factor in zip(peer_keys(address), FACTORS, strict=True)
        )

    def count(self, peer: str, now: float) -> None:
        """One more."""
        address = parse_peer(peer)
        if self.limit and address is not None:
            self._turn(now)
            for key in peer_keys(address):
                self._counts[key] = self._counts.get(key, 0) + 1

    def take(self, peer: str, now: float) -> bool:
        """One more, if it may; whether it might."""
        if self.over(peer, now):
            return False
        self.count(peer, now)
        return True


class PeerRates:
    """What strangers may come with, one for all listeners: messages and recipients a minute, guesses an hour."""

    def __init__(
        self,
        clock: Seconds,
        limits: ConnectionLimits,
        messages: int = 500,
        recipients: int = 5000,
        unknown: int = 200,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._messages = Rate(messages, 60.0)
        self._recipients = Rate(recipients, 60.0)
        self._unknown = Rate(unknown, 3600.0)

    def message(self, peer: str) -> bool:
        """May it send one more?"""
        return self._limits.exempt(peer) or self._messages.take(peer, self._clock.seconds())

    def recipient(self, peer: str) -> bool:
        """May it name one more?"""
        return self._limits.exempt(peer) or self._recipients.take(peer, self._clock.seconds())

    def unknown(self, peer: str) -> None:
        """It named somebody who does not exist."""
        if not self._limits.exempt(peer):
            self._unknown.count(peer, self._clock.seconds())

    def guesses(self, peer: str) -> bool:
        """Has it named too many of them?"""
        return not self._limits.exempt(peer) and self._unknown.over(peer, self._clock.seconds())
