"""What the rules of a mailbox do with one message: a pure function of a summary.

Promise: nothing is read of a message but what some rule asks for, the body once at most; rules are asked in
their order until one that applies says stop. The first that gives the message a place decides it; marks add up.
Junk is shown only to rules that speak of junk. All rules together compare so much and no more: beyond that none
applies, since a rule whose exceptions nobody looked at could delete what it should not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from attrs import field, frozen

from posthouse.rules.model import LEVELS, Condition, Rule

__all__ = ["Facts", "Outcome", "Person", "Reader", "decide", "fits"]

# What all rules together may cost, in comparisons with short values; a look into the text is a long one.
_MOST = 100_000
_TEXT_COST = 200


class _TooMuch(Exception):
    """The rules have cost what they may."""


class _Budget:
    """Counts what is left."""

    def __init__(self) -> None:
        self.left = _MOST

    def spend(self, cost: int) -> None:
        """:raises _TooMuch: nothing is left."""
        self.left -= cost
        if self.left < 0:
            raise _TooMuch


@frozen
class Person:
    """Somebody in From, To or Cc: as shown, case-folded, and the folded address."""

    text: str
    address: str


@frozen(slots=False)
class Facts:
    """One message, the same for all who get it.

    :ivar author: From and Sender. :ivar subject: case-folded. :ivar importance: 0 to 2. :ivar sensitivity: as in
        the header, lower case. :ivar header: the value of a field by its lower-case name, case-folded, "" for none.
    :ivar read_text: gives the beginning of the text; asked for once, and only when a rule looks at it.
    """

    author: tuple[Person, ...] = ()
    to: tuple[Person, ...] = ()
    cc: tuple[Person, ...] = ()
    subject: str = ""
    size: int = 0
    importance: int = 1
    sensitivity: str = "normal"
    attachment: bool = False
    is_list: bool = False
    header: Callable[[str], str] = lambda name: ""
    read_text: Callable[[], str] = str

    @cached_property
    def text(self) -> str:
        """The beginning of the text, case-folded."""
        return self.read_text().casefold()


@frozen
class Reader:
    """For whom it is decided.

    :ivar owned: the reader's folded addresses. :ivar recipient: the one under which the message came.
    """

    owned: frozenset[str] = frozenset()
    recipient: str = ""
    junk: bool = False


@frozen
class Outcome:
    """What is to be done. ``folder`` and ``copies`` are numbers of folders; 0: where it would have gone.

    :ivar applied: the rules, by id. :ivar forward: (id of the rule, address), like ``redirect``.
    """

    applied: tuple[int, ...] = ()
    folder: int = 0
    delete: bool = False
    copies: tuple[int, ...] = ()
    read: bool = False
    flag: bool = False
    categories: tuple[str, ...] = ()
    importance: int | None = None
    forward: tuple[tuple[int, str], ...] = ()
    redirect: tuple[tuple[int, str], ...] = ()
    stopped: bool = field(default=False, eq=False)


def decide(rules: Sequence[Rule], facts: Facts, reader: Reader) -> Outcome:
    """The outcome of the rules, in their order."""
    budget = _Budget()
    applied: list[int] = []
    place: tuple[int, bool] | None = None
    marks = {"read": False, "flag": False}
    importance: int | None = None
    lists: dict[str, dict[object, None]] = {"copy": {}, "category": {}, "forward": {}, "redirect": {}}
    stopped = False
    for rule in rules:
        try:
            if (reader.junk and not rule.judges_junk) or not _applies(rule, facts, reader, budget):
                continue
        except _TooMuch:
            break
        applied.append(rule.id)
        for action in rule.actions:
            if action.do in ("move", "delete"):
                place = place or (action.folder, action.do == "delete")
            elif action.do in marks:
                marks[action.do] = True
            elif action.do == "importance":
                importance = LEVELS.index(action.value)
            elif action.do == "copy":
                lists["copy"][action.folder] = None
            elif action.do == "category":
                lists["category"][action.value] = None
            else:
                lists[action.do].update(dict.fromkeys((rule.id, address) for address in action.to))
        if rule.stop:
            stopped = True
            break
    return Outcome(
        tuple(applied),
        place[0] if place else 0,
        place[1] if place else False,
        tuple(lists["copy"]),  # type: ignore[arg-type]
        marks["read"],
        marks["flag"],
        tuple(lists["category"]),  # type: ignore[arg-type]
        importance,
        tuple(lists["forward"]),  # type: ignore[arg-type]
        tuple(lists["redirect"]),  # type: ignore[arg-type]
        stopped,
    )


def _applies(rule: Rule, facts: Facts, reader: Reader, budget: _Budget) -> bool:
    asked = (fits(one, facts, reader, budget) for one in rule.conditions)
    applies = any(asked) if rule.any_of and rule.conditions else all(asked)
    return applies and not any(fits(one, facts, reader, budget) for one in rule.exceptions)


def fits(one: Condition, facts: Facts, reader: Reader, budget: _Budget | None = None) -> bool:
    """Does a message meet one condition? :param budget: what it may cost; None: whatever it costs."""
    kind, values = one.field, one.values
    if budget is not None:
        budget.spend(len(values) * (_TEXT_COST if kind == "body" else 1))
    if kind in ("from", "to", "cc", "recipient"):
        people = facts.author if kind == "from" else facts.to if kind == "to" else facts.cc
        if kind == "recipient":
            people = (*facts.to, *facts.cc, Person(reader.recipient, reader.recipient))
        if budget is not None:
            budget.spend(len(people) * len(values))
        if one.test == "is":
            return any(_is_address(value, person.address) for person in people for value in values)
        return any(value in person.text or value in person.address for person in people for value in values)
    if kind == "body":
        return any(value in facts.text for value in values)
    if kind in ("subject", "header"):
        text = facts.subject if kind == "subject" else facts.header(one.name)
        if budget is not None:
            budget.spend(len(values) * len(text) // 100)
        return text.strip() in values if one.test == "is" else any(value in text for value in values)
    if kind == "size":
        limit = int(values[0])
        return facts.size > limit if one.test == "over" else facts.size < limit
    return bool(_words(kind, facts, reader) & set(values))


def _words(kind: str, facts: Facts, reader: Reader) -> set[str]:
    """What a field with few values has."""
    if kind == "importance":
        return {LEVELS[facts.importance]}
    if kind == "sensitivity":
        return {facts.sensitivity}
    if kind == "sent":
        return _sent(facts, reader)
    truth = {"attachment": facts.attachment, "list": facts.is_list, "junk": reader.junk}[kind]
    return {"yes" if truth else "no"}


def _sent(facts: Facts, reader: Reader) -> set[str]:
    to = [one.address for one in facts.to]
    mine = [_is_own(address, reader.owned) for address in to]
    in_cc = any(_is_own(one.address, reader.owned) for one in facts.cc)
    words = set()
    if any(mine):
        words.add("to-me")
        if all(mine) and not facts.cc:
            words.add("only-me")
    if in_cc:
        words.add("cc-me")
    return words or {"not-me"}


def _is_own(address: str, owned: frozenset[str]) -> bool:
    local, at, domain = address.rpartition("@")
    return address in owned or f"{local.partition('+')[0]}{at}{domain}" in owned


def _is_address(value: str, address: str) -> bool:
    """``ann@example.org`` itself; ``@example.org`` or ``example.org`` everybody there and below."""
    if "@" in value and not value.startswith("@"):
        return value == address
    domain, host = value.removeprefix("@"), address.rpartition("@")[2]
    return bool(host) and (host == domain or host.endswith("." + domain))
