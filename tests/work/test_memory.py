from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.work.memory import Memory


class MemoryTests(SynchronousTestCase):
    def test_no_more_is_lent_than_there_is(self) -> None:
        memory = Memory(100)
        self.assertTrue(memory.take(60))
        self.assertFalse(memory.take(41))
        self.assertEqual(memory.lent, 60)
        self.assertTrue(memory.take(40))
        memory.give(60)
        self.assertTrue(memory.take(60))
        self.assertEqual(memory.lent, 100)
