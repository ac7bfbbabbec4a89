"""The element tree between WBXML bytes and the commands.

Promise: a tree holds everything that ActiveSync puts on the wire and nothing else: a tag, text or opaque
bytes, children in order; attributes do not occur in it (MS-ASWBXML 2.1.1). Nothing here recurses down a tree,
so a deep one harms nothing, and neither ``repr`` nor `to_xml` shows a secret unless told to.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Union
from xml.sax.saxutils import escape

from posthouse.wbxml import tags

#: What `E` takes as a child or content.
Part = Union["Element", str, bytes, int, None, Iterable["Part"]]

#: Elements whose content never belongs in a log.
SECRET_TAGS: frozenset[str] = frozenset(
    {
        tags.ItemOperations.Password,
        tags.Search.Password,
        tags.Settings.Password,
    }
)


class Utf8(bytes):
    """Text of which it is known that it is UTF-8 and holds nothing that the wire cannot carry.

    As content it is written like text, an inline string, but without another look at it: a mail body is
    read, checked and cut as bytes, once.
    """

    __slots__ = ()


class Element:
    """One element.

    :ivar tag: "Namespace:Name", one of the constants in `posthouse.wbxml.tags`.
    :ivar content: text (`Utf8` when it is encoded already), or bytes when the content came (or is to go) as
        OPAQUE, or None. Text that stands
        between children is kept here too, joined; on encoding it goes in front of the children.
    :ivar children: child elements in order. A tuple on a leaf: use `append` to add some.
    """

    __slots__ = ("children", "content", "tag")

    tag: str
    content: str | bytes | None
    children: Sequence[Element]

    def __init__(
        self, tag: str, content: str | bytes | None = None, children: Sequence[Element] = ()
    ) -> None:
        self.tag = tag
        self.content = content
        self.children = children

    def append(self, *children: Element) -> None:
        """Add children at the end."""
        if not isinstance(self.children, list):
            self.children = list(self.children)
        self.children.extend(children)

    def find(self, tag: str, *path: str) -> Element | None:
        """The first child of that tag, or, with more tags, the first one down that path; None if absent."""
        for child in self.children:
            if child.tag == tag:
                if not path:
                    return child
                found = child.find(*path)
                if found is not None:
                    return found
        return None

    def findall(self, tag: str) -> list[Element]:
        """All children of that tag, in order."""
        return [child for child in self.children if child.tag == tag]

    def text(self, tag: str, default: str | None = None) -> str | None:
        """The text of the first child of that tag.

        An empty child gives "", which in ActiveSync often means "clear this property"; ``default`` stands
        for an absent one.
        """
        for child in self.children:
            if child.tag == tag:
                return child.value
        return default

    def blob(self, tag: str) -> bytes | None:
        """The content of the first child of that tag as bytes (text in UTF-8); None if absent."""
        child = self.find(tag)
        if child is None:
            return None
        content = child.content
        return content.encode("utf-8", "replace") if isinstance(content, str) else bytes(content or b"")

    @property
    def value(self) -> str:
        """This element's own content as text; opaque bytes are read as UTF-8 with replacements."""
        content = self.content
        if content is None:
            return ""
        return content if isinstance(content, str) else str(content, "utf-8", "replace")

    def iter(self) -> Iterator[Element]:
        """This element and everything under it, in document order."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))

    def __eq__(self, other: object) -> bool:
        """Equal tags, contents and children. Empty text is no content; text and opaque bytes differ."""
        if not isinstance(other, Element):
            return NotImplemented
        waiting: list[tuple[Element, Element]] = [(self, other)]
        while waiting:
            one, two = waiting.pop()
            if one.tag != two.tag or (one.content or None) != (two.content or None):
                return False
            if len(one.children) != len(two.children):
                return False
            waiting.extend(zip(one.children, two.children, strict=True))
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """The tree as nested ``E(...)``; long contents and trees are cut, secrets hidden."""
        pieces: list[str] = []
        waiting: list[Element | str] = [self]
        shown = 0
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                pieces.append(item)
                continue
            shown += 1
            if shown > 50:
                pieces.append(", ...")
                break
            pieces.append(f"{', ' if pieces else ''}E({item.tag!r}")
            if item.content:
                pieces.append(", <secret>" if item.tag in SECRET_TAGS else f", {_cut(item.content)}")
            waiting.append(")")
            waiting.extend(reversed(item.children))
        return "".join(pieces)


def _cut(content: str | bytes, most: int = 60) -> str:
    if len(content) <= most:
        return repr(content)
    return f"{content[:most]!r}<+{len(content) - most}>"


def E(tag: str, *parts: Part) -> Element:
    """Build an element.

    :param parts: children and content in any order: an element; text; bytes (sent as OPAQUE); a number
        (a bool becomes "1" or "0", as ActiveSync writes it); None, which is left out; or an iterable of
        these. Several pieces of content are joined; text beside bytes becomes bytes.
    """
    children: list[Element] = []
    pieces: list[str | bytes] = []
    _collect(parts, children, pieces)
    return Element(tag, join_content(pieces), children or ())


def _collect(parts: Iterable[Part], children: list[Element], pieces: list[str | bytes]) -> None:
    for part in parts:
        if isinstance(part, Element):
            children.append(part)
        elif isinstance(part, str | bytes):
            pieces.append(part)
        elif isinstance(part, int):
            pieces.append(str(int(part)))
        elif part is not None:
            _collect(part, children, pieces)


def join_content(pieces: Sequence[str | bytes]) -> str | bytes | None:
    """Several pieces of content as one: text when all are text, bytes otherwise, None when empty."""
    if len(pieces) == 1:
        return pieces[0] or None
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if len(texts) == len(pieces):
        return "".join(texts) or None
    return (
        b"".join(piece.encode("utf-8", "replace") if isinstance(piece, str) else piece for piece in pieces)
        or None
    )


#: What XML 1.0 cannot carry (section 2.2), and what would break a log line apart.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufffe\uffff]")


def to_xml(root: Element, redact: Container[str] = SECRET_TAGS, *, most: int = 1000) -> str:
    """The tree as indented XML for the trace log.

    :param redact: tags whose content is replaced by its length. Pass more of them to hide mail as well.
    :param most: characters of one element's text (and a third of that of opaque bytes) before it is cut.
    :return: lines without a final newline. Opaque bytes are shown as base64 beside their length, control
        characters as backslash escapes, so that no content can forge a line of the log.
    """
    lines: list[str] = []
    waiting: list[tuple[Element | str, int, str]] = [(root, 0, "")]
    while waiting:
        item, depth, outer = waiting.pop()
        indent = "  " * depth
        if isinstance(item, str):
            lines.append(f"{indent}</{item}>")
            continue
        space, _, name = item.tag.partition(":")
        opening = f"{indent}<{name}" + (f' xmlns="{space}"' if space != outer else "")
        shown = _shown(item, redact, most)
        if item.children:
            lines.append(f"{opening}>{shown}")
            waiting.append((name, depth, space))
            waiting.extend((child, depth + 1, space) for child in reversed(item.children))
        elif shown:
            lines.append(f"{opening}>{shown}</{name}>")
        else:
            lines.append(f"{opening}/>")
    return "\n".join(lines)


def _shown(element: Element, redact: Container[str], most: int) -> str:
    content = element.content
    if not content:
        return ""
    if isinstance(content, Utf8):
        content = content.decode("utf-8", "replace")
    unit = "characters" if isinstance(content, str) else "bytes"
    if element.tag in redact:
        return f"<!-- {len(content)} {unit} hidden -->"
    more = ""
    if isinstance(content, str):
        if len(content) > most:
            more = f"<!-- and {len(content) - most} {unit} more -->"
        text = _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", content[:most])
        return escape(text) + more
    kept = content[: most // 3]
    more = f"<!-- opaque, {len(content)} {unit}{', cut' if len(kept) < len(content) else ''} -->"
    return b64encode(kept).decode() + more
