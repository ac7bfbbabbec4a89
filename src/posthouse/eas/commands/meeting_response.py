"""MeetingResponse: an invitation is accepted or declined (MS-ASCMD 2.2.1.11, statuses 2.2.3.177.9).

Promise: each Request has a Result of its own, in their order, and one with status 1 was done. There is no calendar
that an accepted meeting could be entered into, so what needs one is 2, the status after which a device stops asking
(R4187); declining needs none: the invitation goes to Deleted Items and there is no CalendarId (R837). What names no
invitation is 2 as well (R4182, R4183). The reply to the organiser is the device's own mail up to 14.1; one that the
server is asked to send (SendResponse, 16.0 on) is not sent, so that is 2, too, and nothing is done.
"""

from __future__ import annotations

from posthouse.eas.call import Call
from posthouse.eas.content.moments import read_moment
from posthouse.eas.grammar import MANY, Child, Rule
from posthouse.eas.hierarchy import visible
from posthouse.eas.ids import parse_number
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError
from posthouse.errors import NoSuchFolder, NoSuchItem, NotPermitted
from posthouse.model import FolderType
from posthouse.store import changes, folders, items
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import MeetingResponse as M
from posthouse.wbxml.tags import Search
from posthouse.wbxml.tree import E, Element

OK = 1
INVALID = 2

#: R5649, R5650
_MOST = 100
#: 2.2.3.194: accepted, tentatively accepted, declined.
_RESPONSES = ("1", "2", "3")
_DECLINED = "3"
_REQUEST = "IPM.Schedule.Meeting.Request"
#: "2010-03-20T22:40:00.000Z": what has another length breaks the schema already (2.2.3.92.1).
_INSTANCE = 24


@command("MeetingResponse")
class MeetingResponse(Command):
    """All answers of one request."""

    grammar = Rule(
        {
            # What is wrong inside is an error of that Request alone (R4182).
            M.Request: Child(least=1, most=MANY, kind="any")
        }
    )

    async def run(self, call: Call) -> Element:
        assert call.request is not None
        asked = list(call.request.findall(M.Request))
        if len(asked) > _MOST:
            raise StatusError(Status.INVALID_XML, f"{len(asked)} answers")
        results = [await self._one(call, one) for one in asked]
        call.notes["answered"] = sum(1 for one in results if one.text(M.Status) == str(OK))
        return E(M.MeetingResponse, results)

    async def _one(self, call: Call, asked: Element) -> Element:
        named = (asked.text(M.RequestId) or "")[:64]
        try:
            _check(asked, call.version)
            await call.write(lambda tx: _decline(tx, call.account.mailbox_id, asked))
            status = OK
        except StatusError as error:
            status = error.status
        except (NoSuchFolder, NoSuchItem, NotPermitted):
            status = INVALID
        # R5374: said again when it was said.
        return E(M.Result, E(M.RequestId, named) if named else None, E(M.Status, status))


def _check(asked: Element, version: tuple[int, int]) -> None:
    """What can be told without the mailbox.

    :raises StatusError: 2, 104.
    """
    for tag in (M.UserResponse, M.RequestId, M.CollectionId, M.InstanceId, Search.LongId):
        if len(asked.findall(tag)) > 1:
            raise StatusError(INVALID, f"{tag} twice")
    if (asked.text(M.UserResponse) or "").strip() not in _RESPONSES:
        raise StatusError(INVALID, "UserResponse")
    one, folder, long_id = asked.text(M.RequestId), asked.text(M.CollectionId), asked.text(Search.LongId)
    if bool(long_id) == bool(one) or bool(one) != bool(folder):
        raise StatusError(INVALID, "neither LongId nor RequestId with CollectionId, or both")
    instance = asked.find(M.InstanceId)
    if instance is None:
        return
    # R6712 (a version that has none), R4186 (null, or no occurrence by its very form).
    if version < (14, 1) or len(instance.value) != _INSTANCE:
        raise StatusError(INVALID, "InstanceId")
    read_moment(instance.value)  # 104: R3195, R4819


def _decline(tx: Transaction, mailbox_id: int, asked: Element) -> None:
    """Do the one answer that needs no calendar.

    :raises StatusError: 2.
    """
    named = asked.text(M.RequestId) or asked.text(Search.LongId)
    item = changes.item_by_number(tx, mailbox_id, parse_number(named))
    folder = folders.folder_by_id(tx, item.folder_id) if item is not None else None
    if item is None or folder is None or not visible(folder):
        raise StatusError(INVALID, "no such item")
    said = asked.text(M.CollectionId)
    if said and folder.number != parse_number(said):
        raise StatusError(INVALID, "the item lies in another folder")
    if not item.message_class.startswith(_REQUEST):
        raise StatusError(INVALID, "no invitation")
    if asked.find(M.InstanceId) is not None:
        raise StatusError(INVALID, "an occurrence of a message")  # R4185
    if (asked.text(M.UserResponse) or "").strip() != _DECLINED:
        raise StatusError(INVALID, "there is no calendar")
    if asked.find(M.SendResponse) is not None:
        raise StatusError(INVALID, "there is nobody who writes the reply")
    # Of nobody's origin: the departure is news to the device that asked for it, too.
    items.move_item(tx, item, folders.folder_of_type(tx, mailbox_id, FolderType.DELETED))
