"""Out of office: who is answered, with what, and who never is."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message as Mail
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.absence import AutoReply, wants_no_answer
from posthouse.model import FolderType
from posthouse.store import absence, folders, people, preferences
from posthouse.store.absence import Absence, Message, State
from tests.delivery.house import PLAIN, HouseCase
from tests.support.store import NOW

DAY = 24 * 3600


def letter(**fields: str) -> bytes:
    header = {
        "From": "Eve <eve@there.example>",
        "To": "bob@here.example",
        "Subject": "Lunch?",
        "Message-ID": "<q@there.example>",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return "".join(f"{name}: {value}\r\n" for name, value in header.items()).encode() + b"\r\nHungry?\r\n"


class AbsenceCase(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        reply = AutoReply(self.reporter)
        self.intake.auto_reply = reply
        self.submission.auto_reply = reply
        self.counter = 0

    def leave(
        self, state: State = State.ON, start: int | None = None, end: int | None = None, **more: Any
    ) -> None:
        found = Absence(
            state,
            start,
            end,
            internal=more.get("internal", Message(True, "Colleague, I am away.")),
            known=more.get("known", Message(True, "Friend, I am away.")),
            unknown=more.get("unknown", Message(True, "Stranger, I am away.")),
        )
        self.db.write_now(lambda tx: absence.set_absence(tx, self.bob.mailbox_id, found, self.now()))

    def arrive(self, sender: str = "eve@there.example", to: str = "bob@here.example", **fields: str) -> None:
        self.counter += 1
        fields.setdefault("Message_ID", f"<{self.counter}@there.example>")
        self.accept(letter(**fields), sender, to)

    def answers(self) -> list[tuple[str, Mail]]:
        """(recipient, message) of everything in the queue, by the null reverse path."""
        found = []
        for row in self.queue():
            self.assertEqual(row.sender, "")
            data = self.db.read_now(lambda tx, row=row: absence_body(tx, row.body_id))
            found.append((row.recipient, message_from_bytes(data)))
        return found

    def text(self) -> str:
        ((_, mail),) = self.answers()
        return str(mail.get_payload(decode=True).decode()).strip()


def absence_body(tx: Any, body_id: int) -> bytes:
    from posthouse.store import bodies

    return bodies.read_body(tx, body_id)


class AnswerTests(AbsenceCase):
    def test_a_stranger_is_answered_as_rfc_3834_wants_it(self) -> None:
        self.leave()
        self.arrive(Message_ID="<q@there.example>", References="<p@there.example>")
        ((recipient, mail),) = self.answers()
        self.assertEqual(recipient, "eve@there.example")
        self.assertEqual(mail["Auto-Submitted"], "auto-replied")
        self.assertEqual(mail["In-Reply-To"], "<q@there.example>")
        self.assertEqual(mail["References"], "<p@there.example> <q@there.example>")
        self.assertEqual(mail["Subject"], "Auto: Lunch?")
        self.assertEqual((mail["From"], mail["To"]), ("Bob <bob@here.example>", "eve@there.example"))
        self.assertEqual(self.text(), "Stranger, I am away.")
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_a_tag_that_names_a_folder_is_answered_too(self) -> None:
        def make(tx: Any) -> None:
            preferences.set_plus_folders(tx, self.bob.id, True)
            folders.create_folder(tx, self.bob.mailbox_id, 0, "Shop", FolderType.USER_MAIL, NOW)

        self.db.write_now(make)
        self.leave()
        self.arrive(to="bob+shop@here.example", To="bob+shop@here.example")
        self.assertEqual(self.items(self.bob), [])  # it is in the folder
        self.assertEqual([recipient for recipient, _ in self.answers()], ["eve@there.example"])

    def test_once_a_week(self) -> None:
        self.leave()
        for _ in range(3):
            self.arrive()
        self.assertEqual(len(self.answers()), 1)
        self.arrive("other@there.example")
        self.assertEqual(len(self.answers()), 2)
        self.clock.advance(6.9 * DAY)
        self.arrive()
        self.assertEqual(len(self.answers()), 2)
        self.clock.advance(0.2 * DAY)
        self.arrive()
        self.assertEqual(len(self.answers()), 3)

    def test_forged_senders_do_not_make_it_a_source_of_mail(self) -> None:
        self.patch(absence, "ANSWERS_AN_HOUR", 5)
        self.leave()
        for number in range(8):
            self.arrive(f"s{number}@there.example")
        self.assertEqual(len(self.answers()), 5)
        self.clock.advance(3601)
        self.arrive("s9@there.example")
        self.assertEqual(len(self.answers()), 6)

    def test_a_new_absence_answers_anew_and_a_changed_text_does_not(self) -> None:
        self.leave()
        self.arrive()
        self.leave(unknown=Message(True, "Still away."))
        self.arrive()
        self.assertEqual(len(self.answers()), 1)
        self.leave(State.OFF)
        self.leave()
        self.arrive()
        self.assertEqual(len(self.answers()), 2)

    def test_the_three_audiences(self) -> None:
        """MS-ASCMD R3514 to R3516, R783, R793, R802."""
        self.leave()
        self.db.write_now(lambda tx: people.add_contact(tx, "friend@there.example", "Friend"))
        self.arrive("friend@there.example")
        self.assertEqual(self.text(), "Friend, I am away.")
        self.submit(PLAIN)
        colleague = self.items(self.ann)
        self.assertEqual([item.subject for item in colleague], ["Auto: Hello"])
        self.assertIn(b"Colleague, I am away.", self.body(colleague[0]))

    def test_somebody_to_whom_one_writes_is_known(self) -> None:
        self.submit(
            PLAIN.replace(b"To: bob@here.example", b"To: Eve <Eve@There.example>").replace(b"ann@", b"bob@"),
            account=self.bob,
        )
        for row in self.queue():
            self.db.write_now(lambda tx, row=row: _drop(tx, row.id))
        self.leave()
        self.arrive("ve@there.example")
        self.assertEqual(self.text(), "Stranger, I am away.")
        for row in self.queue():
            self.db.write_now(lambda tx, row=row: _drop(tx, row.id))
        self.arrive("eve@there.example")
        self.assertEqual(self.text(), "Friend, I am away.")

    def test_an_audience_that_is_off_hears_nothing(self) -> None:
        self.leave(unknown=Message(False, "x"), known=Message(True, "  "))
        self.db.write_now(lambda tx: people.add_contact(tx, "friend@there.example", "Friend"))
        self.arrive()
        self.arrive("friend@there.example")
        self.assertEqual(self.answers(), [])

    def test_a_timed_absence_begins_and_ends(self) -> None:
        """R3533: state 2 is time-based."""
        now = self.now()
        self.leave(State.TIMED, now + DAY * 1000, now + 2 * DAY * 1000)
        self.arrive()
        self.assertEqual(self.answers(), [])
        self.clock.advance(DAY)
        self.arrive()
        self.assertEqual(len(self.answers()), 1)
        self.clock.advance(DAY)
        self.arrive("late@there.example")
        self.assertEqual(len(self.answers()), 1)

    def test_html_goes_out_beside_its_text(self) -> None:
        self.leave(unknown=Message(True, "<p>Away &amp; <b>happy</b></p>", True))
        self.arrive()
        ((_, mail),) = self.answers()
        self.assertEqual(mail.get_content_type(), "multipart/alternative")
        plain, html = mail.get_payload()
        self.assertEqual(plain.get_payload(decode=True).decode().strip(), "Away & happy")
        self.assertIn("<b>happy</b>", html.get_payload(decode=True).decode())

    def test_an_alias_of_the_reader_names_him_and_its_copies_count_each(self) -> None:
        self.leave()
        self.arrive(to="team@here.example", To="team@here.example")
        self.assertEqual(len(self.answers()), 1)

    def test_a_repeat_after_a_lost_250_is_not_answered_again(self) -> None:
        self.leave()
        for _ in range(2):
            self.arrive(Message_ID="<same@there.example>")
        self.assertEqual(len(self.answers()), 1)

    def test_nothing_is_answered_when_the_delivery_fails(self) -> None:
        self.leave()

        def fail(*_: Any) -> None:
            raise RuntimeError("no")

        self.patch(absence, "first_answer", fail)
        envelope = self.envelope("eve@there.example", "bob@here.example")
        self.failureResultOf(self.intake.accept(envelope, self.spooled(letter())), RuntimeError)
        self.assertEqual((self.items(self.bob), self.queue()), ([], []))


class SilenceTests(AbsenceCase):
    def setUp(self) -> None:
        super().setUp()
        self.leave()

    def test_mail_that_must_not_be_answered(self) -> None:
        for field, value in (
            ("Auto-Submitted", "auto-generated"),
            ("Auto-Submitted", "auto-replied; owner-email=x"),
            ("List-Id", "<l.there.example>"),
            ("List-Unsubscribe", "<mailto:x@there.example>"),
            ("Precedence", "bulk"),
            ("Precedence", "List"),
            ("X-Auto-Response-Suppress", "DR, OOF"),
            ("Content-Type", "multipart/report; report-type=delivery-status; boundary=b"),
        ):
            self.arrive(**{field.replace("-", "_"): value})
            self.assertEqual(self.answers(), [], field)
        self.arrive(Auto_Submitted="no (a person)")
        self.assertEqual(len(self.answers()), 1)

    def test_senders_that_are_no_people(self) -> None:
        for sender in (
            "",
            "MAILER-DAEMON@there.example",
            "owner-list@there.example",
            "list-request@there.example",
            "list-bounces+bob=here.example@there.example",
            "no-reply@there.example",
        ):
            self.arrive(sender)
            self.assertEqual(self.answers(), [], sender)
        self.arrive("nora@there.example")
        self.assertEqual(len(self.answers()), 1)

    def test_mail_that_does_not_name_the_reader(self) -> None:
        """RFC 5230 4.5: a blind copy or a list that says nothing about itself."""
        self.arrive(To="all@there.example")
        self.assertEqual(self.answers(), [])
        self.arrive(To="all@there.example", Cc="Bob <BOB+tag@here.example>")
        self.assertEqual(len(self.answers()), 1)

    def test_the_reader_himself(self) -> None:
        self.submit(PLAIN.replace(b"ann@here", b"bob@here"), account=self.bob)
        self.assertEqual((len(self.items(self.bob)), self.queue()), (1, []))

    def test_two_who_are_away_do_not_answer_each_other_for_ever(self) -> None:
        on = Absence(State.ON, internal=Message(True, "Ann is away."))
        self.db.write_now(lambda tx: absence.set_absence(tx, self.ann.mailbox_id, on, self.now()))
        self.submit(PLAIN)
        self.assertEqual(len(self.items(self.ann)), 1)
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_a_forged_sender_of_this_house_who_does_not_exist(self) -> None:
        self.arrive("nobody@here.example")
        self.assertEqual((len(self.items(self.bob)), self.queue()), (1, []))


class RuleTests(SynchronousTestCase):
    def test_an_ordinary_message_may_be_answered(self) -> None:
        self.assertEqual(
            wants_no_answer("eve@there.example", [("subject", b"x"), ("precedence", b"normal")]), ""
        )

    def test_an_address_without_a_domain_is_nobody(self) -> None:
        self.assertTrue(wants_no_answer("eve", []))


def _drop(tx: Any, row: int) -> None:
    from posthouse.store import outbox

    outbox.drop(tx, row)
