"""A mailbox's map of named properties to ids (MS-OXCPRPT 3.2.5.10): an id means the same for ever."""

from __future__ import annotations

from posthouse.errors import OverQuota
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = ["named_property", "property_name"]

_FIRST, _LAST = 0x8000, 0xFFFE


def named_property(tx: Transaction, mailbox_id: int, guid: bytes, name: str, *, create: bool = False) -> int:
    """The id of a name in a property set, 0 when it has none.

    :param name: the string name, or "0x0000820D" for a numeric one. :param create: give it the next id.
    :raises OverQuota: no id is left.
    """
    found = tx.value(
        "SELECT property FROM named_property WHERE mailbox_id = ? AND guid = ? AND name = ?",
        (mailbox_id, guid, clean(name)),
    )
    if found is not None or not create:
        return int(found or 0)
    following = tx.value(
        "SELECT coalesce(max(property) + 1, ?) FROM named_property WHERE mailbox_id = ?", (_FIRST, mailbox_id)
    )
    if following > _LAST:
        raise OverQuota("The mailbox has no room for more named properties.")
    tx.execute(
        "INSERT INTO named_property (mailbox_id, property, guid, name) VALUES (?, ?, ?, ?)",
        (mailbox_id, following, guid, clean(name)),
    )
    return int(following)


def property_name(tx: Transaction, mailbox_id: int, property: int) -> tuple[bytes, str] | None:
    """(property set, name) of an id."""
    row = tx.one(
        "SELECT guid, name FROM named_property WHERE mailbox_id = ? AND property = ?", (mailbox_id, property)
    )
    return (row[0], row[1]) if row else None
