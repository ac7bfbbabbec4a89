"""Body choice, attachments, transfer encodings, flowed text."""

from __future__ import annotations

import base64
import binascii
import quopri

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.bodies import (
    attachments,
    choose_bodies,
    decode_iter,
    decode_part,
    decode_transfer,
    decoded_size,
    reflow,
    text_of,
)
from posthouse.mime.scan import Part, scan


def leaf(content_type: str, *fields: str, body: str = "x") -> str:
    return "\r\n".join([f"Content-Type: {content_type}", *fields, "", body, ""])


_NUMBER = iter(range(10_000))


def multi(subtype: str, *parts: str, params: str = "") -> str:
    name = f"b{next(_NUMBER)}"
    inner = "".join(f"--{name}\r\n{part}\r\n" for part in parts)
    return f"Content-Type: multipart/{subtype}; boundary={name}{params}\r\n\r\n{inner}--{name}--\r\n"


PLAIN, HTML = leaf("text/plain"), leaf("text/html")
PDF = leaf("application/pdf; name=a.pdf", "Content-Disposition: attachment")
IMAGE = leaf("image/png; name=i.png", "Content-ID: <c@x>")


class ChoiceTests(SynchronousTestCase):
    def check(
        self,
        message: str,
        plain: str | None,
        html: str | None,
        *listed: tuple[str, str, bool],
        calendar: str | None = None,
    ) -> None:
        root = scan(message.encode())
        found = choose_bodies(root)
        self.assertEqual(
            [part.path if part is not None else None for part in (found.plain, found.html, found.calendar)],
            [plain, html, calendar],
        )
        self.assertEqual(found.native, 1 if html is None else 2)
        self.assertEqual([(info.path, info.name, info.inline) for info in attachments(root)], list(listed))

    def test_single_parts(self) -> None:
        self.check(PLAIN, "1", None)
        self.check(HTML, None, "1")
        self.check(PDF, None, None, ("1", "a.pdf", False))

    def test_alternative(self) -> None:
        self.check(multi("alternative", PLAIN, HTML), "1", "2")

    def test_mixed_with_attachment(self) -> None:
        self.check(multi("mixed", PLAIN, PDF), "1", None, ("2", "a.pdf", False))

    def test_alternative_with_related_images(self) -> None:
        message = multi("mixed", multi("alternative", PLAIN, multi("related", HTML, IMAGE)), PDF)
        self.check(message, "1.1", "1.2.1", ("1.2.2", "i.png", True), ("2", "a.pdf", False))

    def test_related_outside_alternative(self) -> None:
        self.check(
            multi("related", multi("alternative", PLAIN, HTML), IMAGE), "1.1", "1.2", ("2", "i.png", True)
        )

    def test_related_start_names_the_root(self) -> None:
        root = leaf("text/html", "Content-ID: <root@x>")
        self.check(
            multi("related", IMAGE, root, params='; start="<root@x>"'), None, "2", ("1", "i.png", True)
        )

    def test_apple_mail_puts_html_and_files_under_alternative(self) -> None:
        message = multi("alternative", PLAIN, multi("mixed", HTML, PDF, HTML))
        self.check(message, "1", "2.1", ("2.2", "a.pdf", False), ("2.3", "attachment002.html", False))

    def test_text_after_the_body_is_an_attachment(self) -> None:
        self.check(
            multi("mixed", PLAIN, PDF, PLAIN),
            "1",
            None,
            ("2", "a.pdf", False),
            ("3", "attachment002.txt", False),
        )

    def test_a_text_file_in_front_is_no_body(self) -> None:
        named = leaf("text/plain; name=notes.txt", "Content-Disposition: attachment")
        self.check(multi("mixed", named, PLAIN), "2", None, ("1", "notes.txt", False))

    def test_signed(self) -> None:
        signature = leaf("application/pkcs7-signature; name=smime.p7s")
        self.check(
            multi("signed", multi("mixed", PLAIN, PDF), signature), "1.1", None, ("1.2", "a.pdf", False)
        )

    def test_a_forwarded_message_is_an_attachment_named_after_its_subject(self) -> None:
        inner = "Content-Type: message/rfc822\r\n\r\nSubject: Hallo / Welt\r\n" + HTML
        self.check(multi("mixed", PLAIN, inner), "1", None, ("2", "Hallo _ Welt.eml", False))

    def test_a_message_that_is_only_a_forwarded_message(self) -> None:
        self.check("Content-Type: message/rfc822\r\n\r\n" + PLAIN, None, None, ("1", "message.eml", False))

    def test_report(self) -> None:
        status = leaf("message/delivery-status", body="Action: failed")
        message = multi("report", PLAIN, status, leaf("text/rfc822-headers"))
        self.check(message, "1", None, ("2", "attachment001.txt", True), ("3", "attachment002.txt", True))

    def test_appledouble(self) -> None:
        double = multi("appledouble", leaf("application/applefile"), PDF)
        self.check(multi("mixed", PLAIN, double), "1", None, ("2.2", "a.pdf", False))

    def test_invitation(self) -> None:
        event = leaf("text/calendar; method=REQUEST")
        self.check(multi("alternative", PLAIN, HTML, event), "1", "2", calendar="3")
        file = leaf("text/calendar; method=REQUEST", "Content-Disposition: attachment; filename=invite.ics")
        self.check(multi("mixed", PLAIN, file), "1", None, ("2", "invite.ics", False), calendar="2")

    def test_a_multipart_whose_boundary_never_comes_is_read_as_text(self) -> None:
        self.check("Content-Type: multipart/mixed; boundary=x\r\n\r\nhello", "", None)

    def test_related_images_that_html_does_not_mention_are_attachments(self) -> None:
        root = scan(multi("related", HTML, IMAGE).encode())
        self.assertEqual([info.inline for info in attachments(root, '<img src="cid:c@x">')], [True])
        self.assertEqual([info.inline for info in attachments(root, "<p>")], [False])

    def test_sizes_are_those_of_the_content(self) -> None:
        data = bytes(10_000)
        encoded = base64.encodebytes(data).decode().replace("\n", "\r\n").strip()
        part = leaf("image/png", "Content-Transfer-Encoding: base64", body=encoded)
        (info,) = attachments(scan(multi("mixed", part).encode()))
        self.assertTrue(abs(info.size - 10_000) < 5)

    def test_a_hundred_levels_are_walked(self) -> None:
        message = PLAIN
        for _ in range(98):
            message = multi("mixed", message)
        self.assertEqual(choose_bodies(scan(message.encode())).plain, list(scan(message.encode()).walk())[-1])


def part_of(cte: str, size: int) -> Part:
    return Part("1", 0, 0, size, cte=cte)


class TransferTests(SynchronousTestCase):
    def test_base64_with_junk(self) -> None:
        self.assertEqual(
            decode_transfer("base64", b"YW\r\nJj *ZGVm\r\n-- \r\n"),
            b"abcdef" + decode_transfer("base64", b"--"),
        )

    def test_quoted_printable_is_lenient(self) -> None:
        self.assertEqual(decode_transfer("quoted-printable", b"a=3Db= \r\nc =ZZ\r\n"), b"a=bc =ZZ\r\n")

    def test_uuencode(self) -> None:
        data = bytes(range(256))
        lines = [binascii.b2a_uu(data[i : i + 45]) for i in range(0, 256, 45)]
        raw = b"begin 644 x.bin\n" + b"".join(lines) + b"`\nend\n"
        self.assertEqual(decode_transfer("x-uuencode", raw), data)
        self.assertEqual(decode_transfer("x-uuencode", raw.replace(b"\n", b"\r\n")), data)

    def test_unknown_encodings_count_as_none(self) -> None:
        self.assertEqual(decode_transfer("x-own", b"=41"), b"=41")

    @given(
        st.binary(max_size=400),
        st.integers(1, 90),
        st.sampled_from(["base64", "quoted-printable", "x-uuencode", "8bit"]),
    )
    @settings(max_examples=100, deadline=None)
    def test_in_pieces_as_in_one(self, data: bytes, block: int, cte: str) -> None:
        if cte == "base64":
            raw = base64.encodebytes(data).replace(b"\n", b"\r\n")
        elif cte == "quoted-printable":
            raw = quopri.encodestring(data)
        elif cte == "x-uuencode":
            raw = b"".join(binascii.b2a_uu(data[i : i + 45]) for i in range(0, len(data), 45))
        else:
            raw = data
        part = part_of(cte, len(raw))
        pieces = decode_iter(part, lambda start, stop: raw[start:stop], block)
        self.assertEqual(b"".join(pieces), decode_part(part, raw))
        if cte == "base64":
            self.assertEqual(decode_part(part, raw), data)
            self.assertTrue(abs(decoded_size(part) - len(data)) <= 4)

    @given(st.binary(max_size=200), st.sampled_from(["base64", "quoted-printable", "x-uuencode", "binary"]))
    @settings(max_examples=100, deadline=None)
    def test_any_bytes_are_survived(self, raw: bytes, cte: str) -> None:
        part = part_of(cte, len(raw))
        self.assertIsInstance(decode_part(part, raw), bytes)
        for piece in decode_iter(part, lambda start, stop: raw[start:stop], 7):
            self.assertIsInstance(piece, bytes)


class TextTests(SynchronousTestCase):
    def test_transfer_encoding_and_charset(self) -> None:
        root = scan(b"Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n")
        raw = base64.b64encode("При\r\nвет".encode("koi8-r"))
        self.assertEqual(text_of(root, raw), "При\nвет")

    def test_flowed(self) -> None:
        root = scan(b"Content-Type: text/plain; format=flowed\r\n\r\n")
        raw = b"This goes \r\non.\r\n> quoted \r\n> too\r\n>> deep\r\n From stuffed\r\n-- \r\nme\r\n"
        self.assertEqual(text_of(root, raw), "This goes on.\n> quoted too\n>> deep\nFrom stuffed\n-- \nme\n")

    def test_delsp(self) -> None:
        self.assertEqual(reflow("日本 \n語", True), "日本語")
