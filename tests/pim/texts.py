"""Invitations as Outlook, Google, Apple and others write them."""

from __future__ import annotations

BERLIN = """BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""

EVENT = """DTSTART;TZID=W. Europe Standard Time:20260701T140000
DTEND;TZID=W. Europe Standard Time:20260701T150000
UID:meeting-1@example.org
DTSTAMP:20260620T080000Z
SUMMARY:Plans
ORGANIZER;CN="Ann Onym":mailto:ann@example.org
ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Bob:mailto:bob
 @example.org
LOCATION:Room 7\\, second floor
"""


def calendar(*more: str, event: str = EVENT, method: str = "REQUEST", zones: str = BERLIN) -> str:
    """A VCALENDAR with one event, lines ending in CRLF."""
    text = (
        f"BEGIN:VCALENDAR\nMETHOD:{method}\nPRODID:-//x//EN\nVERSION:2.0\n{zones}BEGIN:VEVENT\n{event}"
        + "".join(f"{line}\n" for line in more)
        + "END:VEVENT\nEND:VCALENDAR\n"
    )
    return text.replace("\n", "\r\n")


def mail(text: str, method: str = "REQUEST") -> bytes:
    """The message that carries it."""
    return (
        b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: Plans\r\nMIME-Version: 1.0\r\n"
        b"Message-ID: <invitation@example.org>\r\n"
        b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n--b\r\n\r\ncome\r\n'
        b"--b\r\nContent-Type: text/calendar; charset=utf-8; method=" + method.encode() + b"\r\n\r\n"
        + text.encode()
        + b"\r\n--b--\r\n"
    )  # fmt: skip
