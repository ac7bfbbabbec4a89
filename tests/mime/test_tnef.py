"""winmail.dat: what is in it, and that nothing in it does any harm."""

from __future__ import annotations

import struct
from base64 import encodebytes

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, NoSuchItem
from posthouse.mime import tnef
from posthouse.mime.draft import draft_from
from posthouse.mime.part import load_structure
from posthouse.mime.scan import scan
from posthouse.mime.tnef import read_tnef
from posthouse.mime.unpack import file_inside, has_rtf, packed_part
from posthouse.model import ItemDraft
from tests.support.tnef import RTF, attribute, number, properties, sample, several, text, winmail

NEW = attribute(0x00069002, bytes(14))


class ReadTests(SynchronousTestCase):
    def test_files_and_the_body_in_rtf(self) -> None:
        data = sample()
        found = read_tnef(data)
        self.assertEqual(
            [(file.name, file.content_type, file.content_id) for file in found.files],
            [("B\xfcroplan.pdf", "application/pdf", ""), ("pic.png", "image/png", "pic@x")],
        )
        self.assertEqual(
            [data[file.start : file.stop] for file in found.files], [b"%PDF-1.4 content", b"\x89PNG picture"]
        )
        assert found.rtf is not None
        self.assertEqual(data[slice(*found.rtf)], RTF)
        self.assertIsNone(read_tnef(sample(b"")).rtf)

    def test_a_title_is_in_the_code_page_of_its_writer(self) -> None:
        title = attribute(0x00018010, "Отчёт.doc\0".encode("cp1251"))
        self.assertEqual(read_tnef(winmail(NEW, title, page=1251)).files[0].name, "Отчёт.doc")

    def test_an_embedded_message_and_an_object(self) -> None:
        message = properties(
            number(0x3705, 5), several(0x3701, 0xD, bytes(16) + sample()), text(0x3707, "Re: lunch")
        )
        data = winmail(NEW, attribute(0x00069005, message))
        (file,) = read_tnef(data).files
        self.assertEqual((file.name, file.content_type), ("Re: lunch.dat", "application/ms-tnef"))
        self.assertEqual(len(read_tnef(data[file.start : file.stop]).files), 2)

    def test_names_are_file_names(self) -> None:
        for given_name, shown in (("../../etc/passwd", ".._.._etc_passwd"), ("", "attachment001.bin")):
            rows = properties(text(0x3707, given_name), text(0x370E, "text/html; <script>"))
            (file,) = read_tnef(winmail(NEW, attribute(0x00069005, rows))).files
            self.assertNotIn("/", file.name)
            self.assertTrue(file.name == shown or file.name.endswith("etc_passwd"), file.name)
            self.assertEqual(file.content_type, "application/octet-stream")

    def test_of_one_that_breaks_off_what_is_complete(self) -> None:
        data = sample()
        self.assertEqual(len(read_tnef(data[: data.index(b"%PDF") + 4]).files), 1)
        self.assertEqual(read_tnef(data[:40]).files, ())

    def test_impossible_things_are_refused(self) -> None:
        for data in (
            b"",
            b"PK\3\4" + bytes(40),
            winmail(attribute(1, b"", 7)),
            winmail(attribute(0x00069003, struct.pack("<I", 1 << 31), 1)),
            winmail(attribute(0x00069003, properties(struct.pack("<HHI", 0x55, 1, 1)), 1)),
            winmail(attribute(0x00069003, properties(struct.pack("<HHII", 0x102, 1, 1, 1 << 30)), 1)),
            winmail(attribute(0x00069003, properties(struct.pack("<HHI", 0x102, 1, 1 << 30)), 1)),
            winmail(attribute(0x00069003, properties(struct.pack("<HHI", 0x1003, 1, 1 << 31)), 1)),
            winmail(*[NEW] * 300),
            winmail(*[attribute(1, b"", 1)] * 6000),
        ):
            self.assertRaises(Malformed, read_tnef, data)

    @given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6), st.integers(0, 2000))
    @settings(max_examples=100, deadline=None)
    def test_any_damage(self, changes: list[tuple[int, int]], cut: int) -> None:
        data = bytearray(sample())
        for position, value in changes:
            data[position % len(data)] = value
        self.check(bytes(data[: max(cut, 4)]))

    @given(st.binary(max_size=300), st.sampled_from([0x00069003, 0x00069005, 0x00018010, 0x00069007]))
    @settings(max_examples=100, deadline=None)
    def test_any_bytes(self, data: bytes, name: int) -> None:
        self.check(winmail(NEW, attribute(name, data, 1)))

    def check(self, data: bytes) -> None:
        try:
            found = read_tnef(data)
        except Malformed:
            return
        for file in found.files:
            self.assertTrue(0 <= file.start <= file.stop <= len(data))
            self.assertTrue(file.name)
        if found.rtf is not None:
            self.assertTrue(0 <= found.rtf[0] < found.rtf[1] <= len(data))


def mail(packed: bytes, body: bytes = b"hello\r\n") -> bytes:
    return (
        b'Subject: packed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        + (b"--b\r\nContent-Type: text/plain\r\n\r\n" + body if body else b"")
        + b'--b\r\nContent-Type: application/ms-tnef; name="winmail.dat"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(packed) + b"--b--\r\n"
    )


def drafted(data: bytes) -> ItemDraft:
    root = scan(data)
    return draft_from(root, data[: root.body_start], lambda first, last: data[first:last], len(data), 0)


class UnpackTests(SynchronousTestCase):
    def test_the_list_shows_what_is_inside(self) -> None:
        data = mail(sample())
        draft = drafted(data)
        self.assertEqual(
            [(info.path, info.name, info.size) for info in draft.attachments],
            [("2.1", "B\xfcroplan.pdf", 16), ("2.2", "pic.png", 12)],
        )
        self.assertTrue(draft.has_attachments)
        root = load_structure(draft.structure)
        packed = packed_part(root, "2.2")
        assert packed is not None
        self.assertEqual(file_inside(*packed, lambda first, last: data[first:last]), b"\x89PNG picture")
        self.assertTrue(has_rtf(packed[0]))
        for path in ("2", "1.1", "2.x", "9.1", ""):
            self.assertIsNone(packed_part(root, path))
        self.assertRaises(NoSuchItem, file_inside, packed[0], 3, lambda first, last: data[first:last])

    def test_a_draft_of_the_user_keeps_its_parts(self) -> None:
        data = mail(sample())
        root = scan(data)
        head = data[: root.body_start]
        draft = draft_from(root, head, lambda first, last: data[first:last], len(data), 0, unpack=False)
        self.assertEqual([info.name for info in draft.attachments], ["winmail.dat"])

    def test_nothing_but_a_body_is_no_attachment(self) -> None:
        draft = drafted(mail(winmail()))
        self.assertEqual((draft.attachments, draft.has_attachments), ((), False))

    def test_what_cannot_be_unpacked_stays(self) -> None:
        for data in (mail(b"rubbish"), mail(sample()[:4] + b"x" * 50)):
            draft = drafted(data)
            self.assertEqual([info.name for info in draft.attachments], ["winmail.dat"])
        self.patch(tnef, "_MOST_FILES", 1)
        self.assertEqual(len(drafted(mail(sample())).attachments), 1)

    def test_without_another_body_the_text_may_be_in_there(self) -> None:
        names = [info.name for info in drafted(mail(sample(), b"")).attachments]
        self.assertEqual(names, ["winmail.dat", "B\xfcroplan.pdf", "pic.png"])
