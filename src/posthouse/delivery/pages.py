"""The bytes of one message for its way out, a chunk of the store at a time.

Promise: a message that is read from its front to its end costs the store one read for each chunk but the first,
which came with the lease, and no chunk is unpacked twice; beyond what is asked for, no more than a chunk is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable

from posthouse.interfaces import IDatabase
from posthouse.model import BodyRef
from posthouse.store.bodies import CHUNK, read_body

__all__ = ["Pages"]


class Pages:
    """:param front: what stands before the body. :param start: the beginning of the body, as far as it is known."""

    def __init__(self, database: IDatabase, body: BodyRef, front: bytes, start: bytes) -> None:
        self._database = database
        self._body = body
        self._front = front
        self._at = 0  # where in the body ``_kept`` begins
        self._kept = start

    def read(self, start: int, stop: int) -> bytes | Awaitable[bytes]:
        """A range of the message: at once what is known, else when the store has given it."""
        shift = len(self._front)
        front = self._front[start:stop]
        if stop <= shift:
            return front
        start, stop = max(start - shift, 0), min(stop - shift, self._body.size)
        if start >= stop:
            return front
        at, kept = self._at, self._kept
        if at <= start and stop <= at + len(kept):
            return front + kept[start - at : stop - at]
        return self._read(front, start, stop)

    async def _read(self, front: bytes, start: int, stop: int) -> bytes:
        at, kept = self._at, self._kept
        known = kept[start - at :] if at <= start else b""
        first = start + len(known)
        last = min(-(-stop // CHUNK) * CHUNK, self._body.size)
        data: bytes = await self._database.read(lambda tx: read_body(tx, self._body.id, first, last))
        self._at, self._kept = stop, data[stop - first :]
        return b"".join((front, known, data[: stop - first]))
