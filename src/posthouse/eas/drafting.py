"""Sending, saving and rewriting the drafts of a Sync request (16.0 and above).

Promise: a draft is sent exactly once. Everything slow (reading the stored draft, making the message, preparing its
body and its way out) is done ahead; then one transaction keeps the collection's new state, saves or removes the
draft and hands the message to the queue. Either all of that is there or nothing, and a repeated request is answered
from the state that the same transaction kept. A draft that changed meanwhile is prepared again.

MS-ASEMAIL 2.2.2.69 (Send), MS-ASCMD 2.2.3.181.4 (repeated requests), 2.2.2 (183: nobody to send it to).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import Factory, define, evolve, field, frozen

from posthouse.eas.asked import Ask, Order, Written
from posthouse.eas.content.drafts import read_draft
from posthouse.eas.content.flag import ABSENT, read_change
from posthouse.eas.generation import AddResult, Generation
from posthouse.eas.ids import parse_number
from posthouse.eas.orders import CONVERSION, NO_ROOM, NOT_FOUND, digest, is_heavy, memory_key
from posthouse.eas.statuses import Status, StatusError, status_of
from posthouse.errors import Malformed, NotPermitted, OverQuota, PosthouseError, TooLarge, TryLater
from posthouse.mime import compose
from posthouse.mime.dates import format_date
from posthouse.mime.draft import draft_from
from posthouse.mime.revise import Revised, Revision, revise
from posthouse.model import BodyRef, Flag, Folder, FolderType, Item, ItemDraft
from posthouse.store import bodies, changes, devices, folders, items, quotas
from posthouse.store.bodies import PreparedBody
from posthouse.store.keep import keep_bytes
from posthouse.store.transaction import Transaction

if TYPE_CHECKING:
    from posthouse.eas.call import Call

T = TypeVar("T")

#: More than this much is made into a message in a thread.
_INLINE = 1 << 15


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
    """A `posthouse.eas.asked.Author` for one run of one transaction.

    :ivar quota: bytes of a mailbox that has none of its own; 0: no limit.
    :ivar sent: the parcels that were handed over, to be told when the transaction is durable.
    """

    prepared: Mapping[int, Prepared]
    device: int
    now: int
    quota: int = 0
    sent: list[Any] = field(factory=list)
    _bodies: dict[int, int] = Factory(dict)

    def add(self, tx: Transaction, folder: Folder, order: Order, holds: Callable[[int], bool]) -> Written:
        prepared = self._of(order)
        if prepared.parcel is not None:
            self._send(tx, prepared)
            return Written()
        assert prepared.draft is not None
        there = items.fresh_draft(tx, folder.id, prepared.draft.message_id, prepared.draft.size)
        if there and not holds(there):
            # Its answer was lost, and the device began anew: the draft is there, and as it says. ClientIds restart:
            # one who knows that draft means another.
            return Written(there, 0, prepared.files)
        try:
            quotas.check(tx, folder.mailbox_id, self.quota, self.now)
        except OverQuota as error:
            # MS-ASCMD 2.2.3.177.17: the user has to free space, then the client may try again.
            raise StatusError(NO_ROOM, error.cause) from error
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
        seen = await _aside(call, _weight(order), digest, order)
        result = known.get(memory_key(order, seen))
        if result is not None and result.digest == seen:
            continue  # done already, and answered from memory
        try:
            found[id(order)] = await work.one(order)
        except StatusError as error:
            found[id(order)] = Prepared(error=error, base=work.base)
        await call.breathe()
    return found


def _weight(order: Order) -> int:
    """About how many bytes a command brings along."""
    return sum(len(one.content or "") for one in order.data.iter()) if order.data is not None else 0


async def _aside(call: Call, weight: int, work: Callable[..., T], *args: Any) -> T:
    """Do ``work`` here, or in a thread when it is much: hashing, decoding and joining release the interpreter."""
    pool = call.services.pool
    if pool is None or weight <= _INLINE:
        return work(*args)
    found: T = await pool.run(work, *args)
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
        revision, source, names = await _aside(call, _weight(order), read_draft, order, message, number, call)
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
            unpack=False,
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
        names = iter([self.call.services.random(15).hex() for _ in range(8)])
        size = len(message) + sum(len(one.file.data) for one in revision.add)
        size += len(revision.html or revision.text or "")
        try:
            return await _aside(
                self.call, size, revise, message, revision, lambda: f"=_{next(names, 'posthouse')}"
            )
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
            if error.temporary and not isinstance(error, OverQuota):
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
