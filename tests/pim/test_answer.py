"""What is said to an organizer, and that an invitation cannot put words into it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.pim.answer import ACCEPTED, DECLINED, Answer, write_answer
from posthouse.pim.ical import read_ical
from posthouse.pim.invitation import Invitation, read_invitation
from tests.pim.texts import EVENT, calendar

AT = 1_782_000_000_000


def answer(meeting: Invitation, **more: object) -> str:
    values: dict[str, object] = {
        "organizer": "ann@example.org", "attendee": "bob@example.org", "participation": ACCEPTED, "at": AT
    }  # fmt: skip
    return write_answer(meeting, Answer(**{**values, **more}))  # type: ignore[arg-type]


class AnswerTests(SynchronousTestCase):
    def test_it_names_the_meeting_as_its_organizer_does(self) -> None:
        meeting = read_invitation(calendar("SEQUENCE:3"))
        event = read_ical(answer(meeting, name="Bob")).inner("VEVENT")[0]
        values = {name: found[0].value for name, found in event.properties.items()}
        self.assertEqual(
            values,
            {
                "UID": "meeting-1@example.org",
                "DTSTAMP": "20260621T000000Z",
                "SEQUENCE": "3",
                "DTSTART": "20260701T120000Z",
                "DTEND": "20260701T130000Z",
                "ORGANIZER": "mailto:ann@example.org",
                "ATTENDEE": "mailto:bob@example.org",
                "SUMMARY": "Plans",
            },
        )
        attendee = event.first("ATTENDEE")
        assert attendee is not None
        self.assertEqual(attendee.params, {"PARTSTAT": "ACCEPTED", "CN": "Bob"})

    def test_one_instance_in_the_form_of_its_start(self) -> None:
        """RFC 5545 3.8.4.4."""
        timed = read_invitation(calendar("RECURRENCE-ID;TZID=W. Europe Standard Time:20260708T140000"))
        self.assertIn("\r\nRECURRENCE-ID:20260708T120000Z\r\n", answer(timed))
        event = "DTSTART;VALUE=DATE:20260701\nUID:1\nRECURRENCE-ID;VALUE=DATE:20260701\n"
        whole = answer(read_invitation(calendar(event=event)), participation=DECLINED)
        self.assertIn("\r\nDTSTART;VALUE=DATE:20260701\r\nRECURRENCE-ID;VALUE=DATE:20260701\r\n", whole)
        self.assertNotIn("DTEND", whole)

    def test_what_the_organizer_wrote_is_read_again_as_it_was(self) -> None:
        meeting = read_invitation(
            calendar(event=EVENT.replace("Plans", "a\\, b\\; c\\\\d").replace("meeting-1", "m\\,1"))
        )
        found = read_invitation(answer(meeting, comment="one\r\ntwo; three\tfour"))
        self.assertEqual((found.summary, found.uid), ("a, b; c\\d", meeting.uid))
        self.assertIn(
            "COMMENT:one\\ntwo\\; three four\r\n", answer(meeting, comment="one\r\ntwo; three\tfour")
        )

    @given(st.text(max_size=200), st.text(max_size=100), st.text(max_size=60))
    @settings(max_examples=60, deadline=None)
    def test_nothing_begins_a_line_of_its_own(self, text: str, name: str, address: str) -> None:
        meeting = Invitation("REQUEST", text, 0, 0, b"", summary=text, organizer_name=name)
        written = answer(meeting, name=name, organizer=address, attendee=address, comment=text)
        lines = written.split("\r\n")
        self.assertTrue(all(len(line.encode()) <= 75 for line in lines))
        names = [line.split(":")[0].split(";")[0] for line in lines if line and not line.startswith(" ")]
        comment = ["COMMENT"] if text else []
        self.assertEqual(
            names,
            ["BEGIN", "PRODID", "VERSION", "METHOD", "BEGIN", "UID", "DTSTAMP", "SEQUENCE", "DTSTART", "DTEND",
             "ORGANIZER", "ATTENDEE", "SUMMARY", *comment, "END", "END"],
        )  # fmt: skip
        try:
            self.assertEqual(read_invitation(written).method, "REPLY")
        except Malformed:
            self.assertFalse(meeting.uid.strip() and meeting.uid.isprintable())
