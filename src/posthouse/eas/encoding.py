"""Bytes to trees and back, without holding the reactor.

Promise: a request of 25 MB and a response of 512 items are taken in slices of a few milliseconds each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from posthouse.wbxml.decode import Document, Limits, decode_document, decode_steps
from posthouse.wbxml.encode import Encoder, encode
from posthouse.wbxml.tree import Element, Utf8

if TYPE_CHECKING:
    from posthouse.eas.call import Call

#: Above this a document is decoded in slices. A token costs about a microsecond.
_SLICED = 16 << 10
#: How deep an element is opened as a frame: Sync > Collections > Collection > Commands > Add.
_FRAMES = 4
#: A content longer than this is written in pieces of this length.
_PIECE = 256 << 10


async def decode_body(call: Call, data: bytes, limits: Limits) -> Document:
    """The document of a request.

    :raises Malformed: no WBXML. :raises TooLarge: beyond ``limits``.
    """
    if len(data) <= _SLICED:
        return decode_document(data, limits)
    steps = decode_steps(data, limits)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            document: Document = finished.value
            return document
        await call.breathe()


async def encode_answer(call: Call, root: Element) -> bytes:
    """The bytes of a response."""
    if not _is_large(root):
        return encode(root)
    encoder = Encoder()
    pieces: list[bytes] = []
    stack: list[Iterator[Element]] = [iter((root,))]
    while True:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
            if not stack:
                break
            encoder.end()
        elif child.children and (len(stack) <= _FRAMES or _is_heavy(child)):
            encoder.start(child.tag)
            await _content(call, encoder, child.content)
            stack.append(iter(child.children))
        elif len(child.content or "") > _PIECE:
            encoder.start(child.tag)
            await _content(call, encoder, child.content)
            encoder.end()
        else:
            encoder.element(child)
            await call.breathe()
        pieces.append(encoder.take())
    return b"".join(pieces)


async def _content(call: Call, encoder: Encoder, content: str | bytes | None) -> None:
    if not content:
        return
    if isinstance(content, Utf8):
        encoder.text(content)
        return
    if isinstance(content, bytes):
        encoder.opaque(content)
        return
    for start in range(0, len(content), _PIECE):
        encoder.text(content[start : start + _PIECE])
        await call.breathe()


def _is_heavy(element: Element) -> bool:
    """Whether a content lies in it that is better written in pieces: at most as deep as Add > ... > Data."""
    for child in element.children:
        if len(child.content or "") > _PIECE:
            return True
        for inner in child.children:
            if len(inner.content or "") > _PIECE:
                return True
            for leaf in inner.children:
                if len(leaf.content or "") > _PIECE:
                    return True
    return False


def _is_large(root: Element) -> bool:
    """Whether more than a few dozen elements lie near the top, where responses are wide, or a long content."""
    count = 0
    row = [root]
    for _ in range(_FRAMES + 3):
        row = [child for element in row for child in element.children]
        count += len(row)
        if count > 60 or any(len(element.content or "") > _PIECE for element in row):
            return True
    return False
