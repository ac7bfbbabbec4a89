"""Invitations as phones see them, at every version (MS-ASEMAIL S04, as far as it goes without a calendar)."""

from __future__ import annotations

import quopri
from base64 import b64decode, encodebytes

from posthouse.eas.services import EasSettings
from posthouse.wbxml.tags import AirSync, AirSyncBase, Calendar, Email, Email2, MeetingResponse
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Room
from tests.eas.test_interop_mail import PLAIN, Base, preference, wanted
from tests.pim.texts import EVENT, calendar, mail

ALARM = ("BEGIN:VALARM", "TRIGGER:-PT10M", "ACTION:DISPLAY", "END:VALARM")


def names(element: Element | None) -> list[str]:
    return [child.tag.partition(":")[2] for child in element.children] if element is not None else []


class Meetings(Base):
    def seen(self, version: str, *more: str, event: str = EVENT, method: str = "REQUEST") -> Element:
        """The ApplicationData of an invitation; every answer is checked against Microsoft's schemas."""
        self.room = Room(EasSettings(policy=None))
        self.room.deliver(mail(calendar(*more, event=event, method=method), method))
        (data,) = self.phone(version).commands()[AirSync.Add]
        return data

    def request(self, version: str, *more: str, event: str = EVENT, method: str = "REQUEST") -> Element:
        found = self.seen(version, *more, event=event, method=method).find(Email.MeetingRequest)
        assert found is not None
        return found


class ElementTests(Meetings):
    def test_every_element_in_its_order_at_every_version(self) -> None:
        # Rule 28 of the sync model.
        """ASEMAIL R16, R236, R401, R528, R543, R687, R715, R727, R895-R911, R1253, R1310, R1311, R13110."""
        always = "AllDayEvent StartTime DtStamp EndTime InstanceType Location Organizer Reminder ResponseRequested "
        always += "Sensitivity BusyStatus TimeZone"
        for version in VERSIONS:
            request = self.request(version, *ALARM, "CLASS:PRIVATE")
            found = names(request)
            self.assertEqual(found[:12], always.split(), version)
            rest = {
                "12.0": ["GlobalObjId"],
                "12.1": ["GlobalObjId"],
                "14.0": ["GlobalObjId", "DisallowNewTimeProposal"],
                "14.1": ["GlobalObjId", "DisallowNewTimeProposal", "MeetingMessageType"],
            }
            self.assertEqual(
                found[12:],
                rest.get(version, ["DisallowNewTimeProposal", "MeetingMessageType", "UID"]),
                version,
            )
            self.assertEqual(request.text(Email.AllDayEvent), "0")
            self.assertEqual(request.text(Email.StartTime), "2026-07-01T12:00:00.000Z")
            self.assertEqual(request.text(Email.EndTime), "2026-07-01T13:00:00.000Z")
            self.assertEqual(request.text(Email.DtStamp), "2026-06-20T08:00:00.000Z")
            self.assertEqual(request.text(Email.InstanceType), "0")
            self.assertEqual(request.text(Email.Organizer), '"Ann Onym" <ann@example.org>')
            self.assertEqual(request.text(Email.Reminder), "600")
            self.assertEqual(request.text(Email.ResponseRequested), "1")
            self.assertEqual(request.text(Email.Sensitivity), "2")
            self.assertEqual(len(b64decode(request.text(Email.TimeZone) or "")), 172)
            if version >= "16.0":
                self.assertEqual(request.text(Calendar.UID), "meeting-1@example.org")
                place = request.find(AirSyncBase.Location)
                self.assertEqual(place and place.text(AirSyncBase.DisplayName), "Room 7, second floor")
            else:
                self.assertEqual(request.text(Email.Location), "Room 7, second floor")

    def test_classes_of_all_methods(self) -> None:
        """ASEMAIL R582: the class says what the meeting message is; the content class that it is one."""
        partstat = "ATTENDEE;PARTSTAT={}:mailto:bob@example.org"
        for method, more, ending in (
            ("REQUEST", (), "Request"),
            ("CANCEL", (), "Canceled"),
            ("REPLY", (partstat.format("ACCEPTED"),), "Resp.Pos"),
            ("REPLY", (partstat.format("DECLINED"),), "Resp.Neg"),
            ("REPLY", (partstat.format("TENTATIVE"),), "Resp.Tent"),
            ("COUNTER", (partstat.format("TENTATIVE"),), "Resp.Tent"),
        ):
            event = EVENT.replace("PARTSTAT=NEEDS-ACTION;", "")
            data = self.seen("16.1", *more, event=event, method=method)
            self.assertEqual(data.text(Email.MessageClass), f"IPM.Schedule.Meeting.{ending}")
            self.assertEqual(data.text(Email.ContentClass), "urn:content-classes:calendarmessage")
            request = data.find(Email.MeetingRequest)
            assert request is not None
            self.assertEqual(
                request.text(MeetingResponse.ProposedStartTime),
                "20260701T120000Z" if method == "COUNTER" else None,
            )
            self.assertEqual(request.text(Email2.MeetingMessageType), "1" if method == "REQUEST" else "0")

    def test_a_flagged_invitation_needs_no_flag_type(self) -> None:
        """ASEMAIL R470, R1058: FlagType is not required of a meeting request or response."""
        for method, more in (
            ("REQUEST", ()),
            ("REPLY", ("ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org",)),
        ):
            self.room = Room(EasSettings(policy=None))
            item = self.room.deliver(mail(calendar(*more, method=method), method))
            phone = self.filled()
            self.assertEqual(phone.change(item, Element(Email.Flag, None, [Element(Email.Status, "2")])), "1")
            (data,) = self.phone().commands()[AirSync.Add]
            self.assertEqual(names(data.find(Email.Flag)), ["Status", "ReminderSet"])

    def test_defaults_and_their_opposites(self) -> None:
        """ASEMAIL R235, R270, R389, R390, R535, R716."""
        request = self.request("14.1")
        self.assertEqual(request.text(Email.BusyStatus), "2")
        self.assertEqual(request.text(Email.DisallowNewTimeProposal), "0")
        self.assertIsNone(request.find(Email.Reminder))
        event = "UID:1\nDTSTART;VALUE=DATE:20260701\nDTEND;VALUE=DATE:20260702\nATTENDEE;RSVP=FALSE:mailto:bob@x\n"
        request = self.request("14.1", "X-MICROSOFT-DISALLOW-COUNTER:TRUE", "SEQUENCE:2", event=event)
        self.assertEqual(request.text(Email.AllDayEvent), "1")
        self.assertEqual(request.text(Email.DisallowNewTimeProposal), "1")
        self.assertEqual(request.text(Email.ResponseRequested), "0")
        self.assertEqual(request.text(Email2.MeetingMessageType), "2")
        self.assertTrue(request.text(Email.DtStamp), "required, though nobody wrote it")

    def test_working_elsewhere_is_busy_before_16(self) -> None:
        """ASEMAIL R1150-R1154."""
        for version in VERSIONS:
            request = self.request(version, "X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE")
            self.assertEqual(request.text(Email.BusyStatus), "4" if version >= "16.0" else "2")

    def test_a_reminder_fits_its_type(self) -> None:
        request = self.request("14.1", "BEGIN:VALARM", "TRIGGER:-P1W", "END:VALARM")
        self.assertEqual(request.text(Email.Reminder), "65535")


class PlaceTests(Meetings):
    def test_beside_bodies_parts_and_other_mail(self) -> None:
        """What is read for one message is not taken for another's, whatever was asked for."""
        self.room.deliver(mail(calendar("LOCATION:One")).replace(b"<invitation", b"<one"))
        self.room.deliver(PLAIN)
        self.room.deliver(mail(calendar(event=EVENT.replace("20260701T14", "20260702T14"))))
        part = preference(2, tag=AirSyncBase.BodyPartPreference)
        for number, asked in enumerate(([part], [preference(2), part], [preference(1)], [preference(4)])):
            mime = Element(AirSync.MIMESupport, "2")
            found = self.phone(device=f"P{number}").commands(wanted(mime, *asked))[AirSync.Add]
            starts = []
            for one in found:
                request = one.find(Email.MeetingRequest)
                starts.append(request and request.text(Email.StartTime))
                self.assertEqual(one.find(AirSyncBase.BodyPart) is not None, part in asked)
            self.assertEqual(
                starts, ["2026-07-02T12:00:00.000Z", None, "2026-07-01T12:00:00.000Z"], str(asked)
            )

    def test_other_commands_show_it_too(self) -> None:
        item = self.room.deliver(mail(calendar()))
        for schema in (None, E(IO.Schema, E(Email.MeetingRequest))):
            fetch = E(
                IO.Fetch,
                E(IO.Store, "Mailbox"),
                E(AirSync.CollectionId, self.room.folder().number),
                E(AirSync.ServerId, item.number),
                E(IO.Options, schema) if schema is not None else None,
            )
            root = self.room.post("ItemOperations", E(IO.ItemOperations, fetch), "16.1").root
            found = root.find(IO.Response, IO.Fetch, IO.Properties) if root is not None else None
            assert found is not None
            request = found.find(Email.MeetingRequest)
            self.assertEqual(request and request.text(Calendar.UID), "meeting-1@example.org")
            if schema is not None:
                self.assertEqual(names(found), ["MeetingRequest"])

    def test_a_large_one_is_read_as_far_as_its_event(self) -> None:
        """128 KB in any transfer encoding; what lies behind is not looked at."""
        for more, seen in ((["ATTACH:" + "x" * 400_000], True), ([], False)):
            text = calendar(*more)
            if not seen:
                text = text.replace("BEGIN:VEVENT", "X-LONG:" + "x" * 400_000 + "\r\nBEGIN:VEVENT", 1)
            whole = mail(text)
            head, _, rest = whole.partition(b"method=REQUEST\r\n\r\n")
            body, _, end = rest.partition(b"\r\n--b--")
            for encoding, data in (
                (b"8bit", body),
                (b"base64", encodebytes(body).replace(b"\n", b"\r\n")),
                (b"quoted-printable", quopri.encodestring(body)),
            ):
                self.room = Room(EasSettings(policy=None))
                label = b"method=REQUEST\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
                self.room.deliver(head + label + data + b"\r\n--b--" + end)
                (found,) = self.phone().commands()[AirSync.Add]
                self.assertEqual(found.find(Email.MeetingRequest) is not None, seen, encoding)
                kind = "IPM.Schedule.Meeting.Request" if seen else "IPM.Note"
                self.assertEqual(found.text(Email.MessageClass), kind)


class RecurrenceTests(Meetings):
    def recurrence(self, version: str, rule: str) -> Element:
        found = self.request(version, f"RRULE:{rule}").find(Email.Recurrences, Email.Recurrence)
        assert found is not None
        return found

    def test_every_pattern(self) -> None:
        """ASEMAIL R291, R365, R417, R505, R620, R625, R650, R1067, R870, R873."""
        yearly = "FREQ=YEARLY;COUNT=3;BYDAY=2MO;BYMONTH=1"
        for version, rule, expected in (
            ("14.1", "FREQ=WEEKLY;BYDAY=MO;UNTIL=20261231T130000Z",
             "Type=1 Interval=1 Until=20261231T130000Z DayOfWeek=2 FirstDayOfWeek=1"),
            ("14.0", "FREQ=WEEKLY;BYDAY=MO;COUNT=4", "Type=1 Interval=1 Occurrences=4 DayOfWeek=2"),
            ("14.1", "FREQ=MONTHLY;COUNT=3;BYMONTHDAY=1",
             "Type=2 Interval=1 Occurrences=3 DayOfMonth=1 CalendarType=1 IsLeapMonth=0"),
            ("14.1", "FREQ=MONTHLY;COUNT=3;BYDAY=1MO",
             "Type=3 Interval=1 Occurrences=3 WeekOfMonth=1 DayOfWeek=2 CalendarType=1 IsLeapMonth=0"),
            ("14.1", "FREQ=YEARLY;COUNT=3;BYMONTHDAY=1;BYMONTH=1",
             "Type=5 Interval=1 Occurrences=3 DayOfMonth=1 MonthOfYear=1 CalendarType=1 IsLeapMonth=0"),
            ("16.1", yearly,
             "Type=6 Interval=1 Occurrences=3 WeekOfMonth=2 DayOfWeek=2 MonthOfYear=1 CalendarType=1 IsLeapMonth=0"),
            ("12.1", yearly, "Type=6 Interval=1 Occurrences=3 WeekOfMonth=2 DayOfWeek=2 MonthOfYear=1"),
        ):  # fmt: skip
            found = self.recurrence(version, rule)
            shown = " ".join(f"{child.tag.partition(':')[2]}={child.value}" for child in found.children)
            self.assertEqual(shown, expected)
            self.assertEqual(self.request(version, f"RRULE:{rule}").text(Email.InstanceType), "1")

    def test_an_exception_says_which_one(self) -> None:
        """ASEMAIL R679, R935, R936, R1493, R20003, R20005, R20007, R20009."""
        for version in VERSIONS:
            self.assertIsNone(self.request(version).find(Email.RecurrenceId))
            request = self.request(version, "RECURRENCE-ID;TZID=W. Europe Standard Time:20261231T003000")
            self.assertEqual(request.text(Email.RecurrenceId), "2026-12-30T23:30:00.000Z")
            self.assertEqual(request.text(Email.InstanceType), "3")
            if version < "16.0":
                identity = b64decode(request.text(Email.GlobalObjId) or "")
                self.assertEqual(identity[16:20], bytes((0x07, 0xEA, 12, 31)))


class IdentityTests(Meetings):
    def identity(self, uid: str) -> bytes:
        event = EVENT.replace("meeting-1@example.org", uid)
        return b64decode(self.request("14.1", event=event).text(Email.GlobalObjId) or "")

    def test_a_vcal_uid_in_its_structure(self) -> None:
        # Rule 28 of the sync model.
        """ASEMAIL R121, R1000, R1001, R1002, R20000, R20001, R20013, R20016, R20018, R20019, R20021."""
        data = self.identity("uid-7")
        self.assertEqual(data[:16].hex().upper(), "040000008200E00074C5B7101A82E008")
        self.assertEqual(data[16:36], bytes(20))
        self.assertEqual(int.from_bytes(data[36:40], "little"), len(data) - 40)
        self.assertEqual(data[40:], b"vCal-Uid\x01\0\0\0uid-7\0")

    def test_an_outlook_id_is_itself(self) -> None:
        """ASEMAIL R121, R1001, R10000, R20000, R20011, R20013, R20015, R20022."""
        uid = (
            "040000008200E00074C5B7101A82E00800000000"
            + "50C1A2B3C4D5E601"
            + "00" * 8
            + "10000000"
            + "AB" * 16
        )
        self.assertEqual(self.identity(uid).hex().upper(), uid)
