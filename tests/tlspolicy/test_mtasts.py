"""Records and policies of MTA-STS."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.tlspolicy.mtasts import LARGEST, MOST_AGE, covers, parse_policy, policy_id, policy_text

POLICY = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
    b"mx: Backupmx.example.com\r\nmax_age: 604800\r\n"
)


class RecordTests(SynchronousTestCase):
    def test_the_id(self) -> None:
        for text in (
            b"v=STSv1; id=20160831085700Z;",
            b"v=STSv1;id=20160831085700Z",
            b"v=STSv1 ; id=20160831085700Z ;x=y",
        ):
            self.assertEqual(policy_id([b"v=spf1 -all", text]), "20160831085700Z", text)

    def test_no_policy(self) -> None:
        for texts in (
            [],
            [b"v=STSv2; id=1"],
            [b"v=STSv1; id="],
            [b"v=STSv1; id=a b"],
            [b"v=STSv1; id=" + b"1" * 33],
            [b"v=STSv1;"],
            [b"v=STSv1; id=1", b"v=STSv1; id=1"],
            [b"id=1; v=STSv1"],
            [b"v=STSv1\xff; id=1"],
        ):
            self.assertEqual(policy_id(texts), "", texts)


class PolicyTests(SynchronousTestCase):
    def test_the_example_of_the_rfc(self) -> None:
        policy = parse_policy(POLICY)
        self.assertEqual(
            (policy.mode, policy.max_age, policy.mx),
            ("enforce", 604800, ("mail.example.com", "*.example.net", "backupmx.example.com")),
        )
        self.assertEqual(policy.lines[1], "mode: enforce")

    def test_line_ends_blanks_and_unknown_keys_do_not_matter(self) -> None:
        policy = parse_policy(
            b"mode:testing\nversion : STSv1\n\nnew: thing\nmode: enforce\nmax_age: 1\nmx: a.b"
        )
        self.assertEqual((policy.mode, policy.mx), ("testing", ("a.b",)))

    def test_none_needs_no_host_and_an_age_beyond_a_year_is_a_year(self) -> None:
        policy = parse_policy(b"version: STSv1\nmode: none\nmax_age: 9999999999\n")
        self.assertEqual((policy.mx, policy.max_age), ((), MOST_AGE))

    def test_what_is_broken_is_malformed(self) -> None:
        for change in (
            (b"STSv1", b"STSv2"),
            (b"mode: enforce", b"mode: always"),
            (b"mode: enforce\r\n", b""),
            (b"604800", b"-1"),
            (b"604800", b"99999999999"),
            (b"max_age", b"age"),
            (b"mail.example.com", b"mail example.com"),
            (b"mail.example.com", b"a..b"),
            (b"mail.example.com", b"*"),
            (b"mail.example.com", b"ma*.example.com"),
            (b"mail", b"\xff"),
            (b"mx: *.example.net", b"mx *.example.net"),
        ):
            self.assertRaises(Malformed, parse_policy, POLICY.replace(*change))
        self.assertRaises(Malformed, parse_policy, b"version: STSv1\nmode: enforce\nmax_age: 1\n")
        self.assertRaises(Malformed, parse_policy, POLICY + b"x: " + b"y" * LARGEST)
        self.assertRaises(Malformed, parse_policy, POLICY + b"mx: a.example\r\n" * 1001)

    @given(st.binary(max_size=300))
    @settings(max_examples=60)
    def test_any_bytes_are_a_policy_or_malformed(self, data: bytes) -> None:
        for content in (data, POLICY + data):
            try:
                self.assertIn(parse_policy(content).mode, ("enforce", "testing", "none"))
            except Malformed:
                pass

    def test_our_own_text_is_read_as_it_was_meant(self) -> None:
        policy = parse_policy(POLICY)
        again = parse_policy(policy_text(policy))
        self.assertEqual((again.mode, again.max_age, again.mx), (policy.mode, policy.max_age, policy.mx))


class CoverTests(SynchronousTestCase):
    def test_names_and_one_label_for_a_star(self) -> None:
        patterns = ("mail.example.com", "*.example.net")
        for host, expected in (
            ("mail.example.com", True),
            ("MAIL.example.com.", True),
            ("mx.example.net", True),
            ("a.mx.example.net", False),
            ("example.net", False),
            ("other.example.com", False),
            ("evilexample.net", False),
            ("", False),
        ):
            self.assertEqual(covers(patterns, host), expected, host)
