"""A draft as ApplicationData, both ways (16.0 and above).

Promise: what a device may write of a draft is read here and nowhere else; what is not mentioned stays as it is, an
empty element clears, and what no draft may carry is item status 6. MS-ASEMAIL 2.2.2.9 (Bcc) and R1489, R14890,
R14900, MS-ASAIRS 2.2.2.2 and 2.2.2.21 (attachments that come and go). Bare numbers are MS-ASEMAIL.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import TYPE_CHECKING

from posthouse.eas.asked import Order, Response
from posthouse.eas.ids import parse_file_reference
from posthouse.eas.orders import CONVERSION, digest
from posthouse.eas.statuses import StatusError
from posthouse.mime import compose
from posthouse.mime.dates import format_date
from posthouse.mime.headers import parse_headers
from posthouse.mime.revise import Addition, Revision
from posthouse.mime.threads import short_index
from posthouse.wbxml.tags import AirSyncBase, Email, Email2
from posthouse.wbxml.tree import E, Element

if TYPE_CHECKING:
    from posthouse.eas.call import Call

#: What a draft may carry, and what a message calls it (R1489).
_FIELDS = (
    (Email.To, "To"),
    (Email.Cc, "Cc"),
    (Email2.Bcc, "Bcc"),
    (Email.ReplyTo, "Reply-To"),
    (Email.Subject, "Subject"),
)
_IMPORTANCE = {"0": "low", "1": "", "2": "high"}
_PRIORITIES = ("X-Priority", "Priority", "X-MSMail-Priority")

#: What a device is told as empty when a draft has it no more.
_CLEARED = (Email.To, Email.Cc, Email2.Bcc, Email.ReplyTo, AirSyncBase.Attachments)

_MOST_TEXT = 32768
PLAIN, HTML, MIME = "1", "2", "4"


def read_draft(order: Order, message: bytes, number: int, call: Call) -> tuple[Revision, bytes, list[str]]:
    """What is to become of a message. :return: the revision, the message to revise, the additions' ClientIds.

    :raises StatusError: 6 for what no draft may carry.
    """
    data = order.data if order.data is not None else Element("")
    if data.find(Email2.Sender) is not None:
        raise StatusError(CONVERSION, "Sender is the server's")  # MS-ASEMAIL R723
    text, html, whole = _body(data)
    if whole is not None:
        message = whole
    fields = _missing(message, call, order)
    fields += [(name, value) for tag, name in _FIELDS if (value := _value(data, tag)) is not None]
    importance = _value(data, Email.Importance)
    if importance is not None:
        if importance.strip() not in ("", *_IMPORTANCE):
            raise StatusError(CONVERSION, "Importance is none of 0, 1 and 2")
        fields.append(("Importance", _IMPORTANCE.get(importance.strip(), "")))
        fields += [(name, "") for name in _PRIORITIES]
    add, names, drop = _attachments(data, number)
    if not message and text is None and html is None:
        text = ""
    return Revision(tuple(fields), text, html, tuple(add), drop), message, names


def _value(data: Element, tag: str) -> str | None:
    value = data.text(tag)
    if value is not None and len(value) > _MOST_TEXT:
        raise StatusError(CONVERSION, f"{tag} of {len(value)} characters")
    return value


def _missing(message: bytes, call: Call, order: Order) -> list[tuple[str, str]]:
    """The fields that every message has (RFC 5322 3.6), as far as this one lacks them."""
    there = {name for name, value in parse_headers(message[: compose.header_end(message)]) if value}
    account = call.account
    name = account.name
    sender = f'"{name}" <{account.address}>' if name and '"' not in name else account.address
    domain = account.address.rpartition("@")[2]
    found = []
    if "date" not in there:
        found.append(("Date", format_date(call.now())))
    if "from" not in there:
        found.append(("From", sender))
    if "message-id" not in there:
        found.append(("Message-ID", f"<{_unique(call, order)}@{domain}>"))
    return found


def _unique(call: Call, order: Order) -> str:
    """The same for one and the same Add, so that its repetition under another SyncKey is recognised."""
    if order.kind != "Add" or not order.client_id:
        return call.services.random(12).hex()
    named = f"{call.account.id}\0{call.device.id}\0{order.client_id}\0{digest(order)}"
    return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()[:32]


def _body(data: Element) -> tuple[str | None, str | None, bytes | None]:
    """Text, HTML or the whole message, whichever is there."""
    body = data.find(AirSyncBase.Body)
    if body is None or (body.find(AirSyncBase.Data) is None and body.find(AirSyncBase.Type) is None):
        return None, None, None
    tags = [child.tag for child in body.children]
    if AirSyncBase.Body in tags or len(set(tags)) != len(tags):
        # MS-ASAIRS R10037, R10039: each once, and none within itself.
        raise StatusError(CONVERSION, f"a body of {len(tags)} elements")
    kind = (body.text(AirSyncBase.Type) or PLAIN).strip()
    if body.find(AirSyncBase.Data) is None and kind == MIME:
        raise StatusError(CONVERSION, "a message without Data")
    if kind == MIME:
        # R14890: header, text and attachments are all in it.
        return None, None, body.blob(AirSyncBase.Data) or b""
    if kind not in (PLAIN, HTML):
        raise StatusError(CONVERSION, f"a draft body of type {kind[:10]}")
    if body.find(AirSyncBase.Data) is None:
        # MS-ASCMD R878: without Data the text stays as it is.
        return None, None, None
    text = body.text(AirSyncBase.Data) or ""
    return (text, None, None) if kind == PLAIN else (None, text, None)


def _attachments(data: Element, number: int) -> tuple[list[Addition], list[str], frozenset[str]]:
    """:return: additions, their ClientIds, and the parts that go. Inline ones come first, as they will stand."""
    found: list[tuple[Addition, str]] = []
    drop: set[str] = set()
    asked = data.find(AirSyncBase.Attachments)
    for element in asked.children if asked is not None else ():
        if element.tag == AirSyncBase.Add:
            found.append(_addition(element))
        elif element.tag == AirSyncBase.Delete:
            named = parse_file_reference(element.text(AirSyncBase.FileReference) or "")
            if named is None or named[0] != number:
                raise StatusError(CONVERSION, "a FileReference of another item")
            drop.add(named[1])
    looks = [one for one in found if one[0].inline and one[0].file.content_id]
    rest = [one for one in found if one not in looks]
    ordered = [*looks, *rest]
    return [one for one, _ in ordered], [name for _, name in ordered], frozenset(drop)


def _addition(element: Element) -> tuple[Addition, str]:
    client_id = element.text(AirSyncBase.ClientId) or ""
    name = element.text(AirSyncBase.DisplayName)
    method = (element.text(AirSyncBase.Method) or "").strip()
    content = element.find(AirSyncBase.Content)
    if not client_id or len(client_id) > 256 or name is None or content is None:
        # MS-ASAIRS R1079, R1087, R1353, R1387: all of them are required.
        raise StatusError(CONVERSION, "an attachment lacks ClientId, DisplayName or Content")
    if method not in ("1", "5"):
        raise StatusError(CONVERSION, f"an attachment of method {method[:10]}")  # R1393, R1395
    kind = (element.text(AirSyncBase.ContentType) or "").strip().lower()
    kind = "message/rfc822" if method == "5" else kind or "application/octet-stream"
    inline = element.find(AirSyncBase.IsInline)
    file = compose.File(
        name[:255],
        kind,
        _content(content),
        (element.text(AirSyncBase.ContentId) or "").strip("<> ")[:400],
    )
    return Addition(file, inline is not None and inline.value.strip() in ("", "1", "true")), client_id


def _content(element: Element) -> bytes:
    """The bytes of an attachment: opaque (MS-ASDTYPE 2.7.1), or in base64 from clients that write text."""
    content = element.content
    if isinstance(content, bytes):
        return content
    try:
        return binascii.a2b_base64(content or "")
    except (binascii.Error, ValueError) as error:
        raise StatusError(CONVERSION, "Content is no base64") from error


# What a device is told -------------------------------------------------------------------------------------


def answer_data(response: Response) -> list[Element]:
    """The ApplicationData of the answer to an Add or Change: what the server gave it.

    MS-ASEMAIL R1184, R1190 (conversation), MS-ASAIRS R1336, R1368 (names of attachments).
    """
    found: list[Element] = []
    added = response.added
    if added is not None and added.draft:
        if added.conversation:
            found.append(E(Email2.ConversationId, added.conversation))
        if added.conversation_index:
            found.append(E(Email2.ConversationIndex, short_index(added.conversation_index)))
    if response.files:
        found.append(
            E(
                AirSyncBase.Attachments,
                [
                    E(
                        AirSyncBase.Attachment,
                        E(AirSyncBase.FileReference, f"{response.number}:{path}"),
                        E(AirSyncBase.ClientId, name),
                    )
                    for name, path in response.files
                ],
            )
        )
    return found


def whole_change(elements: list[Element]) -> list[Element]:
    """A rewritten draft as a Change: what it has no more is said to be empty."""
    there = {element.tag for element in elements}
    return [*elements, *[Element(tag) for tag in _CLEARED if tag not in there]]
