"""What a user types into a search box, in Microsoft's Keyword Query Language, as a tree of conditions.

Promise: pure and bounded. Whatever is typed means something, since people type half a query and see its results
while they go on: a quotation mark or parenthesis that is not closed yet is closed at the end, an operator
without a partner is passed over, and what looks like an unknown property is plain words. Implements the part
of KQL that mail has use for ([MS-KQL] 2.1; MS-ASCMD 2.2.1.2 names it): words and "words in a row", property
restrictions (``from:``, ``received>=2026-01-31``), AND, OR, NOT, + and -, parentheses. Restrictions of the
same property that stand beside each other without an operator are joined by OR, all else by AND (2.1.4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import define, frozen

from posthouse.errors import Malformed
from posthouse.store.matching import All, Anyone, Between, In, Marked, Never, Node, Not, Words

__all__ = ["MOST_CHARACTERS", "parse"]

MOST_CHARACTERS = 4096
#: as many terms as `posthouse.store.matching` takes, and fewer levels
_MOST_TERMS = 64
_MOST_DEPTH = 12

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<property>[A-Za-z]+)(?P<sign>:|<>|>=|<=|=|>|<)
    | "(?P<quoted>[^"]*)(?:"|$)\*?
    | (?P<word>[^\s()"]+)
    """,
    re.VERBOSE,
)

#: Which headers a property looks into. "body" and the like are the whole text.
_HEADERS: dict[str, tuple[str, ...]] = {
    "from": ("from",),
    "sender": ("from",),
    "to": ("to",),
    "cc": ("cc",),
    "bcc": ("bcc",),
    "subject": ("subject",),
    "recipients": ("to", "cc", "bcc"),
    "participants": ("from", "to", "cc", "bcc"),
    "attachment": ("attachment",),
    "attachmentnames": ("attachment",),
    "category": ("category",),
}
_TEXTS = ("body", "content", "all")
_MOMENTS = ("received", "sent", "date")
_FLAGS = {
    "hasattachment": "attachment",
    "hasattachments": "attachment",
    "isread": "read",
    "read": "read",
    "isflagged": "flagged",
    "isdraft": "draft",
}
_LEVELS = {"low": 0, "normal": 1, "high": 2, "0": 0, "1": 1, "2": 2}
_TRUTH = {"yes": 1, "true": 1, "1": 1, "no": 0, "false": 0, "0": 0}
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class _Token:
    """:ivar kind: "open", "close", "and", "or", "not", "text", "property".
    :ivar sign: of a property: ":", "=", "<" ...
    """

    kind: str
    text: str = ""
    sign: str = ""
    apart: bool = True


def parse(text: str, now: int) -> Node:
    """The conditions in a query.

    :param now: ms since the epoch, for "today". Days are those of UTC.
    :raises Malformed: too long, too many terms, too deep.
    """
    if len(text) > MOST_CHARACTERS:
        raise Malformed("The query is too long.", cause=f"{len(text)} characters")
    tokens = _tokens(text)
    if sum(1 for token in tokens if token.kind in ("text", "property")) > _MOST_TERMS:
        raise Malformed("The query is too complex.", cause="too many terms")
    parser = _Parser(tokens, _EPOCH + timedelta(milliseconds=now))
    found: list[Node] = []
    while parser.position < len(tokens):
        node = parser.either(1)
        if node is not None:
            found.append(node)
        # A parenthesis that closes nothing is passed over.
        parser.position += 1
    if _terms(found) > _MOST_TERMS:
        raise Malformed("The query is too complex.", cause="too many terms")
    return _joined(found) if found else Never()


def _terms(nodes: Sequence[Node]) -> int:
    count = 0
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, All | Anyone):
            waiting += node.of
        elif isinstance(node, Not):
            waiting.append(node.of)
        else:
            count += 1
    return count


def _joined(nodes: Sequence[Node], any_of: bool = False) -> Node:
    if len(nodes) == 1:
        return nodes[0]
    return Anyone(tuple(nodes)) if any_of else All(tuple(nodes))


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    apart = True
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            # A quotation mark always begins one of the forms above, so nothing is left but that it does not.
            position += 1
            continue
        position = match.end()
        token = _token(match, apart)
        apart = match["space"] is not None
        if token is not None:
            found.append(token)
    return found


def _token(match: re.Match[str], apart: bool) -> _Token | None:
    if match["space"] is not None:
        return None
    if match["open"] or match["close"]:
        return _Token("open" if match["open"] else "close")
    if match["property"] is not None:
        name = match["property"].lower()
        if name in _HEADERS or name in _TEXTS or name in _MOMENTS or name in _FLAGS or name in _OTHERS:
            return _Token("property", name, match["sign"], apart)
        # "re: lunch", "http://...": words.
        return _Token("text", match["property"], apart=apart)
    if match["quoted"] is not None:
        return _Token("text", match["quoted"], '"', apart)
    word = match["word"]
    if word in ("AND", "OR", "NOT"):
        return _Token(word.lower())
    if apart and word[0] in "+-" and len(word) > 1:
        return _Token("minus" if word[0] == "-" else "text", word[1:], apart=apart)
    if apart and word in "+-":
        return _Token("minus") if word == "-" else None
    return _Token("text", word.rstrip("*"), apart=apart)


_OTHERS = ("importance", "kind", "size")


@define
class _Parser:
    """Recursive descent over the tokens, at most `_MOST_DEPTH` deep."""

    tokens: list[_Token]
    now: datetime
    position: int = 0

    def peek(self, ahead: int = 0) -> str:
        at = self.position + ahead
        return self.tokens[at].kind if at < len(self.tokens) else ""

    def either(self, depth: int) -> Node | None:
        """a OR b ..."""
        if depth > _MOST_DEPTH:
            raise Malformed("The query is too complex.", cause="too deep")
        parts: list[Node] = []
        while True:
            node = self.every(depth)
            if node is not None:
                parts.append(node)
            if self.peek() != "or":
                break
            self.position += 1
        return _joined(parts, any_of=True) if parts else None

    def every(self, depth: int) -> Node | None:
        """a AND b c ..."""
        parts: list[tuple[str, Node]] = []
        joined = False
        while self.peek() not in ("", "or", "close"):
            if self.peek() == "and":
                self.position += 1
                joined = True
                continue
            name = self.tokens[self.position].text if self.peek() == "property" else ""
            node = self.one(depth)
            if node is None:
                continue
            if name and not joined and parts and parts[-1][0] == name:
                # from:a from:b is from:(a OR b).
                parts[-1] = name, Anyone((parts[-1][1], node))
            else:
                parts.append((name, node))
            joined = False
        return _joined([node for _, node in parts]) if parts else None

    def one(self, depth: int) -> Node | None:
        """A term, a group, or what is not."""
        token = self.tokens[self.position]
        self.position += 1
        if token.kind in ("not", "minus"):
            if token.text:
                absent = _text(token.text)
                return Not(absent) if absent is not None else None
            turns = 1
            while self.peek() == "not":
                self.position += 1
                turns += 1
            if self.peek() in ("", "or", "and", "close"):
                return None
            node = self.one(depth)
            return Not(node) if node is not None and turns % 2 else node
        if token.kind == "open":
            return self.group(depth)
        if token.kind == "property":
            return self.restriction(token, depth)
        return _text(token.text)

    def group(self, depth: int) -> Node | None:
        node = self.either(depth + 1)
        if self.peek() == "close":
            self.position += 1
        return node

    def restriction(self, token: _Token, depth: int) -> Node | None:
        name = token.text
        if self.peek() == "open" and not (name in _MOMENTS or name in _FLAGS or name in _OTHERS):
            self.position += 1
            node = self.group(depth)
            return _inside(name, node) if node is not None else None
        if self.peek() != "text" or (
            self.tokens[self.position].apart and not self.tokens[self.position].sign
        ):
            # "subject:" and nothing behind it yet.
            return None
        value = self.tokens[self.position]
        self.position += 1
        if name in _HEADERS or name in _TEXTS:
            words = _text(value.text)
            node = _inside(name, words) if words is not None else None
            return Not(node) if node is not None and token.sign == "<>" else node
        found = self.special(name, token.sign, value.text.strip())
        # What is no date, truth or level is what somebody happened to write.
        return found if found is not None else _text(f"{name} {value.text}")

    def special(self, name: str, sign: str, value: str) -> Node | None:
        if name in _MOMENTS:
            return self.moment("sent" if name == "sent" else "received", sign, value)
        negate = sign == "<>"
        if sign not in (":", "=", "<>"):
            return None
        node: Node | None = None
        if name in _FLAGS:
            truth = _TRUTH.get(value.lower())
            node = Marked(_FLAGS[name], truth) if truth is not None else None
        elif name == "importance":
            level = _LEVELS.get(value.lower())
            node = Marked("importance", level) if level is not None else None
        elif name == "kind":
            # Mail is all that is searched.
            node = All(()) if value.lower() in ("email", "mail") else Never()
        return Not(node) if node is not None and negate else node

    def moment(self, what: str, sign: str, value: str) -> Node | None:
        first, dots, last = value.partition("..")
        span = self.span(first)
        if dots:
            other = self.span(last)
            if span is None or other is None:
                return None
            return Between(what, span[0], other[1])
        if span is None:
            return None
        start, stop = span
        if sign in (":", "="):
            return Between(what, start, stop)
        if sign == "<>":
            return Not(Between(what, start, stop))
        if sign == ">=":
            return Between(what, start)
        if sign == ">":
            return Between(what, stop)
        return Between(what, None, start if sign == "<" else stop)

    def span(self, value: str) -> tuple[int, int] | None:
        """From when to before when a day, a period with a name, or a moment lasts; ms."""
        value = value.strip().lower()
        today = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        named = _named(value, today)
        if named is None:
            named = _written(value)
        if named is None:
            return None
        start, stop = named
        return (start - _EPOCH) // timedelta(milliseconds=1), (stop - _EPOCH) // timedelta(milliseconds=1)


def _text(text: str) -> Node | None:
    """None for what has no letter or digit in it: nobody can look for that."""
    return Words(text) if any(character.isalnum() for character in text) else None


def _inside(name: str, node: Node) -> Node:
    """Words that are to be found in the headers of a property only."""
    if isinstance(node, Words):
        places = _HEADERS.get(name)
        if places is None:
            return node
        return _joined([In(place, node.text) for place in places], any_of=True)
    if isinstance(node, All | Anyone):
        return type(node)(tuple(_inside(name, child) for child in node.of))
    if isinstance(node, Not):
        return Not(_inside(name, node.of))
    return node


def _named(value: str, today: datetime) -> tuple[datetime, datetime] | None:
    """[MS-KQL] 2.1.3: today, yesterday, this week ... A week begins on Sunday."""
    week = today - timedelta(days=(today.weekday() + 1) % 7)
    month, year = today.replace(day=1), today.replace(month=1, day=1)
    periods = {
        "today": (today, today + _DAY),
        "yesterday": (today - _DAY, today),
        "this week": (week, week + 7 * _DAY),
        "last week": (week - 7 * _DAY, week),
        "this month": (month, (month + 31 * _DAY).replace(day=1)),
        "last month": ((month - _DAY).replace(day=1), month),
        "this year": (year, year.replace(year=year.year + 1)),
        "last year": (year.replace(year=year.year - 1), year),
    }
    return periods.get(value)


_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:t(\d\d):(\d\d)(?::(\d\d))?(?:\.\d{1,7})?z?)?")
_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_YEAR = re.compile(r"\d{4}")


def _written(value: str) -> tuple[datetime, datetime] | None:
    try:
        if found := _ISO.fullmatch(value):
            year, month, day = (int(one) for one in found.groups()[:3])
            if found[4] is None:
                start = datetime(year, month, day, tzinfo=UTC)
                return start, start + _DAY
            start = datetime(year, month, day, int(found[4]), int(found[5]), int(found[6] or 0), tzinfo=UTC)
            return start, start + timedelta(seconds=1)
        if found := _AMERICAN.fullmatch(value):
            start = datetime(int(found[3]), int(found[1]), int(found[2]), tzinfo=UTC)
            return start, start + _DAY
        if _YEAR.fullmatch(value):
            start = datetime(int(value), 1, 1, tzinfo=UTC)
            return start, start.replace(year=start.year + 1)
    except (ValueError, OverflowError):
        pass
    return None
