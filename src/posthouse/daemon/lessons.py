"""The junk filter learns: a few messages at a time, behind the mail.

The promise: one step reads at most ``BATCH`` messages and writes them in one small transaction; the words of one
message are taken in one turn of the reactor. A message that cannot be read teaches by its subject and sender alone, and
does not come again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from posthouse.delivery.judging import marks_of
from posthouse.errors import NoSuchItem, TryLater
from posthouse.interfaces import IDatabase
from posthouse.junk.tokens import MAX_TEXT, tokens
from posthouse.mime.addresses import fold_address
from posthouse.mime.excerpt import excerpt
from posthouse.mime.part import load_structure
from posthouse.store import bodies, junk

__all__ = ["BATCH", "learn_some"]

#: messages of one transaction; each is up to 400 rows
BATCH = 2
_TRIM = 400  # rows of one transaction
_READ = 262_144  # bytes of a message; the text of a longer one stands in front of its files

_log = Logger("posthouse.daemon")


async def learn_some(db: IDatabase, clock: IReactorTime, now: Callable[[], int]) -> int:
    """Learn what waits, a little of it. Returns how many messages; 0 when none waits. ``now`` in ms."""
    waiting: list[tuple[junk.Lesson, bytes]] = await db.read(_look)
    if not waiting:
        return 0
    done = []
    for lesson, data in waiting:
        done.append((lesson, _tokens(lesson, data)))
        await deferLater(clock, 0)
    count = int(await db.write(lambda tx: junk.learn(tx, done, now())))
    for mailbox_id in {lesson.mailbox_id for lesson, _ in done}:
        while await db.write(lambda tx, box=mailbox_id: junk.trim(tx, box, _TRIM)):
            await deferLater(clock, 0)
    return count


def _look(tx: Any) -> list[tuple[junk.Lesson, bytes]]:
    """What waits, with the beginning of each message."""
    found = []
    for lesson in junk.lessons(tx, BATCH):
        data = b""
        with suppress(NoSuchItem, TryLater):
            data = bodies.read_body(tx, lesson.body_id, 0, _READ)
        found.append((lesson, data))
    return found


def _tokens(lesson: junk.Lesson, data: bytes) -> tuple[int, ...]:
    text = ""
    try:
        text = excerpt(load_structure(lesson.structure), lambda start, stop: data[start:stop], MAX_TEXT)
    except Exception:
        _log.failure("item {item} teaches by its header only", item=lesson.item_id)
    return tokens(lesson.subject, fold_address(lesson.sender), text, marks_of(lesson.has_attachments))
