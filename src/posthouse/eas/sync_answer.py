"""What Sync says of one collection: the server's changes, and the answers to the client's (MS-ASCMD 2.2.1.21).

Promise: what cannot be made readable never stops a collection; it is set aside durably before the answer leaves.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from posthouse.eas import collection
from posthouse.eas.asked import Response
from posthouse.eas.call import Call
from posthouse.eas.collection import Outcome, Record
from posthouse.eas.content import drafts, recipients
from posthouse.eas.content.email import change_data, mail_elements
from posthouse.eas.generation import Generation
from posthouse.eas.knowledge import set_aside
from posthouse.eas.orders import CONVERSION
from posthouse.errors import NoSuchThing
from posthouse.model import Folder, FolderType, Item
from posthouse.store.acquaintances import Acquaintance
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import AirSync
from posthouse.wbxml.tree import E, Element

__all__ = ["collection_element"]


async def collection_element(call: Call, outcome: Outcome) -> Element:
    """One collection of the answer. Its bodies are read here, and what cannot be made readable is set aside."""
    ask = outcome.ask
    head = [
        # R6319: only at 12.1 and below. It is no part of the answer's schema: said to those who say it.
        E(AirSync.Class, ask.class_name) if call.version < (14, 0) and ask.class_name else None,
        E(AirSync.SyncKey, outcome.key),
        E(AirSync.CollectionId, ask.collection_id),
        E(AirSync.Status, outcome.status),
    ]
    if outcome.failed:
        return E(AirSync.Collection, head)
    commands = await _commands(call, outcome)
    responses = await _responses(call, outcome)
    return E(
        AirSync.Collection,
        head,
        E(AirSync.MoreAvailable) if outcome.batch.more else None,
        E(AirSync.Commands, commands) if commands else None,
        E(AirSync.Responses, responses) if responses else None,
    )


async def _commands(call: Call, outcome: Outcome) -> list[Element]:
    batch = outcome.batch
    elements = [E(AirSync.Delete, E(AirSync.ServerId, number)) for number in batch.deletes]
    if outcome.folder is not None and outcome.folder.type == FolderType.RECIPIENT_CACHE:
        return elements + _recipients(outcome)
    items = {number: item for number, item in outcome.items.items() if isinstance(item, Item)}
    elements += [E(AirSync.SoftDelete, E(AirSync.ServerId, number)) for number in batch.soft_deletes]
    rewritten = [items[n] for n, groups in batch.changes if n in items and items[n].draft and len(groups) > 0]
    bodies = await _rendered(call, rewritten, outcome) if rewritten else {}
    for number, groups in batch.changes:
        item = items.get(number)
        if item is None:
            continue  # left meanwhile; its tombstone follows
        data = bodies.get(number) or change_data(item, groups, call.version)
        if number in bodies and call.version >= (16, 0):
            data = drafts.whole_change(data)
        elements.append(_with_data(AirSync.Change, number, data))
    adds = [items[number] for number in batch.adds if number in items]
    # ASCMD R2108: what is there only for its conversation comes with its preview, but without its body.
    kin = outcome.generation.state.kin if outcome.generation is not None else frozenset()
    data_of = await _rendered(call, [item for item in adds if item.number not in kin], outcome)
    relatives = [item for item in adds if item.number in kin]
    if relatives:
        bare = evolve(outcome, options=outcome.options.without_bodies())
        data_of.update(await _rendered(call, relatives, bare))
    elements += [
        _with_data(AirSync.Add, item.number, data_of[item.number]) for item in adds if item.number in data_of
    ]
    return elements


async def _rendered(call: Call, items: Sequence[Item], outcome: Outcome) -> dict[int, list[Element]]:
    """The items' ApplicationData. What cannot be made readable is set aside before the answer leaves (rule 16)."""
    found: dict[int, list[Element]] = {}
    broken: list[tuple[int, str]] = []
    for item, data in zip(items, await mail_elements(call, items, outcome.options), strict=True):
        if isinstance(data, Exception):
            broken.append((item.number, f"{type(data).__name__}: {data}"))
        else:
            found[item.number] = data
    if broken:
        call.notes["broken"] = [number for number, _ in broken]
        await _put_aside(call, outcome, broken)
    return found


async def _put_aside(call: Call, outcome: Outcome, broken: list[tuple[int, str]]) -> None:
    folder, device, now = outcome.folder, call.device.id, call.now()
    assert folder is not None

    def put(tx: Transaction) -> None:
        row = collection.devices.load_state(tx, device, str(folder.number))
        if row is None or row.new_key != outcome.key:
            raise NoSuchThing(cause="the collection was reset meanwhile")
        generation = Generation.load(row.new)
        state = set_aside(generation.state, [number for number, _ in broken])
        record = Record(
            row.old_key, row.old, row.new_key, evolve(generation, state=state).dump(), tuple(broken)
        )
        collection.keep(tx, device, folder, record, now)

    await call.write(put)


async def _responses(call: Call, outcome: Outcome) -> list[Element]:
    fetched = [response.item for response in outcome.responses if response.item is not None]
    data: dict[int, list[Element] | Exception] = {}
    if fetched:
        rendered = await mail_elements(call, fetched, outcome.options)
        data = {item.number: found for item, found in zip(fetched, rendered, strict=True)}
    own_class = _own_class(outcome) if call.version >= (14, 0) else ""
    return [_response(response, data, own_class) for response in outcome.responses]


def _response(response: Response, data: dict[int, list[Element] | Exception], own_class: str) -> Element:
    """:param own_class: the class of the collection; "" where Class is not answered at all."""
    order = response.order
    given = drafts.answer_data(response)
    if order.kind == "Add":
        foreign = own_class and order.class_name and order.class_name != own_class
        return E(
            AirSync.Add,
            # R941, R942: only when it is not that of the collection.
            E(AirSync.Class, order.class_name) if foreign else None,
            E(AirSync.ClientId, order.client_id),
            E(AirSync.ServerId, response.number) if response.number else None,
            E(AirSync.Status, response.status),
            E(AirSync.ApplicationData, given) if given else None,
        )
    tags = {"Change": AirSync.Change, "Delete": AirSync.Delete, "Fetch": AirSync.Fetch}
    found = data.get(response.item.number) if response.item is not None else None
    status = CONVERSION if isinstance(found, Exception) else response.status
    return E(
        tags[order.kind],
        E(AirSync.ServerId, order.server_id),
        E(AirSync.Status, status),
        E(AirSync.ApplicationData, found) if isinstance(found, list) else None,
        # MS-ASAIRS R1336: the names of the attachments that were added.
        E(AirSync.ApplicationData, given) if given and found is None else None,
    )


def _recipients(outcome: Outcome) -> list[Element]:
    """R3276: an update is a deletion and an addition; who is among the best no more is deleted, too."""
    batch, items = outcome.batch, outcome.items
    elements = [E(AirSync.Delete, E(AirSync.ServerId, number)) for number in batch.soft_deletes]
    for number in batch.adds:
        entry = items.get(number)
        if isinstance(entry, Acquaintance):
            elements.append(_with_data(AirSync.Add, number, recipients.recipient_elements(entry)))
    return elements


def _with_data(tag: str, number: int, data: Sequence[Element]) -> Element:
    return Element(
        tag,
        None,
        [Element(AirSync.ServerId, str(number)), Element(AirSync.ApplicationData, None, list(data))],
    )


def _own_class(outcome: Outcome) -> str:
    folder: Folder | None = outcome.folder
    return folder.type.item_class if folder is not None else "Email"
