"""Threads for what releases the GIL (SQL, bcrypt, zstd, OpenSSL), behind a queue that says no.

The promise: never more than ``queue_limit`` jobs wait; the next one hears ``TryLater`` at once rather than
growing the memory. A cancelled job that has not begun is never begun. ``stop`` waits for what was accepted.

Pure-Python work of more than a few milliseconds does not belong here: one busy thread starves the reactor.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, execute, fail
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from posthouse.errors import TryLater

__all__ = ["HeldPool", "IPool", "InlinePool", "Pool"]

P = ParamSpec("P")
T = TypeVar("T")


class IPool(Interface):
    """Runs blocking functions away from the reactor."""

    def run(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Call ``function(*args)`` in a thread; the Deferred fires in the reactor with its result or failure.

        Cancelling drops a job that has not begun; one that runs ends unheard.

        :raises TryLater: (in the Deferred) the queue is full, or the pool is stopped.
        """


@define(eq=False, slots=True)
class _Job:
    function: Callable[..., Any]
    args: tuple[Any, ...]
    deferred: Deferred[Any] | None = None  # None once cancelled

    def cancelled(self, deferred: Deferred[Any]) -> None:
        self.deferred = None


@implementer(IPool)
@define(eq=False)
class Pool:
    """A fixed number of threads with a bounded queue.

    :param call_from_thread: ``reactor.callFromThread``.
    :param queue_limit: how many jobs may wait beyond those that run.
    :param retry_after: seconds that a refused caller is told to wait.
    """

    name: str
    threads: int
    queue_limit: int
    _call_from_thread: Callable[..., Any]
    retry_after: float = 5.0
    _queue: SimpleQueue[_Job | None] = field(init=False, factory=SimpleQueue)
    _accepted: int = field(init=False, default=0)
    _alive: int = field(init=False, default=0)
    _state: str = field(init=False, default="new")
    _stopped: Deferred[None] | None = field(init=False, default=None)

    @property
    def waiting(self) -> int:
        """Jobs that were accepted and have no thread yet."""
        return max(0, self._accepted - self.threads)

    def start(self) -> None:
        """Begin to work, also on what was queued before. Once only."""
        if self._state != "new":
            raise RuntimeError(f"pool {self.name!r} was started already")
        self._state = "running"
        self._alive = self.threads
        for number in range(self.threads):
            # Daemon threads: a crashed reactor must not leave a process that cannot end.
            threading.Thread(target=self._work, name=f"{self.name}-{number}", daemon=True).start()

    def stop(self) -> Deferred[None]:
        """Refuse new jobs, finish the accepted ones, end the threads; fires when the last one has ended."""
        if self._stopped is None:
            self._stopped = Deferred()
            if self._state == "running":
                for _ in range(self.threads):
                    self._queue.put(None)
            else:
                self._stopped.callback(None)
            self._state = "stopped"
        # Every caller gets a Deferred of its own, so that one who cancels does not cancel the others.
        answer: Deferred[None] = Deferred()
        self._stopped.addCallback(lambda ignored: answer.callback(None) if not answer.called else None)
        return answer

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        if kwargs:
            raise TypeError("jobs take positional arguments only")
        if self._state == "stopped":
            return fail(TryLater(cause=f"pool {self.name} is stopped", after=self.retry_after))
        if self._accepted >= self.threads + self.queue_limit:
            return fail(TryLater(cause=f"pool {self.name} is full", after=self.retry_after))
        self._accepted += 1
        job = _Job(function, args)
        deferred: Deferred[T] = Deferred(job.cancelled)
        job.deferred = deferred
        self._queue.put(job)
        return deferred

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            result: Any = None
            if job.deferred is not None:
                try:
                    result = job.function(*job.args)
                except BaseException:
                    # Without the frames' variables: they may hold a password or a whole message.
                    result = Failure(captureVars=False)
            self._call_from_thread(self._done, job, result)
            # A waiting thread must not keep its last job's arguments alive.
            del job, result
        self._call_from_thread(self._ended)

    def _done(self, job: _Job, result: Any) -> None:
        self._accepted -= 1
        if job.deferred is not None:
            job.deferred.callback(result)

    def _ended(self) -> None:
        self._alive -= 1
        if self._alive == 0 and self._stopped is not None:
            self._stopped.callback(None)


@implementer(IPool)
class InlinePool:
    """The same promise without threads: runs at once. For tests and for tools without a reactor."""

    def start(self) -> None:
        pass

    def stop(self) -> Deferred[None]:
        return execute(lambda: None)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return execute(function, *args, **kwargs)


@implementer(IPool)
@define(eq=False)
class HeldPool:
    """A pool whose jobs run when a test says so, to look at what happens in between."""

    queue_limit: int = 1000
    _jobs: deque[_Job] = field(init=False, factory=deque)

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    def start(self) -> None:
        pass

    def stop(self) -> Deferred[None]:
        while self._jobs:
            self.step()
        return execute(lambda: None)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        if len(self._jobs) >= self.queue_limit:
            return fail(TryLater(cause="held pool is full"))
        job = _Job(function, args)
        deferred: Deferred[T] = Deferred(job.cancelled)
        job.deferred = deferred
        self._jobs.append(job)
        return deferred

    def step(self) -> None:
        """Run the oldest job."""
        job = self._jobs.popleft()
        deferred = job.deferred
        if deferred is None:
            return
        try:
            result: Any = job.function(*job.args)
        except Exception:
            result = Failure(captureVars=False)
        if job.deferred is not None:
            job.deferred.callback(result)
