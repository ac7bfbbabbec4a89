"""What a request may look like, as data.

Promise: a command writes its request down once, as a table of parents, children, types and occurrences with
the status that each violation gives; what a table does not know is passed over and noted, never an error.
MS-ASCMD R975, R976, R4545, R4546, R4568, R4817.
"""

from __future__ import annotations

from attrs import field, frozen

from posthouse.eas.statuses import Status, StatusError
from posthouse.wbxml.tree import Element

#: Any number of times.
MANY = 1 << 30


@frozen
class Child:
    """One element under its parent.

    :ivar least: how often it has to be there. :ivar most: how often it may be.
    :ivar kind: "text", "number", "flag" (0, 1 or empty), "empty", "container" (its ``rule`` looks inside),
        "any".
    :ivar length: most characters of a text; ``least_length`` 1 refuses the empty one.
    :ivar low: of a number, likewise ``high``.
    :ivar status: what a violation gives; None takes the rule's.
    """

    least: int = 0
    most: int = 1
    kind: str = "text"
    rule: Rule | None = None
    length: int = 1 << 20
    least_length: int = 0
    low: int = 0
    high: int = 0xFFFFFFFF
    status: int | None = None


@frozen
class Rule:
    """The children of one element.

    :ivar one_of: tags of which at least one has to be there.
    :ivar status: what a violation gives, where a child does not say otherwise.
    """

    children: dict[str, Child] = field(factory=dict)
    status: int = int(Status.INVALID_XML)
    one_of: tuple[str, ...] = ()


def check(element: Element, rule: Rule) -> list[str]:
    """Compare a request with its grammar.

    :return: the tags that the grammar does not know, each once, for the log.
    :raises StatusError: with the status of the first violation.
    """
    unknown: dict[str, None] = {}
    _check(element, rule, unknown)
    return list(unknown)


def _check(element: Element, rule: Rule, unknown: dict[str, None]) -> None:
    seen: dict[str, int] = {}
    for child in element.children:
        known = rule.children.get(child.tag)
        if known is None:
            if len(unknown) < 32:
                unknown[child.tag] = None
            continue
        seen[child.tag] = count = seen.get(child.tag, 0) + 1
        status = rule.status if known.status is None else known.status
        if count > known.most:
            raise StatusError(status, f"{child.tag} more than {known.most} times in {element.tag}")
        _check_content(child, known, status, unknown)
    for tag, known in rule.children.items():
        if known.least and seen.get(tag, 0) < known.least:
            status = rule.status if known.status is None else known.status
            raise StatusError(status, f"{tag} is missing from {element.tag}")
    if rule.one_of and not any(tag in seen for tag in rule.one_of):
        raise StatusError(rule.status, f"none of {', '.join(rule.one_of)} in {element.tag}")


def _check_content(child: Element, known: Child, status: int, unknown: dict[str, None]) -> None:
    kind = known.kind
    if kind == "container":
        if known.rule is not None:
            _check(child, known.rule, unknown)
        return
    if kind == "any":
        return
    if child.children:
        raise StatusError(status, f"{child.tag} has children")
    if kind == "text":
        if not known.least_length <= len(child.content or "") <= known.length:
            raise StatusError(status, f"{child.tag} of {len(child.content or '')} characters")
    elif kind == "number":
        number(child, known.low, known.high, status)
    elif kind == "flag":
        if child.value.strip() not in ("", "0", "1"):
            raise StatusError(status, f"{child.tag} is neither 0 nor 1")
    elif kind == "empty" and child.value.strip() not in ("", "1"):
        # Empty by the schema; some clients write a 1 into it.
        raise StatusError(status, f"{child.tag} is not empty")


def number(element: Element, low: int = 0, high: int = 0xFFFFFFFF, status: int = 103) -> int:
    """The number that an element holds.

    :raises StatusError: none, or outside low to high.
    """
    text = element.value.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not low <= int(text) <= high:
        raise StatusError(status, f"{element.tag} is not a number from {low} to {high}")
    return int(text)


def flag(element: Element | None, absent: bool = False) -> bool:
    """A boolean element: empty means true (MS-ASCMD R2161, R3127)."""
    if element is None:
        return absent
    return element.value.strip() != "0"
