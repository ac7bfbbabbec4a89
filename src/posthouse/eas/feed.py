"""What the synchronisation decision reads: the numbered changes of one folder, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from posthouse.model import Arrival, Gone, Mark


class Feed(Protocol):
    """Numbered changes of one folder, all read from one snapshot. Each scan is an index range scan."""

    def top(self) -> int:
        """The mailbox's counter in this snapshot."""

    def added(self, since: int, limit: int) -> Sequence[Mark]:
        """Living items with number > since, by number."""

    def changed(self, since: int, limit: int) -> Sequence[Mark]:
        """Living items with changed > since and changed > number, by changed."""

    def gone(self, since: int, limit: int) -> Sequence[Gone]:
        """Tombstones with at > since, by at."""

    def filling(self, below: Arrival, floor: Arrival, limit: int) -> Sequence[Mark]:
        """Living items with floor <= arrival < below, newest first."""

    def leaving(self, start: Arrival, stop: Arrival, limit: int) -> Sequence[Mark]:
        """Living items with start <= arrival < stop, oldest first."""

    def marks(self, numbers: Iterable[int]) -> Mapping[int, Mark]:
        """Those of the items that still live in this folder."""

    def count(self, floor: Arrival, below: Arrival, cap: int) -> int:
        """How many living items lie in floor <= arrival < below, at most cap."""

    def kindred(self, target: Arrival, limit: int) -> Sequence[Mark]:
        """Living items below target with one at or above it in their conversation, newest first."""

    def companions(self, numbers: Iterable[int], target: Arrival, limit: int) -> Sequence[Mark]:
        """Living items below target in the conversations of these, newest first."""

    def alive(self, numbers: Iterable[int], target: Arrival) -> frozenset[int]:
        """Those of the items that have one at or above target in their conversation."""
