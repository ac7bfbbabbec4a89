"""The watchdog measures how long the loop was held."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.watch import INTERVAL, Watchdog


class WatchdogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.alive: list[float] = []
        self.dog = Watchdog(self.clock, lambda: self.alive.append(self.clock.seconds()), 1.0)
        self.dog.start()

    def test_a_free_loop_is_not_reported(self) -> None:
        for _ in range(8):
            self.clock.advance(INTERVAL)
        self.assertEqual(self.dog.worst, 0.0)
        self.assertEqual(self.dog.held, 0)

    def test_a_held_loop_is_measured_and_counted(self) -> None:
        self.clock.advance(INTERVAL + 0.4)
        self.assertAlmostEqual(self.dog.worst, 0.4)
        self.assertEqual(self.dog.held, 1)

    def test_says_that_it_lives_once_in_the_given_time(self) -> None:
        for _ in range(12):
            self.clock.advance(INTERVAL)
        self.assertEqual(self.alive, [0.25, 1.25, 2.25])

    def test_nothing_is_left_after_stop(self) -> None:
        self.dog.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.dog.stop()
