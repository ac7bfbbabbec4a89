"""Microsoft's requirements for the elements of mail, one by one. Bare numbers are MS-ASEMAIL."""

from __future__ import annotations

from itertools import combinations

from posthouse.model import ChangeGroup, FolderType, Item
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2, Find, Search, Tasks
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS
from tests.eas.test_drafts import DraftCase, add, data
from tests.eas.test_interop_mail import PLAIN, Base, day, preference, span, wanted
from tests.pim.texts import calendar, mail

VOICE = (
    b"From: Ann <ann@example.org>\r\nTo: b@example.org\r\nSubject: Call\r\nContent-Class: voice\r\n"
    b"X-CallingTelephoneNumber: 7125550123\r\nX-VoiceMessageDuration: 2\r\nX-AttachmentOrder: one.mp3;two.mp3\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\nMIME-Version: 1.0\r\n\r\n--b\r\n\r\ncalled\r\n'
    b'--b\r\nContent-Type: audio/mp3\r\nContent-Disposition: attachment; filename="one.mp3"\r\n\r\nA\r\n'
    b'--b\r\nContent-Type: audio/mp3\r\nContent-Disposition: attachment; filename="two.mp3"\r\n\r\nB\r\n--b--\r\n'
)


class ElementTests(Base):
    def test_data_is_there_when_some_of_it_was_asked_for(self) -> None:
        """R1057: none for a TruncationSize of 0, nor where AllOrNone excludes it."""
        self.room.deliver(PLAIN)
        for more, shown in (
            ([E(AirSyncBase.TruncationSize, 5)], "hello"),
            ([E(AirSyncBase.TruncationSize, 0)], None),
            ([E(AirSyncBase.TruncationSize, 5), E(AirSyncBase.AllOrNone, 1)], None),
            ([E(AirSyncBase.TruncationSize, 5), E(AirSyncBase.AllOrNone, 0)], "hello"),
        ):
            (found,) = self.phone().commands(wanted(preference(1, *more)))[AirSync.Add]
            body = found.find(AirSyncBase.Body)
            self.assertEqual(body and body.text(AirSyncBase.Data), shown)

    def test_read_and_draft_marks(self) -> None:
        """R640, R641, R1279."""
        self.room.deliver(PLAIN, read=True)
        self.room.deliver(PLAIN)
        for version in VERSIONS:
            found = self.phone(version).commands()[AirSync.Add]
            self.assertEqual(sorted(one.text(Email.Read) or "" for one in found), ["0", "1"])
            draft = "0" if version >= "16.0" else None
            self.assertEqual([one.text(Email2.IsDraft) for one in found], [draft, draft])

    def test_a_blind_copy_says_so(self) -> None:
        """R645-R649: from 14.0 on, only what was received, and only when it is so."""
        trace = b"Return-Path: <x@example.org>\r\nReceived: by mx\r\n"
        self.room.deliver(PLAIN, bcc="a@example.org", trace=trace)
        self.room.deliver(PLAIN, trace=trace)
        self.room.deliver(PLAIN, bcc="eve@example.org")
        for version in VERSIONS:
            found = self.phone(version).commands()[AirSync.Add]
            marks = [one.text(Email2.ReceivedAsBcc) for one in found]
            self.assertEqual(sorted(filter(None, marks)), ["1"] if version >= "14.0" else [])
            self.assertFalse([one for one in found if one.find(Email2.Bcc) is not None])

    def test_later_news_of_a_meeting_changes_no_earlier_mail(self) -> None:
        """R531: MeetingMessageType is not change tracked."""
        self.room.deliver(mail(calendar("SEQUENCE:0")))
        phone = self.phone()
        (first,) = phone.commands()[AirSync.Add]
        self.room.deliver(mail(calendar("SEQUENCE:1")).replace(b"<invitation", b"<update"))
        kinds = phone.commands()
        self.assertEqual(list(kinds), [AirSync.Add])
        types = [
            request.text(Email2.MeetingMessageType)
            for one in (first, *kinds[AirSync.Add], *self.phone().commands()[AirSync.Add])
            if (request := one.find(Email.MeetingRequest)) is not None
        ]
        self.assertEqual((types[:2], sorted(types[2:], key=str)), (["1", "2"], ["1", "2"]))


class VoiceTests(Base):
    """S02."""

    def test_who_called_and_in_which_order(self) -> None:
        """TC01: R799, R803, R804, R805, R808, R809, R811, R812, R829, R933."""
        self.room.deliver(VOICE)
        for version in VERSIONS:
            (found,) = self.phone(version).commands()[AirSync.Add]
            self.assertEqual(found.text(Email.MessageClass), "IPM.Note.Microsoft.Voicemail.UM")
            files = found.find(AirSyncBase.Attachments)
            assert files is not None
            marks = [(one.text(Email2.UmAttOrder), one.text(Email2.UmAttDuration)) for one in files.children]
            if version >= "14.0":
                self.assertEqual(marks, [("2", None), ("1", "2")])
                self.assertEqual(found.text(Email2.UmCallerID), "7125550123")
            else:
                self.assertEqual(marks, [(None, None)] * 2)
                self.assertIsNone(found.find(Email2.UmCallerID))

    def test_other_mail_says_nothing_of_calls(self) -> None:
        """R804, R811, R930: whatever its header; and nothing of a caller who is withheld."""
        self.room.deliver(VOICE.replace(b"Content-Class: voice\r\n", b""))
        (found,) = self.phone().commands()[AirSync.Add]
        self.assertEqual(found.text(Email.MessageClass), "IPM.Note")
        self.assertFalse([one for one in found.iter() if one.tag.startswith("Email2:Um")])
        self.setUp()
        bare = VOICE.replace(b"7125550123", b"").replace(b"Duration: 2", b"Duration: long")
        self.room.deliver(bare.replace(b"X-AttachmentOrder", b"X-Nothing"))
        (found,) = self.phone().commands()[AirSync.Add]
        self.assertFalse([one for one in found.iter() if one.tag.startswith("Email2:Um")])

    def test_a_phone_writes_none_of_it(self) -> None:
        """TC02, TC03: R817, R835."""
        item = self.room.deliver(VOICE)
        phone = self.filled()
        for tag in (Email2.UmCallerID, Email2.UmUserNotes):
            self.assertEqual(phone.change(item, E(Email.Read, 1), E(tag, "77777777777")), "6")


class FlagTests(Base):
    def test_whether_it_reminds_is_said_both_ways(self) -> None:
        """R692, R693, R1072."""
        item = self.room.deliver(PLAIN)
        phone = self.filled()
        active = E(Email.Status, 2), E(Email.FlagType, "Flag for follow up")
        for more, shown in (
            ([], "0"),
            ([E(Tasks.ReminderSet, 0)], "0"),
            ([E(Tasks.ReminderSet, 1), E(Tasks.ReminderTime, day(3))], "1"),
        ):
            self.assertEqual(phone.change(item, E(Email.Flag, *active, *more)), "1")
            (found,) = self.phone(device="ANOTHER").commands()[AirSync.Add]
            flag = found.find(Email.Flag)
            self.assertEqual(flag and flag.text(Tasks.ReminderSet), shown)

    def test_what_comes_twice_is_no_error(self) -> None:
        """S03 TC13-TC22: R581, R634, R697, R706, R746, R761, R777, R858, R869."""
        item = self.room.deliver(PLAIN)
        phone = self.filled()
        flag = [
            E(Email.Status, 2),
            E(Email.FlagType, "Flag for follow up"),
            *span(0, 20, 0, 20),
            E(Tasks.ReminderSet, 1),
            E(Tasks.ReminderTime, day(12)),
            E(Tasks.OrdinalDate, day(0)),
            E(Tasks.SubOrdinalDate, "5"),
        ]
        for one in flag:
            twice = E(one.tag, one.value)
            self.assertEqual(phone.change(item, E(Email.Flag, flag, twice)), "1", one.tag)
            (found,) = self.phone(device="ANOTHER").commands()[AirSync.Add]
            seen = found.find(Email.Flag)
            self.assertEqual(seen and seen.text(one.tag), one.value)
            self.assertEqual(phone.change(item, E(Email.Flag)), "1")


class ChangeTests(Base):
    def test_what_changed_and_nothing_else(self) -> None:
        """R75, R76, R77, R81, R96, R100, R104, R10600, R10604, R10608, R10612, R1017."""
        news = {
            ChangeGroup.READ: E(Email.Read, 1),
            ChangeGroup.FLAG: E(Email.Flag, E(Email.Status, 2), E(Email.FlagType, "x")),
            ChangeGroup.CATEGORIES: E(Email.Categories, E(Email.Category, "Blue")),
        }
        for size in range(4):
            for groups in combinations(news, size):
                self.setUp()
                item = self.room.deliver(PLAIN)
                here, there = self.filled(device="ONE"), self.filled(device="TWO")
                if groups:
                    self.assertEqual(here.change(item, *[news[group] for group in groups]), "1")
                kinds = there.commands()
                if not groups:
                    self.assertEqual(kinds, {})
                    continue
                (found,) = kinds[AirSync.Change]
                tags = {child.tag for child in found.children}
                self.assertEqual(tags, {news[group].tag for group in groups})


class CommandTests(Base):
    """S01: the other commands that show mail."""

    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(PLAIN)

    def fetched(self, *options: Element) -> Element:
        fetch = E(
            IO.Fetch,
            E(IO.Store, "Mailbox"),
            E(AirSync.CollectionId, self.room.folder().number),
            E(AirSync.ServerId, self.item.number),
            E(IO.Options, options) if options else None,
        )
        root = self.room.post("ItemOperations", E(IO.ItemOperations, fetch)).root
        found = root.find(IO.Response, IO.Fetch, IO.Properties) if root is not None else None
        assert found is not None
        return found

    def test_item_operations_and_its_schema(self) -> None:
        """R61, R63."""
        whole = {child.tag for child in self.fetched().children}
        self.assertLessEqual({Email.Subject, Email.From, Email.To, AirSyncBase.Body}, whole)
        for tags in ([Email.Subject], [Email.To, Email.Importance], [AirSyncBase.Body]):
            found = self.fetched(E(IO.Schema, [E(tag) for tag in tags]))
            self.assertEqual({child.tag for child in found.children}, set(tags))

    def test_search_has_no_place_for_elements_of_mail(self) -> None:
        """TC23: R68."""
        inner = [E(AirSync.CollectionId, self.room.folder().number), E(Search.FreeText, "hello")]
        for stray, expected in ((E(Email.To, "b@example.org"), "2"), (None, "1")):
            store = E(
                Search.Store,
                E(Search.Name, "Mailbox"),
                E(Search.Query, E(Search.And, inner, stray)),
                E(Search.Options, E(Search.Range, "0-4")),
            )
            response = self.room.post("Search", E(Search.Search, store))
            self.assertEqual(response.text(Search.Response, Search.Store, Search.Status), expected)

    def test_find(self) -> None:
        """R6000."""
        query = E(Find.Query, E(AirSync.Class, "Email"), E(Find.FreeText, "subject:Lunch"))
        request = E(
            Find.Find,
            E(Find.SearchId, "s"),
            E(Find.ExecuteSearch, E(Find.MailBoxSearchCriterion, query)),
        )
        response = self.room.post("Find", request, "16.1")
        self.assertEqual((response.text(Find.Status), response.root and response.root.tag), ("1", Find.Find))
        self.assertEqual(response.text(Find.Response, Find.Status), "1")


class RecipientTests(DraftCase):
    def test_both_get_it_and_the_blind_one_knows(self) -> None:
        """R328, R648: To, Cc and Bcc, each on his own way in."""
        cases = (
            ({"to": "a@example.org", "cc": "b@example.org"}, ("a@example.org", "b@example.org", "")),
            ({"to": "a@example.org", "bcc": "b@example.org"}, ("a@example.org", "", "b@example.org")),
        )
        for number, (fields, expected) in enumerate(cases):
            self.sync(add(data(**fields, subject="x", text="t"), str(number), send=True))
            theirs: Item = self.received[-1]
            mine: Item = self.items(None, FolderType.INBOX)[-1]
            self.assertEqual((theirs.to, theirs.cc, theirs.bcc), expected)
            self.assertEqual((mine.to, mine.cc, mine.bcc), (*expected[:2], ""))
            self.assertIn(b"Received: ", theirs.trace)
