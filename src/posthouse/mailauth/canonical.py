"""The two canonical forms of header fields and bodies that DKIM signs.

Promise: a body is hashed block by block, however it is cut, in time linear in its length and with no more than
one block held back. Line ends are CRLF; what breaks that rule gives another hash and no error.

Specifications: RFC 6376 3.4.
"""

from __future__ import annotations

import hashlib
import re

from attrs import define, field

__all__ = ["BodyHash", "canonical_field", "split_fields"]

_CRLF = b"\r\n"
_FIELDS = re.compile(rb"\r\n(?![ \t])")
_WSP = re.compile(rb"[ \t]+")
_LINES = re.compile(rb"(?:\r\n)*\r?")
_MAX_FIELDS = 2000
_EMPTY_LINES = _CRLF * 4096
_HELD = 65_536


def split_fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a header block in their order: (lower-case name, the whole field without its last CRLF).

    Folding stays as it is. At most 2,000 fields; lines that are no fields are left out.
    """
    fields = []
    for raw in _FIELDS.split(head, _MAX_FIELDS)[:_MAX_FIELDS]:
        name, colon, _ = raw.partition(b":")
        if colon:
            fields.append((name.rstrip(b" \t").lower(), raw))
    return fields


def canonical_field(raw: bytes, relaxed: bool) -> bytes:
    """One field (3.4.1, 3.4.2), without the CRLF that ends it."""
    if not relaxed:
        return raw
    name, _, value = raw.partition(b":")
    value = value.replace(_CRLF, b"")
    if b"\r" in value or b"\n" in value or b"\x0b" in value or b"\x0c" in value:
        # bytes.split takes these for white space, too
        value = _WSP.sub(b" ", value).strip(b" \t")
    else:
        value = b" ".join(value.split())
    return name.rstrip(b" \t").lower() + b":" + value


def _reduce(data: bytes) -> bytes:
    """Runs of white space become one space, and none stands before a line end. Halving is linear in effect."""
    if b"\t" in data:
        data = data.replace(b"\t", b" ")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data.replace(b" \r\n", _CRLF)


@define(eq=False)
class BodyHash:
    """SHA-256 of one canonical form of a body.

    :param relaxed: which form. :param limit: ``l=``, the bytes of it that are hashed; None for all.
    """

    relaxed: bool
    limit: int | None = None
    length: int = field(default=0, init=False)  # of the canonical body
    _hash: hashlib._Hash = field(factory=hashlib.sha256, init=False)
    _rest: bytes = field(default=b"", init=False)  # the beginning of what may be an empty line
    _breaks: int = field(default=0, init=False)  # line ends held back: at the end of a body they do not count

    def feed(self, block: bytes) -> None:
        """The next bytes of the body."""
        data = self._rest + block if self._rest else block
        if self.relaxed:
            text = data.rstrip(b" \t\r\n")
        else:
            text = data.rstrip(_CRLF)
        if text:
            self._end_lines()
            self._put(_reduce(text) if self.relaxed else text)
        self._hold(data[len(text) :] if text else data)

    def digest(self) -> bytes:
        """The end of the body: its hash. Only once."""
        if self._rest and not (self.relaxed and not self._rest.strip(b" \t")):
            self._end_lines()
            self._put(self._rest)
        # 3.4.3: an empty body is one CRLF, 3.4.4: or nothing
        if self.length or not self.relaxed:
            self._put(_CRLF)
        return self._hash.digest()

    def _hold(self, tail: bytes) -> None:
        if self.relaxed and tail:
            tail = _reduce(tail)
        if tail == _CRLF:
            self._breaks += 1
            self._rest = b""
            return
        match = _LINES.match(tail)
        if self.relaxed or (match is not None and match.end() == len(tail)):
            lines = tail.count(_CRLF)
            last = tail.rfind(_CRLF)
            # Stray CR or LF between line ends is not kept in its place: such a body verifies nowhere.
            self._breaks += lines
            self._rest = tail[last + 2 :] if last >= 0 else tail
        else:
            self._rest = tail
        if len(self._rest) > _HELD:
            self._end_lines()
            self._put(self._rest)
            self._rest = b""

    def _end_lines(self) -> None:
        while self._breaks > 0:
            count = min(self._breaks, 4096)
            self._put(_EMPTY_LINES[: 2 * count])
            self._breaks -= count

    def _put(self, data: bytes) -> None:
        if self.limit is not None:
            room = self.limit - self.length
            if room < len(data):
                self.length += len(data)
                self._hash.update(data[: max(room, 0)])
                return
        self.length += len(data)
        self._hash.update(data)
