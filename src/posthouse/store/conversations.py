"""Conversations as a whole: moved once, and from then on for ever (MS-ASCON 3.2.5.3).

Promise: a rule for a conversation is one row; a mailbox without rules pays nothing for them at a delivery. What
is moved is moved as every other item: with a number, a tombstone and news. Sent mail stays where it is
(MS-ASCON R130, R213), and so do drafts, which nobody has sent yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.model import Arrival, Folder, FolderType, Mark
from posthouse.store.changes import item_by_number
from posthouse.store.folders import folder_by_id
from posthouse.store.items import move_item
from posthouse.store.rows import MARK_COLUMNS, padded
from posthouse.store.transaction import Transaction

__all__ = ["MOST_RULES", "alive", "companions", "exists", "follow", "gather", "keep_rule", "kindred"]

#: rules of one mailbox; the oldest give way
MOST_RULES = 1000
#: items moved in one transaction; each means about eight rows
SLICE = 100


def exists(tx: Transaction, mailbox_id: int, conversation: bytes) -> bool:
    """Whether there is any mail of it."""
    return (
        tx.one(
            "SELECT 1 FROM item WHERE mailbox_id = ? AND conversation = ? AND hidden = 0 "
            "AND folder_id NOT IN (SELECT id FROM folder WHERE deleted = 1) LIMIT 1",
            (mailbox_id, conversation),
        )
        is not None
    )


def gather(tx: Transaction, conversation: bytes, to: Folder, limit: int = SLICE, origin: int = 0) -> int:
    """Move mail of a conversation into a folder. :returns: how many; call it again until 0.

    :raises NoSuchFolder: the folder is gone.
    """
    rows = tx.execute(
        "SELECT i.number FROM item i JOIN folder f ON f.id = i.folder_id WHERE i.mailbox_id = ? "
        "AND i.conversation = ? AND i.folder_id <> ? AND i.hidden = 0 AND i.draft = 0 AND f.type <> ? "
        "AND f.deleted = 0 LIMIT ?",
        (to.mailbox_id, conversation, to.id, int(FolderType.SENT), limit),
    )
    for (number,) in rows:
        item = item_by_number(tx, to.mailbox_id, number)
        if item is not None:
            move_item(tx, item, to, origin)
    return len(rows)


def keep_rule(tx: Transaction, conversation: bytes, to: Folder, now: int) -> None:
    """From now on mail of this conversation goes into that folder; into the Inbox it goes without any rule."""
    mailbox_id = to.mailbox_id
    if to.type == FolderType.INBOX:
        tx.execute(
            "DELETE FROM conversation_rule WHERE mailbox_id = ? AND conversation = ?",
            (mailbox_id, conversation),
        )
    else:
        tx.execute(
            "INSERT INTO conversation_rule (mailbox_id, conversation, folder_id, created) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (mailbox_id, conversation) DO UPDATE SET folder_id = excluded.folder_id, "
            "created = excluded.created",
            (mailbox_id, conversation, to.id, now),
        )
        tx.execute(
            "DELETE FROM conversation_rule WHERE mailbox_id = ? AND conversation IN (SELECT conversation "
            "FROM conversation_rule WHERE mailbox_id = ? ORDER BY created DESC, conversation LIMIT 10 OFFSET ?)",
            (mailbox_id, mailbox_id, MOST_RULES),
        )
    _count(tx, mailbox_id)


def _count(tx: Transaction, mailbox_id: int) -> None:
    tx.execute(
        "UPDATE mailbox SET conversation_rules = "
        "(SELECT count(*) FROM conversation_rule WHERE mailbox_id = ?) WHERE id = ?",
        (mailbox_id, mailbox_id),
    )


def follow(tx: Transaction, mailbox_id: int, number: int) -> int:
    """Move an item that just came where its conversation goes. :returns: its number, a new one if it was moved."""
    row = tx.one(
        "SELECT r.folder_id, r.conversation FROM item i JOIN conversation_rule r "
        "ON r.mailbox_id = i.mailbox_id AND r.conversation = i.conversation "
        "WHERE i.mailbox_id = ? AND i.number = ?",
        (mailbox_id, number),
    )
    if row is None:
        return number
    folder = folder_by_id(tx, row[0])
    item = item_by_number(tx, mailbox_id, number)
    if folder is None or item is None:
        # Its folder was deleted, and the rule with it.
        tx.execute(
            "DELETE FROM conversation_rule WHERE mailbox_id = ? AND conversation = ?", (mailbox_id, row[1])
        )
        _count(tx, mailbox_id)
        return number
    return move_item(tx, item, folder, learn=False)


# What a folder holds of a conversation (ConversationMode)


def kindred(tx: Transaction, mailbox_id: int, folder_id: int, target: Arrival, limit: int) -> list[Mark]:
    """Items of a folder below ``target`` with one at or above it in their conversation, newest arrival first."""
    inside = (
        "SELECT DISTINCT n.conversation FROM item n WHERE n.folder_id = ? AND n.hidden = 0 "
        "AND (n.received, n.number) >= (?, ?)"
    )
    return _below(tx, inside, (folder_id, *_pair(target)), mailbox_id, folder_id, target, limit)


def companions(
    tx: Transaction, mailbox_id: int, folder_id: int, numbers: Sequence[int], target: Arrival, limit: int
) -> list[Mark]:
    """Items of a folder below ``target`` in the conversations of these."""
    found: dict[int, Mark] = {}
    for places, portion in padded(numbers):
        named = (
            "SELECT DISTINCT n.conversation FROM item n WHERE n.folder_id = ? AND n.number IN "
            f"({places}) AND n.hidden = 0"
        )
        marks = _below(tx, named, (folder_id, *portion), mailbox_id, folder_id, target, limit)
        found.update((mark.number, mark) for mark in marks)
    return list(found.values())


def _below(
    tx: Transaction,
    conversations: str,
    params: Sequence[int],
    mailbox_id: int,
    folder_id: int,
    target: Arrival,
    limit: int,
) -> list[Mark]:
    # CROSS JOIN: first the conversations, which are few, then the mail of each by its index; without any
    # statistics SQLite would rather look at all older mail of the folder.
    columns = ", ".join(f"o.{name.strip()}" for name in MARK_COLUMNS.split(","))
    rows = tx.execute(
        f"SELECT {columns} FROM ({conversations}) c CROSS JOIN item o WHERE o.mailbox_id = ? "
        "AND o.conversation = c.conversation AND o.folder_id = ? AND (o.received, o.number) < (?, ?) "
        "AND o.hidden = 0 ORDER BY o.received DESC, o.number DESC LIMIT ?",
        (*params, mailbox_id, folder_id, *_pair(target), limit),
    )
    return [Mark(*row) for row in rows]


def alive(
    tx: Transaction, mailbox_id: int, folder_id: int, numbers: Sequence[int], target: Arrival
) -> list[int]:
    """Those of the items of a folder that have one at or above ``target`` in their conversation there."""
    found: list[int] = []
    for places, portion in padded(numbers):
        rows = tx.execute(
            f"SELECT i.number FROM item i WHERE i.folder_id = ? AND i.number IN ({places}) AND EXISTS "
            "(SELECT 1 FROM item n WHERE n.mailbox_id = ? AND n.conversation = i.conversation "
            "AND n.folder_id = ? AND (n.received, n.number) >= (?, ?) AND n.hidden = 0)",
            (folder_id, *portion, mailbox_id, folder_id, *_pair(target)),
        )
        found += [row[0] for row in rows]
    return found


def _pair(arrival: Arrival) -> tuple[int, int]:
    return arrival.received, arrival.number
