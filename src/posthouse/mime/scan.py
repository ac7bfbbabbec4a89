"""The structure of a message in one pass over its bytes, in whatever blocks they come.

Promises: any split into blocks gives the same tree; no content raises; time is linear; memory is one
block plus at most one header block (1 MB). What goes beyond a limit becomes an opaque part: its bytes
stay reachable, they are just not looked into.

RFC 5322 2.1, RFC 2045 5, RFC 2046 5.1 and 5.2.1, RFC 2183, RFC 6532. Lines may end in CRLF or LF.
"""

from __future__ import annotations

import re

from attrs import frozen

from posthouse.mime.fields import OpenPart, read_fields
from posthouse.mime.part import Part, dump_structure, load_structure

__all__ = ["Limits", "Part", "Scanner", "dump_structure", "load_structure", "scan"]


@frozen
class Limits:
    """Beyond these, the rest is opaque. Bytes, or counts.

    ``false_boundaries``: lines that begin like a boundary and are none, in nested multiparts.
    """

    header_bytes: int = 1 << 20
    header_fields: int = 1000
    depth: int = 100
    parts: int = 1000
    boundary: int = 2048
    false_boundaries: int = 100_000


DEFAULT_LIMITS = Limits()

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_IDENTITY = frozenset(("7bit", "8bit", "binary"))
_EMBEDDED = frozenset(("message/rfc822", "message/global"))
# A boundary line may carry white space at its end (RFC 2046 5.1.1); nobody needs more than this.
_SLACK = 200

_HEADER, _BODY, _SKIP = 0, 1, 2


class Scanner:
    """Give it the bytes of one message by `feed`, then take the tree from `close`."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buf: bytes | bytearray = b""
        self._base = 0  # offset in the message of _buf[0]
        self._keep = 0  # offset before which nothing is needed any more
        self._node = self._root = OpenPart(None, 0, "text/plain")
        self._state = _HEADER
        self._stack: list[tuple[bytes, OpenPart]] = []  # open multiparts with their boundaries
        self._lookup: dict[bytes, int] = {}
        self._needle = b""
        self._search = 0  # offset from which the next boundary is looked for
        self._blank = -1  # offset of the next blank line's preceding LF, -1 unknown
        self._blank_end = -1
        self._blank_search = 0
        self._parts = 1
        self._false = 0

    def feed(self, block: bytes) -> None:
        """Take the next bytes of the message."""
        if self._state == _SKIP:
            self._base += len(block)
            return
        buf = self._buf
        if not buf:
            self._buf = bytes(block)  # no copy, unless the block is not immutable
        elif isinstance(buf, bytearray):
            buf += block
        else:
            self._buf = bytearray(buf + block)
        self._run(False)

    def close(self) -> Part:
        """The message has ended: its root part."""
        if self._state != _SKIP:
            self._run(True)
        end = self._base + len(self._buf)
        node: OpenPart | None = self._node
        while node is not None:
            node.body_end = max(end, node.body_start)
            node = node.parent
        path = "" if self._root.content_type.startswith("multipart/") else "1"
        return _frozen(self._root, path, end)

    def _run(self, closing: bool) -> None:
        while True:
            if self._state == _HEADER:
                if not self._header(closing):
                    break
            elif self._state == _BODY:
                if not self._body(closing):
                    break
            else:
                self._base += len(self._buf)
                self._buf = b""
                return
        drop = self._keep - self._base
        if drop > 0:
            if isinstance(self._buf, bytearray):
                del self._buf[:drop]
            else:
                self._buf = bytearray(self._buf[drop:])
            self._base += drop

    # Headers

    def _header(self, closing: bool) -> bool:
        """Try to finish the header block of the current part; False when more bytes are needed."""
        buf, node, base = self._buf, self._node, self._base
        start = node.header_start - base
        two = bytes(buf[start : start + 2])
        if two[:1] == b"\n":
            end, body = start, start + 1
        elif two == b"\r\n":
            end, body = start, start + 2
        elif not closing and len(two) < 2:
            return False
        else:
            found = self._end_of_header(start)
            limit = start + self._limits.header_bytes
            if 0 <= found <= limit:
                end = body = found
            elif len(buf) >= limit:
                end = body = buf.rfind(b"\n", start, limit) + 1 or limit
            elif closing:
                end = body = len(buf)
            else:
                return False
        self._keep = base + start - 1
        found = -1
        if self._stack:
            false = self._false
            found = self._next_boundary(max(start - 1, 0), end, closing)
            if found == -2:
                self._false = false
                return False
            if found >= 0:
                # The part has no blank line: a header without a body, or nothing at all.
                end = body = max(found + 1, start)
        block = bytes(buf[start:end])
        if block and not _FIELD.match(block):
            # Junk before the first field (an mbox separator) is skipped; text without header is a body.
            second = block.find(b"\n") + 1
            if not second or not _FIELD.match(block, second):
                body, block = start, b""
        node.body_start = base + body
        if self._state == _SKIP:
            return True
        read_fields(node, block, self._limits.header_fields)
        if found >= 0:
            return self._boundary(found)
        self._keep = self._search = max(base + body - 1, base)
        self._enter(node)
        return True

    def _end_of_header(self, start: int) -> int:
        """Where in the buffer the header block that begins at ``start`` ends, or -1."""
        base = self._base
        if self._blank < base + start:
            buf = self._buf
            begin = max(start, self._blank_search - base)
            crlf = buf.find(b"\n\r\n", begin)
            lf = buf.find(b"\n\n", begin, crlf + 1 if crlf >= 0 else len(buf))
            if lf >= 0:
                self._blank, self._blank_end = base + lf, base + lf + 2
            elif crlf >= 0:
                self._blank, self._blank_end = base + crlf, base + crlf + 3
            else:
                self._blank_search = base + max(begin, len(buf) - 2)
                return -1
            self._blank_search = self._blank + 1
        return self._blank_end - base

    def _enter(self, node: OpenPart) -> None:
        """The header is read: decide what the body is."""
        ctype = node.content_type
        if node.depth < self._limits.depth:
            if ctype.startswith("multipart/"):
                boundary = node.params.get("boundary", "")
                if 0 < len(boundary) <= self._limits.boundary:
                    self._stack.append((boundary.encode("latin-1", "replace"), node))
                    self._stack_changed()
            elif ctype in _EMBEDDED and node.cte in _IDENTITY and self._parts < self._limits.parts:
                node.embedded = True
                self._open_child(node, node.body_start)
                return
        self._state = _BODY if self._stack else _SKIP

    def _open_child(self, parent: OpenPart, start: int) -> None:
        digest = parent.content_type == "multipart/digest"
        child = OpenPart(parent, start, "message/rfc822" if digest else "text/plain")
        parent.children.append(child)
        self._node = child
        self._parts += 1
        self._state = _HEADER

    # Bodies

    def _stack_changed(self) -> None:
        names = [boundary for boundary, _ in self._stack]
        # Of equal boundaries the innermost wins.
        self._lookup = {boundary: index for index, boundary in enumerate(names)}
        self._needle = b"\n--" + _common_start(names)

    def _body(self, closing: bool) -> bool:
        """Look for the next boundary; False when more bytes are needed."""
        found = self._next_boundary(self._search - self._base, len(self._buf), closing)
        if found < 0:
            self._keep = self._search - 1
            return self._state == _SKIP
        return self._boundary(found)

    def _next_boundary(self, begin: int, stop: int, closing: bool) -> int:
        """Where in the buffer (at its LF) the next boundary line begins; -1 none, -2 not yet known.

        Only lines whose LF lies before ``stop`` count.
        """
        buf, needle, lookup = self._buf, self._needle, self._lookup
        longest = self._limits.boundary + _SLACK
        size = len(buf)
        limit = min(size, stop + len(needle) - 1)
        while True:
            at = buf.find(needle, begin, limit)
            if at < 0:
                self._search = self._base + max(begin, size - len(needle) + 1)
                return -1
            eol = buf.find(b"\n", at + 1, at + 1 + longest)
            if eol < 0:
                if size < at + 1 + longest:
                    if not closing:
                        self._search = self._base + at
                        return -2
                    eol = size
                else:
                    eol = at + 3
            line = bytes(buf[at + 3 : eol]).rstrip(b" \t\r")
            if line in lookup or (line.endswith(b"--") and line[:-2] in lookup):
                return at
            self._false += 1
            if self._false > self._limits.false_boundaries:
                self._stack.clear()
                self._state = _SKIP
                return -1
            begin = at + 1

    def _boundary(self, at: int) -> bool:
        """A boundary line begins at ``at``: close what it closes, open what it opens."""
        buf, base = self._buf, self._base
        eol = buf.find(b"\n", at + 1)
        if eol < 0:
            eol = len(buf)
        line = bytes(buf[at + 3 : eol]).rstrip(b" \t\r")
        index = self._lookup.get(line)
        final = index is None
        if index is None:
            index = self._lookup[line[:-2]]
        multipart = self._stack[index][1]
        # The line break before the boundary belongs to it (RFC 2046 5.1.1).
        end = base + (at - 1 if at > 0 and buf[at - 1] == 13 else at)
        node = self._node
        while node is not multipart:
            node.body_end = max(end, node.body_start)
            assert node.parent is not None
            node = node.parent
        keep = index if final else index + 1
        if keep != len(self._stack):
            del self._stack[keep:]
            if self._stack:
                self._stack_changed()
        self._node = multipart
        after = base + min(eol + 1, len(buf))
        self._search = base + eol
        self._keep = base + eol - 1
        if final:
            self._state = _BODY if self._stack else _SKIP
        elif self._parts >= self._limits.parts:
            self._open_child(multipart, after)
            self._node.content_type = "application/octet-stream"
            self._stack.clear()
            self._state = _SKIP
        else:
            self._open_child(multipart, after)
        return True


def _common_start(names: list[bytes]) -> bytes:
    """What all names begin with."""
    low, high = min(names), max(names)
    for index, (one, other) in enumerate(zip(low, high, strict=False)):
        if one != other:
            return low[:index]
    return low


def _frozen(node: OpenPart, path: str, end: int) -> Part:
    children = node.children
    if len(children) > 1 and children[-1].header_start >= end:
        children = children[:-1]  # a last boundary with nothing behind it
    parts: list[Part] = []
    if node.embedded:
        child = children[0]
        inner = ".0" if child.content_type.startswith("multipart/") else ".1"
        parts.append(_frozen(child, path + inner, end))
    elif children:
        # The children of the multipart "2.0" are "2.1", "2.2"; of "" they are "1", "2".
        prefix = path[:-1] if path == "0" or path.endswith(".0") else path + "." if path else ""
        for number, child in enumerate(children, 1):
            parts.append(_frozen(child, f"{prefix}{number}", end))
    return Part(
        path,
        node.header_start,
        node.body_start,
        node.body_end,
        node.content_type,
        node.params,
        node.cte,
        node.disposition,
        node.filename,
        node.content_id,
        node.content_location,
        node.title,
        tuple(parts),
    )


def scan(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Part:
    """The structure of a whole message."""
    scanner = Scanner(limits)
    scanner.feed(data)
    return scanner.close()
