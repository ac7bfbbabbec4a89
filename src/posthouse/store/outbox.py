"""The outbox: one row for each recipient elsewhere, until it was delivered, bounced or dropped.

A row that is being sent is *leased*: should the process die meanwhile, ``release_leases`` at the next start
makes it due again, later with each attempt that ended so (at least once, never a tight loop). A row waits *held*
when the administrator holds it, and *paused* while its domain is (see ``queue_orders``). What small, human mail
there is comes before the rest.

What is queued is news of the mailbox ``QUEUE``: whoever queues it, the runner hears of it when it is committed, even
when the client that wanted it sent went away at that very moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from posthouse.model import OutboxRow
from posthouse.store.dialect import clean
from posthouse.store.rows import padded
from posthouse.store.transaction import Transaction

__all__ = [
    "BULK",
    "HUMAN",
    "OPEN",
    "QUEUE",
    "OutboxDraft",
    "drop",
    "due_after",
    "enqueue",
    "failed",
    "hold",
    "last_id",
    "lease",
    "listing",
    "mark_delay_told",
    "next_after",
    "of_message",
    "outbox_row",
    "prune",
    "queued_since",
    "release_leases",
    "retry",
    "retry_now",
    "sent",
]

#: the mailbox whose news say that something was queued; no mailbox has this id
QUEUE = 0
#: ms for which finished rows are kept for the administrator
KEEP = 24 * 3600 * 1000
# Each attempt that a crash cut short postpones the next one by this much.
_AFTER_CRASH = 60 * 1000
_REPLY_LENGTH = 2000

_COLUMNS = (
    "id, account_id, body_id, size, sender, recipient, created, due, expires, attempts, state, last_reply, "
    "last_attempt, smtputf8, eight_bit, envid, ret, notify, orcpt, trace, delay_told, own, verdict, priority, "
    "require_tls"
)
#: priorities: small mail between people, and everything else
HUMAN, BULK = 0, 1
#: the states of what is not finished
OPEN = ("due", "leased", "held", "paused")
# Due, unless the administrator paused the domain.
_WAITING = "CASE WHEN outbox.domain IN (SELECT domain FROM paused_domain) THEN 'paused' ELSE 'due' END"


@frozen
class OutboxDraft:
    """A recipient to send to. ``body_id`` is filled in by ``delivery.deliver``."""

    account_id: int | None
    sender: str
    recipient: str
    size: int
    expires: int
    due: int
    body_id: int = 0
    smtputf8: bool = False
    eight_bit: bool = False
    trace: bytes = b""
    envid: str = ""
    ret: str = ""
    notify: str = ""
    orcpt: str = ""
    own: bool = False  # written here, so that its encoding may be changed for a peer
    priority: int = HUMAN
    require_tls: bool = False  # REQUIRETLS of RFC 8689
    message: str = ""  # the submission that it came from, if that was held (``store.held``)


def _row(row: tuple[Any, ...]) -> OutboxRow:
    values = list(row)
    for flag in (13, 14, 20, 21, 24):
        values[flag] = bool(values[flag])
    return OutboxRow(*values)


def enqueue(tx: Transaction, draft: OutboxDraft, now: int) -> int:
    """Queue one recipient. :returns: the row's id."""
    recipient = clean(draft.recipient)
    domain = recipient.rpartition("@")[2].lower()
    outbox_id = int(
        tx.value(
            "INSERT INTO outbox (account_id, body_id, size, sender, recipient, created, due, due_before, "
            "expires, smtputf8, eight_bit, envid, ret, notify, orcpt, trace, own, priority, require_tls, "
            "message, domain, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "CASE WHEN EXISTS (SELECT 1 FROM paused_domain WHERE domain = ?) THEN 'paused' ELSE 'due' END) "
            "RETURNING id",
            (
                draft.account_id, draft.body_id, draft.size, clean(draft.sender), recipient, now,
                draft.due, draft.due, draft.expires, int(draft.smtputf8), int(draft.eight_bit),
                clean(draft.envid), clean(draft.ret), clean(draft.notify), clean(draft.orcpt), draft.trace,
                int(draft.own), draft.priority, int(draft.require_tls), clean(draft.message),
                domain, domain,
            ),
        )
    )  # fmt: skip
    tx.news(QUEUE, 0, outbox_id)
    return outbox_id


def due_after(
    tx: Transaction, priority: int, after: tuple[int, int], now: int, limit: int
) -> list[OutboxRow]:
    """Rows of one priority whose time has come, in the order of their time, from a place on.

    :param after: (due, id) of the last row that is known. A page costs what is in it.
    """
    ready = f"SELECT {_COLUMNS} FROM outbox WHERE state IN ('due', 'leased') AND priority = ?"
    # Two statements: a comparison of both columns at once walks over all rows of the same moment.
    rows = list(
        tx.execute(f"{ready} AND due = ? AND id > ? ORDER BY id LIMIT ?", (priority, *after, limit))
        if after[0] <= now
        else ()
    )
    if len(rows) < limit:
        more = f"{ready} AND due > ? AND due <= ? ORDER BY due, id LIMIT ?"
        rows += tx.execute(more, (priority, after[0], now, limit - len(rows)))
    return [_row(row) for row in rows]


def queued_since(tx: Transaction, seen: int, now: int, limit: int) -> tuple[list[OutboxRow], int | None]:
    """Rows that were queued after the row ``seen`` and whose time has come, by number.

    :returns: and the number up to which that holds when there may be more, else None.
    """
    rows = [
        _row(row)
        for row in tx.execute(
            f"SELECT {_COLUMNS} FROM outbox WHERE id > ? AND state IN ('due', 'leased') AND due <= ? "
            "ORDER BY id LIMIT ?",
            (seen, now, limit),
        )
    ]
    return rows, rows[-1].id if len(rows) == limit else None


def last_id(tx: Transaction) -> int:
    """The number of the row that was queued last; 0 without any."""
    return int(tx.value("SELECT max(id) FROM outbox") or 0)


def next_after(tx: Transaction, priority: int, after: tuple[int, int]) -> int | None:
    """When the first row of one priority is due that comes after a place (see ``due_after``)."""
    ready = "SELECT due FROM outbox WHERE state IN ('due', 'leased') AND priority = ?"
    found = tx.value(f"{ready} AND due = ? AND id > ? ORDER BY id LIMIT 1", (priority, *after))
    if found is None:
        found = tx.value(f"{ready} AND due > ? ORDER BY due, id LIMIT 1", (priority, after[0]))
    return None if found is None else int(found)


def lease(tx: Transaction, ids: Sequence[int], until: int) -> list[int]:
    """Take rows for an attempt, which is counted. :returns: the ids that were still to be had."""
    taken: list[int] = []
    for places, portion in padded(ids):
        rows = tx.execute(
            "UPDATE outbox SET state = 'leased', due_before = due, due = ?, attempts = attempts + 1 "
            f"WHERE id IN ({places}) AND state IN ('due', 'leased') RETURNING id",
            (until, *portion),
        )
        taken.extend(row[0] for row in rows)
    return sorted(taken)


def release_leases(tx: Transaction) -> int:
    """Make due again what a process that died had taken. Called at start. :returns: how many."""
    tx.execute(
        f"UPDATE outbox SET state = {_WAITING}, due = due_before + (attempts - 1) * ? WHERE state = 'leased'",
        (_AFTER_CRASH,),
    )
    count = max(tx.rowcount, 0)
    # A crash may have cut the resuming of a domain short.
    tx.execute(
        "UPDATE outbox SET state = 'due' WHERE state = 'paused' "
        "AND domain NOT IN (SELECT domain FROM paused_domain)"
    )
    return count


def _end(tx: Transaction, outbox_id: int, state: str, reply: str, now: int) -> bool:
    tx.execute(
        "UPDATE outbox SET state = ?, last_reply = ?, last_attempt = ? WHERE id = ? "
        "AND state IN ('due', 'leased', 'held', 'paused')",
        (state, clean(reply)[:_REPLY_LENGTH], now, outbox_id),
    )
    return tx.rowcount > 0


def sent(tx: Transaction, outbox_id: int, reply: str, now: int) -> bool:
    """It was taken over by the next hop. False when the row was finished or dropped already."""
    return _end(tx, outbox_id, "sent", reply, now)


def failed(tx: Transaction, outbox_id: int, reply: str, now: int) -> bool:
    """It will never be delivered. False when the row was finished or dropped already."""
    _expect_again(tx, outbox_id)
    return _end(tx, outbox_id, "failed", reply, now)


def _expect_again(tx: Transaction, outbox_id: int) -> None:
    """The same message is no repeat (``delivery.deliver``): nobody has got it."""
    tx.execute(
        "DELETE FROM recent_delivery WHERE (sha256, recipient, sender) IN (SELECT b.sha256, o.recipient, o.sender "
        "FROM outbox o JOIN body b ON b.id = o.body_id WHERE o.id = ? AND o.state <> 'sent')",
        (outbox_id,),
    )


def retry(tx: Transaction, outbox_id: int, due: int, reply: str, now: int) -> bool:
    """It was not delivered now; try again at ``due``. False when the row was finished or dropped already."""
    tx.execute(
        f"UPDATE outbox SET state = {_WAITING}, due = ?, due_before = ?, last_reply = ?, last_attempt = ? "
        "WHERE id = ? AND state IN ('due', 'leased')",
        (due, due, clean(reply)[:_REPLY_LENGTH], now, outbox_id),
    )
    return tx.rowcount > 0


def retry_now(tx: Transaction, outbox_id: int, now: int) -> bool:
    """Make a waiting or held row due at once (a domain that is paused stays so). False when there is none."""
    tx.execute(
        f"UPDATE outbox SET state = {_WAITING}, due = ?, due_before = ? WHERE id = ? AND state IN ('due', 'held')",
        (now, now, outbox_id),
    )
    return tx.rowcount > 0


def hold(tx: Transaction, outbox_id: int) -> bool:
    """Keep a row back until the administrator lets it go. False when there is none that waits."""
    tx.execute("UPDATE outbox SET state = 'held' WHERE id = ? AND state IN ('due', 'paused')", (outbox_id,))
    return tx.rowcount > 0


def mark_delay_told(tx: Transaction, outbox_id: int) -> None:
    """The sender was told that it takes long."""
    tx.execute("UPDATE outbox SET delay_told = 1 WHERE id = ?", (outbox_id,))


def outbox_row(tx: Transaction, outbox_id: int) -> OutboxRow | None:
    """One row."""
    row = tx.one(f"SELECT {_COLUMNS} FROM outbox WHERE id = ?", (outbox_id,))
    return _row(row) if row else None


def listing(tx: Transaction, limit: int, *, finished: bool = False) -> list[OutboxRow]:
    """The queue, oldest first; with ``finished`` also what was sent or failed in the last day."""
    states = "'due', 'leased', 'held', 'paused'" + (", 'sent', 'failed'" if finished else "")
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE state IN ({states}) ORDER BY id LIMIT ?", (limit,)
    )
    return [_row(row) for row in rows]


def of_message(tx: Transaction, message: str) -> list[OutboxRow]:
    """What came of a submission that was held (``OutboxDraft.message``), finished or not."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE message = ? AND message <> '' ORDER BY id", (clean(message),)
    )
    return [_row(row) for row in rows]


def drop(tx: Transaction, outbox_id: int) -> bool:
    """Remove a row without a trace. False when there is none."""
    _expect_again(tx, outbox_id)
    body_id = tx.value("DELETE FROM outbox WHERE id = ? RETURNING body_id", (outbox_id,))
    if body_id is None:
        return False
    tx.execute(
        "INSERT INTO loose_body (body_id, at) VALUES (?, 0) ON CONFLICT (body_id) DO NOTHING", (body_id,)
    )
    return True


def prune(tx: Transaction, now: int, limit: int) -> int:
    """Remove what was finished a day ago. :returns: how many; call it again until 0."""
    rows = tx.execute(
        "SELECT id FROM outbox WHERE state IN ('sent', 'failed') AND last_attempt < ? LIMIT ?",
        (now - KEEP, limit),
    )
    for (outbox_id,) in rows:
        drop(tx, outbox_id)
    return len(rows)
