"""DANE: which records count, and which servers they prove."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.tlspolicy.tlsa import Tlsa, advice, match, parse_tlsa, presentation, usable
from tests.support.authority import NOW, Pair, issue

HOST = "mx.example.org"


def record(pair: Pair, usage: int = 3, selector: int = 1, matching: int = 1) -> Tlsa:
    content = pair.spki if selector else pair.der
    if matching:
        content = hashlib.new("sha256" if matching == 1 else "sha512", content).digest()
    return Tlsa(usage, selector, matching, content)


class RecordTests(SynchronousTestCase):
    def test_the_wire_form(self) -> None:
        self.assertEqual(parse_tlsa(bytes((3, 1, 1)) + b"x" * 32), Tlsa(3, 1, 1, b"x" * 32))
        self.assertIsNone(parse_tlsa(b"\x03\x01\x01"))

    def test_what_counts(self) -> None:
        good = Tlsa(3, 1, 1, b"x" * 32)
        bad = [
            Tlsa(0, 1, 1, b"x" * 32),
            Tlsa(1, 1, 1, b"x" * 32),
            Tlsa(4, 1, 1, b"x" * 32),
            Tlsa(3, 2, 1, b"x" * 32),
            Tlsa(3, 1, 3, b"x" * 32),
            Tlsa(3, 1, 1, b"x" * 31),
            Tlsa(3, 1, 2, b"x" * 32),
            Tlsa(3, 1, 0, b""),
        ]
        self.assertEqual(usable([good, *bad]), (good,))
        self.assertEqual(usable(bad), ())

    def test_the_strongest_digest_counts(self) -> None:
        weak, strong, whole = Tlsa(3, 1, 1, b"x" * 32), Tlsa(3, 1, 2, b"x" * 64), Tlsa(3, 1, 0, b"key")
        other = Tlsa(2, 1, 1, b"x" * 32)
        self.assertEqual(set(usable([weak, strong, whole, other])), {strong, whole, other})

    def test_advice_is_3_1_1(self) -> None:
        pair = issue(HOST)
        self.assertEqual(advice(pair.certificate), record(pair))
        self.assertEqual(presentation(record(pair)), f"3 1 1 {hashlib.sha256(pair.spki).hexdigest()}")


class MatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = issue(ca=True, common="root")
        self.middle = issue(ca=True, common="middle", by=self.root)
        self.leaf = issue(HOST, by=self.middle)
        self.chain = [self.leaf.der, self.middle.der, self.root.der]

    def why(self, *records: Tlsa, chain: list[bytes] | None = None, name: str = HOST, days: int = 0) -> str:
        return match(records, self.chain if chain is None else chain, (name,), NOW + timedelta(days=days))

    def test_the_key_or_the_certificate_itself_in_every_form(self) -> None:
        for selector in (0, 1):
            for matching in (0, 1, 2):
                self.assertEqual(self.why(record(self.leaf, 3, selector, matching)), "")
                other = record(issue(HOST), 3, selector, matching)
                self.assertIn("not the one", self.why(other))
                self.assertEqual(self.why(other, record(self.leaf)), "")

    def test_neither_name_nor_date_matter_for_the_key_itself(self) -> None:
        self.assertEqual(self.why(record(self.leaf), name="other.example", days=4000), "")

    def test_an_authority_in_every_form(self) -> None:
        for anchor in (self.middle, self.root):
            for selector in (0, 1):
                for matching in (0, 1, 2):
                    self.assertEqual(self.why(record(anchor, 2, selector, matching)), "")

    def test_an_authority_that_stands_in_the_record_need_not_be_sent(self) -> None:
        chain = [self.leaf.der, self.middle.der]
        self.assertEqual(self.why(record(self.root, 2, 0, 0), chain=chain), "")
        self.assertIn("authority", self.why(record(self.root, 2, 0, 1), chain=chain))

    def test_another_authority_another_name_or_another_time_is_none(self) -> None:
        self.assertIn("authority", self.why(record(issue(ca=True), 2)))
        self.assertIn("name", self.why(record(self.root, 2), name="other.example"))
        self.assertIn("authority", self.why(record(self.root, 2), days=31))

    def test_a_chain_has_to_be_signed_by_authorities(self) -> None:
        # The very certificate of the record is sent, but it did not issue the server's.
        stray = issue(HOST)
        self.assertIn("authority", self.why(record(self.root, 2), chain=[stray.der, self.root.der]))
        user = issue("user.example", by=self.root)
        forged = issue(HOST, by=user)
        chain = [forged.der, user.der, self.root.der]
        self.assertIn("authority", self.why(record(self.root, 2), chain=chain))
        # The server's own certificate is no authority over itself.
        self.assertIn("authority", self.why(record(self.leaf, 2)))

    def test_nothing_shown_proves_nothing(self) -> None:
        for chain in ([], [b"noise"]):
            self.assertIn("no certificate", self.why(record(self.leaf), chain=chain))

    @given(st.lists(st.binary(max_size=200), max_size=4))
    @settings(max_examples=50, deadline=None)
    def test_any_bytes_prove_nothing(self, noise: list[bytes]) -> None:
        for records in ([record(self.root, 2)], [record(issue(HOST))], [Tlsa(2, 0, 0, b"noise")]):
            self.assertNotEqual(match(records, [*noise, self.leaf.der], (HOST,), NOW), "")
