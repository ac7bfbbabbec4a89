"""What was started last is stopped first, whatever happens on the way."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.stages import Stages


class StagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stages = Stages()
        self.log: list[str] = []

    def test_stops_in_reverse_order_and_waits_for_each(self) -> None:
        slow: Deferred[None] = Deferred()

        def listeners() -> Deferred[None]:
            self.log.append("listeners")
            return slow

        async def queue() -> None:
            self.log.append("queue")

        self.stages.started("store", lambda: self.log.append("store"))
        self.stages.started("queue", queue)
        self.stages.started("listeners", listeners)
        stopped = self.stages.stop()
        self.assertEqual(self.log, ["listeners"])
        slow.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.log, ["listeners", "queue", "store"])

    def test_a_part_that_fails_does_not_keep_the_others_running(self) -> None:
        def broken() -> None:
            raise RuntimeError("stuck")

        self.stages.started("store", lambda: self.log.append("store"))
        self.stages.started("queue", broken)
        self.successResultOf(self.stages.stop())
        self.assertEqual(self.log, ["store"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_nothing_is_stopped_twice(self) -> None:
        self.stages.started("store", lambda: self.log.append("store"))
        self.successResultOf(self.stages.stop())
        self.successResultOf(self.stages.stop())
        self.assertEqual(self.log, ["store"])
