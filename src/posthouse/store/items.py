"""Items: everything that changes one, and its number.

The promise: every visible change takes a fresh number of the mailbox and leaves its trace in the same
transaction; a write that changes nothing takes none. An item's number is its name in one folder for ever: a
move gives a new one, leaves a tombstone behind, and keeps body, row id and time of arrival.

``origin`` is the row id of the device that asked, 0 for none; it is kept with the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posthouse.errors import NoSuchFolder, NoSuchItem, NotPermitted
from posthouse.model import Flag, Folder, Item, ItemDraft
from posthouse.store import junk
from posthouse.store.changes import (
    added_since,
    changed_since,
    count_between,
    filling,
    gone,
    gone_since,
    item_by_id,
    item_by_number,
    items,
    leaving,
    marks,
)
from posthouse.store.dialect import clean
from posthouse.store.numbers import LAST_NUMBER, next_number, no_number, tombstone_horizon, top_number
from posthouse.store.rows import categories_json, draft_columns, flag_json
from posthouse.store.threads import join_thread
from posthouse.store.transaction import Transaction

__all__ = [
    "add_item",
    "added_since",
    "changed_since",
    "count_between",
    "count_in",
    "delete_item",
    "filling",
    "fresh_draft",
    "gone",
    "gone_since",
    "insert_item",
    "item_by_id",
    "item_by_number",
    "items",
    "leaving",
    "marks",
    "move_item",
    "replace_item",
    "set_categories",
    "set_flag",
    "set_read",
    "set_verb",
    "tombstone_horizon",
    "top_number",
    "touch_rest",
]

_INSERT = (
    "INSERT INTO item (mailbox_id, folder_id, number, changed, read_no, flag_no, categories_no, rest_no, "
    "received, hidden, read, body_id, size, uid, created_by, read_by, flag_by, categories_by, rest_by, "
    "message_class, subject, topic, sender, sender_address, recipients, cc, bcc, reply_to, sent, message_id, "
    "importance, preview, flag, categories, draft, has_attachments, attachments, structure, conversation, "
    f"conversation_index, trace, sent_by) VALUES ({','.join('?' * 42)})"
)


def _take_number(tx: Transaction, mailbox_id: int, size: int) -> int:
    """A fresh number, and the mailbox ``size`` bytes larger."""
    number = tx.value(
        "UPDATE mailbox SET counter = counter + 1, size = size + ? WHERE id = ? AND counter < ? "
        "RETURNING counter",
        (size, mailbox_id, LAST_NUMBER),
    )
    if number is None:
        raise no_number(tx, mailbox_id)
    return int(number)


def count_in(tx: Transaction, folder_id: int, visible: int, unread: int) -> int:
    """One more item in a folder. :returns: its IMAP uid there. :raises NoSuchFolder: the folder is gone."""
    tx.execute(
        "UPDATE folder SET uid_next = uid_next + 1, total = total + ?, unread = unread + ? "
        "WHERE id = ? AND deleted = 0",
        (visible, unread, folder_id),
    )
    if tx.rowcount <= 0:
        raise NoSuchFolder
    return int(tx.value("SELECT uid_next FROM folder WHERE id = ?", (folder_id,))) - 1


def add_item(
    tx: Transaction, folder: Folder, draft: ItemDraft, body_id: int, now: int, origin: int = 0
) -> int:
    """Put a new item into a folder.

    :returns: its number, which is also the number of each of its groups.
    :raises NoSuchFolder: the folder is gone. :raises NoSuchAccount: the mailbox is.
    """
    visible = 0 if draft.hidden else 1
    uid = count_in(tx, folder.id, visible, 0 if draft.read else visible)
    return insert_item(
        tx, folder.mailbox_id, folder.id, uid, draft, draft_columns(draft), draft.trace, body_id,
        read=draft.read, origin=origin,
    )  # fmt: skip


def fresh_draft(tx: Transaction, folder_id: int, message_id: str, size: int) -> int:
    """The draft with that Message-ID and size that nobody wrote anew since it was made; 0 for none."""
    found = tx.value(
        "SELECT number FROM item WHERE folder_id = ? AND draft = 1 AND message_id = ? AND size = ? "
        "AND rest_no = number LIMIT 1",
        (folder_id, clean(message_id), size),
    )
    return int(found or 0)


def insert_item(
    tx: Transaction,
    mailbox_id: int,
    folder_id: int,
    uid: int,
    draft: ItemDraft,
    columns: tuple[Any, ...],
    trace: bytes,
    body_id: int,
    *,
    read: bool,
    origin: int = 0,
) -> int:
    """The part of ``add_item`` after the folder was counted; ``columns`` are ``draft_columns(draft)``."""
    number = _take_number(tx, mailbox_id, draft.size)
    conversation, index = join_thread(
        tx, mailbox_id, draft.thread_keys, number, draft.received if draft.sent is None else draft.sent
    )
    item_id = tx.insert(
        _INSERT,
        (
            mailbox_id, folder_id, number, number, number, number, number, number, draft.received,
            int(draft.hidden), int(read), body_id, draft.size, uid, origin, origin, origin, origin, origin,
            *columns, conversation, index, trace, clean(draft.sent_by),
        ),
    )  # fmt: skip
    if not draft.hidden:
        tx.execute("INSERT INTO to_index (item_id) VALUES (?)", (item_id,))
    tx.news(mailbox_id, folder_id, number)
    return number


def _numbered(tx: Transaction, item: Item, differs: str, params: tuple[Any, ...]) -> int:
    """A number for a change of an item if ``differs`` holds, else 0. :raises NoSuchItem: gone or moved."""
    number = tx.value(
        "UPDATE mailbox SET counter = counter + 1 WHERE id = ? AND counter < ? AND EXISTS "
        f"(SELECT 1 FROM item WHERE id = ? AND number = ? AND ({differs})) RETURNING counter",
        (item.mailbox_id, LAST_NUMBER, item.id, item.number, *params),
    )
    if number is not None:
        return int(number)
    row = tx.one(f"SELECT ({differs}) FROM item WHERE id = ? AND number = ?", (*params, item.id, item.number))
    if row is None:
        raise NoSuchItem
    if row[0]:
        raise no_number(tx, item.mailbox_id)
    return 0


def set_read(tx: Transaction, item: Item, read: bool, origin: int = 0) -> int:
    """Mark as read or unread. :returns: the change's number, 0 when it was so already."""
    number = _numbered(tx, item, "read <> ?", (int(read),))
    if number:
        folder_id, hidden = tx.execute(
            "UPDATE item SET read = ?, read_no = ?, read_by = ?, changed = ? WHERE id = ? "
            "RETURNING folder_id, hidden",
            (int(read), number, origin, number, item.id),
        )[0]
        if not hidden:
            tx.execute("UPDATE folder SET unread = unread + ? WHERE id = ?", (-1 if read else 1, folder_id))
        tx.news(item.mailbox_id, folder_id, number)
    return number


def _set_group(tx: Transaction, item: Item, column: str, value: Any, group: str, origin: int) -> int:
    number = _numbered(tx, item, f"{column} IS DISTINCT FROM ?", (value,))
    if number:
        tx.execute(
            f"UPDATE item SET {column} = ?, {group}_no = ?, {group}_by = ?, changed = ? WHERE id = ?",
            (value, number, origin, number, item.id),
        )
        tx.news(item.mailbox_id, item.folder_id, number)
    return number


def set_flag(tx: Transaction, item: Item, flag: Flag | None, origin: int = 0) -> int:
    """Set or clear the follow-up flag. :returns: the change's number, 0 when it was so already."""
    return _set_group(tx, item, "flag", flag_json(flag), "flag", origin)


def set_categories(tx: Transaction, item: Item, categories: Sequence[str], origin: int = 0) -> int:
    """Set the categories. :returns: the change's number, 0 when they were so already."""
    return _set_group(tx, item, "categories", categories_json(categories), "categories", origin)


def set_verb(tx: Transaction, item: Item, verb: int, now: int, origin: int = 0) -> int:
    """Record a reply or forward (MS-ASEMAIL 2.2.2.44). :returns: the change's number."""
    number = _numbered(tx, item, "verb <> ? OR verb_at IS DISTINCT FROM ?", (verb, now))
    if number:
        tx.execute(
            "UPDATE item SET verb = ?, verb_at = ?, rest_no = ?, rest_by = ?, changed = ? WHERE id = ?",
            (verb, now, number, origin, number, item.id),
        )
        if verb:
            # Whoever answers a message does not think it is junk.
            junk.note(tx, item.id, False)
        tx.news(item.mailbox_id, item.folder_id, number)
    return number


def touch_rest(tx: Transaction, item: Item, origin: int = 0) -> int:
    """Say that the rest of an item changed, whatever it is. :returns: the change's number."""
    number = _numbered(tx, item, "1 = 1", ())
    tx.execute(
        "UPDATE item SET rest_no = ?, rest_by = ?, changed = ? WHERE id = ?",
        (number, origin, number, item.id),
    )
    tx.news(item.mailbox_id, item.folder_id, number)
    return number


def replace_item(tx: Transaction, item: Item, draft: ItemDraft, body_id: int, origin: int = 0) -> int:
    """Give an item another content, as when a draft is saved again; its number, read mark, flag and
    categories stay. The time of arrival is immutable and stays, too.

    :returns: the change's number (group "rest").
    """
    number = _numbered(tx, item, "1 = 1", ())
    columns = draft_columns(draft)
    old_body, old_size = tx.execute("SELECT body_id, size FROM item WHERE id = ?", (item.id,))[0]
    tx.execute(
        "UPDATE item SET body_id = ?, size = ?, message_class = ?, subject = ?, topic = ?, sender = ?, "
        "sender_address = ?, recipients = ?, cc = ?, bcc = ?, reply_to = ?, sent = ?, message_id = ?, "
        "importance = ?, preview = ?, draft = ?, has_attachments = ?, attachments = ?, structure = ?, trace "
        "= ?, sent_by = ?, rest_no = ?, rest_by = ?, changed = ? WHERE id = ?",
        (
            body_id, draft.size, *columns[:13], *columns[15:], draft.trace, clean(draft.sent_by), number,
            origin, number, item.id,
        ),
    )  # fmt: skip
    tx.execute("UPDATE mailbox SET size = size + ? WHERE id = ?", (draft.size - old_size, item.mailbox_id))
    if old_body != body_id:
        loosen(tx, [old_body])
    # What was indexed comes out first and goes in again from the new body.
    tx.execute(
        "INSERT INTO to_index (item_id, absent) VALUES (?, 2) ON CONFLICT (item_id) DO UPDATE SET absent = 2",
        (item.id,),
    )
    tx.news(item.mailbox_id, item.folder_id, number)
    return number


def move_item(tx: Transaction, item: Item, to: Folder, origin: int = 0, learn: bool = True) -> int:
    """Move an item to another folder of its mailbox.

    :param learn: somebody decided this: what is moved into Junk and out of it is learned from, later.
    :returns: its new number there; its old one when it lies there already.
    :raises NoSuchItem: gone or moved. :raises NoSuchFolder: the target is gone.
    :raises NotPermitted: another mailbox.
    """
    if to.mailbox_id != item.mailbox_id:
        raise NotPermitted("An item cannot be moved to another mailbox.")
    row = tx.one(
        "SELECT folder_id, received, hidden, read FROM item WHERE id = ? AND number = ?",
        (item.id, item.number),
    )
    if row is None:
        raise NoSuchItem
    source, received, hidden, read = row
    if source == to.id:
        return item.number
    visible = 0 if hidden else 1
    unread = 0 if read else visible
    uid = count_in(tx, to.id, visible, unread)
    # One number for both ends of the move: a creation there, a departure here.
    number = next_number(tx, item.mailbox_id)
    tx.execute(
        "UPDATE item SET folder_id = ?, number = ?, changed = ?, read_no = ?, flag_no = ?, categories_no = "
        "?, rest_no = ?, uid = ?, created_by = ? WHERE id = ?",
        (to.id, number, number, number, number, number, number, uid, origin, item.id),
    )
    tx.execute(
        "UPDATE folder SET total = total - ?, unread = unread - ? WHERE id = ?", (visible, unread, source)
    )
    if visible:
        tx.execute(
            "INSERT INTO gone (folder_id, number, at, received, gone_by) VALUES (?, ?, ?, ?, ?)",
            (source, item.number, number, received, origin),
        )
    if learn:
        junk.note_move(tx, item.id, source, to)
    tx.news(item.mailbox_id, source, number)
    tx.news(item.mailbox_id, to.id, number)
    return number


def delete_item(tx: Transaction, item: Item, origin: int = 0) -> int:
    """Remove an item for good. :returns: the number of its tombstone. :raises NoSuchItem: gone or moved."""
    row = tx.one(
        "DELETE FROM item WHERE id = ? AND number = ? RETURNING folder_id, received, hidden, read, body_id, "
        "size",
        (item.id, item.number),
    )
    if row is None:
        raise NoSuchItem
    folder_id, received, hidden, read, body_id, size = row
    number = _take_number(tx, item.mailbox_id, -size)
    if not hidden:
        tx.execute(
            "UPDATE folder SET total = total - 1, unread = unread - ? WHERE id = ?",
            (0 if read else 1, folder_id),
        )
        tx.execute(
            "INSERT INTO gone (folder_id, number, at, received, gone_by) VALUES (?, ?, ?, ?, ?)",
            (folder_id, item.number, number, received, origin),
        )
        forget_text(tx, [item.id])
    loosen(tx, [body_id])
    tx.news(item.mailbox_id, folder_id, number)
    return number


def loosen(tx: Transaction, body_ids: Sequence[int]) -> None:
    """Let the sweeper look whether these bodies are still wanted."""
    tx.many(
        "INSERT INTO loose_body (body_id, at) VALUES (?, 0) ON CONFLICT (body_id) DO NOTHING",
        [(body_id,) for body_id in body_ids],
    )


def forget_text(tx: Transaction, item_ids: Sequence[int]) -> None:
    """Let the indexer take the text of these items out of the index.

    Finding goes by items, so none is found.
    """
    tx.many(
        "INSERT INTO to_index (item_id, absent) VALUES (?, 1) ON CONFLICT (item_id) DO UPDATE SET absent = 1",
        [(item_id,) for item_id in item_ids],
    )
