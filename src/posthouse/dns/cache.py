"""The answers of the last minutes, bounded in number and in age.

Promise: an answer is never kept longer than its owner allowed, nor longer than a day (found), an hour (a
"no") or ten seconds (a failure); at most ``limit`` answers are kept, the longest unused leaves first.

Specifications: RFC 1035 7.4, RFC 2308 5 and 7.1, RFC 8767 is deliberately not done: stale answers misroute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import define, field

from posthouse.dns.codec import Answer, Question, Status

__all__ = ["Cache"]

_CAPS = {Status.FOUND: 86_400, Status.NO_DATA: 3_600, Status.NO_DOMAIN: 3_600, Status.FAILED: 10}
# A "no" without an SOA may not be cached (RFC 2308 5); a moment spares the server a burst of the same.
_UNKNOWN = {Status.FOUND: 0, Status.NO_DATA: 10, Status.NO_DOMAIN: 10, Status.FAILED: 10}


@define
class Cache:
    """``seconds`` is the clock's; a TTL of 0 still serves the questions of the same second."""

    seconds: Callable[[], float]
    limit: int = 10_000
    _kept: OrderedDict[Question, tuple[float, Answer]] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question) -> Answer | None:
        """The kept answer, or None when there is none young enough."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if kept[0] <= self.seconds():
            del self._kept[question]
            return None
        self._kept.move_to_end(question)
        return kept[1]

    def put(self, question: Question, answer: Answer) -> None:
        """Keep an answer for as long as it may be."""
        ttl = _UNKNOWN[answer.status] if answer.ttl is None else min(answer.ttl, _CAPS[answer.status])
        self._kept[question] = (self.seconds() + max(ttl, 1), answer)
        self._kept.move_to_end(question)
        while len(self._kept) > self.limit:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
