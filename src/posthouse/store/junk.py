"""What a mailbox knows of junk: words, senders, and the lessons that wait.

Promise: who moves a message only leaves a mark (``note_move``); it is learned later, a few messages at a time. Each
message is learned once, and what was learned of it is taken back when it turns out to be the other kind. A mailbox
keeps at most ``MAX_WORDS`` words and ``MAX_SENDERS`` senders; the rare and old ones go first.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from attrs import frozen

from posthouse.errors import TooLarge
from posthouse.junk.bayes import Learned
from posthouse.junk.score import Reputation
from posthouse.mime.addresses import fold_address
from posthouse.model import Folder, FolderType
from posthouse.store.dialect import clean
from posthouse.store.rows import padded
from posthouse.store.transaction import Transaction

__all__ = [
    "MAX_LEARNED",
    "MAX_LISTED",
    "MAX_SENDERS",
    "MAX_WORDS",
    "Lesson",
    "Listed",
    "forget",
    "learn",
    "learned",
    "lessons",
    "list_sender",
    "note",
    "note_folder",
    "note_move",
    "prune",
    "reputation",
    "senders",
    "trim",
    "words",
]

MAX_WORDS = 60_000
MAX_SENDERS = 5000
#: messages of which it is remembered as what they were learned
MAX_LEARNED = 5000
#: senders that a user may list by hand
MAX_LISTED = 1024
_DAY = 24 * 3600 * 1000
_SLICE = 400
_FILED = (FolderType.GENERIC, FolderType.USER_MAIL)


class Listed(IntEnum):
    """What a user said of a sender."""

    NO = 0
    SAFE = 1
    BLOCKED = 2


@frozen
class Lesson:
    """A message to learn from. ``before``: what it was learned as, None for nothing yet."""

    item_id: int
    mailbox_id: int
    junk: bool
    before: bool | None
    body_id: int
    structure: bytes
    subject: str
    sender: str  # the address in From
    has_attachments: bool = False


# Lessons


def note(tx: Transaction, item_id: int, junk: bool) -> None:
    """Let a message be learned as junk, or as none."""
    tx.execute(
        "INSERT INTO junk_lesson (item_id, junk) VALUES (?, ?) "
        "ON CONFLICT (item_id) DO UPDATE SET junk = excluded.junk",
        (item_id, int(junk)),
    )


def note_move(tx: Transaction, item_id: int, source_id: int, to: Folder) -> None:
    """Somebody moved a message: into Junk, out of it, or from the Inbox to where it is kept. One statement."""
    if to.type not in (*_FILED, FolderType.INBOX):
        # Out of Junk into Deleted Items says nothing.
        return
    tx.execute(
        "INSERT INTO junk_lesson (item_id, junk) SELECT ?, CASE WHEN t.role = 'junk' THEN 1 ELSE 0 END "
        "FROM folder t JOIN folder s ON s.id = ? WHERE t.id = ? AND (t.role = 'junk' OR s.role = 'junk' "
        "OR s.slot = 2) ON CONFLICT (item_id) DO UPDATE SET junk = excluded.junk",
        (item_id, source_id, to.id),
    )


def note_folder(tx: Transaction, folder: Folder, junk: bool, limit: int) -> int:
    """Let the newest messages of a folder be learned (of good ones: those that were read). :returns: how many."""
    tx.execute(
        "INSERT INTO junk_lesson (item_id, junk) SELECT id, ? FROM item WHERE folder_id = ? AND hidden = 0 "
        "AND (read = 1 OR ? = 1) ORDER BY received DESC LIMIT ? "
        "ON CONFLICT (item_id) DO UPDATE SET junk = excluded.junk",
        (int(junk), folder.id, int(junk), limit),
    )
    return max(tx.rowcount, 0)


def lessons(tx: Transaction, limit: int) -> list[Lesson]:
    """What waits to be learned, oldest message first; marks of messages that are gone are passed over."""
    rows = tx.execute(
        "SELECT i.id, i.mailbox_id, l.junk, d.junk, i.body_id, i.structure, i.subject, "
        "i.sender_address, i.has_attachments "
        "FROM junk_lesson l JOIN item i ON i.id = l.item_id LEFT JOIN junk_learned d ON d.item_id = i.id "
        "ORDER BY l.item_id LIMIT ?",
        (limit,),
    )
    return [
        Lesson(
            item,
            box,
            bool(junk),
            None if before is None else bool(before),
            body,
            structure,
            subject,
            sender,
            bool(has),
        )
        for item, box, junk, before, body, structure, subject, sender, has in rows
    ]


def learn(tx: Transaction, done: Sequence[tuple[Lesson, Sequence[int]]], now: int) -> int:
    """Learn messages by their tokens, a few at once. :returns: how many lessons are done with."""
    for lesson, found in done:
        waiting = tx.value("DELETE FROM junk_lesson WHERE item_id = ? RETURNING junk", (lesson.item_id,))
        if waiting is None:
            continue
        if bool(waiting) != lesson.junk:
            # It was moved back meanwhile: another lesson.
            note(tx, lesson.item_id, bool(waiting))
            continue
        before = tx.value("SELECT junk FROM junk_learned WHERE item_id = ?", (lesson.item_id,))
        if before is not None and bool(before) == lesson.junk:
            continue
        if before is not None:
            _count(tx, lesson, found, bool(before), -1, now)
        _count(tx, lesson, found, lesson.junk, 1, now)
        tx.execute(
            "INSERT INTO junk_learned (item_id, mailbox_id, junk) VALUES (?, ?, ?) "
            "ON CONFLICT (item_id) DO UPDATE SET junk = excluded.junk",
            (lesson.item_id, lesson.mailbox_id, int(lesson.junk)),
        )
    return len(done)


def _count(tx: Transaction, lesson: Lesson, found: Sequence[int], junk: bool, step: int, now: int) -> None:
    column = "junk" if junk else "good"
    mailbox_id, day = lesson.mailbox_id, now // _DAY
    if step > 0:
        tx.many(
            f"INSERT INTO junk_word (mailbox_id, word, junk, good, at) VALUES (?, ?, ?, ?, ?) "
            f"ON CONFLICT (mailbox_id, word) DO UPDATE SET {column} = junk_word.{column} + 1, at = excluded.at",
            [(mailbox_id, word, int(junk), int(not junk), day) for word in found],
        )
    else:
        tx.many(
            f"UPDATE junk_word SET {column} = {column} - 1 WHERE mailbox_id = ? AND word = ? AND {column} > 0",
            [(mailbox_id, word) for word in found],
        )
    tx.execute(
        f"UPDATE mailbox SET learned_{column} = learned_{column} + ? WHERE id = ? AND learned_{column} + ? >= 0",
        (step, mailbox_id, step),
    )
    sender = clean(fold_address(lesson.sender))
    if sender:
        if step > 0:
            tx.execute(
                "INSERT INTO known_sender (mailbox_id, address, junk, good, at) VALUES (?, ?, ?, ?, ?) "
                f"ON CONFLICT (mailbox_id, address) DO UPDATE SET {column} = known_sender.{column} + 1, "
                "at = excluded.at",
                (mailbox_id, sender, int(junk), int(not junk), now),
            )
        else:
            tx.execute(
                f"UPDATE known_sender SET {column} = {column} - 1 WHERE mailbox_id = ? AND address = ? "
                f"AND {column} > 0",
                (mailbox_id, sender),
            )
        _count_senders(tx, mailbox_id)


def prune(tx: Transaction, limit: int) -> int:
    """Forget the lessons of messages that are gone. :returns: how many; call it again until 0."""
    tx.execute(
        "DELETE FROM junk_lesson WHERE item_id IN (SELECT l.item_id FROM junk_lesson l "
        "LEFT JOIN item i ON i.id = l.item_id WHERE i.id IS NULL LIMIT ?)",
        (limit,),
    )
    return max(tx.rowcount, 0)


def trim(tx: Transaction, mailbox_id: int, limit: int) -> int:
    """Forget what is too much of a mailbox that has just learned. :returns: how many rows; call it again until 0."""
    done = (
        _prune(tx, mailbox_id, "junk_word", "word", "junk + good, at", MAX_WORDS, limit)
        or _prune(tx, mailbox_id, "junk_learned", "item_id", "item_id", MAX_LEARNED, limit)
        or _prune(tx, mailbox_id, "known_sender", "address", "listed > 0, at", MAX_SENDERS, limit)
    )
    if done:
        _count_senders(tx, mailbox_id)
    return done


def _prune(tx: Transaction, mailbox_id: int, table: str, key: str, order: str, most: int, limit: int) -> int:
    over = tx.value(f"SELECT count(*) FROM {table} WHERE mailbox_id = ?", (mailbox_id,)) - most
    if over <= 0:
        return 0
    tx.execute(
        f"DELETE FROM {table} WHERE mailbox_id = ? AND {key} IN "
        f"(SELECT {key} FROM {table} WHERE mailbox_id = ? ORDER BY {order} LIMIT ?)",
        (mailbox_id, mailbox_id, min(over, limit)),
    )
    return max(tx.rowcount, 0)


def forget(tx: Transaction, mailbox_id: int) -> int:
    """Unlearn everything but the user's own lists. :returns: how many rows; call it again until 0."""
    for table, key in (("junk_word", "word"), ("junk_learned", "item_id")):
        tx.execute(
            f"DELETE FROM {table} WHERE mailbox_id = ? AND {key} IN "
            f"(SELECT {key} FROM {table} WHERE mailbox_id = ? LIMIT ?)",
            (mailbox_id, mailbox_id, _SLICE),
        )
        if tx.rowcount > 0:
            return tx.rowcount
    tx.execute("DELETE FROM known_sender WHERE mailbox_id = ? AND listed = 0", (mailbox_id,))
    tx.execute("UPDATE known_sender SET junk = 0, good = 0 WHERE mailbox_id = ?", (mailbox_id,))
    tx.execute("UPDATE mailbox SET learned_junk = 0, learned_good = 0 WHERE id = ?", (mailbox_id,))
    _count_senders(tx, mailbox_id)
    return 0


# What was learned


def learned(tx: Transaction, mailbox_id: int) -> Learned:
    """How many messages a mailbox learned from."""
    row = tx.one("SELECT learned_junk, learned_good FROM mailbox WHERE id = ?", (mailbox_id,))
    return Learned(row[0], row[1]) if row else Learned()


def words(tx: Transaction, mailbox_id: int, tokens: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Token -> (junk, good) of those that are known."""
    found = {}
    for places, portion in padded(tokens):
        for word, junk, good in tx.execute(
            f"SELECT word, junk, good FROM junk_word WHERE mailbox_id = ? AND word IN ({places})",
            (mailbox_id, *portion),
        ):
            found[word] = (junk, good)
    return found


# Senders


def list_sender(tx: Transaction, mailbox_id: int, address: str, listed: Listed, now: int) -> None:
    """Call a sender safe or blocked, or neither.

    :param address: folded, or "@domain" for everybody there and below. :raises TooLarge: too many.
    """
    address = clean(address)
    if listed is Listed.NO:
        tx.execute(
            "UPDATE known_sender SET listed = 0 WHERE mailbox_id = ? AND address = ?", (mailbox_id, address)
        )
        tx.execute(
            "DELETE FROM known_sender WHERE mailbox_id = ? AND address = ? AND junk + good = 0",
            (mailbox_id, address),
        )
    else:
        count = tx.value(
            "SELECT count(*) FROM known_sender WHERE mailbox_id = ? AND listed > 0 AND address <> ?",
            (mailbox_id, address),
        )
        if count >= MAX_LISTED:
            raise TooLarge(f"A mailbox may list {MAX_LISTED} senders.")
        tx.execute(
            "INSERT INTO known_sender (mailbox_id, address, listed, at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (mailbox_id, address) DO UPDATE SET listed = excluded.listed, at = excluded.at",
            (mailbox_id, address, int(listed), now),
        )
    _count_senders(tx, mailbox_id)


def senders(tx: Transaction, mailbox_id: int) -> list[tuple[str, Listed]]:
    """The senders that a user listed, by address."""
    rows = tx.execute(
        "SELECT address, listed FROM known_sender WHERE mailbox_id = ? AND listed > 0 ORDER BY address",
        (mailbox_id,),
    )
    return [(address, Listed(listed)) for address, listed in rows]


def reputation(tx: Transaction, mailbox_id: int, account_id: int, address: str) -> Reputation:
    """What a mailbox knows of a sender (folded). An address counts before its domain, a near one before a far one."""
    address = clean(address)
    domain = address.rpartition("@")[2]
    labels = domain.split(".")
    names = [address, *("@" + ".".join(labels[start:]) for start in range(min(len(labels), 8)))]
    places = ",".join("?" * len(names))
    rows = {
        row[0]: row[1:]
        for row in tx.execute(
            f"SELECT address, listed, junk, good FROM known_sender WHERE mailbox_id = ? AND address IN ({places})",
            (mailbox_id, *names),
        )
    }
    listed = next((rows[name][0] for name in names if name in rows and rows[name][0]), 0)
    written = tx.one("SELECT 1 FROM written_to WHERE account_id = ? AND address = ?", (account_id, address))
    junk, good = rows[address][1:] if address in rows else (0, 0)
    return Reputation(("", "safe", "blocked")[listed], written is not None, junk, good)


def _count_senders(tx: Transaction, mailbox_id: int) -> None:
    tx.execute(
        "UPDATE mailbox SET senders = (SELECT count(*) FROM known_sender WHERE mailbox_id = ?) WHERE id = ?",
        (mailbox_id, mailbox_id),
    )
