"""Content transfer encodings undone, whole or piece by piece; nothing raises on content.

RFC 2045 6.7 (quoted-printable), 6.8 (base64); uuencode as POSIX describes it. Junk between characters,
missing padding and several padded runs are read as well as can be.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator

from posthouse.mime import headers
from posthouse.mime.part import Part

Read = Callable[[int, int], bytes]

_BLOCK = 65536
_B64_JUNK = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_UU_BEGIN = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} [^\r\n]*\r?\n", re.MULTILINE)


def decode_part(part: Part, raw: bytes) -> bytes:
    """The content of ``part``, whose body bytes as transferred are ``raw``."""
    return decode_transfer(part.cte, raw)


def decode_transfer(cte: str, raw: bytes) -> bytes:
    """Undo a content transfer encoding; an unknown one counts as none (RFC 2045 6.4 allows no guess)."""
    if cte == "base64":
        return headers.decode_base64(raw)
    if cte == "quoted-printable":
        # White space at the end of a line was added on the way (RFC 2045 6.7 rule 3).
        if (b" \r\n" in raw or b" \n" in raw) or (
            # Looked for only where there is one at all: this is the costly part of most bodies.
            b"\t" in raw and (b"\t\r\n" in raw or b"\t\n" in raw)
        ):
            raw = _trim_lines(raw)
        return binascii.a2b_qp(raw)
    if cte in ("x-uuencode", "x-uu"):
        return _decode_uu(raw)
    return raw


def _trim_lines(raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    return b"\n".join(
        [
            line.rstrip(b" \t\r") + (b"\r" if line.endswith(b"\r") else b"")
            if line[-2:].strip() != line[-2:]
            else line
            for line in lines
        ]
    )


def _decode_uu(raw: bytes) -> bytes:
    begin = _UU_BEGIN.search(raw)
    out: list[bytes] = []
    for line in raw[begin.end() if begin else 0 :].split(b"\n"):
        line = line.rstrip(b"\r")
        if line in (b"end", b"`", b" "):
            if line == b"end":
                break
            continue
        if not line:
            continue
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            # Some encoders leave rubbish behind the last group.
            count = ((line[0] - 32) & 63) * 4 // 3 + 5
            try:
                out.append(binascii.a2b_uu(line[:count]))
            except binascii.Error:
                continue
    return b"".join(out)


def decode_iter(part: Part, read: Read, block: int = _BLOCK) -> Iterator[bytes]:
    """The content of a part piece by piece, so that a big attachment is never held whole.

    :param read: gives the bytes of the message from an offset up to (not including) another.
    """
    position, end = part.body_start, part.body_end
    if part.cte != "base64":
        if part.cte not in ("quoted-printable", "x-uuencode", "x-uu"):
            while position < end:
                yield read(position, min(position + block, end))
                position += block
            return
        yield from _decode_lines(part.cte, read, position, end, block)
        return
    rest = b""
    while position < end:
        data = read(position, min(position + block, end))
        position += block
        data = rest + data.translate(None, _B64_JUNK)
        if b"=" in data:
            # Padding: finish the run; what follows begins a new one.
            data, _, tail = data.rpartition(b"=")
            decoded = headers.decode_base64(data + b"=") if data else b""
            data = tail
            if decoded:
                yield decoded
        whole = len(data) - len(data) % 4
        rest = data[whole:]
        if whole:
            yield binascii.a2b_base64(data[:whole])
    if len(rest) > 1:
        yield headers.decode_base64(rest)


def _decode_lines(cte: str, read: Read, position: int, end: int, block: int) -> Iterator[bytes]:
    rest = b""
    while position < end:
        data = rest + read(position, min(position + block, end))
        position += block
        cut = data.rfind(b"\n") + 1 if position < end else len(data)
        if not cut and len(data) > max(4 * block, 4096):
            # A line without end: cut it, but not inside an escape.
            escape = data.rfind(b"=", len(data) - 3)
            cut = escape if escape > 0 else len(data)
        rest = data[cut:]
        if cut:
            yield decode_transfer(cte, data[:cut])


def decoded_size(part: Part) -> int:
    """How many bytes the content has: exact where nothing is encoded, else close (base64 lines of 76)."""
    if part.cte == "base64":
        lines = (part.size + 77) // 78
        return max(0, (part.size - 2 * (lines - 1 if lines else 0)) * 3 // 4)
    return part.size
