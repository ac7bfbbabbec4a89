"""What a Sync request says.

Promise: the request's grammar is data, every violation has its status, and an absent element is told apart from
an empty one (rules 17 to 19 of the synchronisation model). MS-ASCMD 2.2.1.21, 2.2.3.29.2, 3.1.5.10.
"""

from __future__ import annotations

from attrs import evolve, frozen

from posthouse.eas.asked import Ask, Order
from posthouse.eas.collection import PROTOCOL_ERROR
from posthouse.eas.content.options import MailOptions, read_options
from posthouse.eas.grammar import MANY, Child, Rule, check, flag, number
from posthouse.eas.statuses import StatusError
from posthouse.wbxml.tags import AirSync, Email2
from posthouse.wbxml.tree import Element

INCOMPLETE = 13
BAD_WAIT = 14
TOO_MANY = 15

#: R5658: the sum of Add, Change, Delete and Fetch.
MOST_ORDERS = 200

_SERVER_ID = Child(least=1, least_length=1, length=64)
_CLASS = Child(length=40)
_SEND = Child(kind="empty")

_COMMANDS = Rule(
    {
        AirSync.Add: Child(
            most=MANY,
            kind="container",
            rule=Rule(
                {
                    AirSync.Class: _CLASS,
                    AirSync.ClientId: Child(least=1, least_length=1, length=64),
                    AirSync.ApplicationData: Child(least=1, kind="any"),
                    Email2.Send: _SEND,
                },
                status=PROTOCOL_ERROR,
            ),
        ),
        AirSync.Change: Child(
            most=MANY,
            kind="container",
            rule=Rule(
                {
                    AirSync.Class: _CLASS,
                    AirSync.ServerId: _SERVER_ID,
                    AirSync.ApplicationData: Child(kind="any"),
                    Email2.Send: _SEND,
                },
                status=PROTOCOL_ERROR,
            ),
        ),
        AirSync.Delete: Child(
            most=MANY,
            kind="container",
            rule=Rule({AirSync.Class: _CLASS, AirSync.ServerId: _SERVER_ID}, status=PROTOCOL_ERROR),
        ),
        AirSync.Fetch: Child(
            most=MANY,
            kind="container",
            rule=Rule({AirSync.Class: _CLASS, AirSync.ServerId: _SERVER_ID}, status=PROTOCOL_ERROR),
        ),
    },
    # Without any of them it says nothing, and is no error (R2058).
    status=PROTOCOL_ERROR,
)

_COLLECTION = Rule(
    {
        AirSync.Class: _CLASS,
        AirSync.SyncKey: Child(least=1, length=64),
        AirSync.CollectionId: Child(least=1, least_length=1, length=64),
        AirSync.Supported: Child(kind="any"),
        AirSync.DeletesAsMoves: Child(kind="flag"),
        AirSync.GetChanges: Child(kind="flag"),
        AirSync.WindowSize: Child(kind="number"),
        AirSync.ConversationMode: Child(kind="flag"),
        # One for mail and one for SMS (R3596).
        AirSync.Options: Child(most=2, kind="any"),
        AirSync.Commands: Child(kind="container", rule=_COMMANDS),
    },
    status=PROTOCOL_ERROR,
)

GRAMMAR = Rule(
    {
        AirSync.Collections: Child(
            kind="container",
            rule=Rule(
                {AirSync.Collection: Child(least=1, most=MANY, kind="container", rule=_COLLECTION)},
                status=PROTOCOL_ERROR,
            ),
        ),
        AirSync.Wait: Child(kind="number", status=PROTOCOL_ERROR),
        AirSync.HeartbeatInterval: Child(kind="number", status=PROTOCOL_ERROR),
        AirSync.WindowSize: Child(kind="number"),
        AirSync.Partial: Child(kind="empty"),
    },
    status=PROTOCOL_ERROR,
)


@frozen
class SyncRequest:
    """:ivar wait: seconds to wait for news, None for not at all. :ivar minutes: the client counts in minutes (Wait).
    :ivar window: the global WindowSize.
    """

    asks: tuple[Ask, ...] = ()
    wait: int | None = None
    minutes: bool = False
    window: int = 512
    partial: bool = False

    def cached(self) -> SyncRequest | None:
        """As it is kept for an empty or partial request to come: without the client's commands, and without
        what has yet to begin, since key 0 a second time would begin anew. None when nothing is left.
        """
        asks = tuple(evolve(ask, orders=()) for ask in self.asks if ask.key != "0")
        return evolve(self, asks=asks, partial=False) if asks else None

    def over(self, cached: SyncRequest) -> SyncRequest:
        """A partial request on top of the cached one (R3644)."""
        mine = {ask.collection_id: ask for ask in self.asks}
        asks = [
            _merged(mine.pop(ask.collection_id), ask) if ask.collection_id in mine else ask
            for ask in cached.asks
        ]
        asks.extend(mine.values())
        return evolve(
            self,
            asks=tuple(asks),
            wait=self.wait if self.wait is not None else cached.wait,
            minutes=self.minutes if self.wait is not None else cached.minutes,
            partial=False,
        )


def _merged(ask: Ask, before: Ask) -> Ask:
    return evolve(
        ask,
        window=ask.window if ask.window is not None else before.window,
        options=ask.options if ask.options is not None else before.options,
        conversations=ask.conversations if ask.conversations is not None else before.conversations,
    )


def read_request(root: Element) -> tuple[SyncRequest, list[str]]:
    """Read a Sync document. :return: the request, and the tags that nobody knows.

    :raises StatusError: 4.
    """
    unknown = check(root, GRAMMAR)
    collections = root.find(AirSync.Collections)
    asks = tuple(
        _ask(element)
        for element in (collections.children if collections is not None else ())
        if element.tag == AirSync.Collection
    )
    if len({ask.collection_id for ask in asks}) < len(asks):
        raise StatusError(PROTOCOL_ERROR, "a collection stands twice")
    if any(ask.get_changes and ask.key == "0" for ask in asks):
        raise StatusError(PROTOCOL_ERROR, "GetChanges with key 0")  # R3128, R5838: of the whole request
    if sum(len(ask.orders) for ask in asks) > MOST_ORDERS:
        raise StatusError(PROTOCOL_ERROR, f"more than {MOST_ORDERS} commands")  # R5659
    wait, heartbeat = root.find(AirSync.Wait), root.find(AirSync.HeartbeatInterval)
    if wait is not None and heartbeat is not None:
        raise StatusError(PROTOCOL_ERROR, "Wait and HeartbeatInterval")  # R3162, R4748
    seconds = number(wait) * 60 if wait is not None else number(heartbeat) if heartbeat is not None else None
    window = root.find(AirSync.WindowSize)
    request = SyncRequest(
        asks=asks,
        wait=seconds,
        minutes=wait is not None,
        window=_window(number(window)) if window is not None else 512,
        partial=root.find(AirSync.Partial) is not None,
    )
    if not asks and not request.partial:
        # R2075 and the schema: nothing to synchronise.
        raise StatusError(PROTOCOL_ERROR, "no collection")
    return request, unknown


def _window(value: int) -> int:
    """R4768: 0 and all above 512 mean 512."""
    return value if 0 < value <= 512 else 512


def _ask(element: Element) -> Ask:
    get_changes = element.find(AirSync.GetChanges)
    window = element.find(AirSync.WindowSize)
    supported = element.find(AirSync.Supported)
    commands = element.find(AirSync.Commands)
    as_moves = element.find(AirSync.DeletesAsMoves)
    together = element.find(AirSync.ConversationMode)
    return Ask(
        collection_id=element.text(AirSync.CollectionId) or "",
        key=element.text(AirSync.SyncKey) or "0",
        get_changes=flag(get_changes) if get_changes is not None else None,
        window=_window(number(window)) if window is not None else None,
        options=_options(element),
        supported=tuple(child.tag for child in supported.children) if supported is not None else None,
        deletes_as_moves=flag(as_moves, absent=True),
        class_name=element.text(AirSync.Class) or "",
        orders=tuple(_order(child) for child in commands.children if child.tag in _KINDS)
        if commands is not None
        else (),
        # MS-ASCON R116: present without a value it is on.
        conversations=flag(together) if together is not None else None,
    )


def _options(element: Element) -> MailOptions | None:
    """The block for the folder's own class; a second one asks for SMS, of which there is none here."""
    found: MailOptions | None = None
    classes: list[str] = []
    for block in element.findall(AirSync.Options):
        options = read_options(block, PROTOCOL_ERROR)
        if options.filter_type > 8:
            raise StatusError(PROTOCOL_ERROR, f"FilterType {options.filter_type}")
        classes.append(options.class_name or "Email")
        if options.class_name != "SMS":
            found = options
        elif found is None:
            found = MailOptions()
    if len(classes) > 1 and set(classes) != {"Email", "SMS"}:
        # R930, R934, R935
        raise StatusError(PROTOCOL_ERROR, f"Options for {' and '.join(classes)}")
    return found


_KINDS = {
    AirSync.Add: "Add",
    AirSync.Change: "Change",
    AirSync.Delete: "Delete",
    AirSync.Fetch: "Fetch",
}


def _order(element: Element) -> Order:
    return Order(
        kind=_KINDS[element.tag],
        server_id=element.text(AirSync.ServerId) or "",
        client_id=element.text(AirSync.ClientId) or "",
        class_name=element.text(AirSync.Class) or "",
        data=element.find(AirSync.ApplicationData),
        # R1386: beside ApplicationData, before or behind it.
        send=element.find(Email2.Send) is not None,
    )
