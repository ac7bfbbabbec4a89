"""Names and habits in which libwbxml 0.11 differs from MS-ASWBXML, found by experiment.

With these its two programs serve as an independent second implementation for the tests.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from xml.sax.saxutils import escape

from posthouse.wbxml import Element
from posthouse.wbxml.pages import PAGES
from posthouse.wbxml.tags import (
    GAL,
    AirSyncBase,
    ComposeMail,
    Email2,
    ItemOperations,
    MeetingResponse,
    Provision,
    ResolveRecipients,
    Search,
)

#: Namespace to pairs of Microsoft's name and libwbxml's.
_RENAMED = {
    "Contacts": """
        AssistantPhoneNumber=AssistantTelephoneNumber BusinessAddressCity=BusinessCity
        BusinessAddressCountry=BusinessCountry BusinessAddressPostalCode=BusinessPostalCode
        BusinessAddressState=BusinessState BusinessAddressStreet=BusinessStreet
        HomeAddressCity=HomeCity HomeAddressCountry=HomeCountry HomeAddressPostalCode=HomePostalCode
        HomeAddressState=HomeState HomeAddressStreet=HomeStreet OtherAddressCity=OtherCity
        OtherAddressCountry=OtherCountry OtherAddressPostalCode=OtherPostalCode
        OtherAddressState=OtherState OtherAddressStreet=OtherStreet
    """,
    "Email": """
        ReplyTo=Reply-To DtStamp=DTStamp Type=Recurrence_Type Until=Recurrence_Until
        Occurrences=Recurrence_Occurrences Interval=Recurrence_Interval
        DayOfWeek=Recurrence_DayOfWeek DayOfMonth=Recurrence_DayOfMonth
        WeekOfMonth=Recurrence_WeekOfMonth MonthOfYear=Recurrence_MonthOfYear Status=FlagStatus
    """,
    "Calendar": """
        Timezone=TimeZone Email=Attendee_Email Name=Attendee_Name DtStamp=DTStamp
        Deleted=Exception_Deleted ExceptionStartTime=Exception_StartTime
        OrganizerEmail=Organizer_Email OrganizerName=Organizer_Name Type=Recurrence_Type
        Until=Recurrence_Until Occurrences=Recurrence_Occurrences Interval=Recurrence_Interval
        DayOfWeek=Recurrence_DayOfWeek DayOfMonth=Recurrence_DayOfMonth
        WeekOfMonth=Recurrence_WeekOfMonth MonthOfYear=Recurrence_MonthOfYear
        AttendeeStatus=Attendee_Status AttendeeType=Attendee_Type
    """,
    "Tasks": """
        UtcDueDate=UTCDueDate Type=Recurrence_Type Start=Recurrence_Start Until=Recurrence_Until
        Occurrences=Recurrence_Occurrences Interval=Recurrence_Interval
        DayOfMonth=Recurrence_DayOfMonth DayOfWeek=Recurrence_DayOfWeek
        WeekOfMonth=Recurrence_WeekOfMonth MonthOfYear=Recurrence_MonthOfYear
        Regenerate=Recurrence_Regenerate DeadOccur=Recurrence_DeadOccur UtcStartDate=UTCStartDate
    """,
    "ValidateCert": """
        CheckCrl=CheckCRL
    """,
    "Provision": """
        RequireStorageCardEncryption=DeviceEncryptionEnabled
    """,
    "Settings": """
        SMTPAddress=SmtpAddress RightsManagementInformation=ihsManagementInformation
    """,
    "ComposeMail": """
        Mime=MIME
    """,
    "RightsManagement": """
        Owner=RMOwner RemoveRightsManagementProtection=RemoveRightsManagementDistribution
    """,
}

#: Tags that it does not know; page 25 (Find) is unknown as a whole.
UNKNOWN = {
    MeetingResponse.ProposedStartTime,
    MeetingResponse.ProposedEndTime,
    Provision.AccountOnlyRemoteWipe,
    *PAGES[25].tags.values(),
}

#: Tags whose content it takes for binary, whatever the wire says: base64 in its XML.
BINARY = {
    AirSyncBase.Content,
    ComposeMail.Mime,
    Email2.ConversationId,
    Email2.ConversationIndex,
    GAL.Data,
    ItemOperations.ConversationId,
    ResolveRecipients.Data,
    Search.ConversationId,
}


def _names() -> dict[str, str]:
    names = {}
    for page in PAGES:
        renamed = dict(pair.split("=") for pair in _RENAMED.get(page.namespace, "").split())
        namespace = "Gal" if page.namespace == "GAL" else page.namespace
        for tag in page.tags.values():
            name = tag.partition(":")[2]
            names[tag] = f"{{{namespace}:}}{renamed.get(name, name)}"
    return names


_NAMES = _names()
_TAGS = {name: tag for tag, name in _NAMES.items()}


def read_xml(text: bytes) -> Element:
    """What wbxml2xml wrote, as our tree."""
    return _read(ET.fromstring(text))


def _read(node: ET.Element) -> Element:
    tag = _TAGS[node.tag]
    text = (node.text or "") + "".join(child.tail or "" for child in node)
    content: str | bytes = b64decode(text) if tag in BINARY else text
    return Element(tag, content or None, [_read(child) for child in node])


def write_xml(root: Element) -> bytes:
    """Our tree as xml2wbxml reads it."""
    doctype = '<!DOCTYPE ActiveSync PUBLIC "-//MICROSOFT//DTD ActiveSync//EN" "http://www.microsoft.com/">'
    return f'<?xml version="1.0" encoding="UTF-8"?>{doctype}{_write(root)}'.encode()


def _write(element: Element) -> str:
    namespace, _, name = _NAMES[element.tag][1:].partition("}")
    content = element.content or ""
    text = escape(content) if isinstance(content, str) else b64encode(content).decode()
    inside = text + "".join(map(_write, element.children))
    return f'<{name} xmlns="{namespace}">{inside}</{name}>'
