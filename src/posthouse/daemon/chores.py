"""Work that nobody waits for: sweeping, pruning, full text, the certificate's files.

The promise: one chore at a time, in small transactions with a pause after each, so that mail never
queues behind housekeeping; a chore that fails is reported and tried again at its next turn; ``stop``
waits for the transaction under way and begins no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from posthouse.errors import PosthouseError

__all__ = ["Chore", "Chores"]

_log = Logger("posthouse.daemon")


@define(eq=False)
class Chore:
    """One kind of work.

    :param step: does a little and returns how much it did; 0 means nothing is left for now.
    :param every: seconds between two looks when nothing was left.
    :param pause: seconds after each step that did something.
    """

    name: str
    step: Callable[[], Awaitable[int]]
    every: float
    pause: float = 0.2
    due: float = field(default=0.0, init=False)
    done: int = field(default=0, init=False)
    complained: str = field(default="", init=False)


@define(eq=False)
class Chores:
    """Runs the chores in turn.

    :param busy: while it says yes, nothing is begun (mail comes first).
    """

    clock: IReactorTime
    chores: list[Chore]
    busy: Callable[[], bool] = lambda: False
    _running: Deferred[None] | None = field(default=None, init=False)
    _sleep: Deferred[None] | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)

    def start(self, delay: float = 2.0) -> None:
        """Begin after ``delay`` seconds."""
        now = self.clock.seconds()
        for chore in self.chores:
            chore.due = now + delay
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: _log.failure("the chores stopped", failure))

    async def stop(self) -> None:
        """Begin nothing more; returns when the step under way has ended."""
        self._stopping = True
        if self._sleep is not None:
            self._sleep.cancel()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while not self._stopping:
            now = self.clock.seconds()
            chore = min(self.chores, key=lambda one: one.due)
            if chore.due > now or self.busy():
                await self._wait(max(chore.due - now, 0.05))
                continue
            chore.due = now + await self._step(chore)

    async def _step(self, chore: Chore) -> float:
        """Do one step; returns the seconds until the next one."""
        try:
            done = await chore.step()
        except PosthouseError as problem:
            if str(problem) != chore.complained:  # a full disk would fill the log as well
                chore.complained = str(problem)
                _log.warn("{chore} has to wait: {problem}", chore=chore.name, problem=str(problem))
            return chore.every
        except Exception:
            _log.failure("{chore} failed", chore=chore.name)
            return max(chore.every, 60.0)
        chore.complained = ""
        chore.done += done
        return chore.pause if done else chore.every

    async def _wait(self, seconds: float) -> None:
        sleep: Deferred[Any] = deferLater(self.clock, seconds)
        self._sleep = sleep
        try:
            await sleep
        except CancelledError:
            pass
        finally:
            self._sleep = None
