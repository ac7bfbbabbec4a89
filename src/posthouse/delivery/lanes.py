"""How many attempts may run at once, in all and for one destination.

Promise: pure bookkeeping. A destination begins with two attempts at a time and earns up to ten by success;
one that pushes back (a 4yz reply, or no answer) gets one until it takes mail again.

Specifications: RFC 5321 4.5.4.1 (limits on concurrent delivery); the figures are Postfix's slow start.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, field

__all__ = ["Lanes"]

_REMEMBERED = 10_000


@define
class Lanes:
    """``total`` attempts at most; ``first`` and ``most`` for one destination key."""

    total: int = 50
    first: int = 2
    most: int = 10
    active: int = field(default=0, init=False)
    _running: dict[str, int] = field(factory=dict, init=False)
    _limits: OrderedDict[str, int] = field(factory=OrderedDict, init=False)

    @property
    def full(self) -> bool:
        """No attempt may begin, wherever it leads."""
        return self.active >= self.total

    def free(self, key: str) -> bool:
        """May an attempt for this destination begin?"""
        return not self.full and self._running.get(key, 0) < self._limits.get(key, self.first)

    def enter(self, key: str) -> None:
        """An attempt begins."""
        self.active += 1
        self._running[key] = self._running.get(key, 0) + 1

    def leave(self, key: str, success: bool | None) -> None:
        """An attempt ended. ``success`` None: it says nothing about the destination."""
        self.active -= 1
        left = self._running[key] - 1
        if left:
            self._running[key] = left
        else:
            del self._running[key]
        if success is None:
            return
        limit = self._limits.pop(key, self.first)
        self._limits[key] = min(max(limit, self.first - 1) + 1, self.most) if success else 1
        while len(self._limits) > _REMEMBERED:
            self._limits.popitem(last=False)
