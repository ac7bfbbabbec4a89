"""Work on many rows, in slices: no function changes more than 1,000 rows or 2 MB, or all writers stop.

A function of this kind does a part and says whether more is left (or how many it did); ``until_done`` calls
it until nothing is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from posthouse.errors import NoSuchFolder
from posthouse.model import Folder
from posthouse.store.folders import folder_by_id
from posthouse.store.items import forget_text, loosen
from posthouse.store.numbers import next_number
from posthouse.store.transaction import Transaction

__all__ = ["empty_deleted", "empty_folder", "remove_items", "until_done"]

#: items in one slice; each means about five rows
SLICE = 180


class _Writes(Protocol):
    def write(self, function: Callable[[Transaction], int]) -> Deferred[int]: ...


async def until_done(db: _Writes, function: Callable[[Transaction], int]) -> int:
    """Write ``function`` again and again until it returns 0 or False.

    :returns: the sum of what it returned.
    """
    total = 0
    while done := await db.write(function):
        total += done
    return total


def empty_folder(tx: Transaction, folder: Folder, origin: int = 0, limit: int = SLICE) -> int:
    """Delete items of a folder for good, oldest number first, with tombstones; hidden ones stay.

    :returns: how many; call it again until 0. :raises NoSuchFolder: it is gone.
    """
    if folder_by_id(tx, folder.id) is None:
        raise NoSuchFolder
    rows = tx.execute(
        "SELECT id, number, received, read, body_id, size FROM item WHERE folder_id = ? AND hidden = 0 "
        "ORDER BY number LIMIT ?",
        (folder.id, limit),
    )
    if not rows:
        return 0
    at = next_number(tx, folder.mailbox_id, len(rows))
    tx.many(
        "INSERT INTO gone (folder_id, number, at, received, gone_by) VALUES (?, ?, ?, ?, ?)",
        [(folder.id, row[1], at + offset, row[2], origin) for offset, row in enumerate(rows)],
    )
    _remove(tx, rows)
    tx.execute(
        "UPDATE folder SET total = total - ?, unread = unread - ? WHERE id = ?",
        (len(rows), sum(1 for row in rows if not row[3]), folder.id),
    )
    tx.execute(
        "UPDATE mailbox SET size = size - ? WHERE id = ?", (sum(row[5] for row in rows), folder.mailbox_id)
    )
    tx.news(folder.mailbox_id, folder.id, at + len(rows) - 1)
    return len(rows)


def _remove(tx: Transaction, rows: list[tuple[int, ...]]) -> None:
    """Rows of (id, number, received, read, body, size)."""
    ids = [row[0] for row in rows]
    forget_text(tx, ids)
    loosen(tx, [row[4] for row in rows])
    tx.many("DELETE FROM item WHERE id = ?", [(item_id,) for item_id in ids])


def remove_items(tx: Transaction, mailbox_id: int, limit: int = SLICE) -> int:
    """Remove items of a mailbox that goes altogether: no numbers, no tombstones. :returns: how many."""
    rows = tx.execute(
        "SELECT id, number, received, read, body_id, size FROM item WHERE mailbox_id = ? LIMIT ?",
        (mailbox_id, limit),
    )
    _remove(tx, rows)
    return len(rows)


def empty_deleted(tx: Transaction, limit: int = SLICE) -> int:
    """Remove what deleted folders still hold, and then their rows. Nobody sees it, so it takes no numbers.

    :returns: how many rows; call it again until 0.
    """
    row = tx.one("SELECT id, mailbox_id FROM folder WHERE deleted = 1 LIMIT 1")
    if row is None:
        return 0
    folder_id, mailbox_id = row
    rows = tx.execute(
        "SELECT id, number, received, read, body_id, size FROM item WHERE folder_id = ? LIMIT ?",
        (folder_id, limit),
    )
    if rows:
        _remove(tx, rows)
        tx.execute(
            "UPDATE mailbox SET size = size - ? WHERE id = ?", (sum(row[5] for row in rows), mailbox_id)
        )
        return len(rows)
    tx.execute(
        "DELETE FROM gone WHERE id IN (SELECT id FROM gone WHERE folder_id = ? LIMIT 900)", (folder_id,)
    )
    if tx.rowcount > 0:
        return int(tx.rowcount)
    tx.execute("DELETE FROM device_aside WHERE folder_id = ?", (folder_id,))
    tx.execute("DELETE FROM folder WHERE id = ?", (folder_id,))
    return 1
