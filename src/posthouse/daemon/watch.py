"""The reactor's watchdog: measures how long others kept the loop, says so, and tells systemd that we live.

It asks to be called every quarter of a second; whoever makes it wait for more than ``HELD_WARN`` held
the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["HELD_WARN", "Watchdog"]

INTERVAL = 0.25
HELD_WARN = 0.1  # seconds
_QUIET = 5.0  # seconds between two warnings

_log = Logger("posthouse.daemon")


@define(eq=False)
class Watchdog:
    """:param alive: called every ``alive_every`` seconds while the loop turns (None: never).

    ``worst`` is the longest time, in seconds, that the loop was held since the start.
    """

    clock: IReactorTime
    alive: Callable[[], Any] = lambda: None
    alive_every: float | None = None
    worst: float = field(default=0.0, init=False)
    held: int = field(default=0, init=False)
    _due: float = field(default=0.0, init=False)
    _next_alive: float = field(default=0.0, init=False)
    _said: float = field(default=-1e9, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to measure."""
        self._due = self.clock.seconds() + INTERVAL
        self._next_alive = 0.0
        self._call = self.clock.callLater(INTERVAL, self._tick)

    def stop(self) -> None:
        """Measure no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def _tick(self) -> None:
        now = self.clock.seconds()
        late = now - self._due
        self.worst = max(self.worst, late)
        if late > HELD_WARN:
            self.held += 1
            if now - self._said >= _QUIET:
                self._said = now
                _log.warn(
                    "the reactor was held for {milliseconds} ms",
                    event="daemon.held",
                    milliseconds=round(late * 1000),
                )
        if self.alive_every is not None and now >= self._next_alive:
            self._next_alive = now + self.alive_every
            self.alive()
        self._due = now + INTERVAL
        self._call = self.clock.callLater(INTERVAL, self._tick)
