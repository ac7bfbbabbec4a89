"""What Search and Find have in common: ranges, the folders to look into, and the mail that was found.

Promise: a folder that a device may not see is not searched, an item is found once, the newest first, and a
search reads a page of items, never all that fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from posthouse.eas.hierarchy import visible
from posthouse.eas.ids import parse_number
from posthouse.errors import NoSuchFolder
from posthouse.model import Folder, Item
from posthouse.store import changes, folders
from posthouse.store.matching import Node, matching
from posthouse.store.transaction import Transaction

_RANGE = re.compile(r"\s*(\d{1,9})\s*-\s*(\d{1,9})\s*")


@frozen
class Match:
    """An item, and the folder that it lies in."""

    item: Item
    folder: Folder


@frozen
class Matches:
    """A page of what was found. ``total``: how much fits, up to `posthouse.store.matching.MOST_MATCHES`."""

    page: tuple[Match, ...]
    total: int


def parse_range(text: str) -> tuple[int, int] | None:
    """ "0-9" as (0, 9), both included; None for what is no range (MS-ASCMD 2.2.3.143)."""
    found = _RANGE.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        return None
    return int(found[1]), int(found[2])


def searched(tx: Transaction, mailbox_id: int, named: Sequence[str], deep: bool) -> list[Folder]:
    """The mail folders to look into.

    :param named: CollectionIds; none, an empty one or "0" (Outlook for phones, Android 6) mean all folders.
    :param deep: those below them, too.
    :raises NoSuchFolder: there is no such folder, or no longer.
    """
    there = {folder.number: folder for folder in folders.list_folders(tx, mailbox_id) if visible(folder)}
    if not named or any(name.strip() in ("", "0") for name in named):
        chosen = set(there)
    else:
        chosen = {parse_number(name.strip()) for name in named}
        if not chosen <= set(there):
            raise NoSuchFolder(cause=f"{len(chosen - set(there))} unknown folders")
        if deep:
            chosen |= _below(there.values(), chosen)
    return [
        folder for number, folder in there.items() if number in chosen and folder.type.item_class == "Email"
    ]


def _below(there: Iterable[Folder], chosen: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for folder in there:
        children.setdefault(folder.parent, []).append(folder.number)
    found: set[int] = set()
    waiting = list(chosen)
    while waiting:
        for number in children.get(waiting.pop(), ()):
            if number not in found:
                found.add(number)
                waiting.append(number)
    return found


def find_mail(
    tx: Transaction, mailbox_id: int, node: Node, where: Sequence[Folder], first: int, last: int
) -> Matches:
    """The matches of one range.

    :raises Malformed: the query is too complex.
    """
    by_number = {folder.number: folder for folder in where}
    found = matching(tx, mailbox_id, node, [folder.id for folder in where], last - first + 1, first)
    page = []
    for number, folder in found.items:
        item = changes.item_by_number(tx, mailbox_id, number)
        if item is not None:
            page.append(Match(item, by_number[folder]))
    return Matches(tuple(page), found.total)
