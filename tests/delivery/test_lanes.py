"""Concurrency limits."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.lanes import Lanes


class LanesTests(SynchronousTestCase):
    def fill(self, lanes: Lanes, key: str) -> int:
        count = 0
        while lanes.free(key):
            lanes.enter(key)
            count += 1
        return count

    def test_a_destination_begins_with_two(self) -> None:
        self.assertEqual(self.fill(Lanes(), "a"), 2)

    def test_success_earns_up_to_ten(self) -> None:
        lanes = Lanes()
        for _ in range(20):
            lanes.enter("a")
            lanes.leave("a", True)
        self.assertEqual(self.fill(lanes, "a"), 10)
        self.assertEqual(self.fill(lanes, "b"), 2)

    def test_push_back_leaves_one_until_success(self) -> None:
        lanes = Lanes()
        for success, wanted in ((True, 3), (False, 1), (None, 1), (True, 2)):
            lanes.enter("a")
            lanes.leave("a", success)
            self.assertEqual(self.fill(lanes, "a"), wanted)
            for _ in range(wanted):
                lanes.leave("a", None)

    def test_no_more_than_the_total(self) -> None:
        lanes = Lanes(total=5)
        self.assertEqual(sum(self.fill(lanes, key) for key in "abcdef"), 5)
        self.assertTrue(lanes.full)
        lanes.leave("a", None)
        self.assertTrue(lanes.free("z"))
