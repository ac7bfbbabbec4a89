"""The folder hierarchy as one device knows it.

Promise: a pure decision over a small state, with the rules of item synchronisation: two generations of
keys, an older key rolls back and is evaluated anew, nothing unsent is passed over, and a device's own
changes are not told to it again. Implements MS-ASCMD 2.2.1.3 to 2.2.1.6 with 2.2.3.181.4 (keys); R4569,
R2066-2069.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from attrs import evolve, field, frozen

from posthouse.errors import BadSyncKey
from posthouse.model import Folder, FolderType
from posthouse.store import devices, folders, numbers
from posthouse.store.devices import StateRow
from posthouse.store.transaction import Transaction

#: The collection name under which the state lies.
COLLECTION = "F"

#: After so long an unchanged state is written again, so that its number stays above the horizon below which
#: tombstones are swept (60 days).
_REFRESH = 24 * 3600 * 1000

#: Folder changes looked at in one answer. Exchange allows 1,000 folders in a mailbox.
_MOST = 100_000


@frozen
class HierarchyState:
    """One generation.

    :ivar high: every change up to this number is known to the device, or one of ``own``.
    :ivar own: folder -> the change that the device itself made to it; told to nobody else than others.
    :ivar gone: folders that the device itself deleted.
    :ivar told: the highest number that was ever answered, proved or not: what the device may hold.
    :ivar at: when it was written, in milliseconds.
    """

    high: int = 0
    own: Mapping[int, int] = field(factory=dict)
    gone: frozenset[int] = frozenset()
    told: int = 0
    at: int = 0

    def dump(self) -> bytes:
        """For the store."""
        value = {
            "high": self.high,
            "own": {str(number): change for number, change in self.own.items()},
            "gone": sorted(self.gone),
            "told": self.told,
            "at": self.at,
        }
        return json.dumps(value, separators=(",", ":")).encode()

    @classmethod
    def load(cls, data: bytes) -> HierarchyState:
        """What `dump` wrote."""
        value = json.loads(data)
        return cls(
            high=value["high"],
            own={int(number): change for number, change in value["own"].items()},
            gone=frozenset(value["gone"]),
            told=value["told"],
            at=value["at"],
        )


@frozen
class Delta:
    """What to tell a device."""

    added: tuple[Folder, ...] = ()
    updated: tuple[Folder, ...] = ()
    deleted: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return len(self.added) + len(self.updated) + len(self.deleted)


def difference(
    state: HierarchyState, changed: Iterable[Folder], gone: Iterable[tuple[int, int]], told: int
) -> Delta:
    """What happened since ``state``.

    :param changed: folders changed after ``state.high``. :param gone: (number, at) of those deleted after it.
    :param told: the highest number that the device may hold through answers that it did not prove.
    """
    added: list[Folder] = []
    updated: list[Folder] = []
    for folder in changed:
        if folder.hidden or state.own.get(folder.number) == folder.changed:
            continue
        known = folder.number <= state.high or folder.number in state.own
        (updated if known else added).append(folder)
    deleted = [
        number
        for number, _ in gone
        if number not in state.gone and (number <= max(state.high, told) or number in state.own)
    ]
    return Delta(_parents_first(added), tuple(updated), tuple(deleted))


def _parents_first(added: Sequence[Folder]) -> tuple[Folder, ...]:
    """Android refuses a child whose parent it has not seen."""
    waiting = {folder.number: folder for folder in added}
    ordered: list[Folder] = []
    for folder in added:
        chain: list[Folder] = []
        number = folder.number
        while number in waiting:
            chain.append(waiting.pop(number))
            number = chain[-1].parent
        ordered.extend(reversed(chain))
    return tuple(ordered)


def visible(folder: Folder) -> bool:
    """Whether devices may do something with this folder; the recipient information cache is only looked at."""
    return not folder.hidden and folder.type != FolderType.RECIPIENT_CACHE


def load(tx: Transaction, device_row: int) -> StateRow | None:
    """Both generations, as stored."""
    return devices.load_state(tx, device_row, COLLECTION)


def proved(row: StateRow | None, key: str) -> HierarchyState:
    """The generation that a key names.

    :raises BadSyncKey: neither of the two.
    """
    if row is not None and key:
        if key == row.new_key:
            return HierarchyState.load(row.new)
        if key == row.old_key:
            # What the unproved answer carried may have arrived: rule of the rollback.
            told = HierarchyState.load(row.new).told
            state = HierarchyState.load(row.old)
            return evolve(state, told=max(told, state.told))
    raise BadSyncKey(cause="neither the last key of the hierarchy nor the one before")


def _of_another(tx: Transaction, device_row: int, key: str) -> HierarchyState:
    """The generation that a key names on another device of the same account.

    Outlook may come with another DeviceId after each start, and Microsoft's own test of R5024 takes a key from
    one device to another: the key says what of this very mailbox is known, whoever knows it.

    :raises BadSyncKey: no device of the account has that key.
    """
    device = devices.device_by_id(tx, device_row)
    for other in devices.devices(tx, device.account_id) if device is not None else ():
        if other.id != device_row:
            with suppress(BadSyncKey):
                return proved(load(tx, other.id), key)
    raise BadSyncKey(cause="neither the last key of the hierarchy nor the one before")


def save(
    tx: Transaction,
    device_row: int,
    base: tuple[str, HierarchyState],
    following: tuple[str, HierarchyState],
    now: int,
) -> None:
    """Keep the generation that the client proved, and the one that is about to be answered."""
    devices.save_state(
        tx,
        device_row,
        COLLECTION,
        base[0],
        base[1].dump() if base[0] else b"",
        following[0],
        following[1].dump(),
        now,
    )


@frozen
class Answered:
    """The outcome of a FolderSync."""

    key: str
    delta: Delta
    first: bool = False


def synchronise(
    tx: Transaction,
    mailbox_id: int,
    device_row: int,
    key: str,
    fresh: str,
    now: int,
    *,
    recipient_cache: bool = False,
) -> Answered:
    """Decide a FolderSync and keep its state, in one writing transaction.

    :param key: of the request, "0" for the first. :param fresh: the key for the next generation.
    :param recipient_cache: whether the recipient information cache is listed: from 14.0 on (R4685).
    :raises BadSyncKey: unknown key, or a device below the tombstone horizon.
    """
    top = numbers.top_number(tx, mailbox_id)
    if key == "0":
        listed = [
            folder
            for folder in folders.list_folders(tx, mailbox_id)
            if visible(folder) or (recipient_cache and folder.type == FolderType.RECIPIENT_CACHE)
        ]
        state = HierarchyState(high=top, told=top, at=now)
        # Collection states stay: Gmail asks with key 0 after each update of the app and would fetch all anew.
        save(tx, device_row, ("", HierarchyState()), (fresh, state), now)
        return Answered(fresh, Delta(added=_parents_first(listed)), first=True)
    row = load(tx, device_row)
    try:
        state = proved(row, key)
    except BadSyncKey:
        row, state = None, _of_another(tx, device_row, key)
    if state.high < folders.folder_horizon(tx, mailbox_id):
        raise BadSyncKey(cause="the device was away for longer than tombstones are kept")
    changed, gone = folders.folder_changes(tx, mailbox_id, state.high, _MOST)
    delta = difference(state, [folder for folder in changed if visible(folder)], gone, state.told)
    following = HierarchyState(high=top, told=max(top, state.told), at=now)
    if row is not None and not delta.count and key == row.new_key:
        # Nothing to say: the key stays. The number moves on now and then, or when exceptions can be
        # forgotten.
        if now - state.at > _REFRESH or state.own or state.gone:
            old = HierarchyState.load(row.old) if row.old_key else HierarchyState()
            save(tx, device_row, (row.old_key, old), (key, following), now)
        return Answered(key, delta)
    save(tx, device_row, (key, state), (fresh, following), now)
    return Answered(fresh, delta)


def changed_by_device(
    tx: Transaction,
    device_row: int,
    key: str,
    state: HierarchyState,
    fresh: str,
    now: int,
    *,
    folder: Folder | None = None,
    deleted: int = 0,
) -> None:
    """Keep a change that the device made under ``key``: the high-water number stays where it was (R4569)."""
    own = dict(state.own)
    gone = state.gone
    told = state.told
    if folder is not None:
        own[folder.number] = folder.changed
        told = max(told, folder.number)
    if deleted:
        gone = gone | {deleted}
    following = evolve(state, own=own, gone=gone, told=told, at=now)
    save(tx, device_row, (key, state), (fresh, following), now)


def standing(tx: Transaction, mailbox_id: int, device_row: int) -> str:
    """How a device stands to the hierarchy: "never" asked for it, "stale", or "current" (for Ping: R4257)."""
    row = load(tx, device_row)
    if row is None or not row.new_key:
        return "never"
    state = HierarchyState.load(row.new)
    changed, gone = folders.folder_changes(tx, mailbox_id, state.high, _MOST)
    if not changed and not gone:
        return "current"
    delta = difference(state, [folder for folder in changed if visible(folder)], gone, state.told)
    return "stale" if delta.count else "current"
