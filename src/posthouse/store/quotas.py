"""How much a mailbox may hold, and what follows when it is full.

Promise: a mailbox takes what comes while it is below its quota, so the message that fills it is the last one. From
then on senders are told to come again (452 4.2.2) for ``GRACE``, in which the reader has been warned and may make
room; afterwards that it is full (552 5.2.2), since nobody should wait for a reader who does not come. Cost: a look at
one row.

Specifications: RFC 3463 3.3 (X.2.2), RFC 5321 4.2.3 (452, 552).
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from posthouse.errors import MailboxFull, OverQuota
from posthouse.store.transaction import Transaction

__all__ = ["GRACE", "STEPS", "Usage", "check", "due_warnings", "note_step", "usage", "usages", "without_full"]

#: ms for which senders to a full mailbox are told to come again
GRACE = 3 * 24 * 3600 * 1000
#: per cent of a quota at which the reader is warned, once each
STEPS = (80, 90, 95)
_FULL = 100
_COLUMNS = "a.id, a.address, m.id, m.size, m.quota, m.quota_step, m.full_since"
_FROM = "FROM account a JOIN mailbox m ON m.id = a.mailbox_id WHERE a.deleting = 0"


@frozen
class Usage:
    """A mailbox and its quota. ``quota``: bytes, 0 for none; ``own``: it is not that of everybody."""

    account_id: int
    address: str
    mailbox_id: int
    size: int
    quota: int
    own: bool
    step: int  # per cent of which the reader was warned last
    full_since: int | None

    @property
    def percent(self) -> int:
        """How full it is; 0 without a quota."""
        return self.size * 100 // self.quota if self.quota else 0

    @property
    def wanted_step(self) -> int:
        """The step that it has reached: one of ``STEPS``, 0 or 100."""
        return max((step for step in (*STEPS, _FULL) if self.quota and self.percent >= step), default=0)


def usages(tx: Transaction, default: int, *, after: str = "", limit: int = 1000) -> list[Usage]:
    """The mailboxes of all accounts by address, page by page. :param default: the quota of everybody, 0 for none."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} {_FROM} AND a.address > ? ORDER BY a.address LIMIT ?", (after, limit)
    )
    return [_usage(row, default) for row in rows]


def usage(tx: Transaction, mailbox_id: int, default: int) -> Usage | None:
    """One mailbox; None when it is nobody's."""
    row = tx.one(f"SELECT {_COLUMNS} {_FROM} AND m.id = ?", (mailbox_id,))
    return _usage(row, default) if row is not None else None


def _usage(row: tuple[object, ...], default: int) -> Usage:
    account_id, address, mailbox_id, size, quota, step, since = row
    own = quota is not None
    return Usage(account_id, address, mailbox_id, size, quota if own else default, own, step, since)  # type: ignore[arg-type]


def check(tx: Transaction, mailbox_id: int, default: int, now: int) -> None:
    """May this mailbox take one more message?

    :raises OverQuota: it is full. :raises MailboxFull: it has been for longer than ``GRACE``.
    """
    row = tx.one("SELECT size, quota, full_since FROM mailbox WHERE id = ?", (mailbox_id,))
    if row is None:
        return
    size, quota, since = row
    limit = default if quota is None else quota
    if limit and size >= limit:
        cause = f"mailbox {mailbox_id}: {size} of {limit} bytes"
        if since is not None and now - since > GRACE:
            raise MailboxFull(cause=cause)
        raise OverQuota(cause=cause)


def without_full(
    tx: Transaction, mailbox_ids: Sequence[int], alone: bool, default: int, now: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which of the mailboxes that one address means take a message, and which have been full for too long.

    A full mailbox among several does not keep the message from the others: it takes a little more for as long as
    it would have been asked to wait.

    :param alone: one mailbox is all that the address means.
    :raises OverQuota, MailboxFull: it is alone and full, or all of them are for too long.
    """
    taking: list[int] = []
    full: list[int] = []
    for mailbox_id in mailbox_ids:
        try:
            check(tx, mailbox_id, default, now)
        except MailboxFull:
            if alone:
                raise
            full.append(mailbox_id)
        except OverQuota:
            if alone:
                raise
            taking.append(mailbox_id)
        else:
            taking.append(mailbox_id)
    return tuple(taking), tuple(full)


def due_warnings(tx: Transaction, default: int, limit: int) -> list[Usage]:
    """Mailboxes whose step is another than the reader was told, fuller or emptier."""
    # The steps are whole per cents; "full" is what takes no more.
    step = (
        "CASE WHEN q <= 0 THEN 0 WHEN size >= q THEN 100 WHEN size * 100 >= q * 95 THEN 95 "
        "WHEN size * 100 >= q * 90 THEN 90 WHEN size * 100 >= q * 80 THEN 80 ELSE 0 END"
    )
    rows = tx.execute(
        f"SELECT {_COLUMNS} {_FROM} AND m.id IN (SELECT id FROM (SELECT id, size, quota_step, "
        f"coalesce(quota, ?) AS q FROM mailbox) AS known WHERE quota_step <> {step}) ORDER BY a.id LIMIT ?",
        (default, limit),
    )
    return [_usage(row, default) for row in rows]


def note_step(tx: Transaction, mailbox_id: int, step: int, now: int) -> None:
    """The reader was told of a step (0: there is nothing to tell, and the next time counts again)."""
    tx.execute(
        "UPDATE mailbox SET quota_step = ?, full_since = CASE WHEN ? < ? THEN NULL ELSE coalesce(full_since, ?) END "
        "WHERE id = ?",
        (step, step, _FULL, now, mailbox_id),
    )
