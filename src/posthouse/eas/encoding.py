"""Bytes to trees and back, without holding the reactor.

Promise: a request of 25 MB and a response of 512 items are taken in slices of a few milliseconds each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from posthouse.wbxml.decode import Document, Limits, decode_document, decode_steps
from posthouse.wbxml.encode import Encoder, encode
from posthouse.wbxml.tree import Element

if TYPE_CHECKING:
    from posthouse.eas.call import Call

#: Above this a document is decoded in slices. A token costs about a microsecond.
_SLICED = 16 << 10
#: How deep an element is opened as a frame: Sync > Collections > Collection > Commands > Add.
_FRAMES = 4


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
    _open(encoder, root)
    stack: list[Iterator[Element]] = [iter(root.children)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            encoder.end()
            stack.pop()
        elif child.children and len(stack) < _FRAMES:
            _open(encoder, child)
            stack.append(iter(child.children))
        else:
            encoder.element(child)
            pieces.append(encoder.take())
            await call.breathe()
    pieces.append(encoder.take())
    return b"".join(pieces)


def _open(encoder: Encoder, element: Element) -> None:
    encoder.start(element.tag)
    if isinstance(element.content, str):
        encoder.text(element.content)
    elif element.content:
        encoder.opaque(element.content)


def _is_large(root: Element) -> bool:
    """Whether more than a few dozen elements lie near the top, where responses are wide."""
    count = 0
    row = [root]
    for _ in range(_FRAMES + 1):
        row = [child for element in row for child in element.children]
        count += len(row)
        if count > 60:
            return True
    return False
