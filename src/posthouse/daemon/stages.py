"""Starting and stopping in order, and telling systemd about it.

The promise: what was started last is stopped first; a part that fails to stop is reported and the others are
stopped all the same; nothing is stopped twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

__all__ = ["Stages"]

_log = Logger("posthouse.daemon")


@define(eq=False)
class Stages:
    """What has been started, in order, each with the way to stop it."""

    _stops: list[tuple[str, Callable[[], Any]]] = field(factory=list, init=False)

    def started(self, name: str, stop: Callable[[], Awaitable[Any] | Deferred[Any] | None]) -> None:
        """Remember how to stop what runs now."""
        self._stops.append((name, stop))

    def stop(self) -> Deferred[None]:
        """Stop everything, the youngest first; fires when all has ended."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._stops:
            name, stop = self._stops.pop()
            try:
                result = stop()
                if result is not None:
                    await _as_deferred(result)
            except Exception:
                _log.failure("stopping {part} failed", part=name)


def _as_deferred(result: Any) -> Deferred[Any]:
    return result if isinstance(result, Deferred) else Deferred.fromCoroutine(result)
