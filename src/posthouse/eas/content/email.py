"""Mail as ApplicationData: every element of MS-ASEMAIL that this version of the protocol knows.

Promise: the elements of one item are a function of the stored row, the options and the version; a message
that cannot be rendered harms no other. Bodies are read in batches on a reader thread, ahead of their use,
and nothing holds the reactor longer than `posthouse.eas.call.SLICE`. Implements MS-ASEMAIL 2.2.2, MS-ASAIRS
2.2.2.7 to .9. Bare numbers are MS-ASEMAIL.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from twisted.internet.defer import Deferred

from posthouse.eas.call import Call
from posthouse.eas.content.addressees import MOST_ADDRESSES, display_names, with_semicolons
from posthouse.eas.content.body import (
    Choice,
    Plan,
    Rendered,
    Unrendered,
    body_element,
    complete,
    excluded,
    plan,
    render_choice,
)
from posthouse.eas.content.flag import flag_element
from posthouse.eas.content.meeting import content_class, meeting_element, read_calendar, shown_class
from posthouse.eas.content.moments import write_moment
from posthouse.eas.content.options import MailOptions
from posthouse.eas.content.voice import Voice, caller_elements, read_voice, recording_elements
from posthouse.eas.versions import Version
from posthouse.errors import PosthouseError
from posthouse.mime.bodies import choose_bodies
from posthouse.mime.scan import load_structure
from posthouse.mime.threads import short_index
from posthouse.mime.tnef import OLE_TYPE
from posthouse.model import AttachmentInfo, ChangeGroup, Item
from posthouse.pim.invitation import Invitation
from posthouse.store import bodies as store_bodies
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSyncBase, Email, Email2
from posthouse.wbxml.tree import Element

#: One batch of bodies: this many messages, or this many bytes.
_BATCH = 32
_BATCH_BYTES = 1 << 20

#: MS-ASAIRS 2.2.2.31: an embedded message, an embedded object; all others are normal.
_METHODS = {"message/rfc822": "5", OLE_TYPE: "6"}


def file_reference(item: Item, attachment: AttachmentInfo) -> str:
    """The permanent name of an attachment: the item's number and the MIME part's."""
    return f"{item.number}:{attachment.path}"


@frozen
class Prepared:
    """A message of which it is known what to read; ``error`` when even that failed."""

    item: Item
    plan: Plan | None
    part: Choice | None = None
    error: Exception | None = None


@frozen
class MailData:
    """One rendered message.

    :ivar elements: the children of ApplicationData (or Properties). :ivar size: about how many bytes they
        take.
    :ivar error: why there are none; the item is broken and others are not.
    """

    item: Item
    elements: tuple[Element, ...] = ()
    size: int = 0
    error: Exception | None = None


def prepare(item: Item, options: MailOptions) -> Prepared:
    """Decide what has to be read of a message."""
    try:
        root = load_structure(item.structure)
        bodies = choose_bodies(root)
        part = None
        if options.body_part is not None:
            part = plan(item, root, bodies, MailOptions(bodies=(options.body_part,))).choices[0]
        return Prepared(item, plan(item, root, bodies, options), part)
    except (PosthouseError, ValueError, TypeError, LookupError, RecursionError) as error:
        return Prepared(item, None, error=error)


def _ranges(prepared: Prepared) -> list[tuple[int, int | None]]:
    assert prepared.plan is not None
    wanted = [prepared.plan.choices[0]]
    if prepared.part is not None:
        wanted.append(prepared.part)
    ranges = [(choice.start, choice.stop) for choice in wanted]
    # Behind the others, where `MailReader` looks for it; no message is both.
    if prepared.plan.calendar is not None:
        ranges.append(prepared.plan.calendar[1:])
    elif prepared.plan.voice is not None:
        ranges.append(prepared.plan.voice)
    return ranges


def _read(tx: Transaction, item: Item, start: int, stop: int | None) -> bytes:
    if stop is not None and stop <= start:
        return b""
    return store_bodies.read_body(tx, item.body_id, start, stop)


def _read_all(tx: Transaction, batch: Sequence[Prepared]) -> list[list[bytes] | Exception]:
    """The bytes for each message of a batch, on a reader thread."""
    wanted = [
        [(prepared.item.body_id, start, stop) for start, stop in _ranges(prepared)]
        if prepared.plan is not None
        else []
        for prepared in batch
    ]
    data = iter(store_bodies.read_bodies(tx, [one for ranges in wanted for one in ranges]))
    found: list[list[bytes] | Exception] = []
    for prepared, ranges in zip(batch, wanted, strict=True):
        raws: list[bytes] = []
        wrong: Exception | None = None if ranges else prepared.error or PosthouseError()
        for _ in ranges:
            one = next(data)
            if isinstance(one, bytes):
                raws.append(one)
            elif one.temporary:
                raise one
            else:
                wrong = one
        found.append(raws if wrong is None else wrong)
    return found


class MailReader:
    """Renders messages one after the other; the bodies of the next ones are read meanwhile.

    Take as many as fit, then `close`.
    """

    def __init__(self, call: Call, items: Sequence[Item], options: MailOptions) -> None:
        self._call = call
        self._items = items
        self._options = options
        self._next = 0
        self._ahead: tuple[list[Prepared], Deferred[list[list[bytes] | Exception]]] | None = None
        self._ready: list[tuple[Prepared, list[bytes] | Exception]] = []
        # The first batch is small, so that the second is read while it is rendered.
        self._size = _BATCH // 4

    async def take(self) -> MailData | None:
        """The next message, None after the last.

        :raises TryLater: the store cannot be read now.
        """
        if not self._ready:
            if self._ahead is None:
                await self._order()
            if self._ahead is None:
                return None
            batch, reading = self._ahead
            self._ahead = None
            found = await reading
            self._ready = list(zip(batch, found, strict=True))
            self._ready.reverse()
            await self._order()
        prepared, raws = self._ready.pop()
        await self._call.breathe()
        if isinstance(raws, Exception):
            return MailData(prepared.item, error=raws)
        return await self._render(prepared, raws)

    def close(self) -> None:
        """Forget what was read ahead."""
        if self._ahead is not None:
            self._ahead[1].addErrback(lambda failure: None)
            self._ahead = None

    async def _order(self) -> None:
        """Begin to read the next batch."""
        batch: list[Prepared] = []
        expected = 0
        while self._next < len(self._items) and len(batch) < self._size and expected < _BATCH_BYTES:
            item = self._items[self._next]
            self._next += 1
            prepared = prepare(item, self._options)
            batch.append(prepared)
            if prepared.plan is not None:
                expected += sum(
                    (item.size if stop is None else stop - start) for start, stop in _ranges(prepared)
                )
            await self._call.breathe()
        self._size = _BATCH
        if batch:
            self._ahead = batch, self._call.read(lambda tx: _read_all(tx, batch))

    async def _render(self, prepared: Prepared, raws: list[bytes]) -> MailData:
        item = prepared.item
        assert prepared.plan is not None
        try:
            body: Rendered | None = None
            if self._options.bodies or prepared.part is None or self._call.version < (14, 1):
                body = await self._body(item, prepared.plan.choices, raws[0])
            part = await self._body(item, (prepared.part,), raws[1]) if prepared.part is not None else None
            calendar = prepared.plan.calendar
            meeting = read_calendar(calendar[0], raws[-1]) if calendar is not None else None
            voice = read_voice(raws[-1]) if prepared.plan.voice is not None and calendar is None else None
            return MailData(
                item,
                tuple(mail_elements_of(item, prepared.plan, body, part, self._call.version, meeting, voice)),
                size=600
                + (len(body.data) if body is not None else 0)
                + (len(part.data) if part is not None else 0),
            )
        except (PosthouseError, ValueError, TypeError, LookupError, RecursionError) as error:
            if isinstance(error, PosthouseError) and error.temporary:
                raise
            return MailData(item, error=error)

    async def _body(self, item: Item, choices: Sequence[Choice], raw: bytes) -> Rendered:
        """The first choice that is possible; only that one was read ahead."""
        for position, choice in enumerate(choices):
            if position:
                raw = await self._more(item, choice)
            result = render_choice(choice, raw, item)
            if result is Unrendered.MORE:
                choice = complete(choice)
                result = render_choice(choice, await self._more(item, choice), item)
            if isinstance(result, Rendered):
                return result
        return excluded(choices, item)

    async def _more(self, item: Item, choice: Choice) -> bytes:
        return await self._call.read(lambda tx: _read(tx, item, choice.start, choice.stop))


async def mail_elements(
    call: Call, items: Sequence[Item], options: MailOptions
) -> list[list[Element] | Exception]:
    """All of ``items``: the children of ApplicationData, or what is wrong with the item."""
    reader = MailReader(call, items, options)
    found: list[list[Element] | Exception] = []
    while (data := await reader.take()) is not None:
        found.append(list(data.elements) if data.error is None else data.error)
    return found


def mail_elements_of(
    item: Item,
    planned: Plan,
    body: Rendered | None,
    part: Rendered | None,
    version: Version,
    meeting: Invitation | None = None,
    voice: Voice | None = None,
) -> list[Element]:
    """Everything of a message.

    :param body: None when a message part alone was asked for (MS-ASCON R245-R248).
    :param meeting: what the message invites to. :param voice: the call that it recorded.
    """
    elements = header_elements(item, version)
    elements.append(Element(Email.Read, "1" if item.read else "0"))
    files = item.attachments if planned.invitation is None else (*item.attachments, planned.invitation)
    if files:
        elements.append(attachments_element(item, files, version, voice))
    if body is not None:
        elements.append(body_element(body, item, version))
    if part is not None and version >= (14, 1):
        elements.append(body_element(part, item, version, AirSyncBase.BodyPart))
    elements.append(Element(Email.MessageClass, shown_class(item, meeting)))
    if meeting is not None:
        elements.append(meeting_element(item, meeting, version))
    if voice is not None:
        elements += caller_elements(voice, version)
    elements.append(Element(Email.InternetCPID, str(planned.cpid or 65001)))
    elements.append(flag_element(item.flag))
    elements.append(Element(Email.ContentClass, content_class(meeting)))
    elements.append(Element(AirSyncBase.NativeBodyType, str(planned.native)))
    if version >= (14, 0):
        elements += conversation_elements(item, version)
        # R318: empty when there are none.
        elements.append(categories_element(item.categories))
    return elements


def header_elements(item: Item, version: Version) -> list[Element]:
    """Who, what, when."""
    elements: list[Element] = []
    if item.to:
        elements.append(Element(Email.To, item.to[:MOST_ADDRESSES]))
    if item.cc:
        elements.append(Element(Email.Cc, item.cc))
    # Explicit even when empty, because clients show what they had before otherwise.
    elements.append(Element(Email.From, item.sender[:MOST_ADDRESSES]))
    elements.append(Element(Email.Subject, item.subject))
    if item.reply_to:
        elements.append(Element(Email.ReplyTo, with_semicolons(item.reply_to)))
    # Always: iOS shows the time of synchronisation otherwise (grommunio-sync d6675a7).
    elements.append(Element(Email.DateReceived, write_moment(item.received)))
    if item.to:
        elements.append(Element(Email.DisplayTo, display_names(item.to)))
    elements.append(Element(Email.ThreadTopic, item.topic or item.subject))
    # Always: Android reads absence as low.
    elements.append(Element(Email.Importance, str(item.importance)))
    if item.bcc:
        if not item.draft:
            # R649: only where it is so. What was delivered has a Received line; what was sent, others in its Bcc.
            if version >= (14, 0) and b"Received: " in item.trace:
                elements.append(Element(Email2.ReceivedAsBcc, "1"))
        elif version >= (16, 0):
            elements.append(Element(Email2.Bcc, item.bcc[:1024]))
    return elements


def conversation_elements(item: Item, version: Version) -> list[Element]:
    """What version 14.0 brought, and 16.0. Ids are opaque bytes and never empty (SOGo 985db9465)."""
    elements: list[Element] = []
    if item.conversation:
        elements.append(Element(Email2.ConversationId, item.conversation))
    if item.conversation_index:
        elements.append(Element(Email2.ConversationIndex, short_index(item.conversation_index)))
    if item.sent_by:
        elements.append(Element(Email2.Sender, item.sent_by))
    if item.verb:
        elements.append(Element(Email2.LastVerbExecuted, str(item.verb)))
        if item.verb_at is not None:
            elements.append(Element(Email2.LastVerbExecutionTime, write_moment(item.verb_at)))
    if version >= (16, 0):
        elements.append(Element(Email2.IsDraft, "1" if item.draft else "0"))
    return elements


def attachments_element(
    item: Item, files: Sequence[AttachmentInfo], version: Version, voice: Voice | None = None
) -> Element:
    """MS-ASAIRS 2.2.2.8."""
    rows: list[Element] = []
    for attachment in files:
        children = [
            Element(AirSyncBase.DisplayName, attachment.name),
            Element(AirSyncBase.FileReference, file_reference(item, attachment)),
            Element(AirSyncBase.Method, _METHODS.get(attachment.content_type, "1")),
            Element(AirSyncBase.EstimatedDataSize, str(attachment.size)),
        ]
        if attachment.content_id:
            children.append(Element(AirSyncBase.ContentId, attachment.content_id))
        if attachment.content_location:
            children.append(Element(AirSyncBase.ContentLocation, attachment.content_location))
        if attachment.inline:
            children.append(Element(AirSyncBase.IsInline, "1"))
        if voice is not None:
            children += recording_elements(voice, attachment, version)
        rows.append(Element(AirSyncBase.Attachment, None, children))
    return Element(AirSyncBase.Attachments, None, rows)


def categories_element(categories: Sequence[str]) -> Element:
    """MS-ASEMAIL 2.2.2.16; at most 300."""
    return Element(
        Email.Categories, None, [Element(Email.Category, category) for category in categories[:300]]
    )


def change_data(item: Item, groups: frozenset[ChangeGroup], version: Version) -> list[Element]:
    """The children of ApplicationData for a Change: only the groups that changed (MS-ASEMAIL R74-106).

    The body never changes, so it is not sent again.
    """
    elements: list[Element] = []
    if ChangeGroup.REST in groups:
        elements += header_elements(item, version)
    if ChangeGroup.READ in groups:
        elements.append(Element(Email.Read, "1" if item.read else "0"))
    if ChangeGroup.FLAG in groups:
        elements.append(flag_element(item.flag))
    if version >= (14, 0):
        if ChangeGroup.REST in groups:
            elements += conversation_elements(item, version)
        if ChangeGroup.CATEGORIES in groups:
            # Empty when the last one was taken away.
            elements.append(categories_element(item.categories))
    return elements
