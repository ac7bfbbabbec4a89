"""Out of office: what each user wants to have answered, and who was answered when.

One row for a mailbox whose owner ever set something; who was answered is remembered for a week for each audience
(RFC 3834 section 2, RFC 5230 4.2), and forgotten when a new absence begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import IntEnum, StrEnum
from typing import Any

from attrs import asdict, evolve, field, frozen

from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "ANSWERS_AN_HOUR",
    "ANSWER_AGAIN",
    "MAX_MESSAGE",
    "Absence",
    "Audience",
    "Away",
    "Message",
    "State",
    "absence_of",
    "away",
    "first_answer",
    "has_written_to",
    "prune_answers",
    "set_absence",
]

#: ms after which the same sender is answered again
ANSWER_AGAIN = 7 * 24 * 3600 * 1000
#: answers of one mailbox an hour: forged senders must not make it a source of unwanted mail
ANSWERS_AN_HOUR = 100
#: characters of one message
MAX_MESSAGE = 131_072
# How far back "people I write to" is looked up.
_SENT_LOOKED_AT = 2000


class State(IntEnum):
    """As the protocol counts (MS-ASCMD 2.2.3.124)."""

    OFF = 0
    ON = 1
    TIMED = 2


class Audience(StrEnum):
    """Whom a message is for (MS-ASCMD 2.2.3.123): this house, people its owner knows, everybody else."""

    INTERNAL = "internal"
    KNOWN = "known"
    UNKNOWN = "unknown"


@frozen
class Message:
    """What one audience is answered, when it is ``enabled``."""

    enabled: bool = False
    text: str = ""
    html: bool = False


@frozen
class Absence:
    """:ivar start: ms since the epoch, like ``end`` only where the state is TIMED, and None when that side is open.
    :ivar changed: when set.
    """

    state: State = State.OFF
    start: int | None = None
    end: int | None = None
    internal: Message = field(factory=Message)
    known: Message = field(factory=Message)
    unknown: Message = field(factory=Message)
    changed: int = 0

    def message(self, audience: Audience) -> Message:
        """What that audience is answered."""
        found: Message = getattr(self, audience.value)
        return found

    def with_message(self, audience: Audience, message: Message) -> Absence:
        """The same with another message for one audience."""
        change: dict[str, Any] = {audience.value: message}
        return evolve(self, **change)

    def is_on(self, now: int) -> bool:
        """Whether mail is answered at that moment."""
        if self.state == State.TIMED:
            return (self.start is None or self.start <= now) and (self.end is None or now < self.end)
        return self.state == State.ON


@frozen
class Away:
    """A mailbox whose owner is away now."""

    mailbox_id: int
    account_id: int
    address: str
    name: str
    absence: Absence


def absence_of(tx: Transaction, mailbox_id: int) -> Absence:
    """What is set for a mailbox; all off when nothing ever was."""
    row = tx.one(
        "SELECT state, starts, ends, messages, changed FROM absence WHERE mailbox_id = ?", (mailbox_id,)
    )
    return _absence(row) if row else Absence()


def _absence(row: Sequence[Any]) -> Absence:
    state, start, end, messages, changed = row
    kept = json.loads(messages)
    return Absence(
        State(state),
        start,
        end,
        changed=changed,
        **{one.value: Message(**kept[one.value]) for one in Audience if one.value in kept},
    )


def set_absence(tx: Transaction, mailbox_id: int, absence: Absence, now: int) -> None:
    """Keep what a user set. A new absence answers everybody anew; a changed text of the same one does not."""
    before = absence_of(tx, mailbox_id)
    timed = absence.state == State.TIMED
    messages = {}
    for one in Audience:
        message = absence.message(one)
        messages[one.value] = asdict(evolve(message, text=clean(message.text)[:MAX_MESSAGE]))
    tx.execute(
        "INSERT INTO absence (mailbox_id, state, starts, ends, messages, changed) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (mailbox_id) DO UPDATE SET state = excluded.state, starts = excluded.starts, "
        "ends = excluded.ends, messages = excluded.messages, changed = excluded.changed",
        (
            mailbox_id,
            int(absence.state),
            # R7544: times are kept for the timed state alone.
            absence.start if timed else None,
            absence.end if timed else None,
            json.dumps(messages, ensure_ascii=False),
            now,
        ),
    )
    if not (before.is_on(now) and absence.is_on(now)):
        tx.execute("DELETE FROM absence_answer WHERE mailbox_id = ?", (mailbox_id,))


def away(tx: Transaction, mailbox_ids: Sequence[int], now: int) -> list[Away]:
    """Those of the mailboxes whose owners are away; one look at an index for each that is not."""
    found = []
    for mailbox_id in mailbox_ids:
        row = tx.one(
            "SELECT state, starts, ends, messages, changed FROM absence WHERE mailbox_id = ? AND state > 0",
            (mailbox_id,),
        )
        absence = _absence(row) if row else None
        if absence is None or not absence.is_on(now):
            continue
        owner = tx.one(
            "SELECT id, address, name FROM account WHERE mailbox_id = ? AND enabled = 1 AND deleting = 0",
            (mailbox_id,),
        )
        if owner is not None:
            found.append(Away(mailbox_id, owner[0], owner[1], owner[2], absence))
    return found


def first_answer(tx: Transaction, mailbox_id: int, audience: Audience, sender: str, now: int) -> bool:
    """Note that a sender (folded) is answered now. False when that was done within the week,
    or when so many were answered within the hour that somebody plays with it."""
    lately = tx.execute(
        "SELECT 1 FROM absence_answer WHERE mailbox_id = ? AND at > ? LIMIT ?",
        (mailbox_id, now - 3_600_000, ANSWERS_AN_HOUR),
    )
    if len(lately) >= ANSWERS_AN_HOUR:
        return False
    tx.execute(
        "INSERT INTO absence_answer (mailbox_id, audience, sender, at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (mailbox_id, audience, sender) DO UPDATE SET at = excluded.at "
        "WHERE absence_answer.at <= excluded.at - ?",
        (mailbox_id, audience.value, clean(sender), now, ANSWER_AGAIN),
    )
    return tx.rowcount > 0


def has_written_to(tx: Transaction, mailbox_id: int, address: str, sent_folder: int) -> bool:
    """Is that address (folded) a recipient of something among the latest sent items of a mailbox?"""
    escaped = address.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = tx.execute(
        "SELECT recipients, cc, bcc FROM (SELECT recipients, cc, bcc FROM item WHERE folder_id = ? "
        "AND mailbox_id = ? ORDER BY number DESC LIMIT ?) AS latest "
        "WHERE lower(recipients) LIKE ? ESCAPE '\\' OR lower(cc) LIKE ? ESCAPE '\\' "
        "OR lower(bcc) LIKE ? ESCAPE '\\' LIMIT 50",
        (sent_folder, mailbox_id, _SENT_LOOKED_AT, *(f"%{escaped}%",) * 3),
    )
    # The whole address, not the end of a longer one.
    whole = re.compile(rf"(?<![\w.!#$%&'*+/=?^`{{|}}~-]){re.escape(address)}(?![\w.-])", re.IGNORECASE)
    return any(whole.search(value) for row in rows for value in row)


def prune_answers(tx: Transaction, now: int, limit: int) -> int:
    """Forget who was answered more than a week ago. :returns: how many; call it again until 0."""
    tx.execute(
        "DELETE FROM absence_answer WHERE (mailbox_id, audience, sender) IN "
        "(SELECT mailbox_id, audience, sender FROM absence_answer WHERE at <= ? LIMIT ?)",
        (now - ANSWER_AGAIN, limit),
    )
    return max(tx.rowcount, 0)
