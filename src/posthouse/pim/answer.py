"""What an attendee says to an invitation, as iCalendar text for its organizer.

Promise: the answer names the meeting as the organizer does (its id, its instance, its revision), says it of one
attendee, and is well-formed whatever the invitation says: nothing in it begins a line of its own. RFC 5546 3.2.3
(REPLY), 3.2.7 (COUNTER), RFC 5545 3.1 (folding), 3.3.11 (text).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from attrs import frozen

from posthouse.pim.invitation import Invitation

ACCEPTED, TENTATIVE, DECLINED = "ACCEPTED", "TENTATIVE", "DECLINED"

_LINE = 75
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = dict.fromkeys((*range(9), *range(0x0B, 0x20), 0x7F))


@frozen
class Answer:
    """:ivar organizer: an address, :ivar attendee: that of who answers. :ivar at: ms since the epoch.
    :ivar proposed: start and end of another time that is asked for, in ms.
    """

    organizer: str
    attendee: str
    participation: str
    at: int
    name: str = ""
    comment: str = ""
    proposed: tuple[int, int] | None = None

    @property
    def method(self) -> str:
        """What the text is to be announced as."""
        return "REPLY" if self.proposed is None else "COUNTER"


def write_answer(meeting: Invitation, answer: Answer) -> str:
    """The VCALENDAR, with CRLF line ends."""
    lines = [
        "BEGIN:VCALENDAR",
        "PRODID:-//Posthouse//EN",
        "VERSION:2.0",
        f"METHOD:{answer.method}",
        "BEGIN:VEVENT",
        # As it came, with whatever escapes it has.
        f"UID:{meeting.uid}",
        f"DTSTAMP:{_utc(answer.at)}",
        f"SEQUENCE:{meeting.sequence}",
        *_times(meeting, answer.proposed),
        f"ORGANIZER{_named(meeting.organizer_name)}:mailto:{_address(answer.organizer)}",
        f"ATTENDEE;PARTSTAT={answer.participation}{_named(answer.name)}:mailto:{_address(answer.attendee)}",
        f"SUMMARY:{_text(meeting.summary)}",
    ]
    if answer.comment:
        lines.append(f"COMMENT:{_text(answer.comment)}")
    lines += ["END:VEVENT", "END:VCALENDAR"]
    return "".join(_fold(line) for line in lines)


def _times(meeting: Invitation, proposed: tuple[int, int] | None) -> list[str]:
    """In UTC, which needs no zone beside it; days stay days (RFC 5545 3.8.4.4: an instance has DTSTART's form)."""
    if proposed is not None:
        lines = [f"DTSTART:{_utc(proposed[0])}", f"DTEND:{_utc(proposed[1])}"]
    elif meeting.day is not None:
        lines = [f"DTSTART;VALUE=DATE:{_day(meeting.day)}"]
    else:
        lines = [f"DTSTART:{_utc(meeting.start)}", f"DTEND:{_utc(meeting.end)}"]
    if meeting.instance is not None and meeting.instance_day is not None:
        day = f";VALUE=DATE:{_day(meeting.instance_day)}" if meeting.day is not None else ""
        lines.append(f"RECURRENCE-ID{day or ':' + _utc(meeting.instance)}")
    return lines


def _utc(moment: int) -> str:
    return f"{_EPOCH + timedelta(milliseconds=moment):%Y%m%dT%H%M%SZ}".rjust(16, "0")


def _day(day: date) -> str:
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def _named(name: str) -> str:
    name = " ".join(name.translate(_CONTROL).replace('"', "'").split())
    return f';CN="{name}"' if name else ""


def _address(address: str) -> str:
    return "".join(address.translate(_CONTROL).split())


def _text(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROL)
    return (
        text.replace("\\", "\\\\")
        .replace(";", "\\;")
        .replace(",", "\\,")
        .replace("\n", "\\n")
        .replace("\t", " ")
    )


def _fold(line: str) -> str:
    """At most 75 bytes in each line, and no character in two of them."""
    data = line.translate(_CONTROL).replace("\n", "").encode("utf-8", "replace")
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        stop = start + _LINE - (1 if start else 0)
        while stop < len(data) and data[stop] & 0xC0 == 0x80:
            stop -= 1
        pieces.append(data[start:stop])
        start = stop
    return b"\r\n ".join(pieces).decode("utf-8") + "\r\n"
