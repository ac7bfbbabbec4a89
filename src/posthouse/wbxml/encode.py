"""Element tree to WBXML.

Promise: what comes out is what Exchange itself would send: WBXML 1.3, UTF-8, no string table, no attributes
(MS-ASWBXML 2.1.1), text as STR_I, bytes as OPAQUE, a code page switched only when it changes, and an empty
element as an empty tag. Characters that would break the wire (NUL) or the peer's XML parser (other C0
controls but TAB, LF and CR, lone surrogates, U+FFFE and U+FFFF; XML 1.0 section 2.2) are left out. Nothing
recurses, and `Encoder` gives a response piece by piece, so that a large one never lies in memory as a
whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.wbxml.grammar import END, HAS_CONTENT, OPAQUE, STR_I, SWITCH_PAGE
from posthouse.wbxml.pages import TOKENS
from posthouse.wbxml.tree import Element, Utf8

#: Version 1.3, public identifier unknown, UTF-8, no string table.
HEADER = b"\x03\x01\x6a\x00"

_END = bytes((END,))
_STR_I = bytes((STR_I,))
_STRING_END = bytes((0, END))
_SWITCH = [bytes((SWITCH_PAGE, page)) for page in range(256)]
_FORBIDDEN = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0D})

#: Tag to page, tag with an inline string begun, tag with content, tag without.
_FORMS: dict[str, tuple[int, bytes, bytes, bytes]] = {
    tag: (page, bytes((token | HAS_CONTENT, STR_I)), bytes((token | HAS_CONTENT,)), bytes((token,)))
    for tag, (page, token) in TOKENS.items()
}


def encode(root: Element) -> bytes:
    """The whole document.

    :raises ValueError: when a tag is not one of `posthouse.wbxml.tags`, which is a mistake in the program.
    """
    encoder = Encoder()
    encoder.element(root)
    return encoder.take()


def clean(text: str) -> bytes:
    """``text`` in UTF-8 without what neither WBXML nor XML can carry."""
    # Short printable text, the most of it, is known to be clean from one look.
    if len(text) < 100 and text.isprintable():
        return text.encode()
    data = text.encode("utf-8", "ignore").translate(None, _FORBIDDEN)
    if b"\xef\xbf" in data:
        data = data.replace(b"\xef\xbf\xbe", b"").replace(b"\xef\xbf\xbf", b"")
    return data


def write_uint(value: int) -> bytes:
    """``value`` (0 to 2**32-1) as mb_u_int32 (WBXML 1.3 section 5.1)."""
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError(f"{value} is not a 32-bit number")
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(value & 0x7F | 0x80)
    return bytes(reversed(octets))


class Encoder:
    """Writes one document from front to back.

    Either whole elements (`element`), or a frame of `start` … `end` with `text`, `opaque` and elements
    inside. `take` may be called at any time.
    """

    def __init__(self) -> None:
        self._out: list[bytes] = [HEADER]
        self._page = 0
        self._open = 0
        # What is still to be written before anything else: the tag just started (whether it has content is
        # not known yet), the end of a string, missing bytes of opaque data.
        self._started: tuple[bytes, bytes] | None = None
        self._in_string = False
        self._missing = 0

    def start(self, tag: str) -> None:
        """Open an element; its content and children follow, then `end`."""
        self._settle()
        page, _, opening, empty = _form(tag)
        self._turn(page)
        self._started = opening, empty
        self._open += 1

    def end(self) -> None:
        """Close the element opened last."""
        if not self._open:
            raise ValueError("end without start")
        if self._started is not None:
            self._out.append(self._started[1])
            self._started = None
        else:
            self._settle()
            self._out.append(_END)
        self._open -= 1

    def text(self, text: str | Utf8) -> None:
        """Text of the open element. Several calls in a row make one string, for texts that come in pieces."""
        data = text if isinstance(text, Utf8) else clean(text)
        if not data:
            return
        if not self._in_string:
            self._settle()
            self._out.append(_STR_I)
            self._in_string = True
        self._out.append(data)

    def opaque(self, data: bytes, size: int | None = None) -> None:
        """Opaque data of the open element.

        :param size: of the whole, when ``data`` is only its first piece; `more` gives the others.
        """
        self._settle()
        self._out.append(bytes((OPAQUE,)) + write_uint(len(data) if size is None else size))
        self._missing = len(data) if size is None else size
        self.more(data)

    def more(self, data: bytes) -> None:
        """The next piece of opaque data."""
        if len(data) > self._missing:
            raise ValueError(f"{len(data) - self._missing} bytes of opaque data too many")
        self._missing -= len(data)
        self._out.append(data)

    def element(self, element: Element) -> None:
        """A whole element with all that is in it."""
        self._settle()
        out = self._out
        write = out.append
        page = self._page
        forms = _FORMS
        stack: list[Iterable[Element]] = []
        row: Iterable[Element] = iter((element,))
        try:
            while True:
                for item in row:
                    of_page, opening_text, opening, empty = forms[item.tag]
                    if of_page != page:
                        write(_SWITCH[of_page])
                        page = of_page
                    content = item.content
                    if item.children:
                        write(opening)
                        if content:
                            self._content(content)
                        stack.append(row)
                        row = iter(item.children)
                        break
                    if not content:
                        write(empty)
                    elif isinstance(content, str):
                        if data := clean(content):
                            out += opening_text, data, _STRING_END
                        else:
                            write(empty)
                    elif isinstance(content, Utf8):
                        out += opening_text, content, _STRING_END
                    else:
                        write(opening)
                        self._content(content)
                        write(_END)
                else:
                    if not stack:
                        break
                    write(_END)
                    row = stack.pop()
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r} is not a tag of any code page") from None
        self._page = page

    def elements(self, elements: Iterable[Element]) -> None:
        """Whole elements, one after the other."""
        for element in elements:
            self.element(element)

    def take(self) -> bytes:
        """What has been written since the last call, which is then forgotten."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _content(self, content: str | bytes) -> None:
        if isinstance(content, str):
            if data := clean(content):
                self._out += _STR_I, data, b"\0"
        elif isinstance(content, Utf8):
            self._out += _STR_I, content, b"\0"
        else:
            self._out += bytes((OPAQUE,)), write_uint(len(content)), content

    def _settle(self) -> None:
        """Write what was waiting for the next thing to come."""
        if self._started is not None:
            self._out.append(self._started[0])
            self._started = None
        elif self._in_string:
            self._out.append(b"\0")
            self._in_string = False
        elif self._missing:
            raise ValueError(f"{self._missing} bytes of opaque data are missing")

    def _turn(self, page: int) -> None:
        if page != self._page:
            self._out.append(_SWITCH[page])
            self._page = page


def _form(tag: str) -> tuple[int, bytes, bytes, bytes]:
    try:
        return _FORMS[tag]
    except KeyError:
        raise ValueError(f"{tag!r} is not a tag of any code page") from None
