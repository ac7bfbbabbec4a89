"""Drafts that a device writes: an Add in the Drafts folder becomes a message (MS-ASCMD 3.1.5.12, 16.0 and above)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from posthouse.eas.collection import CONVERSION, Order
from posthouse.eas.statuses import StatusError
from posthouse.mime import scan as mime_scan
from posthouse.mime.compose import build
from posthouse.mime.dates import format_date
from posthouse.mime.draft import draft_from
from posthouse.model import Folder, FolderType
from posthouse.store import bodies, items
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSyncBase, Email, Email2
from posthouse.wbxml.tree import Element

if TYPE_CHECKING:
    from posthouse.eas.call import Call

#: What a draft may carry, and what a message calls it.
_FIELDS = (
    (Email.To, "To"),
    (Email.Cc, "Cc"),
    (Email2.Bcc, "Bcc"),
    (Email.ReplyTo, "Reply-To"),
    (Email.Subject, "Subject"),
)
_IMPORTANCE = {"0": "low", "2": "high"}


def add_draft(tx: Transaction, call: Call, folder: Folder, order: Order) -> int:
    """Make a draft. :return: the item's number.

    :raises StatusError: 6 for anything else than a draft at 16.0 and above.
    """
    data = order.data
    if call.version < (16, 0) or folder.type != FolderType.DRAFTS or data is None:
        raise StatusError(CONVERSION, f"an Add of class {order.class_name or folder.type.item_class}")
    if data.find(AirSyncBase.Attachments) is not None:
        raise StatusError(CONVERSION, "a draft with attachments")
    message = write_draft(data, call.account.name, call.account.address, call.now(), _identity(call))
    root = mime_scan.scan(message)
    draft = draft_from(
        root, message[: root.body_start], lambda start, stop: message[start:stop], len(message), call.now()
    )
    body = bodies.put_body(tx, bodies.prepare(message), call.now())
    return items.add_item(
        tx, folder, evolve(draft, draft=True, read=True), body.id, call.now(), call.device.id
    )


def _identity(call: Call) -> str:
    domain = call.account.address.rpartition("@")[2]
    return f"<{call.services.random(12).hex()}@{domain}>"


def write_draft(data: Element, name: str, address: str, now: int, message_id: str) -> bytes:
    """The message that an ApplicationData describes.

    :raises StatusError: 6 for a body of another type than text or HTML.
    """
    sender = f'"{name}" <{address}>' if name and '"' not in name else address
    fields = [("Date", format_date(now)), ("From", sender)]
    fields += [(field, data.text(tag) or "") for tag, field in _FIELDS if data.text(tag)]
    importance = _IMPORTANCE.get(data.text(Email.Importance) or "")
    if importance:
        fields.append(("Importance", importance))
    fields.append(("Message-ID", message_id))
    body = data.find(AirSyncBase.Body)
    kind = body.text(AirSyncBase.Type, "1") if body is not None else "1"
    text = (body.text(AirSyncBase.Data) or "") if body is not None else ""
    if kind not in ("1", "2"):
        raise StatusError(CONVERSION, f"a draft body of type {kind}")
    return build(fields, text if kind == "1" else None, text if kind == "2" else None)
