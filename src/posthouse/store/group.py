"""Group commit: many functions, one durable transaction.

The promise: every job has its own outcome. A function that raises undoes only what it did itself; when the
database undoes the whole group (a full disk, failing I/O, no memory) or the commit fails, each function is
run again alone, so one that asks too much cannot take others with it. This is why a function has no effect
but SQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from posthouse.model import News
from posthouse.store.failures import translate
from posthouse.store.transaction import Transaction

__all__ = ["GROUP_BYTES", "GROUP_JOBS", "GroupCommit", "Job"]

GROUP_JOBS = 64
GROUP_BYTES = 8 * 1024 * 1024


class Job:
    """One function that waits for its transaction, and then its outcome."""

    __slots__ = ("deferred", "failure", "function", "news", "value")

    def __init__(self, function: Callable[[Transaction], Any], deferred: Any = None) -> None:
        self.function = function
        self.deferred = deferred
        self.value: Any = None
        self.failure: Failure | None = None
        self.news: list[News] = []

    def fail(self, error: BaseException) -> None:
        """End with an error, in the house's terms where it is the database's."""
        if isinstance(error, Exception):
            error = translate(error)
        self.failure = Failure(error)
        self.value = None
        self.news = []


class _GroupLost(Exception):
    """The database ended the group's transaction by itself."""


class GroupCommit:
    """Runs jobs on the writer's connection. Used by one thread only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._transaction = Transaction(connection, writable=True)

    @property
    def weight(self) -> int:
        """Bytes of body that the last group took."""
        return self._transaction.weight

    def run(self, first: Job, more: Callable[[], Job | None]) -> list[Job]:
        """Run ``first`` and what ``more`` yields at once in one transaction, to its end.

        :param more: the next waiting job, or None; never waits.
        :returns: the jobs that were run; each has a value or a failure.
        """
        jobs = [first]
        self._transaction.weight = 0
        following = more()
        if following is None:
            self._run_alone(first)
            return jobs
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            # Somebody else holds the file, or it is gone: the same for all who wait.
            while following is not None:
                jobs.append(following)
                following = more()
            for job in jobs:
                job.fail(error)
            return jobs
        # A job that was taken is in the list before anything can go wrong, or it would be lost.
        jobs.append(following)
        try:
            self._run_in_savepoint(first)
            while following is not None:
                self._run_in_savepoint(following)
                full = len(jobs) >= GROUP_JOBS or self._transaction.weight >= GROUP_BYTES
                following = None if full else more()
                if following is not None:
                    jobs.append(following)
            self._connection.execute("COMMIT")
        except (_GroupLost, sqlite3.Error):
            self._roll_back()
            for job in jobs:
                self._run_alone(job)
        return jobs

    def _call(self, job: Job) -> None:
        self._transaction.told = []
        job.failure = None
        job.value = job.function(self._transaction)
        job.news = self._transaction.told

    def _run_in_savepoint(self, job: Job) -> None:
        execute = self._connection.execute
        execute("SAVEPOINT one")
        try:
            self._call(job)
        except BaseException as error:
            if not self._connection.in_transaction:
                raise _GroupLost from error
            execute("ROLLBACK TO one")
            job.fail(error)
        if not self._connection.in_transaction:
            raise _GroupLost
        execute("RELEASE one")

    def _run_alone(self, job: Job) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._call(job)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            job.fail(error)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                # The database has ended it in the meantime, which is what was wanted.
                pass
