"""Bodies: bytes as received, stored once per content.

A body is known by the SHA-256 of its bytes and kept in chunks of 256 KB, each compressed (zstd level 1)
unless that does not make it smaller. Reading a part touches the chunks it lies in and no others. Existence
check, insert and last-reference test happen inside ``write``, so two of the same cannot appear, and none
vanishes under a reference.

A large body comes in slices ahead of the transaction that makes it visible; whatever nothing refers to after
an hour is swept away.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterable, Sequence

from attrs import frozen

from posthouse.errors import Malformed, NoSuchItem, TryLater
from posthouse.model import BodyRef
from posthouse.store.rows import padded
from posthouse.store.transaction import Transaction

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "CHUNK",
    "PreparedBody",
    "begin_upload",
    "body_ref",
    "drop_upload",
    "finish_upload",
    "insert_body",
    "prepare",
    "prepare_chunk",
    "put_body",
    "read_bodies",
    "read_body",
    "read_start",
    "sweep",
    "upload_chunk",
]

#: bytes in one chunk before compression
CHUNK = 256 * 1024
#: ms that a body may wait for its first reference
GRACE = 3600 * 1000
# chunk.id = body << 16 | sequence: 16 GB at most
_SEQUENCES = 1 << 16
_LEVEL = 1
# One function removes no more than 2 MB.
_SWEEP_CHUNKS = 8


@frozen
class PreparedBody:
    """A body ready to be stored: hashed, cut and compressed."""

    sha256: bytes
    size: int
    chunks: tuple[bytes, ...]


# A compressor's tables cost as much as the compression of a short message: each thread keeps its own.
_kept = threading.local()


def prepare_chunk(data: bytes) -> bytes:
    """One chunk as it is stored. Pure CPU; releases the interpreter's lock while it compresses."""
    compressor = getattr(_kept, "compressor", None)
    if compressor is None:
        compressor = _kept.compressor = zstd.ZstdCompressor(_LEVEL)
    packed: bytes = compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)
    return packed if len(packed) < len(data) else data


def prepare(data: bytes) -> PreparedBody:
    """Hash, cut and compress. Pure CPU: about 5 ms a megabyte, so in a thread for more than 64 KB."""
    if len(data) <= CHUNK:
        chunks: tuple[bytes, ...] = (prepare_chunk(data),) if data else ()
    else:
        view = memoryview(data)
        chunks = tuple(
            prepare_chunk(bytes(view[start : start + CHUNK])) for start in range(0, len(data), CHUNK)
        )
    return PreparedBody(hashlib.sha256(data).digest(), len(data), chunks)


def _unpack(stored: bytes, size: int) -> bytes:
    # Stored as it is exactly when it is as long as it should be: compressed chunks are shorter.
    if len(stored) == size:
        return stored
    try:
        data = zstd.ZstdDecompressor().decompress(stored, size)
    except zstd.ZstdError as error:
        raise TryLater(cause="a stored chunk is damaged") from error
    if len(data) != size:
        raise TryLater(cause="a stored chunk is damaged")
    return data


def insert_body(tx: Transaction, prepared: PreparedBody, now: int) -> BodyRef:
    """Store a body that the same transaction refers to; the existing one where the content is known."""
    body_id = tx.insert(
        "INSERT INTO body (sha256, size, created) VALUES (?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
        (prepared.sha256, prepared.size, now),
    )
    if not body_id:
        known = tx.value("SELECT id FROM body WHERE sha256 = ?", (prepared.sha256,))
        return BodyRef(known, prepared.sha256, prepared.size)
    for seq, data in enumerate(prepared.chunks):
        tx.execute("INSERT INTO chunk (id, data) VALUES (?, ?)", (body_id * _SEQUENCES + seq, data))
        tx.weigh(len(data))
    return BodyRef(body_id, prepared.sha256, prepared.size)


def put_body(tx: Transaction, prepared: PreparedBody, now: int) -> BodyRef:
    """Store a body, or find the one of the same content. Something must refer to it within an hour."""
    ref = insert_body(tx, prepared, now)
    _expect_reference(tx, ref.id, now)
    return ref


def _expect_reference(tx: Transaction, body_id: int, now: int) -> None:
    tx.execute(
        "INSERT INTO loose_body (body_id, at) VALUES (?, ?) ON CONFLICT (body_id) DO UPDATE SET at = "
        "excluded.at",
        (body_id, now),
    )


# Uploads: a body row without a hash is nobody's yet.


def begin_upload(tx: Transaction, now: int) -> int:
    """Begin to store a large body in slices. :returns: the upload's id."""
    upload = int(
        tx.value("INSERT INTO body (sha256, size, created) VALUES (NULL, 0, ?) RETURNING id", (now,))
    )
    _expect_reference(tx, upload, now)
    return upload


def upload_chunk(tx: Transaction, upload: int, seq: int, prepared_chunk: bytes) -> None:
    """Store the chunk ``seq`` (from 0) of an upload: ``prepare_chunk`` of exactly ``CHUNK`` bytes, but the
    last.

    Sending one again replaces it. :raises NoSuchItem: the upload was swept away.
    """
    if not 0 <= seq < _SEQUENCES:
        raise Malformed(cause=f"chunk {seq} of an upload")
    if tx.one("SELECT 1 FROM body WHERE id = ? AND sha256 IS NULL", (upload,)) is None:
        raise NoSuchItem(cause=f"no upload {upload}")
    tx.execute(
        "INSERT INTO chunk (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data",
        (upload * _SEQUENCES + seq, prepared_chunk),
    )
    tx.weigh(len(prepared_chunk))


def finish_upload(tx: Transaction, upload: int, sha256: bytes, size: int, now: int) -> BodyRef:
    """Make an upload a body; where the content is known the upload is left to the sweeper.

    :raises NoSuchItem: it was swept away. :raises Malformed: chunks are missing.
    """
    if tx.one("SELECT 1 FROM body WHERE id = ? AND sha256 IS NULL", (upload,)) is None:
        raise NoSuchItem(cause=f"no upload {upload}")
    first = upload * _SEQUENCES
    count = tx.value("SELECT count(*) FROM chunk WHERE id >= ? AND id < ?", (first, first + _SEQUENCES))
    if count != -(-size // CHUNK):
        raise Malformed(cause=f"upload {upload} of {size} bytes has {count} chunks")
    known = tx.value("SELECT id FROM body WHERE sha256 = ?", (sha256,))
    if known is not None:
        drop_upload(tx, upload)
        _expect_reference(tx, known, now)
        return BodyRef(known, sha256, size)
    tx.execute("UPDATE body SET sha256 = ?, size = ? WHERE id = ?", (sha256, size, upload))
    _expect_reference(tx, upload, now)
    return BodyRef(upload, sha256, size)


def drop_upload(tx: Transaction, upload: int) -> None:
    """Give up an upload; the sweeper takes it next time."""
    tx.execute("UPDATE loose_body SET at = 0 WHERE body_id = ?", (upload,))


# Reading


def body_ref(tx: Transaction, body_id: int) -> BodyRef | None:
    """What is known of a body."""
    row = tx.one("SELECT id, sha256, size FROM body WHERE id = ? AND sha256 IS NOT NULL", (body_id,))
    return BodyRef(*row) if row else None


def read_body(tx: Transaction, body_id: int, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes from ``start`` up to ``stop`` (the end when None); short where the body ends.

    :raises NoSuchItem: no such body. :raises TryLater: what is stored is damaged (restore a backup).
    """
    size = tx.value("SELECT size FROM body WHERE id = ? AND sha256 IS NOT NULL", (body_id,))
    if size is None:
        raise NoSuchItem(cause=f"no body {body_id}")
    start = max(start, 0)
    stop = size if stop is None else min(stop, size)
    if start >= stop:
        return b""
    first, last = start // CHUNK, (stop - 1) // CHUNK
    base = body_id * _SEQUENCES
    pieces = _pieces(
        tx.execute(
            "SELECT id, data FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id", (base + first, base + last)
        ),
        base,
        size,
    )
    data = b"".join(pieces)
    if len(data) != min((last + 1) * CHUNK, size) - first * CHUNK:
        raise TryLater(cause=f"body {body_id} lacks chunks")
    return data[start - first * CHUNK : stop - first * CHUNK]


def read_start(tx: Transaction, body_id: int) -> tuple[BodyRef, bytes | TryLater] | None:
    """A body and its first chunk, by one statement; what is wrong with the chunk stands in its place."""
    row = tx.one(
        "SELECT body.id, body.sha256, body.size, chunk.data FROM body LEFT JOIN chunk ON chunk.id = body.id * 65536 "
        "WHERE body.id = ? AND body.sha256 IS NOT NULL",
        (body_id,),
    )
    if row is None:
        return None
    ref = BodyRef(*row[:3])
    if not ref.size:
        return ref, b""
    if row[3] is None:
        return ref, TryLater(cause=f"body {body_id} lacks chunks")
    try:
        return ref, _unpack(row[3], min(CHUNK, ref.size))
    except TryLater as error:
        return ref, error


def read_bodies(
    tx: Transaction, ranges: Sequence[tuple[int, int, int | None]]
) -> list[bytes | NoSuchItem | TryLater]:
    """`read_body` for many: (body id, start, stop) each. What is wrong with one stands in its place.

    What lies in the first chunk of a body, as nearly all does, comes by one statement for the whole list: each
    statement costs a thread the interpreter's lock several times.
    """
    early = {body_id for body_id, start, stop in ranges if stop is not None and start < stop <= CHUNK}
    fronts: dict[int, bytes | TryLater] = {}
    for places, portion in padded(sorted(early)):
        for body_id, size, stored in tx.execute(
            "SELECT body.id, body.size, chunk.data FROM body JOIN chunk ON chunk.id = body.id * 65536 "
            f"WHERE body.id IN ({places}) AND body.sha256 IS NOT NULL",
            portion,
        ):
            try:
                fronts[body_id] = _unpack(stored, min(CHUNK, size))
            except TryLater as error:
                fronts[body_id] = error
    found: list[bytes | NoSuchItem | TryLater] = []
    for body_id, start, stop in ranges:
        front = fronts.get(body_id) if stop is not None and stop <= CHUNK else None
        if stop is not None and stop <= start:
            found.append(b"")
        elif isinstance(front, bytes):
            found.append(front[max(start, 0) : stop])
        elif front is not None:
            found.append(front)
        else:
            try:
                found.append(read_body(tx, body_id, start, stop))
            except (NoSuchItem, TryLater) as error:
                found.append(error)
    return found


def _pieces(rows: Iterable[tuple[int, bytes]], base: int, size: int) -> Iterable[bytes]:
    for chunk_id, stored in rows:
        yield _unpack(stored, min(CHUNK, size - (chunk_id - base) * CHUNK))


# Sweeping


def sweep(tx: Transaction, limit: int, now: int) -> int:
    """Remove bodies that nothing refers to; at most ``limit`` looked at and 2 MB removed.

    :returns: how many were dealt with; call it again until 0.
    """
    done = removed = 0
    for (body_id,) in tx.execute(
        "SELECT body_id FROM loose_body WHERE at < ? ORDER BY body_id LIMIT ?", (now - GRACE, limit)
    ):
        done += 1
        wanted = tx.one(
            "SELECT 1 FROM item WHERE body_id = ? UNION ALL SELECT 1 FROM outbox WHERE body_id = ? LIMIT 1",
            (body_id, body_id),
        )
        if wanted is None:
            # Nobody may take it up again from here on, or find half of it.
            tx.execute("UPDATE body SET sha256 = NULL WHERE id = ?", (body_id,))
            base = body_id * _SEQUENCES
            tx.execute(
                "DELETE FROM chunk WHERE id IN "
                "(SELECT id FROM chunk WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)",
                (base, base + _SEQUENCES, _SWEEP_CHUNKS - removed),
            )
            removed += tx.rowcount
            if removed >= _SWEEP_CHUNKS:
                break
            tx.execute("DELETE FROM body WHERE id = ?", (body_id,))
        tx.execute("DELETE FROM loose_body WHERE body_id = ?", (body_id,))
    return done
