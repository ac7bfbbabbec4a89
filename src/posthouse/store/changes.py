"""What happened since N: index range scans, each bounded, none of which looks at what did not change.

``number`` is an item's name in its folder and the number of its creation; ``changed`` is the highest of its
groups' numbers; a tombstone's ``at`` is the number of the departure (docs/decisions/0004). Hidden items are
not seen here.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.model import Arrival, Gone, Item, Mark
from posthouse.store.rows import ITEM_COLUMNS, MARK_COLUMNS, item_of, padded
from posthouse.store.transaction import Transaction

__all__ = [
    "added_since",
    "changed_since",
    "count_between",
    "filling",
    "gone",
    "gone_since",
    "item_by_id",
    "item_by_number",
    "items",
    "leaving",
    "marks",
]


def items(tx: Transaction, folder_id: int, numbers: Sequence[int]) -> dict[int, Item]:
    """The items of a folder with these numbers; what is not there is left out."""
    found: dict[int, Item] = {}
    for places, portion in padded(numbers):
        for row in tx.execute(
            f"SELECT {ITEM_COLUMNS} FROM item WHERE folder_id = ? AND number IN ({places})",
            (folder_id, *portion),
        ):
            found[row[3]] = item_of(row)
    return found


def item_by_number(tx: Transaction, mailbox_id: int, number: int) -> Item | None:
    """The item that has this number now, in a folder that exists."""
    row = tx.one(
        f"SELECT {ITEM_COLUMNS} FROM item WHERE mailbox_id = ? AND number = ? "
        "AND folder_id NOT IN (SELECT id FROM folder WHERE deleted = 1)",
        (mailbox_id, number),
    )
    return item_of(row) if row else None


def item_by_id(tx: Transaction, item_id: int) -> Item | None:
    """The item with this row id, which it keeps when it is moved."""
    row = tx.one(
        f"SELECT {ITEM_COLUMNS} FROM item WHERE id = ? "
        "AND folder_id NOT IN (SELECT id FROM folder WHERE deleted = 1)",
        (item_id,),
    )
    return item_of(row) if row else None


def added_since(tx: Transaction, folder_id: int, since: int, limit: int) -> list[Mark]:
    """Items that came into the folder after ``since`` and are there, by number."""
    rows = tx.execute(
        f"SELECT {MARK_COLUMNS} FROM item WHERE folder_id = ? AND number > ? AND hidden = 0 "
        "ORDER BY number LIMIT ?",
        (folder_id, since, limit),
    )
    return [Mark(*row) for row in rows]


def changed_since(tx: Transaction, folder_id: int, since: int, limit: int) -> list[Mark]:
    """Items that changed after they came and after ``since``, by ``changed``."""
    rows = tx.execute(
        f"SELECT {MARK_COLUMNS} FROM item WHERE folder_id = ? AND changed > ? AND changed > number "
        "AND hidden = 0 ORDER BY changed LIMIT ?",
        (folder_id, since, limit),
    )
    return [Mark(*row) for row in rows]


def gone_since(tx: Transaction, folder_id: int, since: int, limit: int) -> list[Gone]:
    """Tombstones of what left the folder after ``since``, by ``at``."""
    rows = tx.execute(
        "SELECT number, at, received FROM gone WHERE folder_id = ? AND at > ? ORDER BY at LIMIT ?",
        (folder_id, since, limit),
    )
    return [Gone(*row) for row in rows]


def filling(tx: Transaction, folder_id: int, below: Arrival, floor: Arrival, limit: int) -> list[Mark]:
    """Items with ``floor <= arrival < below``, newest arrival first."""
    rows = tx.execute(
        f"SELECT {MARK_COLUMNS} FROM item WHERE folder_id = ? AND (received, number) < (?, ?) "
        "AND (received, number) >= (?, ?) AND hidden = 0 ORDER BY received DESC, number DESC LIMIT ?",
        (folder_id, below.received, below.number, floor.received, floor.number, limit),
    )
    return [Mark(*row) for row in rows]


def leaving(tx: Transaction, folder_id: int, start: Arrival, stop: Arrival, limit: int) -> list[Mark]:
    """Items with ``start <= arrival < stop``, oldest arrival first."""
    rows = tx.execute(
        f"SELECT {MARK_COLUMNS} FROM item WHERE folder_id = ? AND (received, number) >= (?, ?) "
        "AND (received, number) < (?, ?) AND hidden = 0 ORDER BY received, number LIMIT ?",
        (folder_id, start.received, start.number, stop.received, stop.number, limit),
    )
    return [Mark(*row) for row in rows]


def marks(tx: Transaction, folder_id: int, numbers: Sequence[int]) -> dict[int, Mark]:
    """The marks of these items of a folder; what is not there is left out."""
    found: dict[int, Mark] = {}
    for places, portion in padded(numbers):
        for row in tx.execute(
            f"SELECT {MARK_COLUMNS} FROM item WHERE folder_id = ? AND number IN ({places}) AND hidden = 0",
            (folder_id, *portion),
        ):
            found[row[0]] = Mark(*row)
    return found


def gone(tx: Transaction, folder_id: int, numbers: Sequence[int]) -> set[int]:
    """Which of these have a tombstone in the folder."""
    found: set[int] = set()
    for places, portion in padded(numbers):
        rows = tx.execute(
            f"SELECT number FROM gone WHERE folder_id = ? AND number IN ({places})", (folder_id, *portion)
        )
        found.update(row[0] for row in rows)
    return found


def count_between(tx: Transaction, folder_id: int, floor: Arrival, below: Arrival, cap: int) -> int:
    """How many items have ``floor <= arrival < below``, counted no further than ``cap``."""
    return int(
        tx.value(
            "SELECT count(*) FROM (SELECT 1 FROM item WHERE folder_id = ? AND (received, number) >= (?, ?) "
            "AND (received, number) < (?, ?) AND hidden = 0 LIMIT ?) AS counted",
            (folder_id, floor.received, floor.number, below.received, below.number, cap),
        )
    )
