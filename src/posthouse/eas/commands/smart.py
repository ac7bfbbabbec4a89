"""SmartReply and SmartForward: the device's text, merged with the original here (MS-ASCMD 2.2.1.19, 2.2.1.20).

Promise: the message, its Sent copy, the record of its ClientId and the mark on the original (LastVerbExecuted)
are one transaction; a repeated request sends nothing twice (status 118). The mark is news to every device, also to
the one that asked. With ReplaceMime the device sends all there is to send, and that goes out byte by byte
(R3775). At 12.1 and below the body is the MIME itself, and the original stands in the query (MS-ASHTTP R115-R122).
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from posthouse.eas.call import Call
from posthouse.eas.commands.send_mail import check_mime, refuse_repetition, submit
from posthouse.eas.content.moments import read_moment
from posthouse.eas.grammar import Child, Rule
from posthouse.eas.ids import parse_number
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError
from posthouse.eas.versions import Version
from posthouse.errors import NoSuchItem
from posthouse.mime import reply as merging
from posthouse.mime.addresses import fold_address, parse_mailboxes
from posthouse.mime.headers import parse_headers
from posthouse.mime.scan import load_structure
from posthouse.model import Item
from posthouse.store import bodies, changes, folders, items
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSyncBase, ComposeMail, RightsManagement
from posthouse.wbxml.tree import Element

#: MS-ASEMAIL 2.2.2.44, LastVerbExecuted
REPLIED = 1
REPLIED_TO_ALL = 2
FORWARDED = 3

#: More than this much is merged in a thread.
_INLINE = 1 << 15

_SOURCE = Rule(
    {
        ComposeMail.FolderId: Child(least_length=1, length=64),
        ComposeMail.ItemId: Child(least_length=1, length=64),
        ComposeMail.LongId: Child(least_length=1, length=256),
        ComposeMail.InstanceId: Child(length=64),
    }
)

_GRAMMAR = Rule(
    {
        ComposeMail.ClientId: Child(least=1, least_length=1, length=40),
        ComposeMail.Source: Child(least=1, kind="container", rule=_SOURCE),
        ComposeMail.AccountId: Child(length=1024),
        ComposeMail.SaveInSentItems: Child(kind="empty"),
        ComposeMail.ReplaceMime: Child(kind="empty"),
        ComposeMail.Mime: Child(kind="any"),
        RightsManagement.TemplateID: Child(kind="any"),
        AirSyncBase.Body: Child(kind="any"),
        ComposeMail.Forwardees: Child(kind="any"),
    }
)

#: What the form for meetings has no place for (R7176).
_NOT_FOR_MEETINGS = (
    ComposeMail.Mime,
    ComposeMail.SaveInSentItems,
    ComposeMail.ReplaceMime,
    RightsManagement.TemplateID,
)


@frozen
class _Wish:
    """What a request asks for, whatever form it has."""

    mime: bytes
    save: bool
    client_id: str = ""
    folder: str = ""
    item: str = ""
    long_id: str = ""
    instance: str | None = None
    replace: bool = False


class _Smart(Command):
    raw_until = (12, 1)
    grammar = _GRAMMAR
    forwards = False

    async def run(self, call: Call) -> None:
        wish = _from_query(call) if call.request is None else _from_document(call.request, call.version)
        check_mime(wish.mime)
        named = "\0".join((self.name, wish.folder, wish.item, wish.long_id, ""))
        sent_as = named.encode("utf-8", "replace") + wish.mime
        await refuse_repetition(call, wish.client_id, sent_as)
        item = await self._source(call, wish)
        call.notes["source"] = item.number
        mime = wish.mime
        if not wish.replace:
            mime = await self._merge(call, item, mime)
        verb = FORWARDED if self.forwards else _reply_verb(wish.mime, item, call.account.address)
        now = call.now()

        def mark(tx: Transaction) -> None:
            fresh = changes.item_by_id(tx, item.id)
            # Gone while the message was made: it is sent, there is nothing left to mark.
            if fresh is not None:
                # No origin: the mark is news to the device that caused it, too.
                items.set_verb(tx, fresh, verb, now)

        await submit(
            call,
            mime,
            wish.save,
            wish.client_id,
            sent_as=sent_as,
            then=mark,
        )

    async def _source(self, call: Call, wish: _Wish) -> Item:
        """:raises StatusError: 104 a bad InstanceId, 105 ids that exclude each other, 106 none, 150 unknown."""
        if wish.instance is not None:
            # R541, R578. Valid, it names an occurrence; a message is its only one.
            read_moment(wish.instance, int(Status.INVALID_DATE_TIME))
        if wish.long_id and (wish.item or wish.folder or wish.instance is not None):
            raise StatusError(Status.INVALID_COMBINATION_OF_IDS, "LongId beside other ids")
        # What Search gives as LongId is the item's ServerId.
        named = wish.long_id or wish.item
        if not named:
            raise StatusError(Status.INVALID_IDS, "no ItemId and no LongId")
        mailbox = call.account.mailbox_id

        def look(tx: Transaction) -> Item | None:
            item = changes.item_by_number(tx, mailbox, parse_number(named))
            if item is None or not wish.folder:
                return item
            folder = folders.folder_by_number(tx, mailbox, parse_number(wish.folder))
            return item if folder is not None and folder.id == item.folder_id else None

        item: Item | None = await call.read(look)
        if item is None:
            raise StatusError(Status.ITEM_NOT_FOUND, f"no item {named[:20]!r}")
        return item

    async def _merge(self, call: Call, item: Item, mime: bytes) -> bytes:
        """:raises StatusError: 115 the two together are too large, 150 the original went meanwhile."""
        if item.size > call.services.settings.max_attachment:
            raise StatusError(Status.SEND_QUOTA_EXCEEDED, f"an original of {item.size} bytes")
        root = load_structure(item.structure)
        spans = merging.wanted(root, item.size, forwarding=self.forwards)
        try:
            found = await call.read(lambda tx: _read(tx, item, spans))
        except NoSuchItem as error:
            raise StatusError(Status.ITEM_NOT_FOUND, error.cause) from error
        original = merging.Original(root, found.read, item.size, item.trace)
        boundaries = iter([call.services.random(15).hex() for _ in range(12)])
        merge = merging.forward if self.forwards else merging.reply

        def work() -> bytes:
            return merge(mime, original, lambda: f"=_{next(boundaries, 'posthouse')}")

        pool = call.services.pool
        if pool is None or len(mime) + found.size <= _INLINE:
            return work()
        merged: bytes = await pool.run(work)
        return merged


@command("SmartReply")
class SmartReply(_Smart):
    """An answer with the original quoted under it."""


@command("SmartForward")
class SmartForward(_Smart):
    """A forward with the original's text and attachments."""

    forwards = True


def _from_query(call: Call) -> _Wish:
    query = call.query
    return _Wish(
        call.raw,
        query.save_in_sent,
        folder=query.collection_id,
        item=query.item_id,
        long_id=query.long_id,
        instance=query.occurrence or None,
    )


def _from_document(root: Element, version: Version) -> _Wish:
    if root.find(ComposeMail.AccountId) is not None:
        # R724: the only account of a user is the primary one, and that has no AccountId.
        raise StatusError(Status.INVALID_ACCOUNT_ID, "AccountId")
    mime = root.blob(ComposeMail.Mime)
    if root.find(ComposeMail.Forwardees) is not None or root.find(AirSyncBase.Body) is not None:
        _check_meeting(root, version)
        # There is no class of meetings here.
        raise StatusError(Status.UNEXPECTED_ITEM_CLASS, "a meeting is to be forwarded")
    if mime is None:
        raise StatusError(Status.INVALID_XML, "no Mime")
    source = root.find(ComposeMail.Source)
    assert source is not None  # by the grammar
    return _Wish(
        mime,
        root.find(ComposeMail.SaveInSentItems) is not None,
        root.text(ComposeMail.ClientId) or "",
        source.text(ComposeMail.FolderId) or "",
        source.text(ComposeMail.ItemId) or "",
        source.text(ComposeMail.LongId) or "",
        source.text(ComposeMail.InstanceId),
        root.find(ComposeMail.ReplaceMime) is not None,
    )


def _check_meeting(root: Element, version: Version) -> None:
    """The form for meetings, which came with 16.0.

    :raises StatusError: 178 beside what it excludes, 179 not to be read; 103 for both where there was no such form.
    """
    beside = [tag for tag in _NOT_FOR_MEETINGS if root.find(tag) is not None]
    if beside:
        status = Status.INVALID_SMART_FORWARD if version >= (16, 0) else Status.INVALID_XML  # R7467, R7468
        raise StatusError(status, f"Forwardees or Body beside {', '.join(beside)}")
    people, body = root.find(ComposeMail.Forwardees), root.find(AirSyncBase.Body)
    readable = people is None or (
        people.children
        and all((one.text(ComposeMail.ForwardeeEmail) or "").strip() for one in people.children)
    )
    if not readable or (body is not None and (body.text(AirSyncBase.Type) or "").strip() not in ("1", "2")):
        status = Status.INVALID_FORWARDEES if version >= (16, 0) else Status.INVALID_XML  # R7470
        raise StatusError(status, "Forwardees or Body")


@frozen(eq=False)
class _Spans:
    """Some ranges of a stored message."""

    found: tuple[tuple[int, bytes], ...]

    @property
    def size(self) -> int:
        return sum(len(data) for _, data in self.found)

    def read(self, start: int, stop: int) -> bytes:
        """The range, as far as one of the spans holds it."""
        best = b""
        for first, data in self.found:
            if first <= start:
                part = data[start - first : max(start, stop) - first]
                best = part if len(part) > len(best) else best
        return best


def _read(tx: Transaction, item: Item, spans: list[tuple[int, int]]) -> _Spans:
    return _Spans(
        tuple(
            (start, bodies.read_body(tx, item.body_id, start, stop)) for start, stop in spans if stop > start
        )
    )


def _reply_verb(mime: bytes, item: Item, own: str) -> int:
    """Reply to all when it goes to one of the original's other recipients (MS-ASEMAIL R516, R517)."""
    head = mime[: 1 << 20].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    to: set[str] = set()
    for name, value in parse_headers(head + b"\n"):
        if name in ("to", "cc", "bcc"):
            to |= _addresses(value)
    answered = {fold_address(item.sender_address), fold_address(own), *_addresses(item.reply_to)}
    others = (_addresses(item.to) | _addresses(item.cc)) - answered
    return REPLIED_TO_ALL if to & others else REPLIED


def _addresses(value: Any) -> set[str]:
    return {fold_address(box.address) for box in parse_mailboxes(value) if box.address} if value else set()
