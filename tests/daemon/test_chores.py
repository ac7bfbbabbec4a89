"""Chores take turns, pause, give way to mail, survive failures, and stop between two steps."""

from __future__ import annotations

import itertools

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.chores import Chore, Chores
from posthouse.errors import TryLater


class ChoresTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log: list[tuple[str, float]] = []
        self.left = {"a": 0, "b": 0}
        self.busy = False
        self.fails: Exception | None = None

        def chore(name: str, every: float) -> Chore:
            async def step() -> int:
                self.log.append((name, self.clock.seconds()))
                if self.fails is not None:
                    raise self.fails
                done = min(self.left[name], 10)
                self.left[name] -= done
                return done

            return Chore(name, step, every, pause=0.5)

        self.chores = Chores(self.clock, [chore("a", 5.0), chore("b", 60.0)], lambda: self.busy)

    def pump(self, seconds: float) -> None:
        for _ in range(int(seconds * 20)):
            self.clock.advance(0.05)

    def names(self) -> list[str]:
        return [name for name, _ in self.log]

    def test_each_is_looked_at_in_its_own_time(self) -> None:
        self.chores.start(2.0)
        self.pump(1.9)
        self.assertEqual(self.log, [])
        self.pump(20)
        self.assertEqual(self.names().count("b"), 1)
        self.assertIn(self.names().count("a"), (4, 5))

    def test_work_goes_on_in_steps_with_pauses_until_nothing_is_left(self) -> None:
        self.left["a"] = 35
        self.chores.start(0.0)
        self.pump(4)
        times = [moment for name, moment in self.log if name == "a"]
        self.assertEqual(len(times), 5)
        self.assertTrue(all(later - sooner >= 0.45 for sooner, later in itertools.pairwise(times)))

    def test_nothing_is_begun_while_mail_waits(self) -> None:
        self.busy = True
        self.chores.start(0.0)
        self.pump(5)
        self.assertEqual(self.log, [])
        self.busy = False
        self.pump(2)
        self.assertNotEqual(self.log, [])

    def test_a_failure_is_reported_and_the_others_go_on(self) -> None:
        self.fails = RuntimeError("broken")
        self.chores.start(0.0)
        self.pump(1)
        self.assertEqual(set(self.names()), {"a", "b"})
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.fails = TryLater()
        self.pump(70)
        self.fails = None
        self.pump(70)
        self.assertGreater(self.names().count("b"), 2)

    def test_what_has_to_wait_says_so_once(self) -> None:
        """A disk that is full stays so for hours."""
        said: list[str] = []
        observer = lambda event: said.append(event["log_format"])  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.fails = TryLater()
        self.chores.start(0.0)
        self.pump(50)
        self.assertEqual(len(said), 2)  # a and b
        self.fails = None
        self.pump(70)
        self.fails = TryLater()
        self.pump(70)
        self.assertEqual(len(said), 4)

    def test_stop_waits_for_the_step_under_way_and_leaves_no_timer(self) -> None:
        under_way: Deferred[int] = Deferred()

        async def step() -> int:
            return await under_way

        chores = Chores(self.clock, [Chore("slow", step, 1.0)])
        chores.start(0.0)
        self.pump(1)
        stopped = Deferred.fromCoroutine(chores.stop())
        self.assertNoResult(stopped)
        under_way.callback(0)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_ends_a_pause_at_once(self) -> None:
        self.chores.start(0.0)
        self.pump(1)
        self.successResultOf(Deferred.fromCoroutine(self.chores.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
