"""Rules as kept: in their order, each with its form and whether it is at work.

Promise: the mailbox's own row says whether there are any (``traits``), so a mailbox without rules costs nothing. A rule
whose folder was deleted is switched off in that very transaction, with the reason; renaming or moving a folder
changes nothing, since rules know folders by their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from posthouse.errors import Malformed, NoSuchThing, TooLarge
from posthouse.rules.form import read_form, write_form
from posthouse.rules.model import MAX_RULES, Rule
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "MAX_TOTAL",
    "Kept",
    "Traits",
    "active",
    "add_rule",
    "disable",
    "enable_rule",
    "folders_gone",
    "move_rule",
    "remove_rule",
    "replace_rule",
    "rules_of",
    "traits",
]

#: characters of all forms of a mailbox
MAX_TOTAL = 262_144
_COLUMNS = "id, position, form, enabled, problem, created, changed"


@frozen
class Kept:
    """One rule as kept. ``position`` counts from 1; ``problem``: why the house switched it off."""

    id: int
    position: int
    rule: Rule
    enabled: bool
    problem: str
    created: int
    changed: int


@frozen
class Traits:
    """What has to be asked about a mailbox when mail comes.

    :ivar rules: 0 none, 1 some, 2 some that look at the text. :ivar senders: how many it knows.
    :ivar learned_junk: messages that it learned from, like ``learned_good``.
    """

    mailbox_id: int
    account_id: int
    rules: int = 0
    senders: int = 0
    learned_junk: int = 0
    learned_good: int = 0


def traits(tx: Transaction, mailbox_ids: Sequence[int]) -> list[Traits]:
    """The traits of mailboxes, in no order."""
    found = []
    for mailbox_id in mailbox_ids:
        row = tx.one(
            "SELECT m.id, a.id, m.rules, m.senders, m.learned_junk, m.learned_good FROM mailbox m "
            "JOIN account a ON a.mailbox_id = m.id WHERE m.id = ?",
            (mailbox_id,),
        )
        if row is not None:
            found.append(Traits(*row))
    return found


def rules_of(tx: Transaction, mailbox_id: int) -> list[Kept]:
    """Every rule of a mailbox, in order."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM rule WHERE mailbox_id = ? ORDER BY position, id", (mailbox_id,)
    )
    return [
        Kept(row[0], row[1], *_read(row[0], row[2], bool(row[3]), row[4]), row[5], row[6]) for row in rows
    ]


def _read(rule_id: int, form: str, enabled: bool, problem: str) -> tuple[Rule, bool, str]:
    """A rule, whether it is at work, and what is wrong with it."""
    try:
        return evolve(read_form(form), id=rule_id), enabled, problem
    except Malformed as error:
        # Of another version of the program.
        return Rule("?", (), id=rule_id), False, f"It cannot be read: {error.public}"


def active(tx: Transaction, mailbox_id: int) -> list[Rule]:
    """The rules that are at work, in order."""
    rows = tx.execute(
        "SELECT id, form FROM rule WHERE mailbox_id = ? AND enabled = 1 ORDER BY position, id", (mailbox_id,)
    )
    found = [_read(number, form, True, "") for number, form in rows]
    return [rule for rule, enabled, _ in found if enabled]


def add_rule(tx: Transaction, mailbox_id: int, rule: Rule, now: int, position: int | None = None) -> Kept:
    """Put a rule behind the others, or at a position.

    :raises TooLarge: there are too many, or they are too long altogether.
    """
    form = clean(write_form(rule))
    count, size = _size(tx, mailbox_id)
    if count >= MAX_RULES:
        raise TooLarge(f"A mailbox may have {MAX_RULES} rules.")
    if size + len(form) > MAX_TOTAL:
        raise TooLarge("The rules are too long altogether.")
    rule_id = tx.insert(
        "INSERT INTO rule (mailbox_id, position, name, enabled, form, created, changed) "
        "VALUES (?, ?, ?, 1, ?, ?, ?)",
        (mailbox_id, count + 1, clean(rule.name), form, now, now),
    )
    if position is not None:
        return move_rule(tx, mailbox_id, rule_id, position)
    _count(tx, mailbox_id)
    return _kept(tx, mailbox_id, rule_id)


def replace_rule(tx: Transaction, mailbox_id: int, rule_id: int, rule: Rule, now: int) -> Kept:
    """Give a rule another content; what was wrong with it is forgotten, and it is at work again if that was why.

    :raises NoSuchThing: no such rule. :raises TooLarge: the rules are too long altogether.
    """
    kept = _kept(tx, mailbox_id, rule_id)
    form = clean(write_form(rule))
    if _size(tx, mailbox_id)[1] - len(write_form(kept.rule)) + len(form) > MAX_TOTAL:
        raise TooLarge("The rules are too long altogether.")
    tx.execute(
        "UPDATE rule SET name = ?, form = ?, enabled = ?, problem = '', changed = ? WHERE id = ?",
        (clean(rule.name), form, int(kept.enabled or bool(kept.problem)), now, rule_id),
    )
    _count(tx, mailbox_id)
    return _kept(tx, mailbox_id, rule_id)


def enable_rule(tx: Transaction, mailbox_id: int, rule_id: int, enabled: bool) -> Kept:
    """Switch a rule on or off. :raises NoSuchThing: no such rule."""
    _kept(tx, mailbox_id, rule_id)
    tx.execute("UPDATE rule SET enabled = ?, problem = '' WHERE id = ?", (int(enabled), rule_id))
    _count(tx, mailbox_id)
    return _kept(tx, mailbox_id, rule_id)


def move_rule(tx: Transaction, mailbox_id: int, rule_id: int, position: int) -> Kept:
    """Put a rule at a position, counted from 1; beyond the end is the end. :raises NoSuchThing: no such rule."""
    _kept(tx, mailbox_id, rule_id)
    order = [one.id for one in rules_of(tx, mailbox_id) if one.id != rule_id]
    order.insert(max(position, 1) - 1, rule_id)
    _renumber(tx, order)
    _count(tx, mailbox_id)
    return _kept(tx, mailbox_id, rule_id)


def remove_rule(tx: Transaction, mailbox_id: int, rule_id: int) -> None:
    """Forget a rule. :raises NoSuchThing: no such rule."""
    _kept(tx, mailbox_id, rule_id)
    tx.execute("DELETE FROM rule WHERE id = ?", (rule_id,))
    _renumber(tx, [one.id for one in rules_of(tx, mailbox_id)])
    _count(tx, mailbox_id)


def disable(tx: Transaction, mailbox_id: int, rule_ids: Iterable[int], problem: str) -> None:
    """Switch rules off because they cannot work any more."""
    tx.many(
        "UPDATE rule SET enabled = 0, problem = ? WHERE id = ? AND mailbox_id = ?",
        [(clean(problem)[:500], rule_id, mailbox_id) for rule_id in rule_ids],
    )
    _count(tx, mailbox_id)


def folders_gone(tx: Transaction, mailbox_id: int, folders: Mapping[int, str]) -> None:
    """Folders (number: name) were deleted: rules that need one are switched off."""
    if not tx.value("SELECT rules FROM mailbox WHERE id = ?", (mailbox_id,)):
        return
    for kept in rules_of(tx, mailbox_id):
        missing = sorted(kept.rule.folders & folders.keys())
        if missing and kept.enabled:
            disable(tx, mailbox_id, [kept.id], f'The folder "{folders[missing[0]]}" was deleted.')


def _kept(tx: Transaction, mailbox_id: int, rule_id: int) -> Kept:
    for one in rules_of(tx, mailbox_id):
        if one.id == rule_id:
            return one
    raise NoSuchThing("There is no such rule.")


def _size(tx: Transaction, mailbox_id: int) -> tuple[int, int]:
    row = tx.one(
        "SELECT count(*), coalesce(sum(length(form)), 0) FROM rule WHERE mailbox_id = ?", (mailbox_id,)
    )
    return (row[0], row[1]) if row else (0, 0)


def _renumber(tx: Transaction, order: Sequence[int]) -> None:
    tx.many("UPDATE rule SET position = ? WHERE id = ?", [(at, one) for at, one in enumerate(order, 1)])


def _count(tx: Transaction, mailbox_id: int) -> None:
    found = active(tx, mailbox_id)
    level = (2 if any(one.reads_body for one in found) else 1) if found else 0
    tx.execute("UPDATE mailbox SET rules = ? WHERE id = ? AND rules <> ?", (level, mailbox_id, level))
