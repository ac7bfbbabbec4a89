"""The date parser of the house: any date that mail carries becomes milliseconds since the epoch, or None.

RFC 5322 3.3 and 4.3 (obsolete zones, two- and three-digit years), RFC 850 and asctime forms, ISO 8601.
No clock is read here.
"""

from __future__ import annotations

import re
from datetime import date

_EPOCH = date(1970, 1, 1).toordinal()
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONES = {"edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8,
          "cet": 1, "cest": 2, "mez": 1, "mesz": 2, "bst": 1, "eet": 2, "eest": 3, "msk": 3,
          "jst": 9}  # fmt: skip

_CLOCK = r"(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2})(?:[.,]\d{1,9})?)?(?:[ \t]*([AaPp])[Mm]\b)?"
_ZONE = r"(?:[ \t]*(?:GMT|UTC|UT)?([+-]\d{1,2}:?\d{2}|[A-Za-z]{1,5})?)"
_RFC = re.compile(
    r"(\d{1,2})[ \t\-.]*([A-Za-z]{3})[A-Za-z]*[ \t\-.,]*(\d{4}|\d{2,3})(?:,?[ \t]+" + _CLOCK + _ZONE + ")?"
)
_ASCTIME = re.compile(
    r"([A-Za-z]{3})[a-z]*\.?[ \t]+(\d{1,2}),?[ \t]+(?:(\d{4})[ \t]+)?"
    + _CLOCK
    + r"(?:[ \t]*([A-Za-z]{1,5}|[+-]\d{4}))?(?:[ \t]+(\d{4}))?"
)
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T \t]+" + _CLOCK + _ZONE + ")?")
_COMMENT = re.compile(r"\([^()]*\)")
_COLON = re.compile(r"[ \t]*:[ \t]*")
_BREAK = re.compile(r"\s+")


def _zone_minutes(zone: str | None) -> int:
    if not zone:
        return 0
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "").rjust(4, "0")
        hours, minutes = int(digits[:-2]), int(digits[-2:])
        if hours > 23 or minutes > 59:
            return 0
        return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)
    # RFC 5322 4.3: military zones and unknown names count as UTC.
    return _ZONES.get(zone.lower(), 0) * 60


def _year(text: str) -> int:
    year = int(text)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(text) == 3 else year


def _moment(
    year: int,
    month: int,
    day: int,
    clock: tuple[str | None, str | None, str | None, str | None],
    zone: str | None,
) -> int | None:
    if not 1900 <= year <= 9999:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    hour, minute, second = (int(part or 0) for part in clock[:3])
    half = clock[3]
    if half:
        hour = hour % 12 + (12 if half in "Pp" else 0)
    if hour > 23 or minute > 59 or second > 60:
        return None
    seconds = days * 86400 + hour * 3600 + minute * 60 + min(second, 59) - _zone_minutes(zone) * 60
    return seconds * 1000


def parse_date(value: str | bytes) -> int | None:
    """Milliseconds since the epoch (UTC) of a Date header or of something like one; None for garbage.

    A date without zone counts as UTC. Years before 1900 (RFC 5322 3.3) are garbage.
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    text = text[:200]
    if "(" in text or "\n" in text or " :" in text or ": " in text:
        text = _COLON.sub(":", _COMMENT.sub(" ", _BREAK.sub(" ", text)))
    match = _RFC.search(text)
    if match is not None:
        day, name, year, *clock, zone = match.groups()
        month = _MONTHS.get(name.lower())
        if month is not None:
            return _moment(_year(year), month, int(day), (clock[0], clock[1], clock[2], clock[3]), zone)
    match = _ISO.search(text)
    if match is not None:
        year, number, day, *clock, zone = match.groups()
        return _moment(int(year), int(number), int(day), (clock[0], clock[1], clock[2], clock[3]), zone)
    for match in _ASCTIME.finditer(text):
        name, day, early, *clock, zone, late = match.groups()
        month = _MONTHS.get(name.lower())
        year = late or early
        if month is not None and year:
            return _moment(int(year), month, int(day), (clock[0], clock[1], clock[2], clock[3]), zone)
    return None


def format_date(ms: int) -> str:
    """The Date header of a moment, in UTC (RFC 5322 3.3)."""
    seconds = ms // 1000
    days, rest = divmod(seconds, 86400)
    day = date.fromordinal(days + _EPOCH)
    return (
        f"{_DAY_NAMES[day.weekday()]}, {day.day:02d} {_MONTH_NAMES[day.month - 1]} {day.year:04d} "
        f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d} +0000"
    )
