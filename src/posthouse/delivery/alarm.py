"""One timer that rings at the earliest of the times for which it was set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

__all__ = ["Alarm"]


@define(eq=False)
class Alarm:
    """:param clock: IReactorTime. :param ring: called once for each time that comes."""

    clock: Any
    ring: Callable[[], None]
    _timer: Any = field(default=None, init=False)

    def set(self, delay: float) -> None:
        """Ring in so many seconds, unless it rings earlier anyway."""
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= self.clock.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = self.clock.callLater(delay, self._rings)

    def off(self) -> None:
        """Do not ring."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _rings(self) -> None:
        self._timer = None
        self.ring()
