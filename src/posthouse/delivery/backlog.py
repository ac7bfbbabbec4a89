"""What the runner has read of the queue, and from where it reads on.

Promise: a row that waits is read once, however long it waits for its lane and however many wait with it: what a
look costs follows from what is new. Rows come in the order of their time; what was queued since the last look is
found by its number, though its time may lie before that of what was read already. ``again`` makes the next look
begin at the front: for what was made due by hand, what an attempt could not even take, and now and then in case
something was not heard of. What is in hand is never given out twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen

from posthouse.model import OutboxRow
from posthouse.store import outbox
from posthouse.store.outbox import BULK, HUMAN

__all__ = ["Backlog", "Look"]

_FRONT = (-(1 << 62), 0)
_ANEW = 600_000  # ms after which everything is read again


@frozen
class Look:
    """What one read found. ``more``: there is more, and room for it. ``next``: when the next row is due, ms."""

    rows: tuple[OutboxRow, ...]
    at: dict[int, tuple[int, int]]
    seen: int
    more: bool
    next: int | None


@define(eq=False)
class Backlog:
    """Pure bookkeeping of the reactor's thread; the function that :meth:`ask` gives runs in another.

    :param page: rows read at a time, of each priority. :param most: rows of one priority in hand, beyond which
        only what is newly queued is read; and that up to twice as many.
    """

    page: int = 500
    most: int = 10_000
    _at: dict[int, tuple[int, int]] = field(
        factory=dict, init=False
    )  # priority -> (due, id) of the last read
    _seen: int | None = field(default=None, init=False)  # the highest id at the last look
    _began: int = field(default=-_ANEW, init=False)
    _known: dict[int, int] = field(factory=dict, init=False)  # row in hand -> priority
    _counts: dict[int, int] = field(factory=lambda: {HUMAN: 0, BULK: 0}, init=False)

    def __len__(self) -> int:
        return len(self._known)

    def again(self) -> None:
        """Begin at the front next time."""
        self._seen = None

    def ask(self, now: int) -> Callable[[Any], Look]:
        """What is to be read now, as a function of a transaction."""
        if not 0 <= now - self._began < _ANEW:  # or the clock was put back
            self.again()
        anew = self._seen is None
        at = {one: _FRONT if anew else self._at[one] for one in (HUMAN, BULK)}
        seen, self._seen = self._seen, -1 if anew else self._seen
        if anew:
            self._at, self._began = dict(at), now
        rooms = [one for one, count in self._counts.items() if count < self.most]
        hears = len(self._known) < 4 * self.most
        page = self.page

        def look(tx: Any) -> Look:
            highest = outbox.last_id(tx)
            rows: list[OutboxRow] = []
            more, reached = False, highest
            if seen is not None and not hears:
                reached = seen
            elif seen is not None:
                found, passed = outbox.queued_since(tx, seen, now, page)
                rows += found
                if passed is not None:
                    more, reached = True, passed
            coming = []
            for one in rooms:
                found = outbox.due_after(tx, one, at[one], now, page)
                rows += found
                if found:
                    at[one] = (found[-1].due, found[-1].id)
                if len(found) == page:
                    more = True
                else:
                    coming.append(outbox.next_after(tx, one, at[one]))
            following = min((one for one in coming if one is not None), default=None)
            return Look(tuple(rows), at, reached, more, following)

        return look

    def take(self, look: Look) -> Sequence[OutboxRow]:
        """The rows of a look that nobody has in hand; they are from now on."""
        if self._seen is not None:  # otherwise somebody wants it all anew
            self._at, self._seen = look.at, look.seen
        fresh = []
        for row in look.rows:
            if row.id not in self._known:
                self._known[row.id] = row.priority
                self._counts[row.priority] = self._counts.get(row.priority, 0) + 1
                fresh.append(row)
        return fresh

    def drop(self, rows: Sequence[OutboxRow]) -> None:
        """They are in hand no more."""
        for row in rows:
            priority = self._known.pop(row.id, None)
            if priority is not None:
                self._counts[priority] -= 1

    def clear(self) -> None:
        """Nothing is in hand."""
        self._known.clear()
        self._counts = {HUMAN: 0, BULK: 0}
        self.again()
