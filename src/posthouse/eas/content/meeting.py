"""Invitations, and the messages that follow them: what makes such a message more than mail.

Promise: a message is called an invitation only together with everything that makes it one; one whose iCalendar part
cannot be read is a normal message. The part stays an attachment as well, for whoever keeps another calendar. Only
messages that have such a part cost anything: it is read along with their body. Implements MS-ASEMAIL 2.2.2.48
(MeetingRequest) with its children, 2.2.2.49 (MessageClass), MS-ASAIRS 2.2.2.28 (Location). Bare numbers are
MS-ASEMAIL.
"""

from __future__ import annotations

from base64 import b64encode

from posthouse.eas.content.moments import write_moment
from posthouse.eas.versions import Version
from posthouse.errors import Malformed
from posthouse.mime.addresses import Mailbox, display_mailbox
from posthouse.mime.bodies import attachment_name, decoded_size, text_of
from posthouse.mime.part import Part
from posthouse.model import AttachmentInfo, Item
from posthouse.pim.invitation import Invitation, read_invitation
from posthouse.pim.object_ids import global_object_id
from posthouse.pim.pattern import MONTHLY, MONTHLY_NTH, WEEKLY, YEARLY, YEARLY_NTH, Pattern
from posthouse.wbxml.encode import clean
from posthouse.wbxml.tags import AirSyncBase, Calendar, Email, Email2, MeetingResponse
from posthouse.wbxml.tree import Element

_MEETINGS = "IPM.Schedule.Meeting."
_NOTE = "IPM.Note"
_MESSAGE = "urn:content-classes:message"
_CALENDAR_MESSAGE = "urn:content-classes:calendarmessage"

#: So many bytes of a calendar part are looked at; an event stands in its front, behind its time zones.
_MOST = 128 << 10

#: Email.xsd: Reminder is an unsignedShort.
_MOST_REMINDER = 65535

#: MS-ASEMAIL 2.2.2.47
_UNSPECIFIED, _INITIAL, _UPDATE = 0, 1, 2

#: MS-ASEMAIL 2.2.2.39
_SINGLE, _SERIES, _EXCEPTION = 0, 1, 3


def is_meeting(item: Item) -> bool:
    """Whether it is an invitation, or one of the messages that follow it."""
    return item.message_class.startswith(_MEETINGS)


def calendar_range(item: Item, calendar: Part | None) -> tuple[Part, int, int] | None:
    """Which bytes of a message have to be read for its invitation; None for all other mail."""
    if calendar is None or not is_meeting(item):
        return None
    return calendar, calendar.body_start, min(calendar.body_end, calendar.body_start + _MOST)


def read_calendar(part: Part, raw: bytes) -> Invitation | None:
    """The invitation in ``raw``, the front of ``part`` as transferred; None when it is none."""
    try:
        return read_invitation(text_of(part, raw))
    except Malformed:
        return None


def shown_class(item: Item, meeting: Invitation | None) -> str:
    """The MessageClass that phones are told."""
    return _NOTE if meeting is None and is_meeting(item) else item.message_class or _NOTE


def content_class(meeting: Invitation | None) -> str:
    """MS-ASEMAIL R342, and what Exchange says of meetings."""
    return _MESSAGE if meeting is None else _CALENDAR_MESSAGE


def invitation(item: Item, calendar: Part | None) -> AttachmentInfo | None:
    """The invitation as a file.

    :param calendar: the iCalendar part that is shown as the message. :return: None when there is none, or when it
        is listed anyway.
    """
    if calendar is None or not is_meeting(item):
        return None
    if any(info.path == calendar.path for info in item.attachments):
        return None
    return AttachmentInfo(
        path=calendar.path,
        name=attachment_name(calendar),
        content_type="text/calendar",
        size=decoded_size(calendar),
    )


def meeting_element(item: Item, meeting: Invitation, version: Version) -> Element:
    """MeetingRequest, its children in the order of Email.xsd."""
    children = [
        Element(Email.AllDayEvent, "1" if meeting.all_day else "0"),
        Element(Email.StartTime, write_moment(meeting.start)),
        # R401: required, also where the sender forgot it.
        Element(Email.DtStamp, write_moment(item.received if meeting.stamp is None else meeting.stamp)),
        Element(Email.EndTime, write_moment(meeting.end)),
        Element(Email.InstanceType, str(_instance_type(meeting))),
    ]
    children += _location(meeting, version)
    children.append(Element(Email.Organizer, _organizer(item, meeting)))
    if meeting.instance is not None:
        # R935, R936: for an exception, and for nothing else.
        children.append(Element(Email.RecurrenceId, write_moment(meeting.instance)))
    if meeting.reminder is not None:
        children.append(Element(Email.Reminder, str(min(meeting.reminder, _MOST_REMINDER))))
    children.append(Element(Email.ResponseRequested, "1" if meeting.response_requested else "0"))
    if meeting.pattern is not None:
        recurrence = Element(Email.Recurrence, None, _recurrence(meeting.pattern, meeting.until, version))
        children.append(Element(Email.Recurrences, None, [recurrence]))
    children += [
        Element(Email.Sensitivity, str(meeting.sensitivity)),
        # R1150-R1154: Working Elsewhere is of 16.0.
        Element(Email.BusyStatus, str(meeting.busy if meeting.busy < 4 or version >= (16, 0) else 2)),
        Element(Email.TimeZone, b64encode(meeting.zone).decode("ascii")),
    ]
    return Element(Email.MeetingRequest, None, children + _identity(meeting, version))


def _instance_type(meeting: Invitation) -> int:
    if meeting.instance is not None:
        return _EXCEPTION
    return _SERIES if meeting.pattern is not None else _SINGLE


def _location(meeting: Invitation, version: Version) -> list[Element]:
    """R1311: a string until 14.1, and the element of MS-ASAIRS since."""
    if version < (16, 0):
        return [Element(Email.Location, _text(meeting.location))] if meeting.location else []
    children = [Element(AirSyncBase.DisplayName, _text(meeting.location))] if meeting.location else []
    if meeting.latitude is not None and meeting.longitude is not None:
        children.append(Element(AirSyncBase.Latitude, f"{meeting.latitude:.6f}"))
        children.append(Element(AirSyncBase.Longitude, f"{meeting.longitude:.6f}"))
    return [Element(AirSyncBase.Location, None, children)] if children else []


def _organizer(item: Item, meeting: Invitation) -> str:
    if not meeting.organizer:
        return item.sender
    return _text(display_mailbox(Mailbox(meeting.organizer_name, meeting.organizer)))


def _identity(meeting: Invitation, version: Version) -> list[Element]:
    """Which meeting it is, and what is to become of it (R1310: calendar:UID since 16.0, GlobalObjId before)."""
    disallow = Element(Email.DisallowNewTimeProposal, "1" if meeting.disallow_counter else "0")
    kind = Element(Email2.MeetingMessageType, str(_message_type(meeting)))
    if version >= (16, 0):
        proposed = meeting.proposed
        return [
            disallow,
            kind,
            Element(Calendar.UID, _text(meeting.uid)),
            *(
                [
                    Element(MeetingResponse.ProposedStartTime, _compact(proposed[0])),
                    Element(MeetingResponse.ProposedEndTime, _compact(proposed[1])),
                ]
                if proposed is not None
                else []
            ),
        ]
    identity = global_object_id(meeting.uid, meeting.instance_day)
    children = [Element(Email.GlobalObjId, b64encode(identity).decode("ascii"))]
    if version >= (14, 0):
        children.append(disallow)
    if version >= (14, 1):
        children.append(kind)
    return children


def _message_type(meeting: Invitation) -> int:
    """The organizer counts what he changed (RFC 5545 3.8.7.4)."""
    if meeting.method != "REQUEST":
        return _UNSPECIFIED
    return _UPDATE if meeting.sequence else _INITIAL


def _recurrence(pattern: Pattern, until: int | None, version: Version) -> list[Element]:
    kind = pattern.type
    children = [Element(Email.Type, str(kind)), Element(Email.Interval, str(pattern.interval))]
    if until is not None:
        # MS-ASEMAIL 4.5 shows the compact form here.
        children.append(Element(Email.Until, _compact(until)))
    elif pattern.count:
        children.append(Element(Email.Occurrences, str(pattern.count)))
    if kind in (MONTHLY_NTH, YEARLY_NTH):
        children.append(Element(Email.WeekOfMonth, str(pattern.week)))
    if kind in (MONTHLY, YEARLY):
        children.append(Element(Email.DayOfMonth, str(pattern.day)))
    if pattern.days:
        children.append(Element(Email.DayOfWeek, str(pattern.days)))
    if kind in (YEARLY, YEARLY_NTH):
        children.append(Element(Email.MonthOfYear, str(pattern.month)))
    if version >= (14, 0) and kind in (MONTHLY, MONTHLY_NTH, YEARLY, YEARLY_NTH):
        # R291; iCalendar's rules are of the Gregorian calendar, which has no leap month.
        children += [Element(Email2.CalendarType, "1"), Element(Email2.IsLeapMonth, "0")]
    if version >= (14, 1) and kind == WEEKLY:
        children.append(Element(Email2.FirstDayOfWeek, str(pattern.first_day)))
    return children


def _compact(moment: int) -> str:
    """ "20260729T192537Z" (MS-ASDTYPE 2.7.2)."""
    return write_moment(moment)[:19].replace("-", "").replace(":", "") + "Z"


def _text(text: str) -> str:
    """What WBXML can carry."""
    return clean(text).decode("utf-8")
