"""One collection of one device, between the store and the decision.

Promise: what a request asks of a collection is done in one transaction: the device's own commands, the decision
what to tell it, and the two generations of its state. Nothing here waits, and nothing runs outside the transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attrs import define, field, frozen

from posthouse.eas import knowledge, window
from posthouse.eas.asked import Ask, Desk, Response
from posthouse.eas.content import recipients
from posthouse.eas.content.options import MailOptions, filter_fits
from posthouse.eas.folder_feed import Thing, feed_of, target_of, things
from posthouse.eas.generation import (
    GIVE_UP,
    AddResult,
    Base,
    Generation,
    base_for,
    next_generation,
    shrunk,
)
from posthouse.eas.ids import RECIPIENT_CACHE, parse_number
from posthouse.eas.knowledge import State
from posthouse.eas.orders import SUCCESS, obey, still_remembered
from posthouse.eas.statuses import StatusError
from posthouse.eas.window import Batch
from posthouse.model import Folder, FolderType
from posthouse.store import devices, folders, numbers
from posthouse.store.acquaintances import Acquaintance
from posthouse.store.transaction import Transaction

# MS-ASCMD 2.2.3.177.17, Status (Sync)
BAD_KEY = 3
PROTOCOL_ERROR = 4
HIERARCHY_CHANGED = 12

_DAY = 24 * 3600 * 1000

#: A state is written anew, under its key, when so many numbers passed silently or so much time, so that no
#: request looks at them twice and the state stays above the horizon of the tombstones.
_QUIET_NUMBERS = 500
_QUIET_TIME = _DAY

#: Commands that an answer may well hold: when there is room for more, the whole window is looked at.
_LIKELY = 128
#: Items that are fetched at once to see whether they fit.
_PORTION = 32

#: After so long an item that was set aside is offered again.
_OFFER_AFTER = _DAY


@define
class Outcome:
    """What becomes of an `Ask`. ``record`` is what is to be kept, when the transaction could only read."""

    ask: Ask
    status: int = SUCCESS
    key: str = ""
    folder: Folder | None = None
    batch: Batch = field(factory=Batch)
    items: Mapping[int, Thing] = field(factory=dict)
    options: MailOptions = field(factory=MailOptions)
    responses: tuple[Response, ...] = ()
    says: bool = False
    record: Record | None = None
    generation: Generation | None = None

    @property
    def failed(self) -> bool:
        return self.status != SUCCESS


@frozen
class Record:
    """Both generations as they go into the store, and the items to set aside or to forget there."""

    old_key: str
    old: bytes
    new_key: str
    new: bytes
    aside: tuple[tuple[int, str], ...] = ()
    offered: tuple[int, ...] = ()


def evaluate(tx: Transaction, desk: Desk, ask: Ask) -> Outcome:
    """Do what the request asks of one collection.

    In a reading transaction nothing is kept: ``Outcome.record`` says what has to be, before the answer leaves.
    Orders need a writing one.

    :raises StatusError: of the whole request, see `_check_class`.
    """
    folder = folder_named(tx, desk.mailbox_id, ask.collection_id)
    if folder is None:
        return Outcome(ask, HIERARCHY_CHANGED, ask.key)
    _check_class(ask, folder)
    if ask.key == "0":
        return _begin(tx, desk, ask, folder)
    row = devices.load_state(tx, desk.device, str(folder.number))
    if row is None or not row.new_key:
        return Outcome(ask, BAD_KEY, "0", folder)
    old = Generation.load(row.old) if row.old_key else None
    base = base_for(ask.key, row.old_key, old, row.new_key, Generation.load(row.new), desk.written)
    if base is None or base.start.high < numbers.tombstone_horizon(tx, desk.mailbox_id):
        return Outcome(ask, BAD_KEY, "0", folder)
    outcome = _continue(tx, desk, ask, folder, base)
    if outcome.record is not None and not outcome.says:
        # Nothing is said, so the key stays and with it the generation before (if it is still there).
        outcome.record = Record(row.old_key, row.old, ask.key, outcome.record.new)
    if outcome.record is not None and tx.writable:
        keep(tx, desk.device, folder, outcome.record, desk.now)
        outcome.record = None
    return outcome


def keep(tx: Transaction, device: int, folder: Folder, record: Record, now: int) -> None:
    """Write down what an evaluation decided."""
    for number in record.offered:
        devices.offer_again(tx, device, folder.id, number)
    for number, reason in record.aside:
        devices.set_aside(tx, device, folder.id, number, reason, now)
    devices.save_state(
        tx, device, str(folder.number), record.old_key, record.old, record.new_key, record.new, now
    )


def _check_class(ask: Ask, folder: Folder) -> None:
    """What does not suit the class of a collection is wrong with the whole request.

    :raises StatusError: 4: ConversationMode for what is no mail (R2117), a FilterType that the class does not
        have (R3041-3061, R3080), commands for the recipient cache, which is read only (R756).
    """
    item_class = folder.type.item_class
    if ask.conversations is not None and item_class != "Email":
        raise StatusError(PROTOCOL_ERROR, f"ConversationMode for {item_class}")
    if ask.options is not None and not filter_fits(item_class, ask.options.filter_type):
        raise StatusError(PROTOCOL_ERROR, f"FilterType {ask.options.filter_type} for {item_class}")
    if ask.orders and folder.type == FolderType.RECIPIENT_CACHE:
        raise StatusError(PROTOCOL_ERROR, "commands for the recipient cache")


def folder_named(tx: Transaction, mailbox_id: int, collection_id: str) -> Folder | None:
    """The folder behind a CollectionId, None when there is none that may be synchronised."""
    if collection_id == RECIPIENT_CACHE:
        return folders.folder_of_type(tx, mailbox_id, FolderType.RECIPIENT_CACHE)
    folder = folders.folder_by_number(tx, mailbox_id, parse_number(collection_id))
    return folder if folder is not None and not folder.hidden else None


def _begin(tx: Transaction, desk: Desk, ask: Ask, folder: Folder) -> Outcome:
    """Key 0: forget what the device had, and give it a key (commands, if any, are not looked at)."""
    state = State.begin(numbers.top_number(tx, desk.mailbox_id))
    options = ask.options or MailOptions()
    generation = Generation(
        state=state,
        options=options.to_json(),
        supported=ask.supported,
        filter_type=options.filter_type,
        conversations=bool(ask.conversations),
        at=desk.now,
    )
    key = desk.fresh()
    offered = tuple(row.number for row in devices.aside(tx, desk.device, folder.id))
    record: Record | None = Record("", b"", key, generation.dump(), offered=offered)
    if tx.writable and record is not None:
        keep(tx, desk.device, folder, record, desk.now)
        record = None
    return Outcome(
        ask, key=key, folder=folder, options=options, says=True, record=record, generation=generation
    )


def _continue(tx: Transaction, desk: Desk, ask: Ask, folder: Folder, base: Base) -> Outcome:
    options = ask.options if ask.options is not None else MailOptions.from_json(base.proved.options or {})
    together = ask.conversations if ask.conversations is not None else base.proved.conversations
    feed = feed_of(tx, desk.mailbox_id, folder)
    state = base.start
    results: dict[str, AddResult] = {}
    responses: list[Response] = []
    if ask.orders:
        state, responses, results = obey(tx, desk, ask, folder, base, options)
    batch = Batch()
    put_aside: list[tuple[int, str]] = []
    offered: tuple[int, ...] = ()
    found: dict[int, Thing] = {}
    if ask.wants_changes and desk.room > 0:
        target = target_of(tx, folder, options.filter_type, options.max_items, desk.now)
        size = min(shrunk(ask.window or 100, base.attempts), desk.room)
        again = _due_again(tx, desk.device, folder, state, desk.now)
        before = state
        decide = partial(window.decide, conversations=together)
        batch, state = decide(before, feed, target, min(size, _LIKELY), again)
        if base.attempts >= GIVE_UP and len(batch.adds) == 1 and batch.size == 1:
            # This one item is all that was left in the window, and still no answer took root.
            put_aside = [(batch.adds[0], "the device never confirmed an answer with this item")]
            before = knowledge.set_aside(before, batch.adds)
            batch, state = decide(before, feed, target, size)
        found, fitting = _fitting(tx, folder, batch, options, desk.budget)
        if fitting == batch.size and batch.more and size > _LIKELY:
            batch, state = decide(before, feed, target, size, again)
            found, fitting = _fitting(tx, folder, batch, options, desk.budget)
        if fitting < batch.size:
            batch, state = decide(before, feed, target, fitting, again)
            found.update(things(tx, folder, [one for one in batch.adds if one not in found]))
        offered = tuple(again & set(batch.adds))
    # An older key that asks for no changes and brings none is left as it is: nothing was said (R3125).
    says = bool(batch.size or ask.orders or (base.replay and ask.wants_changes))
    generation = next_generation(
        base,
        state,
        batch,
        options=options.to_json(),
        supported=ask.supported if ask.supported is not None else base.proved.supported,
        filter_type=options.filter_type,
        conversations=together,
        results=still_remembered(base.repeats, results),
        at=desk.now,
    )
    outcome = Outcome(
        ask,
        key=desk.fresh() if says else ask.key,
        folder=folder,
        batch=batch,
        items=found,
        options=options,
        responses=tuple(responses),
        says=says,
        generation=generation,
    )
    if says or (not base.replay and _worth_keeping(base, generation)):
        outcome.record = Record(
            base.key, base.proved.dump(), outcome.key, generation.dump(), tuple(put_aside), offered
        )
    return outcome


def _worth_keeping(base: Base, generation: Generation) -> bool:
    """Whether a silent step forward is written down all the same."""
    return (
        (generation.options or {}) != (base.proved.options or {})
        or generation.conversations != base.proved.conversations
        or generation.state.high - base.start.high >= _QUIET_NUMBERS
        or generation.at - base.proved.at >= _QUIET_TIME
    )


def _fitting(
    tx: Transaction, folder: Folder, batch: Batch, options: MailOptions, budget: int
) -> tuple[dict[int, Thing], int]:
    """The items of a batch, and how many of its commands fit into so many bytes; at least one.

    Items are fetched in portions, and no further than they fit: a window of 512 is far more than an answer holds.
    """
    found = dict(things(tx, folder, [number for number, _ in batch.changes]))
    count = batch.size - len(batch.adds)
    for start in range(0, len(batch.adds), _PORTION):
        portion = batch.adds[start : start + _PORTION]
        found.update(things(tx, folder, portion))
        for number in portion:
            item = found.get(number)
            budget -= expected_size(item, options) if item is not None else 0
            if budget < 0 and count:
                return found, count
            count += 1
    return found, count


def expected_size(item: Thing, options: MailOptions) -> int:
    """About how many bytes an item takes in an answer, without looking into its body."""
    if isinstance(item, Acquaintance):
        return recipients.SIZE
    text = max(0, item.size - sum(attachment.size * 4 // 3 for attachment in item.attachments))
    whole = 0
    for preference in options.bodies:
        size = item.size if preference.type == 4 else text
        if preference.truncation is not None:
            size = (
                0
                if preference.all_or_none and size > preference.truncation
                else min(size, preference.truncation)
            )
        whole = max(whole, size)
    if not options.bodies:
        whole = text
    return 800 + whole


# Questions that change nothing --------------------------------------------------------------------


def newest(tx: Transaction, device: int, folder: Folder) -> Generation | None:
    """The generation last answered: what Ping and hanging Sync compare with (R5636)."""
    row = devices.load_state(tx, device, str(folder.number))
    return Generation.load(row.new) if row is not None and row.new_key else None


def has_news(tx: Transaction, mailbox_id: int, device: int, folder: Folder, now: int) -> bool | None:
    """Would a Sync of that folder deliver anything? None when the device never synchronised it."""
    generation = newest(tx, device, folder)
    if generation is None:
        return None
    feed = feed_of(tx, mailbox_id, folder)
    again = _due_again(tx, device, folder, generation.state, now)
    most = MailOptions.from_json(generation.options or {}).max_items
    target = target_of(tx, folder, generation.filter_type, most, now)
    return window.is_news(generation.state, feed, target, again, generation.conversations)


def _due_again(tx: Transaction, device: int, folder: Folder, state: State, now: int) -> frozenset[int]:
    """The items set aside that are offered again: after a while, or because an administrator said so."""
    if not state.aside:
        return frozenset()
    kept = devices.aside(tx, device, folder.id)
    return state.aside - {row.number for row in kept if now - row.at < _OFFER_AFTER}


def count_news(
    tx: Transaction,
    mailbox_id: int,
    device: int,
    folder: Folder,
    key: str,
    filter_type: int,
    now: int,
    together: bool = False,
    max_items: int = 0,
) -> int:
    """GetItemEstimate: how many commands the Syncs to come will carry under ``key``; proves nothing.

    :param together: ConversationMode. :param max_items: of the recipient information cache, 0 for all.
    :raises StatusError: 3, the device never began with key 0; 4, the key fits no generation.
    """
    row = devices.load_state(tx, device, str(folder.number))
    if row is None or not row.new_key or key == "0":
        raise StatusError(3)
    old = Generation.load(row.old) if row.old_key else None
    base = base_for(key, row.old_key, old, row.new_key, Generation.load(row.new), False)
    if base is None:
        raise StatusError(4)
    feed = feed_of(tx, mailbox_id, folder)
    target = target_of(tx, folder, filter_type, max_items, now)
    return window.estimate(base.start, feed, target, 1 << 20, together)
