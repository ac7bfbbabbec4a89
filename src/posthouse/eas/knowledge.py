"""What one device knows of one collection, and what its own commands do to that.

The state is small, and its size does not depend on the folder:

``high``, ``calm``
    Changes and removals up to ``high`` were told, or did not concern the device. ``calm`` is where ``high`` stood
    when nothing was left to tell: an item stands in the scan by its last change only, so while a backlog
    goes out in pieces its older groups are still measured from there.
``newest``
    Items with a number up to here were told, if they belonged; those above are still to come.
``floor``
    An arrival key. The device knows exactly the items at or above it whose number is at most ``newest``. The
    first fill lowers it (newest mail first) to the filter's cut-off; a rising cut-off raises it again.
``told``
    The device's own changes above ``calm``, which are no news to it.
``extra``
    Items beyond ``newest`` or below ``floor`` that the device knows all the same: it made them itself.
``gone``
    Items that the device itself removed, whose tombstones lie above ``high``.
``maybe``, ``lacking``, ``mine``
    What an answer that was never confirmed may have changed on the device: items it may hold, items it may
    have dropped, changes it had made under that key.
``aside``
    Items set aside as broken; the device does not have them.
``kin``, ``owed``, ``ties``
    Older mail that belongs to the collection for the sake of its conversation (`posthouse.eas.kinship`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from posthouse.model import Arrival, ChangeGroup, Mark

TOP = Arrival(2**62, 0)
"""Above every arrival key: the floor of a device that knows nothing yet."""
BOTTOM = Arrival(-(2**62), 0)
"""Below every arrival key: the cut-off of "no filter"."""

Groups = tuple[int, int, int, int]
NOTHING: Groups = (0, 0, 0, 0)


@frozen
class State:
    """What one device knows of one collection; see the module's text for the fields."""

    high: int = 0
    calm: int = 0
    newest: int = 0
    floor: Arrival = TOP
    told: Mapping[int, Groups] = field(factory=dict)
    extra: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    maybe: frozenset[int] = frozenset()
    lacking: frozenset[int] = frozenset()
    mine: Mapping[int, Groups] = field(factory=dict)
    aside: frozenset[int] = frozenset()
    kin: frozenset[int] = frozenset()
    owed: frozenset[int] = frozenset()
    ties: Arrival | None = None

    @classmethod
    def begin(cls, top: int) -> State:
        """A device that knows nothing, while the mailbox's counter stands at ``top``: all is left to the fill."""
        return cls(high=top, calm=top, newest=top)

    def to_json(self) -> dict[str, Any]:
        """A small JSON value; empty fields are left out."""
        out: dict[str, Any] = {
            "h": [self.high, self.calm, self.newest],
            "f": [self.floor.received, self.floor.number],
        }
        for key, mapping in (("t", self.told), ("w", self.mine)):
            if mapping:
                out[key] = {str(number): list(groups) for number, groups in mapping.items()}
        for key, numbers in (
            ("e", self.extra),
            ("g", self.gone),
            ("m", self.maybe),
            ("l", self.lacking),
            ("a", self.aside),
            ("k", self.kin),
            ("o", self.owed),
        ):
            if numbers:
                out[key] = sorted(numbers)
        if self.ties is not None:
            out["y"] = [self.ties.received, self.ties.number]
        return out

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> State:
        """The inverse of :meth:`to_json`."""

        def groups(key: str) -> dict[int, Groups]:
            return {int(number): (g[0], g[1], g[2], g[3]) for number, g in value.get(key, {}).items()}

        high, calm, newest = value["h"]
        received, number = value["f"]
        return cls(
            high=high,
            calm=calm,
            newest=newest,
            floor=Arrival(received, number),
            told=groups("t"),
            mine=groups("w"),
            extra=frozenset(value.get("e", ())),
            gone=frozenset(value.get("g", ())),
            maybe=frozenset(value.get("m", ())),
            lacking=frozenset(value.get("l", ())),
            aside=frozenset(value.get("a", ())),
            kin=frozenset(value.get("k", ())),
            owed=frozenset(value.get("o", ())),
            ties=Arrival(*value["y"]) if "y" in value else None,
        )


def numbers_of(mark: Mark) -> Groups:
    return (mark.read_no, mark.flag_no, mark.categories_no, mark.rest_no)


def in_conflict(state: State, mark: Mark, group: ChangeGroup) -> bool:
    """Did somebody else change this group since the key that the device speaks under (rule 11)?"""
    number = numbers_of(mark)[group]
    if number <= state.calm or mark.changed <= state.high or mark.number == number:
        return False
    return number not in (
        state.told.get(mark.number, NOTHING)[group],
        state.mine.get(mark.number, NOTHING)[group],
    )


def changed_here(state: State, before: Mark, group: ChangeGroup, number: int) -> State:
    """The device changed one group itself, and the change got this number.

    It is not told its own news, provided that the change before was known to it (rule 9).
    """
    noted = noted_here(state, before, group, number)
    return noted if in_conflict(state, before, group) else _told(noted, before.number, group, number)


def noted_here(state: State, before: Mark, group: ChangeGroup, number: int) -> State:
    """A change is the device's own: should the answer get lost, it is in no conflict with what the device says next."""
    return evolve(state, mine=_with(state.mine, before.number, group, number))


def agreed_here(state: State, mark: Mark, group: ChangeGroup) -> State:
    """The device asked for the value that the item has already: whoever set it, it is no news to this device."""
    return _told(state, mark.number, group, numbers_of(mark)[group])


def _told(state: State, item: int, group: ChangeGroup, number: int) -> State:
    if number <= state.calm:
        return state
    return evolve(state, told=_with(state.told, item, group, number))


def _with(numbers: Mapping[int, Groups], item: int, group: ChangeGroup, number: int) -> Mapping[int, Groups]:
    known = list(numbers.get(item, NOTHING))
    known[group] = number
    return {**numbers, item: (known[0], known[1], known[2], known[3])}


def _latest(*several: Mapping[int, Groups]) -> Mapping[int, Groups]:
    """All of them together; where they differ, the change that came last."""
    found: dict[int, Groups] = {}
    for numbers in several:
        for item, groups in numbers.items():
            a, b = found.get(item, NOTHING), groups
            found[item] = (max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    return found


def added_here(state: State, number: int, mark: Mark | None) -> State:
    """The device made this item itself.

    :param mark: None when somebody removed it before the device heard of its Add: then the tombstone is news.
    """
    if mark is not None and _passed(state, mark):
        return state
    return evolve(state, extra=state.extra | {number})


def holds(state: State, mark: Mark) -> bool:
    """Whether the device has been given this item, or made it and heard so."""
    return mark.number in state.extra or (_passed(state, mark) and mark.number not in state.aside)


def _passed(state: State, mark: Mark) -> bool:
    return mark.number <= state.newest and mark.arrival >= state.floor


def removed_here(state: State, number: int) -> State:
    """The device removed this item itself; its tombstone is no news."""
    return evolve(state, gone=state.gone | {number})


def set_aside(state: State, numbers: Iterable[int]) -> State:
    """These items could not be made readable for the device: it does not have them (rule 16)."""
    broken = frozenset(numbers)
    return evolve(state, aside=state.aside | broken, kin=state.kin - broken, owed=state.owed - broken)


def rolled_back(older: State, newer: State, carried: Iterable[int], dropped: Iterable[int]) -> State:
    """The device came back with the older key: the older state, and the doubts that the lost answer left.

    :param carried: items that the answer added (and those that were in doubt before it).
    :param dropped: items that it soft-deleted.
    """
    return evolve(
        older,
        maybe=older.maybe | frozenset(carried),
        lacking=older.lacking | frozenset(dropped),
        mine=_latest(older.mine, newer.mine, newer.told),
        aside=older.aside | newer.aside,
    )


def proved(state: State) -> State:
    """The device used the newer key: nothing that it changed under the older one is in doubt any more."""
    return evolve(state, mine={}) if state.mine else state
