"""What an invitation (or what follows it) says: one value out of its iCalendar text.

Promise: whatever the text, either everything that a meeting must have is there, or it is `Malformed`; the series is
read rather than one of its exceptions. RFC 5545 3.6.1, RFC 5546 (methods), MS-OXCICAL 2.1.3.1 (Microsoft's own
properties).
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from attrs import frozen

from posthouse.errors import Malformed
from posthouse.pim.ical import Component, Property, read_ical
from posthouse.pim.pattern import Pattern, read_pattern
from posthouse.pim.zones import Moment, Zones, milliseconds, moment_of

_MOST_TEXT = 2000
_DURATION = re.compile(
    r"([+-])?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?"
)
_BUSY = {"FREE": 0, "TENTATIVE": 1, "BUSY": 2, "OOF": 3, "WORKINGELSEWHERE": 4}
_SENSITIVITY = {"PUBLIC": 0, "X-PERSONAL": 1, "PRIVATE": 2, "CONFIDENTIAL": 3}

#: The properties that are looked at, of events, alarms and zones.
_READ = frozenset(
    (
        "METHOD", "UID", "DTSTART", "DTEND", "DURATION", "DTSTAMP", "SUMMARY", "LOCATION", "GEO",
        "ORGANIZER", "ATTENDEE", "SEQUENCE", "RRULE", "RDATE", "CLASS", "RECURRENCE-ID", "TRANSP",
        "STATUS", "TRIGGER", "TZID", "TZNAME", "TZOFFSETFROM", "TZOFFSETTO", "X-MICROSOFT-CDO-ALLDAYEVENT",
        "X-MICROSOFT-CDO-BUSYSTATUS", "X-MICROSOFT-CDO-INTENDEDSTATUS", "X-MICROSOFT-DISALLOW-COUNTER",
    )
)  # fmt: skip


@frozen
class Invitation:
    """A meeting. Times are milliseconds since the epoch.

    :ivar zone: 172 bytes (MS-ASDTYPE 2.7.6). :ivar instance: which one of a series this is about.
    :ivar instance_day: the same as it stands in the organizer's calendar.
    :ivar reminder: seconds before the start, None for none. :ivar proposed: start and end of a counter proposal.
    :ivar day: on which it begins, when it has no time. :ivar attendees: addresses of the first hundred.
    """

    method: str
    uid: str
    start: int
    end: int
    zone: bytes
    all_day: bool = False
    stamp: int | None = None
    summary: str = ""
    location: str = ""
    latitude: float | None = None
    longitude: float | None = None
    organizer: str = ""
    organizer_name: str = ""
    sequence: int = 0
    pattern: Pattern | None = None
    until: int | None = None
    instance: int | None = None
    instance_day: datetime | None = None
    reminder: int | None = None
    response_requested: bool = False
    sensitivity: int = 0
    busy: int = 2
    disallow_counter: bool = False
    proposed: tuple[int, int] | None = None
    day: date | None = None
    attendees: tuple[str, ...] = ()


def read_invitation(text: str) -> Invitation:
    """:raises Malformed: no iCalendar, or no event in it that has an id and a start."""
    calendar = read_ical(text, _READ)
    zones = Zones(calendar.inner("VTIMEZONE"))
    event = _event(calendar)
    method = calendar.value("METHOD")
    named = event.first("UID")
    begins = moment_of(event.first("DTSTART"))
    if named is None or not named.value.strip() or begins is None:
        raise Malformed(cause="an event without UID or DTSTART")
    if begins.day and not begins.zone:
        begins = Moment(begins.local, zones.only, day=True)
    ends = _end(event, begins)
    start = zones.utc(begins)
    end = max(start, zones.utc(ends))
    pattern = None
    rule = event.first("RRULE")
    if rule is not None:
        pattern = read_pattern(rule.value, begins.local)
    which = moment_of(event.first("RECURRENCE-ID"))
    if which is not None and which.day:
        which = _at(which, begins)
    organizer = event.first("ORGANIZER")
    stamp = moment_of(event.first("DTSTAMP"))
    latitude, longitude = _place(event.first("GEO"))
    return Invitation(
        method=method,
        uid=named.value.strip()[:_MOST_TEXT],
        start=milliseconds(start),
        end=milliseconds(end),
        zone=zones.blob(begins),
        all_day=_all_day(event, begins, start, end),
        stamp=milliseconds(zones.utc(stamp)) if stamp is not None else None,
        summary=_text(event.first("SUMMARY")),
        location=_text(event.first("LOCATION")),
        latitude=latitude,
        longitude=longitude,
        organizer=_address(organizer),
        organizer_name=organizer.params.get("CN", "").strip()[:250] if organizer is not None else "",
        sequence=_count(event.value("SEQUENCE")),
        pattern=pattern,
        until=_until(pattern, begins, zones),
        instance=milliseconds(zones.utc(which)) if which is not None else None,
        instance_day=which.local if which is not None else None,
        reminder=_reminder(event, start, end, zones),
        response_requested=any(
            one.params.get("RSVP", "").strip().upper() == "TRUE" for one in event.all("ATTENDEE")
        ),
        sensitivity=_SENSITIVITY.get(event.value("CLASS"), 0),
        busy=_busy(event, method),
        disallow_counter=event.value("X-MICROSOFT-DISALLOW-COUNTER") == "TRUE",
        proposed=(milliseconds(start), milliseconds(end)) if method == "COUNTER" else None,
        day=begins.local.date() if begins.day else None,
        attendees=tuple(_address(one) for one in event.all("ATTENDEE")),
    )


def _event(calendar: Component) -> Component:
    """The series, or else the first event."""
    events = calendar.inner("VEVENT")
    for event in events:
        if event.first("RECURRENCE-ID") is None:
            return event
    if not events:
        raise Malformed(cause="a calendar without an event")
    return events[0]


def _text(found: Property | None) -> str:
    return " ".join(found.text[:_MOST_TEXT].split()) if found is not None else ""


def _address(found: Property | None) -> str:
    if found is None:
        return ""
    scheme, colon, address = found.value.strip().partition(":")
    if colon and scheme.lower() != "mailto":
        # Some say who it is in a parameter (RFC 5545 3.8.4.3 leaves the value open).
        return found.params.get("EMAIL", "").strip()[:320]
    return (address if colon else scheme).strip()[:320]


def _end(event: Component, begins: Moment) -> Moment:
    """DTEND, or DTSTART and DURATION; RFC 5545 3.6.1 says how long it takes otherwise."""
    ends = moment_of(event.first("DTEND"))
    if ends is not None:
        return Moment(ends.local, ends.zone or ("" if ends.utc else begins.zone), ends.utc, ends.day)
    length = _duration(event.value("DURATION"))
    if length is None:
        length = timedelta(days=1) if begins.day else timedelta()
    return Moment(_plus(begins.local, max(length, timedelta())), begins.zone, begins.utc, begins.day)


def _plus(when: datetime, length: timedelta) -> datetime:
    try:
        return when + length
    except OverflowError:
        return when


def _at(which: Moment, begins: Moment) -> Moment:
    """A day alone names the one that begins on it (MS-ASEMAIL R1493)."""
    local = which.local.replace(
        hour=begins.local.hour, minute=begins.local.minute, second=begins.local.second
    )
    return Moment(local, which.zone or begins.zone, begins.utc)


def _all_day(event: Component, begins: Moment, start: datetime, end: datetime) -> bool:
    if begins.day:
        return True
    if event.value("X-MICROSOFT-CDO-ALLDAYEVENT") != "TRUE":
        return False
    midnight = begins.local.hour == begins.local.minute == 0
    return midnight and end - start >= timedelta(hours=23)


def _until(pattern: Pattern | None, begins: Moment, zones: Zones) -> int | None:
    """The end of a series in UTC; a day alone means the one that begins on it."""
    if pattern is None or pattern.until is None:
        return None
    if pattern.until_utc:
        return milliseconds(pattern.until)
    local = pattern.until
    if local.hour == local.minute == local.second == 0:
        local = local.replace(hour=begins.local.hour, minute=begins.local.minute, second=begins.local.second)
    return milliseconds(zones.utc(Moment(local, begins.zone, begins.utc)))


def _duration(value: str) -> timedelta | None:
    found = _DURATION.fullmatch(value)
    if found is None:
        return None
    weeks, days, hours, minutes, seconds = (int(piece or 0) for piece in found.groups()[1:])
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] == "-" else length


def _reminder(event: Component, start: datetime, end: datetime, zones: Zones) -> int | None:
    """Seconds from the first alarm to the start."""
    for alarm in event.inner("VALARM")[:10]:
        trigger = alarm.first("TRIGGER")
        if trigger is None:
            continue
        length = _duration(trigger.value.strip().upper())
        if length is not None:
            at = _plus(end if trigger.params.get("RELATED", "").upper() == "END" else start, length)
        else:
            moment = moment_of(trigger)
            if moment is None:
                continue
            at = zones.utc(moment)
        return max(0, int((start - at).total_seconds()))
    return None


def _busy(event: Component, method: str) -> int:
    """What the time becomes when the invitation is accepted: the organizer's intent before the present state."""
    for name in ("X-MICROSOFT-CDO-INTENDEDSTATUS", "X-MICROSOFT-CDO-BUSYSTATUS"):
        value = _BUSY.get(event.value(name))
        if value is not None:
            return value
    if method == "CANCEL" or event.value("TRANSP") == "TRANSPARENT":
        return 0
    return 1 if event.value("STATUS") == "TENTATIVE" else 2


def _place(found: Property | None) -> tuple[float | None, float | None]:
    if found is None:
        return None, None
    latitude, _, longitude = found.value.partition(";")
    try:
        north, east = float(latitude[:30]), float(longitude[:30])
    except ValueError:
        return None, None
    return (north, east) if abs(north) <= 90 and abs(east) <= 180 else (None, None)


def _count(value: str) -> int:
    return int(value[:9]) if value[:9].isdecimal() and value.isascii() else 0
