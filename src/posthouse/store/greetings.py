"""Strangers who were told to come again, and those who did (greylisting).

Promise: a stranger is the network, the sender and the recipient together, kept as a hash; who comes again within the
hours is known for five weeks from the last time on. Nothing is written twice a day for one who is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from posthouse.store.transaction import Transaction

__all__ = ["greet", "key_of", "prune"]

_HOUR = 3600 * 1000
#: ms within which a stranger has to come again, and for which he is then known
_AGAIN = 36 * _HOUR
_KNOWN = 36 * 24 * _HOUR
_TOUCH = 24 * _HOUR


def key_of(network: str, sender: str, recipient: str) -> bytes:
    """The key of a stranger."""
    text = "\0".join((network, sender, recipient))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def greet(tx: Transaction, keys: Sequence[bytes], wait: int, now: int) -> int:
    """Note strangers. :param wait: ms that the first one has to let pass. :returns: ms to wait; 0: let him in."""
    longest = 0
    for key in keys:
        row = tx.one("SELECT first, last, passed FROM greeting WHERE key = ?", (key,))
        if row is None or now - row[1] > (_KNOWN if row[2] else _AGAIN):
            tx.execute(
                "INSERT INTO greeting (key, first, last, passed) VALUES (?, ?, ?, 0) ON CONFLICT (key) "
                "DO UPDATE SET first = excluded.first, last = excluded.last, passed = 0",
                (key, now, now),
            )
            longest = max(longest, wait)
            continue
        first, last, passed = row
        left = first + wait - now
        if not passed and left > 0:
            longest = max(longest, left)
        elif not passed or now - last > _TOUCH:
            tx.execute("UPDATE greeting SET passed = 1, last = ? WHERE key = ?", (now, key))
    return longest


def prune(tx: Transaction, now: int, limit: int) -> int:
    """Forget who did not come again. :returns: how many; call it again until 0."""
    tx.execute(
        "DELETE FROM greeting WHERE key IN (SELECT key FROM greeting WHERE passed = 0 AND last < ? "
        "UNION ALL SELECT key FROM greeting WHERE passed = 1 AND last < ? LIMIT ?)",
        (now - _AGAIN, now - _KNOWN, limit),
    )
    return max(tx.rowcount, 0)
