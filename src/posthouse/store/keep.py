"""Bringing a message's bytes to the store without stopping the reactor or the writer.

Promise: up to 64 KB are compressed on the spot, up to 2 MB in a thread, unless the spool did so while they
arrived; more goes ahead of the delivering transaction in slices of 1 MB, each a transaction of its own, so
that no writer waits behind 50 MB, and of a few messages at a time, so that nobody waits behind the slices of two
hundred, nor are those in memory. What was sent ahead and is never referred to is swept by the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from attrs import frozen

from posthouse.errors import NoSuchItem, TryLater
from posthouse.faults import reach
from posthouse.model import BodyRef
from posthouse.store import bodies

__all__ = ["SLICED_FROM", "Bytes", "keep_body", "keep_bytes"]

_INLINE = 65_536
SLICED_FROM = 2 << 20
# Chunks in one slice: each slice costs a sync of the disk, and memory until it is stored.
_SLICE = 4


class Readable(Protocol):
    """What is kept: a message, in memory or in a file."""

    @property
    def size(self) -> int: ...
    @property
    def data(self) -> bytes | None: ...
    @property
    def sha256(self) -> bytes: ...
    @property
    def read(self) -> Callable[[int, int], bytes]: ...
    @property
    def packed(self) -> tuple[bytes, ...]: ...


@frozen(eq=False)
class Bytes:
    """A message that is in memory."""

    data: bytes
    sha256: bytes = b""
    packed: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


async def keep_bytes(database: Any, pool: Any, data: bytes, now: int) -> bodies.PreparedBody | BodyRef:
    """`keep_body` of bytes in memory."""
    return await keep_body(database, pool, Bytes(data), now)


async def keep_body(database: Any, pool: Any, message: Readable, now: int) -> bodies.PreparedBody | BodyRef:
    """Prepare or store the bytes of a message; the result is for ``store.delivery.deliver``.

    :param pool: ``run(function, *args)`` -> Deferred. :param now: ms since the epoch.
    :raises TryLater: the store or the disk is full or busy; nothing was kept.
    """
    if message.size > SLICED_FROM:
        await database.large.acquire()
        try:
            return await _upload(database, pool, message, now)
        except NoSuchItem as error:
            # It took longer than the sweeper's hour. To the sender it is no "no such user".
            raise TryLater(cause=error.cause) from error
        finally:
            database.large.release()
    if _is_packed(message) or (message.data is not None and message.size <= _INLINE):
        return _prepare(message)
    prepared: bodies.PreparedBody = await pool.run(_prepare, message)
    return prepared


def _is_packed(message: Readable) -> bool:
    """Whether the chunks are there already."""
    packed = message.packed
    return bool(packed and message.sha256) and len(packed) == -(-message.size // bodies.CHUNK)


def _prepare(message: Readable) -> bodies.PreparedBody:
    """Chunk by chunk, so that no copy of the whole is made."""
    if _is_packed(message):
        return bodies.PreparedBody(message.sha256, message.size, message.packed)
    digest = None if message.sha256 else hashlib.sha256()
    chunks = []
    for start in range(0, message.size, bodies.CHUNK):
        data = message.read(start, min(start + bodies.CHUNK, message.size))
        if digest is not None:
            digest.update(data)
        chunks.append(bodies.prepare_chunk(data))
    return bodies.PreparedBody(
        message.sha256 if digest is None else digest.digest(), message.size, tuple(chunks)
    )


async def _upload(database: Any, pool: Any, message: Readable, now: int) -> BodyRef:
    upload: int = await database.write(lambda tx: bodies.begin_upload(tx, now))
    digest = None if message.sha256 else hashlib.sha256()

    def chunk_at(start: int) -> bytes:
        data = message.read(start, min(start + bodies.CHUNK, message.size))
        if digest is not None:
            digest.update(data)
        return bodies.prepare_chunk(data)

    def chunks_at(starts: Sequence[int]) -> tuple[bytes, ...]:
        return tuple(map(chunk_at, starts))

    packed = message.packed if _is_packed(message) else ()
    starts = range(0, message.size, bodies.CHUNK)
    for first in range(0, len(starts), _SLICE):
        chunks: tuple[bytes, ...] = packed[first : first + _SLICE] or await pool.run(
            chunks_at, starts[first : first + _SLICE]
        )

        def store(tx: Any, first: int = first, chunks: tuple[bytes, ...] = chunks) -> None:
            for sequence, chunk in enumerate(chunks, first):
                bodies.upload_chunk(tx, upload, sequence, chunk)

        await database.write(store)
        reach("intake.upload")
    sha256 = message.sha256 if digest is None else digest.digest()
    ref: BodyRef = await database.write(
        lambda tx: bodies.finish_upload(tx, upload, sha256, message.size, now)
    )
    return ref
