"""Invitations, as long as phones cannot answer them here: mail with a file that every calendar opens.

Promise: a message is called an invitation only together with everything that makes it one (MS-ASEMAIL 2.2.2.48: the
MeetingRequest with its time zone, id and type) and where MeetingResponse is answered; a phone shows buttons that lead
nowhere otherwise. Until then it is a normal message, and the invitation itself an attachment. What it is stays in
the store.
"""

from __future__ import annotations

from posthouse.mime.bodies import attachment_name, decoded_size
from posthouse.mime.part import Part
from posthouse.model import AttachmentInfo, Item

_MEETINGS = "IPM.Schedule.Meeting."
_NOTE = "IPM.Note"


def shown_class(item: Item) -> str:
    """The MessageClass that phones are told."""
    return _NOTE if is_meeting(item) else item.message_class or _NOTE


def is_meeting(item: Item) -> bool:
    """Whether it is an invitation, or one of the messages that follow it."""
    return item.message_class.startswith(_MEETINGS)


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
