"""The spool with memory to borrow, and packing ahead."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import TryLater
from posthouse.work import spool as module
from posthouse.work.memory import Memory
from posthouse.work.pool import HeldPool, InlinePool
from posthouse.work.spool import Packing, Spool, Spooled

STEP = module.MEMORY_LIMIT  # what is borrowed at once


def reverse(piece: bytes) -> bytes:
    """Tells packed pieces from plain ones."""
    return piece[::-1]


class BorrowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.memory = Memory(4 * STEP)

    def spool(self, pool: Any = None, limit: int = 100, size: int = 100, **arguments: Any) -> Spool:
        arguments.setdefault("packing", Packing(size, reverse))
        return Spool(self.directory, pool or InlinePool(), limit, reserve=0, memory=self.memory, **arguments)

    def finish(self, spool: Spool) -> Spooled:
        return self.successResultOf(spool.finish())

    def test_more_than_the_limit_stays_in_memory_and_is_brought_back(self) -> None:
        spool = self.spool()
        self.assertIsNone(spool.write(b"a" * 90))
        self.assertEqual(self.memory.lent, 0)
        self.assertIsNone(spool.write(b"b" * 90))
        self.assertEqual(self.memory.lent, STEP)
        spooled = self.finish(spool)
        self.assertEqual(spooled.data, b"a" * 90 + b"b" * 90)
        spool.discard()
        self.assertEqual(self.memory.lent, STEP)  # the bytes are still there
        spooled.close()
        spooled.close()
        self.assertEqual(self.memory.lent, 0)

    def test_no_more_is_borrowed_than_one_message_needs(self) -> None:
        spool = self.spool()
        spool.write(b"x" * (2 * STEP))
        self.assertEqual(self.memory.lent, 2 * STEP - 100)
        spool.discard()
        self.assertEqual(self.memory.lent, 0)

    def test_when_all_is_lent_the_message_goes_to_a_file(self) -> None:
        others = self.spool()
        others.write(b"o" * (3 * STEP))
        spool = self.spool()
        data = os.urandom(3 * STEP)
        waits = []
        for start in range(0, len(data), 65_536):
            waits.append(spool.write(data[start : start + 65_536]))
            self.assertLessEqual(self.memory.lent, self.memory.total)
        self.assertTrue(any(waits))
        self.assertEqual(self.memory.lent, 3 * STEP - 100)  # that of the others
        spooled = self.finish(spool)
        self.assertIsNone(spooled.data)
        self.assertEqual(spooled.packed, ())
        self.assertEqual(spooled.read(0, len(data)), data)
        self.assertEqual(spooled.sha256, hashlib.sha256(data).digest())
        spooled.close()
        others.discard()
        self.assertEqual(self.memory.lent, 0)

    def test_one_message_borrows_no_more_than_its_share(self) -> None:
        self.patch(module, "BORROW_LIMIT", 1000)
        spool = self.spool()
        self.assertIsNone(spool.write(b"x" * 1000))
        self.successResultOf(spool.write(b"x"))  # type: ignore[arg-type]
        self.assertEqual(self.memory.lent, 0)
        spooled = self.finish(spool)
        self.assertEqual((spooled.data, spooled.read(0, 2000)), (None, b"x" * 1001))
        spooled.close()

    def test_memory_comes_back_only_when_the_file_has_the_bytes(self) -> None:
        self.patch(module, "BORROW_LIMIT", 1000)
        for discarded in (False, True):
            pool = HeldPool()
            spool = self.spool(pool, packing=None)
            spool.write(b"x" * 1000)
            spool.write(b"x")
            if discarded:
                spool.discard()
            self.assertEqual(self.memory.lent, 900)
            pool.step()
            self.assertEqual((self.memory.lent, spool._borrowed), (0, 0))
            spool.discard()

    def test_a_failing_disk_brings_the_memory_back(self) -> None:
        self.patch(module, "BORROW_LIMIT", 1000)
        self.directory.rmdir()
        spool = self.spool()
        spool.write(b"x" * 1000)
        self.failureResultOf(spool.write(b"x"), TryLater)
        self.assertEqual(self.memory.lent, 0)

    def test_pieces_are_packed_in_threads_while_more_arrives(self) -> None:
        self.patch(module, "_INLINE", 10)
        pool = HeldPool()
        spool = self.spool(pool)
        data = os.urandom(350)
        spool.write(data[:90])
        spool.write(data[90:230])
        self.assertEqual(pool.waiting, 2)
        spool.write(data[230:])
        done = spool.finish()
        self.assertEqual(pool.waiting, 4)
        for _ in range(4):
            self.assertNoResult(done)
            pool.step()
        spooled = self.successResultOf(done)
        self.assertEqual(spooled.data, data)
        self.assertEqual(b"".join(map(reverse, spooled.packed)), data)
        self.assertEqual([len(piece) for piece in spooled.packed], [100, 100, 100, 50])

    def test_a_short_end_is_packed_at_once(self) -> None:
        pool = HeldPool()
        spool = self.spool(pool)
        spool.write(b"ab" * 75)
        pool.step()
        self.assertEqual(self.finish(spool).packed, (b"ba" * 50, b"ba" * 25))

    def test_a_full_pool_leaves_the_packing_to_the_store(self) -> None:
        spool = self.spool(HeldPool(queue_limit=0))
        spool.write(b"x" * 150)
        spooled = self.finish(spool)
        self.assertEqual((spooled.data, spooled.packed), (b"x" * 150, ()))

    def test_a_discarded_message_is_packed_no_further(self) -> None:
        pool = HeldPool()
        spool = self.spool(pool)
        spool.write(b"x" * 350)
        done = spool.finish()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        spool.discard()
        while pool.waiting:
            pool.step()
        self.assertEqual((self.memory.lent, spool._jobs, spool._blocks), (0, set(), []))

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.binary(max_size=120), max_size=20),
        st.integers(0, 200),
        st.integers(1, 100),
        st.integers(0, 900),
    )
    def test_any_blocks_come_back(self, blocks: list[bytes], limit: int, size: int, most: int) -> None:
        self.patch(module, "BORROW_LIMIT", most)
        spool = self.spool(limit=limit, size=size)
        for block in blocks:
            spool.write(block)
        spooled = self.finish(spool)
        data = b"".join(blocks)
        self.assertEqual(spooled.read(0, spooled.size), data)
        self.assertEqual(spooled.sha256, hashlib.sha256(data).digest())
        if spooled.packed:
            pieces = [data[start : start + size] for start in range(0, len(data), size)]
            self.assertEqual(list(spooled.packed), list(map(reverse, pieces)))
        spooled.close()
        self.assertEqual(self.memory.lent, 0)
