"""WBXML to element tree.

Promise: any bytes give a tree or `Malformed` (`TooLarge` for what passes a limit), in linear time, with
memory in proportion to the input, and without recursion. What an older or newer protocol version knows and
this one does not (tokens, code pages, literals) is skipped with its content and listed, never an error:
Microsoft's own clients send page 254. Attributes, processing instructions and extension tokens are passed
over by their grammar. Invalid UTF-8 becomes U+FFFD. Implements W3C WBXML 1.1 to 1.3 and MS-ASWBXML 2.1.
"""

from __future__ import annotations

from collections.abc import Generator

from attrs import frozen

from posthouse.errors import Malformed, TooLarge
from posthouse.wbxml.grammar import (
    END,
    ENTITY,
    EXT_0,
    EXT_2,
    EXT_I_0,
    EXT_I_2,
    EXT_T_0,
    EXT_T_2,
    HAS_ATTRIBUTES,
    HAS_CONTENT,
    LITERAL,
    OPAQUE,
    PI,
    STR_I,
    STR_T,
    SWITCH_PAGE,
    Extras,
    Header,
    entity,
    read_header,
    read_uint,
    skip_opaque,
)
from posthouse.wbxml.pages import PAGES
from posthouse.wbxml.tree import Element, join_content


@frozen
class Limits:
    """What a document may have.

    :ivar max_bytes: of the whole document; an edge gives what it allows for one request.
    :ivar max_depth: of nested elements.
    :ivar max_tokens: of elements, ends of elements, further strings and page switches; an element of text
        alone counts as one. A million takes a second or less.
    :ivar max_string_table: in bytes.
    :ivar max_attributes: attribute tokens in all; ActiveSync has none.
    """

    max_bytes: int = 64 << 20
    max_depth: int = 64
    max_tokens: int = 600_000
    max_string_table: int = 64 << 10
    max_attributes: int = 1000


DEFAULT = Limits()

#: Page switches and processing instructions in front of the document element.
_MOST_PROLOG = 100

#: Distinct names of skipped things that a document lists at most.
_MOST_SKIPPED = 64


@frozen
class Document:
    """A decoded document.

    :ivar root: the document element.
    :ivar skipped: what was not known, each once, such as "AirSync:0x11",
        "page 254:0x05", "literal 'x'". At most 64.
    :ivar version: of WBXML, (1, 3) as a rule.
    :ivar public_id: the document type, 1 (unknown) as a rule.
    """

    root: Element
    skipped: tuple[str, ...]
    version: tuple[int, int]
    public_id: int


def _tables() -> list[tuple[list[str | None], list[str | None], str]]:
    """For each byte after SWITCH_PAGE: tags by token with content, tags by token without, the page's name."""
    nothing: list[str | None] = [None] * 256
    result = [(nothing, nothing, f"page {number}") for number in range(256)]
    for page in PAGES:
        full, empty = nothing[:], nothing[:]
        for token, tag in page.tags.items():
            full[token | HAS_CONTENT] = tag
            empty[token] = tag
        result[page.number] = full, empty, page.namespace
    return result


_TABLES = _tables()

#: Text of a string of one byte, None for those that are not a character of their own.
_SINGLE: list[str | None] = [None, *map(chr, range(1, 0x80)), *[None] * 0x80]

#: Creates an element without running its constructor: the cost of that call is most of a leaf's.
_new = object.__new__


def decode(data: bytes, limits: Limits = DEFAULT) -> Element:
    """The document element of ``data``.

    :raises Malformed: see the module's promise.
    """
    return decode_document(data, limits).root


def decode_document(data: bytes, limits: Limits = DEFAULT) -> Document:
    """Like `decode`, with what was found beside the tree."""
    steps = decode_steps(data, limits, tokens=1 << 62)
    try:
        while True:
            next(steps)
    except StopIteration as finished:
        document: Document = finished.value
        return document


def decode_steps(
    data: bytes, limits: Limits = DEFAULT, tokens: int = 4000
) -> Generator[None, None, Document]:
    """Like `decode_document`, in slices: pauses after each ``tokens`` tokens (about 1 µs each).

    For documents of many elements, which would otherwise hold the caller's thread; the generator returns the
    document.
    """
    if len(data) > limits.max_bytes:
        raise TooLarge(cause=f"WBXML document of {len(data)} bytes")
    try:
        return (yield from _steps(bytes(data), limits, tokens))
    except (IndexError, ValueError) as error:
        # Reading behind the end (IndexError) or a string without its NUL (ValueError of bytes.index).
        raise Malformed(cause="WBXML document cut off") from error


def _steps(data: bytes, limits: Limits, slice_: int) -> Generator[None, None, Document]:
    header = read_header(data, limits.max_string_table)
    codec = header.codec
    extras = Extras(header.table, codec, limits.max_attributes)
    skipped: dict[str, None] = {}
    number, pos = _prolog(data, header.body, extras)
    full, empty, page = _TABLES[number]
    token = data[pos]
    tag, pos = _unusual_tag(data, pos, page, full, extras, skipped)
    if tag is None:
        raise Malformed(cause=f"unknown document element {next(iter(skipped))}")
    children: list[Element] = []
    here = root = Element(tag, None, children)
    if not token & HAS_CONTENT:
        return _finish(data, pos, header, root, skipped, extras)

    # Local names, because this loop is the hot path of every request.
    index = data.index
    single = _SINGLE
    room = limits.max_depth - 1
    append = children.append
    stack: list[Element] = []
    # Second and further pieces of content, by depth: joined once at END, since adding each to the one before
    # would take quadratic time.
    pieces: dict[int, list[str | bytes]] = {}
    piece: str | bytes
    budget = limits.max_tokens
    while budget > 0:
        for _ in range(min(slice_, budget)):
            token = data[pos]
            tag = full[token]
            if tag is not None:
                element = _new(Element)
                element.tag = tag
                # An element of text alone, the common case, at one go; first the still more common text of
                # one character ("0", "1"), for which the search of the NUL can be spared.
                if data[pos + 1] == STR_I:
                    if data[pos + 3] == 0 and data[pos + 4] == END and (text := single[data[pos + 2]]):
                        element.content = text
                        element.children = ()
                        append(element)
                        pos += 5
                        continue
                    start = pos + 2
                    end = index(0, start)
                    if data[end + 1] == END:
                        element.content = data[start:end].decode(codec, "replace") or None
                        element.children = ()
                        append(element)
                        pos = end + 2
                        continue
                append(element)
                pos += 1
            elif token == END:
                pos += 1
                if pieces and (parts := pieces.pop(len(stack), None)) is not None:
                    here.content = join_content(parts)
                if not stack:
                    return _finish(data, pos, header, root, skipped, extras)
                here = stack.pop()
                append = here.children.append  # type: ignore[attr-defined]
                continue
            elif (tag := empty[token]) is not None:
                append(Element(tag))
                pos += 1
                continue
            elif token == SWITCH_PAGE:
                full, empty, page = _TABLES[data[pos + 1]]
                pos += 2
                continue
            elif token & 0x3F >= LITERAL:
                tag, pos = _unusual_tag(data, pos, page, full, extras, skipped)
                element = Element(tag or "")
                if tag is not None:
                    append(element)
                if not token & HAS_CONTENT:
                    continue
                # A skipped element stays on the stack like any other and is dropped with all that is in it.
            else:
                piece, pos = _content(data, pos, codec, extras)
                if piece and not here.content:
                    here.content = piece
                elif piece and here.content:
                    pieces.setdefault(len(stack), [here.content]).append(piece)
                continue
            if len(stack) >= room:
                raise TooLarge(cause=f"elements nested deeper than {limits.max_depth}")
            stack.append(here)
            here = element
            here.content = None
            here.children = children = []
            append = children.append
        budget -= slice_
        yield
    raise TooLarge(cause=f"more than {limits.max_tokens} tokens")


def _prolog(data: bytes, pos: int, extras: Extras) -> tuple[int, int]:
    """Pass over what may stand in front of the document element: the code page in force, and where it is."""
    number = 0
    for _ in range(_MOST_PROLOG):
        if data[pos] == SWITCH_PAGE:
            number = data[pos + 1]
            pos += 2
        elif data[pos] == PI:
            pos = extras.skip_attributes(data, pos + 1)
        elif data[pos] & 0x3F >= LITERAL:
            return number, pos
        else:
            raise Malformed(cause=f"token 0x{data[pos]:02X} in place of the document element")
    raise TooLarge(cause="no document element in sight")


def _unusual_tag(
    data: bytes,
    pos: int,
    page: str,
    full: list[str | None],
    extras: Extras,
    skipped: dict[str, None],
) -> tuple[str | None, int]:
    """A tag token at ``pos`` that may be unknown, literal or with attributes.

    :return: the tag, None when it has to be skipped (then it is noted), and the offset of what follows.
    """
    token = data[pos]
    tag = full[token & 0x3F | HAS_CONTENT]
    pos += 1
    name = f"{page}:0x{token & 0x3F:02X}"
    if token & 0x3F == LITERAL:
        offset, pos = read_uint(data, pos)
        name = f"literal {extras.string(offset)[:40]!r}"
    if tag is None and len(skipped) < _MOST_SKIPPED:
        skipped[name] = None
    if token & HAS_ATTRIBUTES:
        pos = extras.skip_attributes(data, pos)
    return tag, pos


def _content(data: bytes, pos: int, codec: str, extras: Extras) -> tuple[str | bytes, int]:
    """A token of content at ``pos`` that is no element: what it says ("" for nothing), and where it ends."""
    token = data[pos]
    pos += 1
    if token == STR_I:
        end = data.index(0, pos)
        return data[pos:end].decode(codec, "replace"), end + 1
    if token == OPAQUE:
        start, end = skip_opaque(data, pos)
        return data[start:end], end
    if token == ENTITY:
        code, pos = read_uint(data, pos)
        return entity(code), pos
    if token == STR_T:
        offset, pos = read_uint(data, pos)
        return extras.string(offset), pos
    # Extension tokens mean nothing in ActiveSync (MS-ASWBXML 2.1.1); their lengths are given by the grammar.
    if EXT_I_0 <= token <= EXT_I_2:
        return "", data.index(0, pos) + 1
    if EXT_T_0 <= token <= EXT_T_2:
        return "", read_uint(data, pos)[1]
    if EXT_0 <= token <= EXT_2:
        return "", pos
    if token == PI:
        return "", extras.skip_attributes(data, pos)
    raise Malformed(cause=f"unexpected token 0x{token:02X} at {pos - 1}")


def _finish(
    data: bytes, pos: int, header: Header, root: Element, skipped: dict[str, None], extras: Extras
) -> Document:
    """Check what follows the document element: processing instructions, or padding of NULs."""
    while pos < len(data) and data[pos] == PI:
        pos = extras.skip_attributes(data, pos + 1)
    if data.count(0, pos) != len(data) - pos:
        raise Malformed(cause=f"something follows the document element at {pos}")
    return Document(root, tuple(skipped), header.version, header.public_id)
