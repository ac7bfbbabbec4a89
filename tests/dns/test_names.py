"""Names and address literals."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.dns.names import address_literal, ascii_name, is_address
from posthouse.errors import NoSuchDomain


class NamesTests(SynchronousTestCase):
    def test_folds_case_and_trailing_dot(self) -> None:
        self.assertEqual(ascii_name("MX.Example.ORG."), "mx.example.org")

    def test_u_labels_become_a_labels(self) -> None:
        self.assertEqual(ascii_name("Bücher.example"), "xn--bcher-kva.example")
        self.assertEqual(ascii_name("例え.jp"), "xn--r8jz45g.jp")

    def test_underscores_pass(self) -> None:
        self.assertEqual(ascii_name("_dmarc.example.org"), "_dmarc.example.org")

    def test_what_cannot_be_a_name_is_no_such_domain(self) -> None:
        for bad in (
            "",
            ".",
            "a..b",
            "-a.example",
            "a" * 64 + ".example",
            "a b.example",
            "x." * 200,
            "\u2028.de",
        ):
            self.assertRaises(NoSuchDomain, ascii_name, bad)

    def test_literals(self) -> None:
        self.assertEqual(address_literal("[192.0.2.1]"), "192.0.2.1")
        self.assertEqual(address_literal("[IPv6:2001:DB8::1]"), "2001:db8::1")
        self.assertIsNone(address_literal("example.org"))
        for bad in ("[", "[]", "[192.0.2.1", "[2001:db8::1]", "[IPv6:192.0.2.1]", "[192.0.2.999]"):
            self.assertRaises(NoSuchDomain, address_literal, bad)

    def test_is_address(self) -> None:
        self.assertTrue(is_address("2001:db8::1"))
        self.assertFalse(is_address("fe80::1%eth0"))
        self.assertFalse(is_address("host"))

    @given(st.text(max_size=80))
    @settings(max_examples=80)
    def test_any_text_gives_a_name_or_a_typed_error(self, text: str) -> None:
        try:
            name = ascii_name(text)
        except NoSuchDomain:
            return
        self.assertEqual(ascii_name(name), name)
        self.assertTrue(name.isascii())
