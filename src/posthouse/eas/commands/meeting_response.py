"""MeetingResponse: an invitation is accepted or declined (MS-ASCMD 2.2.1.11, statuses 2.2.3.177.9).

Promise: each Request has a Result of its own, in their order, and one with status 1 was done; a repetition after a
lost answer tells the organizer nothing twice. There is no calendar that an accepted meeting could be entered into, so
there is never a CalendarId, and an invitation that was accepted stays where it is, since nothing else keeps its date;
a declined one goes to Deleted Items (R837). From 16.0 on the server tells the organizer when it is asked to
(SendResponse); up to 14.1 the device does that by itself, once it heard that its answer was taken. What names no
invitation is 2 (R4182, R4183), and so is an acceptance of which nobody is to be told: then nothing is left to do.
"""

from __future__ import annotations

import hashlib

from attrs import frozen

from posthouse.eas.call import Call
from posthouse.eas.commands.send_mail import submit
from posthouse.eas.commands.smart import REPLIED
from posthouse.eas.content.meeting import calendar_range, read_calendar
from posthouse.eas.content.meeting_answer import INVALID, Words, answer_mail, read_words
from posthouse.eas.content.moments import read_moment
from posthouse.eas.grammar import MANY, Child, Rule
from posthouse.eas.hierarchy import visible
from posthouse.eas.ids import parse_number
from posthouse.eas.registry import Command, command
from posthouse.eas.statuses import Status, StatusError
from posthouse.errors import NoSuchFolder, NoSuchItem, NotPermitted
from posthouse.mime.bodies import choose_bodies
from posthouse.mime.scan import load_structure
from posthouse.model import FolderType, Item
from posthouse.pim.invitation import Invitation
from posthouse.store import accounts, bodies, changes, devices, folders, items
from posthouse.store.transaction import Transaction
from posthouse.wbxml.tags import MeetingResponse as M
from posthouse.wbxml.tags import Search
from posthouse.wbxml.tree import E, Element

OK = 1

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
        results = []
        for one in asked:
            results.append(await self._one(call, one))
            await call.breathe()
        call.notes["answered"] = sum(1 for one in results if one.text(M.Status) == str(OK))
        return E(M.MeetingResponse, results)

    async def _one(self, call: Call, asked: Element) -> Element:
        named = (asked.text(M.RequestId) or "")[:64]
        status = OK
        try:
            _check(asked, call.version)
            # R7116-R7118: nothing that an older version knows.
            said = asked.find(M.SendResponse) if call.version >= (16, 0) else None
            if said is not None:
                await _tell(call, asked, read_words(said, call.version))
            else:
                await call.write(lambda tx: _settle(tx, call, asked))
        except StatusError as error:
            if error.status != Status.MESSAGE_PREVIOUSLY_SENT:
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


def _invitation(tx: Transaction, mailbox_id: int, asked: Element) -> Item:
    """:raises StatusError: 2, it is none."""
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
    return item


def _response(asked: Element) -> str:
    return (asked.text(M.UserResponse) or "").strip()


def _settle(tx: Transaction, call: Call, asked: Element) -> None:
    """Do what an answer is to the mailbox, when nobody is told of it here.

    :raises StatusError: 2.
    """
    item = _invitation(tx, call.account.mailbox_id, asked)
    if _response(asked) == _DECLINED:
        _put_away(tx, call, item)
    elif call.version >= (16, 0):
        raise StatusError(INVALID, "nobody is to be told, and there is no calendar")


def _put_away(tx: Transaction, call: Call, item: Item) -> None:
    # Of nobody's origin: the departure is news to the device that asked for it, too.
    items.move_item(tx, item, folders.folder_of_type(tx, call.account.mailbox_id, FolderType.DELETED))


@frozen
class _Known:
    """What an answer is made of."""

    item: Item
    meeting: Invitation
    owned: frozenset[str]


async def _tell(call: Call, asked: Element, words: Words) -> None:
    """Mail the organizer, and do what an answer is to the mailbox, in one transaction.

    :raises StatusError: 2; 118, it was done before; what SendMail says when mail cannot go out.
    """
    response, device = _response(asked), call.device.id
    # One for each invitation: another answer to it makes it forget the one before, which may then be given again.
    client_id = f"meeting {asked.text(M.RequestId) or asked.text(Search.LongId)}"[:64]
    sent_as = repr((client_id, response, words.text, words.html, words.proposed)).encode("utf-8", "replace")
    digest = hashlib.sha256(sent_as).digest()
    if await call.read(lambda tx: devices.was_sent(tx, device, client_id, digest)):
        raise StatusError(Status.MESSAGE_PREVIOUSLY_SENT, client_id)
    known: _Known = await call.read(lambda tx: _look(tx, call, asked))
    if words.proposed is not None and known.meeting.disallow_counter:
        raise StatusError(INVALID, "the organizer wants no proposals")
    mail = answer_mail(
        call.account,
        known.owned,
        known.item,
        known.meeting,
        response,
        words,
        call.now(),
        call.services.random,
    )

    def done(tx: Transaction) -> None:
        item = _invitation(tx, call.account.mailbox_id, asked)
        if response == _DECLINED:
            _put_away(tx, call, item)
        else:
            items.set_verb(tx, item, REPLIED, call.now())
        devices.forget_sends(tx, device, client_id)
        devices.remember_send(tx, device, client_id, digest, call.now())

    await submit(call, mail, True, "", then=done)


def _look(tx: Transaction, call: Call, asked: Element) -> _Known:
    item = _invitation(tx, call.account.mailbox_id, asked)
    where = calendar_range(item, choose_bodies(load_structure(item.structure)).calendar)
    meeting = None
    if where is not None:
        part, start, stop = where
        meeting = read_calendar(part, bodies.read_body(tx, item.body_id, start, stop))
    if meeting is None:
        raise StatusError(INVALID, "an invitation that cannot be read")
    return _Known(item, meeting, accounts.owned_addresses(tx, call.account.id))
