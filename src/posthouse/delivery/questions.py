"""Questions to DNS that all end at a moment, answered or not.

Promise: nobody who asks hears an exception, and nobody waits longer than was said; no timer is made for what is known
already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from posthouse.dns.codec import Answer, Status

__all__ = ["LATE", "Ask", "Known", "Window", "nothing_known"]

#: the answer to what nobody answered in time
LATE = Answer(Status.FAILED, detail="out of time")

_log = Logger()

Ask = Callable[[str, str], Deferred[Answer]]
Known = Callable[[str, str], "Answer | None"]


def nothing_known(name: str, kind: str) -> None:
    """What a resolver without memory knows."""


class _There:
    """An answer that is there: to await it is not to wait."""

    __slots__ = ("answer",)

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def __await__(self) -> Generator[Any, Any, Answer]:
        return self.answer
        yield


@define(eq=False)
class Window:
    """:param ask: ``lookup`` of the resolver. :param known: what it can say without asking.

    :param clock: IReactorTime. :param seconds: from the first question on.
    """

    ask: Ask
    known: Known
    clock: Any
    seconds: float
    _pending: dict[Deferred[Answer], Deferred[Answer]] = field(factory=dict, init=False)
    _timer: Any = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    def __call__(self, name: str, kind: str) -> Awaitable[Answer]:
        known = self.known(name, kind)
        if known is not None:
            return _There(known)
        try:
            asked = self.ask(name, kind)
        except Exception:
            _log.failure("a lookup broke", event="mailauth.broken", name=name)
            return _There(LATE)
        answer: Deferred[Answer] = Deferred()
        self._pending[asked] = answer
        asked.addErrback(lambda _: LATE)
        asked.addCallback(self._answered, asked)
        if asked in self._pending:
            if self._closed:
                self._give_up(asked)
            elif self._timer is None:
                self._timer = self.clock.callLater(self.seconds, self.close)
        return answer

    def _answered(self, answer: Answer, asked: Deferred[Answer]) -> None:
        waiting = self._pending.pop(asked, None)
        if waiting is not None:
            waiting.callback(answer)

    def _give_up(self, asked: Deferred[Answer]) -> None:
        waiting = self._pending.pop(asked)
        asked.cancel()
        waiting.callback(LATE)

    def close(self) -> None:
        """No answer is waited for any longer."""
        self._closed = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        for asked in list(self._pending):
            if asked in self._pending:
                self._give_up(asked)
