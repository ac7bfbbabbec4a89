"""The bytes of one message on their way in: in memory first, in a file when they get many.

The promise: at most about two times ``memory_limit`` of one message is in memory, however long it is; the
reactor never touches the disk; a full disk is ``StorageFull``; no file outlives its message, not even through
a crash, because it never has a name (O_TMPFILE, or unlinked as soon as it is open). SHA-256 and the MIME
scan are done on the way.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, Protocol

from attrs import define
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from posthouse.errors import PosthouseError, StorageFull, TryLater
from posthouse.interfaces import ISpool

__all__ = ["Spool", "Spooled", "Watcher"]

MEMORY_LIMIT = 256 * 1024
RESERVE = 32 * 1024 * 1024  # bytes that stay free on the disk

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Watcher(Protocol):
    """Looks at the bytes as they come, such as ``posthouse.mime.scan.Scanner``."""

    def feed(self, block: bytes, /) -> None: ...

    def close(self) -> Any: ...


class _Pool(Protocol):
    def run(self, function: Any, /, *args: Any) -> Deferred[Any]: ...


def _storage_error(error: OSError) -> PosthouseError:
    if error.errno in _FULL:
        return StorageFull(cause=f"spool: {error}")
    return TryLater(cause=f"spool: {error}")


@define(eq=False)
class Spooled:
    """A complete message. ``data`` is its bytes, or None when they are in a file.

    ``structure`` is what the watcher made of it (the root ``mime.scan.Part``), None without one. ``path`` is
    always None: the file has no name.
    """

    size: int
    sha256: bytes
    data: bytes | None
    structure: Any = None
    _fd: int = -1
    path: Path | None = None

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


@implementer(ISpool)
class Spool:
    """See ``ISpool``.

    :param directory: where the file is made; on the disk that will hold the store.
    :param pool: ``run(function, *args)`` -> Deferred, for everything that touches the disk.
    :param scanner: sees all bytes in order.
    """

    def __init__(
        self,
        directory: Path | str,
        pool: _Pool,
        memory_limit: int = MEMORY_LIMIT,
        scanner: Watcher | None = None,
        reserve: int = RESERVE,
    ) -> None:
        self.size = 0
        self._directory = str(directory)
        self._pool = pool
        self._memory_limit = memory_limit
        self._scanner = scanner
        self._reserve = reserve
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
        if self._in_memory <= self._memory_limit:
            return None
        return self._flush()

    def finish(self) -> Deferred[Spooled]:
        if self._discarded:
            return fail(TryLater(cause="the spool was discarded"))
        if self._fd < 0:
            blocks = self._blocks
            data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
            self._blocks = []
            return succeed(self._spooled(data))
        return self._flush().addCallback(lambda ignored: self._spooled(None))

    def _spooled(self, data: bytes | None) -> Spooled:
        if self._discarded:
            raise TryLater(cause="the spool was discarded")
        structure = self._scanner.close() if self._scanner is not None else None
        fd, self._fd = self._fd, -1
        self._discarded = True  # the bytes have moved on
        return Spooled(self.size, self._sha.digest(), data, structure, fd)

    def discard(self) -> None:
        self._discarded = True
        self._blocks = []
        self._scanner = None
        if not self._writing:
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _flush(self) -> Deferred[None]:
        blocks, self._blocks, self._in_memory = self._blocks, [], 0
        self._writing = True
        # A Deferred of its own: who cancels it stops listening, but the descriptor still comes home.
        done: Deferred[None] = Deferred()
        self._pool.run(self._append, self._fd, blocks).addCallbacks(
            self._flushed, self._not_flushed, callbackArgs=(done,), errbackArgs=(done,)
        )
        return done

    def _flushed(self, fd: int, done: Deferred[None]) -> None:
        self._writing = False
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
