"""What a collection holds and which part of it a device sees, read from the store in one transaction.

Promise: mail and the entries of the recipient information cache look the same to the decision: numbers with arrivals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from posthouse.eas.feed import Feed
from posthouse.eas.knowledge import BOTTOM
from posthouse.model import Arrival, Folder, FolderType, Gone, Item, Mark
from posthouse.store import changes, conversations, numbers
from posthouse.store.acquaintances import MOST, Acquaintance, AcquaintanceFeed, acquaintances, best
from posthouse.store.transaction import Transaction

#: MS-ASCMD 2.2.3.68.2: days back for each FilterType; 0 and 8 have no date.
_DAYS = {1: 1, 2: 3, 3: 7, 4: 14, 5: 30, 6: 90, 7: 180}
_DAY = 24 * 3600 * 1000


def cut_off(filter_type: int, now: int) -> Arrival:
    """The oldest arrival that belongs to a filtered collection; it steps once a day (MS-ASCON R229)."""
    days = _DAYS.get(filter_type)
    return BOTTOM if days is None else Arrival(now // _DAY * _DAY - days * _DAY, 0)


@frozen
class FolderFeed:
    """A `posthouse.eas.feed.Feed` of one folder in one transaction."""

    tx: Transaction
    mailbox_id: int
    folder_id: int

    def top(self) -> int:
        return numbers.top_number(self.tx, self.mailbox_id)

    def added(self, since: int, limit: int) -> Sequence[Mark]:
        return changes.added_since(self.tx, self.folder_id, since, limit)

    def changed(self, since: int, limit: int) -> Sequence[Mark]:
        return changes.changed_since(self.tx, self.folder_id, since, limit)

    def gone(self, since: int, limit: int) -> Sequence[Gone]:
        return changes.gone_since(self.tx, self.folder_id, since, limit)

    def filling(self, below: Arrival, floor: Arrival, limit: int) -> Sequence[Mark]:
        return changes.filling(self.tx, self.folder_id, below, floor, limit)

    def leaving(self, start: Arrival, stop: Arrival, limit: int) -> Sequence[Mark]:
        return changes.leaving(self.tx, self.folder_id, start, stop, limit)

    def marks(self, numbers: Iterable[int]) -> Mapping[int, Mark]:
        return changes.marks(self.tx, self.folder_id, list(numbers))

    def count(self, floor: Arrival, below: Arrival, cap: int) -> int:
        return changes.count_between(self.tx, self.folder_id, floor, below, cap)

    def kindred(self, target: Arrival, limit: int) -> Sequence[Mark]:
        return conversations.kindred(self.tx, self.mailbox_id, self.folder_id, target, limit)

    def companions(self, numbers: Iterable[int], target: Arrival, limit: int) -> Sequence[Mark]:
        return conversations.companions(
            self.tx, self.mailbox_id, self.folder_id, list(numbers), target, limit
        )

    def alive(self, numbers: Iterable[int], target: Arrival) -> frozenset[int]:
        return frozenset(conversations.alive(self.tx, self.mailbox_id, self.folder_id, list(numbers), target))


#: What a collection holds: mail, or entries of the recipient information cache.
Thing = Item | Acquaintance


def feed_of(tx: Transaction, mailbox_id: int, folder: Folder) -> Feed:
    """The numbers of a folder, as the decision reads them."""
    if folder.type == FolderType.RECIPIENT_CACHE:
        return AcquaintanceFeed(tx, mailbox_id, folder.id)
    return FolderFeed(tx, mailbox_id, folder.id)


def things(tx: Transaction, folder: Folder, wanted: Sequence[int]) -> Mapping[int, Thing]:
    """What has these numbers in a folder; what is not there is left out."""
    if folder.type == FolderType.RECIPIENT_CACHE:
        return acquaintances(tx, folder.id, wanted)
    return changes.items(tx, folder.id, wanted)


def target_of(tx: Transaction, folder: Folder, filter_type: int, max_items: int, now: int) -> Arrival:
    """The first place that belongs to a collection: by its filter, or MaxItems (MS-ASCMD 2.2.3.103.2)."""
    if folder.type == FolderType.RECIPIENT_CACHE and max_items:
        return best(tx, folder.id, min(max_items, MOST)) or BOTTOM
    return cut_off(filter_type, now)
