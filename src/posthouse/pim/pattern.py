"""A recurrence rule as the pattern that Outlook and phones know.

Promise: of a rule that has no such pattern, the nearest one is given; numbers are in the ranges of MS-ASCAL and
MS-ASEMAIL (2.2.2.60 and its children). RFC 5545 3.3.10.
"""

from __future__ import annotations

import re
from datetime import datetime

from attrs import frozen

from posthouse.pim.zones import DAYS, read_moment

DAILY, WEEKLY, MONTHLY, MONTHLY_NTH, YEARLY, YEARLY_NTH = 0, 1, 2, 3, 5, 6

_DAY = re.compile(r"([+-]?\d{1,2})?(SU|MO|TU|WE|TH|FR|SA)")
_EVERY_DAY = 0b1111111


@frozen
class Pattern:
    """:ivar type: 0 daily, 1 weekly, 2 and 3 monthly (day; nth weekday), 5 and 6 yearly.
    :ivar days: sum of 1 (Sunday) to 64 (Saturday). :ivar week: 1-4, 5 for the last.
    :ivar until: as written, with its Z when it is UTC; "" for none. :ivar first_day: 0 is Sunday.
    """

    type: int
    interval: int = 1
    days: int = 0
    day: int = 0
    week: int = 0
    month: int = 0
    count: int = 0
    until: datetime | None = None
    until_utc: bool = False
    first_day: int = 1


def read_pattern(rule: str, start: datetime) -> Pattern | None:
    """The pattern of an RRULE.

    :param start: the local start of the first one, which says what the rule leaves out.
    :return: None for a rule of hours, minutes or nothing known.
    """
    parts = {
        name.strip().upper(): value.strip().upper()
        for name, _, value in (part.partition("=") for part in rule[:2000].split(";"))
    }
    until = read_moment(parts.get("UNTIL", ""))
    first_day = parts.get("WKST", "MO")
    interval = _number(parts.get("INTERVAL", ""), 1, 999) or 1
    count = _number(parts.get("COUNT", ""), 1, 999)
    days, nth = _days(parts)
    shape = _shape(parts.get("FREQ", ""), parts, days, nth, start)
    if shape is None:
        return None
    kind, mask, day, week, month = shape
    return Pattern(
        kind,
        interval,
        mask,
        day,
        week,
        month,
        count,
        until.local if until is not None else None,
        until is not None and until.utc,
        DAYS.index(first_day) if first_day in DAYS else 1,
    )


def _number(text: str, least: int, most: int) -> int:
    try:
        return min(most, max(least, int(text[:9])))
    except ValueError:
        return 0


def _days(parts: dict[str, str]) -> tuple[int, int]:
    """:return: the mask, and which of them in its month (negative from its end, 0 for all)."""
    mask = nth = 0
    for text in parts.get("BYDAY", "").split(",")[:70]:
        found = _DAY.fullmatch(text.strip())
        if found is not None:
            mask |= 1 << DAYS.index(found[2])
            nth = nth or int(found[1] or 0)
    if not nth:
        nth = _first(parts.get("BYSETPOS", ""))
    return mask, nth


def _first(numbers: str) -> int:
    try:
        return int(numbers.partition(",")[0][:4])
    except ValueError:
        return 0


def _shape(
    frequency: str, parts: dict[str, str], days: int, nth: int, start: datetime
) -> tuple[int, int, int, int, int] | None:
    """:return: type, mask, day of the month, week, month."""
    own_day = 1 << start.isoweekday() % 7
    if frequency == "DAILY":
        # "Every weekday" is a week's pattern there.
        return (WEEKLY, days, 0, 0, 0) if days and days != _EVERY_DAY else (DAILY, 0, 0, 0, 0)
    if frequency == "WEEKLY":
        return WEEKLY, days or own_day, 0, 0, 0
    if frequency not in ("MONTHLY", "YEARLY"):
        return None
    yearly = frequency == "YEARLY"
    month = min(12, max(1, _first(parts.get("BYMONTH", "")) or start.month)) if yearly else 0
    day = _first(parts.get("BYMONTHDAY", ""))
    if days and (nth or not day):
        week = nth or (start.day - 1) // 7 + 1
        return (YEARLY_NTH if yearly else MONTHLY_NTH), days, 0, _week(week), month
    if day < 0:
        # "The last day" is the last one of any weekday.
        return (YEARLY_NTH if yearly else MONTHLY_NTH), _EVERY_DAY, 0, 5, month
    return (YEARLY if yearly else MONTHLY), 0, min(31, day or start.day), 0, month


def _week(nth: int) -> int:
    return min(5, nth) if nth > 0 else 5 if nth == -1 else 4
