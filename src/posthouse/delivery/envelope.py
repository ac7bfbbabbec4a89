"""From an envelope to what the store takes: one copy per local mailbox, one queue row per address elsewhere.

Promise: a mailbox gets one copy however many of the recipients mean it; an address elsewhere one row.

Specifications: RFC 5321 3.9 (aliases and lists), RFC 3461 4 and 5.2 (DSN parameters travel with their recipient; a
list is a final delivery).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posthouse.delivery.posting import bounce_address, list_head
from posthouse.delivery.schedule import expires_at
from posthouse.delivery.srs import Srs
from posthouse.delivery.trace import delivered_to_line, delivery_trace
from posthouse.mime.addresses import fold_address, normalise_address
from posthouse.mime.report import RecipientStatus
from posthouse.model import Envelope, Recipient
from posthouse.store.delivery import Copy
from posthouse.store.outbox import OutboxDraft

__all__ = ["arrivals", "is_forwarded", "is_sent_on", "left_out", "list_heads", "local_copies", "queue_rows"]

_NO_LISTS: Mapping[str, bytes] = {}


def list_heads(envelope: Envelope, fields: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """What the copies of each group have in front, by the group's address. :raises LoopDetected: as ``list_head``."""
    return {
        one.group.address: list_head(one.group, fields)
        for one in envelope.recipients
        if one.group is not None
    }


def _sender_to(recipient: Recipient, sender: str) -> str:
    """Who hears of what cannot be delivered to this recipient."""
    return bounce_address(recipient.group) if recipient.group is not None and sender else sender


def _in_front(recipient: Recipient, lists: Mapping[str, bytes]) -> bytes:
    return lists.get(recipient.group.address, b"") if recipient.group is not None else b""


def local_copies(
    envelope: Envelope, trace: bytes, role: str = "", lists: Mapping[str, bytes] = _NO_LISTS
) -> list[Copy]:
    """The copies for mailboxes here. ``trace`` is what they have in common: Received and added fields.

    :param role: of the folder ("junk"); "" for the Inbox, or the folder that a plus-address names.
    :param lists: from ``list_heads``.
    """
    copies: dict[int, Copy] = {}
    for recipient in envelope.recipients:
        for mailbox_id in recipient.mailbox_ids:
            if mailbox_id not in copies:
                sender = _sender_to(recipient, envelope.sender)
                own = delivery_trace(sender, recipient.address, _in_front(recipient, lists) + trace)
                folder_id = 0 if role else recipient.folder_id
                copies[mailbox_id] = Copy(mailbox_id, recipient.address, own, role=role, folder_id=folder_id)
    return list(copies.values())


def queue_rows(
    envelope: Envelope,
    trace: bytes,
    size: int,
    eight_bit: bool,
    now: int,
    priority: int = 0,
    srs: Srs | None = None,
    lists: Mapping[str, bytes] = _NO_LISTS,
    message: str = "",
) -> list[OutboxDraft]:
    """The rows for addresses elsewhere.

    :param size: that of the body. :param now: ms. :param srs: rewrites the sender of what is forwarded.
    :param lists: from ``list_heads``. :param message: the name of a submission that was held.
    """
    rows: dict[str, OutboxDraft] = {}
    for recipient in envelope.recipients:
        for address in recipient.remote:
            if address in rows:
                continue
            sender = _sender_to(recipient, envelope.sender)
            # What a group sends has the group's own sender, wishes and life; its author is not told of members.
            listed = recipient.group is not None
            if srs is not None and sender and not listed and is_forwarded(recipient):
                domain = fold_address(recipient.address).rpartition("@")[2]
                sender = srs.forward(sender, domain, now)
            rows[address] = OutboxDraft(
                account_id=None if listed else envelope.account_id,
                sender=sender,
                recipient=address,
                size=size,
                smtputf8=envelope.smtputf8 or not (envelope.sender + address).isascii(),
                eight_bit=eight_bit,
                trace=(delivered_to_line(recipient.address) if is_forwarded(recipient) else b"")
                + _in_front(recipient, lists)
                + trace,
                expires=expires_at(now, envelope.sender),
                envid="" if listed else envelope.envid,
                ret="" if listed else envelope.ret,
                notify="" if listed else _passed_on(recipient),
                orcpt="" if listed else recipient.orcpt,
                due=now,
                own=envelope.account_id is not None,
                priority=priority,
                require_tls=envelope.require_tls,
                message=message,
            )
    return list(rows.values())


def arrivals(envelope: Envelope) -> list[RecipientStatus]:
    """What the sender wants to hear when the transaction of this envelope is durable (NOTIFY=SUCCESS).

    RFC 3461 5.2.7: an address of ours that leads to one elsewhere takes the wish along; one that means several
    is expanded, and nothing more is heard of it. 5.2.7.1: with a group, it has arrived.
    """
    found = []
    for recipient in envelope.recipients:
        if "SUCCESS" not in recipient.notify.split(","):
            continue
        if not recipient.remote or recipient.group is not None:
            found.append(RecipientStatus(recipient.address, "delivered", "2.1.5", recipient.orcpt))
        elif _is_several(recipient):
            found.append(RecipientStatus(recipient.address, "expanded", "2.1.5", recipient.orcpt))
    return found


def left_out(envelope: Envelope) -> list[tuple[str, RecipientStatus]]:
    """Whom to tell of mailboxes that have been full for too long, and what; for a group that is its owner."""
    found = []
    for recipient in envelope.recipients:
        sender = _sender_to(recipient, envelope.sender)
        if recipient.full and sender and recipient.notify != "NEVER":
            # Which of the members it was is the house's own affair.
            status = RecipientStatus(
                recipient.address,
                "failed",
                "5.2.2",
                original=recipient.orcpt,
                diagnostic=f"552 5.2.2 {len(recipient.full)} of the mailboxes behind this address are full",
            )
            found.append((sender, status))
    return found


def _is_several(recipient: Recipient) -> bool:
    return len(recipient.remote) + len(recipient.mailbox_ids) > 1


def _passed_on(recipient: Recipient) -> str:
    """The NOTIFY of addresses elsewhere that a recipient leads to."""
    if not _is_several(recipient) or "SUCCESS" not in recipient.notify:
        return recipient.notify
    return ",".join(word for word in recipient.notify.split(",") if word != "SUCCESS") or "NEVER"


def is_forwarded(recipient: Recipient) -> bool:
    """Does an address of ours send mail on to elsewhere? Its name in the trace is how a loop is seen."""
    return bool(recipient.remote) and recipient.remote != (normalise_address(recipient.address),)


def is_sent_on(envelope: Envelope) -> bool:
    """Does any of it go elsewhere?"""
    return any(recipient.remote for recipient in envelope.recipients)
