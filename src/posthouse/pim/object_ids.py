"""The id of a meeting, between iCalendar's UID and the structure that Outlook knows.

MS-ASEMAIL 2.2.2.37 (GlobalObjId), 3.1.4.7 (and back); MS-OXOCAL 2.2.1.27.
"""

from __future__ import annotations

import struct
from datetime import date

_CLASS = bytes.fromhex("040000008200E00074C5B7101A82E008")
_MARK = b"vCal-Uid\x01\0\0\0"
_MOST_UID = 2000


def global_object_id(uid: str, instance: date | None = None) -> bytes:
    """The structure for a meeting.

    :param instance: the day of the one instance that is meant, of a meeting that recurs.
    """
    day = (
        struct.pack(">HBB", instance.year, instance.month, instance.day) if instance is not None else bytes(4)
    )
    known = _outlook(uid)
    if known is not None:
        return known[:16] + (day if instance is not None else known[16:20]) + known[20:]
    data = _MARK + uid[:_MOST_UID].encode("utf-8", "replace") + b"\0"
    return _CLASS + day + bytes(16) + struct.pack("<I", len(data)) + data


def _outlook(uid: str) -> bytes | None:
    """A UID that is itself such a structure, written in hexadecimal."""
    if len(uid) < 80 or len(uid) > _MOST_UID or not uid.upper().startswith(_CLASS.hex().upper()):
        return None
    try:
        data = bytes.fromhex(uid)
    except ValueError:
        return None
    return data if struct.unpack_from("<I", data, 36)[0] == len(data) - 40 else None
