"""From an envelope to what the store takes: one copy per local mailbox, one queue row per address elsewhere.

Promise: a mailbox gets one copy however many of the recipients mean it; an address elsewhere one row.

Specifications: RFC 5321 3.9 (aliases), RFC 3461 4 and 5.2 (DSN parameters travel with their recipient).
"""

from __future__ import annotations

from posthouse.delivery.schedule import expires_at
from posthouse.delivery.srs import Srs
from posthouse.delivery.trace import delivered_to_line, delivery_trace
from posthouse.mime.addresses import fold_address, normalise_address
from posthouse.mime.report import RecipientStatus
from posthouse.model import Envelope, Recipient
from posthouse.store.delivery import Copy
from posthouse.store.outbox import OutboxDraft

__all__ = ["arrivals", "is_forwarded", "is_sent_on", "local_copies", "queue_rows"]


def local_copies(envelope: Envelope, trace: bytes, role: str = "") -> list[Copy]:
    """The copies for mailboxes here. ``trace`` is what they have in common: Received and added fields.

    :param role: of the folder ("junk"); "" for the Inbox.
    """
    copies: dict[int, Copy] = {}
    for recipient in envelope.recipients:
        for mailbox_id in recipient.mailbox_ids:
            if mailbox_id not in copies:
                own = delivery_trace(envelope.sender, recipient.address, trace)
                copies[mailbox_id] = Copy(mailbox_id, recipient.address, own, role=role)
    return list(copies.values())


def queue_rows(
    envelope: Envelope,
    trace: bytes,
    size: int,
    eight_bit: bool,
    now: int,
    priority: int = 0,
    srs: Srs | None = None,
) -> list[OutboxDraft]:
    """The rows for addresses elsewhere.

    :param size: that of the body. :param now: ms. :param srs: rewrites the sender of what is forwarded.
    """
    rows: dict[str, OutboxDraft] = {}
    for recipient in envelope.recipients:
        for address in recipient.remote:
            if address in rows:
                continue
            sender = envelope.sender
            if srs is not None and sender and is_forwarded(recipient):
                domain = fold_address(recipient.address).rpartition("@")[2]
                sender = srs.forward(sender, domain, now)
            rows[address] = OutboxDraft(
                account_id=envelope.account_id,
                sender=sender,
                recipient=address,
                size=size,
                smtputf8=envelope.smtputf8 or not (envelope.sender + address).isascii(),
                eight_bit=eight_bit,
                trace=(delivered_to_line(recipient.address) if is_forwarded(recipient) else b"") + trace,
                expires=expires_at(now, envelope.sender),
                envid=envelope.envid,
                ret=envelope.ret,
                notify=_passed_on(recipient),
                orcpt=recipient.orcpt,
                due=now,
                own=envelope.account_id is not None,
                priority=priority,
                require_tls=envelope.require_tls,
            )
    return list(rows.values())


def arrivals(envelope: Envelope) -> list[RecipientStatus]:
    """What the sender wants to hear when the transaction of this envelope is durable (NOTIFY=SUCCESS).

    RFC 3461 5.2.7: an address of ours that leads to one elsewhere takes the wish along; one that means several
    is expanded, and nothing more is heard of it.
    """
    found = []
    for recipient in envelope.recipients:
        if "SUCCESS" not in recipient.notify.split(","):
            continue
        if not recipient.remote:
            found.append(RecipientStatus(recipient.address, "delivered", "2.1.5", recipient.orcpt))
        elif _is_several(recipient):
            found.append(RecipientStatus(recipient.address, "expanded", "2.1.5", recipient.orcpt))
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
