"""A device that asks without end is told to wait.

Promise: each device has a budget of requests a minute, far above what any phone that works needs; one that spends
it hears 503 with Retry-After until some of it has come back, and costs neither a query nor a thread meanwhile.
MS-ASHTTP 2.2.2.1.2.13, 3.1.5.2.3 (R275), 3.2.5.1 (R287).
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

from posthouse.errors import TryLater

__all__ = ["Flood", "FloodGuard"]

_REMEMBERED = 10_000
#: Which part of the budget has to be back before a device is served again: one that ignores Retry-After must
#: not live on the drops.
_PART = 0.1


class Flood(TryLater):
    """The device has spent its budget. ``first``: it is the first refusal since it was served."""

    public_default = "Too many requests."

    def __init__(self, after: float, first: bool) -> None:
        super().__init__(cause="the device's requests a minute are used up", after=after)
        self.first = first


@define
class _Budget:
    left: float
    at: float
    refused: bool = False


@define(eq=False)
class FloodGuard:
    """:param per_minute: requests of one device; 0 for no limit."""

    per_minute: int
    _budgets: OrderedDict[tuple[object, ...], _Budget] = field(factory=OrderedDict, init=False)

    def take(self, device: tuple[object, ...], now: float) -> None:
        """Count one request. :param now: seconds. :raises Flood: not to be served."""
        if not self.per_minute:
            return
        budget = self._budgets.get(device)
        if budget is None:
            self._budgets[device] = budget = _Budget(self.per_minute, now)
            if len(self._budgets) > _REMEMBERED:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(device)
        rate = self.per_minute / 60
        budget.left = min(self.per_minute, budget.left + max(0.0, now - budget.at) * rate)
        budget.at = now
        wanted = max(1.0, self.per_minute * _PART) if budget.refused else 1.0
        if budget.left >= wanted:
            budget.refused = False
            budget.left -= 1
            return
        first, budget.refused = not budget.refused, True
        raise Flood((max(1.0, self.per_minute * _PART) - budget.left) / rate, first)
