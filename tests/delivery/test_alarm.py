"""An alarm rings at the earliest of its times."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.alarm import Alarm


class AlarmTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.rung: list[float] = []
        self.alarm = Alarm(self.clock, lambda: self.rung.append(self.clock.seconds()))

    def test_the_earliest_time_counts(self) -> None:
        for delay in (5.0, 2.0, 9.0):
            self.alarm.set(delay)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([1.0] * 20)
        self.assertEqual(self.rung, [2.0])

    def test_it_may_be_set_anew_while_it_rings(self) -> None:
        self.alarm.ring = lambda: self.alarm.set(3.0)
        self.alarm.set(1.0)
        self.clock.advance(1.0)
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [4.0])

    def test_off_is_off(self) -> None:
        self.alarm.set(1.0)
        self.alarm.off()
        self.alarm.off()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.alarm.set(1.0)
        self.clock.advance(1.0)
        self.assertEqual(self.rung, [1.0])
