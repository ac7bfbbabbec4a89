"""The body of a request, decoded under a cap.

The channel has bounded the bytes on the wire; this bounds what they unpack to (RFC 9110 8.4), so that a
kilobyte of gzip does not become a gigabyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from posthouse.errors import Malformed, TooLarge
from posthouse.http.request import Request

__all__ = ["Pool", "inflate", "read_body"]

_INLINE = 1 << 15  # unpacking this much takes well below a millisecond
_IN_REACTOR = 1 << 20
_ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Pool(Protocol):
    """See ``posthouse.work.pool.IPool``."""

    def run(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]: ...


async def read_body(request: Request, limit: int, pool: Pool) -> bytes:
    """All of a request's body.

    :param limit: bytes after unpacking.
    :raises TooLarge: more than that. :raises Malformed: an encoding unknown or broken.
    """
    content = request.content
    assert content is not None
    size = content.seek(0, 2)
    content.seek(0)
    # A large body lies in a file: reading that would hold the reactor.
    data: bytes = content.read(limit + 1) if size <= _IN_REACTOR else await pool.run(content.read, limit + 1)
    named = (request.getHeader("content-encoding") or "").strip().lower()
    if named in ("", "identity"):
        if len(data) > limit:
            raise TooLarge()
        return data
    if named not in _ENCODINGS:
        raise Malformed(cause=f"content encoding {named[:40]!r}")
    if len(data) > limit:
        raise TooLarge()
    if len(data) <= _INLINE and limit <= 16 * _INLINE:
        return inflate(data, named, limit)
    unpacked: bytes = await pool.run(inflate, data, named, limit)
    return unpacked


def inflate(data: bytes, encoding: str, limit: int) -> bytes:
    """Unpack gzip or deflate, which some clients send raw (RFC 9110 8.4.1.2).

    :raises TooLarge: it unpacks to more than ``limit``. :raises Malformed: broken, cut off, or followed by
        more.
    """
    bits = _ENCODINGS[encoding]
    if encoding == "deflate" and not _has_zlib_header(data):
        bits = -15
    unpacker = zlib.decompressobj(bits)
    try:
        unpacked = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise Malformed(cause=f"broken {encoding}: {error}") from None
    if len(unpacked) > limit:
        raise TooLarge(cause="unpacked body")
    if not unpacker.eof or unpacker.unused_data:
        raise Malformed(cause=f"{encoding} is cut off or followed by other bytes")
    return unpacked


def _has_zlib_header(data: bytes) -> bool:
    return len(data) >= 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
