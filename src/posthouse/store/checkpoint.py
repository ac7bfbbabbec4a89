"""Keeps the write-ahead log short without holding up the writer.

A thread with its own connection copies the log into the file while the writer goes on (PASSIVE). Under load
the log never gets to its end that way, so when it is longer than 16 MB the writer is held back for the short
rest and the log starts again from its beginning (RESTART). A reader's old snapshot prevents that for the
moment; it is tried again, and a log that keeps growing is reported.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.logger import Logger

from posthouse.store.connect import connect
from posthouse.store.failures import is_storage_failure

__all__ = ["Checkpointer"]

#: a log longer than this starts again
RESTART_BYTES = 16 * 1024 * 1024
#: a log longer than this is reported
WARN_BYTES = 256 * 1024 * 1024
#: seconds after which what was written in quiet times is copied
QUIET_SECONDS = 30.0
# What one function writes to the log beside its bodies, roughly; only decides when to look.
_JOB_BYTES = 48 * 1024
_LOOK_BYTES = 8 * 1024 * 1024

_log = Logger()


class Checkpointer:
    """The thread's life and its agreement with the writer."""

    def __init__(self, path: Path) -> None:
        self._wal = f"{path}-wal"
        self._connection: sqlite3.Connection | None = connect(path)
        # RESTART waits for readers while it holds the writer back: not longer than this.
        self._connection.execute("PRAGMA busy_timeout=50").fetchall()
        self._page = self._connection.execute("PRAGMA page_size").fetchone()[0]
        self._wake = threading.Event()
        self._stopping = False
        self._unseen = 0
        self._gate = threading.Lock()
        self._pass = threading.Event()
        self._pass.set()

    def wal_size(self) -> int:
        """Bytes of the log's file; 0 when there is none."""
        try:
            return os.stat(self._wal).st_size
        except OSError:
            return 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The writer's turn: entered before each group, it waits for a restart of the log."""
        # A lock alone is not fair: a busy writer would take it again before the other thread wakes.
        self._pass.wait()
        with self._gate:
            yield

    def wrote(self, jobs: int, weight: int) -> None:
        """The writer says how much it wrote. Cheap; called after each group."""
        self._unseen += jobs * _JOB_BYTES + weight
        if self._unseen >= _LOOK_BYTES:
            self._unseen = 0
            self._wake.set()

    def stop(self) -> None:
        """End the loop after what it does now."""
        self._stopping = True
        self._wake.set()

    def loop(self) -> None:
        """The thread."""
        while not self._stopping:
            called = self._wake.wait(QUIET_SECONDS)
            self._wake.clear()
            if self._stopping:
                return
            if called or self._unseen:
                self._unseen = 0
                try:
                    self.checkpoint()
                except sqlite3.Error as error:
                    self._unseen = 1  # again after the quiet time, even if nobody can write until then
                    _complain("the checkpoint has to wait", error)

    def checkpoint(self) -> bool:
        """Copy the log into the file. True when nothing of it is left to copy or it starts again."""
        assert self._connection is not None
        _busy, frames, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if frames * self._page < RESTART_BYTES:
            return bool(frames == copied)
        self._pass.clear()
        try:
            with self._gate:
                busy = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
        finally:
            self._pass.set()
        if busy and frames * self._page > WARN_BYTES:
            _log.warn("the log of the database has grown to {bytes} bytes", bytes=self.wal_size())
        return not busy

    def close(self) -> None:
        """Copy everything, shorten the log to nothing, close. Called when nobody else is at work."""
        if self._connection is not None:
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                _complain("the last checkpoint was left to the next start", error)
            self._connection.close()
            self._connection = None


def _complain(text: str, error: sqlite3.Error) -> None:
    if is_storage_failure(error):
        _log.warn("{text}: {error}", text=text, error=str(error))
    else:
        _log.failure(text)
