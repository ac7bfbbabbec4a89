"""Find: what iOS 16 and later search with (MS-ASCMD 2.2.1.2, statuses 2.2.3.177.2).

Promise: served at every version, though the text has it at 16.1 only (R10032018), because iOS sends it at any.
A result names its item by ServerId and CollectionId (R10032012, R10032013); where nothing fits there is no
Result (R38391805), and Total is always there. A search begins at range 0 (R72172518); a device may go on
where its own search stood.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from posthouse.eas import kql
from posthouse.eas.call import Call
from posthouse.eas.content.addressees import display_names
from posthouse.eas.content.directory import gal_properties, read_pictures, read_wish
from posthouse.eas.content.matches import Match, Matches, find_mail, parse_range, searched
from posthouse.eas.content.moments import write_moment
from posthouse.eas.grammar import Child, Rule
from posthouse.eas.ids import folder_name
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.errors import Malformed, NoSuchFolder
from posthouse.store.people import search_people
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSync, Email, Email2, ItemOperations
from posthouse.wbxml.tags import Find as F
from posthouse.wbxml.tree import E, Element

OK = 1
BAD_REQUEST = 2
HIERARCHY_CHANGED = 3
NOT_FROM_ZERO = 4

#: 2.2.3.143.1: 0 <= m <= n <= 999. Of a wish beyond it the server "can return fewer" (R37071816).
_LAST = 999
#: In one answer, and when there is no Range.
_MOST = 100
_PREVIEW = 255

#: Searches that are remembered, of all devices together.
_REMEMBERED = 1000

#: The one query of either kind; FreeText is inside a mailbox Query, iOS writes the text of the other plainly.
_QUERY = Child(least=1, kind="any")
_CRITERION = Child(
    kind="container",
    rule=Rule({F.Query: _QUERY, F.Options: Child(kind="any")}, status=BAD_REQUEST),
)


@command("Find")
class Find(Command):
    """One search, one range."""

    grammar = Rule(
        {
            F.SearchId: Child(least=1, least_length=1, length=256),
            F.ExecuteSearch: Child(
                least=1,
                kind="container",
                rule=Rule(
                    {F.MailBoxSearchCriterion: _CRITERION, F.GALSearchCriterion: _CRITERION},
                    status=BAD_REQUEST,
                    one_of=(F.MailBoxSearchCriterion, F.GALSearchCriterion),
                ),
            ),
        },
        status=BAD_REQUEST,
    )

    def __init__(self) -> None:
        self._begun: OrderedDict[tuple[int, str], bytes] = OrderedDict()

    async def run(self, call: Call) -> Element:
        assert call.request is not None
        execute = call.request.find(F.ExecuteSearch)
        assert execute is not None
        mailbox, directory = execute.find(F.MailBoxSearchCriterion), execute.find(F.GALSearchCriterion)
        if mailbox is not None and directory is not None:
            raise StatusError(BAD_REQUEST, "two criteria")
        criterion = mailbox if mailbox is not None else directory
        assert criterion is not None
        query, options = criterion.find(F.Query), criterion.find(F.Options)
        assert query is not None
        first, last = _range(options)
        if not self._continues(call, query, first):
            return _answer(NOT_FROM_ZERO)
        last = min(last, first + _MOST - 1)
        call.notes["store"] = "mailbox" if mailbox is not None else "gal"
        if mailbox is not None:
            return await _mail(call, query, options, first, last)
        return await _people(call, query, options, first, last)

    def _continues(self, call: Call, query: Element, first: int) -> bool:
        """Whether a range may begin there: at 0, or in a search that this device has begun."""
        assert call.request is not None
        name = call.device.id, call.request.text(F.SearchId) or ""
        digest = hashlib.sha256(repr([(e.tag, e.content) for e in query.iter()]).encode()).digest()
        if first:
            return self._begun.get(name) == digest
        self._begun[name] = digest
        self._begun.move_to_end(name)
        if len(self._begun) > _REMEMBERED:
            self._begun.popitem(last=False)
        return True


async def _mail(call: Call, query: Element, options: Element | None, first: int, last: int) -> Element:
    classes = [child.value.strip().lower() for child in query.findall(AirSync.Class)]
    texts = query.findall(F.FreeText)
    text = " ".join(child.value for child in texts).strip() or query.value.strip()
    if not text or any(one != "email" for one in classes):
        raise StatusError(BAD_REQUEST, f"{len(text)} characters to find in {classes}")
    mailbox = call.account.mailbox_id
    named = [child.value for child in query.findall(AirSync.CollectionId)]
    deep = options is not None and options.find(F.DeepTraversal) is not None

    def look(tx: Transaction) -> Matches:
        node = kql.parse(text, call.now())
        return find_mail(tx, mailbox, node, searched(tx, mailbox, named, deep), first, last)

    try:
        found = await call.read(look)
    except NoSuchFolder as error:
        raise StatusError(HIERARCHY_CHANGED, error.cause) from error
    except Malformed as error:
        raise StatusError(BAD_REQUEST, error.cause) from error
    call.notes["found"] = found.total
    return _answer(OK, [_result(match) for match in found.page], first, found.total)


async def _people(call: Call, query: Element, options: Element | None, first: int, last: int) -> Element:
    text = (query.text(F.FreeText) or query.value).strip()
    if not text:
        raise StatusError(BAD_REQUEST, "nobody to find")
    wish = read_wish(options.find(F.Picture) if options is not None else None, BAD_REQUEST)

    def look(tx: Transaction) -> tuple[list[Element], int]:
        found, total = search_people(tx, text, last - first + 1, first)
        pictures = read_pictures(tx, found, wish)
        return [
            E(F.Result, E(F.Properties, gal_properties(person, picture)))
            for person, picture in zip(found, pictures, strict=True)
        ], total

    results, total = await call.read(look)
    call.notes["found"] = total
    return _answer(OK, results, first, total)


def _range(options: Element | None) -> tuple[int, int]:
    text = options.text(F.Range) if options is not None else None
    if text is None:
        return 0, _MOST - 1
    span = parse_range(text)
    if span is None or span[1] > _LAST:
        raise StatusError(BAD_REQUEST, f"range {text[:30]!r}")
    return span


def _answer(status: int, results: list[Element] | None = None, first: int = 0, total: int = 0) -> Element:
    done = status == OK
    return E(
        F.Find,
        E(F.Status, OK),
        E(
            F.Response,
            # R45251807: it says so for people, too.
            E(ItemOperations.Store, "Mailbox"),
            E(F.Status, status),
            results,
            E(F.Range, f"{first}-{first + len(results) - 1}") if results else None,
            E(F.Total, total) if done else None,
        ),
    )


def _result(match: Match) -> Element:
    """What a list of results shows; the message itself is fetched by its ids."""
    item = match.item
    properties = [
        E(Email.Subject, item.subject),
        E(Email.DateReceived, write_moment(item.received)),
        E(Email.DisplayTo, display_names(item.to)) if item.to else None,
        E(F.DisplayCc, display_names(item.cc)) if item.cc else None,
        E(F.DisplayBcc, display_names(item.bcc)) if item.bcc and item.draft else None,
        E(Email.Importance, item.importance),
        E(Email.Read, item.read),
        E(Email2.IsDraft, item.draft),
        E(F.Preview, item.preview[:_PREVIEW]),
        E(F.HasAttachments, item.has_attachments),
        E(Email.From, item.sender[:32768]),
    ]
    return E(
        F.Result,
        E(AirSync.Class, "Email"),
        E(AirSync.ServerId, item.number),
        E(AirSync.CollectionId, folder_name(match.folder)),
        E(F.Properties, properties),
    )
