"""Mail for servers that take 7 bits only."""

from __future__ import annotations

import email
import email.policy

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.mime.downgrade import seven_bit
from posthouse.mime.scan import scan
from posthouse.mime.transfer import decode_transfer

SMILE = "Und noch einmal sehr viele liebe Grüße aus dem schönen Köln am Rhein\r\n".encode()
HEAD = b"From: a@b\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def leaves(data: bytes) -> list[tuple[str, bytes]]:
    """Type and decoded content of every part without children."""
    return [
        (part.content_type, decode_transfer(part.cte, data[part.body_start : part.body_end]))
        for part in scan(data).walk()
        if not part.children
    ]


class DowngradeTests(SynchronousTestCase):
    def same(self, data: bytes) -> bytes:
        converted = seven_bit(data)
        self.assertTrue(converted.isascii())
        self.assertNotIn(b"8bit", converted)
        self.assertEqual(leaves(converted), leaves(data))
        self.assertTrue(all(len(line) <= 998 for line in converted.split(b"\r\n")))
        return converted

    def test_ascii_is_left_alone(self) -> None:
        data = HEAD + b"\r\nHello\r\n"
        self.assertIs(seven_bit(data), data)

    def test_text_becomes_quoted_printable(self) -> None:
        data = HEAD + TEXT + SMILE + b"From here on\r\n.\r\n" + b"a" * 200 + b"\r\n"
        converted = self.same(data)
        self.assertIn(b"Content-Transfer-Encoding: quoted-printable\r\n", converted)
        self.assertIn(b"Gr=C3=BC=C3=9Fe", converted)

    def test_chinese_becomes_base64(self) -> None:
        converted = self.same(HEAD + TEXT + "你好世界".encode() * 40 + b"\r\n")
        self.assertIn(b"Content-Transfer-Encoding: base64\r\n", converted)

    def test_a_text_without_any_line_end_gets_whole_ones(self) -> None:
        converted = self.same(HEAD + TEXT + b"plain text " * 30 + b"\xc3\xbc")
        self.assertEqual(converted.count(b"\n"), converted.count(b"\r\n"))

    def test_the_structure_is_kept(self) -> None:
        data = (
            HEAD + b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            b"pr\xc3\xa9ambule\r\n--x\r\n" + TEXT + SMILE + b"\r\n--x\r\n"
            b"Content-Type: application/octet-stream; name=\"f\xc3\xbcr.bin\"\r\n"
            b"Content-Transfer-Encoding: binary\r\n\r\n\x00\xff\r\n\r\n--x\r\n"
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + HEAD + TEXT + SMILE + b"\r\n--x--\r\n\xc3\xa9pilogue\r\n"
        )  # fmt: skip
        converted = self.same(data)
        before, after = scan(data), scan(converted)
        self.assertEqual(
            [(part.path, part.content_type, part.filename) for part in before.walk()],
            [(part.path, part.content_type, part.filename) for part in after.walk()],
        )
        self.assertEqual([part.cte for part in after.walk()][0:2], ["7bit", "quoted-printable"])

    def test_raw_headers_become_words(self) -> None:
        data = (
            "From: Jörg <a@b>\r\nSubject: Grüße\r\n to all\r\nX-Long: ".encode()
            + b"\xfc" * 5
            + b"\r\n\r\nhi\r\n"
        )
        converted = seven_bit(data)
        parsed = email.message_from_bytes(converted, policy=email.policy.default)
        self.assertEqual((parsed["subject"], str(parsed["from"])), ("Grüße to all", "Jörg <a@b>"))
        self.assertEqual(parsed["x-long"], "üüüüü")
        self.assertTrue(converted.endswith(b"\r\n\r\nhi\r\n"))

    def test_an_address_beyond_ascii_cannot_be_told(self) -> None:
        self.assertRaises(Malformed, seven_bit, "From: jörg@b\r\n\r\nhi\r\n".encode())

    def test_what_is_signed_is_never_touched(self) -> None:
        signed = (
            HEAD
            + b'Content-Type: multipart/signed; boundary=s; protocol="application/pkcs7-signature"\r\n\r\n'
            b"--s\r\n%s\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nAAAA\r\n--s--\r\n"
        )
        self.assertRaises(Malformed, seven_bit, signed % (TEXT + SMILE))
        armour = b"-----BEGIN PGP SIGNED MESSAGE-----\r\n" + SMILE
        self.assertRaises(Malformed, seven_bit, HEAD + TEXT + armour)
        mime = HEAD + b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n\xff"
        self.assertRaises(Malformed, seven_bit, mime)
        # Beside what has to change, a signed part in ASCII stays byte by byte.
        inner = signed % (TEXT + b"ASCII\r\n")
        whole = HEAD + b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + TEXT + SMILE
        whole += b"\r\n--o\r\n" + inner[len(HEAD) :] + b"\r\n--o--\r\n"
        self.assertIn(inner[len(HEAD) :], seven_bit(whole))

    @given(st.binary(max_size=400))
    @settings(max_examples=80, deadline=None)
    def test_whatever_comes(self, rubbish: bytes) -> None:
        for data in (rubbish, HEAD + rubbish, HEAD + TEXT + rubbish):
            try:
                self.assertTrue(seven_bit(data).isascii())
            except Malformed:
                pass

    @given(st.text(max_size=300))
    @settings(max_examples=80, deadline=None)
    def test_any_text_comes_back(self, text: str) -> None:
        body = "".join(char for char in text if char >= " ").encode("utf-8", "ignore") + b"\xc3\xbc!\r\n"
        self.assertEqual(leaves(seven_bit(HEAD + TEXT + body))[0][1], body)
