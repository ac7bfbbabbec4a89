"""What a user wants done with mail on its way: sent on to elsewhere, sorted by plus-address, held before it leaves."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from posthouse.errors import Malformed, NoSuchAccount, TooLarge
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "MAX_HOLD",
    "MAX_TARGETS",
    "Preferences",
    "preferences",
    "set_forwarding",
    "set_hold",
    "set_plus_folders",
]

#: addresses that one account may forward to
MAX_TARGETS = 20
#: seconds for which what a user sends may be held, so that it can be taken back
MAX_HOLD = 600


@frozen
class Preferences:
    """``hold``: seconds for which mail can be taken back; ``keep_copy``: of what is sent on."""

    hold: int = 0
    plus_folders: bool = False
    forward_to: tuple[str, ...] = ()
    keep_copy: bool = True


def preferences(tx: Transaction, account_id: int) -> Preferences:
    """What an account wants. :raises NoSuchAccount: gone."""
    row = tx.one(
        "SELECT hold_seconds, plus_folders, forward FROM account WHERE id = ? AND deleting = 0", (account_id,)
    )
    if row is None:
        raise NoSuchAccount
    targets: tuple[str, ...] = ()
    if row[2]:
        rows = tx.execute(
            "SELECT target FROM forwarding WHERE account_id = ? ORDER BY position", (account_id,)
        )
        targets = tuple(one[0] for one in rows)
    return Preferences(row[0], bool(row[1]), targets, row[2] != 1)


def set_forwarding(tx: Transaction, account_id: int, targets: Sequence[str], keep_copy: bool) -> None:
    """Send all mail of an account on to these (folded) addresses; none: no longer.

    :raises NoSuchAccount: gone. :raises TooLarge: more than ``MAX_TARGETS``.
    """
    if len(targets) > MAX_TARGETS:
        raise TooLarge(f"Mail may be sent on to {MAX_TARGETS} addresses.")
    forward = (2 if keep_copy else 1) if targets else 0
    _set(tx, account_id, "forward", forward)
    tx.execute("DELETE FROM forwarding WHERE account_id = ?", (account_id,))
    tx.many(
        "INSERT INTO forwarding (account_id, position, target) VALUES (?, ?, ?)",
        [(account_id, position, clean(one)) for position, one in enumerate(dict.fromkeys(targets))],
    )


def set_plus_folders(tx: Transaction, account_id: int, wanted: bool) -> None:
    """Put mail for ``ann+shop`` into Ann's folder "shop", where there is one. :raises NoSuchAccount: gone."""
    _set(tx, account_id, "plus_folders", int(wanted))


def set_hold(tx: Transaction, account_id: int, seconds: int) -> None:
    """Hold what an account sends, so that it can be taken back.

    :raises Malformed: not 0 to ``MAX_HOLD``. :raises NoSuchAccount: gone.
    """
    if not 0 <= seconds <= MAX_HOLD:
        raise Malformed(f"Mail can be held for 0 to {MAX_HOLD} seconds.")
    _set(tx, account_id, "hold_seconds", seconds)


def _set(tx: Transaction, account_id: int, column: str, value: int) -> None:
    tx.execute(f"UPDATE account SET {column} = ? WHERE id = ? AND deleting = 0", (value, account_id))
    if tx.rowcount <= 0:
        raise NoSuchAccount
