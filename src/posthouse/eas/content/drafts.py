"""Drafts that a device writes, rewrites and sends in Sync (16.0 and above).

Promise: a draft is sent exactly once. Everything slow (reading the stored draft, making the message, preparing its
body and its way out) is done ahead; then one transaction keeps the collection's new state, saves or removes the
draft and hands the message to the queue. Either all of that is there or nothing, and a repeated request is answered
from the state that the same transaction kept. A draft that changed meanwhile is prepared again.

MS-ASEMAIL 2.2.2.9 (Bcc), 2.2.2.69 (Send) and R1489-R14900 (what a draft may carry), MS-ASAIRS 2.2.2.2 and 2.2.2.21
(attachments that come and go), MS-ASCMD 2.2.2 (183: nobody to send it to).
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, evolve, field, frozen

from posthouse.eas.content.flag import ABSENT, read_change
from posthouse.eas.generation import AddResult, Generation
from posthouse.eas.ids import parse_file_reference, parse_number
from posthouse.eas.orders import CONVERSION, NOT_FOUND, Order, Response, Written, digest, is_heavy, memory_key
from posthouse.eas.statuses import Status, StatusError, status_of
from posthouse.errors import Malformed, NotPermitted, PosthouseError, TooLarge, TryLater
from posthouse.mime import compose
from posthouse.mime.dates import format_date
from posthouse.mime.draft import draft_from
from posthouse.mime.headers import parse_headers
from posthouse.mime.revise import Addition, Revised, Revision, revise
from posthouse.model import BodyRef, Flag, Folder, FolderType, Item, ItemDraft
from posthouse.store import bodies, changes, devices, folders, items
from posthouse.store.bodies import PreparedBody
from posthouse.store.keep import keep_bytes
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSyncBase, Email, Email2
from posthouse.wbxml.tree import E, Element

if TYPE_CHECKING:
    from posthouse.eas.call import Call
    from posthouse.eas.collection import Ask

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
#: More than this much is made into a message in a thread.
_INLINE = 1 << 17

PLAIN, HTML, MIME = "1", "2", "4"


class Stale(TryLater):
    """A draft changed between its preparation and the transaction: it has to be prepared again."""


@frozen(eq=False)
class Prepared:
    """What one command of the client will do.

    :ivar error: it is refused with this. :ivar base: the body that it was made from, 0 for none.
    :ivar parcel: the message on its way out (``IParcel``), when it is to be sent.
    """

    error: StatusError | None = None
    base: int = 0
    draft: ItemDraft | None = None
    body: PreparedBody | BodyRef | None = None
    parcel: Any = None
    files: tuple[tuple[str, str], ...] = ()
    renamed: bool = False


@define(eq=False)
class DraftAuthor:
    """A `posthouse.eas.orders.Author` for one run of one transaction.

    :ivar sent: the parcels that were handed over, to be told when the transaction is durable.
    """

    prepared: Mapping[int, Prepared]
    device: int
    now: int
    sent: list[Any] = field(factory=list)
    _bodies: dict[int, int] = Factory(dict)

    def add(self, tx: Transaction, folder: Folder, order: Order) -> Written:
        prepared = self._of(order)
        if prepared.parcel is not None:
            self._send(tx, prepared)
            return Written()
        assert prepared.draft is not None
        number = items.add_item(tx, folder, prepared.draft, self._keep(tx, prepared), self.now, self.device)
        return Written(number, 0, prepared.files)

    def rewrites(self, folder: Folder, item: Item) -> bool:
        return folder.type == FolderType.DRAFTS and item.draft

    def change(self, tx: Transaction, folder: Folder, item: Item, order: Order) -> Written:
        prepared = self.prepared.get(id(order))
        if prepared is None or (item.number not in self._bodies and item.body_id != prepared.base):
            raise Stale(cause=f"draft {item.number} was saved by somebody else")
        prepared = self._of(order)
        if prepared.parcel is not None:
            self._send(tx, prepared)
            items.delete_item(tx, item)
            return Written()
        assert prepared.draft is not None
        body = self._bodies[item.number] = self._keep(tx, prepared)
        change = items.replace_item(tx, item, prepared.draft, body, self.device)
        return Written(item.number, change, prepared.files, prepared.renamed)

    def _of(self, order: Order) -> Prepared:
        prepared = self.prepared.get(id(order))
        if prepared is None:
            raise Stale(cause="a command that was not prepared")
        if prepared.error is not None:
            raise prepared.error
        return prepared

    def _send(self, tx: Transaction, prepared: Prepared) -> None:
        prepared.parcel.hand_over(tx)
        self.sent.append(prepared.parcel)

    def _keep(self, tx: Transaction, prepared: Prepared) -> int:
        body = prepared.body
        if isinstance(body, PreparedBody):
            return bodies.put_body(tx, body, self.now).id
        if body is None or bodies.body_ref(tx, body.id) != body:
            raise Stale(cause="a body was swept before its draft was saved")
        return body.id


# Ahead of the transaction --------------------------------------------------------------------------------


async def prepare(call: Call, ask: Ask) -> dict[int, Prepared] | None:
    """Everything that the drafts of a request need; None when nothing in that collection can be written.

    :return: by the identity of the `Order`.
    :raises TryLater: the disk or the store is full or busy; nothing was done.
    """
    heavy = [order for order in ask.orders if is_heavy(order)]
    if call.version < (16, 0) or not heavy:
        return None
    known = await call.read(lambda tx: _known(tx, call, ask))
    if known is None:
        return None
    work = _Preparation(call, ask)
    found: dict[int, Prepared] = {}
    for order in heavy:
        seen = digest(order)
        result = known.get(memory_key(order, seen))
        if result is not None and result.digest == seen:
            continue  # done already, and answered from memory
        try:
            found[id(order)] = await work.one(order)
        except StatusError as error:
            found[id(order)] = Prepared(error=error, base=work.base)
        await call.breathe()
    return found


def _known(tx: Transaction, call: Call, ask: Ask) -> Mapping[str, AddResult] | None:
    """What is remembered of a request with that key; None when the collection is not the Drafts folder."""
    folder = folders.folder_by_number(tx, call.account.mailbox_id, parse_number(ask.collection_id))
    if folder is None or folder.type != FolderType.DRAFTS:
        return None
    row = devices.load_state(tx, call.device.id, str(folder.number))
    if row is None or row.old_key != ask.key or not row.new_key:
        return {}
    return Generation.load(row.new).results


@define(eq=False)
class _Preparation:
    """The drafts of one request; a draft that is changed twice is built upon what the first change made of it."""

    call: Call
    ask: Ask
    base: int = 0
    _latest: dict[int, bytes] = Factory(dict)

    async def one(self, order: Order) -> Prepared:
        """:raises StatusError: what the command is refused with."""
        call = self.call
        number, message = 0, b""
        self.base = 0
        if order.kind == "Change":
            number = parse_number(order.server_id)
            message = await self._stored(number)
        base = self.base
        settings, now = call.services.settings, call.now()
        revision, source, names = _read(order, message, number, call)
        if len(source) + sum(len(one.file.data) for one in revision.add) > settings.max_attachment:
            raise StatusError(Status.ATTACHMENT_IS_TOO_LARGE, "a draft beyond the limit")
        revised = await self._revise(source, revision)
        if order.send:
            return Prepared(base=base, parcel=await self._parcel(revised.message, now))
        whole = revised.message
        draft = draft_from(
            revised.root,
            whole[: revised.root.body_start],
            lambda start, stop: whole[start:stop],
            len(whole),
            now,
        )
        body = await keep_bytes(call.services.db, call.services.pool, whole, now)
        if number:
            self._latest[number] = whole
        return Prepared(
            base=base,
            draft=_marked(evolve(draft, draft=True, read=True), order),
            body=body,
            files=tuple(zip(names, revised.added, strict=False)),
            renamed=revised.renamed,
        )

    async def _stored(self, number: int) -> bytes:
        """The draft as it is; ``base`` says which body it was read from."""
        mailbox = self.call.account.mailbox_id
        limit = self.call.services.settings.max_attachment

        def look(tx: Transaction) -> tuple[int, bytes | None]:
            item = changes.item_by_number(tx, mailbox, number)
            if item is None:
                raise StatusError(NOT_FOUND)
            if item.size > limit:
                return item.body_id, None
            return item.body_id, item.trace + bodies.read_body(tx, item.body_id)

        if number in self._latest:
            return self._latest[number]
        found: tuple[int, bytes | None] = await self.call.read(look)
        self.base, message = found
        if message is None:
            raise StatusError(Status.ATTACHMENT_IS_TOO_LARGE, "a draft beyond the limit")
        return message

    async def _revise(self, message: bytes, revision: Revision) -> Revised:
        services = self.call.services
        names = iter([services.random(15).hex() for _ in range(8)])

        def work() -> Revised:
            return revise(message, revision, lambda: f"=_{next(names, 'posthouse')}")

        size = len(message) + sum(len(one.file.data) for one in revision.add)
        try:
            if services.pool is None or size <= _INLINE:
                return work()
            revised: Revised = await services.pool.run(work)
            return revised
        except Malformed as error:
            raise StatusError(CONVERSION, error.cause) from error

    async def _parcel(self, message: bytes, now: int) -> Any:
        """The message on its way out: dated now, and with nothing done yet."""
        call = self.call
        dated = compose.edit_headers(message, remove=("Date",), add=(("Date", format_date(now)),))
        try:
            return await call.services.outbox.prepare(call.account, dated, True)
        except Malformed as error:
            # R7472: no recipient, or one whose address is none.
            raise StatusError(Status.DRAFT_HAS_NO_RECIPIENT, error.cause or error.public) from error
        except TooLarge as error:
            raise StatusError(Status.SEND_QUOTA_EXCEEDED, error.cause) from error
        except NotPermitted as error:
            raise StatusError(Status.MAIL_SUBMISSION_FAILED, error.cause or error.public) from error
        except PosthouseError as error:
            if error.temporary:
                raise
            raise StatusError(status_of(error), error.cause) from error


def _marked(draft: ItemDraft, order: Order) -> ItemDraft:
    """An Add may bring its marks along; those of a Change are set apart from its content."""
    if order.kind != "Add" or order.data is None:
        return draft
    wanted = read_change(order.data)
    return evolve(
        draft,
        read=True if wanted.read is None else wanted.read,
        flag=wanted.flag if isinstance(wanted.flag, Flag) and wanted.flag is not ABSENT else None,
        categories=wanted.categories or (),
    )


# What an ApplicationData says ------------------------------------------------------------------------------


def _read(order: Order, message: bytes, number: int, call: Call) -> tuple[Revision, bytes, list[str]]:
    """What is to become of a message. :return: the revision, the message to revise, the additions' ClientIds.

    :raises StatusError: 6 for what no draft may carry.
    """
    data = order.data if order.data is not None else Element("")
    if data.find(Email2.Sender) is not None:
        raise StatusError(CONVERSION, "Sender is the server's")  # MS-ASEMAIL R723
    text, html, whole = _body(data)
    if whole is not None:
        message = whole
    fields = _missing(message, call)
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


def _missing(message: bytes, call: Call) -> list[tuple[str, str]]:
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
        found.append(("Message-ID", f"<{call.services.random(12).hex()}@{domain}>"))
    return found


def _body(data: Element) -> tuple[str | None, str | None, bytes | None]:
    """Text, HTML or the whole message, whichever is there."""
    body = data.find(AirSyncBase.Body)
    if body is None or (body.find(AirSyncBase.Data) is None and body.find(AirSyncBase.Type) is None):
        return None, None, None
    kind = (body.text(AirSyncBase.Type) or PLAIN).strip()
    if body.find(AirSyncBase.Data) is None and kind == MIME:
        raise StatusError(CONVERSION, "a message without Data")
    if kind == MIME:
        # R14890: header, text and attachments are all in it.
        return None, None, body.blob(AirSyncBase.Data) or b""
    if kind not in (PLAIN, HTML):
        raise StatusError(CONVERSION, f"a draft body of type {kind[:10]}")
    if body.find(AirSyncBase.Data) is None:
        # R878: without Data the text stays as it is.
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
            found.append(E(Email2.ConversationIndex, added.conversation_index))
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
