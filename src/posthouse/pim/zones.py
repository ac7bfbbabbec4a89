"""Local times become points in time, and zones the 172 bytes that ActiveSync calls TimeZone.

Promise: a calendar's own VTIMEZONE counts first, a zone's name second, and what is known by neither is UTC; no rule
of a zone is followed further than two years. RFC 5545 3.3.5 (forms of date-time), 3.6.5 (VTIMEZONE); MS-ASDTYPE
2.7.6 (TimeZone), MS-DTYP 2.3.13 (SYSTEMTIME).
"""

from __future__ import annotations

import re
import struct
from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from attrs import frozen

from posthouse.pim.ical import Component, Property

_MOMENT = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[Tt](\d\d):?(\d\d):?(\d\d)?(?:\.\d+)?)?([Zz]?)")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d):?(\d\d)?")
_BYDAY = re.compile(r"([+-]?\d{1,2})?(SU|MO|TU|WE|TH|FR|SA)")
DAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")

#: Observances of one zone that are looked at, and dates of all of them together.
_MOST = 100
_MOST_DATES = 300

#: Some that write no VTIMEZONE name their zones as Windows does.
_WINDOWS = {
    "UTC": "UTC", "GMT STANDARD TIME": "Europe/London", "GREENWICH STANDARD TIME": "Atlantic/Reykjavik",
    "W. EUROPE STANDARD TIME": "Europe/Berlin", "ROMANCE STANDARD TIME": "Europe/Paris",
    "CENTRAL EUROPE STANDARD TIME": "Europe/Budapest", "CENTRAL EUROPEAN STANDARD TIME": "Europe/Warsaw",
    "E. EUROPE STANDARD TIME": "Europe/Chisinau", "GTB STANDARD TIME": "Europe/Bucharest",
    "FLE STANDARD TIME": "Europe/Kyiv", "RUSSIAN STANDARD TIME": "Europe/Moscow",
    "TURKEY STANDARD TIME": "Europe/Istanbul", "ISRAEL STANDARD TIME": "Asia/Jerusalem",
    "INDIA STANDARD TIME": "Asia/Kolkata", "CHINA STANDARD TIME": "Asia/Shanghai",
    "TOKYO STANDARD TIME": "Asia/Tokyo", "AUS EASTERN STANDARD TIME": "Australia/Sydney",
    "NEW ZEALAND STANDARD TIME": "Pacific/Auckland", "EASTERN STANDARD TIME": "America/New_York",
    "CENTRAL STANDARD TIME": "America/Chicago", "MOUNTAIN STANDARD TIME": "America/Denver",
    "PACIFIC STANDARD TIME": "America/Los_Angeles", "ATLANTIC STANDARD TIME": "America/Halifax",
    "E. SOUTH AMERICA STANDARD TIME": "America/Sao_Paulo",
}  # fmt: skip


@frozen
class Moment:
    """A date or a date with a time, as written.

    :ivar local: without zone. :ivar zone: TZID, "" for none. :ivar utc: it was written with a Z.
    :ivar day: it is a date alone.
    """

    local: datetime
    zone: str = ""
    utc: bool = False
    day: bool = False


def read_moment(value: str, zone: str = "") -> Moment | None:
    """A DATE or DATE-TIME; None when it is neither."""
    found = _MOMENT.match(value.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, ending = found.groups()
    try:
        # A leap second is as good as the one before.
        local = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(59, int(second or 0))
        )
    except ValueError:
        return None
    return Moment(local, zone, bool(ending), hour is None)


def moment_of(found: Property | None) -> Moment | None:
    """The value of DTSTART and its like."""
    return read_moment(found.value, found.params.get("TZID", "").strip()) if found is not None else None


def milliseconds(utc: datetime) -> int:
    """A naive UTC time as milliseconds since the epoch."""
    return (utc - datetime(1970, 1, 1)) // timedelta(milliseconds=1)


@frozen
class Onset:
    """One observance: since when, by which rule again, and what it changes (minutes east of UTC)."""

    start: datetime
    before: int
    after: int
    daylight: bool
    name: str = ""
    month: int = 0
    week: int = 0  # 1-4, 5 for the last one
    weekday: int = 0  # 0 is Sunday
    until: int = 9999
    more: tuple[datetime, ...] = ()

    def within(self, year: int) -> datetime | None:
        """When it sets in that year."""
        if not self.month:
            times = [one for one in (self.start, *self.more) if one.year == year]
            return max(times) if times else None
        if year < self.start.year or year > self.until:
            return None
        day = nth_weekday(year, self.month, self.week, self.weekday)
        return self.start.replace(year=year, month=self.month, day=day)


def nth_weekday(year: int, month: int, week: int, weekday: int) -> int:
    """The day of the month; a fifth week that is not there is the last one."""
    first, length = monthrange(year, month)
    # monthrange counts from Monday.
    day = 1 + (weekday - (first + 1)) % 7 + (week - 1) * 7
    while day > length:
        day -= 7
    return day


@frozen
class Zone:
    """The observances of one VTIMEZONE."""

    onsets: tuple[Onset, ...]

    def offset(self, local: datetime) -> int:
        """Minutes east of UTC at a local time."""
        best: tuple[datetime, Onset] | None = None
        for onset in self.onsets:
            for year in (local.year, local.year - 1):
                at = onset.within(year) if year > 0 else None
                if at is not None and at <= local:
                    if best is None or at > best[0]:
                        best = at, onset
                    break
            else:
                # Long ago, and nothing since.
                if onset.start <= local and (best is None or onset.start > best[0]) and not onset.month:
                    best = onset.start, onset
        if best is not None:
            return best[1].after
        return min(self.onsets, key=lambda one: one.start).before if self.onsets else 0

    def blob(self, local: datetime) -> bytes:
        """The rules in force at a local time, as 172 bytes."""
        standard = self._current(local, False)
        daylight = self._current(local, True)
        if standard is None:
            return fixed_blob(self.offset(local))
        if daylight is None or not daylight.month or not standard.month:
            return fixed_blob(standard.after if daylight is None else self.offset(local), standard.name)
        return pack_zone(
            -standard.after,
            standard.name,
            (standard.month, standard.weekday, standard.week, standard.start.hour, standard.start.minute),
            daylight.name,
            (daylight.month, daylight.weekday, daylight.week, daylight.start.hour, daylight.start.minute),
            standard.after - daylight.after,
        )

    def _current(self, local: datetime, daylight: bool) -> Onset | None:
        """Of one kind the observance in force; one that ended years ago is none."""
        best: tuple[datetime, Onset] | None = None
        for onset in self.onsets:
            if onset.daylight != daylight:
                continue
            times = [onset.within(year) for year in (local.year, local.year - 1) if year > 0]
            at = next((one for one in times if one is not None and one <= local), None)
            if at is None and not daylight and onset.start <= local:
                at = onset.start
            if at is not None and (best is None or at > best[0]):
                best = at, onset
        return best[1] if best is not None else None


def pack_zone(
    bias: int,
    standard: str,
    to_standard: tuple[int, int, int, int, int],
    daylight: str,
    to_daylight: tuple[int, int, int, int, int],
    daylight_bias: int,
) -> bytes:
    """MS-ASDTYPE 2.7.6; transitions are (month, day of the week, week, hour, minute), biases are minutes."""
    return struct.pack(
        "<i64s8Hi64s8Hi",
        bias,
        _name(standard),
        *_system_time(to_standard),
        0,
        _name(daylight),
        *_system_time(to_daylight),
        daylight_bias,
    )


def _system_time(when: tuple[int, int, int, int, int]) -> tuple[int, ...]:
    month, weekday, week, hour, minute = when
    return (0, month, weekday, week, hour, minute, 0, 0)


def _name(text: str) -> bytes:
    # 32 WCHARs, the last of them a NUL; no surrogate pair is cut in two.
    return text[:31].encode("utf-16-le", "replace")[:62].ljust(64, b"\0")


def fixed_blob(offset: int, name: str = "") -> bytes:
    """A zone without summer time. :param offset: minutes east of UTC."""
    none = (0, 0, 0, 0, 0)
    return pack_zone(-offset, name or ("UTC" if not offset else ""), none, "", none, 0)


def read_zone(component: Component) -> Zone | None:
    """A VTIMEZONE; None when there is nothing in it."""
    onsets: list[Onset] = []
    dates = _MOST_DATES
    for child in component.children[:_MOST]:
        start = moment_of(child.first("DTSTART"))
        after = _minutes(child.value("TZOFFSETTO"))
        if start is None or after is None or child.name not in ("STANDARD", "DAYLIGHT"):
            continue
        before = _minutes(child.value("TZOFFSETFROM"))
        onsets.append(_onset(child, start.local, after if before is None else before, after, dates))
        dates -= len(onsets[-1].more)
    return Zone(tuple(onsets)) if onsets else None


def _onset(child: Component, start: datetime, before: int, after: int, most: int) -> Onset:
    """:param most: dates that are read."""
    rule = dict(
        part.partition("=")[::2] for part in child.value("RRULE").replace(" ", "").split(";")[:20] if part
    )
    named = child.first("TZNAME")
    name = named.text[:31] if named is not None else ""
    daylight = child.name == "DAYLIGHT"
    if rule.get("FREQ") == "YEARLY":
        week, weekday = _week(rule, start)
        month = rule.get("BYMONTH", "")
        until = read_moment(rule.get("UNTIL", ""))
        return Onset(
            start,
            before,
            after,
            daylight,
            name,
            int(month) if month.isdecimal() and 1 <= int(month[:3]) <= 12 else start.month,
            week,
            weekday,
            until.local.year if until is not None else 9999,
        )
    written = ",".join(found.value for found in child.all("RDATE")[:5]) if most > 0 else ""
    dates = [read_moment(one) for one in written.split(",", most)[:most]]
    return Onset(
        start, before, after, daylight, name, more=tuple(one.local for one in dates if one is not None)
    )


def _week(rule: dict[str, str], start: datetime) -> tuple[int, int]:
    """:return: which week (5 is the last) and which weekday (0 is Sunday)."""
    found = _BYDAY.fullmatch(rule.get("BYDAY", ""))
    if found is None:
        return (start.day - 1) // 7 + 1, start.isoweekday() % 7
    weekday = DAYS.index(found[2])
    if found[1]:
        number = int(found[1])
        return (5 if number == -1 else 4) if number < 0 else min(5, max(1, number)), weekday
    # "The Sunday on or after the 8th", as some write the second one.
    days = [int(one) for one in rule.get("BYMONTHDAY", "").split(",") if one.isdecimal() and len(one) < 3]
    first = min(days) if days else start.day
    return min(5, (first - 1) // 7 + 1), weekday


def _minutes(value: str) -> int | None:
    found = _OFFSET.fullmatch(value)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return minutes if found[1] == "+" else -minutes


class Zones:
    """The zones of one calendar; one is read when a moment names it, since most calendars carry more than they use."""

    def __init__(self, components: Iterable[Component] = ()) -> None:
        self._written: dict[str, Component] = {}
        self._read: dict[str, Zone | None] = {}
        for component in list(components)[:50]:
            named = component.first("TZID")
            if named is not None and component.children:
                self._written.setdefault(named.value.strip().strip('"'), component)

    @property
    def only(self) -> str:
        """The name of the one zone that there is; "" for several or none."""
        return next(iter(self._written)) if len(self._written) == 1 else ""

    def _zone(self, name: str) -> Zone | None:
        if name not in self._read:
            component = self._written.get(name)
            self._read[name] = read_zone(component) if component is not None else None
        return self._read[name]

    def utc(self, moment: Moment) -> datetime:
        """A moment in UTC, naive; without a zone it counts as UTC, a date alone as its first minute."""
        if moment.utc:
            return moment.local
        try:
            return moment.local - timedelta(minutes=self._offset(moment))
        except OverflowError:
            return moment.local

    def _offset(self, moment: Moment) -> int:
        zone = self._zone(moment.zone)
        if zone is not None:
            return zone.offset(moment.local)
        known = _by_name(moment.zone)
        return _known_offset(known, moment.local) if known is not None else 0

    def blob(self, moment: Moment) -> bytes:
        """The zone of a moment as 172 bytes."""
        zone = self._zone(moment.zone)
        if zone is not None:
            return zone.blob(moment.local)
        known = None if moment.utc else _by_name(moment.zone)
        return _known_blob(known, moment.local) if known is not None else fixed_blob(0)


def _by_name(name: str) -> ZoneInfo | None:
    if not name or len(name) > 60 or name.startswith(("/", ".")):
        return None
    try:
        return ZoneInfo(_WINDOWS.get(name.upper(), name))
    except (KeyError, ValueError, OSError):
        return None


def _known_offset(zone: ZoneInfo, local: datetime) -> int:
    try:
        found = local.replace(tzinfo=zone).utcoffset()
    except (OverflowError, ValueError):
        return 0
    return int(found.total_seconds() // 60) if found is not None else 0


def _known_blob(zone: ZoneInfo, local: datetime) -> bytes:
    """Its two changes in that year, as "the nth weekday of a month"."""
    turns = _turns(zone, local.year)
    if len(turns) != 2 or turns[0][2] == turns[1][2]:
        return fixed_blob(_known_offset(zone, local))
    spring, autumn = sorted(turns, key=lambda turn: turn[1] - turn[2])
    return pack_zone(-autumn[2], "", _turn(autumn[0]), "", _turn(spring[0]), autumn[2] - spring[2])


@lru_cache(maxsize=100)
def _turns(zone: ZoneInfo, year: int) -> tuple[tuple[datetime, int, int], ...]:
    """When its offset changes: the local time before, the offset before and after."""
    found: list[tuple[datetime, int, int]] = []
    try:
        at = datetime(year, 1, 1, tzinfo=UTC)
        before = _utc_offset(zone, at)
        # No zone changes twice within a week.
        for _ in range(53):
            then = at + timedelta(days=7)
            after = _utc_offset(zone, then)
            if after != before:
                while then - at > timedelta(minutes=1):
                    middle = at + (then - at) / 2
                    at, then = (at, middle) if _utc_offset(zone, middle) != before else (middle, then)
                moment = then.replace(second=0, microsecond=0)
                if moment.year != year:
                    break
                found.append((moment.replace(tzinfo=None) + timedelta(minutes=before), before, after))
                at, before = moment, after
            at = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=7)
    except (OverflowError, ValueError):
        return ()
    return tuple(found)


def _utc_offset(zone: ZoneInfo, at: datetime) -> int:
    found = at.astimezone(zone).utcoffset()
    return int(found.total_seconds() // 60) if found is not None else 0


def _turn(local: datetime) -> tuple[int, int, int, int, int]:
    week = (local.day - 1) // 7 + 1
    last = local.day + 7 > monthrange(local.year, local.month)[1]
    return local.month, local.isoweekday() % 7, 5 if last else week, local.hour, local.minute
