"""What one request asks of one collection, and what its commands come to: values alone.

`posthouse.eas.collection` evaluates an `Ask` at a `Desk`; `posthouse.eas.orders` obeys the `Order`s in it, with the
help of an `Author` where one writes more of an item than its marks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import frozen

from posthouse.eas.content.options import MailOptions
from posthouse.model import Folder, Item
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tree import Element


@frozen
class Order:
    """One command of the client: "Add", "Change", "Delete" or "Fetch".

    :ivar send: the draft is to be sent (MS-ASEMAIL R1389).
    """

    kind: str
    server_id: str = ""
    client_id: str = ""
    class_name: str = ""
    data: Element | None = None
    send: bool = False


@frozen
class Response:
    """The answer to one command of the client, where it gets one (R6413).

    :ivar item: what was fetched. :ivar added: what was added.
    :ivar files: (ClientId, MIME part) of the attachments that were added.
    """

    order: Order
    status: int
    number: int = 0
    item: Item | None = None
    added: Item | None = None
    files: tuple[tuple[str, str], ...] = ()


@frozen
class Written:
    """What an `Author` did.

    :ivar number: of the item; 0 when it was sent and does not stay.
    :ivar change: the number of the change; 0 for an Add.
    :ivar files: (ClientId, MIME part) of the attachments that were added.
    :ivar renamed: attachments that stay go by other names now, which the device has to hear.
    """

    number: int = 0
    change: int = 0
    files: tuple[tuple[str, str], ...] = ()
    renamed: bool = False


class Author(Protocol):
    """Writes the items of one collection for a device, in the transaction of its request.

    Each method refuses with a StatusError before it has written anything.
    """

    def add(self, tx: Transaction, folder: Folder, order: Order, holds: Callable[[int], bool]) -> Written:
        """Make an item, or send it at once.

        :param holds: whether the device has an item of that number: then it asks for another one.
        """

    def rewrites(self, folder: Folder, item: Item) -> bool:
        """Whether more of this item may be changed than its marks."""

    def change(self, tx: Transaction, folder: Folder, item: Item, order: Order) -> Written:
        """Give an item other contents, or send it and remove it."""


@frozen
class Ask:
    """What one request asks of one collection.

    :ivar get_changes: None when the element is absent.
    :ivar window: None when absent.
    :ivar options: None when there is no Options block: then the last one holds.
    :ivar supported: None when there is no Supported element.
    :ivar conversations: what the ConversationMode element says; None when there is none: then the last holds.
    """

    collection_id: str
    key: str
    get_changes: bool | None = None
    window: int | None = None
    options: MailOptions | None = None
    supported: tuple[str, ...] | None = None
    deletes_as_moves: bool = True
    class_name: str = ""
    orders: tuple[Order, ...] = ()
    conversations: bool | None = None

    @property
    def wants_changes(self) -> bool:
        # R5556: a key other than 0 asks for changes, unless GetChanges says no.
        return self.get_changes is not False


@frozen
class Desk:
    """What every evaluation of a request has in common.

    :ivar fresh: gives a new key. :ivar room: commands left in the global window.
    :ivar budget: bytes that the answer may still take; the first item is always sent.
    :ivar written: whether the last answer for this collection was written to the end.
    :ivar author: writes what the device adds, and rewrites what it changes; None when it may do neither.
    """

    mailbox_id: int
    device: int
    now: int
    fresh: Callable[[], str]
    room: int = 512
    budget: int = 1 << 20
    written: bool = False
    author: Author | None = None
