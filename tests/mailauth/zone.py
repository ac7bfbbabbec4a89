"""DNS from a table, for tests of authentication: no waiting, no network."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from posthouse.dns.codec import Answer, Status

__all__ = ["Zone", "run"]


class Zone:
    """``records[name, type]`` is a tuple of records, or a Status; names are otherwise NXDOMAIN.

    A name that has another type answers "no data".
    """

    def __init__(self, records: dict[tuple[str, str], Any] | None = None) -> None:
        self.records = dict(records or {})
        self.asked: list[tuple[str, str]] = []

    def text(self, name: str, *texts: str | bytes) -> Zone:
        """Put TXT records there."""
        self.records[name, "TXT"] = tuple(
            text if isinstance(text, bytes) else text.encode() for text in texts
        )
        return self

    def answer(self, name: str, kind: str) -> Answer:
        self.asked.append((name, kind))
        found = self.records.get((name, kind))
        if isinstance(found, Status):
            return Answer(found)
        if found:
            return Answer(Status.FOUND, tuple(found))
        known = any(other == name or other.endswith("." + name) for other, _ in self.records)
        return Answer(Status.NO_DATA if known else Status.NO_DOMAIN)

    async def lookup(self, name: str, kind: str) -> Answer:
        assert name == name.lower() and not name.endswith("."), name
        return self.answer(name, kind)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")
