"""Cutting text and messages at a number of bytes, never inside a character.

MS-ASAIRS 2.2.2.47 (TruncationSize counts bytes of UTF-8), RFC 3629.
"""

from __future__ import annotations


def truncate_bytes(data: bytes, limit: int) -> tuple[bytes, bool]:
    """UTF-8 bytes cut to at most ``limit``, moved back to the start of a character.

    Data that is not UTF-8 (a raw message) is cut at most three bytes short of ``limit``.
    """
    if len(data) <= limit:
        return data, False
    limit = max(limit, 0)
    end = limit
    while end > 0 and limit - end < 3 and data[end] & 0xC0 == 0x80:
        end -= 1
    if data[end] & 0xC0 == 0x80:
        end = limit  # no UTF-8 anyway
    return data[:end], True


def truncate_mime(data: bytes, limit: int) -> tuple[bytes, bool]:
    """A raw message cut to at most ``limit`` bytes, not between CR and LF nor inside a UTF-8 character."""
    cut, truncated = truncate_bytes(data, limit)
    if truncated and cut.endswith(b"\r") and data[len(cut) : len(cut) + 1] == b"\n":
        cut = cut[:-1]
    return cut, truncated
