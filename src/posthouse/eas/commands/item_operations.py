"""ItemOperations: fetch a message or an attachment, empty a folder, move a conversation (MS-ASCMD 2.2.1.10).

Promise: operations run in the order of the request, each with a status of its own, and the options of a
Fetch are its own; Range is answered only when it was asked for. The multipart form is 2.2.1.10.1.1.
"""

from __future__ import annotations

import re
import struct

from attrs import define, field

from posthouse.eas.call import Answer, Call, Result
from posthouse.eas.commands.conversations import move_conversation
from posthouse.eas.content.attachment import AttachmentData, read_attachment
from posthouse.eas.content.email import MailReader
from posthouse.eas.content.options import MailOptions, read_options
from posthouse.eas.encoding import encode_answer
from posthouse.eas.hierarchy import visible
from posthouse.eas.ids import RECIPIENT_CACHE, parse_file_reference, parse_number
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.errors import NoSuchFolder, NoSuchItem, NotPermitted, PosthouseError, TooLarge
from posthouse.model import Folder, Item
from posthouse.store import bulk, changes, folders
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSync, AirSyncBase, DocumentLibrary, Search
from posthouse.wbxml.tags import ItemOperations as I
from posthouse.wbxml.tree import E, Element

#: MS-ASCMD 2.2.3.177.8
OK = 1
PROTOCOL_ERROR = 2
BAD_LINK = 4
NOT_FOUND = 6
BAD_RANGE = 8
UNKNOWN_STORE = 9
EMPTY_FILE = 10
TOO_LARGE = 11
NOT_CONVERTED = 14
BAD_ATTACHMENT = 15
ACCESS_DENIED = 16
PARTLY = 17

#: R7489: of Fetch, EmptyFolderContents and Move together.
_MOST_OPERATIONS = 100

MULTIPART = "application/vnd.ms-sync.multipart"

#: MS-ASDOC 2.2.2.4: what a LinkId looks like.
_LINK = re.compile(r"\\\\[^\\]+\\[^\\]|(?:https?|file)://[^/]+/.", re.IGNORECASE)

_OPERATIONS = (I.Fetch, I.EmptyFolderContents, I.Move)


@define(eq=False)
class _Parts:
    """The contents that leave the document in the multipart form."""

    wanted: bool
    found: list[bytes] = field(factory=list)
    size: int = 0

    def add(self, data: bytes) -> Element:
        """The Part element that stands for ``data``; part 0 is the document itself."""
        self.found.append(data)
        return E(I.Part, len(self.found))


@command("ItemOperations")
class ItemOperations(Command):
    """All operations of one request."""

    async def run(self, call: Call) -> Result:
        request = call.request
        assert request is not None
        operations = [child for child in request.children if child.tag in _OPERATIONS]
        if not operations:
            raise StatusError(PROTOCOL_ERROR, "no operation")
        if len(operations) > _MOST_OPERATIONS:
            raise StatusError(TOO_LARGE, f"{len(operations)} operations")
        for operation in operations:
            if operation.tag == I.Fetch:
                _validate(operation)
        parts = _Parts(call.accept_multipart)
        answers: dict[str, list[Element]] = {I.Move: [], I.EmptyFolderContents: [], I.Fetch: []}
        for operation in operations:
            # Executed in the order of the request (R193), listed in that of the schema.
            if operation.tag == I.Fetch:
                answers[I.Fetch].append(await self._fetch(call, operation, parts))
            elif operation.tag == I.EmptyFolderContents:
                answers[I.EmptyFolderContents].append(await self._empty(call, operation))
            else:
                answers[I.Move].append(await move_conversation(call, operation))
            await call.breathe()
        call.notes["operations"] = len(operations)
        root = E(
            I.ItemOperations,
            E(I.Status, OK),
            E(I.Response, [answer for group in answers.values() for answer in group]),
        )
        if not parts.wanted:
            return root
        return Answer(
            body=_multipart([await encode_answer(call, root), *parts.found]), content_type=MULTIPART
        )

    # -- emptying

    async def _empty(self, call: Call, operation: Element) -> Element:
        named = operation.text(AirSync.CollectionId)
        if not named:
            return E(I.EmptyFolderContents, E(I.Status, PROTOCOL_ERROR), E(AirSync.CollectionId, named or ""))
        if named == RECIPIENT_CACHE:
            # R196, R4167
            return E(I.EmptyFolderContents, E(I.Status, ACCESS_DENIED), E(AirSync.CollectionId, named))
        try:
            removed = await self._empty_folder(
                call, parse_number(named), operation.find(I.Options, I.DeleteSubFolders) is not None
            )
            call.notes["emptied"] = removed
            status = OK
        except NoSuchFolder:
            status = NOT_FOUND
        except NotPermitted:
            status = ACCESS_DENIED
        return E(I.EmptyFolderContents, E(I.Status, status), E(AirSync.CollectionId, named))

    async def _empty_folder(self, call: Call, number: int, below: bool) -> int:
        """Empty a folder; its deletions are news to this device, too (R289)."""
        mailbox = call.account.mailbox_id

        def look(tx: Transaction) -> tuple[Folder, list[Folder]]:
            folder = folders.folder_by_number(tx, mailbox, number)
            if folder is None or not visible(folder):
                raise NoSuchFolder(cause=f"folder {number}")
            listed = folders.list_folders(tx, mailbox)
            return folder, [one for one in listed if one.parent == folder.number and visible(one)]

        folder, inside = await call.read(look)
        removed = await bulk.until_done(call.services.db, lambda tx: bulk.empty_folder(tx, folder))
        for child in inside if below else ():
            await call.write(lambda tx, child=child: folders.delete_folder(tx, child))
        return removed

    # -- fetching

    async def _fetch(self, call: Call, asked: Element, parts: _Parts) -> Element:
        store = asked.text(I.Store)
        if not store:
            return _refused(asked, PROTOCOL_ERROR)
        if store.strip().lower() != "mailbox":
            return _refused(asked, _library(asked, store))
        try:
            if asked.find(AirSyncBase.FileReference) is not None:
                return await self._fetch_file(call, asked, parts)
            return await self._fetch_item(call, asked, parts)
        except StatusError as error:
            return _refused(asked, error.status)
        except TooLarge:
            return _refused(asked, TOO_LARGE)
        except NoSuchItem:
            return _refused(asked, NOT_FOUND)

    async def _fetch_file(self, call: Call, asked: Element, parts: _Parts) -> Element:
        reference = asked.text(AirSyncBase.FileReference) or ""
        named = parse_file_reference(reference)
        if named is None:
            raise StatusError(BAD_ATTACHMENT, f"FileReference {reference[:40]!r}")  # ASAIRS R214
        span = _range(_option(asked, I.Range))
        most = call.services.settings.max_attachment
        limit = most - parts.size
        if call.policy is not None:
            if not call.policy.attachments_allowed:
                raise StatusError(ACCESS_DENIED, "no attachments by the policy")  # ASPROV R206
            limit = min(limit, call.policy.attachment_limit(most))
        mailbox, (number, path) = call.account.mailbox_id, named
        start, stop = span if span is not None else (0, None)
        try:
            found, text = await call.read(
                lambda tx: _read_file(tx, mailbox, number, path, limit, start, stop, inline=not parts.wanted)
            )
        except NoSuchItem as error:
            raise StatusError(BAD_ATTACHMENT, error.cause) from error
        if span is not None and not found.data:
            raise StatusError(EMPTY_FILE if not found.total else BAD_RANGE, f"{span} of {found.total} bytes")
        parts.size += len(found.data)
        call.notes["attachment_bytes"] = len(found.data)
        return E(
            I.Fetch,
            E(I.Status, OK),
            E(AirSyncBase.FileReference, reference),
            E(I.Properties, _file_properties(found, text, parts, ranged=span is not None)),
        )

    async def _fetch_item(self, call: Call, asked: Element, parts: _Parts) -> Element:
        collection, server_id = asked.text(AirSync.CollectionId), asked.text(AirSync.ServerId)
        long_id = asked.text(Search.LongId)
        if long_id is None and (not collection or not server_id):
            raise StatusError(PROTOCOL_ERROR, "neither ServerId with CollectionId nor FileReference")
        options = read_options(asked.find(I.Options), PROTOCOL_ERROR)
        mailbox = call.account.mailbox_id
        if long_id is not None:
            # A result of Search: the item's number, wherever it lies.
            item = await call.read(lambda tx: _found_item(tx, mailbox, long_id))
        else:
            item = await call.read(lambda tx: _item(tx, mailbox, collection or "", server_id or ""))
        elements = await _rendered(call, item, options)
        schema = asked.find(I.Options, I.Schema) or asked.find(I.Schema)
        if schema is not None and schema.children:
            wanted = {child.tag for child in schema.children}
            elements = [element for element in elements if element.tag in wanted]
        if parts.wanted:
            elements = [_parted(element, parts) for element in elements]
        return E(
            I.Fetch,
            E(I.Status, OK),
            [
                E(tag, text)
                for tag, text in (
                    (AirSync.CollectionId, collection if long_id is None else None),
                    (AirSync.ServerId, server_id if long_id is None else None),
                    (Search.LongId, long_id),
                )
                if text is not None
            ],
            E(AirSync.Class, "Email"),
            E(I.Properties, elements),
        )


def _validate(asked: Element) -> None:
    """What is wrong in the form of one Fetch is wrong with the whole command, before anything is done.

    :raises StatusError: 2 (R765, R3547, MS-ASAIRS R346, R10030), 164.
    """
    if len(asked.findall(AirSyncBase.FileReference)) > 1:
        raise StatusError(PROTOCOL_ERROR, "two files in one Fetch")
    if _option(asked, I.Range) is not None and not (_option(asked, I.Range) or "").strip():
        raise StatusError(PROTOCOL_ERROR, "an empty Range")
    read_options(asked.find(I.Options), PROTOCOL_ERROR)


def _refused(asked: Element, status: int) -> Element:
    """A Fetch that failed: its status and the names it was asked by, in the order of the schema."""
    names = (
        AirSync.CollectionId,
        AirSync.ServerId,
        Search.LongId,
        DocumentLibrary.LinkId,
        AirSyncBase.FileReference,
    )
    return E(
        I.Fetch,
        E(I.Status, int(status)),
        [E(tag, text) for tag in names if (text := asked.text(tag))],
    )


def _library(asked: Element, store: str) -> int:
    """Why nothing comes from any other store: no library of documents is reached from here."""
    link = asked.text(DocumentLibrary.LinkId)
    if store.strip().lower().replace(" ", "") == "documentlibrary" and link is not None:
        # R4156: neither a share of a server nor the address of a document.
        return UNKNOWN_STORE if _LINK.match(link) else BAD_LINK
    return UNKNOWN_STORE


def _option(asked: Element, tag: str) -> str | None:
    options = asked.find(I.Options)
    return options.text(tag) if options is not None else None


def _range(text: str | None) -> tuple[int, int] | None:
    """ "0-9" as (0, 10): ten bytes (R3711). :raises StatusError: 8."""
    if text is None:
        return None
    first, dash, last = text.strip().partition("-")
    numbers = first.isascii() and first.isdigit() and last.isascii() and last.isdigit()
    if not dash or not numbers or len(first) > 12 or len(last) > 12 or int(first) > int(last):
        raise StatusError(BAD_RANGE, f"range {text[:30]!r}")
    return int(first), int(last) + 1


def _read_file(
    tx: Transaction,
    mailbox: int,
    number: int,
    path: str,
    limit: int,
    start: int,
    stop: int | None,
    *,
    inline: bool,
) -> tuple[AttachmentData, str]:
    """The attachment and, for the document, its base64: both made on the reader thread."""
    found = read_attachment(tx, mailbox, number, path, limit, start, stop)
    return found, found.base64() if inline else ""


def _file_properties(found: AttachmentData, text: str, parts: _Parts, *, ranged: bool) -> list[Element]:
    # Data first: iOS takes the attachments of events in that order only (horde 9ccfd38f).
    data = parts.add(found.data) if parts.wanted else E(I.Data, text)
    properties = [data]
    if ranged:
        # Only when asked: else iOS 10 breaks; but then always: Android 5 needs them.
        properties.append(E(I.Range, f"{found.start}-{found.start + len(found.data) - 1}"))
        properties.append(E(I.Total, found.total))
    properties.append(E(AirSyncBase.ContentType, found.content_type))
    return properties


def _item(tx: Transaction, mailbox_id: int, collection: str, server_id: str) -> Item:
    folder = folders.folder_by_number(tx, mailbox_id, parse_number(collection))
    item = changes.item_by_number(tx, mailbox_id, parse_number(server_id))
    if folder is None or item is None or item.folder_id != folder.id:
        raise NoSuchItem(cause=f"no item {server_id[:20]!r} in folder {collection[:20]!r}")
    return item


def _found_item(tx: Transaction, mailbox_id: int, long_id: str) -> Item:
    item = changes.item_by_number(tx, mailbox_id, parse_number(long_id))
    folder = folders.folder_by_id(tx, item.folder_id) if item is not None else None
    if item is None or folder is None or not visible(folder):
        raise NoSuchItem(cause=f"no item of LongId {long_id[:20]!r}")
    return item


async def _rendered(call: Call, item: Item, options: MailOptions) -> list[Element]:
    reader = MailReader(call, (item,), options)
    data = await reader.take()
    if data is None or data.error is not None:
        cause = data.error if data is not None else None
        if isinstance(cause, PosthouseError) and cause.temporary:
            raise cause
        raise StatusError(NOT_CONVERTED, f"item {item.number}: {cause!r}")
    return list(data.elements)


def _parted(element: Element, parts: _Parts) -> Element:
    """A body with its data taken out (MS-ASAIRS R176, R244)."""
    if element.tag != AirSyncBase.Body:
        return element
    children = []
    tail = []
    for child in element.children:
        if child.tag == AirSyncBase.Data:
            content = child.content or b""
            data = content.encode("utf-8", "ignore") if isinstance(content, str) else content
            tail.append(parts.add(data))
        else:
            children.append(child)
    return Element(element.tag, None, [*children, *tail])


def _multipart(pieces: list[bytes]) -> bytes:
    """MultiPartResponse: the count, offset and length of each part, the parts (R5509-R5518)."""
    offset = 4 + 8 * len(pieces)
    head = [struct.pack("<I", len(pieces))]
    for piece in pieces:
        head.append(struct.pack("<II", offset, len(piece)))
        offset += len(piece)
    return b"".join((*head, *pieces))
