"""Search: mail by its words, people of the directory (MS-ASCMD 2.2.1.16, statuses 2.2.3.177.13).

Promise: every request ends with a status of the store that it asked, Total is always there, and a result is
what a device can go on with: its LongId is the ServerId of the item, so that ItemOperations, MoveItems,
SmartReply and a Delete in Sync take it wherever clients put it (Z-Push ZP-855). Results are looked up anew
for each range, so RebuildResults has nothing to do, and what was deleted is not found (R3757).
"""

from __future__ import annotations

from attrs import evolve, frozen

from posthouse.eas import kql
from posthouse.eas.call import Call
from posthouse.eas.content.directory import gal_properties, read_pictures, read_wish
from posthouse.eas.content.email import MailReader, header_elements
from posthouse.eas.content.matches import Match, Matches, find_mail, parse_range, searched
from posthouse.eas.content.moments import read_moment
from posthouse.eas.content.options import MIME, PLAIN, BodyPreference, MailOptions, read_options
from posthouse.eas.grammar import MANY, Child, Rule
from posthouse.eas.ids import folder_name
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import StatusError
from posthouse.errors import Malformed, NoSuchFolder
from posthouse.store.matching import All, Between, Conversation, Node
from posthouse.store.people import search_people
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSync, DocumentLibrary, Email
from posthouse.wbxml.tags import Search as S
from posthouse.wbxml.tree import E, Element

OK = 1
BAD_REQUEST = 2
BAD_LINK = 4
TOO_COMPLEX = 8
HIERARCHY_CHANGED = 11
END_OF_RANGE = 12
BLOCKED = 13

#: R3733, R3735: the default range of mailbox and directory, and the end of what can be asked for.
_LAST = 99

#: R3489 to R3493, which spell the last one both ways.
_STORES = ("mailbox", "gal", "documentlibrary", "document library")

#: Of a body that nobody said a preference for: what a list of results shows.
_BRIEF = BodyPreference(PLAIN, 512)

#: 2.2.3.27.5; the other classes have no full text here yet, so nothing of them is ever found.
_CLASSES = ("tasks", "email", "calendar", "contacts", "notes", "sms")


@frozen
class _Asked:
    """A query of the mailbox store.

    :ivar empty: nothing that is searched can fit.
    """

    node: Node
    folders: tuple[str, ...] = ()
    empty: bool = False


@command("Search")
class Search(Command):
    """One store, one range."""

    grammar = Rule({S.Store: Child(least=1, most=MANY, kind="any")})

    async def run(self, call: Call) -> Element:
        assert call.request is not None
        store = call.request.find(S.Store)
        assert store is not None
        name = (store.text(S.Name) or "").strip().lower()
        call.notes["store"] = name if name in _STORES else "unknown"
        try:
            if name == "mailbox":
                answer = await self._mailbox(call, store)
            elif name == "gal":
                answer = await self._directory(call, store)
            elif name in _STORES:
                raise _library(store)
            else:
                raise StatusError(BAD_REQUEST, f"store {name[:40]!r}")
        except StatusError as error:
            call.notes["search_status"] = error.status
            answer = [E(S.Status, error.status)]
        return E(S.Search, E(S.Status, OK), E(S.Response, E(S.Store, answer)))

    # -- mail

    async def _mailbox(self, call: Call, store: Element) -> list[Element]:
        query = store.find(S.Query)
        if query is None:
            raise StatusError(BAD_REQUEST, "no Query")
        asked = _read_query(query, call.now())
        options = store.find(S.Options)
        first, last = _range(options)
        if first > _LAST:
            raise StatusError(END_OF_RANGE, f"range from {first}")
        wanted = _mail_options(options, query)
        deep = options is not None and options.find(S.DeepTraversal) is not None
        mailbox = call.account.mailbox_id

        def look(tx: Transaction) -> Matches:
            where = searched(tx, mailbox, asked.folders, deep)
            if asked.empty:
                return Matches((), 0)
            return find_mail(tx, mailbox, asked.node, where, first, min(last, _LAST))

        try:
            found = await call.read(look)
        except NoSuchFolder as error:
            raise StatusError(HIERARCHY_CHANGED, error.cause) from error
        except Malformed as error:
            raise StatusError(TOO_COMPLEX, error.cause) from error
        results = await _results(call, found.page, wanted)
        call.notes["found"] = found.total
        # R3736, a warning beside what there is.
        status = END_OF_RANGE if last > _LAST else OK
        if not results:
            # R3850: one that is empty.
            return [E(S.Status, status), E(S.Result), E(S.Total, found.total)]
        return _answer(status, results, first, found.total)

    # -- people

    async def _directory(self, call: Call, store: Element) -> list[Element]:
        query = store.find(S.Query)
        text = query.value.strip() if query is not None else ""
        if not text:
            raise StatusError(BAD_REQUEST, "no Query")
        options = store.find(S.Options)
        first, last = _range(options)
        if first > _LAST:
            raise StatusError(END_OF_RANGE, f"range from {first}")
        # R7273: pictures came with 14.1.
        asked = options.find(S.Picture) if options is not None and call.version >= (14, 1) else None
        wish = read_wish(asked, BAD_REQUEST)
        count = min(last, _LAST) - first + 1

        def look(tx: Transaction) -> tuple[list[Element], int]:
            found, total = search_people(tx, text, count, first)
            pictures = read_pictures(tx, found, wish)
            results = [
                E(S.Result, E(S.Properties, gal_properties(person, picture)))
                for person, picture in zip(found, pictures, strict=True)
            ]
            return results, total

        results, total = await call.read(look)
        call.notes["found"] = total
        status = END_OF_RANGE if last > _LAST else OK
        if not results:
            # R3847: none at all, unlike the mailbox.
            return [E(S.Status, status), E(S.Total, total)]
        return _answer(status, results, first, total)


def _answer(status: int, results: list[Element], first: int, total: int) -> list[Element]:
    return [
        E(S.Status, status),
        *results,
        E(S.Range, f"{first}-{first + len(results) - 1}"),
        E(S.Total, total),
    ]


async def _results(call: Call, page: tuple[Match, ...], options: MailOptions) -> list[Element]:
    """As many of the page as one response may hold, at least one; Range tells how many."""
    reader = MailReader(call, [match.item for match in page], options)
    results: list[Element] = []
    size = 0
    try:
        for match in page:
            data = await reader.take()
            if data is None:
                break
            elements = list(data.elements)
            if data.error is not None:
                # A body that cannot be shown hides no mail.
                elements = header_elements(match.item, call.version)
            size += data.size
            if results and size > call.services.settings.max_response:
                break
            results.append(
                E(
                    S.Result,
                    E(AirSync.Class, "Email"),
                    E(S.LongId, match.item.number),
                    E(AirSync.CollectionId, folder_name(match.folder)),
                    E(S.Properties, elements),
                )
            )
    finally:
        reader.close()
    return results


def _range(options: Element | None) -> tuple[int, int]:
    text = options.text(S.Range) if options is not None else None
    if text is None:
        return 0, _LAST
    span = parse_range(text)
    if span is None:
        raise StatusError(BAD_REQUEST, f"range {text[:30]!r}")
    return span


def _mail_options(options: Element | None, query: Element) -> MailOptions:
    wanted = read_options(options, BAD_REQUEST)
    if not wanted.bodies:
        # R3383, R3384: with MIMESupport there is a body, and it is MIME.
        whole = (BodyPreference(MIME),) if wanted.mime_support else ()
        wanted = evolve(wanted, bodies=(_BRIEF, *whole))
    if not any(child.tag == S.ConversationId for part in query.children for child in part.children):
        # R5568: only valid beside a ConversationId.
        wanted = evolve(wanted, body_part=None)
    return wanted


def _read_query(query: Element, now: int) -> _Asked:
    """2.2.3.142.2: one And of everything that restricts the search.

    :raises StatusError: 8 for what stands outside it or is joined otherwise (R772, R923, R2032, R2086, R3105,
        R3143, R3220), 2 for values that are none.
    """
    joined = query.findall(S.And)
    if not query.children:
        # The form of the directory, for the mailbox: from the days when there was no other.
        if not query.value.strip():
            raise StatusError(BAD_REQUEST, "empty Query")
        return _Asked(_words(query.value, now))
    if len(joined) != 1 or len(query.children) != 1:
        raise StatusError(TOO_COMPLEX, "a Query is one And")
    nodes: list[Node] = []
    named: list[str] = []
    classes: list[str] = []
    for child in joined[0].children:
        if child.tag == S.FreeText:
            nodes.append(_words(child.value, now))
        elif child.tag == AirSync.CollectionId:
            named.append(child.value)
        elif child.tag == AirSync.Class:
            classes.append(child.value.strip().lower())
        elif child.tag == S.ConversationId:
            content = child.content or b""
            nodes.append(Conversation(content.encode() if isinstance(content, str) else bytes(content)))
        elif child.tag in (S.GreaterThan, S.LessThan, S.EqualTo):
            nodes.append(_comparison(child))
        elif child.tag in (S.And, S.Or):
            raise StatusError(TOO_COMPLEX, f"{child.tag} inside And")
        elif child.tag.startswith(("Email:", "Email2:")):
            # R4329: what a mail has is asked for by words, or compared with a Value.
            raise StatusError(BAD_REQUEST, f"{child.tag} inside And")
    if sum(isinstance(node, Conversation) for node in nodes) > 1:
        raise StatusError(BAD_REQUEST, "two conversations at once")  # R5815
    if any(one not in _CLASSES for one in classes):
        raise StatusError(BAD_REQUEST, "an unknown Class")
    if not nodes:
        raise StatusError(BAD_REQUEST, "nothing to look for")
    return _Asked(All(tuple(nodes)), tuple(named), bool(classes) and "email" not in classes)


def _words(text: str, now: int) -> Node:
    try:
        return kql.parse(text, now)
    except Malformed as error:
        raise StatusError(TOO_COMPLEX, error.cause) from error


def _comparison(element: Element) -> Node:
    """A date of arrival before, after or at a Value."""
    value = element.text(S.Value)
    if element.find(Email.DateReceived) is None or value is None:
        raise StatusError(BAD_REQUEST, f"{element.tag} without DateReceived and Value")
    moment = read_moment(value, BAD_REQUEST)
    if element.tag == S.LessThan:
        return Between("received", None, moment)
    # Clients write whole seconds; mail has milliseconds.
    return (
        Between("received", moment + 1)
        if element.tag == S.GreaterThan
        else Between("received", moment, moment + 1000)
    )


def _library(store: Element) -> StatusError:
    """No library of documents is reached from here: access is blocked, unless it was no link at all."""
    query = store.find(S.Query, S.EqualTo)
    link = (
        query.text(S.Value) if query is not None and query.find(DocumentLibrary.LinkId) is not None else None
    )
    if link is None:
        return StatusError(BAD_REQUEST, "no LinkId")
    if not link.startswith(("\\\\", "//", "http://", "https://", "file:")):
        return StatusError(BAD_LINK, "neither UNC nor URL")
    return StatusError(BLOCKED, "DocumentLibrary")
