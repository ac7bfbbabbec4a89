"""Mail as elements: every version, body type and cut."""

import base64
import quopri
import random
from pathlib import Path

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.content.email import MailReader, change_data, file_reference, mail_elements
from posthouse.eas.content.flag import ABSENT, flag_element, read_change, read_flag
from posthouse.eas.content.moments import read_moment, write_moment
from posthouse.eas.content.options import HTML, MIME, PLAIN, BodyPreference, MailOptions, read_options
from posthouse.eas.statuses import StatusError
from posthouse.model import ChangeGroup, Flag, Item
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2, ItemOperations, Tasks
from posthouse.wbxml.tree import E, Element
from tests.eas.room import Room, result
from tests.support.eas_checker import check_response
from tests.support.shared import shared_path
from tests.support.store import NOW

PLAIN_MAIL = (
    b"From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>, c@example.org\r\nSubject: Lunch\r\n"
    b"Message-ID: <1@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"F\xc3\xbcr alle:\r\nlunch at noon\r\n"
)
HTML_MAIL = (
    b"From: Ann <ann@example.org>\r\nTo: b@example.org\r\nSubject: Both\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"caf=E9 plain\r\n"
    b"--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
    b'<html><head><meta charset="iso-8859-1"></head><body><p>caf\xe9 html</p></body></html>\r\n--b--\r\n'
)
VERSIONS = ((12, 0), (12, 1), (14, 0), (14, 1), (16, 0), (16, 1))


def options(*preferences: BodyPreference, **more: object) -> MailOptions:
    return MailOptions(bodies=preferences, **more)  # type: ignore[arg-type]


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room()

    def elements(
        self, item: Item, wanted: MailOptions, version: tuple[int, int] = (14, 1)
    ) -> dict[str, Element]:
        (found,) = result(mail_elements(self.room.call(version), [item], wanted))
        if isinstance(found, Exception):
            raise found
        check(found, version)
        return {element.tag: element for element in found}

    def body(self, item: Item, wanted: MailOptions, version: tuple[int, int] = (14, 1)) -> Element:
        return self.elements(item, wanted, version)[AirSyncBase.Body]

    def data(self, item: Item, *preferences: BodyPreference, **more: object) -> str:
        return self.body(item, options(*preferences, **more)).text(AirSyncBase.Data) or ""


def check(elements: list[Element], version: tuple[int, int]) -> None:
    """As part of an ItemOperations answer, which has a schema."""
    ok = E(ItemOperations.Status, 1)
    fetch = E(ItemOperations.Fetch, ok, E(ItemOperations.Properties, elements))
    root = E(ItemOperations.ItemOperations, ok, E(ItemOperations.Response, fetch))
    check_response(root, version)
    encode(root)


class BodyTests(Base):
    def test_plain_text_as_it_is(self) -> None:
        body = self.body(self.room.deliver(PLAIN_MAIL), options(BodyPreference(PLAIN)))
        text = "Für alle:\r\nlunch at noon\r\n"
        self.assertEqual(body.text(AirSyncBase.Data), text)
        self.assertEqual(body.text(AirSyncBase.EstimatedDataSize), str(len(text.encode())))
        self.assertIsNone(body.find(AirSyncBase.Truncated))
        self.assertEqual(body.text(AirSyncBase.Type), "1")

    def test_the_order_of_the_schema(self) -> None:
        body = self.body(self.room.deliver(HTML_MAIL), options(BodyPreference(HTML, 20, preview=100)))
        self.assertEqual(
            [child.tag.partition(":")[2] for child in body.children],
            ["Type", "EstimatedDataSize", "Truncated", "Data", "Preview"],
        )

    def test_no_preference_is_plain_text(self) -> None:
        body = self.body(self.room.deliver(HTML_MAIL), MailOptions())
        self.assertEqual((body.text(AirSyncBase.Type), body.text(AirSyncBase.Data)), ("1", "café plain"))

    def test_html_says_that_it_is_utf8(self) -> None:
        data = self.data(self.room.deliver(HTML_MAIL), BodyPreference(HTML))
        self.assertIn("café html", data)
        self.assertIn('charset="utf-8"', data)

    def test_the_native_form_wins_over_the_order_of_preferences(self) -> None:
        """ASAIRS R77."""
        both = options(BodyPreference(PLAIN), BodyPreference(HTML))
        self.assertEqual(self.body(self.room.deliver(HTML_MAIL), both).text(AirSyncBase.Type), "2")
        self.assertEqual(self.body(self.room.deliver(PLAIN_MAIL), both).text(AirSyncBase.Type), "1")

    def test_html_of_a_plain_message(self) -> None:
        found = self.elements(self.room.deliver(PLAIN_MAIL), options(BodyPreference(HTML)))
        self.assertIn("lunch at noon", found[AirSyncBase.Body].text(AirSyncBase.Data) or "")
        self.assertEqual(found[AirSyncBase.NativeBodyType].value, "1")

    def test_plain_text_of_an_html_message(self) -> None:
        mail = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>one</p><p>two</p>"
        found = self.elements(self.room.deliver(mail), options(BodyPreference(PLAIN)))
        self.assertEqual(found[AirSyncBase.Body].text(AirSyncBase.Data), "one\r\n\r\ntwo")
        self.assertEqual(found[AirSyncBase.NativeBodyType].value, "2")

    def test_truncation_counts_bytes_and_splits_no_character(self) -> None:
        item = self.room.deliver(PLAIN_MAIL)
        for limit in range(0, 40):
            body = self.body(item, options(BodyPreference(PLAIN, limit)))
            data = (body.text(AirSyncBase.Data) or "").encode()
            self.assertLessEqual(len(data), limit)
            self.assertTrue("Für alle:\r\nlunch at noon\r\n".encode().startswith(data))
            self.assertEqual(body.find(AirSyncBase.Truncated) is not None, len(data) < 27)

    def test_all_or_none_takes_the_next_preference(self) -> None:
        # Rule 27 of the sync model.
        """ASAIRS R78-R80."""
        item = self.room.deliver(HTML_MAIL)
        wanted = options(BodyPreference(HTML, 20, True), BodyPreference(PLAIN, 1000))
        body = self.body(item, wanted)
        self.assertEqual((body.text(AirSyncBase.Type), body.text(AirSyncBase.Data)), ("1", "café plain"))
        fits = options(BodyPreference(HTML, 2000, True), BodyPreference(PLAIN, 1000))
        self.assertEqual(self.body(item, fits).text(AirSyncBase.Type), "2")

    def test_all_or_none_without_another_preference_sends_the_size_alone(self) -> None:
        body = self.body(self.room.deliver(HTML_MAIL), options(BodyPreference(HTML, 20, True)))
        self.assertIsNone(body.find(AirSyncBase.Data))
        self.assertEqual(body.text(AirSyncBase.Truncated), "1")
        self.assertGreater(int(body.text(AirSyncBase.EstimatedDataSize) or 0), 20)

    def test_previews(self) -> None:
        """ASAIRS R250, R1001036, R1261."""
        item = self.room.deliver(HTML_MAIL)
        html = options(BodyPreference(HTML, 20, preview=5))
        self.assertEqual(self.body(item, html).text(AirSyncBase.Preview), item.preview[:5])
        self.assertIsNone(self.body(item, html, (12, 1)).find(AirSyncBase.Preview))
        plain = options(BodyPreference(PLAIN, preview=5))
        self.assertIsNone(self.body(item, plain).find(AirSyncBase.Preview))

    def test_rtf_alone_falls_back_to_plain_text(self) -> None:
        self.assertEqual(self.data(self.room.deliver(PLAIN_MAIL), BodyPreference(3))[:8], "Für alle")

    def test_a_message_without_text(self) -> None:
        mail = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
        body = self.body(self.room.deliver(mail), options(BodyPreference(HTML, 100)))
        self.assertEqual(body.text(AirSyncBase.EstimatedDataSize), "0")
        self.assertIsNone(body.find(AirSyncBase.Data))

    def test_a_cut_body_reads_only_what_it_needs(self) -> None:
        text = "".join(random.Random(1).choice("abcdé ") for _ in range(200_000))
        from posthouse.store import bodies

        for cte, charset in (("8bit", "utf-8"), ("base64", "utf-8"), ("quoted-printable", "iso-8859-1")):
            raw = text.encode(charset)
            if cte == "base64":
                raw = base64.encodebytes(raw)
            elif cte == "quoted-printable":
                raw = quopri.encodestring(raw)
            head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {cte}\r\n\r\n"
            item = self.room.deliver(head.encode() + raw.replace(b"\n", b"\r\n"))
            asked: list[int] = []
            read = bodies.read_body

            def counting(tx, body_id, start=0, stop=None, asked=asked, read=read):  # type: ignore[no-untyped-def]
                asked.append((stop or 0) - start)
                return read(tx, body_id, start, stop)

            self.patch(bodies, "read_body", counting)
            body = self.body(item, options(BodyPreference(PLAIN, 1000)))
            self.patch(bodies, "read_body", read)
            data = body.text(AirSyncBase.Data) or ""
            self.assertTrue(text.startswith(data), cte)
            self.assertGreaterEqual(len(data.encode()), 998)
            self.assertLess(sum(asked), 4000, cte)
            self.assertEqual(body.text(AirSyncBase.Truncated), "1")
            self.assertGreater(int(body.text(AirSyncBase.EstimatedDataSize) or 0), 150_000)

    def test_a_multibyte_charset_is_read_whole(self) -> None:
        text = "日本語のメール。" * 400
        mail = b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n" + text.encode("iso-2022-jp")
        data = self.data(self.room.deliver(mail), BodyPreference(PLAIN, 100))
        self.assertEqual(data, text[:33])

    @settings(max_examples=60, deadline=None)
    @given(st.text(max_size=300), st.integers(0, 400), st.sampled_from([PLAIN, HTML]), st.booleans())
    def test_any_text_and_cut(self, text: str, limit: int, kind: int, whole: bool) -> None:
        room = self.room
        mail = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode("utf-8", "ignore")
        item = room.deliver(mail)
        (found,) = result(mail_elements(room.call(), [item], options(BodyPreference(kind, limit, whole))))
        assert not isinstance(found, Exception)
        check(found, (14, 1))
        body = next(element for element in found if element.tag == AirSyncBase.Body)
        self.assertLessEqual(len((body.text(AirSyncBase.Data) or "").encode()), limit)


class MimeTests(Base):
    def test_mime_only_where_it_is_supported(self) -> None:
        """MS-ASCMD R3355-R3357."""
        plain = self.room.deliver(PLAIN_MAIL)
        signed = self.room.deliver(PLAIN_MAIL, message_class="IPM.Note.SMIME.MultipartSigned")
        both = (BodyPreference(MIME), BodyPreference(PLAIN))
        for support, item, expected in (
            (0, plain, "1"), (1, plain, "1"), (2, plain, "4"), (0, signed, "1"), (1, signed, "4"), (2, signed, "4"),
        ):  # fmt: skip
            body = self.body(item, options(*both, mime_support=support))
            self.assertEqual(body.text(AirSyncBase.Type), expected, (support, item.message_class))

    def test_mime_alone_is_given(self) -> None:
        self.assertEqual(self.data(self.room.deliver(PLAIN_MAIL), BodyPreference(MIME)), PLAIN_MAIL.decode())

    def test_the_trace_stands_in_front_and_the_rest_is_untouched(self) -> None:
        item = self.room.deliver(PLAIN_MAIL, trace=b"Received: by here\r\n")
        self.assertEqual(
            self.data(item, BodyPreference(MIME)).encode(), b"Received: by here\r\n" + PLAIN_MAIL
        )

    def test_bytes_that_are_no_text_go_as_they_are(self) -> None:
        for rubbish in (b"\xff\xfe\x00", b"form\x0cfeed", b"nul\x00"):
            mail = b"Content-Type: text/plain\r\n\r\n" + rubbish
            body = self.body(self.room.deliver(mail), options(BodyPreference(MIME)))
            self.assertEqual(body.blob(AirSyncBase.Data), mail)

    def test_mime_is_cut_by_its_own_limit_or_by_mime_truncation(self) -> None:
        mail = PLAIN_MAIL + b"x" * 6000
        item = self.room.deliver(mail)
        own = self.body(item, options(BodyPreference(MIME, 50), mime_support=2, mime_truncation=4096))
        self.assertEqual(own.blob(AirSyncBase.Data), mail[:50])
        self.assertEqual(own.text(AirSyncBase.EstimatedDataSize), str(len(mail)))
        shared = self.body(item, options(BodyPreference(MIME), mime_support=2, mime_truncation=4096))
        self.assertEqual(shared.blob(AirSyncBase.Data), mail[:4096])
        exact = self.body(item, options(BodyPreference(MIME, len(mail)), mime_support=2))
        self.assertEqual(exact.text(AirSyncBase.Truncated), "0")


class ElementTests(Base):
    def test_every_version_says_what_it_knows(self) -> None:
        item = self.room.deliver(
            PLAIN_MAIL,
            categories=("Blue",),
            flag=Flag(2, "Flag for follow up"),
            draft=True,
            bcc="x@example.org",
        )
        for version in VERSIONS:
            found = self.elements(item, options(BodyPreference(PLAIN)), version)
            self.assertEqual(found[Email.Subject].value, "Lunch")
            self.assertEqual(found[Email.From].value, item.sender)
            self.assertEqual(found[Email.DisplayTo].value, "Bob;c@example.org")
            self.assertEqual(found[Email.DateReceived].value, "2026-01-01T00:00:00.000Z")
            self.assertEqual(found[Email.Importance].value, "1")
            self.assertEqual(found[Email.Read].value, "0")
            self.assertEqual(found[Email.MessageClass].value, "IPM.Note")
            self.assertEqual(found[Email.InternetCPID].value, "65001")
            self.assertEqual(found[Email.ContentClass].value, "urn:content-classes:message")
            self.assertEqual(found[Email.Flag].text(Email.Status), "2")
            self.assertEqual(Email.Categories in found, version >= (14, 0))
            self.assertEqual(Email2.ConversationId in found, version >= (14, 0))
            self.assertEqual(Email2.IsDraft in found, version >= (16, 0))
            self.assertEqual(Email2.Bcc in found, version >= (16, 0))
            if version >= (14, 0):
                self.assertEqual(found[Email2.ConversationId].content, item.conversation)

    def test_attachments(self) -> None:
        mail = (
            b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nhi\r\n'
            b'--b\r\nContent-Type: image/png; name="a.png"\r\nContent-ID: <pic>\r\nContent-Disposition: inline\r\n'
            b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
            b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b--\r\n"
        )
        item = self.room.deliver(mail)
        rows = self.elements(item, MailOptions())[AirSyncBase.Attachments].children
        self.assertEqual([row.text(AirSyncBase.DisplayName) for row in rows], ["a.png", "inner.eml"])
        self.assertEqual([row.text(AirSyncBase.Method) for row in rows], ["1", "5"])
        self.assertEqual(rows[0].text(AirSyncBase.ContentId), "pic")
        self.assertEqual(rows[0].text(AirSyncBase.IsInline), "1")
        self.assertEqual(rows[0].text(AirSyncBase.FileReference), file_reference(item, item.attachments[0]))

    def test_the_last_verb(self) -> None:
        item = evolve(self.room.deliver(PLAIN_MAIL), verb=1, verb_at=NOW)
        found = self.elements(item, MailOptions())
        self.assertEqual(found[Email2.LastVerbExecuted].value, "1")
        self.assertEqual(found[Email2.LastVerbExecutionTime].value, "2026-01-01T00:00:00.000Z")

    def test_a_body_part_from_14_1(self) -> None:
        wanted = MailOptions(bodies=(BodyPreference(PLAIN),), body_part=BodyPreference(HTML, 30))
        item = self.room.deliver(HTML_MAIL)
        part = self.elements(item, wanted)[AirSyncBase.BodyPart]
        self.assertEqual([part.text(AirSyncBase.Status), part.text(AirSyncBase.Type)], ["1", "2"])
        self.assertNotIn(AirSyncBase.BodyPart, self.elements(item, wanted, (14, 0)))

    def test_a_broken_item_harms_no_other(self) -> None:
        good = self.room.deliver(PLAIN_MAIL)
        broken = [
            evolve(good, structure=b"rubbish"),
            evolve(good, structure=b"[]"),
            evolve(good, body_id=999),
            evolve(good, structure=b"null"),
        ]
        found = result(mail_elements(self.room.call(), [good, *broken, good], MailOptions()))
        self.assertEqual(
            [isinstance(one, Exception) for one in found], [False, True, True, True, True, False]
        )

    def test_only_the_groups_that_changed(self) -> None:
        """ASEMAIL R74-R106."""
        item = self.room.deliver(PLAIN_MAIL, read=True)

        def tags(*groups: ChangeGroup, version: tuple[int, int] = (14, 1)) -> list[str]:
            elements = change_data(item, frozenset(groups), version)
            check(elements, version)
            return [element.tag for element in elements]

        self.assertEqual(tags(ChangeGroup.READ), [Email.Read])
        self.assertEqual(tags(ChangeGroup.FLAG), [Email.Flag])
        self.assertEqual(tags(ChangeGroup.CATEGORIES), [Email.Categories])
        self.assertEqual(tags(ChangeGroup.CATEGORIES, version=(12, 1)), [])
        rest = tags(ChangeGroup.REST)
        self.assertIn(Email.Subject, rest)
        self.assertNotIn(AirSyncBase.Body, rest)
        self.assertNotIn(Email.Read, rest)

    def test_reading_ahead_may_be_given_up(self) -> None:
        item = self.room.deliver(PLAIN_MAIL)
        reader = MailReader(self.room.call(), [item] * 100, MailOptions())
        self.assertIsNotNone(result(reader.take()))
        reader.close()

    def test_many_items_in_their_order(self) -> None:
        items = [self.room.deliver(PLAIN_MAIL, subject=str(number)) for number in range(75)]
        found = result(mail_elements(self.room.call(), items, MailOptions()))
        subjects = [next(one for one in row if one.tag == Email.Subject).value for row in found]
        self.assertEqual(subjects, [str(number) for number in range(75)])

    def test_a_busy_store_is_no_broken_item(self) -> None:
        from posthouse.errors import TryLater
        from posthouse.store import bodies

        def busy(*args: object) -> bytes:
            raise TryLater()

        self.patch(bodies, "read_bodies", busy)
        with self.assertRaises(TryLater):
            result(mail_elements(self.room.call(), [self.room.deliver(PLAIN_MAIL)], MailOptions()))


class CorpusTests(Base):
    def test_every_file_at_every_version_and_body_type(self) -> None:
        folder = shared_path("corpus", "mail")
        files = sorted(
            path for path in Path(folder).rglob("*") if path.is_file() and path.stat().st_size < 300_000
        )
        self.assertGreater(len(files), 10)
        chosen = random.Random(5).sample(files, min(len(files), 60))
        wanted = (
            (MailOptions(), (12, 0)),
            (options(BodyPreference(PLAIN, 500)), (12, 1)),
            (options(BodyPreference(HTML, 5000, preview=100)), (14, 0)),
            (options(BodyPreference(HTML)), (14, 1)),
            (options(BodyPreference(HTML, 200, True), BodyPreference(PLAIN, 100)), (16, 0)),
            (options(BodyPreference(MIME), mime_support=2), (16, 1)),
        )
        items = [self.room.deliver(path.read_bytes()) for path in chosen]
        for option, version in wanted:
            found = result(mail_elements(self.room.call(version), items, option))
            for path, elements in zip(chosen, found, strict=True):
                if isinstance(elements, Exception):
                    raise AssertionError(f"{path}: {elements!r}")
                check(elements, version)


class FlagTests(SynchronousTestCase):
    def flag(self, *children: Element) -> Element:
        return E(Email.Flag, children)

    def test_a_flag_both_ways(self) -> None:
        flag = Flag(
            status=2, type="Flag for follow up", subject="Lunch", start=NOW, due=NOW + 1000, utc_start=NOW,
            utc_due=NOW + 1000, reminder_set=True, reminder_time=NOW, ordinal=NOW, sub_ordinal="5",
        )  # fmt: skip
        self.assertEqual(read_flag(flag_element(flag)), flag)

    def test_an_empty_element_and_status_0_clear(self) -> None:
        self.assertIsNone(read_flag(self.flag()))
        self.assertIsNone(read_flag(self.flag(E(Email.Status, 0))))
        self.assertEqual(flag_element(None), E(Email.Flag))

    def test_what_ios_sends_is_accepted(self) -> None:
        found = read_flag(self.flag(E(Email.Status, 2), E(Email.FlagType, "Flag for follow up")))
        self.assertEqual(found, Flag(2, "Flag for follow up"))

    def test_the_flag_table(self) -> None:
        early, late = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"
        dates = [
            E(Tasks.StartDate, early),
            E(Tasks.UtcStartDate, early),
            E(Tasks.DueDate, late),
            E(Tasks.UtcDueDate, late),
        ]
        status = E(Email.Status, 2)
        self.assertIsNotNone(read_flag(self.flag(status, *dates)))
        broken = (
            (E(Email.Status, 3),),
            (status, *dates[:3]),
            (status, E(Tasks.StartDate, "2027-01-01T00:00:00Z"), E(Tasks.UtcStartDate, early), *dates[2:]),
            (status, E(Tasks.ReminderSet, 1)),
            (status, E(Tasks.ReminderTime, "yesterday")),
            (E(Email.Status, 1),),
        )
        for children in broken:
            with self.assertRaises(StatusError) as caught:
                read_flag(self.flag(*children))
            self.assertEqual(caught.exception.status, 6)
        done = read_flag(
            self.flag(E(Email.Status, 1), E(Tasks.DateCompleted, late), E(Email.CompleteTime, late))
        )
        assert done is not None
        self.assertEqual((done.status, done.completed), (1, NOW + 86_400_000))

    def test_a_change_names_what_it_changes(self) -> None:
        self.assertTrue(read_change(E(AirSync.ApplicationData)).empty)
        change = read_change(E(AirSync.ApplicationData, E(Email.Read, 1), E(Email.Subject, "ignored")))
        self.assertEqual((change.read, change.flag, change.categories), (True, ABSENT, None))
        change = read_change(E(AirSync.ApplicationData, E(Email.Flag), E(Email.Categories)))
        self.assertEqual((change.read, change.flag, change.categories), (None, None, ()))
        change = read_change(
            E(AirSync.ApplicationData, E(Email.Categories, E(Email.Category, "A"), E(Email.Category, "A")))
        )
        self.assertEqual(change.categories, ("A",))
        for bad in (E(Email.Read, "maybe"), E(Email.Categories, [E(Email.Category, "x" * 300)])):
            self.assertRaises(StatusError, read_change, E(AirSync.ApplicationData, bad))


class OptionsTests(SynchronousTestCase):
    def preference(self, *children: Element) -> Element:
        return E(AirSync.Options, E(AirSyncBase.BodyPreference, children))

    def test_a_block_is_read_and_survives_the_store(self) -> None:
        block = E(
            AirSync.Options,
            E(AirSync.FilterType, 3),
            E(AirSync.Class, "Email"),
            E(AirSync.MIMESupport, 1),
            E(AirSync.MIMETruncation, 0),
            E(AirSync.Conflict, 0),
            E(
                AirSyncBase.BodyPreference,
                E(AirSyncBase.Type, 2),
                E(AirSyncBase.TruncationSize, 500),
                E(AirSyncBase.AllOrNone, 1),
                E(AirSyncBase.Preview, 50),
            ),
            E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1)),
            E(AirSyncBase.BodyPartPreference, E(AirSyncBase.Type, 2)),
        )
        found = read_options(block, 4)
        self.assertEqual(
            found,
            MailOptions(
                class_name="Email",
                filter_type=3,
                conflict=0,
                mime_support=1,
                mime_truncation=0,
                bodies=(BodyPreference(2, 500, True, 50), BodyPreference(1)),
                body_part=BodyPreference(2),
            ),
        )
        self.assertEqual(MailOptions.from_json(found.to_json()), found)
        self.assertEqual(MailOptions.from_json(MailOptions().to_json()), MailOptions())
        self.assertEqual(MailOptions().to_json(), {})

    def test_nothing_is_the_defaults(self) -> None:
        self.assertEqual(read_options(None), MailOptions())
        self.assertEqual(read_options(E(AirSync.Options)), MailOptions())

    def test_all_or_none_needs_a_size(self) -> None:
        """ASAIRS R75."""
        block = self.preference(E(AirSyncBase.Type, 1), E(AirSyncBase.AllOrNone, 1))
        self.assertFalse(read_options(block).bodies[0].all_or_none)

    def test_violations(self) -> None:
        """ASAIRS R348-R351."""
        kind, size = E(AirSyncBase.Type, 1), E(AirSyncBase.TruncationSize, 5)
        for block in (
            self.preference(size, kind),
            self.preference(kind, size, size),
            self.preference(kind, size, E(AirSyncBase.AllOrNone, "maybe")),
            self.preference(),
            self.preference(E(AirSyncBase.Type, 9)),
            self.preference(kind, E(AirSyncBase.Preview, 256)),
            E(AirSync.Options, E(AirSyncBase.BodyPreference, kind), E(AirSyncBase.BodyPreference, kind)),
            E(AirSync.Options, E(AirSync.Conflict, 2)),
            E(AirSync.Options, E(AirSync.MIMETruncation, 9)),
        ):
            with self.assertRaises(StatusError) as caught:
                read_options(block, 4)
            self.assertEqual(caught.exception.status, 4, block)

    def test_a_body_part_of_plain_text_is_164(self) -> None:
        with self.assertRaises(StatusError) as caught:
            read_options(E(AirSync.Options, E(AirSyncBase.BodyPartPreference, E(AirSyncBase.Type, 1))), 4)
        self.assertEqual(caught.exception.status, 164)


class MomentTests(SynchronousTestCase):
    def test_the_dashed_form(self) -> None:
        self.assertEqual(write_moment(1_234_567_890_123), "2009-02-13T23:31:30.123Z")
        self.assertEqual(write_moment(-62135596800000), "0001-01-01T00:00:00.000Z")
        self.assertEqual(write_moment(1 << 62), "9999-12-31T23:59:59.999Z")

    def test_both_forms_are_read(self) -> None:
        self.assertEqual(read_moment("2009-02-13T23:31:30.123Z"), 1_234_567_890_123)
        self.assertEqual(read_moment(" 2009-02-13T23:31:30Z"), 1_234_567_890_000)
        self.assertEqual(read_moment("20090213T233130Z"), 1_234_567_890_000)

    def test_anything_else_is_104(self) -> None:
        """MS-ASDTYPE R95."""
        for text in ("", "now", "2009-02-30T00:00:00Z", "2009-02-13", "2009-02-13T25:00:00Z"):
            with self.assertRaises(StatusError) as caught:
                read_moment(text)
            self.assertEqual(caught.exception.status, 104)

    @settings(max_examples=80, deadline=None)
    @given(st.integers(-62135596800000, 253402300799999))
    def test_any_moment_both_ways(self, moment: int) -> None:
        self.assertEqual(read_moment(write_moment(moment)), moment)
