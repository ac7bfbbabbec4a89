"""The write-ahead log stays short, and the writer is not held up for it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from posthouse.store import checkpoint
from posthouse.store.checkpoint import Checkpointer
from posthouse.store.connect import connect, prepare_file


class CheckpointTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.writer = prepare_file(self.path)
        self.addCleanup(self.writer.close)
        self.checkpointer = Checkpointer(self.path)
        self.addCleanup(self.checkpointer.close)
        self.writer.execute("CREATE TABLE t (v BLOB)")

    def write(self, size: int) -> None:
        self.writer.execute("INSERT INTO t VALUES (zeroblob(?))", (size,))

    def test_the_log_starts_again_when_it_is_long(self) -> None:
        self.patch(checkpoint, "RESTART_BYTES", 500_000)
        for _ in range(20):
            self.write(100_000)
            self.assertTrue(self.checkpointer.checkpoint())
        self.assertLess(self.checkpointer.wal_size(), 1_500_000)

    def test_an_old_snapshot_delays_it_and_does_no_harm(self) -> None:
        self.patch(checkpoint, "RESTART_BYTES", 500_000)
        reader = connect(self.path, read_only=True)
        self.addCleanup(reader.close)
        reader.execute("BEGIN")
        self.assertEqual(reader.execute("SELECT count(*) FROM t").fetchone(), (0,))
        for _ in range(10):
            self.write(100_000)
        self.assertFalse(self.checkpointer.checkpoint())
        self.assertEqual(reader.execute("SELECT count(*) FROM t").fetchone(), (0,))
        reader.execute("END")
        self.assertTrue(self.checkpointer.checkpoint())
        self.assertEqual(reader.execute("SELECT count(*) FROM t").fetchone(), (10,))

    def test_the_writer_has_its_turn_again_afterwards(self) -> None:
        self.patch(checkpoint, "RESTART_BYTES", 1)
        self.write(10)
        self.checkpointer.checkpoint()
        with self.checkpointer.turn():
            self.write(10)

    def test_it_is_woken_by_the_amount_written(self) -> None:
        self.checkpointer.wrote(1, 1000)
        self.assertFalse(self.checkpointer._wake.is_set())
        self.checkpointer.wrote(1, checkpoint._LOOK_BYTES)
        self.assertTrue(self.checkpointer._wake.is_set())

    def test_a_full_disk_is_tried_again_without_a_traceback(self) -> None:
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL

        def checkpoint_on_a_full_disk() -> bool:
            self.checkpointer.stop()
            raise full

        self.patch(self.checkpointer, "checkpoint", checkpoint_on_a_full_disk)
        self.checkpointer.wrote(1, checkpoint._LOOK_BYTES)
        self.checkpointer.loop()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.checkpointer._unseen, 1)

    def test_closing_leaves_no_log(self) -> None:
        self.write(100_000)
        self.checkpointer.close()
        self.assertEqual(self.checkpointer.wal_size(), 0)
        self.checkpointer.close()
