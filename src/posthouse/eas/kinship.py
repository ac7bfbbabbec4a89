"""ConversationMode: older mail that belongs to a collection for the sake of its conversation (MS-ASCON 3.2.5.6).

With it a collection holds, beyond what the date filter lets in, all mail of the folder whose conversation has a
message inside the filter (MS-ASCMD R2107, R2110-R2112; MS-ASCON R232, R330). That membership is no date, so it is
kept as a set, and the set is bounded: the newest `MOST_KIN` of such messages.

``kin``
    What the device knows below the floor for the sake of its conversation.
``owed``
    What it has still to be told of that kind.
``ties``
    The cut-off for which both are complete; None while the mode is off.

When the filter's cut-off rises, and only then (R223, R228), what is left without any relative inside the filter is
soft-deleted (R233). Everything here is a step of `posthouse.eas.window.decide`. Bare numbers are MS-ASCON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from posthouse.eas.feed import Feed
from posthouse.eas.knowledge import BOTTOM
from posthouse.model import Arrival, Mark

#: Messages of this kind in one collection of one device.
MOST_KIN = 2000


class Draft(Protocol):
    """What is needed of the batch while it is being made."""

    conversations: bool
    kin: set[int]
    owed: set[int]
    ties: Arrival | None
    aside: set[int]
    fresh: list[int]
    late: list[int]

    def full(self) -> bool: ...
    def knows(self, number: int, arrival: Arrival) -> bool: ...
    def add(self, number: int) -> None: ...
    def soft_delete(self, number: int) -> None: ...


def related(draft: Draft, feed: Feed, numbers: Iterable[int], target: Arrival) -> frozenset[int]:
    """Which of these items below the cut-off belong all the same."""
    wanted = frozenset(numbers)
    if not draft.conversations or not wanted or target <= BOTTOM:
        return frozenset()
    return feed.alive(wanted, target)


def has_room(draft: Draft) -> bool:
    """Whether one more may be kept."""
    return len(draft.kin) + len(draft.owed) < MOST_KIN


def age(draft: Draft, feed: Feed, target: Arrival) -> None:
    """Take away what no longer belongs: the cut-off rose, or the mode was switched off."""
    if draft.conversations:
        if draft.ties is None or target <= draft.ties:
            return
        for number in sorted(draft.kin - related(draft, feed, draft.kin, target)):
            if draft.full():
                return
            draft.soft_delete(number)
        draft.ties = target
        return
    draft.owed.clear()
    if draft.kin:
        living = feed.marks(draft.kin)
        for number in sorted(draft.kin):
            mark = living.get(number)
            # What a wider filter lets in now stays: the fill is going to pass it.
            if mark is not None and mark.arrival < target:
                if draft.full():
                    return
                draft.soft_delete(number)
    draft.ties = None


def learn(draft: Draft, feed: Feed, target: Arrival) -> None:
    """What came into the filter brings its older relatives; what is told or not, none is forgotten."""
    if not draft.conversations or target <= BOTTOM:
        return
    found: Sequence[Mark]
    if draft.ties is None or target < draft.ties:
        found = feed.kindred(target, MOST_KIN)
        draft.ties = target
    else:
        found = feed.companions(draft.fresh, target, MOST_KIN) if draft.fresh else ()
        late = related(draft, feed, draft.late, target)
        if late:
            found = [*found, *feed.marks(late).values()]
    for mark in found:
        if not has_room(draft):
            return
        if mark.number not in draft.aside and not draft.knows(mark.number, mark.arrival):
            draft.owed.add(mark.number)


def tell(draft: Draft, feed: Feed, target: Arrival) -> None:
    """Add what is owed, the newest first."""
    if not draft.owed:
        return
    living = feed.marks(draft.owed)
    alive = related(draft, feed, living, target)
    for mark in sorted(living.values(), key=lambda mark: mark.arrival, reverse=True):
        number = mark.number
        belongs = number in alive and mark.arrival < target
        if belongs and number not in draft.aside and not draft.knows(number, mark.arrival):
            if draft.full():
                return
            draft.add(number)
            draft.kin.add(number)
        draft.owed.discard(number)
    draft.owed.clear()
