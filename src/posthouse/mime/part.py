"""The shape of a message: a tree of parts with offsets, and its compact form in the store.

A part never holds content, only where it lies in the message as stored. RFC 2045, RFC 2046; the part
numbers are those of IMAP (RFC 3501 6.4.5), with "" for a multipart that is the whole message and
"2.0" for a multipart that is the whole of the message embedded as part 2, so that each part has a name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import field, frozen


@frozen(hash=False)
class Part:
    """One body part. Offsets are bytes from the start of the message, ends are exclusive.

    ``params`` are those of Content-Type, names in lower case, values decoded; treat them as read-only.
    ``title`` is the Content-Description or, for the header of an embedded message, its subject.
    """

    path: str
    header_start: int
    body_start: int
    body_end: int
    content_type: str = "text/plain"
    params: dict[str, str] = field(factory=dict)
    cte: str = "7bit"
    disposition: str = ""
    filename: str = ""
    content_id: str = ""
    content_location: str = ""
    title: str = ""
    children: tuple[Part, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the body as transferred."""
        return self.body_end - self.body_start

    @property
    def charset(self) -> str:
        """The declared charset, "" when none is."""
        return self.params.get("charset", "")

    @property
    def is_multipart(self) -> bool:
        """Whether the children are the parts of a multipart."""
        return self.content_type.startswith("multipart/")

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in the order of the message."""
        stack = [self]
        while stack:
            part = stack.pop()
            yield part
            stack.extend(reversed(part.children))

    def find(self, path: str) -> Part | None:
        """The part called ``path``, or None."""
        for part in self.walk():
            if part.path == path:
                return part
        return None


def _row(part: Part) -> list[Any]:
    row: list[Any] = [
        part.path,
        part.header_start,
        part.body_start,
        part.body_end,
        part.content_type,
        part.params,
        part.cte,
        part.disposition,
        part.filename,
        part.content_id,
        part.content_location,
        part.title,
        [_row(child) for child in part.children],
    ]
    while row[-1] in ("", [], {}):
        row.pop()
    return row


def dump_structure(root: Part) -> bytes:
    """A tree as compact JSON: nested lists, empty fields at the end left out."""
    return json.dumps(_row(root), ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _part(row: list[Any]) -> Part:
    if len(row) == 13:
        row[12] = tuple([_part(child) for child in row[12]])
    return Part(*row)


def load_structure(data: bytes) -> Part:
    """The tree that `dump_structure` wrote. The argument comes from our own store."""
    return _part(json.loads(data))
