"""What is done when nobody waits: in small slices, each one write.

``housekeep`` does one slice of whatever is due and says how much; it is called until 0, now and then. What a
crash interrupted (a deleted folder that is not empty yet, an account half removed) goes on here.
"""

from __future__ import annotations

from posthouse.store import (
    absence,
    allowance,
    bodies,
    delivery,
    greetings,
    held,
    junk,
    outbox,
    search,
    transport,
)
from posthouse.store.accounts import delete_account
from posthouse.store.bulk import empty_deleted
from posthouse.store.transaction import Transaction

__all__ = ["TOMBSTONE_AGE", "housekeep"]

DAY = 24 * 3600 * 1000
#: ms after which a tombstone may go
TOMBSTONE_AGE = 60 * DAY
_TOMBSTONES = 400
# Pages given back to the file system at once (2 MB), and when it is worth it.
_VACUUM_PAGES = 250
_VACUUM_FROM = 2000


def housekeep(tx: Transaction, now: int) -> int:
    """One slice. :returns: about how many rows it changed; call it again until 0."""
    _note_age(tx, now)
    deleting = tx.value("SELECT id FROM account WHERE deleting = 1 LIMIT 1")
    if deleting is not None:
        delete_account(tx, deleting)
        return 1
    return (
        empty_deleted(tx)
        or bodies.sweep(tx, 100, now)
        or search.forget_words(tx, 20)
        or delivery.prune_recent(tx, now, 400)
        or outbox.prune(tx, now, 200)
        or held.prune_held(tx, now, 200)
        or absence.prune_answers(tx, now, 400)
        or allowance.prune(tx, now, 200)
        or transport.prune_transport(tx, now, 200)
        or greetings.prune(tx, now, 400)
        or junk.prune(tx, 400)
        or _prune_old_tombstones(tx, now)
        or _vacuum(tx)
    )


def _note_age(tx: Transaction, now: int) -> None:
    """Once a day: which tombstones there are. Saves each of them a time of its own and an index on it."""
    last = tx.value("SELECT max(at) FROM gone_age")
    if last is None or last <= now - DAY:
        tx.execute(
            "INSERT INTO gone_age (at, last) SELECT ?, coalesce(max(id), 0) FROM gone",
            (now,),
        )


def _prune_old_tombstones(tx: Transaction, now: int) -> int:
    before = tx.one(
        "SELECT at, last FROM gone_age WHERE at <= ? ORDER BY at DESC LIMIT 1",
        (now - TOMBSTONE_AGE,),
    )
    if before is None:
        return 0
    at, last = before
    count = _remove(
        tx,
        tx.execute(
            "SELECT id, folder_id, at FROM gone WHERE id <= ? ORDER BY id LIMIT ?", (last, _TOMBSTONES)
        ),
    )
    if not count:
        # Needed no more, but for the latest: it stands for "nothing before this is left".
        tx.execute("DELETE FROM gone_age WHERE at < ?", (at,))
    return count


def _remove(tx: Transaction, rows: list[tuple[int, int, int]]) -> int:
    highest: dict[int, int] = {}
    for _, folder_id, at in rows:
        highest[folder_id] = max(at, highest.get(folder_id, 0))
    for folder_id, at in highest.items():
        tx.execute(
            "UPDATE mailbox SET tombstone_horizon = ? "
            "WHERE id = (SELECT mailbox_id FROM folder WHERE id = ?) AND tombstone_horizon < ?",
            (at, folder_id, at),
        )
    tx.many("DELETE FROM gone WHERE id = ?", [(row[0],) for row in rows])
    return len(rows)


def _vacuum(tx: Transaction) -> int:
    free = tx.value("PRAGMA freelist_count")
    if free < _VACUUM_FROM or free * 5 < tx.value("PRAGMA page_count"):
        return 0
    tx.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
    return _VACUUM_PAGES
