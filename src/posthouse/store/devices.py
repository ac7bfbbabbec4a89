"""Devices: who synchronises, what each one was told, and what it may be shown again.

The state of a collection is opaque here: two generations, the proved one and the one just answered, each
with its key. Everything is a small row of one device; nothing grows with the mailbox.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from posthouse.errors import NoSuchThing
from posthouse.model import Device, DeviceAccess
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "Aside",
    "StateRow",
    "aside",
    "delete_device",
    "device_by_id",
    "device_log",
    "devices",
    "drop_state",
    "find_device",
    "forget_state",
    "is_forgotten",
    "load_state",
    "load_value",
    "log_device",
    "offer_again",
    "remember_send",
    "reset_device",
    "save_state",
    "save_value",
    "seen_device",
    "set_aside",
    "states",
    "update_device",
]

#: sends of one device that are remembered
SENDS_KEPT = 20
#: lines of one device's log that are kept
LINES_KEPT = 200
_LINE_LENGTH = 2000

_COLUMNS = (
    "id, account_id, device_id, device_type, user_agent, first_seen, last_seen, protocol, policy_key, "
    "pending_policy_key, policy_hash, provisioned, access, trace, information, last_command, last_error, "
    "version_ceiling, wipe, wipe_state, wipe_ordered, wipe_at"
)
_CHANGEABLE = frozenset(_COLUMNS.split(", ")) - {"id", "account_id", "device_id", "device_type", "first_seen"}


@frozen
class StateRow:
    """Both generations of one collection's state. "" and b"" where there is none yet."""

    collection: str
    old_key: str
    old: bytes
    new_key: str
    new: bytes


@frozen
class Aside:
    """An item that could not be sent to a device."""

    device: int
    folder_id: int
    number: int
    reason: str
    at: int


def _device(row: tuple[Any, ...]) -> Device:
    values = list(row)
    values[11] = bool(row[11])
    values[12] = DeviceAccess(row[12])
    values[13] = bool(row[13])
    values[14] = json.loads(row[14]) if row[14] else {}
    return Device(*values)


def seen_device(
    tx: Transaction,
    account_id: int,
    device_id: str,
    device_type: str,
    user_agent: str,
    protocol: str,
    now: int,
) -> Device:
    """The device of that account with these names, made when it is new; its last visit is noted."""
    row = tx.one(
        "INSERT INTO device (account_id, device_id, device_type, user_agent, first_seen, last_seen, "
        "protocol) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, device_id, device_type) DO UPDATE "
        "SET user_agent = excluded.user_agent, last_seen = excluded.last_seen, protocol = excluded.protocol "
        f"RETURNING {_COLUMNS}",
        (account_id, clean(device_id), clean(device_type), clean(user_agent), now, now, clean(protocol)),
    )
    assert row is not None
    return _device(row)


def device_by_id(tx: Transaction, device_row_id: int) -> Device | None:
    """The device with this row id."""
    row = tx.one(f"SELECT {_COLUMNS} FROM device WHERE id = ?", (device_row_id,))
    return _device(row) if row else None


def devices(tx: Transaction, account_id: int | None = None) -> list[Device]:
    """Every device, or those of one account, in the order of their first visit."""
    if account_id is None:
        rows = tx.execute(f"SELECT {_COLUMNS} FROM device ORDER BY id")
    else:
        rows = tx.execute(f"SELECT {_COLUMNS} FROM device WHERE account_id = ? ORDER BY id", (account_id,))
    return [_device(row) for row in rows]


def find_device(tx: Transaction, account_id: int, device_id: str, device_type: str) -> Device | None:
    """The device with these names, without noting a visit."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM device WHERE account_id = ? AND device_id = ? AND device_type = ?",
        (account_id, clean(device_id), clean(device_type)),
    )
    return _device(row) if row else None


def update_device(tx: Transaction, device_row_id: int, **fields: Any) -> None:
    """Change fields of ``Device``, by their names. :raises NoSuchThing: no such device."""
    unknown = fields.keys() - _CHANGEABLE
    if unknown or not fields:
        raise ValueError(f"not fields of a device that change: {sorted(unknown)}")
    values = []
    for name, value in fields.items():
        if name == "information":
            value = clean(json.dumps(value, ensure_ascii=False)) if value else None
        elif isinstance(value, str):
            value = clean(value)
        elif isinstance(value, (bool, DeviceAccess)):
            value = int(value)
        values.append(value)
    sets = ", ".join(f"{name} = ?" for name in fields)
    tx.execute(f"UPDATE device SET {sets} WHERE id = ?", (*values, device_row_id))
    if not tx.rowcount:
        raise NoSuchThing("No such device.")


def reset_device(tx: Transaction, device_row_id: int) -> None:
    """Forget what a device was told and what it agreed to; what an administrator decided about it stays."""
    for table in ("device_state", "device_value", "device_send", "device_aside"):
        tx.execute(f"DELETE FROM {table} WHERE device = ?", (device_row_id,))
    update_device(
        tx,
        device_row_id,
        policy_key=0,
        pending_policy_key=0,
        policy_hash="",
        provisioned=False,
        last_error="",
    )


def delete_device(tx: Transaction, device_row_id: int) -> None:
    """Forget a device and all that it was told; when it comes again it is new."""
    for table in ("device_state", "device_value", "device_send", "device_aside", "device_log"):
        tx.execute(f"DELETE FROM {table} WHERE device = ?", (device_row_id,))
    tx.execute("DELETE FROM device WHERE id = ?", (device_row_id,))


# State


def load_state(tx: Transaction, device_row_id: int, collection: str) -> StateRow | None:
    """Both generations of a collection's state."""
    row = tx.one(
        "SELECT collection, old_key, old, new_key, new FROM device_state WHERE device = ? AND collection = ?",
        (device_row_id, collection),
    )
    return StateRow(*row) if row else None


def save_state(
    tx: Transaction,
    device_row_id: int,
    collection: str,
    old_key: str,
    old: bytes,
    new_key: str,
    new: bytes,
    now: int,
) -> None:
    """Replace both generations. :raises NoSuchThing: the device was forgotten meanwhile."""
    if tx.one("SELECT 1 FROM device WHERE id = ?", (device_row_id,)) is None:
        raise NoSuchThing("No such device.")
    tx.execute(
        "INSERT INTO device_state (device, collection, old_key, old, new_key, new, at) VALUES (?, ?, ?, ?, "
        "?, ?, ?) ON CONFLICT (device, collection) DO UPDATE SET old_key = excluded.old_key, old = "
        "excluded.old, new_key = excluded.new_key, new = excluded.new, at = excluded.at",
        (device_row_id, clean(collection), old_key, old, new_key, new, now),
    )


def drop_state(tx: Transaction, device_row_id: int, collection: str | None = None) -> None:
    """Forget the state of one collection, or of all."""
    if collection is None:
        tx.execute("DELETE FROM device_state WHERE device = ?", (device_row_id,))
    else:
        tx.execute(
            "DELETE FROM device_state WHERE device = ? AND collection = ?", (device_row_id, collection)
        )


def forget_state(tx: Transaction, device_row_id: int, collection: str) -> None:
    """Forget the state of a collection that the device itself believes to have."""
    drop_state(tx, device_row_id, collection)
    save_value(tx, device_row_id, f"forgotten {collection}", b"1")


def is_forgotten(tx: Transaction, device_row_id: int, collection: str) -> bool:
    """Of a collection without state: was it forgotten here, rather than never asked for by the device?"""
    return load_value(tx, device_row_id, f"forgotten {collection}") is not None


def states(tx: Transaction, device_row_id: int) -> list[StateRow]:
    """The state of every collection of a device."""
    rows = tx.execute(
        "SELECT collection, old_key, old, new_key, new FROM device_state WHERE device = ? ORDER BY "
        "collection",
        (device_row_id,),
    )
    return [StateRow(*row) for row in rows]


def load_value(tx: Transaction, device_row_id: int, name: str) -> bytes | None:
    """A small value kept for a device."""
    found: bytes | None = tx.value(
        "SELECT value FROM device_value WHERE device = ? AND name = ?", (device_row_id, name)
    )
    return found


def save_value(tx: Transaction, device_row_id: int, name: str, value: bytes | None) -> None:
    """Keep a small value for a device; None forgets it."""
    if value is None:
        tx.execute("DELETE FROM device_value WHERE device = ? AND name = ?", (device_row_id, name))
    else:
        tx.execute(
            "INSERT INTO device_value (device, name, value) VALUES (?, ?, ?) "
            "ON CONFLICT (device, name) DO UPDATE SET value = excluded.value",
            (device_row_id, name, value),
        )


# Sends and items set aside


def remember_send(tx: Transaction, device_row_id: int, client_id: str, sha256: bytes, now: int) -> bool:
    """Note a send. False when the same one (ClientId and bytes) is among the device's last 20."""
    tx.execute(
        "INSERT INTO device_send (device, client_id, sha256, at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (device, client_id, sha256) DO NOTHING",
        (device_row_id, clean(client_id), sha256, now),
    )
    if tx.rowcount <= 0:
        return False
    tx.execute(
        "DELETE FROM device_send WHERE device = ? AND id <= "
        "(SELECT id FROM device_send WHERE device = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (device_row_id, device_row_id, SENDS_KEPT),
    )
    return True


def forget_sends(tx: Transaction, device_row_id: int, client_id: str) -> None:
    """Let `remember_send` know nothing more of this ClientId."""
    tx.execute(
        "DELETE FROM device_send WHERE device = ? AND client_id = ?", (device_row_id, clean(client_id))
    )


def was_sent(tx: Transaction, device_row_id: int, client_id: str, sha256: bytes) -> bool:
    """Whether `remember_send` knows this send."""
    row = tx.one(
        "SELECT 1 FROM device_send WHERE device = ? AND client_id = ? AND sha256 = ?",
        (device_row_id, clean(client_id), sha256),
    )
    return row is not None


def set_aside(
    tx: Transaction, device_row_id: int, folder_id: int, number: int, reason: str, now: int
) -> None:
    """Keep an item from a device that cannot be given it."""
    tx.execute(
        "INSERT INTO device_aside (device, folder_id, number, reason, at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (device, folder_id, number) DO UPDATE SET reason = excluded.reason, at = excluded.at",
        (device_row_id, folder_id, number, clean(reason)[:_LINE_LENGTH], now),
    )


def aside(tx: Transaction, device_row_id: int, folder_id: int | None = None) -> list[Aside]:
    """What is kept from a device, in one folder or in all."""
    sql = "SELECT device, folder_id, number, reason, at FROM device_aside WHERE device = ?"
    if folder_id is None:
        rows = tx.execute(sql + " ORDER BY folder_id, number", (device_row_id,))
    else:
        rows = tx.execute(sql + " AND folder_id = ? ORDER BY number", (device_row_id, folder_id))
    return [Aside(*row) for row in rows]


def offer_again(
    tx: Transaction, device_row_id: int, folder_id: int | None = None, number: int | None = None
) -> int:
    """Let a device have what was kept from it: everything, a folder's, or one item. :returns: how many."""
    sql, params = "DELETE FROM device_aside WHERE device = ?", [device_row_id]
    if folder_id is not None:
        sql, params = sql + " AND folder_id = ?", [*params, folder_id]
    if number is not None:
        sql, params = sql + " AND number = ?", [*params, number]
    tx.execute(sql, params)
    return max(tx.rowcount, 0)


# The log of one device, for its administrator


def log_device(tx: Transaction, device_row_id: int, line: str, now: int) -> None:
    """Add a line; the oldest of more than 200 is forgotten."""
    tx.execute(
        "INSERT INTO device_log (device, at, line) VALUES (?, ?, ?)",
        (device_row_id, now, clean(line)[:_LINE_LENGTH]),
    )
    tx.execute(
        "DELETE FROM device_log WHERE device = ? AND id <= "
        "(SELECT id FROM device_log WHERE device = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (device_row_id, device_row_id, LINES_KEPT),
    )


def device_log(tx: Transaction, device_row_id: int, limit: int) -> list[tuple[int, str]]:
    """(time, line), the newest first."""
    rows = tx.execute(
        "SELECT at, line FROM device_log WHERE device = ? ORDER BY id DESC LIMIT ?", (device_row_id, limit)
    )
    return [(row[0], row[1]) for row in rows]
