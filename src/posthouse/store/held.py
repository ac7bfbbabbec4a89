"""Messages that wait before they are sent: for their time (RFC 4865), or so that they can be taken back.

Promise: a message that waits lies in its sender's Outbox, whole, with its Bcc; it is either handed out or taken back,
never both, each in one transaction. Whoever deletes it there, or moves it elsewhere, has taken it back.
What was held is remembered for a day: so much of it as still lies in the queue can be taken back even then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from posthouse.errors import NoSuchFolder, NoSuchThing, TryLater
from posthouse.model import BodyRef, Folder, FolderType, Item, ItemDraft, Recipient
from posthouse.store import bodies, folders, items, outbox
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "Held",
    "TakenBack",
    "due_held",
    "finish",
    "held_listing",
    "held_named",
    "hold_back",
    "next_held",
    "postpone",
    "prune_held",
    "take_back",
    "waiting_item",
]

#: ms for which what was handed out is remembered
KEEP = 24 * 3600 * 1000
_COLUMNS = (
    "id, name, account_id, mailbox_id, item_id, sender, envelope, file_sent, created, due, state, handed"
)
_WAITING, _RELEASED, _TAKEN = "waiting", "released", "taken-back"


@frozen
class Held:
    """One submission that waits or waited.

    ``recipients`` have their DSN wishes, and no route: that is found when it is sent. ``fields`` are others of the
    envelope (``smtputf8``, ``envid``, ``ret``, ``protocol``, ``require_tls``). ``handed``: addresses that have it.
    """

    id: int
    name: str
    account_id: int
    mailbox_id: int
    item_id: int
    sender: str
    recipients: tuple[Recipient, ...]
    fields: dict[str, Any]
    file_sent: bool
    created: int
    due: int
    state: str
    handed: tuple[str, ...]


@frozen
class TakenBack:
    """What became of taking a message back: whom it will not reach, and whom it has reached already."""

    name: str
    withdrawn: tuple[str, ...]
    gone: tuple[str, ...]


def _held(row: tuple[Any, ...]) -> Held:
    envelope = json.loads(row[6])
    recipients = tuple(Recipient(one[0], notify=one[1], orcpt=one[2]) for one in envelope["to"])
    return Held(
        id=row[0],
        name=row[1],
        account_id=row[2],
        mailbox_id=row[3],
        item_id=row[4],
        sender=row[5],
        recipients=recipients,
        fields=envelope["fields"],
        file_sent=bool(row[7]),
        created=row[8],
        due=row[9],
        state=row[10],
        handed=tuple(json.loads(row[11] or "[]")),
    )


def hold_back(
    tx: Transaction,
    name: str,
    account_id: int,
    mailbox_id: int,
    draft: ItemDraft,
    body: bodies.PreparedBody | BodyRef,
    sender: str,
    recipients: Sequence[Recipient],
    fields: dict[str, Any],
    file_sent: bool,
    now: int,
    due: int,
) -> None:
    """Put a submission into its sender's Outbox, to be sent at ``due``.

    :param body: prepared, or the ``BodyRef`` of one that is stored.
    :raises NoSuchFolder, NoSuchAccount: the sender went away. :raises TryLater: the body was swept meanwhile.
    """
    if isinstance(body, BodyRef) and bodies.body_ref(tx, body.id) != body:
        raise TryLater(cause=f"body {body.id} was swept before it was held")
    ref = bodies.put_body(tx, body, now) if isinstance(body, bodies.PreparedBody) else body
    folder = folders.folder_of_type(tx, mailbox_id, FolderType.OUTBOX)
    number = items.add_item(tx, folder, draft, ref.id, now)
    item_id = tx.value("SELECT id FROM item WHERE mailbox_id = ? AND number = ?", (mailbox_id, number))
    envelope = {"to": [[one.address, one.notify, one.orcpt] for one in recipients], "fields": fields}
    tx.execute(
        "INSERT INTO held_message (name, account_id, mailbox_id, item_id, sender, envelope, file_sent, created, "
        "due, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name, account_id, mailbox_id, item_id, clean(sender), clean(json.dumps(envelope)), int(file_sent), now,
            due, _WAITING,
        ),
    )  # fmt: skip
    tx.news(outbox.QUEUE, 0, 0)


def due_held(tx: Transaction, now: int, limit: int) -> list[Held]:
    """Those whose time has come, the longest waiting first."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM held_message WHERE state = '{_WAITING}' AND due <= ? ORDER BY due, id LIMIT ?",
        (now, limit),
    )
    return [_held(row) for row in rows]


def next_held(tx: Transaction) -> int | None:
    """When the next one is due."""
    found: int | None = tx.value(f"SELECT min(due) FROM held_message WHERE state = '{_WAITING}'")
    return found


def held_named(tx: Transaction, name: str) -> Held:
    """One submission. :raises NoSuchThing: it never waited, or that was more than a day ago."""
    row = tx.one(f"SELECT {_COLUMNS} FROM held_message WHERE name = ?", (clean(name),))
    if row is None:
        raise NoSuchThing(f"No message {name[:100]} waits, or did lately.")
    return _held(row)


def held_listing(tx: Transaction, limit: int, account_id: int | None = None) -> list[Held]:
    """What waits, the next one first; of one account, or of all."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM held_message WHERE state = '{_WAITING}' AND (? IS NULL OR account_id = ?) "
        "ORDER BY due, id LIMIT ?",
        (account_id, account_id, limit),
    )
    return [_held(row) for row in rows]


def waiting_item(tx: Transaction, held: Held) -> Item | None:
    """The message in the Outbox; None when it does not wait there any more."""
    state = tx.value("SELECT state FROM held_message WHERE id = ?", (held.id,))
    item = items.item_by_id(tx, held.item_id)
    if state != _WAITING or item is None:
        return None
    return item if item.folder_id == _folder(tx, held, FolderType.OUTBOX).id else None


def postpone(tx: Transaction, held: Held, due: int) -> None:
    """It cannot be handed out now; try again then."""
    tx.execute("UPDATE held_message SET due = ? WHERE id = ? AND state = ?", (due, held.id, _WAITING))


def finish(tx: Transaction, held: Held, item: Item | None, handed: Sequence[str]) -> None:
    """It was handed out in this transaction (or cannot be, ``item`` None: nothing is left to send).

    :param handed: the addresses that cannot be taken back any more.
    """
    state = _RELEASED if item is not None else _TAKEN
    tx.execute(
        "UPDATE held_message SET state = ?, handed = ? WHERE id = ?",
        (state, clean(json.dumps(list(handed))), held.id),
    )
    if item is None:
        return
    if held.file_sent:
        items.move_item(tx, item, _folder(tx, held, FolderType.SENT))
    else:
        items.delete_item(tx, item)


def take_back(tx: Transaction, name: str, account_id: int | None = None) -> TakenBack:
    """Take a message back into Drafts: all of it while it waits, else what of it is still in the queue.

    :param account_id: whose it must be; None for an administrator.
    :raises NoSuchThing: no such message, or nothing of it is left to take back.
    """
    held = held_named(tx, name)
    if account_id is not None and held.account_id != account_id:
        raise NoSuchThing(f"No message {name[:100]} waits, or did lately.")
    if held.state == _WAITING:
        item = waiting_item(tx, held)
        tx.execute("UPDATE held_message SET state = ? WHERE id = ?", (_TAKEN, held.id))
        if item is not None:
            _to_drafts(tx, held, item)
        return TakenBack(held.name, tuple(one.address for one in held.recipients), ())
    if held.state == _TAKEN:
        raise NoSuchThing("The message was taken back before.")
    rows = outbox.of_message(tx, held.name)
    withdrawn = []
    gone = list(held.handed)
    for row in rows:
        # What is on its way at this moment may have arrived.
        if row.state in ("due", "held", "paused") and not row.verdict:
            outbox.drop(tx, row.id)
            withdrawn.append(row.recipient)
        else:
            gone.append(row.recipient)
    if not withdrawn:
        raise NoSuchThing("The message has left for all of its recipients.")
    item = items.item_by_id(tx, held.item_id)
    if item is not None and not gone:
        _to_drafts(tx, held, item)
        tx.execute("UPDATE held_message SET state = ? WHERE id = ?", (_TAKEN, held.id))
    elif item is not None:
        _copy_to_drafts(tx, held, item)
    return TakenBack(held.name, tuple(withdrawn), tuple(gone))


def _to_drafts(tx: Transaction, held: Held, item: Item) -> None:
    items.move_item(tx, item, _folder(tx, held, FolderType.DRAFTS))
    tx.execute("UPDATE item SET draft = 1, read = 1 WHERE id = ?", (item.id,))


def _copy_to_drafts(tx: Transaction, held: Held, item: Item) -> None:
    """Some have it: the record in Sent stays as well."""
    folder = _folder(tx, held, FolderType.DRAFTS)
    if tx.one("SELECT 1 FROM item WHERE folder_id = ? AND body_id = ?", (folder.id, item.body_id)) is None:
        items.add_item(tx, folder, _draft_of(item), item.body_id, item.received)


def _draft_of(item: Item) -> ItemDraft:
    same = (
        "received", "size", "message_class", "subject", "topic", "sender", "sender_address", "to", "cc", "bcc",
        "reply_to", "sent", "message_id", "importance", "preview", "has_attachments", "attachments", "structure",
        "trace", "sent_by",
    )  # fmt: skip
    return ItemDraft(**{name: getattr(item, name) for name in same}, read=True, draft=True)


def _folder(tx: Transaction, held: Held, kind: FolderType) -> Folder:
    try:
        return folders.folder_of_type(tx, held.mailbox_id, kind)
    except NoSuchFolder as error:
        raise NoSuchThing("The mailbox is gone.", cause=error.cause) from None


def prune_held(tx: Transaction, now: int, limit: int) -> int:
    """Forget what was handed out or taken back a day ago. :returns: how many; call it again until 0."""
    tx.execute(
        f"DELETE FROM held_message WHERE id IN (SELECT id FROM held_message WHERE state <> '{_WAITING}' "
        "AND due < ? LIMIT ?)",
        (now - KEEP, limit),
    )
    return max(tx.rowcount, 0)
