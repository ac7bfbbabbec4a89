"""Which items fit a query: words, words in one header, dates and marks, joined by and, or, not.

A query is a small tree of values; whatever a client wrote into it is data here, never SQL and never the index's
own syntax. The full-text index narrows as far as it can (a superset of what fits), the rest is conditions on
the rows that are left. What it costs is bounded: ``LEAVES`` leaves, ``DEPTH`` levels, and the newest
``MOST_MATCHES`` items that the index names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from posthouse.errors import Malformed
from posthouse.store.dialect import SQLITE, clean, fold_words
from posthouse.store.transaction import Transaction

__all__ = [
    "DEPTH",
    "LEAVES",
    "MOST_MATCHES",
    "All",
    "Anyone",
    "Between",
    "Conversation",
    "Found",
    "In",
    "Marked",
    "Never",
    "Node",
    "Not",
    "Words",
    "matching",
]

LEAVES = 64
DEPTH = 16
#: matches that are counted and may be paged through, the newest by arrival
MOST_MATCHES = 10_000
_LENGTH = 200

#: where words may be looked for
HEADERS = {
    "from": "i.sender",
    "to": "i.recipients",
    "cc": "i.cc",
    "bcc": "i.bcc",
    "subject": "i.subject",
    "attachment": "coalesce(i.attachments, '')",
    "category": "coalesce(i.categories, '')",
}
_MOMENTS = {"received": "i.received", "sent": "coalesce(i.sent, i.received)"}
_MARKS = {
    "attachment": "i.has_attachments",
    "read": "i.read",
    "draft": "i.draft",
    "importance": "i.importance",
    # JSON; its first member is the status, 2 for active.
    "flagged": "(CASE WHEN i.flag IS NOT NULL AND substr(i.flag, 1, 2) = '[2' THEN 1 ELSE 0 END)",
}


@frozen
class Words:
    """Words in a row, anywhere in the mail; the last one may be the beginning of a longer one."""

    text: str


@frozen
class In:
    """Words in a row in one of ``HEADERS``."""

    where: str
    text: str


@frozen
class Between:
    """A moment ("received" or "sent") from ``start`` to before ``stop``, ms; None leaves a side open."""

    what: str
    start: int | None = None
    stop: int | None = None


@frozen
class Marked:
    """A mark of the item: "attachment", "read", "draft", "flagged" (0 or 1), "importance" (0 to 2)."""

    what: str
    value: int


@frozen
class Conversation:
    """Mail of one conversation."""

    id: bytes


@frozen
class All:
    """Every one of them; of none: everything."""

    of: tuple[Node, ...]


@frozen
class Anyone:
    """At least one of them; of none: nothing."""

    of: tuple[Node, ...]


@frozen
class Not:
    """What does not fit."""

    of: Node


@frozen
class Never:
    """Nothing fits: words without a letter or digit in them."""


Node = Words | In | Between | Marked | Conversation | All | Anyone | Not | Never


@frozen
class Found:
    """A page of items, newest first: (number, folder's number), and how many fit altogether."""

    items: tuple[tuple[int, int], ...]
    total: int


def matching(
    tx: Transaction, mailbox_id: int, node: Node, folder_ids: Sequence[int], limit: int, offset: int = 0
) -> Found:
    """The items of a mailbox that fit, in these folders, by date of arrival, the newest first.

    :raises Malformed: more than ``LEAVES`` leaves or ``DEPTH`` levels.
    """
    _check(node)
    if not folder_ids:
        return Found((), 0)
    node = _simplified(node)
    params: list[Any] = []
    narrowed = _superset(node)
    if narrowed is not None:
        source = SQLITE.search_source
        conditions = ["search MATCH ?"]
        params.append(SQLITE.boxed(mailbox_id, narrowed))
        order = "search.rowid DESC"
    else:
        source = "item i"
        conditions = []
        order = "i.received DESC, i.number DESC"
    conditions.append(
        f"i.mailbox_id = ? AND i.hidden = 0 AND i.folder_id IN ({','.join('?' * len(folder_ids))})"
    )
    params += [mailbox_id, *folder_ids]
    # What the index said already is not asked again.
    for part in node.of if isinstance(node, All) else (node,):
        if narrowed is None or not _indexed(part):
            conditions.append(_condition(part, mailbox_id, params))
    rows = tx.execute(
        "SELECT m.number, f.number, count(*) OVER () FROM (SELECT i.number, i.folder_id, i.received "
        f"FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT {MOST_MATCHES}) m "
        "JOIN folder f ON f.id = m.folder_id ORDER BY m.received DESC, m.number DESC LIMIT ? OFFSET ?",
        (*params, max(limit, 1), max(offset, 0)),
    )
    if rows or not offset:
        return Found(tuple((row[0], row[1]) for row in rows[: max(limit, 0)]), rows[0][2] if rows else 0)
    # A page beyond the last: the total is on the first.
    return Found((), matching(tx, mailbox_id, node, folder_ids, 1).total)


def _check(node: Node) -> None:
    leaves = 0
    waiting: list[tuple[Node, int]] = [(node, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, All | Anyone):
            waiting += [(child, depth + 1) for child in one.of]
        elif isinstance(one, Not):
            waiting.append((one.of, depth + 1))
        else:
            leaves += 1
        if depth > DEPTH or leaves > LEAVES:
            raise Malformed("The query is too complex.", cause=f"{leaves} leaves, {depth} levels")


def _simplified(node: Node) -> Node:
    """The same without doubles, blank words and nested joins."""
    if isinstance(node, Words | In):
        text = " ".join(clean(node.text)[:_LENGTH].split())
        if not any(character.isalnum() for character in text):
            return Never()
        return Words(text) if isinstance(node, Words) else In(node.where, text)
    if isinstance(node, Not):
        return Not(_simplified(node.of))
    if not isinstance(node, All | Anyone):
        return node
    parts: dict[Node, None] = {}
    for child in node.of:
        child = _simplified(child)
        parts |= dict.fromkeys(
            child.of if type(child) is type(node) and not isinstance(child, Not) else (child,)
        )
    if isinstance(node, Anyone):
        # Headers are part of the text: iOS asks for to:"x" OR cc:"x" OR ... OR "x".
        texts = {part.text for part in parts if isinstance(part, Words)}
        parts = {
            part: None
            for part in parts
            if not isinstance(part, Never)
            and not (isinstance(part, In) and part.text in texts and part.where != "category")
        }
        if not parts:
            return Never()
    elif Never() in parts:
        return Never()
    if len(parts) == 1:
        return next(iter(parts))
    return type(node)(tuple(parts))


def _indexed(node: Node) -> bool:
    """Whether the index alone can say whether an item fits."""
    if isinstance(node, All | Anyone):
        return bool(node.of) and all(_indexed(child) for child in node.of)
    return isinstance(node, Words)


def _superset(node: Node) -> str | None:
    """The index's expression for everything that may fit; None when it cannot narrow anything."""
    if isinstance(node, Words):
        return SQLITE.term(node.text)
    if isinstance(node, In):
        # Categories are no part of the text. Elsewhere each word is; the row of words is looked at later.
        if node.where == "category":
            return None
        words = [word for word in node.text.split() if any(character.isalnum() for character in word)]
        return SQLITE.both([SQLITE.term(word) for word in words], any_of=False)
    if isinstance(node, All):
        terms = [term for child in node.of if (term := _superset(child)) is not None]
        return SQLITE.both(terms, any_of=False) if terms else None
    if isinstance(node, Anyone):
        found = [_superset(child) for child in node.of]
        terms = [term for term in found if term is not None]
        return SQLITE.both(terms, any_of=True) if terms and len(terms) == len(found) else None
    return None


def _condition(node: Node, mailbox_id: int, params: list[Any]) -> str:
    """SQL over ``item i`` that says whether an item fits; its parameters are appended."""
    if isinstance(node, Words):
        params.append(SQLITE.boxed(mailbox_id, SQLITE.term(node.text)))
        return SQLITE.search_match
    if isinstance(node, In):
        # Both, or "not" would not be the rest: the index splits words a little differently.
        words = _superset(node)
        if words is not None:
            params.append(SQLITE.boxed(mailbox_id, words))
        params.append(fold_words(node.text))
        stands = SQLITE.has_words.format(column=HEADERS[node.where])
        return stands if words is None else f"{SQLITE.search_match} AND {stands}"
    if isinstance(node, Between):
        column = _MOMENTS[node.what]
        sides = [(">=", node.start), ("<", node.stop)]
        params += [bound for _, bound in sides if bound is not None]
        return " AND ".join(f"{column} {sign} ?" for sign, bound in sides if bound is not None) or "1 = 1"
    if isinstance(node, Marked):
        params.append(node.value)
        return f"{_MARKS[node.what]} = ?"
    if isinstance(node, Conversation):
        params.append(node.id)
        return "i.conversation = ?"
    if isinstance(node, Not):
        return f"NOT ({_condition(node.of, mailbox_id, params)})"
    if isinstance(node, Never):
        return "1 = 0"
    if not node.of:
        return "1 = 1" if isinstance(node, All) else "1 = 0"
    joint = " AND " if isinstance(node, All) else " OR "
    return "(" + joint.join(f"({_condition(child, mailbox_id, params)})" for child in node.of) + ")"
