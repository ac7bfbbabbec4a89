"""MeetingResponse, as long as there is no calendar."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.services import EasSettings
from posthouse.model import FolderType, Item
from posthouse.store import changes
from posthouse.wbxml.tags import MeetingResponse as M
from posthouse.wbxml.tags import Search
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Response, Room

NOTE = b"From: b@example.net\r\nTo: a@example.org\r\nSubject: hi\r\n\r\nhello\r\n"
INVITATION = (
    b"From: b@example.net\r\nTo: a@example.org\r\nSubject: Tea\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n"
    b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105T080000Z\r\nEND:VEVENT\r\n"
    b"END:VCALENDAR\r\n"
)
ACCEPT, TENTATIVE, DECLINE = 1, 2, 3


class MeetingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))
        self.inbox = self.room.folder().number
        self.item = self.room.deliver(INVITATION)
        self.assertEqual(self.item.message_class, "IPM.Schedule.Meeting.Request")

    def answer(self, *more: Element | None, response: object = DECLINE, item: object = None) -> Element:
        return E(
            M.Request,
            E(M.UserResponse, response) if response is not None else None,
            E(M.CollectionId, self.inbox),
            E(M.RequestId, str(self.item.number if item is None else item)),
            *more,
        )

    def post(self, *asked: Element, version: str = "14.1") -> Response:
        return self.room.post("MeetingResponse", E(M.MeetingResponse, list(asked)), version)

    def statuses(self, *asked: Element, version: str = "14.1") -> list[str]:
        answer = self.post(*asked, version=version)
        self.assertEqual(answer.code, 200)
        assert answer.root is not None
        return [one.text(M.Status) or "" for one in answer.root.findall(M.Result)]

    def lies_in(self, type: FolderType) -> list[str]:
        row = self.room.folder(type).id
        found = self.room.db.read_now(
            lambda tx: [one[0] for one in tx.execute("SELECT subject FROM item WHERE folder_id = ?", (row,))]
        )
        return list(found)

    def there(self) -> Item | None:
        mailbox, number = self.room.account.mailbox_id, self.item.number
        return self.room.db.read_now(lambda tx: changes.item_by_number(tx, mailbox, number))


class DeclineTests(MeetingCase):
    def test_a_declined_invitation_goes_to_deleted_items(self) -> None:
        """R4180, R837, R5725, R5374, R3807."""
        for version in VERSIONS:
            self.item = self.room.deliver(INVITATION)
            answer = self.post(self.answer(), version=version)
            assert answer.root is not None
            (result,) = answer.root.children
            self.assertEqual(
                [(child.tag, child.value) for child in result.children],
                [(M.RequestId, str(self.item.number)), (M.Status, "1")],
            )
            self.assertIsNone(self.there())
        self.assertEqual(self.lies_in(FolderType.DELETED), ["Tea"] * len(VERSIONS))

    def test_by_long_id_there_is_no_request_id_to_say_again(self) -> None:
        """R5374."""
        asked = E(M.Request, E(M.UserResponse, DECLINE), E(Search.LongId, self.item.number))
        answer = self.post(asked)
        self.assertEqual((answer.text(M.Result, M.Status), answer.text(M.Result, M.RequestId)), ("1", ""))

    def test_a_second_answer_finds_nothing(self) -> None:
        self.assertEqual(self.statuses(self.answer(), self.answer()), ["1", "2"])


class InvalidTests(MeetingCase):
    def test_what_needs_a_calendar_is_2_and_changes_nothing(self) -> None:
        """R4187: the device stops asking."""
        for response in (ACCEPT, TENTATIVE):
            answer = self.post(self.answer(response=response))
            self.assertEqual(
                (answer.text(M.Result, M.Status), answer.text(M.Result, M.CalendarId)), ("2", "")
            )
        self.assertEqual(self.statuses(self.answer(E(M.SendResponse)), version="16.1"), ["2"])
        self.assertIsNotNone(self.there())

    def test_what_names_no_invitation_is_2(self) -> None:
        """R4183."""
        note = self.room.deliver(NOTE).number
        for item in (note, 999_999, "InvalidValue", "x" * 100):
            self.assertEqual(self.statuses(self.answer(item=item)), ["2"], item)
        elsewhere = E(M.Request, E(M.UserResponse, 3), E(M.CollectionId, 9), E(M.RequestId, self.item.number))
        self.assertEqual(self.statuses(elsewhere), ["2"])
        self.assertEqual(sorted(self.lies_in(FolderType.INBOX)), ["Tea", "hi"])

    def test_a_malformed_answer_is_2_of_its_own(self) -> None:
        """R4182: the others are done."""
        for response in (0, 4, 5, "", "yes", None):
            self.assertEqual(self.statuses(self.answer(response=response)), ["2"], response)
        twice = self.answer(E(M.RequestId, self.item.number))
        both = self.answer(E(Search.LongId, self.item.number))
        neither = E(M.Request, E(M.UserResponse, 3))
        homeless = E(M.Request, E(M.UserResponse, 3), E(M.RequestId, self.item.number))
        self.assertEqual(self.statuses(twice, both, neither, homeless, self.answer()), ["2"] * 4 + ["1"])

    def test_occurrences(self) -> None:
        """R4185, R4186, R3195, R4819; 2 where the version has none (R6712)."""
        good = "2026-01-05T08:00:00.000Z"
        for version, instance, status in (
            ("14.1", good, "2"),
            ("14.1", "", "2"),
            ("14.1", "InvalidValue", "2"),
            ("14.1", "01-05-2026T08:00:00.000Z", "104"),
            ("16.1", "2026-13-05T08:00:00.000Z", "104"),
            ("14.0", good, "2"),
            ("12.1", "01-05-2026T08:00:00.000Z", "2"),
        ):
            asked = self.answer(E(M.InstanceId, instance))
            self.assertEqual(self.statuses(asked, version=version), [status], (version, instance))
        self.assertIsNotNone(self.there())


class WholeRequestTests(MeetingCase):
    def test_a_hundred_answers_and_not_one_more(self) -> None:
        """R5650, R5649."""
        self.assertEqual(self.statuses(*[self.answer()] * 100), ["1"] + ["2"] * 99)
        self.item = self.room.deliver(INVITATION)
        self.assertEqual(self.statuses(*[self.answer()] * 101), ["103"])
        self.assertIsNotNone(self.there())
        self.assertEqual(self.post(*[self.answer()] * 101, version="12.1").code, 400)

    def test_nothing_asked_is_103(self) -> None:
        self.assertEqual(self.statuses(), ["103"])
        self.assertEqual(self.room.post("MeetingResponse", None).text(M.Result, M.Status), "101")
