"""The bytes of a message between the wire and the store, in blocks: DATA and BDAT in, DATA and BDAT out.

The promises. In: end of data is CRLF.CRLF and nothing else, wherever the blocks are cut; dots are un-stuffed;
a bare CR, a bare LF or a NUL anywhere is named and refused (the message smuggling family, RFC 5321 2.3.8 and
4.1.1.4). Out: no bare CR, bare LF or NUL ever leaves, and every line that starts with a dot is stuffed,
wherever the blocks are cut. All work is done by ``translate``, ``find`` and ``replace`` on whole blocks, so a
megabyte costs about a millisecond; nothing is ever split into lines.
"""

from __future__ import annotations

import re

__all__ = ["Chunk", "ChunkOut", "DataIn", "DataOut", "flaw"]

_END = b"\r\n.\r\n"
_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")


# All bytes but NUL, LF and CR.
_HARMLESS = bytes(byte for byte in range(256) if byte not in b"\0\n\r")


def whole(block: bytes) -> bool:
    """Has it CRLFs and no CR, LF or NUL besides? Two passes instead of four."""
    # With the rest taken out, a clean block is CRLFs and nothing else. That alone would let "CR x LF" pass, so the
    # pairs must also have been pairs before.
    left = block.translate(None, _HARMLESS)
    pairs = len(left) >> 1
    return left == b"\r\n" * pairs and block.count(b"\r\n") == pairs


def flaw(block: bytes) -> str:
    """The name of what must not be in a message, or "". The block does not end in the middle of a CRLF."""
    if whole(block):
        return ""
    pairs = block.count(b"\r\n")
    if block.count(b"\n") != pairs:
        return "bare LF"
    if block.count(b"\r") != pairs:
        return "bare CR"
    return "NUL" if b"\0" in block else ""


class DataIn:
    """Un-stuffs DATA. Feed it what arrives; it gives clean bytes, and what follows the end."""

    __slots__ = ("_fresh", "_held", "flaw", "rest")

    def __init__(self) -> None:
        # A line starts here: the CRLF of the DATA command itself counts (RFC 5321 4.1.1.4).
        self._held = b"\r\n"
        self._fresh = True
        self.flaw = ""  # name of what was found and must not be
        self.rest: bytes | None = None  # after the end: the bytes behind it

    def feed(self, block: bytes) -> bytes:
        """The message bytes that are certain by now. Afterwards look at ``flaw`` and ``rest``."""
        data = self._held + block
        # Most blocks hold no line that begins with a dot: then there is neither an end nor a stuffed dot.
        # (Encoded attachments hold no dot at all, which is seen much faster.)
        dot = data.find(b"\r\n.") if b"." in data else -1
        end = data.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            self.rest = data[end + 5 :]
            self._held = b""
            certain = data[: end + 2]
        else:
            # What may be the beginning of the end, or of a stuffed dot, waits for the next block.
            keep = 0
            for length in (4, 3, 2, 1):
                if data.endswith(_END[:length]):
                    keep = length
                    break
            self._held = data[len(data) - keep :]
            certain = data[: len(data) - keep]
        if not certain:
            return b""
        self.flaw = flaw(certain)
        if dot >= 0 and dot != end:  # at the end only: nothing is stuffed
            certain = certain.replace(b"\r\n.", b"\r\n")
        if self._fresh:
            self._fresh = False
            return certain[2:]
        return certain


class Chunk:
    """One BDAT chunk: counts bytes, changes nothing (RFC 3030 2), looks for flaws across chunks."""

    __slots__ = ("_held", "flaw", "last", "left", "size")

    def __init__(self, size: int, last: bool, held: bytes = b"") -> None:
        self.size = self.left = size
        self.last = last
        self.flaw = ""
        self._held = held  # a CR whose LF may come

    def feed(self, block: bytes) -> tuple[bytes, bytes]:
        """(message bytes of this chunk that are certain, bytes behind the chunk)."""
        taken, rest = block[: self.left], block[self.left :]
        self.left -= len(taken)
        data = self._held + taken
        if data.endswith(b"\r") and not (self.last and not self.left):
            self._held = b"\r"
            data = data[:-1]
        else:
            self._held = b""
        self.flaw = flaw(data)
        return data, rest

    @property
    def held(self) -> bytes:
        """What the next chunk has to begin with."""
        return self._held


class LinesOut:
    """A stored message with CRLF at every line's end and no NUL. Feed it in any blocks, then take ``end``."""

    __slots__ = ("_at_start", "_cr")

    def __init__(self) -> None:
        self._at_start = True
        self._cr = False

    def clean(self, block: bytes) -> bytes:
        """The same bytes with whole line ends; a CR whose LF may come waits for the next block."""
        if b"\0" in block:
            # Nobody may send one (RFC 5322 4, RFC 6152 3); a server that finds one hangs up.
            block = block.replace(b"\0", b"")
        if self._cr:
            block = b"\r" + block
            self._cr = False
        if block.endswith(b"\r"):
            block = block[:-1]
            self._cr = True
        if not whole(block):
            block = _ANY_LINE_END.sub(b"\r\n", block)
        if block:
            self._at_start = block.endswith(b"\r\n")
        return block

    def close(self) -> bytes:
        """What completes the last line."""
        if self._cr:  # a bare CR at the very end is a line end like the others
            self._cr = False
            return b"\r\n"
        return b"" if self._at_start else b"\r\n"


class ChunkOut(LinesOut):
    """A message for BDAT: nothing is stuffed, since its length is said."""

    __slots__ = ()

    def feed(self, block: bytes) -> bytes:
        """The bytes to send."""
        return self.clean(block)

    def end(self) -> bytes:
        """What has to follow: a message ends with a line's end (RFC 3030 2 leaves that to us)."""
        return self.close()


class DataOut(LinesOut):
    """Stuffs a message for DATA. Feed it the stored bytes in any blocks, then take ``end``."""

    __slots__ = ()

    def feed(self, block: bytes) -> bytes:
        """The bytes to send."""
        starts = self._at_start
        block = self.clean(block)
        if b"." not in block:  # an encoded attachment, as most of what is large
            return block
        block = block.replace(b"\r\n.", b"\r\n..")
        return b"." + block if starts and block.startswith(b".") else block

    def end(self) -> bytes:
        """The end of data; completes a last line that has no CRLF."""
        return self.close() + b".\r\n"
