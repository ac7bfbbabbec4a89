"""A device that asks without end is told to wait, and nobody else notices."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.flood import Flood, FloodGuard
from posthouse.eas.services import EasSettings
from posthouse.wbxml.tags import FolderHierarchy
from posthouse.wbxml.tree import E
from tests.eas.room import Room

FOLDER_SYNC = E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, 0))


class GuardTests(SynchronousTestCase):
    def spend(self, guard: FloodGuard, count: int, now: float, device: str = "a") -> int:
        """How many of so many requests were served."""
        served = 0
        for _ in range(count):
            try:
                guard.take((device,), now)
            except Flood:
                continue
            served += 1
        return served

    def test_a_budget_a_minute(self) -> None:
        guard = FloodGuard(60)
        self.assertEqual(self.spend(guard, 100, 0.0), 60)
        self.assertEqual(self.spend(guard, 1, 0.0, "b"), 1)

    def test_part_of_it_has_to_be_back_before_it_goes_on(self) -> None:
        guard = FloodGuard(60)
        self.spend(guard, 61, 0.0)
        self.assertEqual(self.spend(guard, 1, 5.9), 0)
        self.assertEqual(self.spend(guard, 10, 6.1), 6)
        self.assertEqual(self.spend(guard, 100, 500.0), 60)

    def test_retry_after_is_when_it_is_served_again(self) -> None:
        guard = FloodGuard(60)
        self.spend(guard, 60, 0.0)
        first = self.assertRaises(Flood, guard.take, ("a",), 0.0)
        self.assertTrue(first.first)
        again = self.assertRaises(Flood, guard.take, ("a",), 2.0)
        self.assertFalse(again.first)
        self.assertEqual(self.spend(guard, 1, 2.0 + again.after), 1)

    def test_no_limit(self) -> None:
        self.assertEqual(self.spend(FloodGuard(0), 5000, 0.0), 5000)

    def test_a_clock_that_goes_back_gives_nothing(self) -> None:
        guard = FloodGuard(60)
        self.spend(guard, 60, 100.0)
        self.assertEqual(self.spend(guard, 10, 0.0), 0)

    def test_what_is_remembered_is_bounded(self) -> None:
        guard = FloodGuard(60)
        for number in range(10_050):
            guard.take((number,), 0.0)
        self.assertEqual(len(guard._budgets), 10_000)


class AnswerTests(SynchronousTestCase):
    def test_a_trusted_network_is_not_counted(self) -> None:
        room = Room(EasSettings(policy=None, requests_per_minute=2, unlimited=lambda peer: True))
        for _ in range(9):
            self.assertEqual(room.post("FolderSync", FOLDER_SYNC).code, 200)

    def test_503_with_retry_after_and_one_line_in_the_log(self) -> None:
        """MS-ASHTTP R275, R287, R9052."""
        room = Room(EasSettings(policy=None, requests_per_minute=20))
        for _ in range(20):
            self.assertEqual(room.post("FolderSync", FOLDER_SYNC).code, 200)
        for version in ("12.1", "14.1"):
            response = room.post("FolderSync", FOLDER_SYNC, version)
            self.assertEqual((response.code, response.body), (503, b""))
            self.assertEqual(response.headers["retry-after"], "6")
            self.assertEqual(response.headers["x-ms-asthrottle"], "CommandFrequency")
        self.assertIn("503", room.device().last_error)
        room.device_id = "PHONE2"
        self.assertEqual(room.post("FolderSync", FOLDER_SYNC).code, 200)
        room.device_id = "PHONE1"
        room.clock.advance(6.5)
        self.assertEqual(room.post("FolderSync", FOLDER_SYNC).code, 200)
