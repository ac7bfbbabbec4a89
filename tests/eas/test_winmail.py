"""Mail in Outlook's own form: RTF for those that want it, and its files as attachments."""

from __future__ import annotations

from base64 import b64decode

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.services import EasSettings
from posthouse.model import Item
from posthouse.wbxml.tags import AirSync, AirSyncBase
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Room
from tests.mime.test_tnef import drafted, mail
from tests.support import tnef
from tests.support.tnef import RTF, attribute, number, properties, sample, winmail


class WinmailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))
        self.item = self.put(mail(sample()))

    def put(self, data: bytes) -> Item:
        draft = drafted(data)
        return self.room.deliver(
            data,
            structure=draft.structure,
            attachments=draft.attachments,
            has_attachments=draft.has_attachments,
        )

    def fetch(self, *preferences: Element, item: Item | None = None, version: str = "14.1") -> Element:
        found = (item or self.item).number
        operation = E(
            IO.Fetch,
            E(IO.Store, "Mailbox"),
            E(AirSync.CollectionId, self.room.folder().number),
            E(AirSync.ServerId, found),
            E(IO.Options, preferences) if preferences else None,
        )
        response = self.room.post("ItemOperations", E(IO.ItemOperations, operation), version)
        assert response.root is not None
        answer = response.root.find(IO.Response, IO.Fetch, IO.Properties)
        assert answer is not None
        return answer

    def test_rtf_in_base64_where_it_is_native(self) -> None:
        # Rule 27 of the sync model.
        """ASAIRS R179, R239, R241, R2411, R306."""
        for version in VERSIONS:
            found = self.fetch(_type(1), _type(3), version=version)
            body = found.find(AirSyncBase.Body)
            assert body is not None
            self.assertEqual(body.text(AirSyncBase.Type), "3")
            self.assertEqual(b64decode(body.text(AirSyncBase.Data) or ""), RTF)
            self.assertEqual(found.text(AirSyncBase.NativeBodyType), "3")

    def test_an_embedded_object(self) -> None:
        """ASAIRS R230: an OLE object of Outlook is of method 6."""
        packed = winmail(
            attribute(0x00069002, bytes(14)),
            attribute(0x00018010, b"drawing\0"),
            attribute(0x0006800F, b"\xd0\xcf\x11\xe0 storage"),
            attribute(0x00069005, properties(number(0x3705, 6), tnef.text(0x3707, "drawing"))),
        )
        files = self.fetch(item=self.put(mail(packed))).find(AirSyncBase.Attachments)
        assert files is not None
        methods = {one.text(AirSyncBase.DisplayName): one.text(AirSyncBase.Method) for one in files.children}
        self.assertEqual(methods["drawing"], "6")

    def test_other_forms_of_it(self) -> None:
        """ASAIRS R2412."""
        for kind, text in ((1, "hello"), (2, "hello")):
            found = self.fetch(_type(kind))
            self.assertEqual(_of_body(found, AirSyncBase.Type), str(kind))
            self.assertIn(text, _of_body(found, AirSyncBase.Data))
            self.assertEqual(found.text(AirSyncBase.NativeBodyType), "3")

    def test_a_part_of_it_is_none(self) -> None:
        """ASAIRS R79, R80: the next preference."""
        found = self.fetch(_type(3, E(AirSyncBase.TruncationSize, 5)), _type(1))
        self.assertEqual(_of_body(found, AirSyncBase.Type), "1")
        alone = self.fetch(_type(3, E(AirSyncBase.TruncationSize, 5))).find(AirSyncBase.Body)
        assert alone is not None
        self.assertEqual(alone.text(AirSyncBase.Truncated), "1")
        self.assertIsNone(alone.find(AirSyncBase.Data))

    def test_mail_that_has_none_is_given_as_plain_text(self) -> None:
        found = self.fetch(_type(3), item=self.put(mail(sample(b""))))
        self.assertEqual(_of_body(found, AirSyncBase.Type), "1")
        self.assertEqual(found.text(AirSyncBase.NativeBodyType), "1")

    def test_a_sender_cannot_claim_it(self) -> None:
        data = mail(b"rubbish").replace(b"ms-tnef;", b"ms-tnef; posthouse-rtf=1;")
        found = self.fetch(_type(3), _type(1), item=self.put(data))
        self.assertEqual(_of_body(found, AirSyncBase.Type), "1")

    def test_a_file_inside_is_fetched_in_whole_and_in_part(self) -> None:
        rows = self.fetch().find(AirSyncBase.Attachments)
        assert rows is not None
        self.assertEqual(
            [row.text(AirSyncBase.DisplayName) for row in rows.children], ["B\xfcroplan.pdf", "pic.png"]
        )
        self.assertEqual([row.text(AirSyncBase.Method) for row in rows.children], ["1", "1"])
        reference = rows.children[0].text(AirSyncBase.FileReference) or ""
        self.assertEqual(self.file(reference), (b"%PDF-1.4 content", "application/pdf", "1"))
        self.assertEqual(self.file(reference, "1-3")[0], b"PDF")
        self.assertEqual(self.file(reference.replace("2.1", "2.9"))[2], "15")

    def file(self, reference: str, span: str = "") -> tuple[bytes, str, str]:
        operation = E(
            IO.Fetch,
            E(IO.Store, "Mailbox"),
            E(AirSyncBase.FileReference, reference),
            E(IO.Options, E(IO.Range, span)) if span else None,
        )
        response = self.room.post("ItemOperations", E(IO.ItemOperations, operation))
        path = IO.Response, IO.Fetch, IO.Properties
        return (
            b64decode(response.text(*path, IO.Data)),
            response.text(*path, AirSyncBase.ContentType),
            response.text(IO.Response, IO.Fetch, IO.Status),
        )


def _type(kind: int, *more: Element) -> Element:
    return E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, kind), more)


def _of_body(found: Element, tag: str) -> str:
    element = found.find(AirSyncBase.Body, tag)
    return element.value if element is not None else ""
