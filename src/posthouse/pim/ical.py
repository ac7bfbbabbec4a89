"""The text of iCalendar becomes components and properties, and nothing that it says can hurt.

Promise: lines are unfolded and parameters read in time linear in the input; what is no iCalendar is left out, and
a cut-off end loses only what stood there. At most `MOST_LINES` lines and `MOST_COMPONENTS` components are read, no
deeper than `MOST_DEPTH`; a line beyond `MOST_LINE` characters is cut. RFC 5545 3.1 (content lines), 3.2
(parameters), 3.3.11 (text), RFC 6868 (carets in parameters).
"""

from __future__ import annotations

import re

from attrs import define, field, frozen

from posthouse.errors import Malformed

MOST_LINES = 5_000
MOST_LINE = 8_000
MOST_PROPERTIES = 1500
#: Of one name, in one component: attendees, mostly.
MOST_ALIKE = 100
MOST_COMPONENTS = 400
MOST_DEPTH = 5
MOST_PARAMETERS = 25

_PARAMETER = re.compile(r';\s*([A-Za-z0-9-]+)\s*=((?:"[^"]*"|[^";:])*)')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CARET = re.compile(r"\^([n^'])")
#: To be taken out, in one pass however many there are.
_CONTROL = dict.fromkeys((*range(9), *range(0x0B, 0x20), 0x7F))


@frozen
class Property:
    """One content line. :ivar name: in upper case. :ivar params: names in upper case, values without quotes."""

    name: str
    value: str
    params: dict[str, str] = field(factory=dict)

    @property
    def text(self) -> str:
        """The value with its escapes undone (RFC 5545 3.3.11)."""
        if "\\" not in self.value:
            return self.value
        return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], self.value)


@define
class Component:
    """What stands between BEGIN and END. :ivar name: in upper case."""

    name: str
    properties: dict[str, list[Property]] = field(factory=dict)
    children: list[Component] = field(factory=list)

    def first(self, name: str) -> Property | None:
        """The first property of that name."""
        found = self.properties.get(name)
        return found[0] if found else None

    def all(self, name: str) -> list[Property]:
        """Every property of that name, in order."""
        return self.properties.get(name, [])

    def value(self, name: str) -> str:
        """The first one's value, in upper case and without spaces around it; "" when there is none."""
        found = self.properties.get(name)
        return found[0].value.strip().upper() if found else ""

    def inner(self, name: str) -> list[Component]:
        """The components of that name right inside this one."""
        return [child for child in self.children if child.name == name]


def read_ical(text: str, only: frozenset[str] | None = None) -> Component:
    """The VCALENDAR in ``text``; a component that does not end ends with the text.

    :param only: the properties that are wanted, in upper case; None for all of them.
    :raises Malformed: there is none.
    """
    start = text.upper().find("BEGIN:") if text[:6].upper() != "BEGIN:" else 0
    if start < 0:
        raise Malformed(cause="no BEGIN in the calendar")
    if "\n " in text or "\n\t" in text:
        text = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    top = Component("")
    stack = [top]
    components = properties = skipped = 0
    for line in text[start:].split("\n", MOST_LINES)[:MOST_LINES]:
        name, colon, _ = line.partition(":")
        word = name.partition(";")[0].strip().upper()
        if word == "BEGIN" and colon:
            components += 1
            if skipped or components > MOST_COMPONENTS or len(stack) > MOST_DEPTH:
                skipped += 1
                continue
            child = Component(line[len(name) + 1 :].strip().upper()[:64])
            stack[-1].children.append(child)
            stack.append(child)
        elif word == "END" and colon:
            if skipped:
                skipped -= 1
            elif len(stack) > 1:
                stack.pop()
        elif colon and not skipped and len(stack) > 1 and properties < MOST_PROPERTIES:
            # A group ("ITEM1.DTSTART") is vCard's, but calendars have been seen with it.
            word = word.rpartition(".")[2]
            if (only is None or word in only) and len(stack[-1].properties.get(word, ())) < MOST_ALIKE:
                properties += 1
                _read_line(line, word, stack[-1])
    for child in top.children:
        if child.name == "VCALENDAR":
            return child
    raise Malformed(cause="no VCALENDAR")


def _read_line(line: str, name: str, into: Component) -> None:
    if len(line) > MOST_LINE:
        line = line[:MOST_LINE]
    line = line.rstrip("\r")
    semicolon, colon = line.find(";"), line.find(":")
    params: dict[str, str] = {}
    if semicolon < 0 or colon < semicolon:
        value = line[colon + 1 :]
    else:
        position = semicolon
        while len(params) < MOST_PARAMETERS and (found := _PARAMETER.match(line, position)) is not None:
            params[found[1].upper()] = _parameter(found[2])
            position = found.end()
        rest = line.find(":", position)
        if rest < 0:
            return
        value = line[rest + 1 :]
    if not name or len(name) > 80:
        return
    if not value.isprintable():
        value = value.translate(_CONTROL)
    into.properties.setdefault(name, []).append(Property(name, value, params))


def _parameter(value: str) -> str:
    value = value.strip()
    if value[:1] == '"' and value[-1:] == '"' and len(value) > 1:
        value = value[1:-1]
    if "^" in value:
        value = _CARET.sub(lambda found: {"n": "\n", "^": "^", "'": '"'}[found[1]], value)
    return value if value.isprintable() else value.translate(_CONTROL)
