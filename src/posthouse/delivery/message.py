"""A message on its way into the store: where its bytes are, and what is known of them.

Promise: nothing here copies a big message; an edit of the header yields a message whose structure still
fits, without scanning again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen

from posthouse.mime import headers
from posthouse.mime.draft import draft_from
from posthouse.mime.part import Part
from posthouse.mime.scan import scan
from posthouse.model import ItemDraft

__all__ = ["Message", "message_of", "message_of_spooled"]


@frozen(eq=False)
class Message:
    """``head`` is the header block and its empty line; ``read(start, stop)`` blocks, at most on a file.

    ``data`` is the whole message where it is in memory anyway, else None.
    """

    head: bytes
    root: Part
    size: int
    read: Callable[[int, int], bytes]
    data: bytes | None = None
    sha256: bytes = b""  # where it is known already
    packed: tuple[bytes, ...] = ()  # its chunks in the form of the store, likewise

    @property
    def fields(self) -> list[tuple[str, bytes]]:
        """The header fields, lower-case names and unfolded values."""
        return headers.parse_headers(self.head)

    def draft(self, received: int, added: bytes = b"") -> ItemDraft:
        """What a list shows of it. ``added`` are header lines that will stand in the trace."""
        return draft_from(self.root, self.head, self.read, self.size, received, added)

    def with_head(self, head: bytes) -> Message:
        """The same message under another header block; offsets move along."""
        delta = len(head) - self.root.body_start
        old_end = self.root.body_start
        size = self.size + delta

        def read(start: int, stop: int) -> bytes:
            front = head[start:stop]
            if stop <= len(head):
                return front
            return front + self.read(max(start - delta, old_end), stop - delta)

        data = None if self.data is None else head + self.data[old_end:]
        return Message(head, _moved(self.root, delta, True), size, _slices(data) if data else read, data)


def message_of(
    data: bytes, root: Part | None = None, sha256: bytes = b"", packed: tuple[bytes, ...] = ()
) -> Message:
    """A message that is in memory; scanned unless its structure is known."""
    if root is None:
        root = scan(data)
    return Message(data[: root.body_start], root, len(data), _slices(data), data, sha256, packed)


def message_of_spooled(spooled: Any) -> Message:
    """What a spool received (``posthouse.work.spool.Spooled``)."""
    data = spooled.data
    if data is not None:
        return message_of(data, spooled.structure, spooled.sha256, spooled.packed)
    root = spooled.structure
    return Message(spooled.read(0, root.body_start), root, spooled.size, spooled.read, None, spooled.sha256)


def _slices(data: bytes) -> Callable[[int, int], bytes]:
    return lambda start, stop: data[start:stop]


def _moved(part: Part, delta: int, top: bool = False) -> Part:
    return evolve(
        part,
        header_start=part.header_start if top else part.header_start + delta,
        body_start=part.body_start + delta,
        body_end=part.body_end + delta,
        children=tuple([_moved(child, delta) for child in part.children]),
    )
