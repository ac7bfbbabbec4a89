"""Full text catches up: one small batch at a time, behind the mail.

The promise: a batch is at most ``BATCH`` items and 2 MB of text; short messages are read in the
reactor, one in a turn, long ones in a reader's thread; a message that cannot be read is indexed by its
headers and does not come again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from posthouse.errors import NoSuchItem, TryLater
from posthouse.interfaces import IDatabase
from posthouse.mime.part import load_structure
from posthouse.mime.summary import index_text
from posthouse.store import bodies, search

__all__ = ["BATCH", "CatchUp", "index_some"]

BATCH = 50
MAX_BATCH_TEXT = 500_000  # characters; 2 MB of UTF-8 at most
SHORT = 65_536  # bytes of a body whose text takes well under 5 ms

RATE = 8.0  # changes a second that are a burst: as many large messages are a load, too
LONGEST = 30.0  # seconds for which a burst goes first
_WINDOW = 0.5  # seconds over which the rate is taken

_log = Logger("posthouse.daemon")


@define(eq=False)
class CatchUp:
    """When to index: a burst goes first, for half a minute at most; then the text gets its share beside it.

    ``heard`` is told of every change that was committed.
    """

    db: IDatabase
    clock: IReactorTime
    _changes: int = field(default=0, init=False)
    _before: int = field(default=0, init=False)
    _looked: float = field(default=0.0, init=False)
    _since: float | None = field(default=None, init=False)  # when the burst began

    def heard(self) -> None:
        """Something was committed. Cheap: called for each item."""
        self._changes += 1

    async def step(self) -> int:
        """One batch, if it is time for one. Returns how many items."""
        if self._in_burst(self.clock.seconds()):
            return 0
        return await index_some(self.db, self.clock)

    def _in_burst(self, now: float) -> bool:
        passed = now - self._looked
        if not 0 <= passed < _WINDOW:
            fast = passed > 0 and (self._changes - self._before) / passed >= RATE
            if not fast:
                self._since = None
            elif self._since is None:
                self._since = now
            self._looked, self._before = now, self._changes
        return self._since is not None and 0 <= now - self._since < LONGEST


async def index_some(db: IDatabase, clock: IReactorTime) -> int:
    """Index one batch. Returns how many items; 0 when none waits."""
    waiting: list[tuple[search.ToIndex, bytes | None]] = await db.read(_look)
    ready: list[tuple[search.ToIndex, str]] = []
    size = 0
    for row, body in waiting:
        if body is None:
            text: str = await db.read(partial(_read_and_text, row))
        else:
            text = _text(row, partial(_slice, body))
            await deferLater(clock, 0)
        ready.append((row, text))
        size += len(text)
        if size >= MAX_BATCH_TEXT:
            break
    if not ready:
        return 0
    return int(await db.write(lambda tx: search.index(tx, ready)))


def _look(tx: Any) -> list[tuple[search.ToIndex, bytes | None]]:
    """What waits, with the body where it is short."""
    found = []
    for row in search.to_index(tx, BATCH):
        body = bodies.body_ref(tx, row.body_id)
        text = None
        if body is not None and body.size <= SHORT:
            # What is damaged goes the way of the long ones, which ends at the headers.
            with suppress(NoSuchItem, TryLater):
                text = bodies.read_body(tx, row.body_id)
        found.append((row, text))
    return found


def _read_and_text(row: search.ToIndex, tx: Any) -> str:
    return _text(row, lambda start, stop: bodies.read_body(tx, row.body_id, start, stop))


def _slice(body: bytes, start: int, stop: int) -> bytes:
    return body[start:stop]


def _text(row: search.ToIndex, read: Callable[[int, int], bytes]) -> str:
    try:
        return index_text(load_structure(row.structure), read)
    except Exception:
        _log.failure("item {item} is indexed by its headers only", item=row.item_id)
        return "\n".join((row.subject, row.sender, row.to, row.cc, row.bcc))
