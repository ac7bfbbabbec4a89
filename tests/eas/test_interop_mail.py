"""Microsoft's own test cases for mail (MS-ASEMAIL S01 and S03, MS-ASCON S01), replayed at every version."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.content.moments import write_moment
from posthouse.eas.services import EasSettings
from posthouse.model import FolderType, Item
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2, Tasks
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Response, Room
from tests.support.store import NOW

PLAIN = (
    b"From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>, Cyd <cyd@example.org>\r\n"
    b"Cc: d@example.org, e@example.org\r\nReply-To: Ann <ann@example.net>, f@example.net\r\n"
    b"Subject: Re: Lunch\r\nDate: Wed, 31 Dec 2025 23:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
    b"Importance: high\r\n\r\nhello there\r\n"
)


class Phone:
    """One collection of one device, at one version."""

    def __init__(
        self, room: Room, version: str, type: FolderType = FolderType.INBOX, device: str = "PHONE1"
    ) -> None:
        self.room, self.version, self.device = room, version, device
        self.name = str(room.folder(type).number)
        self.key = "0"

    def ask(self, *more: Element | None, commands: tuple[Element, ...] = ()) -> Response:
        """One Sync; the answer is believed."""
        collection = E(
            AirSync.Collection,
            E(AirSync.SyncKey, self.key),
            E(AirSync.CollectionId, self.name),
            [one for one in more if one is not None],
            E(AirSync.Commands, commands) if commands else None,
        )
        request = E(AirSync.Sync, E(AirSync.Collections, collection))
        self.room.device_id = self.device
        response = self.room.post("Sync", request, self.version)
        self.key = response.text(AirSync.Collections, AirSync.Collection, AirSync.SyncKey) or self.key
        return response

    def commands(self, *more: Element | None, commands: tuple[Element, ...] = ()) -> dict[str, list[Element]]:
        """What one Sync brings: kind of command to its ApplicationData (or the command itself)."""
        response = self.ask(*more, commands=commands)
        found = None
        if response.root is not None:
            found = response.root.find(AirSync.Collections, AirSync.Collection, AirSync.Commands)
        kinds: dict[str, list[Element]] = {}
        for one in found.children if found is not None else ():
            kinds.setdefault(one.tag, []).append(one.find(AirSync.ApplicationData) or one)
        return kinds

    def change(self, item: Item, *children: Element) -> str:
        """Change an item. :return: the status in Responses, "1" when there is none (R6413)."""
        change = E(AirSync.Change, E(AirSync.ServerId, item.number), E(AirSync.ApplicationData, children))
        response = self.ask(E(AirSync.GetChanges, 0), commands=(change,))
        path = (AirSync.Collections, AirSync.Collection, AirSync.Responses, AirSync.Change, AirSync.Status)
        return response.text(*path) or "1"


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))

    def phone(self, version: str = "14.1", device: str = "PHONE1") -> Phone:
        phone = Phone(self.room, version, device=device)
        phone.ask()
        return phone

    def filled(self, version: str = "14.1", device: str = "PHONE1") -> Phone:
        phone = self.phone(version, device)
        phone.ask()
        return phone


def wanted(*preferences: Element) -> Element:
    return E(AirSync.Options, preferences)


def preference(kind: int, *more: Element, tag: str = AirSyncBase.BodyPreference) -> Element:
    return E(tag, E(AirSyncBase.Type, kind), more)


class MetadataTests(Base):
    """S01: what is said of a message."""

    def test_every_element_at_every_version(self) -> None:
        """ASEMAIL R318, R330, R331, R342, R350, R400, R439, R483, R496, R588, R641, R649, R711, R787, R1065."""
        self.room.deliver(PLAIN, sent=NOW - 3600_000)
        for version in VERSIONS:
            (data,) = self.phone(version).commands()[AirSync.Add]
            found = {child.tag: child for child in data.children}
            self.assertEqual(found[Email.To].value, '"Bob" <bob@example.org>, "Cyd" <cyd@example.org>')
            self.assertEqual(found[Email.Cc].value, "d@example.org, e@example.org")
            self.assertEqual(found[Email.DisplayTo].value, "Bob;Cyd")
            self.assertEqual(found[Email.ReplyTo].value, '"Ann" <ann@example.net>; f@example.net')
            self.assertEqual(found[Email.ThreadTopic].value, "Lunch")
            self.assertEqual(found[Email.Importance].value, "2")
            self.assertEqual(found[Email.Read].value, "0")
            self.assertEqual(found[Email.ContentClass].value, "urn:content-classes:message")
            self.assertEqual(found[Email.MessageClass].value, "IPM.Note")
            self.assertEqual(found[Email.InternetCPID].value, "65001")
            self.assertEqual(found[AirSyncBase.NativeBodyType].value, "1")
            self.assertFalse(found[Email.Flag].children or found[Email.Flag].value)
            if version >= "14.0":
                self.assertFalse(found[Email.Categories].children)
                self.assertIn(Email2.ConversationId, found)
                self.assertIn(Email2.ConversationIndex, found)
            else:
                self.assertFalse([tag for tag in found if tag.startswith("Email2:")])
                self.assertNotIn(Email.Categories, found)
            self.assertNotIn(Email2.Sender, found)
            self.assertNotIn(Email2.ReceivedAsBcc, found)

    def test_a_message_part_stands_alone_or_beside_the_body(self) -> None:
        """ASCON R234, R237, R239, R240, R243, R245-R248, ASAIRS R120."""
        self.room.deliver(PLAIN)
        cut = E(AirSyncBase.TruncationSize, 5)
        part = preference(2, cut, tag=AirSyncBase.BodyPartPreference)
        for given, body, has_part in (
            ((), True, False),
            ((preference(1),), True, False),
            ((part,), False, True),
            ((preference(1), part), True, True),
        ):
            (data,) = self.phone().commands(wanted(*given) if given else None)[AirSync.Add]
            self.assertEqual(data.find(AirSyncBase.Body) is not None, body, given)
            found = data.find(AirSyncBase.BodyPart)
            self.assertEqual(found is not None, has_part, given)
            if found is not None:
                self.assertEqual(found.text(AirSyncBase.Status), "1")
                self.assertEqual(found.text(AirSyncBase.Truncated), "1")
                self.assertGreater(int(found.text(AirSyncBase.EstimatedDataSize) or 0), 5)

    def test_categories_come_and_go(self) -> None:
        """ASEMAIL R319, R320."""
        item = self.room.deliver(PLAIN)
        phone, other = self.filled(), self.filled("16.1", "PHONE2")
        self.assertEqual(phone.change(item, E(Email.Categories, E(Email.Category, "Blue"))), "1")
        (data,) = other.commands()[AirSync.Change]
        self.assertEqual([child.value for child in data.find(Email.Categories).children], ["Blue"])  # type: ignore[union-attr]
        self.assertEqual(phone.change(item, E(Email.Flag, E(Email.Status, 2))), "1")
        (data,) = other.commands()[AirSync.Change]
        self.assertEqual([child.tag for child in data.children], [Email.Flag])
        self.assertEqual(phone.change(item, E(Email.Categories)), "1")
        (data,) = other.commands()[AirSync.Change]
        self.assertEqual([child.tag for child in data.children], [Email.Categories])
        self.assertFalse(data.children[0].children)

    def test_what_the_server_says_is_not_changed_by_a_phone(self) -> None:
        # Rule 30 of the sync model.
        """ASEMAIL R347, R643, R648, R723."""
        item = self.room.deliver(PLAIN)
        phone = self.filled("16.1")
        read = E(Email.Read, 1)
        self.assertEqual(phone.change(item, read, E(Email2.ConversationId, b"x" * 16)), "6")
        self.assertEqual(phone.change(item, read, E(Email2.ReceivedAsBcc, 1)), "6")
        self.assertEqual(phone.change(item, read, E(Email2.Sender, "x@example.org")), "6")
        self.assertEqual(phone.change(item, E(Email.Read, "yes")), "6")
        self.assertEqual(phone.change(item, read), "1")


def day(days: int) -> str:
    return write_moment(int((datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)).timestamp() * 1000))


def span(start: int, due: int, utc_start: int, utc_due: int) -> list[Element]:
    return [
        E(Tasks.StartDate, day(start)),
        E(Tasks.DueDate, day(due)),
        E(Tasks.UtcStartDate, day(utc_start)),
        E(Tasks.UtcDueDate, day(utc_due)),
    ]


class FlagTests(Base):
    """S03: the flag table (3.2.5.3.2)."""

    def flag(self, *children: Element) -> str:
        return self.filled().change(self.item, E(Email.Flag, children))

    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(PLAIN)

    def seen(self) -> Element:
        (data,) = self.phone().commands()[AirSync.Add]
        flag = data.find(Email.Flag)
        assert flag is not None
        return flag

    def test_every_property_comes_back(self) -> None:
        """TC01: ASEMAIL R436, R692, R940, R941, R942, R1007, R1021."""
        status = self.flag(
            E(Email.Status, 2),
            E(Email.FlagType, "for Follow Up"),
            E(Tasks.Subject, "flagged"),
            *span(0, 20, 0, 20),
            E(Tasks.OrdinalDate, day(0)),
            E(Tasks.SubOrdinalDate, "55555"),
            E(Tasks.ReminderSet, 1),
            E(Tasks.ReminderTime, day(12)),
            E(Email.CompleteTime, day(30)),
            E(Tasks.DateCompleted, day(30)),
        )
        self.assertEqual(status, "1")
        seen = self.seen()
        self.assertEqual(len(seen.children), 13)
        self.assertEqual(seen.text(Tasks.ReminderSet), "1")
        self.assertEqual(seen.text(Tasks.SubOrdinalDate), "55555")
        self.assertEqual(seen.text(Tasks.DueDate), day(20))

    def test_complete(self) -> None:
        """TC03: ASEMAIL R86, R87, R334, R336, R358, R359."""
        both = (E(Email.CompleteTime, day(1)), E(Tasks.DateCompleted, day(1)))
        self.assertEqual(self.flag(E(Email.Status, 1), *both), "1")
        self.assertEqual(self.seen().text(Tasks.DateCompleted), day(1))
        self.assertEqual(self.flag(E(Email.Status, 1), both[0]), "6")
        self.assertEqual(self.flag(E(Email.Status, 1), both[1]), "6")
        self.assertEqual(self.flag(E(Email.Status, 2), both[1]), "6")
        self.assertEqual(self.flag(E(Email.Status, 2), both[0]), "1")
        self.assertEqual(self.seen().text(Tasks.DateCompleted), day(1))

    def test_what_breaks_the_table_is_6_and_changes_nothing(self) -> None:
        # Rule 30 of the sync model.
        """TC02, TC04-TC11: ASEMAIL R92, R406-R409, R702, R738-R741, R757, R850, R851, R853, R861-R864."""
        active = E(Email.Status, 2)
        for broken in (
            [E(Email.Status, 3)],
            [active, E(Tasks.ReminderSet, 1)],
            [active, *span(20, 10, 20, 30)],
            [active, *span(10, 30, 20, 10)],
            [active, *span(0, 1, 0, 1)[:1]],
            [active, *span(0, 1, 0, 1)[1:]],
            [active, *span(0, 1, 0, 1)[:3]],
            [E(Email.Status, 1)],
        ):
            self.assertEqual(self.flag(*broken), "6", [str(one) for one in broken])
        self.assertFalse(self.seen().children)

    def test_cleared_both_ways(self) -> None:
        """ASEMAIL R88, R89, R8800, R8900, R439."""
        for clearing in ([], [E(Email.Status, 0)]):
            self.assertEqual(self.flag(E(Email.Status, 2), E(Email.FlagType, "x")), "1")
            self.assertEqual(self.seen().text(Email.Status), "2")
            self.assertEqual(self.flag(*clearing), "1")
            self.assertFalse(self.seen().children)


BROKEN_INVITATION = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: Meeting\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n--b\r\n\r\ncome\r\n'
    b"--b\r\nContent-Type: text/calendar; method=REQUEST\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"QkVHSU46VkNBTEVOREFSDQo=\r\n--b--\r\n"
)


class InvitationTests(Base):
    """S04, as far as it goes without a calendar (see test_meetings)."""

    def test_one_that_nobody_can_read_is_a_normal_message_with_a_file(self) -> None:
        """ASEMAIL R544: no MeetingRequest in what says of no meeting when and which it is."""
        item = self.room.deliver(BROKEN_INVITATION)
        self.assertEqual(item.message_class, "IPM.Schedule.Meeting.Request")
        for version in VERSIONS:
            (data,) = self.phone(version).commands()[AirSync.Add]
            self.assertEqual(data.text(Email.MessageClass), "IPM.Note")
            self.assertEqual(data.text(Email.ContentClass), "urn:content-classes:message")
            self.assertIsNone(data.find(Email.MeetingRequest))
            rows = data.find(AirSyncBase.Attachments)
            assert rows is not None
            (row,) = rows.children
            self.assertEqual(row.text(AirSyncBase.DisplayName), "invite.ics")
            reference = row.text(AirSyncBase.FileReference) or ""
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(AirSyncBase.FileReference, reference))
        response = self.room.post("ItemOperations", E(IO.ItemOperations, fetch))
        path = IO.Response, IO.Fetch, IO.Properties, IO.Data
        self.assertEqual(b64decode(response.text(*path)), b"BEGIN:VCALENDAR\r\n")

    def test_the_text_of_another_message_is_no_attachment(self) -> None:
        item = self.room.deliver(PLAIN)
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(AirSyncBase.FileReference, f"{item.number}:1"))
        response = self.room.post("ItemOperations", E(IO.ItemOperations, fetch))
        self.assertEqual(response.text(IO.Response, IO.Fetch, IO.Status), "15")
