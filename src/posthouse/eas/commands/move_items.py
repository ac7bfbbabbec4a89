"""MoveItems: items from one folder to another (MS-ASCMD 2.2.1.12, statuses 2.2.3.177.10).

Promise: each move has its own answer, and what is answered is durable; the item gets a new name in its new
folder, and the device is told of the departure and the arrival by Sync like everybody else (R285, R289,
R290).
"""

from __future__ import annotations

from posthouse.eas.call import Call
from posthouse.eas.grammar import MANY, Child, Rule
from posthouse.eas.hierarchy import visible
from posthouse.eas.ids import RECIPIENT_CACHE, parse_number
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError
from posthouse.errors import NoSuchFolder, NoSuchItem, NotPermitted
from posthouse.model import Folder
from posthouse.store import changes, folders, items
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import Move
from posthouse.wbxml.tree import E, Element

BAD_SOURCE = 1
BAD_DESTINATION = 2
OK = 3
SAME_FOLDER = 4
FAILED = 5

#: R5652, R5653; and how many moves are one transaction.
_MOST = 1000
_SLICE = 100

_ID = Child(least=1, length=64)


@command("MoveItems")
class MoveItems(Command):
    """All moves of one request, in their order."""

    grammar = Rule(
        {
            Move.Move: Child(
                least=1,
                most=MANY,
                kind="container",
                # R4222: an item cannot go to more than one folder.
                rule=Rule(
                    {
                        # Said again in the answer, where it may not be empty.
                        Move.SrcMsgId: Child(least=1, least_length=1, length=64),
                        Move.SrcFldId: _ID,
                        Move.DstFldId: Child(least=1, length=64, status=FAILED),
                    }
                ),
            )
        }
    )

    async def run(self, call: Call) -> Element:
        assert call.request is not None
        moves = [
            (
                move.text(Move.SrcMsgId) or "",
                move.text(Move.SrcFldId) or "",
                move.text(Move.DstFldId) or "",
            )
            for move in call.request.findall(Move.Move)
        ]
        if len(moves) > _MOST:
            raise StatusError(Status.INVALID_XML, f"{len(moves)} moves")
        mailbox = call.account.mailbox_id
        outcomes: list[tuple[int, int]] = []
        moved: frozenset[str] = frozenset()
        for start in range(0, len(moves), _SLICE):
            portion = moves[start : start + _SLICE]
            done = await call.write(
                lambda tx, portion=portion, moved=moved: _move_all(tx, mailbox, moved, portion)
            )
            outcomes += done
            moved |= {named for (named, _, _), (status, _) in zip(portion, done, strict=True) if status == OK}
        call.notes["moved"] = sum(1 for status, _ in outcomes if status == OK)
        return E(
            Move.MoveItems,
            [
                E(
                    Move.Response,
                    E(Move.SrcMsgId, named),
                    E(Move.Status, status),
                    E(Move.DstMsgId, number) if status == OK else None,
                )
                for (named, _, _), (status, number) in zip(moves, outcomes, strict=True)
            ],
        )


def _move_all(
    tx: Transaction, mailbox_id: int, before: frozenset[str], portion: list[tuple[str, str, str]]
) -> list[tuple[int, int]]:
    """Some moves. It may be run again, so what it notes is its own.

    :param before: what this request moved in earlier transactions.
    """
    moved = set(before)
    return [_move(tx, mailbox_id, moved, *one) for one in portion]


def _move(
    tx: Transaction, mailbox_id: int, moved: set[str], named: str, source: str, target: str
) -> tuple[int, int]:
    """One move: its status and the item's new number.

    :param moved: what this request moved so far; extended.
    """
    if RECIPIENT_CACHE in (source, target):
        return Status.INVALID_COMBINATION_OF_IDS, 0  # R4821
    there = folders.folder_by_number(tx, mailbox_id, parse_number(target))
    here = folders.folder_by_number(tx, mailbox_id, parse_number(source))
    if here is None:
        return BAD_SOURCE, 0
    if named in moved:
        # More than one destination for one item (R4222).
        return FAILED, 0
    if source == target:
        return SAME_FOLDER, 0
    item = changes.item_by_number(tx, mailbox_id, parse_number(named))
    if item is None or item.folder_id != here.id:
        # Gone, or moved before: also by this very request that was sent again (R4208).
        return BAD_SOURCE, 0
    if there is None or not _fits(here, there):
        return BAD_DESTINATION, 0
    try:
        # Of nobody's origin: both ends of a move are news to the device that asked for it.
        number = items.move_item(tx, item, there)
        moved.add(named)
        return OK, number
    except NoSuchItem:
        return BAD_SOURCE, 0
    except (NoSuchFolder, NotPermitted):
        return BAD_DESTINATION, 0


def _fits(here: Folder, there: Folder) -> bool:
    return visible(there) and here.type.item_class == there.type.item_class
