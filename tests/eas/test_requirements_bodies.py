"""Microsoft's requirements for bodies and attachments, one by one. Bare numbers are MS-ASAIRS."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.model import FolderType
from posthouse.wbxml.decode import decode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Search
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.desk import Mirror
from tests.eas.room import VERSIONS, Room
from tests.eas.test_drafts import DraftCase, add, change, data
from tests.eas.test_interop_mail import PLAIN, Base, Phone, preference, wanted
from tests.support.eas import split_parts

HTML = b"From: a@example.org\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<html><body>hi there</body></html>\r\n"
FILES = (
    b"From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b'--b\r\nContent-Type: text/html\r\n\r\n<html><body><img src="cid:n1"></body></html>\r\n'
    b'--b\r\nContent-Type: image/jpeg; name="number1.jpg"\r\nContent-ID: <n1>\r\n'
    b'Content-Disposition: inline; size=4; filename="number1.jpg"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n'
    b'--b\r\nContent-Type: text/csv; name="t.csv"\r\nContent-Disposition: attachment; filename="t.csv"\r\n\r\n1\r\n'
    b'--b\r\nContent-Type: message/rfc822; name="Embedded mail"\r\nContent-Description: Embedded mail\r\n'
    b'Content-Disposition: attachment; size=4; filename="Embedded mail"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    b"MQ==\r\n--b--\r\n"
)


class Bodies(Base):
    def fetch(self, *options: Element, multipart: bool = False, version: str = "14.1") -> bytes | Element:
        operation = E(
            IO.Fetch,
            E(IO.Store, "Mailbox"),
            E(AirSync.CollectionId, self.room.folder().number),
            E(AirSync.ServerId, self.item.number),
            E(IO.Options, options),
        )
        headers = {"MS-ASAcceptMultiPart": "T"} if multipart else {}
        response = self.room.post("ItemOperations", E(IO.ItemOperations, operation), version, headers=headers)
        if multipart:
            return response.body
        assert response.root is not None
        return response.root

    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(HTML)


class FormTests(Bodies):
    def test_types_and_native_types(self) -> None:
        """R237, R238, R241, R294, R300, R304, R305, R307, R2411, R2412: without TruncationSize it is whole."""
        forms = {"1": "hi there", "2": "<html><body>hi there</body></html>", "4": HTML.decode()}
        for data_, native in ((HTML, "2"), (PLAIN, "1")):
            self.setUp()
            self.room.deliver(data_, self.room.folder(FolderType.SENT))
            for kind, shown in forms.items():
                asked = wanted(E(AirSync.MIMESupport, 2), preference(int(kind)))
                phone = Phone(self.room, "14.1", FolderType.SENT, device=f"P{kind}{native}")
                phone.ask()
                (found,) = phone.commands(asked)[AirSync.Add]
                body = found.find(AirSyncBase.Body)
                assert body is not None
                self.assertEqual(body.text(AirSyncBase.Type), kind)
                self.assertEqual(found.text(AirSyncBase.NativeBodyType), native)
                self.assertIn(body.text(AirSyncBase.Truncated), (None, "0"))
                if data_ is HTML:
                    self.assertEqual((body.text(AirSyncBase.Data) or "").strip(), shown.strip())
                else:
                    self.assertIn("hello there", body.text(AirSyncBase.Data) or "")

    def test_a_message_part_has_a_status_and_all_of_it(self) -> None:
        """R271, R294."""
        asked = wanted(preference(2, tag=AirSyncBase.BodyPartPreference))
        (found,) = self.phone().commands(asked)[AirSync.Add]
        part = found.find(AirSyncBase.BodyPart)
        assert part is not None
        self.assertEqual(part.text(AirSyncBase.Status), "1")
        self.assertEqual((part.text(AirSyncBase.Data) or "").strip(), "<html><body>hi there</body></html>")

    def test_data_or_part(self) -> None:
        """R176, R244, R405: in a multipart answer Part stands for Data, and in no other."""
        plain = self.fetch(preference(2))
        assert isinstance(plain, Element)
        tags = {one.tag for one in plain.iter()}
        self.assertIn(AirSyncBase.Data, tags)
        self.assertNotIn(IO.Part, tags)
        whole = self.fetch(preference(2), multipart=True)
        assert isinstance(whole, bytes)
        document, *parts = split_parts(whole)
        root = decode(document)
        tags = {one.tag for one in root.iter()}
        self.assertIn(IO.Part, tags)
        self.assertNotIn(AirSyncBase.Data, tags)
        self.assertEqual([part.strip() for part in parts], [b"<html><body>hi there</body></html>"])


class AttachmentTests(Bodies):
    def rows(self, version: str) -> dict[str, Element]:
        (found,) = self.phone(version).commands()[AirSync.Add]
        files = found.find(AirSyncBase.Attachments)
        assert files is not None
        return {one.text(AirSyncBase.DisplayName) or "": one for one in files.children}

    def test_what_is_said_of_a_file(self) -> None:
        """R160, R225, R1343, R2299, R10020, R100298, R100299."""
        self.room = Room(self.room.settings)
        self.room.deliver(FILES)
        for version in VERSIONS:
            rows = self.rows(version)
            picture, table, message = rows["number1.jpg"], rows["t.csv"], rows["Embedded mail.eml"]
            self.assertEqual(picture.text(AirSyncBase.ContentId), "n1")
            self.assertEqual(picture.text(AirSyncBase.IsInline), "1")
            for one in (table, message):
                self.assertIsNone(one.find(AirSyncBase.IsInline))
            self.assertEqual((table.text(AirSyncBase.Method), message.text(AirSyncBase.Method)), ("1", "5"))

    def test_no_reference_is_15(self) -> None:
        """R214: not at 12.0, whose ItemOperations has no attachments."""
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(AirSyncBase.FileReference, ""))
        for version in VERSIONS[1:]:
            response = self.room.post("ItemOperations", E(IO.ItemOperations, fetch), version)
            self.assertEqual(response.text(IO.Response, IO.Fetch, IO.Status), "15", version)


class ValidationTests(Bodies):
    """S04: 3.2.5.1."""

    GOOD = (E(AirSyncBase.Type, 1), E(AirSyncBase.TruncationSize, 100), E(AirSyncBase.AllOrNone, 1))

    def broken(self) -> Iterator[tuple[str, list[Element]]]:
        kind, size, whole = self.GOOD

        def one(*children: Element) -> Element:
            return E(AirSyncBase.BodyPreference, children)

        yield "data type", [one(E(AirSyncBase.Type, "a"), size, whole)]
        yield "instances", [one(kind, size, whole, whole)]
        yield "order", [one(size, whole, kind)]
        yield "placement", [one(kind, size, whole, one(E(AirSyncBase.Type, 2), size, whole))]
        yield "the same type twice", [one(*self.GOOD), one(*self.GOOD)]

    def test_sync_answers_4(self) -> None:
        """R348, R350, R351, R418, R10016."""
        phone = self.phone()
        key = phone.key
        for name, preferences in self.broken():
            phone.key = key
            self.assertEqual(phone.ask(wanted(*preferences)).text(AirSync.Status), "4", name)
        strange = E(
            AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1), self.GOOD[1], E(AirSyncBase.AllOrNone, "a")
        )
        phone.key = key
        self.assertEqual(phone.ask(wanted(strange)).text(AirSync.Status), "4")

    def test_item_operations_answers_2(self) -> None:
        """R344, R346, R10030, R10031, R10032."""
        for name, preferences in self.broken():
            root = self.fetch(*preferences)
            assert isinstance(root, Element)
            self.assertEqual(root.text(IO.Status), "2", name)

    def test_search_answers_2(self) -> None:
        """R415, R10033, R10034, R10035, R10036."""
        for name, preferences in self.broken():
            inner = [E(AirSync.CollectionId, self.room.folder().number), E(Search.FreeText, "hi")]
            store = E(
                Search.Store,
                E(Search.Name, "Mailbox"),
                E(Search.Query, E(Search.And, inner)),
                E(Search.Options, E(Search.Range, "0-4"), preferences),
            )
            response = self.room.post("Search", E(Search.Search, store))
            self.assertEqual(response.text(Search.Response, Search.Store, Search.Status), "2", name)

    def test_a_body_in_a_sync_answers_6(self) -> None:
        """R10014, R10037, R10038, R10039: as Microsoft's cases send it, to the Inbox."""
        kind, content = E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "Test sync add")
        inner = E(AirSyncBase.Body, E(AirSyncBase.Type, 2), content)
        path = AirSync.Collections, AirSync.Collection, AirSync.Responses, AirSync.Add, AirSync.Status
        for version in VERSIONS:
            phone = self.filled(version)
            for name, children in (
                ("data type", [E(AirSyncBase.Type, "a"), content]),
                ("instances", [kind, kind, content]),
                ("order", [content, kind]),
                ("placement", [kind, content, inner]),
            ):
                order = add(E(AirSync.ApplicationData, E(AirSyncBase.Body, children)), name[:4])
                self.assertEqual(phone.ask(commands=(order,)).text(*path), "6", (version, name))


class DraftBodyTests(DraftCase):
    def test_a_broken_body_is_6(self) -> None:
        """R10014, R10037, R10039: also where items may be added."""
        kind, content = E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "x")
        inner = E(AirSyncBase.Body, kind, content)
        for place, children in enumerate(
            ([E(AirSyncBase.Type, "a"), content], [kind, kind, content], [kind, content, inner])
        ):
            order = add(E(AirSync.ApplicationData, E(AirSyncBase.Body, children)), str(place))
            answer = self.response(self.sync(order))
            self.assertEqual(answer and answer.text(AirSync.Status), "6")
        self.assertEqual(self.items(), [])

    def test_whether_it_says_truncated_makes_no_difference(self) -> None:
        """R406, R11500."""
        for name, mark in (("1", None), ("2", "0"), ("3", "1")):
            body = E(
                AirSyncBase.Body,
                E(AirSyncBase.Type, 1),
                E(AirSyncBase.Truncated, mark) if mark is not None else None,
                E(AirSyncBase.Data, "all of it"),
            )
            self.made(E(AirSync.ApplicationData, E(Email.Subject, "x"), body), name)
        self.assertEqual([self.text(item).strip() for item in self.items()], ["all of it"] * 3)

    def test_what_was_rewritten_comes_with_its_body(self) -> None:
        """R105, R386."""
        first = self.made(data(to="b@example.org", subject="x", text="one"))
        other = Mirror(self.room, FolderType.DRAFTS, self.room.other).prime()
        self.sync(change(first, data(text="two")))
        found = other.sync()
        assert found is not None
        bodies = [one for one in found.iter() if one.tag == AirSyncBase.Body]
        self.assertEqual([(one.text(AirSyncBase.Data) or "").strip() for one in bodies], ["two"])
