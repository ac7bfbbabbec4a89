"""Those who wait for one destination: people first, yet bulk mail moves on.

Promise: pure bookkeeping. While both wait, four attempts of human mail go for each one of bulk, so that a
newsletter to ten thousand delays a letter by one message, and letters never stop a newsletter.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from attrs import define, field

__all__ = ["Line"]

T = TypeVar("T")

_TURN = 5


@define
class Line(Generic[T]):
    """First in, first out, for each of two priorities."""

    _human: deque[T] = field(factory=deque, init=False)
    _bulk: deque[T] = field(factory=deque, init=False)
    _taken: int = field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._human) + len(self._bulk)

    def put(self, one: T, priority: int) -> None:
        """Stand at the end. ``priority`` 0 is human."""
        (self._bulk if priority else self._human).append(one)

    def take(self) -> T:
        """Whose turn it is. :raises IndexError: nobody waits."""
        self._taken += 1
        if self._bulk and (not self._human or self._taken % _TURN == 0):
            return self._bulk.popleft()
        return self._human.popleft()
