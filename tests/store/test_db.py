"""The threads: order, durability of answers, deadlines, stopping."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from posthouse.errors import ConfigError, Conflict, TryLater
from posthouse.interfaces import IDatabase
from posthouse.model import News
from posthouse.store.db import Database
from posthouse.store.inline import InlineDatabase
from posthouse.store.transaction import Transaction


class Pump:
    """Stands for the reactor: calls from threads are run here, one at a time."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self.turns = 0

    def call(self, *call: Any) -> None:
        self.calls.put(call)

    def until(self, done: Callable[[], bool]) -> None:
        while not done():
            function, *arguments = self.calls.get(timeout=20)
            self.turns += 1
            function(*arguments)

    def result(self, deferred: Deferred[Any]) -> Any:
        found: list[Any] = []
        deferred.addBoth(found.append)
        self.until(lambda: bool(found))
        return found[0]


class DatabaseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.pump = Pump()
        self.published: list[News] = []
        self.db = self.make()
        self.db.open()
        self.db.start()
        self.addCleanup(self.stop)
        self.wait(self.db.write(lambda tx: tx.execute("CREATE TABLE t (v INTEGER)")))

    def make(self, **settings: Any) -> Database:
        return Database(
            self.path, publish=self.published.append, to_reactor=self.pump.call, readers=2, **settings
        )

    def stop(self) -> None:
        self.pump.result(self.db.stop())

    def wait(self, deferred: Deferred[Any]) -> Any:
        found = self.pump.result(deferred)
        if hasattr(found, "raiseException"):
            found.raiseException()
        return found

    def count(self) -> int:
        return int(self.wait(self.db.read(lambda tx: tx.value("SELECT count(*) FROM t"))))

    @staticmethod
    def put(value: int) -> Callable[[Transaction], int]:
        def function(tx: Transaction) -> int:
            tx.execute("INSERT INTO t VALUES (?)", (value,))
            tx.news(7, value, value)
            return value

        return function

    def block_writer(self) -> threading.Event:
        """Keep the writer inside a function until the event is set."""
        inside, go_on = threading.Event(), threading.Event()

        def block(tx: Transaction) -> None:
            inside.set()
            go_on.wait(20)

        self.db.write(block)
        self.pass_on()
        self.assertTrue(inside.wait(20))
        return go_on

    def pass_on(self) -> None:
        """End the reactor's turn: what it asked for goes to the writer."""
        self.pump.until(lambda: not self.db._coming)

    def test_much_news_is_told_in_slices(self) -> None:
        def many(tx: Transaction) -> None:
            for number in range(100):
                tx.news(7, number, number)

        ticks = itertools.count()
        self.stop()
        self.db = self.make(monotonic=lambda: next(ticks) * 0.001)
        self.db.open()
        self.db.start()
        before = self.pump.turns
        told: list[int] = []
        self.wait(self.db.write(many).addCallback(lambda _: told.append(len(self.published))))
        self.assertEqual([news.number for news in self.published[-100:]], list(range(100)))
        self.assertEqual(told, [len(self.published)])  # the answer comes behind the news
        self.assertGreater(self.pump.turns - before, 10)

    def test_it_is_a_database(self) -> None:
        verifyObject(IDatabase, self.db)
        verifyObject(IDatabase, InlineDatabase())

    def test_writes_are_read_and_keep_their_order(self) -> None:
        answers: list[int] = []
        for value in range(200):
            self.db.write(self.put(value)).addCallback(answers.append)
        self.pump.until(lambda: len(answers) == 200)
        self.assertEqual(answers, list(range(200)))
        rows = self.wait(self.db.read(lambda tx: tx.execute("SELECT v FROM t ORDER BY rowid")))
        self.assertEqual([row[0] for row in rows], answers)

    def test_what_waits_is_one_group_and_one_call_into_the_reactor(self) -> None:
        go_on = self.block_writer()
        answers: list[int] = []
        for value in range(40):
            self.db.write(self.put(value)).addCallback(answers.append)
        self.assertEqual(self.db.waiting, 40)
        self.pass_on()
        self.assertEqual(self.db.waiting, 40)
        self.pump.turns = 0
        go_on.set()
        self.pump.until(lambda: len(answers) == 40)
        self.assertEqual(self.pump.turns, 2)  # the blocker's, and one for all forty

    def test_news_are_published_just_before_the_answer_and_after_the_commit(self) -> None:
        order: list[str] = []
        other = InlineReader(self.path)
        self.addCleanup(other.close)
        self.db._publish = lambda news: order.append(f"news {news.folder_id} {other.count()}")
        go_on = self.block_writer()
        for value in (1, 2):
            self.db.write(self.put(value)).addCallback(lambda value: order.append(f"answer {value}"))
        go_on.set()
        self.pump.until(lambda: len(order) == 4)
        self.assertEqual(order, ["news 1 2", "answer 1", "news 2 2", "answer 2"])

    def test_a_failed_function_publishes_nothing(self) -> None:
        def bad(tx: Transaction) -> None:
            self.put(1)(tx)
            raise Conflict

        self.pump.result(self.db.write(bad)).trap(Conflict)
        self.assertEqual((self.published, self.count()), ([], 0))

    def test_a_publisher_that_raises_does_not_swallow_the_answer(self) -> None:
        def broken(news: News) -> None:
            raise ValueError("broken listener")

        self.db._publish = broken
        self.assertEqual(self.wait(self.db.write(self.put(1))), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_cancelled_write_still_happens(self) -> None:
        go_on = self.block_writer()
        deferred = self.db.write(self.put(1))
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        go_on.set()
        self.wait(self.db.write(self.put(2)))
        self.assertEqual(self.count(), 2)

    def test_a_reader_cannot_write(self) -> None:
        failure = self.pump.result(self.db.read(self.put(1)))
        failure.trap(TryLater)  # SQLITE_READONLY
        self.assertEqual(self.count(), 0)

    def test_a_reader_sees_one_snapshot(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def twice(tx: Transaction) -> tuple[int, int]:
            first = tx.value("SELECT count(*) FROM t")
            begun.set()
            go_on.wait(20)
            return first, tx.value("SELECT count(*) FROM t")

        looking = self.db.read(twice)
        begun.wait(20)
        self.wait(self.db.write(self.put(1)))
        go_on.set()
        self.assertEqual(self.wait(looking), (0, 0))

    def test_a_read_that_takes_too_long_is_ended(self) -> None:
        self.stop()
        clock = itertools.count(0, 100)
        self.db = self.make(monotonic=lambda: float(next(clock)))
        self.db.open()
        self.db.start()
        forever = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        self.pump.result(self.db.read(lambda tx: tx.value(forever))).trap(TryLater)
        self.assertEqual(self.count(), 0)

    def test_no_reader_keeps_the_log_from_starting_again(self) -> None:
        def raises_midway(tx: Transaction) -> None:
            tx.execute("SELECT v FROM t LIMIT 1")
            raise Conflict

        for value in range(50):
            self.db.write(self.put(value))
        self.wait(self.db.write(self.put(50)))
        self.pump.result(self.db.read(raises_midway)).trap(Conflict)
        self.count()
        assert self.db._checkpointer is not None
        connection = self.db._checkpointer._connection
        assert connection is not None
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        self.assertEqual((busy, self.db.wal_size), (0, 0))

    def test_stopping_finishes_what_waits_and_refuses_the_rest(self) -> None:
        go_on = self.block_writer()
        answers: list[int] = []
        for value in range(30):
            self.db.write(self.put(value)).addCallback(answers.append)
        stopped = self.db.stop()
        late = self.db.write(self.put(99))
        go_on.set()
        self.wait(stopped)
        self.assertEqual(answers, list(range(30)))
        self.failureResultOf(late, TryLater)
        self.failureResultOf(self.db.read(lambda tx: None), TryLater)
        self.assertFalse(Path(f"{self.path}-wal").exists())
        reader = InlineReader(self.path)
        self.assertEqual(reader.count(), 30)
        reader.close()

    def test_a_second_process_is_told_that_the_daemon_runs(self) -> None:
        problem = self.assertRaises(ConfigError, InlineDatabase(self.path).open)
        self.assertIn("the daemon is running", problem.public)
        self.stop()
        InlineDatabase(self.path).open().close()


class InlineReader:
    """A look at the file from outside."""

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._connection = sqlite3.connect(path)

    def count(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM t").fetchone()[0])

    def close(self) -> None:
        self._connection.close()


class InlineTests(SynchronousTestCase):
    def test_it_answers_at_once_and_publishes_after_the_commit(self) -> None:
        published: list[News] = []
        db = InlineDatabase(publish=published.append).open()
        self.addCleanup(db.close)

        def change(tx: Transaction) -> int:
            tx.news(1, 2, 3)
            self.assertEqual(published, [])
            return 5

        self.assertEqual(self.successResultOf(db.write(change)), 5)
        self.assertEqual(published, [News(1, 2, 3)])

    def test_a_read_cannot_write_and_does_not_forbid_it_afterwards(self) -> None:
        db = InlineDatabase().open()
        self.addCleanup(db.close)
        insert = "INSERT INTO domain (name, created) VALUES ('a', 1)"
        self.failureResultOf(db.read(lambda tx: tx.execute(insert)), TryLater)
        self.successResultOf(db.write(lambda tx: tx.execute(insert)))

    def test_after_closing_it_is_try_later(self) -> None:
        db = InlineDatabase().open()
        self.successResultOf(db.stop())
        self.failureResultOf(db.write(lambda tx: None), TryLater)
