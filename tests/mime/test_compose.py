"""New messages: well-formed, and no header that nobody asked for."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.bodies import attachments, choose_bodies, decode_part, text_of
from posthouse.mime.compose import File, build, edit_headers, encode_words, field
from posthouse.mime.headers import decode_header, first, parse_headers
from posthouse.mime.scan import scan


def boundaries() -> Callable[[], str]:
    numbers = iter(range(1000))
    return lambda: f"=_{next(numbers)}"


def read_by_stdlib(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


class BuildTests(SynchronousTestCase):
    def test_plain_ascii_is_left_readable(self) -> None:
        self.assertEqual(
            build([("Subject", "hi"), ("To", "a@b.c")], "one\ntwo"),
            b"Subject: hi\r\nTo: a@b.c\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
            b"Content-Transfer-Encoding: 7bit\r\n\r\none\r\ntwo\r\n",
        )

    def test_everything_at_once_is_read_by_the_standard_library(self) -> None:
        data = build(
            [("From", '"Müller, Jörg" <j@bücher.example>'), ("Subject", "Grüße " * 30)],
            "Grüße\n.\nFrom me\n" + "x" * 2000,
            '<img src="cid:c@x">',
            [
                File('rëport "1".pdf', "application/pdf", bytes(range(256))),
                File("n" * 150 + ".txt", "text/plain", b""),
            ],
            [File("i.png", "image/png", b"PNG", "c@x")],
            boundaries(),
            ("REQUEST", "BEGIN:VCALENDAR\nEND:VCALENDAR\n"),
        )
        message = read_by_stdlib(data)
        self.assertEqual(message["subject"], ("Grüße " * 30).strip())
        self.assertEqual(message["from"].addresses[0].display_name, "Müller, Jörg")
        parts = [
            (part.get_content_type(), part.get_filename())
            for part in message.walk()
            if not part.is_multipart()
        ]
        self.assertEqual(
            parts,
            [
                ("text/plain", None),
                ("text/html", None),
                ("image/png", "i.png"),
                ("text/calendar", None),
                ("application/pdf", 'rëport "1".pdf'),
                ("text/plain", "n" * 150 + ".txt"),
            ],
        )
        self.assertTrue(max(map(len, data.split(b"\r\n"))) <= 78)

    def test_own_reader_finds_the_parts_again(self) -> None:
        data = build(
            [],
            "text",
            "<p>rich",
            [File("a.bin", "x/y", b"\x00\r\n")],
            [File("", "image/png", b"i", "c@x")],
            boundaries(),
        )
        root = scan(data)
        bodies = choose_bodies(root)
        assert bodies.plain is not None and bodies.html is not None
        self.assertEqual(
            text_of(bodies.html, data[bodies.html.body_start : bodies.html.body_end]), "<p>rich\n"
        )
        listed = attachments(root)
        self.assertEqual(
            [(info.name, info.content_id, info.inline) for info in listed],
            [("image001.png", "c@x", True), ("a.bin", "", False)],
        )
        part = root.find(listed[1].path)
        assert part is not None
        self.assertEqual(decode_part(part, data[part.body_start : part.body_end]), b"\x00\r\n")

    def test_a_boundary_that_occurs_in_the_content_is_changed(self) -> None:
        data = build([], "--same\nx", "<p>y", boundary=lambda: "same")
        self.assertEqual(len(scan(data).children), 2)

    def test_several_parts_need_boundaries(self) -> None:
        self.assertRaises(ValueError, build, [], "a", "b")

    def test_mime_fields_cannot_be_given(self) -> None:
        data = build([("Content-Type", "text/html"), ("MIME-version ", "2")], "x")
        self.assertEqual(data.lower().count(b"content-type"), 1)

    def test_an_attached_message_is_not_encoded(self) -> None:
        data = build(
            [], "x", None, [File("m.eml", "message/rfc822", b"Subject: in\n\nbody")], (), boundaries()
        )
        inner = scan(data).children[1].children[0]
        self.assertEqual((inner.title, inner.content_type), ("in", "text/plain"))

    @given(st.text(max_size=200), st.text(max_size=100))
    @settings(max_examples=80, deadline=None)
    def test_any_text_comes_back_and_no_line_is_too_long(self, text: str, name: str) -> None:
        data = build(
            [("Subject", text), ("X-Own", name)], text, None, [File(name, "a/b", b"x")], (), boundaries()
        )
        self.assertNotIn(b"\x00", data)
        self.assertEqual(data.count(b"\n"), data.count(b"\r\n"))
        self.assertEqual(data.count(b"\r"), data.count(b"\r\n"))
        self.assertTrue(max(map(len, data.split(b"\r\n"))) <= 998)
        root = scan(data)
        names = [key for key, _ in parse_headers(data[: root.body_start])]
        self.assertEqual(names, ["subject", "x-own", "mime-version", "content-type"])
        self.assertEqual(len(root.children), 2)


class FieldTests(SynchronousTestCase):
    def test_no_field_can_be_injected(self) -> None:
        for value in (
            "x\r\nBcc: evil@x",
            "x\nBcc: evil@x",
            "x\rBcc: evil@x",
            "x\x00\u2028Bcc: evil@x",
            "=?q?\r\n\r\nbody",
        ):
            self.assertEqual(field("Subject", value).count(b"\n"), 1)
            self.assertNotIn(b"\r\nB", field("To", value))

    def test_a_name_that_is_no_field_name_gives_nothing(self) -> None:
        for name in ("", "a b", "a\r\nb", "a:b", "ä", "x" * 100):
            self.assertEqual(field(name, "v"), b"")

    def test_text_that_looks_encoded_is_protected(self) -> None:
        raw = field("Subject", "=?utf-8?q?x?=").partition(b": ")[2]
        self.assertEqual(decode_header(raw), "=?utf-8?q?x?=")

    def test_folding(self) -> None:
        long = field("References", " ".join(f"<{n}@example.org>" for n in range(50)))
        self.assertTrue(max(map(len, long.split(b"\r\n"))) <= 78)
        self.assertEqual(len(parse_headers(long)), 1)

    def test_a_word_without_spaces_is_broken_before_998(self) -> None:
        raw = field("X-Long", "x" * 5000)
        self.assertTrue(max(map(len, raw.split(b"\r\n"))) <= 998)

    def test_addresses_keep_their_structure(self) -> None:
        self.assertEqual(
            field("To", '"Doe, J." <a@B.ORG>, =?x, Grün <b@grün.org>'),
            b'To: "Doe, J." <a@b.org>, =?utf-8?q?=3D=3Fx?=, '
            b"=?utf-8?q?Gr=C3=BCn?=\r\n <b@xn--grn-ioa.org>\r\n",
        )

    @given(st.text(min_size=1, max_size=150))
    @settings(max_examples=80, deadline=None)
    def test_encoded_words_are_short_and_whole(self, text: str) -> None:
        for word in encode_words(text, 9).split(b" "):
            self.assertTrue(len(word) <= 75)
        printable = " ".join("".join(char for char in text if char.isprintable()).split())
        if printable:
            self.assertEqual(decode_header(encode_words(printable)), printable)


class EditTests(SynchronousTestCase):
    MESSAGE = b"From: a\r\nBcc: x\r\n y\r\nBCC : z\r\nTo: b\r\n\tc\r\n\r\nbody\n\x00\xff\r\nBcc: kept\r\n"

    def test_fields_go_with_their_continuations_and_the_body_stays(self) -> None:
        self.assertEqual(
            edit_headers(self.MESSAGE, {"Bcc"}, [("X-New", "1")]),
            b"From: a\r\nTo: b\r\n\tc\r\nX-New: 1\r\n\r\nbody\n\x00\xff\r\nBcc: kept\r\n",
        )

    def test_new_fields_in_front(self) -> None:
        self.assertTrue(
            edit_headers(self.MESSAGE, (), [("X-New", "1")], front=True).startswith(
                b"X-New: 1\r\nFrom: a\r\n"
            )
        )

    def test_nothing_to_do_changes_nothing(self) -> None:
        self.assertEqual(edit_headers(self.MESSAGE), self.MESSAGE)

    def test_messages_without_header_or_body(self) -> None:
        self.assertEqual(edit_headers(b"", (), [("A", "b")]), b"A: b\r\n\r\n")
        self.assertEqual(edit_headers(b"To: x", {"bcc"}, [("A", "b")]), b"To: x\r\nA: b\r\n\r\n")
        self.assertEqual(edit_headers(b"no header\r\n", (), [("A", "b")]), b"A: b\r\n\r\nno header\r\n")
        self.assertEqual(edit_headers(b"\r\nbody", (), [("A", "b")]), b"A: b\r\n\r\nbody")

    @given(
        st.lists(
            st.sampled_from([b"A: b", b" c", b"Bcc: d", b"\r\n", b"\n", b"\r", b"x", b"\xff"]), max_size=12
        ).map(b"".join)
    )
    @settings(max_examples=100, deadline=None)
    def test_removed_is_removed_for_every_reader(self, data: bytes) -> None:
        edited = edit_headers(data, {"bcc"})
        root = scan(edited)
        self.assertIsNone(first(parse_headers(edited[root.header_start : root.body_start]), "bcc"))
