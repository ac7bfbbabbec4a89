"""Holds back who guesses passwords; one for SMTP and HTTP alike.

The promise: guessing is slow from one address, from one network, and against one account, in bounded memory;
and nobody who belongs here is locked out by it. Three counters are kept:

- per address (IPv4 /32 and, at three times the limit, /24; IPv6 /64 and /48): 10 failures a minute, 50 a day;
- per account, whatever the address: 20 an hour, then a delay that doubles with every further failure;
- per (account, address) for pairs that logged in well within the last days: such a pair answers for itself
  only, so neither a stranger who attacks the account nor a neighbour behind the same NAT can shut a phone
  out.

A success clears what it touches. Loopback and listed networks are exempt. Windows are fixed ones, which is
exact enough and costs four integers.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

from attrs import define, field, frozen

from posthouse.errors import TooManyAttempts
from posthouse.peers import peer_address

__all__ = ["Limits", "Throttle", "address_keys"]

V = TypeVar("V")

_MINUTE = 60.0
_HOUR = 3600.0
_DAY = 86400.0
_TRUST = 7 * _DAY
_LONGEST_DELAY = _HOUR
_FIRST_DELAY = 30.0


class Clock(Protocol):
    """What is needed of ``IReactorTime``."""

    def seconds(self) -> float: ...


@frozen
class Limits:
    """Failures allowed in the window, for one address; wider networks get a multiple."""

    per_minute: int = 10
    per_day: int = 50
    per_account_hour: int = 20


class _Recent(OrderedDict[Hashable, V], Generic[V]):
    """A dictionary that forgets what was longest not touched."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def touch(self, key: Hashable, value: V) -> V:
        self[key] = value
        self.move_to_end(key)
        while len(self) > self.size:
            self.popitem(last=False)
        return value


@define(eq=False)
class _Count:
    """Failures in the current minute (or hour) and day."""

    short_start: float = 0.0
    short: int = 0
    day_start: float = 0.0
    day: int = 0
    until: float = 0.0  # accounts only: the growing delay

    def add(self, now: float, window: float) -> None:
        if now - self.short_start >= window:
            self.short_start, self.short = now, 0
        if now - self.day_start >= _DAY:
            self.day_start, self.day = now, 0
        self.short += 1
        self.day += 1

    def wait(self, now: float, per_minute: int, per_day: int) -> float:
        """Seconds until the next attempt is welcome; 0 for now."""
        if self.day >= per_day and now - self.day_start < _DAY:
            return self.day_start + _DAY - now
        if self.short >= per_minute and now - self.short_start < _MINUTE:
            return self.short_start + _MINUTE - now
        return 0.0


@lru_cache(maxsize=4096)
def address_keys(peer: str) -> tuple[tuple[str, int], ...]:
    """The networks that stand for an address, the narrowest first, each with the factor of its limit."""
    address = peer_address(peer)
    if address is None:
        return ((peer[:64], 1),)
    widths = ((32, 1), (24, 3)) if address.version == 4 else ((64, 1), (48, 3))
    return tuple(
        (str(ipaddress.ip_network((address, width), strict=False)), factor) for width, factor in widths
    )


@define(eq=False)
class Throttle:
    """Counts failures and says when to come again.

    :param exempt: networks ("10.0.0.0/8") that are never held back, beside loopback.
    :param size: how many counters of each kind are kept at most.
    """

    _clock: Clock
    exempt: Iterable[str] = ()
    limits: Limits = Limits()
    size: int = 20_000
    _networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = field(init=False)
    _addresses: _Recent[_Count] = field(init=False)
    _accounts: _Recent[_Count] = field(init=False)
    _pairs: _Recent[_Count] = field(init=False)
    _trusted: _Recent[float] = field(init=False)  # (account, address) -> last success
    _known: _Recent[float] = field(init=False)  # address -> last success of anybody
    _is_exempt: OrderedDict[str, bool] = field(init=False, factory=OrderedDict)

    def __attrs_post_init__(self) -> None:
        named = ("127.0.0.0/8", "::1/128", *self.exempt)
        self._networks = [ipaddress.ip_network(network, strict=False) for network in named]
        self._addresses, self._accounts, self._pairs = (_Recent(self.size) for _ in range(3))
        self._trusted, self._known = _Recent(self.size), _Recent(self.size)

    def check_address(self, peer: str) -> None:
        """Before anything is known of the account: turn away who can only be guessing.

        :raises TooManyAttempts: the address is held back, and nobody ever logged in well from it.
        """
        if self.is_exempt(peer) or not self._addresses:
            return
        wait = self._address_wait(peer)
        if wait and self._clock.seconds() - self._known.get(address_keys(peer)[0][0], -_TRUST) >= _TRUST:
            raise TooManyAttempts(cause=f"address {peer}", after=wait)

    def check(self, peer: str, account: Hashable) -> None:
        """May this address try this account now?

        :param account: the account's id, or the folded login when there is no such account.
        :raises TooManyAttempts: not before ``after`` seconds.
        """
        if self.is_exempt(peer) or not (self._addresses or self._accounts or self._pairs):
            return
        now = self._clock.seconds()
        pair = (account, address_keys(peer)[0][0])
        if now - self._trusted.get(pair, -_TRUST) < _TRUST:
            count = self._pairs.get(pair)
            wait = count.wait(now, self.limits.per_minute, self.limits.per_day) if count else 0.0
            if wait:
                raise TooManyAttempts(cause=f"{account} from {peer}", after=wait)
            return
        wait = self._address_wait(peer)
        count = self._accounts.get(account)
        if count is not None:
            wait = max(wait, count.until - now)
        if wait > 0:
            raise TooManyAttempts(cause=f"{account} from {peer}", after=wait)

    def failed(self, peer: str, account: Hashable) -> None:
        """A wrong password (one that was not tried just before: repeating is no guessing)."""
        if self.is_exempt(peer):
            return
        now = self._clock.seconds()
        keys = address_keys(peer)
        for key, _ in keys:
            self._addresses.touch(key, self._addresses.get(key) or _Count()).add(now, _MINUTE)
        pair = (account, keys[0][0])
        if now - self._trusted.get(pair, -_TRUST) < _TRUST:
            self._pairs.touch(pair, self._pairs.get(pair) or _Count()).add(now, _MINUTE)
        count = self._accounts.touch(account, self._accounts.get(account) or _Count())
        count.add(now, _HOUR)
        beyond = count.short - self.limits.per_account_hour
        if beyond >= 0:
            count.until = now + min(_FIRST_DELAY * 2.0 ** min(beyond, 20), _LONGEST_DELAY)

    def succeeded(self, peer: str, account: Hashable) -> None:
        """A right password: clears the counters of the address, the account and the pair."""
        if self.is_exempt(peer):
            return
        now = self._clock.seconds()
        keys = address_keys(peer)
        pair = (account, keys[0][0])
        self._trusted.touch(pair, now)
        self._known.touch(keys[0][0], now)
        self._pairs.pop(pair, None)
        self._accounts.pop(account, None)
        for key, _ in keys:
            self._addresses.pop(key, None)

    def is_exempt(self, peer: str) -> bool:
        """Loopback, listed networks, and "" (nobody: a call from inside)."""
        known = self._is_exempt.get(peer)
        if known is None:
            address = peer_address(peer)
            known = not peer or (
                address is not None and any(address in network for network in self._networks)
            )
            self._is_exempt[peer] = known
            if len(self._is_exempt) > 4096:
                self._is_exempt.popitem(last=False)
        return known

    def _address_wait(self, peer: str) -> float:
        now, wait = self._clock.seconds(), 0.0
        for key, factor in address_keys(peer):
            count = self._addresses.get(key)
            if count is not None:
                per_minute, per_day = self.limits.per_minute * factor, self.limits.per_day * factor
                wait = max(wait, count.wait(now, per_minute, per_day))
        return wait
