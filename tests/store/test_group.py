"""Group commit and the ways in which it can go wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Conflict, StorageFull, TryLater
from posthouse.store.connect import connect
from posthouse.store.failures import translate
from posthouse.store.group import GROUP_BYTES, GROUP_JOBS, GroupCommit, Job
from posthouse.store.transaction import Transaction


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.connection = connect(self.path)
        self.addCleanup(self.connection.close)
        self.connection.execute("PRAGMA journal_mode=WAL").fetchall()
        self.connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB) STRICT")
        self.group = GroupCommit(self.connection)

    def run_jobs(
        self, *functions: Callable[[Transaction], Any], group: GroupCommit | None = None
    ) -> list[Job]:
        waiting: Iterator[Job] = iter([Job(function) for function in functions])
        return (group or self.group).run(next(waiting), lambda: next(waiting, None))

    def rows(self) -> list[int]:
        other = sqlite3.connect(self.path)
        try:
            return [row[0] for row in other.execute("SELECT id FROM t ORDER BY id")]
        finally:
            other.close()

    @staticmethod
    def put(number: int, size: int = 1) -> Callable[[Transaction], int]:
        def function(tx: Transaction) -> int:
            tx.execute("INSERT INTO t (id, v) VALUES (?, zeroblob(?))", (number, size))
            tx.news(1, number, number)
            return number

        return function

    def errors(self, jobs: list[Job]) -> list[type | None]:
        return [job.failure.type if job.failure else None for job in jobs]

    def test_all_of_a_group_are_in_one_commit(self) -> None:
        commits: list[str] = []
        self.connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        jobs = self.run_jobs(self.put(1), self.put(2), self.put(3))
        self.assertEqual(len(commits), 1)
        self.assertEqual([job.value for job in jobs], [1, 2, 3])
        self.assertEqual([job.news[0].folder_id for job in jobs], [1, 2, 3])
        self.assertEqual(self.rows(), [1, 2, 3])

    def test_one_alone_needs_no_savepoint(self) -> None:
        seen: list[str] = []
        self.connection.set_trace_callback(seen.append)
        self.run_jobs(self.put(1))
        self.assertFalse([sql for sql in seen if "SAVEPOINT" in sql])
        self.assertEqual(self.rows(), [1])

    def test_who_raises_undoes_only_its_own(self) -> None:
        def bad(tx: Transaction) -> None:
            self.put(2)(tx)
            raise Conflict(cause="on purpose")

        jobs = self.run_jobs(self.put(1), bad, self.put(3))
        self.assertEqual(self.errors(jobs), [None, Conflict, None])
        self.assertEqual(jobs[1].news, [])
        self.assertEqual(self.rows(), [1, 3])

    def test_the_same_exception_object_is_handed_on(self) -> None:
        problem = Conflict()

        def bad(tx: Transaction) -> None:
            raise problem

        for others in ((), (self.put(1),)):
            job = self.run_jobs(bad, *others)[0]
            assert job.failure is not None
            self.assertIs(job.failure.value, problem)

    def test_a_fault_of_the_program_passes_unchanged(self) -> None:
        jobs = self.run_jobs(self.put(1), self.put(1), lambda tx: tx.execute("SELECT nonsense"))
        self.assertEqual(self.errors(jobs), [None, sqlite3.IntegrityError, sqlite3.OperationalError])

    def test_a_full_database_fails_who_asks_too_much_and_no_other(self) -> None:
        self.run_jobs(self.put(1))
        pages = self.connection.execute("PRAGMA page_count").fetchone()[0]
        self.connection.execute(f"PRAGMA max_page_count={pages + 3}").fetchall()
        ran: list[int] = []

        def noted(number: int) -> Callable[[Transaction], int]:
            def function(tx: Transaction) -> int:
                ran.append(number)
                return self.put(number)(tx)

            return function

        jobs = self.run_jobs(noted(2), self.put(3, 200_000))
        self.assertEqual(self.errors(jobs), [None, StorageFull])
        self.assertEqual(self.rows(), [1, 2])
        self.assertEqual(ran, [2, 2])  # the full disk undid the group, so it was run again
        self.connection.execute(f"PRAGMA max_page_count={pages + 1000}").fetchall()
        self.assertEqual(self.errors(self.run_jobs(self.put(3, 200_000))), [None])
        self.assertEqual(self.rows(), [1, 2, 3])

    def test_full_when_alone_is_storage_full(self) -> None:
        pages = self.connection.execute("PRAGMA page_count").fetchone()[0]
        self.connection.execute(f"PRAGMA max_page_count={pages}").fetchall()
        self.assertEqual(self.errors(self.run_jobs(self.put(1, 100_000))), [StorageFull])
        self.assertFalse(self.connection.in_transaction)
        self.assertEqual(self.rows(), [])

    def test_a_write_that_fails_is_storage_full_and_other_failures_pass(self) -> None:
        # A quota of the file system and a limit on the size of files are no SQLITE_FULL.
        for code, wanted in (
            (sqlite3.SQLITE_IOERR_WRITE, StorageFull),
            (sqlite3.SQLITE_IOERR_READ, TryLater),
            (sqlite3.SQLITE_BUSY, TryLater),
        ):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = code  # type: ignore[misc]
            self.assertIs(type(translate(error)), wanted)

    def test_a_lost_transaction_runs_each_again_alone(self) -> None:
        # INSERT OR ROLLBACK ends the whole transaction, as FULL, IOERR and NOMEM may.
        def loses(tx: Transaction) -> None:
            tx.execute("INSERT OR ROLLBACK INTO t (id) VALUES (1)")

        jobs = self.run_jobs(self.put(1), self.put(2), loses, self.put(3))
        self.assertEqual(self.errors(jobs), [None, None, sqlite3.IntegrityError])
        self.assertEqual(self.rows(), [1, 2])
        self.assertEqual([job.news[0].number for job in jobs[:2]], [1, 2])

    def test_no_job_is_lost_when_the_first_one_ends_the_transaction(self) -> None:
        self.run_jobs(self.put(1))

        def loses(tx: Transaction) -> None:
            tx.execute("INSERT OR ROLLBACK INTO t (id) VALUES (1)")

        jobs = self.run_jobs(loses, self.put(2))
        self.assertEqual(self.errors(jobs), [sqlite3.IntegrityError, None])
        self.assertEqual(self.rows(), [1, 2])

    def test_when_the_commit_fails_each_runs_again_alone(self) -> None:
        broken = _BrokenConnection(self.connection, fail=[1])
        jobs = self.run_jobs(self.put(1), self.put(2), group=GroupCommit(broken))  # type: ignore[arg-type]
        self.assertEqual(self.errors(jobs), [None, None])
        self.assertEqual(self.rows(), [1, 2])
        self.assertEqual(broken.commits, 3)

    def test_when_no_commit_succeeds_all_are_told_to_try_later(self) -> None:
        broken = _BrokenConnection(self.connection, fail=[1, 2, 3])
        jobs = self.run_jobs(self.put(1), self.put(2), group=GroupCommit(broken))  # type: ignore[arg-type]
        self.assertEqual(self.errors(jobs), [TryLater, TryLater])
        self.assertEqual([job.news for job in jobs], [[], []])
        self.assertEqual(self.rows(), [])
        self.assertEqual(self.errors(self.run_jobs(self.put(5))), [None])

    def test_a_busy_file_is_try_later_for_all_who_wait(self) -> None:
        self.connection.execute("PRAGMA busy_timeout=1").fetchall()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        for functions in ((self.put(1),), (self.put(1), self.put(2))):
            self.assertEqual(set(self.errors(self.run_jobs(*functions))), {TryLater})
        other.execute("ROLLBACK")
        self.assertEqual(self.errors(self.run_jobs(self.put(1), self.put(2))), [None, None])

    def test_a_group_ends_at_its_limits(self) -> None:
        self.assertEqual(len(self.run_jobs(*[self.put(n) for n in range(GROUP_JOBS + 10)])), GROUP_JOBS)

        def heavy(tx: Transaction) -> None:
            tx.weigh(GROUP_BYTES // 2)

        self.assertEqual(len(self.run_jobs(heavy, heavy, heavy)), 2)


class _BrokenConnection:
    """A connection whose n-th COMMIT fails as a disk fails."""

    def __init__(self, connection: sqlite3.Connection, fail: list[int]) -> None:
        self._connection = connection
        self._fail = fail
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *arguments: Any) -> Any:
        if sql == "COMMIT":
            self.commits += 1
            if self.commits in self._fail:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC  # type: ignore[misc]
                error.sqlite_errorname = "SQLITE_IOERR_FSYNC"  # type: ignore[misc]
                raise error
        return self._connection.execute(sql, *arguments)
