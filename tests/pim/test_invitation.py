"""What is read of a meeting, and that nothing in a calendar can break the reader."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.pim.ical import read_ical
from posthouse.pim.invitation import Invitation, read_invitation
from posthouse.pim.object_ids import global_object_id
from posthouse.pim.pattern import read_pattern
from posthouse.pim.zones import Zones, fixed_blob, read_moment, read_zone
from tests.pim.texts import BERLIN, EVENT, calendar

GOOGLE = """BEGIN:VTIMEZONE
TZID:America/New_York
X-LIC-LOCATION:America/New_York
BEGIN:DAYLIGHT
TZOFFSETFROM:-0500
TZOFFSETTO:-0400
TZNAME:EDT
DTSTART:19700308T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU
END:DAYLIGHT
BEGIN:STANDARD
TZOFFSETFROM:-0400
TZOFFSETTO:-0500
TZNAME:EST
DTSTART:19701101T020000
RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=1SU
END:STANDARD
END:VTIMEZONE
"""


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def zone(blob: bytes) -> tuple[int, tuple[int, ...], int, tuple[int, ...], int]:
    """Bias, change to standard time, its bias, change to daylight time, its bias."""
    bias, _, *rest = struct.unpack("<i64s8Hi64s8Hi", blob)
    return bias, tuple(rest[:8]), rest[8], tuple(rest[10:18]), rest[18]


class ReadingTests(SynchronousTestCase):
    def read(
        self, *more: str, event: str = EVENT, method: str = "REQUEST", zones: str = BERLIN
    ) -> Invitation:
        return read_invitation(calendar(*more, event=event, method=method, zones=zones))

    def test_a_meeting_as_outlook_writes_it(self) -> None:
        found = self.read(
            "SEQUENCE:0",
            "CLASS:PRIVATE",
            "X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE",
            "X-MICROSOFT-CDO-INTENDEDSTATUS:OOF",
            "X-MICROSOFT-DISALLOW-COUNTER:TRUE",
            "GEO:52.5;13.4",
            "BEGIN:VALARM",
            "TRIGGER;RELATED=START:-PT15M",
            "ACTION:DISPLAY",
            "END:VALARM",
        )
        self.assertEqual((found.start, found.end), (at("2026-07-01T12:00"), at("2026-07-01T13:00")))
        self.assertEqual((found.organizer, found.organizer_name), ("ann@example.org", "Ann Onym"))
        self.assertEqual(found.location, "Room 7, second floor")
        self.assertEqual(
            (found.method, found.uid, found.summary), ("REQUEST", "meeting-1@example.org", "Plans")
        )
        self.assertEqual((found.sensitivity, found.busy, found.reminder), (2, 3, 900))
        self.assertTrue(found.disallow_counter and found.response_requested)
        self.assertEqual((found.latitude, found.longitude), (52.5, 13.4))
        self.assertEqual(found.stamp, at("2026-06-20T08:00"))
        self.assertFalse(found.all_day or found.pattern or found.instance)
        last_sunday = (0, 10, 0, 5, 3, 0, 0, 0), 0, (0, 3, 0, 5, 2, 0, 0, 0), -60
        self.assertEqual(zone(found.zone), (-60, *last_sunday))

    def test_winter_and_summer_of_the_calendars_own_zone(self) -> None:
        for zones, name, moment, expected in (
            (BERLIN, "W. Europe Standard Time", "20260115T090000", "2026-01-15T08:00"),
            (BERLIN, "W. Europe Standard Time", "20260329T015900", "2026-03-29T00:59"),
            (BERLIN, "W. Europe Standard Time", "20260329T030000", "2026-03-29T01:00"),
            (GOOGLE, "America/New_York", "20260308T030000", "2026-03-08T07:00"),
            (GOOGLE, "America/New_York", "20261101T030000", "2026-11-01T08:00"),
            (GOOGLE, "America/New_York", "20261231T200000", "2027-01-01T01:00"),
        ):
            known = Zones(read_ical(calendar(zones=zones)).inner("VTIMEZONE"))
            read = read_moment(moment, name)
            assert read is not None
            self.assertEqual(known.utc(read), datetime.fromisoformat(expected))

    def test_a_zone_that_is_only_named(self) -> None:
        for name, bias in (("Europe/Berlin", -60), ("Eastern Standard Time", 300)):
            event = EVENT.replace("W. Europe Standard Time", name)
            found = self.read(event=event, zones="")
            self.assertEqual(zone(found.zone)[0], bias)
            self.assertEqual(zone(found.zone)[4], -60)
        self.assertEqual(zone(self.read(event=event, zones="").zone)[1], (0, 11, 0, 1, 2, 0, 0, 0))
        self.assertEqual(found.start, at("2026-07-01T18:00"))
        for name in ("../../etc/passwd", "/etc/passwd", "Nowhere/At_All", "America", "x" * 300, "\u2603"):
            found = self.read(event=EVENT.replace("W. Europe Standard Time", name), zones="")
            self.assertEqual(found.start, at("2026-07-01T14:00"))
            self.assertEqual(found.zone, fixed_blob(0))

    def test_a_whole_day_is_one_in_the_organizers_zone(self) -> None:
        event = "DTSTART;VALUE=DATE:20260701\nDTEND;VALUE=DATE:20260703\nUID:1\n"
        found = self.read(event=event)
        self.assertTrue(found.all_day)
        self.assertEqual((found.start, found.end), (at("2026-06-30T22:00"), at("2026-07-02T22:00")))
        found = self.read(event="DTSTART;VALUE=DATE:20260701\nUID:1\n", zones="")
        self.assertEqual((found.start, found.end), (at("2026-07-01T00:00"), at("2026-07-02T00:00")))
        found = self.read(event="DTSTART:20260701T100000Z\nDURATION:PT1H30M\nUID:1\n")
        self.assertEqual(found.end - found.start, 5_400_000)

    def test_the_series_is_read_and_not_its_exception(self) -> None:
        exception = EVENT + "RECURRENCE-ID;TZID=W. Europe Standard Time:20260708T140000\n"
        text = calendar("RRULE:FREQ=WEEKLY;BYDAY=WE;UNTIL=20261231T130000Z")
        both = text.replace(
            "BEGIN:VEVENT",
            "BEGIN:VEVENT\r\n" + exception.replace("\n", "\r\n") + "END:VEVENT\r\nBEGIN:VEVENT",
        )
        found = read_invitation(both)
        self.assertIsNone(found.instance)
        assert found.pattern is not None
        self.assertEqual((found.pattern.type, found.pattern.days), (1, 8))
        self.assertEqual(found.until, at("2026-12-31T13:00"))
        alone = self.read(event=exception)
        self.assertEqual(alone.instance, at("2026-07-08T12:00"))
        self.assertEqual(alone.instance_day, datetime(2026, 7, 8, 14, 0))
        day = self.read("RECURRENCE-ID;VALUE=DATE:20260708")
        self.assertEqual(day.instance, at("2026-07-08T12:00"))

    def test_what_the_tests_of_microsoft_send(self) -> None:
        """Their calendars begin with "BEGIN: VCALENDAR", quote TZID and have no Z."""
        text = (
            "BEGIN: VCALENDAR\r\nMETHOD:REQUEST\r\nX-MS-OLK-FORCEINSPECTOROPEN:TRUE\r\nBEGIN:VTIMEZONE\r\n"
            "TZID:UTC\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nTZOFFSETFROM:-0000\r\nTZOFFSETTO:-0000\r\n"
            "END:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000\r\n"
            'ATTENDEE;CN="";RSVP=FALSE:mailto:b@x\r\nORGANIZER:MAILTO:a@x\r\nDTSTART;TZID="UTC":20260101T100000\r\n'
            'DTEND;TZID="UTC":20260101T110000\r\nBEGIN:VALARM\r\nTRIGGER:-PT10M\r\nEND:VALARM\r\nEND:VEVENT\r\n'
            "END:VCALENDAR\r\n"
        )
        found = read_invitation(text)
        self.assertEqual((found.start, found.reminder, found.organizer), (at("2026-01-01T10:00"), 600, "a@x"))
        self.assertEqual(found.zone, fixed_blob(0))
        self.assertFalse(found.response_requested)

    def test_defaults_of_state_and_reminder(self) -> None:
        self.assertEqual((self.read().busy, self.read().reminder), (2, None))
        self.assertEqual(self.read("TRANSP:TRANSPARENT").busy, 0)
        self.assertEqual(self.read(method="CANCEL").busy, 0)
        self.assertEqual(self.read("STATUS:TENTATIVE").busy, 1)
        alarm = ("BEGIN:VALARM", "TRIGGER;VALUE=DATE-TIME:20260701T110000Z", "END:VALARM")
        self.assertEqual(self.read(*alarm).reminder, 3600)

    def test_no_meeting_is_malformed(self) -> None:
        for text in (
            "",
            "hello",
            "BEGIN:VCALENDAR\nEND:VCALENDAR",
            calendar(event="UID:1\n"),
            "BEGIN:VCARD\n",
        ):
            self.assertRaises(Malformed, read_invitation, text)
        for start in ("20261301T000000", "99999999", "0", "00000101"):
            self.assertRaises(Malformed, read_invitation, calendar(event=f"UID:1\nDTSTART:{start}\n"))

    def test_the_ends_of_time(self) -> None:
        for start in ("00010101T000000", "99991231T235959"):
            for name in ("W. Europe Standard Time", "Europe/Berlin", "America/New_York"):
                event = f"UID:1\nDTSTART;TZID={name}:{start}\nDURATION:P9999W\nRRULE:FREQ=YEARLY\n"
                found = self.read("BEGIN:VALARM", "TRIGGER:-P9999W", "END:VALARM", event=event)
                self.assertLessEqual(found.start, found.end)
                self.assertEqual(len(found.zone), 172)


class HostileTests(SynchronousTestCase):
    def test_the_dates_of_a_zone_are_bounded_all_together(self) -> None:
        """A day of 2026 costs a few microseconds each, and 128 KB hold 8,000 of them."""
        dates = ",".join(["20260101T000000"] * 50)
        observance = (
            "BEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n"
            + f"RDATE:{dates}\n" * 5
            + "END:STANDARD\n"
        )
        component = read_ical(f"BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:X\n{observance * 30}END:VTIMEZONE\n")
        zone = read_zone(component.inner("VTIMEZONE")[0])
        assert zone is not None
        self.assertEqual(len(zone.onsets), 30)
        self.assertEqual(sum(len(onset.more) for onset in zone.onsets), 300)

    WORDS = st.sampled_from(
        [*calendar("RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", "BEGIN:VALARM", "TRIGGER:-PT5M").split("\r\n"),
         "BEGIN:VEVENT", "END:VEVENT", "DTSTART;TZID=", "RRULE:FREQ=YEARLY;BYMONTH=0;BYDAY=99XX", "GEO:nan;inf",
         "TZOFFSETTO:+9999", "RRULE:FREQ=YEARLY;BYMONTH=2;BYDAY=5SU;UNTIL=00010101", ";;;:", "UID:\x00\ud800"]
    )  # fmt: skip

    @settings(max_examples=100, deadline=None)
    @given(st.lists(WORDS, max_size=60).map("\r\n".join), st.integers(0, 400), st.text(max_size=30))
    def test_any_lines_are_a_meeting_or_malformed(self, text: str, place: int, noise: str) -> None:
        for candidate in (text, calendar()[:place] + noise + calendar()[place:], calendar() + text, noise):
            try:
                found = read_invitation(candidate)
            except Malformed:
                continue
            self.assertEqual(len(found.zone), 172)
            self.assertLessEqual(found.start, found.end)
            self.assertTrue(global_object_id(found.uid, found.instance_day))

    def test_much_of_everything_is_no_meeting(self) -> None:
        for text in (
            "BEGIN:VCALENDAR\r\n" * 50_000,
            "BEGIN:VCALENDAR\r\n" + "BEGIN:VEVENT\r\n" * 50_000,
            "BEGIN:VCALENDAR\r\nX" + ";A=B" * 100_000 + ":1\r\n",
            "BEGIN:VCALENDAR\r\nX;A=" + '"' * 100_000 + ":1\r\n",
            "BEGIN:VCALENDAR\r\nA:1\r\n" + " b\r\n" * 100_000,
            "BEGIN:VCALENDAR\r\n" + "A:\r\n" * 100_000,
        ):
            self.assertRaises(Malformed, read_invitation, text)


class PatternTests(SynchronousTestCase):
    START = datetime(2026, 7, 1, 14, 0)  # the first Wednesday

    def test_every_shape(self) -> None:
        for rule, expected in (
            ("FREQ=DAILY;INTERVAL=2;COUNT=5", (0, 2, 0, 0, 0, 0, 5)),
            ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", (1, 1, 62, 0, 0, 0, 0)),
            ("FREQ=WEEKLY", (1, 1, 8, 0, 0, 0, 0)),
            ("FREQ=WEEKLY;BYDAY=SU,SA;INTERVAL=3", (1, 3, 65, 0, 0, 0, 0)),
            ("FREQ=MONTHLY;BYMONTHDAY=31", (2, 1, 0, 31, 0, 0, 0)),
            ("FREQ=MONTHLY", (2, 1, 0, 1, 0, 0, 0)),
            ("FREQ=MONTHLY;BYDAY=-1FR", (3, 1, 32, 0, 5, 0, 0)),
            ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=2", (3, 1, 62, 0, 2, 0, 0)),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", (3, 1, 127, 0, 5, 0, 0)),
            ("FREQ=YEARLY", (5, 1, 0, 1, 0, 7, 0)),
            ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", (5, 1, 0, 29, 0, 2, 0)),
            ("FREQ=YEARLY;BYMONTH=1;BYDAY=2MO", (6, 1, 2, 0, 2, 1, 0)),
        ):
            found = read_pattern(rule, self.START)
            assert found is not None
            shape = found.type, found.interval, found.days, found.day, found.week, found.month, found.count
            self.assertEqual(shape, expected, rule)
        self.assertIsNone(read_pattern("FREQ=HOURLY", self.START))
        self.assertIsNone(read_pattern("", self.START))
        wkst = read_pattern("FREQ=WEEKLY;WKST=SU", self.START)
        self.assertEqual(wkst.first_day if wkst else None, 0)


class ObjectIdTests(SynchronousTestCase):
    def test_the_example_of_the_specification(self) -> None:
        """MS-ASEMAIL 4.3, with the UID that it is made from."""
        data = global_object_id("{81412D3C-2A24-4E9D-B20E-11F7BBE92799}")
        expected = (
            "040000008200E00074C5B7101A82E00800000000000000000000000000000000000000003300"
            "00007643616C2D55696401000000" + b"{81412D3C-2A24-4E9D-B20E-11F7BBE92799}".hex() + "00"
        )
        self.assertEqual(data.hex().upper(), expected.upper())

    def test_an_id_of_outlook_is_itself_and_tells_the_day(self) -> None:
        uid = (
            "040000008200E00074C5B7101A82E00800000000"
            + "50C1A2B3C4D5E601"
            + "00" * 8
            + "10000000"
            + "AB" * 16
        )
        self.assertEqual(global_object_id(uid).hex().upper(), uid)
        instance = global_object_id(uid, date(2026, 7, 8))
        self.assertEqual(instance[16:20], bytes((0x07, 0xEA, 7, 8)))
        self.assertEqual((instance[:16] + bytes(4) + instance[20:]).hex().upper(), uid)
        vcal = global_object_id("x", date(2026, 7, 8))
        self.assertEqual(vcal[16:20], bytes((0x07, 0xEA, 7, 8)))
