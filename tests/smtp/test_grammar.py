from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.smtp.grammar import (
    NeedsUtf8,
    decode_xtext,
    encode_xtext,
    parse_bdat,
    parse_helo,
    parse_notify,
    parse_orcpt,
    parse_path,
    split_command,
    split_path,
)

GOOD = [
    ("a@b.example", "a@b.example"),
    ("First.Last+tag@B.Example", "First.Last+tag@B.Example"),
    ("@one.example,@two.example:a@b.example", "a@b.example"),
    ('"a b"@c.example', '"a b"@c.example'),
    ('"plain"@c.example', "plain@c.example"),
    (r'"a\"b"@c.example', r'"a\"b"@c.example'),
    ('"a@b"@c.example', '"a@b"@c.example'),
    ('"a>b"@c.example', '"a>b"@c.example'),
    ("a@[192.0.2.1]", "a@[192.0.2.1]"),
    ("a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
    ("a..b@c.example", "a..b@c.example"),
    ("under_score@c_d.example", "under_score@c_d.example"),
    ("user%elsewhere.example@c.example", "user%elsewhere.example@c.example"),
    ("a!b@c.example", "a!b@c.example"),
]

BAD = [
    "",
    "a",
    "@b.example",
    "a@",
    "a@b..example",
    "a@.example",
    "a@example.",
    "a@-b.example",
    "a b@c.example",
    "a@b@c.example",
    '"a@b.example',
    '"a"b@c.example',
    "a@[300.1.1.1]",
    "a@[IPv6:zz::1]",
    "a@[]",
    "<a@b.example>",
    "a@b.example,c@d.example",
    "a" * 300 + "@b.example",
    "a@" + "b" * 64 + ".example",
    "a@" + "b." * 200 + "example",
]


class PathTests(SynchronousTestCase):
    def test_accepted_paths(self) -> None:
        for path, address in GOOD:
            self.assertEqual(parse_path(path, utf8=False), address, path)

    def test_refused_paths(self) -> None:
        for path in BAD:
            with self.assertRaises(Malformed, msg=path):
                parse_path(path, utf8=True)

    def test_utf8_only_when_asked_for(self) -> None:
        self.assertEqual(parse_path("grå@bücher.example", utf8=True), "grå@bücher.example")
        self.assertRaises(NeedsUtf8, parse_path, "grå@b.example", utf8=False)
        self.assertRaises(NeedsUtf8, parse_path, "a@bücher.example", utf8=False)

    def test_postmaster_alone_gets_the_default_domain(self) -> None:
        self.assertEqual(
            parse_path("PostMaster", utf8=False, default_domain="d.example"), "PostMaster@d.example"
        )
        self.assertRaises(Malformed, parse_path, "root", utf8=False, default_domain="d.example")
        self.assertRaises(Malformed, parse_path, "postmaster", utf8=False)

    def test_address_parser_linear(self) -> None:
        for hostile in (
            "." * 16384,
            '"' + "\\" * 16383,
            "@a," * 5000,
            "a@" + "-" * 16384,
            "<" * 16384,
            "a." * 8192,
        ):
            started = time.perf_counter()
            for raw in (hostile, f"<{hostile}>"):
                try:
                    path, _ = split_path(b"TO:" + raw.encode(), "TO:")
                    parse_path(path, utf8=True)
                except Malformed:
                    pass
            self.assertLess(time.perf_counter() - started, 0.05, hostile[:10])  # 5 ms, and a slow machine

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=60))
    def test_nothing_that_passes_holds_a_control_character(self, text: str) -> None:
        try:
            path, parameters = split_path(b"FROM:<" + text.encode("utf-8", "replace") + b">", "FROM:")
            address = parse_path(path, utf8=True)
        except Malformed:
            return
        for letter in address + "".join(f"{key}{value}" for key, value in parameters.items()):
            self.assertGreaterEqual(ord(letter), 32)


class CommandTests(SynchronousTestCase):
    def test_split_command(self) -> None:
        self.assertEqual(split_command(b"mail FROM:<a@b>"), (b"MAIL", b"FROM:<a@b>"))
        self.assertEqual(split_command(b" noop \t"), (b"NOOP", b""))
        self.assertEqual(split_command(b""), (b"", b""))

    def test_path_and_parameters(self) -> None:
        self.assertEqual(
            split_path(b"from:<a@b.example> size=12 BODY=8BITMIME SMTPUTF8", "FROM:"),
            ("a@b.example", {"SIZE": "12", "BODY": "8BITMIME", "SMTPUTF8": None}),
        )

    def test_a_space_before_the_path(self) -> None:
        self.assertEqual(split_path(b"FROM: <a@b.example>", "FROM:"), ("a@b.example", {}))

    def test_a_path_without_brackets(self) -> None:
        self.assertEqual(split_path(b"FROM:a@b.example SIZE=1", "FROM:"), ("a@b.example", {"SIZE": "1"}))

    def test_a_bracket_inside_quotes_is_not_the_end(self) -> None:
        self.assertEqual(split_path(b'TO:<"a>b"@c.example>', "TO:"), ('"a>b"@c.example', {}))

    def test_refused_arguments(self) -> None:
        for rest in (
            b"",
            b"TO:<a@b>",
            b"FROM:",
            b"FROM:<a@b",
            b"FROM:<a@b>SIZE=1",
            b"FROM:<a@b> SIZE=1 SIZE=2",
            b"FROM:<a@b> =1",
            b"FROM:<a@b> " + b"A=1 " * 30,
            b'FROM:<"a@b>',
            b"FROM:<a\x7f@b>",
            b'FROM:<"a\x0bX-Evil: 1"@b.example>',
            b"FROM:<\xff@b>",
        ):
            with self.assertRaises(Malformed, msg=repr(rest)):
                split_path(rest, "FROM:")

    def test_helo_names(self) -> None:
        for name in (b"mx.example", b"[192.0.2.1]", b"[IPv6:2001:db8::1]", b"MY_PC", b"mx.example  "):
            self.assertEqual(parse_helo(name).encode(), name.strip())

    def test_helo_lf_injection(self) -> None:
        for name in (b"", b"  ", b"foo\nX-Evil: yes", b"a<b>", b"caf\xc3\xa9", b"a(b)", b"a" * 256):
            with self.assertRaises(Malformed, msg=repr(name)):
                parse_helo(name)

    def test_bdat_arguments(self) -> None:
        self.assertEqual(parse_bdat(b"12"), (12, False))
        self.assertEqual(parse_bdat(b"0 last"), (0, True))
        for rest in (b"", b"x", b"-1", b"1 LAST x", b"1LAST", b"9" * 19, b"+5", "٣".encode()):
            with self.assertRaises(Malformed, msg=repr(rest)):
                parse_bdat(rest)

    def test_dsn_arguments(self) -> None:
        self.assertEqual(parse_notify("success,DELAY"), "SUCCESS,DELAY")
        self.assertEqual(parse_notify("never"), "NEVER")
        self.assertEqual(parse_orcpt("rfc822;a+2Bb@c.example"), "rfc822;a+2Bb@c.example")
        for value in (None, "", "NEVER,DELAY", "SOON", "DELAY,DELAY"):
            self.assertRaises(Malformed, parse_notify, value)
        for value in (None, "", "rfc822", "rfc822;a+2b@c", "a b;c", "rfc822;" + "a" * 501):
            self.assertRaises(Malformed, parse_orcpt, value)

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.characters(max_codepoint=126), max_size=40))
    def test_xtext_round_trip(self, text: str) -> None:
        coded = encode_xtext(text)
        self.assertRegex(coded, r"\A[!-~]*\Z")
        self.assertEqual(decode_xtext(coded), text)

    def test_xtext_refused(self) -> None:
        for text in ("a=b", "a+4", "a+4g", "a b", "é"):
            self.assertRaises(Malformed, decode_xtext, text)
        self.assertRaises(Malformed, encode_xtext, "é")
