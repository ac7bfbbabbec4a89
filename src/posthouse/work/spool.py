"""The bytes of one message on their way in: in memory first, in a file when they get many.

The promise: at most about two times ``memory_limit`` of one message is in memory, however long it is, unless
it may borrow from a ``Memory`` that all messages share: then two times what was lent, 4 MB at most. The
reactor never touches the disk; a full disk is ``StorageFull``; no file outlives its message, not even through
a crash, because it never has a name (O_TMPFILE, or unlinked as soon as it is open). SHA-256 and the MIME
scan are done on the way, and what stays in memory is packed in the form of the store while the rest arrives.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from attrs import define, frozen
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from posthouse.errors import PosthouseError, StorageFull, TryLater
from posthouse.interfaces import ISpool
from posthouse.work.memory import Memory

__all__ = ["Packing", "Spool", "Spooled", "Watcher"]

MEMORY_LIMIT = 256 * 1024
SHARED_MEMORY = 32 * 1024 * 1024  # bytes that all messages together borrow at most
BORROW_LIMIT = 4 * 1024 * 1024  # bytes of one message, when it may borrow
# What is packed at once at the end of a message rather than in a thread, which has its price too.
_INLINE = 64 * 1024
RESERVE = 32 * 1024 * 1024  # bytes that stay free on the disk

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Watcher(Protocol):
    """Looks at the bytes as they come, such as ``posthouse.mime.scan.Scanner``."""

    def feed(self, block: bytes, /) -> None: ...

    def close(self) -> Any: ...


class _Pool(Protocol):
    def run(self, function: Any, /, *args: Any) -> Deferred[Any]: ...


@frozen
class Packing:
    """How the store wants its bytes: in pieces of ``size`` bytes, each through ``pack`` (in a thread)."""

    size: int
    pack: Callable[[bytes], bytes]


def _storage_error(error: OSError) -> PosthouseError:
    if error.errno in _FULL:
        return StorageFull(cause=f"spool: {error}")
    return TryLater(cause=f"spool: {error}")


@define(eq=False)
class Spooled:
    """A complete message. ``data`` is its bytes, or None when they are in a file.

    ``structure`` is what the watcher made of it (the root ``mime.scan.Part``), None without one. ``path`` is
    always None: the file has no name. ``packed`` are all pieces in the form of the store, or nothing.
    """

    size: int
    sha256: bytes
    data: bytes | None
    structure: Any = None
    _fd: int = -1
    path: Path | None = None
    packed: tuple[bytes, ...] = ()
    _give_back: Callable[[], None] | None = None

    def read(self, start: int, stop: int) -> bytes:
        """A range of the message; shorter at its end. Blocking when ``data`` is None: call it in a thread.

        :raises TryLater: the disk fails, or the message was closed.
        """
        if self.data is not None:
            return self.data[start:stop]
        start, stop = max(0, start), min(stop, self.size)
        parts: list[bytes] = []
        try:
            while start < stop:
                part = os.pread(self._fd, stop - start, start)
                if not part:
                    raise TryLater(cause="spool file is shorter than it was")
                parts.append(part)
                start += len(part)
        except OSError as error:
            raise _storage_error(error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Forget the bytes; any number of times."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


@implementer(ISpool)
class Spool:
    """See ``ISpool``.

    :param directory: where the file is made; on the disk that will hold the store.
    :param pool: ``run(function, *args)`` -> Deferred, for everything that touches the disk.
    :param scanner: sees all bytes in order.
    :param memory: lends what is needed beyond ``memory_limit``; it is brought back with ``Spooled.close``.
    :param packing: what the store does with the bytes; done ahead for what stays in memory.
    """

    def __init__(
        self,
        directory: Path | str,
        pool: _Pool,
        memory_limit: int = MEMORY_LIMIT,
        scanner: Watcher | None = None,
        reserve: int = RESERVE,
        memory: Memory | None = None,
        packing: Packing | None = None,
    ) -> None:
        self.size = 0
        self._directory = str(directory)
        self._pool = pool
        self._memory_limit = memory_limit
        self._scanner = scanner
        self._reserve = reserve
        self._memory = memory
        self._packing = packing
        self._borrowed = 0
        self._may_borrow = memory is not None
        self._whole = 0  # blocks at the beginning that are a piece each
        self._packed: list[bytes] = []
        self._jobs: set[Deferred[bytes]] = set()  # pieces on their way
        self._finishing: Deferred[Spooled] | None = None
        self._sha = hashlib.sha256()
        self._blocks: list[bytes] = []
        self._in_memory = 0
        self._fd = -1
        self._writing = False
        self._discarded = False

    def write(self, block: bytes) -> Deferred[None] | None:
        if self._discarded:
            raise TryLater(cause="the spool was discarded")
        if self._writing:
            raise RuntimeError("write before the last one was done")
        self._sha.update(block)
        if self._scanner is not None:
            self._scanner.feed(block)
        self.size += len(block)
        self._blocks.append(block)
        self._in_memory += len(block)
        if self._in_memory > self._memory_limit + self._borrowed and not self._borrow():
            return self._flush()
        if self._borrowed and self._packing is not None:
            self._pack_ahead(self._packing)
        return None

    def finish(self) -> Deferred[Spooled]:
        if self._discarded:
            return fail(TryLater(cause="the spool was discarded"))
        if self._fd >= 0:
            return self._flush().addCallback(lambda ignored: self._spooled(None))
        if self._packed and self._packing is not None:
            tail = b"".join(self._blocks[self._whole :])
            self._blocks[self._whole :] = [tail]
            if len(tail) > _INLINE:
                self._pack(self._packing, tail)
            elif tail:
                self._packed.append(self._packing.pack(tail))
        if not self._jobs:
            return succeed(self._in_memory_whole())
        self._finishing = Deferred()
        return self._finishing

    def _in_memory_whole(self) -> Spooled:
        blocks, self._blocks = self._blocks, []
        return self._spooled(blocks[0] if len(blocks) == 1 else b"".join(blocks))

    def _spooled(self, data: bytes | None) -> Spooled:
        if self._discarded:
            raise TryLater(cause="the spool was discarded")
        structure = self._scanner.close() if self._scanner is not None else None
        fd, self._fd = self._fd, -1
        self._discarded = True  # the bytes have moved on
        packed = tuple(self._packed) if data is not None else ()
        spooled = Spooled(self.size, self._sha.digest(), data, structure, fd, packed=packed)
        if self._borrowed and self._memory is not None:
            # The loan moves on with the bytes.
            spooled._give_back = partial(self._memory.give, self._borrowed)
            self._borrowed = 0
        self._packed = []
        return spooled

    def discard(self) -> None:
        self._discarded = True
        self._blocks = []
        self._scanner = None
        self._stop_packing()
        if not self._writing:
            self._give_back()
            self._close()

    # Memory that all messages share, and packing

    def _borrow(self) -> bool:
        """Get room for what came beyond the limit. False: the message goes to a file."""
        if not self._may_borrow or self._memory is None or self._in_memory > BORROW_LIMIT:
            return False
        limit = self._memory_limit + self._borrowed
        size = min(max(MEMORY_LIMIT, self._in_memory - limit), BORROW_LIMIT - limit)
        if not self._memory.take(size):
            return False
        self._borrowed += size
        return True

    def _give_back(self) -> None:
        size, self._borrowed = self._borrowed, 0
        if size and self._memory is not None:
            self._memory.give(size)

    def _pack_ahead(self, packing: Packing) -> None:
        """Let a thread pack the pieces that are complete, while more arrives."""
        while self._in_memory - self._whole * packing.size >= packing.size:
            rest = b"".join(self._blocks[self._whole :])
            piece = rest[: packing.size]
            self._blocks[self._whole :] = [piece, rest[packing.size :]]
            self._whole += 1
            self._pack(packing, piece)

    def _pack(self, packing: Packing, piece: bytes) -> None:
        index = len(self._packed)
        self._packed.append(b"")
        job: Deferred[bytes] = self._pool.run(packing.pack, piece)
        self._jobs.add(job)
        job.addCallbacks(self._piece_packed, self._piece_not_packed, callbackArgs=(index,))
        job.addBoth(self._piece_done, job)

    def _piece_packed(self, packed: bytes, index: int) -> None:
        if self._packed:
            self._packed[index] = packed

    def _piece_not_packed(self, failure: Any) -> None:
        # Cancelled, or the pool is full: who stores the message packs it, and tells what is wrong.
        self._stop_packing()

    def _piece_done(self, ignored: Any, job: Deferred[bytes]) -> None:
        self._jobs.discard(job)
        done = self._finishing
        if done is not None and not self._jobs and not self._discarded and not done.called:
            done.callback(self._in_memory_whole())

    def _stop_packing(self) -> None:
        self._packing = None
        self._packed = []
        jobs, self._jobs = self._jobs, set()
        for job in jobs:
            job.cancel()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _flush(self) -> Deferred[None]:
        blocks, self._blocks, self._in_memory = self._blocks, [], 0
        self._may_borrow = False
        self._stop_packing()
        self._writing = True
        # A Deferred of its own: who cancels it stops listening, but the descriptor still comes home.
        done: Deferred[None] = Deferred()
        self._pool.run(self._append, self._fd, blocks).addCallbacks(
            self._flushed, self._not_flushed, callbackArgs=(done,), errbackArgs=(done,)
        )
        return done

    def _flushed(self, fd: int, done: Deferred[None]) -> None:
        self._writing = False
        self._give_back()
        self._fd = fd
        if self._discarded:
            self._close()
        if not done.called:
            done.callback(None)

    def _not_flushed(self, failure: Any, done: Deferred[None]) -> None:
        self._writing = False
        self.discard()
        if not done.called:
            done.errback(failure)

    def _append(self, fd: int, blocks: list[bytes]) -> int:
        """In a thread: append the blocks, opening the file first when there is none yet."""
        opened = -1
        try:
            if fd < 0:
                with tempfile.TemporaryFile(dir=self._directory, buffering=0) as file:  # mode 0600
                    fd = opened = os.dup(file.fileno())
            disk = os.fstatvfs(fd)
            if disk.f_bavail * disk.f_frsize < self._reserve + sum(map(len, blocks)):
                raise OSError(errno.ENOSPC, "the reserve of free space is reached")
            for block in blocks:
                view = memoryview(block)
                while view:
                    view = view[os.write(fd, view) :]
        except OSError as error:
            if opened >= 0:
                os.close(opened)
            raise _storage_error(error) from error
        return fd
