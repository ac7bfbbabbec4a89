"""Basic headers as clients send them."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.auth.basic import Credentials, parse_basic
from posthouse.errors import AuthFailed


def _header(raw: bytes) -> bytes:
    return b"Basic " + base64.b64encode(raw)


class BasicTests(SynchronousTestCase):
    def test_login_and_password_are_split_at_the_first_colon(self) -> None:
        self.assertEqual(parse_basic(_header(b"ann@a.org:p:q")), Credentials("ann@a.org", (b"p:q",)))

    def test_an_ascii_password_is_tried_once(self) -> None:
        self.assertEqual(len(parse_basic(_header("é:plain".encode())).passwords), 1)

    def test_latin_1_becomes_utf_8(self) -> None:
        self.assertEqual(
            parse_basic(_header("jörg:pässword".encode("latin-1"))),
            Credentials("jörg", ("pässword".encode(),)),
        )

    def test_utf_8_is_tried_first_and_then_read_as_latin_1(self) -> None:
        found = parse_basic(_header("jörg:pässword".encode()))
        self.assertEqual(found, Credentials("jörg", ("pässword".encode(), "pÃ¤ssword".encode())))

    def test_scheme_in_any_case_and_base64_without_padding(self) -> None:
        token = base64.b64encode(b"a:b1").rstrip(b"=")
        for header in (b"basic " + token, b"BASIC   " + token, b"Basic " + token + b"  "):
            self.assertEqual(parse_basic(header), Credentials("a", (b"b1",)))

    def test_what_is_no_basic_header_fails(self) -> None:
        for header in (
            b"",
            b"Basic",
            b"Basic ",
            b"Bearer abc",
            b"Basic !!!!",
            _header(b"nocolon"),
            b"Basic YQ=a",
        ):
            self.assertRaises(AuthFailed, parse_basic, header)
        self.assertRaises(AuthFailed, parse_basic, _header(b"a:" + b"x" * 9000))

    def test_the_password_is_not_in_the_representation(self) -> None:
        self.assertNotIn("sesame", repr(parse_basic(_header(b"a:sesame"))))

    @settings(max_examples=100)
    @given(st.binary(max_size=300))
    def test_any_bytes_are_credentials_or_fail(self, header: bytes) -> None:
        for value in (header, b"Basic " + header, _header(header)):
            try:
                found = parse_basic(value)
            except AuthFailed:
                continue
            for password in found.passwords:
                password.decode("utf-8")
