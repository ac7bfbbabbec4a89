from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import StorageFull, TryLater
from posthouse.work.pool import HeldPool, InlinePool
from posthouse.work.spool import Spool, Spooled


class Recorder:
    """A watcher that keeps what it saw."""

    def __init__(self) -> None:
        self.seen = b""

    def feed(self, block: bytes) -> None:
        self.seen += block

    def close(self) -> Any:
        return ("root", len(self.seen))


class SpoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def spool(self, limit: int = 100, pool: Any = None, **arguments: Any) -> Spool:
        arguments.setdefault("reserve", 0)
        return Spool(self.directory, pool or InlinePool(), limit, **arguments)

    def finish(self, spool: Spool) -> Spooled:
        return self.successResultOf(spool.finish())

    def test_small_stays_in_memory(self) -> None:
        recorder = Recorder()
        spool = self.spool(scanner=recorder)
        self.assertIsNone(spool.write(b"abc"))
        self.assertIsNone(spool.write(b"def"))
        spooled = self.finish(spool)
        self.assertEqual((spooled.data, spooled.size, spool.size), (b"abcdef", 6, 6))
        self.assertEqual(spooled.sha256, hashlib.sha256(b"abcdef").digest())
        self.assertEqual(spooled.structure, ("root", 6))
        self.assertEqual((spooled.read(1, 3), spooled.read(4, 99)), (b"bc", b"ef"))
        self.assertEqual(os.listdir(self.directory), [])

    def test_an_empty_message(self) -> None:
        spooled = self.finish(self.spool())
        self.assertEqual((spooled.data, spooled.size), (b"", 0))

    def test_large_goes_to_a_file_without_a_name(self) -> None:
        recorder = Recorder()
        spool = self.spool(scanner=recorder)
        data = bytes(range(256)) * 10
        for start in range(0, len(data), 64):
            wait = spool.write(data[start : start + 64])
            if wait is not None:
                self.successResultOf(wait)
            self.assertLessEqual(sum(map(len, spool._blocks)), 100)
        self.assertEqual(os.listdir(self.directory), [])
        spooled = self.finish(spool)
        self.assertIsNone(spooled.data)
        self.assertEqual(spooled.read(0, len(data)), data)
        self.assertEqual((spooled.read(10, 20), spooled.read(2550, 9999)), (data[10:20], data[2550:]))
        self.assertEqual((spooled.sha256, recorder.seen), (hashlib.sha256(data).digest(), data))
        self.assertEqual(os.fstat(spooled._fd).st_mode & 0o777, 0o600)
        spooled.close()
        spooled.close()
        self.assertRaises(TryLater, spooled.read, 0, 1)

    def test_the_disk_is_touched_in_the_pool_only(self) -> None:
        pool = HeldPool()
        spool = self.spool(pool=pool)
        wait = spool.write(b"x" * 101)
        assert wait is not None
        self.assertNoResult(wait)
        self.assertEqual(spool._fd, -1)
        pool.step()
        self.successResultOf(wait)
        done = spool.finish()
        self.assertNoResult(done)
        pool.step()
        self.assertEqual(self.successResultOf(done).read(0, 200), b"x" * 101)

    def test_writing_while_a_write_is_under_way_is_a_mistake(self) -> None:
        spool = self.spool(pool=HeldPool())
        spool.write(b"x" * 101)
        self.assertRaises(RuntimeError, spool.write, b"y")

    def test_discard_at_any_time_closes_the_file(self) -> None:
        for steps in range(4):
            pool = HeldPool()
            spool = self.spool(pool=pool)
            with mock.patch("posthouse.work.spool.os.close", wraps=os.close) as close:
                if steps > 0:
                    spool.write(b"x" * 101)
                if steps > 1:
                    pool.step()
                if steps > 2:
                    spool.finish().addErrback(lambda ignored: None)
                spool.discard()
                spool.discard()
                while pool.waiting:
                    pool.step()
                self.assertEqual(close.call_count, 1 if steps else 0, steps)
            self.assertEqual(spool._fd, -1)
            self.assertRaises(TryLater, spool.write, b"z")
            self.failureResultOf(spool.finish(), TryLater)

    def test_who_cancels_the_wait_does_not_leak_the_file(self) -> None:
        pool = HeldPool()
        spool = self.spool(pool=pool)
        wait = spool.write(b"x" * 101)
        assert wait is not None
        wait.cancel()
        self.failureResultOf(wait)
        spool.discard()
        with mock.patch("posthouse.work.spool.os.close", wraps=os.close) as close:
            pool.step()
            self.assertEqual(close.call_count, 1)

    def test_errors_of_the_disk(self) -> None:
        for number, kind in ((errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, TryLater)):
            spool = self.spool()
            with mock.patch("posthouse.work.spool.os.write", side_effect=OSError(number, "trouble")):
                wait = spool.write(b"x" * 101)
            assert wait is not None
            failure = self.failureResultOf(wait, TryLater)
            self.assertIs(failure.type, kind)
            self.assertEqual(spool._fd, -1)

    def test_a_missing_directory_is_temporary(self) -> None:
        spool = Spool(self.directory / "missing", InlinePool(), 10)
        self.failureResultOf(spool.write(b"x" * 11), TryLater)  # type: ignore[arg-type]

    def test_the_reserve_of_free_space_is_kept(self) -> None:
        spool = self.spool(reserve=1 << 60)
        self.failureResultOf(spool.write(b"x" * 101), StorageFull)  # type: ignore[arg-type]

    def test_a_full_pool_is_temporary(self) -> None:
        spool = self.spool(pool=HeldPool(queue_limit=0))
        wait: Deferred[None] | None = spool.write(b"x" * 101)
        assert wait is not None
        self.failureResultOf(wait, TryLater)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.binary(max_size=60), max_size=20), st.integers(0, 200))
    def test_any_blocks_come_back(self, blocks: list[bytes], limit: int) -> None:
        spool = Spool(".", InlinePool(), limit, reserve=0)
        for block in blocks:
            spool.write(block)
        spooled = self.finish(spool)
        data = b"".join(blocks)
        self.assertEqual(spooled.read(0, spooled.size), data)
        self.assertEqual(spooled.sha256, hashlib.sha256(data).digest())
        spooled.close()
