"""The device's own commands in one collection: what each does to the store, and to what the device knows.

Promise: all of a request's commands are part of the one transaction that keeps the collection's new state. What must
not happen twice (an Add, the rewriting or the sending of a draft) is remembered under the key that it came with:
the same command, sent again with that key because the answer was lost, is answered from memory (rule 3; R955, R961).
MS-ASCMD 2.2.3.7.2 (Add), 2.2.3.24 (Change), 2.2.3.42.2 (Delete), MS-ASEMAIL 2.2.2.69 (Send).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial

from posthouse.eas import knowledge
from posthouse.eas.asked import Ask, Desk, Order, Response
from posthouse.eas.content.flag import ABSENT, MailChange, read_change
from posthouse.eas.content.options import MailOptions
from posthouse.eas.generation import AddResult, Base
from posthouse.eas.ids import parse_number
from posthouse.eas.knowledge import State
from posthouse.eas.statuses import StatusError
from posthouse.model import ChangeGroup, Flag, Folder, FolderType, Item
from posthouse.store import changes, folders, items
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import Email
from posthouse.wbxml.tree import Element

# MS-ASCMD 2.2.3.177.17, Status (Sync)
SUCCESS = 1
CONVERSION = 6
CONFLICT = 7
NOT_FOUND = 8
NO_ROOM = 9

#: Two full requests; a device that never gets an answer is not remembered without end.
_MOST_REMEMBERED = 400

#: What a device may change of any message (R41); everything else is a matter for an `Author`.
_MARKS = frozenset((Email.Read, Email.Flag, Email.Categories))


def digest(order: Order) -> str:
    """What makes two commands the same command (rule 3)."""
    found = hashlib.sha256(f"{order.kind}\n{order.class_name}\n{order.send:d}\n".encode("utf-8", "replace"))
    waiting: list[Element | str] = [order.data] if order.data is not None else []
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.update(one.encode())
            continue
        content = one.content or b""
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        found.update(f"<{one.tag} {len(data)}>".encode())
        found.update(data)
        waiting.append("</>")
        waiting.extend(reversed(one.children))
    return found.hexdigest()[:32]


def memory_key(order: Order, seen: str) -> str:
    """Under which name the result of a command is kept; no ClientId has a NUL in it."""
    return order.client_id if order.kind == "Add" else f"\0{order.server_id}\0{seen}"


def still_remembered(repeats: Mapping[str, AddResult], results: dict[str, AddResult]) -> dict[str, AddResult]:
    """What is kept after another request under the same older key: also what that one did not say again, for the
    device may say it the time after. A newer wish about the same item takes the older one's place.
    """
    if not repeats:
        return results
    said = {_about(key) for key in results}
    kept = {key: result for key, result in repeats.items() if _about(key) not in said}
    return {**kept, **results} if len(kept) <= _MOST_REMEMBERED else results


def _about(key: str) -> str:
    """The ClientId or ServerId in a `memory_key`."""
    return key.rpartition("\0")[0] or key


def is_heavy(order: Order) -> bool:
    """Whether a command makes, rewrites or sends an item, beyond setting its marks."""
    if order.kind != "Change":
        return order.kind == "Add"
    return order.send or (
        order.data is not None and any(child.tag not in _MARKS for child in order.data.children)
    )


def obey(
    tx: Transaction, desk: Desk, ask: Ask, folder: Folder, base: Base, options: MailOptions
) -> tuple[State, list[Response], dict[str, AddResult]]:
    """Do every command of a request, in their order.

    :return: the state after them, the answers, and what is to be remembered.
    """
    state = base.start
    responses: list[Response] = []
    results: dict[str, AddResult] = {}
    for order in ask.orders:
        try:
            if order.kind == "Add":
                state, response = _add(tx, desk, folder, base, state, order, results)
                responses.append(response)
            elif order.kind == "Change":
                state, answer = _change(tx, desk, folder, base, state, order, options, results)
                if answer is not None:
                    responses.append(answer)
            elif order.kind == "Delete":
                state = _delete(tx, desk, folder, state, order, ask.deletes_as_moves)
            else:
                responses.append(_fetch(tx, folder, order))
        except StatusError as error:
            responses.append(Response(order, error.status))
    return state, responses, results


def _item(tx: Transaction, folder: Folder, server_id: str) -> Item | None:
    number = parse_number(server_id)
    return changes.items(tx, folder.id, [number]).get(number)


def _fetch(tx: Transaction, folder: Folder, order: Order) -> Response:
    item = _item(tx, folder, order.server_id)
    return Response(order, NOT_FOUND if item is None else SUCCESS, item=item)


def _add(
    tx: Transaction,
    desk: Desk,
    folder: Folder,
    base: Base,
    state: State,
    order: Order,
    results: dict[str, AddResult],
) -> tuple[State, Response]:
    """An identical Add under the same key is answered from memory, and made once (rule 3)."""
    seen = digest(order)
    key = memory_key(order, seen)
    result = earlier = base.repeats.get(key) or results.get(key)
    if result is None or result.digest != seen:
        try:
            if desk.author is None:
                raise StatusError(CONVERSION, f"items of class {folder.type.item_class} cannot be added")
            written = desk.author.add(tx, folder, order, partial(_holds, tx, folder, state))
            result = AddResult(written.number, SUCCESS, seen, 0, written.files)
            if earlier is not None and key not in results:
                _withdraw(tx, desk, folder, earlier.number)
        except StatusError as error:
            result = AddResult(0, error.status, seen)
    results[key] = result
    added = None
    if result.number:
        mark = changes.marks(tx, folder.id, [result.number]).get(result.number)
        state = knowledge.added_here(state, result.number, mark)
        added = changes.items(tx, folder.id, [result.number]).get(result.number)
    return state, Response(order, result.status, result.number, added=added, files=result.files)


def _holds(tx: Transaction, folder: Folder, state: State, number: int) -> bool:
    mark = changes.marks(tx, folder.id, [number]).get(number)
    return mark is not None and knowledge.holds(state, mark)


def _withdraw(tx: Transaction, desk: Desk, folder: Folder, number: int) -> None:
    """What an Add made whose answer was lost, and which its author says anew with other words under the same key.

    The device knows of the new one alone; each loss would leave one more copy of a draft that is being written. What
    somebody else has touched since stays.
    """
    mark = changes.marks(tx, folder.id, [number]).get(number)
    if mark is not None and mark.changed == mark.number:
        items.delete_item(tx, changes.items(tx, folder.id, [number])[number], desk.device)


def _change(
    tx: Transaction,
    desk: Desk,
    folder: Folder,
    base: Base,
    state: State,
    order: Order,
    options: MailOptions,
    results: dict[str, AddResult],
) -> tuple[State, Response | None]:
    seen = digest(order) if is_heavy(order) else ""
    key = memory_key(order, seen)
    known = (base.repeats.get(key) or results.get(key)) if seen else None
    item = _item(tx, folder, order.server_id)
    if known is not None:
        results[key] = known
        if item is None:
            return state, None  # it was sent, or is gone since; a tombstone tells
    elif item is None:
        raise StatusError(NOT_FOUND)
    if folder.type.item_class != "Email" or (order.data is None and not order.send):
        raise StatusError(CONVERSION)
    wanted = read_change(order.data) if order.data is not None else MailChange()
    rewrites = bool(seen) and desk.author is not None and desk.author.rewrites(folder, item)
    if not rewrites and (order.send or (wanted.empty and order.data is not None and order.data.children)):
        raise StatusError(CONVERSION, "nothing in it that a device may change")
    mark = changes.marks(tx, folder.id, [item.number])[item.number]
    steps = _steps(tx, desk, item, wanted)
    touched = [group for group, same, _ in steps if not same]
    if rewrites and known is None:
        touched.append(ChangeGroup.REST)
    if options.conflict == 1 and any(knowledge.in_conflict(state, mark, group) for group in touched):
        # R2069: the server's change stays, and is news to the device.
        raise StatusError(CONFLICT)
    if rewrites:
        if known is None:
            assert desk.author is not None
            written = desk.author.change(tx, folder, item, order)
            known = AddResult(
                written.number, SUCCESS, seen, 0 if written.renamed else written.change, written.files
            )
            results[key] = known
            if written.renamed:
                # News to the device, and yet no conflict with what it writes next.
                state = knowledge.noted_here(state, mark, ChangeGroup.REST, written.change)
        if not known.number:
            # Sent, and no draft any more: a side effect, so its tombstone is news to this device, too (rule 9).
            return state, None
        if known.change:
            state = knowledge.changed_here(state, mark, ChangeGroup.REST, known.change)
    for group, same, write in steps:
        number = 0 if same else write()
        state = (
            knowledge.changed_here(state, mark, group, number)
            if number
            else knowledge.agreed_here(state, mark, group)
        )
    if known is not None and known.files:
        return state, Response(order, SUCCESS, known.number, files=known.files)
    return state, None


_Step = tuple[ChangeGroup, bool, Callable[[], int]]


def _steps(tx: Transaction, desk: Desk, item: Item, wanted: MailChange) -> list[_Step]:
    """The marks to set: their group, whether they are so already, and how to set them."""
    steps: list[_Step] = []
    if wanted.read is not None:
        read = wanted.read
        steps.append(
            (ChangeGroup.READ, item.read == read, lambda: items.set_read(tx, item, read, desk.device))
        )
    if wanted.flag is not ABSENT:
        flag = wanted.flag if isinstance(wanted.flag, Flag) else None
        steps.append(
            (ChangeGroup.FLAG, item.flag == flag, lambda: items.set_flag(tx, item, flag, desk.device))
        )
    if wanted.categories is not None:
        names = wanted.categories
        steps.append(
            (
                ChangeGroup.CATEGORIES,
                item.categories == names,
                lambda: items.set_categories(tx, item, names, desk.device),
            )
        )
    return steps


def _delete(tx: Transaction, desk: Desk, folder: Folder, state: State, order: Order, as_moves: bool) -> State:
    """Gone already is success, too: that is what the client wants."""
    item = _item(tx, folder, order.server_id)
    number = parse_number(order.server_id)
    if item is not None:
        if as_moves and folder.type != FolderType.DELETED and folder.type.item_class == "Email":
            trash = folders.folder_of_type(tx, desk.mailbox_id, FolderType.DELETED)
            items.move_item(tx, item, trash, desk.device)
        else:
            items.delete_item(tx, item, desk.device)
    return knowledge.removed_here(state, number) if number > 0 else state
