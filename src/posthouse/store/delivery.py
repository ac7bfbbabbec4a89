"""One message to several mailboxes and the outbox, in the caller's transaction.

An SMTP client that never saw our 250 sends the same message again (RFC 1047): a repeat within the hour (same
reverse path, recipient and bytes, with a Message-ID) makes no second item, and is accepted as if it had.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from posthouse.errors import NoSuchFolder, TryLater
from posthouse.model import BodyRef, FolderType, ItemDraft
from posthouse.store.bodies import PreparedBody, body_ref, insert_body
from posthouse.store.conversations import follow
from posthouse.store.dialect import clean
from posthouse.store.items import insert_item
from posthouse.store.outbox import OutboxDraft, enqueue
from posthouse.store.rows import draft_columns
from posthouse.store.transaction import Transaction

__all__ = ["Copy", "Delivered", "deliver", "prune_recent"]

# Where a message lies because somebody put it there: its conversation does not take it away.
_PLACED = (FolderType.SENT, FolderType.DELETED)
#: ms within which the same message is a repeat
REPEAT = 3600 * 1000

#: Longer lists of recipients are not searched for one of them.
_MOST_COMPARED = 30_000


@frozen
class Copy:
    """One mailbox that gets the message.

    The folder is ``folder_id``, or the one with ``role``, or the one of ``folder_type``.
    """

    mailbox_id: int
    recipient: str
    trace: bytes = b""
    folder_type: FolderType = FolderType.INBOX
    folder_id: int = 0
    role: str = ""
    read: bool = False
    origin: int = 0
    draft: ItemDraft | None = None  # what lists show of this copy, where it is marked (by a rule)
    beside: bool = False  # one more copy in the mailbox of another


@frozen
class Delivered:
    """What became of a delivery."""

    numbers: tuple[int, ...]  # one for each copy in its order, 0 for a duplicate
    outbox_ids: tuple[int, ...]
    duplicates: int
    body: BodyRef | None = None  # None when all of it was a duplicate


def deliver(
    tx: Transaction,
    body: BodyRef | PreparedBody,
    draft: ItemDraft,
    copies: Sequence[Copy],
    sender: str,
    outbox: Sequence[OutboxDraft],
    now: int,
    *,
    dedupe: bool = True,
) -> Delivered:
    """Deliver to mailboxes and queue for elsewhere; ``body_id`` of the outbox drafts is filled in here.

    :param draft: the item, with ``size`` of the body; each copy's ``trace`` goes in front and counts.
    :param sender: the reverse path, for recognising repeats. :param dedupe: False for mail made here.
    :raises TryLater: the body was swept away meanwhile.
    :raises NoSuchFolder: a copy's folder is gone. :raises NoSuchAccount: a mailbox is.
    """
    recognise = dedupe and bool(draft.message_id)
    ref = body if isinstance(body, BodyRef) else None
    if ref is not None and body_ref(tx, ref.id) != ref:
        # It waited longer than the sweeper's hour; what the sender is told must not be "accepted".
        raise TryLater(cause=f"body {ref.id} was swept before its delivery")
    columns = None
    numbers = []
    duplicates = 0
    for copy in copies:
        # With the mailbox: an alias is one recipient that means several of them.
        recipient = f"{copy.mailbox_id} {copy.recipient}"
        if copy.beside:
            recipient += f" {copy.folder_id}"
        if recognise and not _is_first(tx, sender, recipient, body.sha256, now):
            duplicates += 1
            numbers.append(0)
            continue
        if ref is None:
            ref = insert_body(tx, body, now)  # type: ignore[arg-type]
        if columns is None:
            columns = draft_columns(draft)
        own = copy.draft or draft
        if copy.trace and not own.passed_on and _is_hidden(own, copy):
            own = evolve(own, bcc=copy.recipient)
        folder_id, uid, rules = _count_in(tx, copy, own)
        number = insert_item(
            tx, copy.mailbox_id, folder_id, uid, own, columns if own is draft else draft_columns(own),
            copy.trace, ref.id, read=copy.read or own.read, origin=copy.origin,
        )  # fmt: skip
        if rules and not copy.role and not copy.beside and copy.folder_type not in _PLACED:
            # Junk stays junk, whatever conversation it claims to belong to.
            number = follow(tx, copy.mailbox_id, number)
        numbers.append(number)
    outbox_ids = []
    for row in outbox:
        if recognise and not _is_first(tx, sender, row.recipient, body.sha256, now):
            duplicates += 1
            continue
        if ref is None:
            ref = insert_body(tx, body, now)  # type: ignore[arg-type]
        outbox_ids.append(enqueue(tx, evolve(row, body_id=ref.id), now))
    return Delivered(tuple(numbers), tuple(outbox_ids), duplicates, ref)


def _is_hidden(draft: ItemDraft, copy: Copy) -> bool:
    """Whether somebody got a message that names him nowhere (MS-ASEMAIL 2.2.2.59); a Sent copy has no recipient."""
    if copy.folder_type is FolderType.SENT or draft.bcc or len(draft.to) + len(draft.cc) > _MOST_COMPARED:
        return False
    recipient = copy.recipient.lower()
    if not recipient.isascii() or "xn--" in recipient:
        # Either form of the domain may stand in the header.
        recipient = recipient[: recipient.rfind("@") + 1]
    return bool(recipient) and recipient not in draft.to.lower() and recipient not in draft.cc.lower()


def _is_first(tx: Transaction, sender: str, recipient: str, sha256: bytes, now: int) -> bool:
    tx.execute(
        "INSERT INTO recent_delivery (sha256, recipient, sender, at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (sha256, recipient, sender) DO UPDATE SET at = excluded.at "
        "WHERE recent_delivery.at < excluded.at - ?",
        (sha256, clean(recipient), clean(sender), now, REPEAT),
    )
    return tx.rowcount > 0


def _folder_key(copy: Copy) -> tuple[str, int | str]:
    if copy.folder_id:
        return "id", copy.folder_id
    if copy.role:
        return "role", copy.role
    return "slot", int(copy.folder_type)


def _count_in(tx: Transaction, copy: Copy, draft: ItemDraft) -> tuple[int, int, int]:
    """Find the folder and count the item in. :returns: (folder id, IMAP uid, rules for conversations)."""
    column, value = _folder_key(copy)
    visible = 0 if draft.hidden else 1
    unread = 0 if copy.read or draft.read else visible
    # Few statements rather than cheap ones: after each of them the writer waits for the interpreter's lock.
    row = tx.one(
        "UPDATE folder SET uid_next = uid_next + 1, total = total + ?, unread = unread + ? "
        f"WHERE mailbox_id = ? AND {column} = ? AND deleted = 0 RETURNING id, uid_next - 1, "
        "(SELECT m.conversation_rules FROM mailbox m WHERE m.id = mailbox_id)",
        (visible, unread, copy.mailbox_id, value),
    )
    if row is None:
        raise NoSuchFolder(cause=f"mailbox {copy.mailbox_id} has no folder with {column} {value}")
    return row[0], row[1], row[2] or 0


def prune_recent(tx: Transaction, now: int, limit: int) -> int:
    """Forget deliveries older than the hour. :returns: how many; call it again until 0."""
    tx.execute(
        "DELETE FROM recent_delivery WHERE (sha256, recipient, sender) IN "
        "(SELECT sha256, recipient, sender FROM recent_delivery WHERE at < ? LIMIT ?)",
        (now - REPEAT, limit),
    )
    return max(tx.rowcount, 0)
