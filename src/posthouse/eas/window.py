"""The synchronisation decision: what one device is told next about one collection.

``decide`` is a pure function of the state of that collection on that device, of numbered changes that a
``Feed`` reads from the store, and of the limits of the request. Sync, Ping and GetItemEstimate all ask it, so
a Ping never announces what a Sync will not deliver. The promise: nothing is lost, nothing is shown twice, for
any loss of requests and responses (MS-ASCMD 2.2.3.181.4, 3.1.5.3, 3.1.5.4).

What a device knows is a `posthouse.eas.knowledge.State`: a handful of numbers, whatever the size of the folder.

Changes and removals go before additions, so an item is always added as it stands, and one that came and went
between two requests is never mentioned.
"""

from __future__ import annotations

from attrs import evolve, frozen

from posthouse.eas import kinship
from posthouse.eas.feed import Feed
from posthouse.eas.knowledge import NOTHING, State, numbers_of
from posthouse.model import Arrival, ChangeGroup, Gone, Mark

#: Rows of one scan.
PAGE = 256


@frozen
class Batch:
    """What one answer carries. ``more``: there is more to say than the window holds (MoreAvailable)."""

    adds: tuple[int, ...] = ()
    changes: tuple[tuple[int, frozenset[ChangeGroup]], ...] = ()
    deletes: tuple[int, ...] = ()
    soft_deletes: tuple[int, ...] = ()
    more: bool = False

    @property
    def size(self) -> int:
        return len(self.adds) + len(self.changes) + len(self.deletes) + len(self.soft_deletes)


class _Draft:
    """The batch while it is being made: counts the room, remembers what was put where."""

    def __init__(self, state: State, room: int, conversations: bool = False) -> None:
        self.room = room
        self.conversations = conversations
        self.adds: list[int] = []
        self.changes: dict[int, frozenset[ChangeGroup]] = {}
        self.deletes: list[int] = []
        self.soft: list[int] = []
        self.more = False
        self.high = state.high
        self.calm = state.calm
        self.newest = state.newest
        self.floor = state.floor
        self.told = dict(state.told)
        self.extra = set(state.extra)
        self.gone = set(state.gone)
        self.maybe = set(state.maybe)
        self.lacking = set(state.lacking)
        self.aside = set(state.aside)
        self.kin = set(state.kin)
        self.owed = set(state.owed)
        self.ties = state.ties
        # With ConversationMode: what came into the folder, inside the filter and below it.
        self.fresh: list[int] = []
        self.late: list[int] = []

    def full(self) -> bool:
        """No room for another piece of news: then there is more."""
        if self.room <= 0:
            self.more = True
            return True
        return False

    def knows(self, number: int, arrival: Arrival) -> bool:
        """Does the device have it, as far as proved answers tell?"""
        if number in self.aside:
            return False
        return (number <= self.newest and arrival >= self.floor) or number in self.extra or number in self.kin

    def add(self, number: int) -> None:
        self.adds.append(number)
        self.room -= 1
        for doubt in (self.maybe, self.lacking, self.aside):
            doubt.discard(number)

    def delete(self, number: int) -> None:
        self.deletes.append(number)
        self._forget(number)

    def soft_delete(self, number: int) -> None:
        if self.changes.pop(number, None) is not None:
            self.room += 1  # what leaves needs no change
        self.soft.append(number)
        self._forget(number)

    def _forget(self, number: int) -> None:
        self.room -= 1
        self.told.pop(number, None)
        for known in (self.extra, self.maybe, self.lacking, self.kin, self.owed):
            known.discard(number)


def decide(
    state: State,
    feed: Feed,
    target: Arrival,
    window: int,
    again: frozenset[int] = frozenset(),
    *,
    fill: bool = True,
    conversations: bool = False,
) -> tuple[Batch, State]:
    """What to tell the device now, and what it will know when it has proved the answer.

    :param target: the filter's cut-off; items below it do not belong to the collection.
    :param window: at most so many commands.
    :param again: items once set aside that are offered again.
    :param fill: False leaves the first fill where it stands.
    :param conversations: ConversationMode, see `posthouse.eas.kinship`.
    """
    draft = _Draft(state, window, conversations)
    for step in (_settle_doubts, _tell_changes, _raise_floor, kinship.age, _tell_additions, _fill):
        if step is not _fill or fill:
            step(draft, feed, target)
        if draft.more:
            break
    kinship.learn(draft, feed, target)
    if not draft.more:
        kinship.tell(draft, feed, target)
    if not draft.more:
        _offer_again(draft, feed, target, again)
    following = evolve(
        state,
        high=draft.high,
        calm=draft.calm,
        newest=draft.newest,
        floor=draft.floor,
        told={number: groups for number, groups in draft.told.items() if max(groups) > draft.calm},
        extra=frozenset(draft.extra),
        gone=frozenset(draft.gone),
        maybe=frozenset(draft.maybe),
        lacking=frozenset(draft.lacking),
        aside=frozenset(draft.aside),
        kin=frozenset(draft.kin),
        owed=frozenset(draft.owed),
        ties=draft.ties,
    )
    batch = Batch(
        tuple(draft.adds),
        tuple(draft.changes.items()),
        tuple(draft.deletes),
        tuple(draft.soft),
        draft.more,
    )
    return batch, following


def _settle_doubts(draft: _Draft, feed: Feed, target: Arrival) -> None:
    """Rule 4: what a lost answer may have left on the device, or taken from it, is put right first."""
    doubtful = draft.maybe | draft.lacking | draft.extra
    if not doubtful:
        return
    living = feed.marks(doubtful)
    outside = [number for number, mark in living.items() if mark.arrival < target]
    related = kinship.related(draft, feed, outside, target)
    for number in sorted(doubtful):
        mark = living.get(number)
        if mark is None:
            if number in draft.extra:
                continue  # the tombstone tells
            if number in draft.maybe:
                if draft.full():
                    return
                draft.delete(number)
            draft.lacking.discard(number)
        elif mark.arrival < target:
            if mark.arrival >= draft.floor and draft.knows(number, mark.arrival):
                draft.maybe.discard(number)  # leaves when the floor rises
                if number not in related:
                    draft.lacking.discard(number)
                continue
            if number in related and (number in draft.kin or number in draft.owed or kinship.has_room(draft)):
                if number in draft.kin and number not in draft.lacking:
                    draft.maybe.discard(number)
                elif number in draft.extra and number not in draft.lacking:
                    draft.extra.discard(number)
                    draft.maybe.discard(number)
                    draft.kin.add(number)
                else:
                    # Told as an Add in its turn; until then it stays in doubt.
                    draft.kin.discard(number)
                    draft.extra.discard(number)
                    draft.owed.add(number)
                continue
            if draft.full():
                return
            draft.soft_delete(number)
        elif number in draft.lacking:
            if draft.full():
                return
            draft.add(number)
        elif draft.knows(number, mark.arrival):
            draft.maybe.discard(number)
        # Otherwise it is told as an Add in its turn.


def _tell_changes(draft: _Draft, feed: Feed, target: Arrival) -> None:
    """Two scans merged by number. ``high`` follows, and never passes a change that was not told."""
    while True:
        changed = feed.changed(draft.high, PAGE)
        gone = feed.gone(draft.high, PAGE)
        events: list[tuple[int, Mark | Gone]] = [(mark.changed, mark) for mark in changed]
        events += [(stone.at, stone) for stone in gone]
        events.sort(key=lambda event: event[0])
        # Beyond the end of a full page the other scan's rows may stand alone: go so far only.
        end = events[-1][0] if events else draft.high
        if len(changed) == PAGE:
            end = min(end, changed[-1].changed)
        if len(gone) == PAGE:
            end = min(end, gone[-1].at)
        for at, what in events:
            if at > end:
                break
            told = _tell_gone(draft, what) if isinstance(what, Gone) else _tell_change(draft, what)
            if not told:
                return
            draft.high = at
        if len(changed) < PAGE and len(gone) < PAGE:
            draft.high = draft.calm = max(draft.high, feed.top())
            draft.gone.clear()
            return


def _tell_change(draft: _Draft, mark: Mark) -> bool:
    number = mark.number
    if number in draft.adds:
        return True
    if number in draft.aside and number <= draft.newest and mark.arrival >= draft.floor:
        # A change is a new chance: the device gets the item as an Add (rule 16).
        if draft.full():
            return False
        draft.add(number)
        return True
    if not draft.knows(number, mark.arrival):
        return True
    told = draft.told.get(number, NOTHING)
    numbers = numbers_of(mark)
    groups = frozenset(
        group for group in ChangeGroup if numbers[group] > draft.calm and numbers[group] != told[group]
    )
    # A group that never changed carries the number of the item's creation.
    groups = frozenset(group for group in groups if numbers[group] != number)
    if not groups:
        return True
    if draft.full():
        return False
    draft.changes[number] = groups
    draft.room -= 1
    return True


def _tell_gone(draft: _Draft, stone: Gone) -> bool:
    number = stone.number
    if number in draft.deletes:
        return True
    if number in draft.gone or not draft.knows(number, stone.arrival):
        if number in draft.gone:
            draft.maybe.discard(number)  # the device says that it has it no more
        for known in (draft.gone, draft.extra, draft.lacking, draft.aside, draft.kin, draft.owed):
            known.discard(number)
        draft.told.pop(number, None)
        return True
    if draft.full():
        return False
    draft.delete(number)
    return True


def _raise_floor(draft: _Draft, feed: Feed, target: Arrival) -> None:
    """A cut-off that rose: soft-delete what fell out, and raise the floor only as far as that was said.

    Removals were told before: once the floor has passed an item, nobody knows that the device had it.
    """
    while draft.floor < target:
        page = feed.leaving(draft.floor, target, PAGE)
        related = kinship.related(draft, feed, [mark.number for mark in page], target)
        for mark in page:
            number = mark.number
            if number in related and draft.knows(number, mark.arrival) and kinship.has_room(draft):
                draft.extra.discard(number)
                # What a lost answer may have taken away is told anew.
                (draft.owed if number in draft.lacking else draft.kin).add(number)
            elif draft.knows(number, mark.arrival):
                if draft.full():
                    return
                draft.soft_delete(number)
            draft.aside.discard(number)
            draft.floor = Arrival(mark.received, number + 1)
        if len(page) < PAGE:
            draft.floor = target


def _tell_additions(draft: _Draft, feed: Feed, target: Arrival) -> None:
    """What is new. Below the floor it is a matter for the fill, which has not come so far yet."""
    while True:
        page = feed.added(draft.newest, PAGE)
        for mark in page:
            number = mark.number
            if number in draft.extra:
                if mark.arrival >= draft.floor:
                    draft.extra.discard(number)
            elif mark.arrival >= draft.floor and number not in draft.adds and number not in draft.aside:
                if draft.full():
                    return
                draft.add(number)
            draft.newest = number
            if draft.conversations:
                (draft.fresh if mark.arrival >= target else draft.late).append(number)
        if len(page) < PAGE:
            draft.newest = max(draft.newest, feed.top())
            return


def _fill(draft: _Draft, feed: Feed, target: Arrival) -> None:
    """The first fill, and the one after a widened filter: newest first, down to the cut-off (rule 12)."""
    while draft.floor > target:
        page = feed.filling(draft.floor, target, min(PAGE, max(draft.room, 0) + 1))
        if not page:
            draft.floor = target
            return
        for mark in page:
            number = mark.number
            if number in draft.extra or number in draft.kin:
                draft.extra.discard(number)
                draft.kin.discard(number)
            elif number not in draft.aside and number not in draft.adds:
                if draft.full():
                    return
                draft.add(number)
            draft.floor = mark.arrival


def _offer_again(draft: _Draft, feed: Feed, target: Arrival, again: frozenset[int]) -> None:
    """Rule 16: an item set aside gets another chance, when nothing else is to be said."""
    offered = again & draft.aside
    if not offered:
        return
    living = feed.marks(offered)
    for number in sorted(offered):
        mark = living.get(number)
        if mark is None or mark.arrival < target:
            draft.aside.discard(number)
            continue
        if draft.full():
            return
        draft.add(number)


def is_news(
    state: State,
    feed: Feed,
    target: Arrival,
    again: frozenset[int] = frozenset(),
    conversations: bool = False,
) -> bool:
    """Would a Sync deliver anything? The question of Ping and of a hanging Sync.

    A cut-off that rose is no reason to wake a device (MS-ASCMD R5598): the floor is not raised here.
    """
    batch, _ = decide(state, feed, min(target, state.floor), 1, again, conversations=conversations)
    return batch.size > 0


def estimate(state: State, feed: Feed, target: Arrival, cap: int, conversations: bool = False) -> int:
    """How many commands the Syncs to come will carry, at most ``cap`` (GetItemEstimate)."""
    counted = 0
    while counted < cap:
        # Everything before the fill is counted by the decision itself, the fill by the index.
        batch, state = decide(state, feed, target, PAGE, fill=False, conversations=conversations)
        counted += batch.size
        if not batch.more:
            break
    if counted < cap and state.floor > target:
        filling = feed.count(target, state.floor, cap)
        counted += max(0, filling - len(state.extra) - len(state.aside))
    return min(counted, cap)
