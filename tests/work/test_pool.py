"""The bounded thread pool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import TryLater
from posthouse.work.pool import HeldPool, InlinePool, Pool


class _Reactor:
    """Collects what threads want to have called; the test calls it."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = SimpleQueue()

    def call_from_thread(self, function: Callable[..., Any], *args: Any) -> None:
        self.calls.put((function, args))

    def turn(self) -> None:
        function, args = self.calls.get(timeout=10)
        function(*args)


class PoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = _Reactor()
        self.pool = Pool("test", 1, 2, self.reactor.call_from_thread)

    def _stop(self) -> None:
        stopped = self.pool.stop()
        while not stopped.called:
            self.reactor.turn()
        self.successResultOf(stopped)

    def test_a_result_comes_back_in_the_reactor(self) -> None:
        self.pool.start()
        answer = self.pool.run(lambda: threading.current_thread().name)
        self.assertNoResult(answer)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(answer), "test-0")
        self._stop()

    def test_a_failure_comes_back_without_local_variables(self) -> None:
        def leak(password: str) -> None:
            raise ValueError("no")

        self.pool.start()
        answer = self.pool.run(leak, "secret")
        self.reactor.turn()
        failure = self.failureResultOf(answer, ValueError)
        self.assertNotIn("secret", failure.getTraceback(detail="verbose"))
        self._stop()

    def test_a_full_queue_says_try_later(self) -> None:
        accepted = [self.pool.run(int) for _ in range(3)]
        refused = self.failureResultOf(self.pool.run(int), TryLater)
        self.assertEqual(refused.value.after, 5.0)
        self.assertEqual(self.pool.waiting, 2)
        self.pool.start()
        for _ in accepted:
            self.reactor.turn()
        self.assertEqual([self.successResultOf(answer) for answer in accepted], [0, 0, 0])
        again = self.pool.run(int)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(again), 0)
        self._stop()

    def test_a_cancelled_job_that_has_not_begun_never_begins(self) -> None:
        begun: list[int] = []
        answer = self.pool.run(begun.append, 1)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.pool.start()
        self.reactor.turn()
        self.assertEqual(begun, [])
        self._stop()

    def test_a_job_cancelled_while_it_runs_ends_unheard(self) -> None:
        begun, go = threading.Event(), threading.Event()

        def job() -> None:
            begun.set()
            go.wait(10)

        self.pool.start()
        answer = self.pool.run(job)
        begun.wait(10)
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        go.set()
        self.reactor.turn()
        self.assertEqual(self.pool.waiting, 0)
        self._stop()

    def test_stop_waits_for_accepted_jobs_and_refuses_new_ones(self) -> None:
        answer = self.pool.run(int)
        self.pool.start()
        stopped = self.pool.stop()
        self.failureResultOf(self.pool.run(int), TryLater)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(answer), 0)
        self.reactor.turn()
        self.successResultOf(stopped)
        self.successResultOf(self.pool.stop())

    def test_stop_without_start_ends_at_once(self) -> None:
        self.successResultOf(self.pool.stop())


class InlinePoolTests(SynchronousTestCase):
    def test_it_runs_at_once(self) -> None:
        self.assertEqual(self.successResultOf(InlinePool().run(int, "7")), 7)
        self.failureResultOf(InlinePool().run(int, "x"), ValueError)
        self.successResultOf(InlinePool().stop())

    def test_a_held_pool_runs_step_by_step(self) -> None:
        pool = HeldPool(queue_limit=1)
        answer = pool.run(int, "7")
        self.failureResultOf(pool.run(int), TryLater)
        self.assertNoResult(answer)
        pool.step()
        self.assertEqual(self.successResultOf(answer), 7)
