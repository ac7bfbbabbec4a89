"""The mailbox's counter: the one source of numbers.

One 48-bit counter per mailbox numbers folders, items and changes alike. A number is never given twice: it is
taken inside the transaction that uses it, and a transaction that is undone gives it back unseen.
"""

from __future__ import annotations

from posthouse.errors import NoSuchAccount, OverQuota
from posthouse.store.transaction import Transaction

__all__ = ["LAST_NUMBER", "change_key", "next_number", "tombstone_horizon", "top_number"]

LAST_NUMBER = 2**48 - 1


def next_number(tx: Transaction, mailbox_id: int, count: int = 1) -> int:
    """The first of ``count`` fresh numbers.

    :raises NoSuchAccount: no such mailbox. :raises OverQuota: the counter is at its end.
    """
    top = tx.value(
        "UPDATE mailbox SET counter = counter + ? WHERE id = ? AND counter + ? <= ? RETURNING counter",
        (count, mailbox_id, count, LAST_NUMBER),
    )
    if top is None:
        raise no_number(tx, mailbox_id)
    return int(top) - count + 1


def no_number(tx: Transaction, mailbox_id: int) -> NoSuchAccount | OverQuota:
    """Why no number could be had."""
    if tx.one("SELECT 1 FROM mailbox WHERE id = ?", (mailbox_id,)) is None:
        return NoSuchAccount(cause=f"no mailbox {mailbox_id}")
    return OverQuota(cause=f"the 48-bit counter of mailbox {mailbox_id} is at its end")


def top_number(tx: Transaction, mailbox_id: int) -> int:
    """The highest number given so far; 0 for a mailbox that does not exist."""
    return int(tx.value("SELECT counter FROM mailbox WHERE id = ?", (mailbox_id,)) or 0)


def tombstone_horizon(tx: Transaction, mailbox_id: int) -> int:
    """The highest change number whose tombstone may be gone: who saw less must start again."""
    return int(tx.value("SELECT tombstone_horizon FROM mailbox WHERE id = ?", (mailbox_id,)) or 0)


def change_key(tx: Transaction, mailbox_id: int, number: int) -> bytes:
    """The 22-byte XID of a change: the replica's GUID and the number, big-endian (MS-OXCFXICS 2.2.2.2)."""
    replica = tx.value("SELECT replica FROM mailbox WHERE id = ?", (mailbox_id,))
    if replica is None:
        raise NoSuchAccount(cause=f"no mailbox {mailbox_id}")
    return bytes(replica) + number.to_bytes(6, "big")
