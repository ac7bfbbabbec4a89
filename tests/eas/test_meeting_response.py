"""MeetingResponse, as long as there is no calendar."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.services import EasSettings
from posthouse.errors import NotPermitted
from posthouse.model import FolderType, Item
from posthouse.store import changes
from posthouse.wbxml.tags import AirSyncBase, Search
from posthouse.wbxml.tags import MeetingResponse as M
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Response, Room
from tests.pim.texts import EVENT, calendar, mail

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


class AcceptTests(MeetingCase):
    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(mail(self.text()))

    def text(self, *more: str, event: str = EVENT) -> str:
        return calendar(*more, event=event.replace("bob@example\n .org", "a@example.org"))

    def told(self, said: Element | None = None, response: object = ACCEPT, version: str = "16.1") -> str:
        asked = self.answer(said if said is not None else E(M.SendResponse), response=response)
        return self.statuses(asked, version=version)[0]

    def sent(self) -> tuple[EmailMessage, str]:
        """The last mail, and its iCalendar text unfolded."""
        message = message_from_bytes(self.room.outbox.sent[-1][1], policy=default)
        assert isinstance(message, EmailMessage)
        part = next(one for one in message.walk() if one.get_content_type() == "text/calendar")
        return message, str(part.get_content()).replace("\r\n", "\n").replace("\n ", "")

    def test_a_device_that_tells_the_organizer_itself_may_do_so(self) -> None:
        """Up to 14.1 there is no SendResponse (R7116-R7118), and nothing but the device's own mail to come."""
        for version in VERSIONS[:4]:
            for response in (ACCEPT, TENTATIVE):
                answer = self.post(self.answer(response=response), version=version)
                self.assertEqual(answer.text(M.Result, M.Status), "1", version)
                self.assertEqual(answer.text(M.Result, M.CalendarId), "")
        self.assertIsNotNone(self.there())
        self.assertEqual(self.room.outbox.sent, [])

    def test_the_organizer_is_told_and_the_invitation_stays(self) -> None:
        """R5723, R5724, R6062, R7114."""
        for version in ("16.0", "16.1"):
            for response, word, state in (
                (ACCEPT, "Accepted", "ACCEPTED"),
                (TENTATIVE, "Tentative", "TENTATIVE"),
            ):
                self.assertEqual(self.told(response=response, version=version), "1")
                message, text = self.sent()
                self.assertEqual(message["subject"], f"{word}: Plans")
                self.assertEqual(str(message["to"]), "Ann Onym <ann@example.org>")
                self.assertEqual(message["from"].addresses[0].addr_spec, "a@example.org")
                self.assertEqual(message["in-reply-to"], "<invitation@example.org>")
                self.assertIn("METHOD:REPLY\n", text)
                self.assertIn(f"ATTENDEE;PARTSTAT={state}", text)
                self.assertIn("mailto:a@example.org\n", text)
                self.assertIn("UID:meeting-1@example.org\n", text)
                self.assertIn("DTSTART:20260701T120000Z\n", text)
        item = self.there()
        assert item is not None
        self.assertEqual(item.verb, 1)
        self.assertTrue(all(saved for _, _, saved in self.room.outbox.sent))

    def test_a_decline_tells_the_organizer_and_puts_the_invitation_away(self) -> None:
        self.assertEqual(self.told(response=DECLINE), "1")
        self.assertIn("PARTSTAT=DECLINED", self.sent()[1])
        self.assertIsNone(self.there())

    def test_the_words_of_the_user_go_along(self) -> None:
        """R7115; of the body MS-ASAIRS R1331, R1333, R1000954."""
        for version, kind, subtype, data in (
            ("16.0", 1, "plain", "Gladly; yes, \nall of us"),
            ("16.1", 1, "plain", "Gladly; yes, \nall of them"),
            ("16.1", 2, "html", "<b>Gladly</b>"),
        ):
            body = E(AirSyncBase.Body, E(AirSyncBase.Type, kind), E(AirSyncBase.Data, data))
            self.assertEqual(self.told(E(M.SendResponse, body), version=version), "1")
            message, text = self.sent()
            found = message.get_body((subtype,))
            assert found is not None
            self.assertEqual(found.get_content().replace("\r\n", "\n").strip(), data)
            self.assertEqual("COMMENT:Gladly\\; yes\\, \\nall of " in text, kind == 1)
        for body in (
            E(AirSyncBase.Body, E(AirSyncBase.Type, 4), E(AirSyncBase.Data, "x")),
            E(AirSyncBase.Body, E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "x" * 200_000)),
        ):
            self.assertEqual(self.told(E(M.SendResponse, body)), "2")

    def test_a_repeated_answer_is_told_once_and_a_new_one_again(self) -> None:
        for response, count in ((1, 1), (1, 1), (2, 2), (2, 2), (1, 3), (3, 4), (3, 4)):
            self.assertEqual(self.told(response=response), "1")
            self.assertEqual(len(self.room.outbox.sent), count, response)

    def test_another_time_is_proposed(self) -> None:
        first, last = E(M.ProposedStartTime, "20260702T120000Z"), E(M.ProposedEndTime, "20260702T130000Z")
        self.assertEqual(self.told(E(M.SendResponse, first, last), response=TENTATIVE), "1")
        message, text = self.sent()
        self.assertEqual(message["subject"], "New Time Proposed: Plans")
        self.assertIn("METHOD:COUNTER\n", text)
        self.assertIn("DTSTART:20260702T120000Z\nDTEND:20260702T130000Z\n", text)
        for said, version in (
            (E(M.SendResponse, first), "16.1"),
            (E(M.SendResponse, E(M.ProposedStartTime, "soon"), last), "16.1"),
            (E(M.SendResponse, E(M.ProposedStartTime, "20260702T150000Z"), last), "16.1"),
            (E(M.SendResponse, first, last), "16.0"),
        ):
            self.assertEqual(self.told(said, version=version), "2")
        self.item = self.room.deliver(mail(self.text("X-MICROSOFT-DISALLOW-COUNTER:TRUE")))
        self.assertEqual(self.told(E(M.SendResponse, first, last)), "2")
        self.assertEqual(len(self.room.outbox.sent), 1)

    def test_nobody_is_told_when_there_is_no_one_organizer(self) -> None:
        for organizer in ("a@example.org", "A@EXAMPLE.ORG", "x@example.org,y@example.org", "nobody"):
            self.item = self.room.deliver(mail(self.text(event=EVENT.replace("ann@example.org", organizer))))
            self.assertEqual(self.told(), "2", organizer)
        self.assertEqual(self.room.outbox.sent, [])

    def test_without_an_organizer_its_sender_is_told(self) -> None:
        text = self.text(event=EVENT.replace("ORGANIZER", "X-ORGANIZER"))
        self.item = self.room.deliver(mail(text))
        self.assertEqual(self.told(), "1")
        self.assertEqual(self.sent()[0]["to"].addresses[0].addr_spec, "ann@example.org")

    def test_mail_that_cannot_go_out_is_told_and_nothing_is_done(self) -> None:
        self.room.outbox.error = NotPermitted(cause="not yours")
        self.assertEqual(self.told(response=DECLINE), "120")
        self.assertIsNotNone(self.there())
        self.room.outbox.error = None
        self.assertEqual(self.told(response=DECLINE), "1")


class InvalidTests(MeetingCase):
    def test_what_leaves_nothing_to_do_is_2_and_changes_nothing(self) -> None:
        """R4187: the device stops asking. R7113: without SendResponse nobody is told."""
        for response in (ACCEPT, TENTATIVE):
            for version in ("16.0", "16.1"):
                answer = self.post(self.answer(response=response), version=version)
                self.assertEqual(
                    (answer.text(M.Result, M.Status), answer.text(M.Result, M.CalendarId)), ("2", "")
                )
        self.assertIsNotNone(self.there())
        self.assertEqual(self.room.outbox.sent, [])

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
