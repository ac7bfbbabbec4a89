"""What the running process remembers of devices beyond the store."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.parking import Yard


class HistoryTests(SynchronousTestCase):
    def test_the_last_requests_of_each_device(self) -> None:
        yard = Yard()
        for number in range(30):
            yard.note(1, number, f"request {number}")
        yard.note(2, 99, "another")
        self.assertEqual(yard.recent(1), [(number, f"request {number}") for number in range(10, 30)])
        self.assertEqual(yard.recent(2), [(99, "another")])
        self.assertEqual(yard.recent(3), [])

    def test_devices_that_are_remembered_are_bounded(self) -> None:
        yard = Yard()
        for device in range(10_500):
            yard.note(device, 0, "x")
        self.assertEqual(yard.recent(499), [])
        self.assertEqual(yard.recent(500), [(0, "x")])
