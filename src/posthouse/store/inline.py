"""The same database without threads: every function runs at once, in the caller.

For unit tests, and for the command line when the daemon does not run. A Deferred from it has fired already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, DeferredSemaphore, execute
from zope.interface import implementer

from posthouse.errors import TryLater
from posthouse.interfaces import IDatabase
from posthouse.model import News
from posthouse.store.connect import FileLock, prepare_file
from posthouse.store.group import GroupCommit, Job
from posthouse.store.transaction import Transaction

__all__ = ["InlineDatabase", "open_for_tool"]

T = TypeVar("T")


def _ignore(news: News) -> None:
    pass


@implementer(IDatabase)
class InlineDatabase:
    """One connection, no threads.

    :param path: ":memory:" or a file, which is locked as the daemon locks it.
    """

    waiting = 0

    def __init__(self, path: Path | str = ":memory:", *, publish: Callable[[News], None] = _ignore) -> None:
        self._path = None if str(path) == ":memory:" else Path(path)
        self.publish = publish
        self.large = DeferredSemaphore(1)
        self._lock = FileLock(self._path) if self._path is not None else None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> InlineDatabase:
        """Lock, open and upgrade. :raises ConfigError: as ``Database.open``."""
        if self._lock is not None:
            self._lock.take()
        try:
            self._connection = prepare_file(self._path)
        except BaseException:
            self.close()
            raise
        return self

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> Deferred[None]:
        """Close; fires at once."""
        return execute(self.close)

    def close(self) -> None:
        """Close the file and give up the lock; any number of times."""
        if self._connection is not None:
            if self._path is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()

    def write(self, function: Callable[[Transaction], T]) -> Deferred[T]:
        """See ``IDatabase.write``; fires at once."""
        return execute(self.write_now, function)

    def read(self, function: Callable[[Transaction], T]) -> Deferred[T]:
        """See ``IDatabase.read``; fires at once."""
        return execute(self.read_now, function)

    def write_now(self, function: Callable[[Transaction], T]) -> T:
        """The same as ``write``, as a plain call."""
        job = Job(function)
        GroupCommit(self._opened()).run(job, lambda: None)
        for news in job.news:
            self.publish(news)
        return cast(T, outcome(job))

    def read_now(self, function: Callable[[Transaction], T]) -> T:
        """The same as ``read``, as a plain call."""
        connection = self._opened()
        job = Job(function)
        connection.execute("PRAGMA query_only=ON").fetchall()
        try:
            connection.execute("BEGIN")
            job.value = function(Transaction(connection, writable=False))
        except Exception as error:
            job.fail(error)
        finally:
            if connection.in_transaction:
                connection.execute("END")
            connection.execute("PRAGMA query_only=OFF").fetchall()
        return cast(T, outcome(job))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise TryLater(cause="the store is stopped")
        return self._connection


def outcome(job: Job) -> Any:
    """What a job returned, or its error raised."""
    if job.failure is not None:
        assert job.failure.value is not None
        raise job.failure.value
    return job.value


def open_for_tool(path: Path | str) -> InlineDatabase:
    """The database for a command that runs while the daemon does not.

    :raises ConfigError: the daemon is running, or the file is not usable.
    """
    return InlineDatabase(path).open()
