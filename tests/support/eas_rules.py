"""Rules for answers that neither the schema nor a single sentence says: what hangs together in them.

Each is one function under its name; the requirements that it keeps are listed in ``docs/protocols/checked``.
"""

from __future__ import annotations

import struct
from base64 import b64decode

from posthouse.wbxml.tree import Element
from tests.support.eas_text import SchemaError, Version, local

_CONTENT = ("Email:", "Email2:", "AirSyncBase:Body", "AirSyncBase:BodyPart", "AirSyncBase:NativeBodyType")
_HOLDERS = ("AirSync:ApplicationData", "ItemOperations:Properties", "Search:Properties", "Find:Properties")
_INNER = ("Email:Flag", "Email:Categories", "Email:MeetingRequest", "Email:Recurrences", "Email:Recurrence")

#: Tags that others replace: the last version that has them (MS-ASWBXML R821, R822, R825).
_UNTIL = {"Email:Location": (14, 1), "Email:GlobalObjId": (14, 1), "GetItemEstimate:Class": (12, 1)}

_REPORTS = frozenset(
    f"REPORT.IPM.{name}"
    for name in (
        "NOTE.NDR",
        "NOTE.DR",
        "NOTE.DELAYED",
        "NOTE.IPNRN",
        "NOTE.IPNNRN",
        "SCHEDULE.MEETING.REQUEST.NDR",
        "SCHEDULE.MEETING.RESP.POS.NDR",
        "SCHEDULE.MEETING.RESP.TENT.NDR",
        "SCHEDULE.MEETING.CANCELED.NDR",
        "NOTE.SMIME.NDR",
        "NOTE.SMIME.DR",
        "NOTE.SMIME.MULTIPARTSIGNED.NDR",
        "NOTE.SMIME.MULTIPARTSIGNED.DR",
    )
)

#: MS-ASEMAIL 2.2.2.80: what each Type of recurrence needs.
_NEEDS = {
    "1": ("DayOfWeek",),
    "2": ("DayOfMonth",),
    "3": ("DayOfWeek", "WeekOfMonth"),
    "5": ("DayOfMonth", "MonthOfYear"),
    "6": ("DayOfWeek", "WeekOfMonth", "MonthOfYear"),
}


def check_rules(root: Element, version: Version | None) -> None:
    """Hold all rules against an answer.

    :raises SchemaError: naming the element.
    """
    for element in root.iter():
        _placed(element)
        until = _UNTIL.get(element.tag)
        if until is not None and version is not None and version > until:
            raise SchemaError(f"{element.tag} at {version}")
        check = _CHECKS.get(element.tag)
        if check is not None:
            check(element)
        if element.tag in _HOLDERS:
            _message(element)


def _refuse(element: Element, what: str) -> None:
    raise SchemaError(f"{element.tag} {what}: {element.value[:60]!r}")


# -- places ------------------------------------------------------------------------------------------------------


def _placed(element: Element) -> None:
    """What is of a message stands in what holds a message (MS-ASEMAIL 3.2.5)."""
    if element.tag in _HOLDERS or element.tag in _INNER or element.tag.startswith("AirSyncBase:"):
        return
    for child in element.children:
        if child.tag.startswith(_CONTENT):
            _refuse(child, f"stands in {element.tag}")


def _operation(element: Element) -> None:
    """Each operation says how it went (MS-ASCMD R194, MS-ASCON R139)."""
    if element.find("ItemOperations:Status") is None:
        _refuse(element, "has no Status")


def _property(element: Element) -> None:
    """Each property that was asked for says how it went, first of all (MS-ASCMD R485, R486)."""
    if not element.children or element.children[0].tag != "Settings:Status":
        _refuse(element, "does not begin with its Status")


def _settings(element: Element) -> None:
    for child in element.children:
        if child.tag != "Settings:Status":
            _property(child)


# -- values ------------------------------------------------------------------------------------------------------


def _policy(element: Element) -> None:
    """A policy that was found is of the one kind that there is, and its key has 32 bits."""
    if element.text("Provision:Status") == "1":
        if element.text("Provision:PolicyType") != "MS-EAS-Provisioning-WBXML":
            _refuse(element, "is of another kind")
        key = element.text("Provision:PolicyKey") or ""
        if not key.isdigit() or not 0 < int(key) < 1 << 32:
            _refuse(element, f"has the key {key!r}")
    data = element.find("Provision:Data")
    if data is not None and [one.tag for one in data.children] != ["Provision:EASProvisionDoc"]:
        _refuse(data, "holds no document")


def _absence(element: Element) -> None:
    kind = element.find("Settings:BodyType")
    if element.find("Settings:ReplyMessage") is not None and kind is None:
        _refuse(element, "has a text of no kind")
    if kind is not None and kind.content and kind.value.lower() not in ("text", "html"):
        _refuse(kind, "is no kind of text")


def _base64(element: Element) -> None:
    b64decode(element.value, validate=True)


def _range(element: Element) -> None:
    first, _, last = element.value.partition("-")
    if not 0 <= int(first) <= int(last) <= 999:
        _refuse(element, "is no range")


def _found(element: Element) -> None:
    """As many results as the range says, and none of them twice (MS-ASCMD R38391804)."""
    results = [one for one in element.children if local(one.tag) == "Result"]
    span = element.text("Find:Range")
    if span and results:
        first, _, last = span.partition("-")
        if len(results) != int(last) - int(first) + 1:
            _refuse(element, f"has {len(results)} results for {span}")


def _entry(element: Element) -> None:
    """An entry of the directory has no empty properties (MS-ASCMD R3848)."""
    for child in element.children:
        if child.tag.startswith("GAL:") and not child.content and not child.children:
            _refuse(child, "is empty")


def _time_zone(element: Element) -> None:
    """172 bytes: two names of 32 characters with nothing behind their end, two dates, three biases."""
    raw = b64decode(element.value, validate=True)
    if len(raw) != 172:
        _refuse(element, f"has {len(raw)} bytes")
    biases = (
        struct.unpack_from("<i", raw) + struct.unpack_from("<i", raw, 84) + struct.unpack_from("<i", raw, 168)
    )
    if any(not -24 * 60 < one < 24 * 60 for one in biases):
        _refuse(element, f"has the biases {biases}")
    for start in (4, 88):
        name = struct.unpack_from("<32H", raw, start)
        end = name.index(0) if 0 in name else 32
        if any(name[end:]):
            _refuse(element, "has something behind a name")
    for start in (68, 152):
        year, month, _, day, hour, minute, second, milli = struct.unpack_from("<8H", raw, start)
        if month > 12 or day > 31 or hour > 23 or minute > 59 or second > 59 or milli > 999 or year > 9999:
            _refuse(element, "has no date")


def _recurrence(element: Element) -> None:
    kind = element.text("Email:Type") or ""
    for name in _NEEDS.get(kind, ()):
        if element.find(f"Email:{name}") is None:
            _refuse(element, f"of type {kind} has no {name}")
    days = element.text("Email:DayOfWeek")
    if (
        kind == "5"
        and element.find("Email2:CalendarType") is not None
        and element.find("Email2:IsLeapMonth") is None
    ):
        _refuse(element, "does not say whether its month is a leap month")
    if days is not None and not 1 <= int(days) <= 127:
        _refuse(element, f"is on the days {days}")


def _recurrences(element: Element) -> None:
    if element.find("Email:Recurrence") is None:
        _refuse(element, "has no Recurrence")


def _flag(element: Element) -> None:
    if element.text("Tasks:ReminderSet") == "1" and element.find("Tasks:ReminderTime") is None:
        _refuse(element, "reminds at no time")
    if element.children and element.find("Email:Status") is None:
        _refuse(element, "has no Status")


def _recipients(element: Element) -> None:
    """No fewer are counted than are shown (MS-ASCMD R3767)."""
    count = element.text("ResolveRecipients:RecipientCount")
    if count is not None and int(count) < len(element.findall("ResolveRecipients:Recipient")):
        _refuse(element, f"counts {count}")


def _categories(element: Element) -> None:
    if any(child.tag != "Email:Category" for child in element.children):
        _refuse(element, "holds what is no category")


def _class(element: Element) -> None:
    name = element.value.upper()
    if name.startswith("REPORT") and name not in _REPORTS:
        _refuse(element, "is no report")


def _addresses(element: Element) -> None:
    if element.content and not element.value.strip():
        _refuse(element, "has neither name nor address")
    if len(element.value) > 32_768:
        _refuse(element, f"has {len(element.value)} characters")


def _address(element: Element) -> None:
    name, _, domain = element.value.rpartition("@")
    if element.content and not (name and domain):
        _refuse(element, "is no address")


def _message(element: Element) -> None:
    """Voice mail alone has what is of voice mail (MS-ASEMAIL 2.2.2.81 to .84)."""
    kind = (element.text("Email:MessageClass") or "").lower()
    inside = {one.tag for one in element.iter()}
    spoken = inside & {"Email2:UmCallerID", "Email2:UmUserNotes", "Email2:UmAttDuration", "Email2:UmAttOrder"}
    if spoken and kind and "voice" not in kind:
        _refuse(element, f"of class {kind} has {sorted(spoken)}")
    notes = element.text("Email2:UmUserNotes")
    if notes is not None and len(notes.encode()) > 16_374:
        _refuse(element, "has long notes")


_CHECKS = {
    "ItemOperations:Fetch": _operation,
    "ItemOperations:Move": _operation,
    "ItemOperations:EmptyFolderContents": _operation,
    "ItemOperations:Data": _base64,
    "Settings:Settings": _settings,
    "Settings:OofMessage": _absence,
    "Settings:SMTPAddress": _address,
    "Settings:PrimarySmtpAddress": _address,
    "GAL:EmailAddress": _address,
    "GAL:Data": _base64,
    "ResolveRecipients:EmailAddress": _address,
    "ResolveRecipients:Data": _base64,
    "ResolveRecipients:Response": _recipients,
    "Provision:Policy": _policy,
    "Find:Range": _range,
    "Find:Response": _found,
    "Search:Properties": _entry,
    "Find:Properties": _entry,
    "Email:TimeZone": _time_zone,
    "Email:Recurrence": _recurrence,
    "Email:Recurrences": _recurrences,
    "Email:Flag": _flag,
    "Email:Categories": _categories,
    "Email:MessageClass": _class,
    "Email:To": _addresses,
    "Email:Cc": _addresses,
    "Email:From": _addresses,
    "Email:ReplyTo": _addresses,
    "Email:DisplayTo": _addresses,
    "Email2:Sender": _addresses,
}
