"""Rules at work: where the copies of a message go, how they are marked, and what is sent on.

Promise: decided and done in the transaction that delivers the message, so that a rule is followed once or not at all.
The decision itself is pure (``posthouse.rules.decide``); here it is turned into copies before, and into mail that is
sent on after the delivery. A mailbox without rules is not looked at. A rule whose folder is gone is switched off and
the message stays in the Inbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from attrs import evolve, field, frozen
from twisted.logger import Logger

from posthouse.delivery.message import Message
from posthouse.delivery.sending_on import SendingOn
from posthouse.mime.addresses import display_mailbox, fold_address, parse_mailboxes
from posthouse.mime.excerpt import excerpt
from posthouse.mime.headers import decode_header, first, parse_headers
from posthouse.mime.part import load_structure
from posthouse.model import Account, Flag, FolderType, ItemDraft
from posthouse.rules.decide import Facts, Outcome, Person, Reader, decide
from posthouse.store import accounts, bodies, folders, items, rules
from posthouse.store.delivery import Copy, Delivered
from posthouse.store.rules import Traits

__all__ = ["MAX_TEXT", "Letter", "Plan", "Sorter", "facts_of", "trial"]

#: characters of the text that rules look at
MAX_TEXT = 32_768
_PEOPLE = 200
_VALUE = 4096
_SENSITIVITY = ("personal", "private")
_FOLLOW_UP = Flag(status=2, type="Follow up")
_BULK = (b"bulk", b"list", b"junk")

_log = Logger()


@frozen(eq=False)
class Letter:
    """One message that is being delivered.

    :ivar sender: the reverse path. :ivar trace: Received and the like, in front of what goes on.
    :ivar added: header lines that stand in the trace. :ivar text: the beginning of its text, where somebody read it.
    """

    message: Message
    draft: ItemDraft
    sender: str
    trace: bytes
    added: bytes = b""
    text: str | None = None
    require_tls: bool = False  # RFC 8689: what goes on of it keeps to TLS

    def read_text(self) -> str:
        """The beginning of the text."""
        if self.text is not None:
            return self.text
        return excerpt(self.message.root, self.message.read, MAX_TEXT)


@frozen(eq=False)
class Plan:
    """Copies as the rules want them, those that were there before first, in their order.

    :ivar outcomes: beside those that were there before; None where no rule was asked.
    """

    copies: tuple[Copy, ...]
    outcomes: tuple[Outcome | None, ...] = ()
    owners: dict[int, Any] = field(factory=dict)

    def __bool__(self) -> bool:
        return any(self.outcomes)


@frozen
class Sorter:
    """:param sending_on: forwards and redirects."""

    sending_on: SendingOn

    def plan(self, tx: Any, letter: Letter, copies: Sequence[Copy], traits: Sequence[Traits]) -> Plan:
        """Ask the rules of the mailboxes that have some."""
        ruled = {one.mailbox_id for one in traits if one.rules}
        if not ruled:
            return Plan(tuple(copies))
        facts = lru_cache(maxsize=1)(lambda: facts_of(letter))
        placed: list[Copy] = []
        beside: list[Copy] = []
        outcomes: list[Outcome | None] = []
        owners: dict[int, Any] = {}
        for copy in copies:
            active = rules.active(tx, copy.mailbox_id) if copy.mailbox_id in ruled else []
            owner = accounts.account_by_mailbox(tx, copy.mailbox_id) if active else None
            if owner is None:
                placed.append(copy)
                outcomes.append(None)
                continue
            owners[copy.mailbox_id] = owner
            reader = Reader(
                accounts.owned_addresses(tx, owner.id), fold_address(copy.recipient), copy.role == "junk"
            )
            try:
                outcome = decide(active, facts(), reader)
            except Exception:
                # Whatever is wrong here is our fault, and no reason to refuse mail.
                _log.failure("the rules of {address} broke", event="rules.broken", address=owner.address)
                placed.append(copy)
                outcomes.append(None)
                continue
            outcomes.append(outcome)
            moved, more = _placed(tx, copy, outcome, letter.draft)
            placed.append(moved)
            beside += more
        return Plan((*placed, *beside), tuple(outcomes), owners)

    def send_on(self, tx: Any, letter: Letter, plan: Plan, done: Delivered, now: int) -> list[str]:
        """Forward and redirect what was delivered for the first time. :returns: for the log, why something was not."""
        notes: list[str] = []
        for copy, outcome, number in zip(plan.copies, plan.outcomes, done.numbers, strict=False):
            if outcome is None or not number or not (outcome.forward or outcome.redirect):
                continue
            owner = plan.owners[copy.mailbox_id]
            notes += self.sending_on.send(tx, letter, copy, outcome, owner, done, now)
        return notes


def _placed(tx: Any, copy: Copy, outcome: Outcome, draft: ItemDraft) -> tuple[Copy, list[Copy]]:
    """A copy where the rules want it, and those beside it."""
    changes: dict[str, Any] = {}
    if outcome.flag:
        changes["flag"] = _FOLLOW_UP
    if outcome.categories:
        changes["categories"] = tuple(dict.fromkeys((*draft.categories, *outcome.categories)))
    if outcome.importance is not None:
        changes["importance"] = outcome.importance
    marked = evolve(copy, read=copy.read or outcome.read, draft=evolve(draft, **changes) if changes else None)
    moved = marked
    if outcome.delete:
        moved = evolve(marked, folder_type=FolderType.DELETED, folder_id=0, role="")
    elif outcome.folder:
        folder_id = _folder(tx, copy.mailbox_id, outcome.folder)
        if folder_id:
            moved = evolve(marked, folder_id=folder_id, role="")
    beside = []
    for number in outcome.copies:
        folder_id = _folder(tx, copy.mailbox_id, number)
        if folder_id and folder_id != moved.folder_id:
            beside.append(evolve(marked, folder_id=folder_id, role="", beside=True))
    return moved, beside


def _folder(tx: Any, mailbox_id: int, number: int) -> int:
    """The row id of a folder for mail; 0, and its rules are switched off, when there is none."""
    found = folders.folder_by_number(tx, mailbox_id, number)
    if found is not None and found.type.item_class == "Email":
        return found.id
    broken = [one.id for one in rules.active(tx, mailbox_id) if number in one.folders]
    rules.disable(tx, mailbox_id, broken, "The folder that it needs does not exist.")
    return 0


def facts_of(letter: Letter) -> Facts:
    """What rules ask about a message."""
    fields = letter.message.fields
    draft = letter.draft
    found: dict[str, list[bytes]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)

    @lru_cache(maxsize=64)
    def header(name: str) -> str:
        return "\n".join(decode_header(value, _VALUE) for value in found.get(name, ())[:20]).casefold()

    def people(*names: str) -> tuple[Person, ...]:
        raw = [value for name in names for value in found.get(name, ())[:20]]
        return tuple(one for value in raw for one in _people(value))[:_PEOPLE]

    sensitivity = header("sensitivity").strip()
    return Facts(
        author=people("from", "sender"),
        to=people("to"),
        cc=people("cc"),
        subject=draft.subject.casefold(),
        size=draft.size,
        importance=draft.importance,
        sensitivity="confidential" if "confidential" in sensitivity
        else sensitivity if sensitivity in _SENSITIVITY else "normal",
        attachment=draft.has_attachments,
        is_list=_is_list(found),
        header=header,
        read_text=letter.read_text,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _people(value: bytes) -> tuple[Person, ...]:
    return tuple(
        Person(display_mailbox(box).casefold(), fold_address(box.address))
        for box in parse_mailboxes(value, _PEOPLE)
    )


def _is_list(found: dict[str, list[bytes]]) -> bool:
    if any(name in found for name in ("list-id", "list-post", "list-unsubscribe")):
        return True
    return any(value.strip().lower() in _BULK for value in found.get("precedence", ()))


def trial(tx: Any, account: Account, number: int) -> Outcome | None:
    """What an account's rules would do with an item that is there, by its number; None: there is no such item."""
    item = items.item_by_number(tx, account.mailbox_id, number)
    if item is None:
        return None
    body = bodies.body_ref(tx, item.body_id)
    if body is None:
        return None

    def read(start: int, stop: int) -> bytes:
        return bodies.read_body(tx, item.body_id, start, min(stop, body.size))

    root = load_structure(item.structure)
    head = read(0, root.body_start)
    sender = first(parse_headers(item.trace), "return-path") or b""
    draft = ItemDraft(
        received=item.received,
        size=body.size,
        subject=item.subject,
        importance=item.importance,
        has_attachments=item.has_attachments,
    )
    letter = Letter(Message(head, root, body.size, read), draft, sender.decode("utf-8", "replace"), b"")
    delivered = first(parse_headers(item.trace), "delivered-to") or account.address.encode()
    folder = folders.folder_by_id(tx, item.folder_id)
    junk = folders.folder_of_role(tx, account.mailbox_id, "junk")
    reader = Reader(
        accounts.owned_addresses(tx, account.id),
        fold_address(delivered.decode("utf-8", "replace").strip()),
        folder is not None and folder.id == junk.id,
    )
    return decide(rules.active(tx, account.mailbox_id), facts_of(letter), reader)
