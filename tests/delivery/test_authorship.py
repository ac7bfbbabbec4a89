"""From, Sender, and what is missing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.authorship import check_authors, missing_fields
from posthouse.delivery.directory import owns
from posthouse.errors import Malformed, NotPermitted
from posthouse.mime.headers import parse_headers

OWNED = frozenset({"ann@here.example"})


class AuthorshipTests(SynchronousTestCase):
    def check(self, header: bytes, lax: bool = False) -> None:
        check_authors(parse_headers(header), OWNED, may_lack_from=lax)

    def test_forms_that_are_owned(self) -> None:
        for header in (
            b"From: ann@here.example\r\n",
            b"From: =?utf-8?q?bob=40here=2Eexample?= <Ann@Here.Example>\r\n",
            b"from : Ann\r\n <ann+x@here.example>\r\nSender: ann@here.example\r\n",
        ):
            self.check(header)
        self.check(b"Subject: x\r\n", lax=True)

    def test_forms_that_are_not(self) -> None:
        for header in (
            b"From: bob@here.example\r\n",
            b"From: ann@here.example <bob@here.example>\r\n",
            b"From: ann@here.example, bob@here.example\r\n",
            b"From: ann@here.example\r\nSender: bob@here.example\r\n",
            b"From: Group: ann@here.example, bob@there.example;\r\n",
            b'From: "ann@here.example"@there.example\r\n',
        ):
            self.assertRaises(NotPermitted, self.check, header)

    def test_forms_that_are_nothing(self) -> None:
        for header in (
            b"Subject: x\r\n",
            b"From:\r\n",
            b"From: Ann\r\n",
            b"From: ann@here.example, Bob\r\n",
            b"From: ann@here.example\r\nFROM: ann@here.example\r\n",
            b"From: ann@here.example\r\nSender:\r\n",
        ):
            self.assertRaises(Malformed, self.check, header)

    @given(st.binary(max_size=120))
    @settings(max_examples=80)
    def test_nothing_passes_that_names_no_owned_address(self, value: bytes) -> None:
        fields = parse_headers(b"From: " + value.replace(b"ann", b"") + b"\r\n")
        self.assertRaises((Malformed, NotPermitted), check_authors, fields, OWNED)

    def test_ownership_of_tags(self) -> None:
        self.assertTrue(owns(OWNED, "Ann+a+b@here.example"))
        for address in (
            "+ann@here.example",
            "ann",
            "",
            "ann@here.example.evil.example",
            "ann@sub.here.example",
        ):
            self.assertFalse(owns(OWNED, address), address)

    def test_only_what_is_missing_is_added(self) -> None:
        fields = parse_headers(b"Date: x\r\nMessage-ID: <a@b>\r\nFrom: a@b\r\n")
        self.assertEqual(missing_fields(fields, 0, "<n@h>", "A <a@b>"), b"")
        self.assertEqual(
            missing_fields(parse_headers(b"Date:\r\n"), 0, "<n@h>", "A <a@b>"),
            b"From: A <a@b>\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <n@h>\r\n",
        )
