"""Points in time, as ActiveSync writes them (MS-ASDTYPE 2.3).

Promise: mail and tasks use the dashed form with milliseconds; both forms are read, anything else is status
104.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from posthouse.eas.statuses import Status, StatusError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE = datetime(1970, 1, 1)
_LEAST = -62135596800000
_MOST = 253402300799999

_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,7}))?Z|(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z"
)


def write_moment(moment: int) -> str:
    """Milliseconds since the epoch as "2026-07-29T19:25:37.817Z"."""
    day, rest = divmod(min(max(moment, _LEAST), _MOST), 86_400_000)
    second, fraction = divmod(rest, 1000)
    minute, second = divmod(second, 60)
    return f"{_day(day)}T{minute // 60:02}:{minute % 60:02}:{second:02}.{fraction:03}Z"


@lru_cache(4096)
def _day(number: int) -> str:
    """A date; mailboxes have few of them. :param number: days since the epoch."""
    return (_NAIVE + timedelta(days=number)).date().isoformat()


def read_moment(text: str, status: int = Status.INVALID_DATE_TIME) -> int:
    """Milliseconds since the epoch.

    :raises StatusError: no date, with ``status``.
    """
    found = _FORM.fullmatch(text.strip())
    if found is not None:
        pieces = found.groups()
        year, month, day, hour, minute, second = (
            int(piece) for piece in (pieces[:6] if pieces[0] else pieces[7:])
        )
        fraction = int(((pieces[6] or "0") + "000")[:3])
        try:
            when = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            pass
        else:
            return (when - _EPOCH) // timedelta(milliseconds=1) + fraction
    raise StatusError(status, f"no date: {text[:40]!r}")
