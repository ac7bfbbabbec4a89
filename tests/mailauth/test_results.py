"""Authentication-Results: written so that nobody can break out, removed where somebody pretends to be us."""

from __future__ import annotations

import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mailauth.dkim import DkimResult
from posthouse.mailauth.dmarc import DmarcResult
from posthouse.mailauth.results import authentication_results, reason_field, remove_foreign
from posthouse.mailauth.spf import SpfResult

US = "mx.here.example"


class WriteTests(SynchronousTestCase):
    def test_a_usual_one(self) -> None:
        self.assertEqual(
            authentication_results(
                US,
                [SpfResult("pass", "mailfrom", "there.example", "ip4:192.0.2.0/24")],
                [DkimResult("pass", "there.example", "s1", "rsa-sha256", "@there.example", "Ab+/cd12")],
                [DmarcResult("pass", "there.example", "reject", reason="dkim of there.example")],
                sender="ann@there.example",
            ).decode(),
            "Authentication-Results: mx.here.example;\r\n"
            "\tspf=pass (ip4:192.0.2.0/24) smtp.mailfrom=ann@there.example;\r\n"
            "\tdkim=pass header.d=there.example header.s=s1 header.a=rsa-sha256"
            ' header.b="Ab+/cd12";\r\n'
            "\tdmarc=pass (p=reject, dkim of there.example) header.from=there.example\r\n",
        )

    def test_no_signature_is_said(self) -> None:
        self.assertIn(b"dkim=none", authentication_results(US, [], [], []))

    def test_odd_addresses_are_quoted(self) -> None:
        spf = [SpfResult("none", "mailfrom", "x")]
        field = authentication_results(US, spf, [], [], sender='"a b;\r\n dkim=pass"@x.example')
        self.assertIn(b'smtp.mailfrom="\\"a b;? dkim=pass\\"@x.example"', field)

    def test_other_letters_only_where_the_message_may_have_them(self) -> None:
        spf = [SpfResult("none", "mailfrom", "x")]
        self.assertIn(b"b?cher", authentication_results(US, spf, [], [], sender="bücher@x.example"))
        wide = authentication_results(US, spf, [], [], sender="bücher@x.example", utf8=True)
        self.assertIn("bücher".encode(), wide)

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=40), st.text(max_size=40), st.booleans())
    def test_nothing_breaks_out(self, one: str, two: str, utf8: bool) -> None:
        field = authentication_results(
            US,
            [SpfResult("fail", "mailfrom", one, two), SpfResult("none", "helo", two, one)],
            [DkimResult("fail", one, two, one, two, "AAAA", two)],
            [DmarcResult("fail", one, "reject", "reject", two)],
            utf8=utf8,
            sender=two,
        )
        lines = field.decode("utf-8").split("\r\n")
        self.assertEqual((len(lines), lines[-1]), (6, ""))
        self.assertTrue(all(line.startswith("\t") for line in lines[1:-1]))
        # outside of quotes and comments there are as many results as we wrote
        bare = re.sub(r'"(?:[^"\\]|\\.)*"|\([^()]*\)', "", field.decode("utf-8"))
        self.assertEqual(len(re.findall(r"\b(?:spf|dkim|dmarc)=", bare)), 4)
        self.assertFalse(set(field.decode("utf-8")) & {"\0", "\x7f", "\u2028", "\x85"})

    def test_a_reason_is_one_line(self) -> None:
        self.assertEqual(reason_field("a\r\nb: c é"), b"X-Posthouse-Reason: a?b: c ?\r\n")


class RemoveTests(SynchronousTestCase):
    def removed(self, field: bytes) -> bool:
        head = b"From: a@b.example\r\n" + field + b"\r\nTo: c\r\n x\r\n\r\n"
        found = remove_foreign(head, US)
        self.assertIn(found, (head, b"From: a@b.example\r\nTo: c\r\n x\r\n\r\n"))
        return found is not head

    def test_ours_in_every_dress(self) -> None:
        for field in (
            b"Authentication-Results: mx.here.example; spf=pass",
            b"authentication-results:MX.Here.Example;spf=pass",
            b"Authentication-Results : mx.here.example",
            b"Authentication-Results:\r\n\tmx.here.example 1; spf=pass\r\n\tsmtp.mailfrom=x",
            b'Authentication-Results: "mx.here.example"; spf=pass',
            b'Authentication-Results: "mx\\.here.example"; spf=pass',
            b"Authentication-Results: (it is (me) \\) ) mx.here.example (1); spf=pass",
            b"Authentication-Results: mx.here.example.; spf=pass",
            b"Authentication-Results: ",
            b'Authentication-Results: "never closed',
            b"X-Posthouse-Reason: trust me",
        ):
            self.assertTrue(self.removed(field), field)

    def test_those_of_others_stay(self) -> None:
        for field in (
            b"Authentication-Results: mx.there.example; spf=pass smtp.mailfrom=mx.here.example",
            b"Authentication-Results: mx.here.example.org; spf=pass",
            b"Authentication-Results: xmx.here.example; spf=pass",
            b"ARC-Authentication-Results: i=1; mx.here.example; spf=pass",
            b"X-Other: Authentication-Results: mx.here.example",
        ):
            self.assertFalse(self.removed(field), field)

    def test_a_hostile_header_costs_linear_time(self) -> None:
        for piece in (b"(", b"\\", b'"', b" ", b"()", b"\r\n\t"):
            head = b"Authentication-Results: " + piece * (1_000_000 // len(piece)) + b"\r\n\r\n"
            before = time.process_time()
            remove_foreign(head, US)
            self.assertLess(time.process_time() - before, 2.0, piece)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=80))
    def test_nothing_of_others_is_lost(self, value: bytes) -> None:
        head = b"Authentication-Results: other.example; " + value.replace(b"\n", b"") + b"\r\nA: b\r\n\r\n"
        self.assertEqual(remove_foreign(head, US), head)
