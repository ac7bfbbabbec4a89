"""The people to whom an account writes, the most likely first: the recipient information cache.

Promise: who was written to is noted in the transaction that sends, and a device hears of it through the same
numbers as of everything else. An entry is never changed: with another rank or name it leaves under its old number
and comes under a new one, as MS-ASCMD 2.2.3.103.2 counts it ("each recipient update requires a deletion and an
addition").

The rank is a time in ms. A single message gives its own time, and each use counts half as much a month later: the
rank is ``now + month * log2(sum of 2 ** (time of use - now) / month)``. So it moves only when it is used, the order of
two people never changes by mere waiting, and an index over it is the order of the collection.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from attrs import frozen

from posthouse.model import Arrival, FolderType, Gone, Mark
from posthouse.store.changes import gone_since
from posthouse.store.dialect import clean
from posthouse.store.numbers import next_number, top_number
from posthouse.store.rows import padded
from posthouse.store.transaction import Transaction

__all__ = ["MOST", "Acquaintance", "AcquaintanceFeed", "acquaintances", "best", "note_acquaintances"]

#: How many an account has.
MOST = 200
#: A message to more people than these says nothing about any of them.
_CIRCULAR = 50

_DAY = 24 * 3600 * 1000
_MONTH = 30 * _DAY
#: What a rank has to rise before devices hear of it.
_WORTH_TELLING = _DAY

_MARK = "number, number, rank, number, number, number, number"


@frozen
class Acquaintance:
    """:ivar number: the ServerId. :ivar address: as it was written. :ivar name: "" when it is not known.
    :ivar alias: of somebody in the directory, else "". :ivar rank: ms, the higher the better.
    """

    number: int
    address: str
    name: str
    alias: str
    rank: int


def note_acquaintances(
    tx: Transaction, account_id: int, people: Sequence[tuple[str, str, str]], now: int
) -> None:
    """An account sends a message to these.

    :param people: folded address, address as written, and name ("" for none) of each. :param now: ms.
    """
    if not 0 < len(people) <= _CIRCULAR:
        return
    where = tx.one(
        "SELECT f.id, f.mailbox_id FROM account a JOIN folder f ON f.mailbox_id = a.mailbox_id AND f.slot = ? "
        "WHERE a.id = ?",
        (int(FolderType.RECIPIENT_CACHE), account_id),
    )
    if where is None:
        return
    folder_id, mailbox_id = where
    wanted = {clean(key): (clean(written), clean(name)) for key, written, name in people}
    marks = ",".join("?" * len(wanted))
    known = {
        row[0]: row
        for row in tx.execute(
            "SELECT address, number, rank, score, written, name FROM acquaintance "
            f"WHERE folder_id = ? AND address IN ({marks})",
            (folder_id, *wanted),
        )
    }
    told: list[tuple[str, int, str, str]] = []
    quiet: list[tuple[int, int, str]] = []
    left: list[tuple[int, int]] = []
    for key, (written, name) in wanted.items():
        row = known.get(key)
        if row is None:
            told.append((key, now, written, name))
            continue
        _, number, rank, score, old_written, old_name = row
        score = _used_again(score, now)
        name = name or old_name
        if score - rank > _WORTH_TELLING or (written, name) != (old_written, old_name):
            told.append((key, score, written, name))
            left.append((number, rank))
        else:
            quiet.append((score, folder_id, key))
    if quiet:
        tx.many("UPDATE acquaintance SET score = ? WHERE folder_id = ? AND address = ?", quiet)
    if not told:
        return
    if len(told) > len(left):
        left += _too_many(tx, folder_id, MOST - len(told), {number for number, _ in left})
    tx.many("DELETE FROM acquaintance WHERE folder_id = ? AND number = ?", [(folder_id, n) for n, _ in left])
    first = next_number(tx, mailbox_id, len(left) + len(told))
    tx.many(
        "INSERT INTO gone (folder_id, number, at, received, gone_by) VALUES (?, ?, ?, ?, 0)",
        [(folder_id, number, first + place, rank) for place, (number, rank) in enumerate(left)],
    )
    first += len(left)
    tx.many(
        "INSERT INTO acquaintance (folder_id, address, number, rank, score, written, name) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (folder_id, key, first + place, score, score, written, name)
            for place, (key, score, written, name) in enumerate(told)
        ],
    )
    tx.news(mailbox_id, folder_id, first + len(told) - 1)


def _used_again(score: int, now: int) -> int:
    """The score after one more use; never below the time of this one."""
    ahead = min((score - now) / _MONTH, 500.0)
    return now + int(_MONTH * math.log2(1 + 2.0**ahead))


def _too_many(tx: Transaction, folder_id: int, keep: int, leaving: set[int]) -> list[tuple[int, int]]:
    """Number and rank of those beyond the best ``keep`` of the ones that stay."""
    staying = f"AND number NOT IN ({','.join('?' * len(leaving))}) " if leaving else ""
    rows = tx.execute(
        f"SELECT number, rank FROM acquaintance WHERE folder_id = ? {staying}"
        "ORDER BY rank DESC, number DESC LIMIT -1 OFFSET ?",
        (folder_id, *leaving, keep),
    )
    return [(number, rank) for number, rank in rows]


def best(tx: Transaction, folder_id: int, count: int) -> Arrival | None:
    """The place of the last of the ``count`` best; None when there are no more than those."""
    row = tx.one(
        "SELECT rank, number FROM acquaintance WHERE folder_id = ? ORDER BY rank DESC, number DESC "
        "LIMIT 1 OFFSET ?",
        (folder_id, count - 1),
    )
    return Arrival(*row) if row is not None else None


def acquaintances(tx: Transaction, folder_id: int, numbers: Sequence[int]) -> dict[int, Acquaintance]:
    """Those with these numbers; who is not there is left out."""
    found: dict[int, Acquaintance] = {}
    for places, portion in padded(numbers):
        for number, written, name, rank, alias, known_as in tx.execute(
            "SELECT a.number, a.written, a.name, a.rank, p.alias, p.name FROM acquaintance a "
            "LEFT JOIN person p ON p.address = a.address AND p.hidden = 0 "
            f"WHERE a.folder_id = ? AND a.number IN ({places})",
            (folder_id, *portion),
        ):
            if known_as is not None:
                alias = alias or written.partition("@")[0]
            found[number] = Acquaintance(number, written, name or known_as or "", alias or "", rank)
    return found


@frozen
class AcquaintanceFeed:
    """The numbers of the cache for the synchronisation decision; the arrival key of an entry is its rank."""

    tx: Transaction
    mailbox_id: int
    folder_id: int

    def top(self) -> int:
        return top_number(self.tx, self.mailbox_id)

    def added(self, since: int, limit: int) -> Sequence[Mark]:
        return self._marks("number > ? ORDER BY number LIMIT ?", since, limit)

    def changed(self, since: int, limit: int) -> Sequence[Mark]:
        return ()  # an entry leaves and comes anew

    def gone(self, since: int, limit: int) -> Sequence[Gone]:
        return gone_since(self.tx, self.folder_id, since, limit)

    def filling(self, below: Arrival, floor: Arrival, limit: int) -> Sequence[Mark]:
        return self._marks(
            "(rank, number) < (?, ?) AND (rank, number) >= (?, ?) ORDER BY rank DESC, number DESC LIMIT ?",
            below.received, below.number, floor.received, floor.number, limit,
        )  # fmt: skip

    def leaving(self, start: Arrival, stop: Arrival, limit: int) -> Sequence[Mark]:
        return self._marks(
            "(rank, number) >= (?, ?) AND (rank, number) < (?, ?) ORDER BY rank, number LIMIT ?",
            start.received, start.number, stop.received, stop.number, limit,
        )  # fmt: skip

    def marks(self, numbers: Iterable[int]) -> dict[int, Mark]:
        found: dict[int, Mark] = {}
        for places, portion in padded(list(numbers)):
            found.update((mark.number, mark) for mark in self._marks(f"number IN ({places})", *portion))
        return found

    def count(self, floor: Arrival, below: Arrival, cap: int) -> int:
        return len(self.filling(below, floor, cap))

    def kindred(self, target: Arrival, limit: int) -> Sequence[Mark]:
        return ()

    def companions(self, numbers: Iterable[int], target: Arrival, limit: int) -> Sequence[Mark]:
        return ()

    def alive(self, numbers: Iterable[int], target: Arrival) -> frozenset[int]:
        return frozenset()

    def _marks(self, where: str, *params: int) -> list[Mark]:
        rows = self.tx.execute(
            f"SELECT {_MARK} FROM acquaintance WHERE folder_id = ? AND {where}", (self.folder_id, *params)
        )
        return [Mark(*row) for row in rows]
