"""The follow-up flag of a message, both ways (MS-ASEMAIL 2.2.2.34 and 3.2.5.3.2).

Promise: what one device sets, every other is told in the same words; what breaks the flag table is item
status 6. Bare numbers are MS-ASEMAIL.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.eas.content.moments import read_moment, write_moment
from posthouse.eas.grammar import flag as truth
from posthouse.eas.statuses import StatusError
from posthouse.model import Flag
from posthouse.wbxml.tags import Email, Email2, Tasks
from posthouse.wbxml.tree import Element

#: The status of an item that says what it may not (MS-ASCMD 2.2.3.177.17).
INVALID_ITEM = 6

_MOST_TEXT = 1024
_MOST_CATEGORIES = 300
_MOST_CATEGORY = 255

#: Tag to field, in the order they are sent; all of them points in time.
_MOMENTS: tuple[tuple[str, str], ...] = (
    (Tasks.DateCompleted, "date_completed"),
    (Email.CompleteTime, "completed"),
    (Tasks.StartDate, "start"),
    (Tasks.DueDate, "due"),
    (Tasks.UtcStartDate, "utc_start"),
    (Tasks.UtcDueDate, "utc_due"),
    (Tasks.ReminderTime, "reminder_time"),
    (Tasks.OrdinalDate, "ordinal"),
)


def flag_element(flag: Flag | None) -> Element:
    """The Flag element; empty when there is none (R437)."""
    if flag is None or flag.status == 0:
        return Element(Email.Flag)
    children: list[Element] = []
    if flag.subject:
        children.append(Element(Tasks.Subject, flag.subject))
    children.append(Element(Email.Status, str(flag.status)))
    if flag.type:
        children.append(Element(Email.FlagType, flag.type))
    for tag, name in _MOMENTS:
        value: int | None = getattr(flag, name)
        if value is not None:
            children.append(Element(tag, write_moment(value)))
    # R1072: said both ways.
    children.append(Element(Tasks.ReminderSet, "1" if flag.reminder_set else "0"))
    if flag.sub_ordinal:
        children.append(Element(Tasks.SubOrdinalDate, flag.sub_ordinal))
    return Element(Email.Flag, None, children)


def read_flag(element: Element) -> Flag | None:
    """What a client sent; None when the flag is cleared.

    :raises StatusError: 6, when the flag table is broken.
    """
    if not element.children:
        return None
    moments = {
        name: read_moment(element.text(tag) or "", INVALID_ITEM)
        for tag, name in _MOMENTS
        if element.text(tag)
    }
    status = (element.text(Email.Status) or "0").strip()
    if status not in ("0", "1", "2"):
        raise StatusError(INVALID_ITEM, f"flag status {status[:10]!r}")  # R753
    if status == "0":
        return None
    _check_moments(moments, status)
    reminds = truth(element.find(Tasks.ReminderSet))
    if reminds and "reminder_time" not in moments:
        raise StatusError(INVALID_ITEM, "ReminderSet without ReminderTime")  # R701
    return Flag(
        status=int(status),
        type=(element.text(Email.FlagType) or "")[:_MOST_TEXT],
        subject=(element.text(Tasks.Subject) or "")[:_MOST_TEXT],
        reminder_set=reminds,
        sub_ordinal=(element.text(Tasks.SubOrdinalDate) or "")[:_MOST_TEXT],
        **moments,
    )


def _check_moments(moments: dict[str, int], status: str) -> None:
    span = [name for name in ("start", "due", "utc_start", "utc_due") if name in moments]
    if len(span) not in (0, 4):
        raise StatusError(INVALID_ITEM, "some of start and due dates are missing")  # R408, R409
    if span and (moments["start"] > moments["due"] or moments["utc_start"] > moments["utc_due"]):
        raise StatusError(INVALID_ITEM, "the flag is due before it starts")  # R406, R850
    if status == "1" and not {"completed", "date_completed"} <= moments.keys():
        raise StatusError(INVALID_ITEM, "complete, but not when")  # R86, R92
    if "date_completed" in moments and "completed" not in moments:
        raise StatusError(INVALID_ITEM, "DateCompleted without CompleteTime")  # R359
    if "completed" in moments:
        moments.setdefault("date_completed", moments["completed"])  # R336


#: What only the server says of a message (R347, R648, R723, R817, R835).
_READ_ONLY = frozenset(
    (Email2.ConversationId, Email2.ReceivedAsBcc, Email2.Sender, Email2.UmCallerID, Email2.UmUserNotes)
)


class _Absent:
    """What was not mentioned stays as it is; unlike None, which clears."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@frozen
class MailChange:
    """What a client's Change of a message asks for; None (or ABSENT) leaves a property as it is.

    :ivar flag: None clears it.
    """

    read: bool | None = None
    flag: Flag | _Absent | None = ABSENT
    categories: tuple[str, ...] | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing that can be changed here."""
        return self.read is None and self.flag is ABSENT and self.categories is None


def read_change(data: Element) -> MailChange:
    """The ApplicationData of a Change. Read, flag and categories may be written (MS-ASCMD R873-878).

    :raises StatusError: 6 for a value that may not be.
    """
    for child in data.children:
        if child.tag in _READ_ONLY:
            raise StatusError(INVALID_ITEM, f"{child.tag} is the server's")
    read = data.find(Email.Read)
    if read is not None and read.value.strip() not in ("0", "1", ""):
        raise StatusError(INVALID_ITEM, "Read is no boolean")
    flag = data.find(Email.Flag)
    categories = data.find(Email.Categories)
    return MailChange(
        read=truth(read) if read is not None else None,
        flag=read_flag(flag) if flag is not None else ABSENT,
        categories=_categories(categories) if categories is not None else None,
    )


def _categories(element: Element) -> tuple[str, ...]:
    names = [child.value.strip() for child in element.findall(Email.Category)]
    if len(names) > _MOST_CATEGORIES or any(len(name) > _MOST_CATEGORY for name in names):
        raise StatusError(INVALID_ITEM, f"{len(names)} categories")
    return tuple(dict.fromkeys(name for name in names if name))
