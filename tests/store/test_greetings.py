"""Strangers: told to come again, known when they do, forgotten when they do not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.store import greetings
from tests.support.store import NOW, make_database

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
KEY = greetings.key_of("192.0.2.0/24", "far@there.example", "ann@here.example")


class GreetingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)

    def greet(self, at: int, *keys: bytes) -> int:
        left: int = self.db.write_now(lambda tx: greetings.greet(tx, keys or (KEY,), 4 * MINUTE, NOW + at))
        return left

    def test_who_comes_again_in_time_is_known(self) -> None:
        self.assertEqual(self.greet(0), 4 * MINUTE)
        self.assertEqual(self.greet(MINUTE), 3 * MINUTE)
        self.assertEqual(self.greet(4 * MINUTE), 0)
        self.assertEqual(self.greet(4 * MINUTE + 1), 0)
        # From the last time on.
        for week in range(1, 20):
            self.assertEqual(self.greet(week * 7 * DAY), 0)
        self.assertEqual(self.greet(140 * DAY + 37 * DAY), 4 * MINUTE)

    def test_who_comes_too_late_begins_anew(self) -> None:
        self.greet(0)
        self.assertEqual(self.greet(2 * DAY), 4 * MINUTE)

    def test_each_part_of_the_key_counts(self) -> None:
        keys = {
            greetings.key_of(*parts)
            for parts in (("a", "b", "c"), ("x", "b", "c"), ("a", "x", "c"), ("a", "b", "x"), ("ab", "", "c"))
        }
        self.assertEqual(len(keys), 5)

    def test_all_recipients_have_to_know_him(self) -> None:
        self.greet(0)
        self.assertEqual(self.greet(5 * MINUTE, KEY, b"x" * 16), 4 * MINUTE)
        self.assertEqual(self.greet(10 * MINUTE, KEY, b"x" * 16), 0)

    def test_strangers_are_forgotten(self) -> None:
        self.greet(0)
        self.greet(0, b"x" * 16)
        self.greet(5 * MINUTE)
        for at, expected in ((DAY, 0), (2 * DAY, 1), (30 * DAY, 0), (40 * DAY, 1)):
            self.assertEqual(
                self.db.write_now(lambda tx, at=at: greetings.prune(tx, NOW + at, 100)), expected, at
            )
