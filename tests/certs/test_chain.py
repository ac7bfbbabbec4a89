"""From a certificate for mail to a trusted root, and everything that may be wrong on the way."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.certs.chain import Roots, Verdict, check, load_certificates, system_roots
from tests.support.smime import TODAY, Issued, issue


class ChainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = issue("Root", authority=True)
        self.middle = issue("Middle", self.root, authority=True)
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"# comment\n" + self.root.pem)
        self.roots = Roots(str(self.path))

    def verdict(self, leaf: Issued | bytes, *chain: Issued | bytes) -> Verdict:
        ders = [one.der if isinstance(one, Issued) else one for one in (leaf, *chain)]
        return check(ders[0], ders[1:], self.roots, TODAY)

    def test_good_ones(self) -> None:
        leaf = issue("leaf", self.root)
        self.assertEqual(self.verdict(leaf), Verdict.GOOD)
        self.assertEqual(self.verdict(issue("leaf", self.middle), self.middle), Verdict.GOOD)
        self.assertEqual(self.verdict(issue("leaf", self.middle), leaf, self.middle, self.root), Verdict.GOOD)
        self.assertEqual(self.verdict(issue("leaf", self.root, purpose=None)), Verdict.GOOD)

    def test_a_root_may_be_the_certificate_itself(self) -> None:
        own = issue("me@example.org")
        self.assertEqual(self.verdict(own), Verdict.UNTRUSTED)
        self.path.write_bytes(own.pem)
        self.assertEqual(self.verdict(own), Verdict.GOOD)

    def test_nobody_trusted(self) -> None:
        stranger = issue("Stranger", authority=True)
        self.assertEqual(self.verdict(issue("leaf", stranger)), Verdict.UNTRUSTED)
        self.assertEqual(self.verdict(issue("leaf", stranger), stranger), Verdict.UNTRUSTED)
        self.assertEqual(self.verdict(issue("leaf", self.middle)), Verdict.UNTRUSTED)
        os.unlink(self.path)
        self.assertEqual(
            check(issue("leaf", self.root).der, (), Roots(str(self.path)), TODAY), Verdict.UNTRUSTED
        )

    def test_signatures(self) -> None:
        leaf = issue("leaf", self.root)
        self.assertEqual(self.verdict(leaf.with_broken_signature()), Verdict.BAD_SIGNATURE)
        self.assertEqual(self.verdict(issue("me").with_broken_signature()), Verdict.BAD_SIGNATURE)
        # Of the same name, but another key.
        self.assertEqual(self.verdict(issue("leaf", issue("Root", authority=True))), Verdict.BAD_SIGNATURE)
        self.assertEqual(
            self.verdict(issue("leaf", self.middle), self.middle.with_broken_signature()),
            Verdict.BAD_SIGNATURE,
        )

    def test_dates(self) -> None:
        self.assertEqual(self.verdict(issue("leaf", self.root, days=(-9, -1))), Verdict.EXPIRED)
        self.assertEqual(self.verdict(issue("leaf", self.root, days=(1, 9))), Verdict.EXPIRED)
        old = issue("Middle", self.root, authority=True, days=(-9, -1))
        self.assertEqual(self.verdict(issue("leaf", old), old), Verdict.CHAIN_EXPIRED)
        # Renewed with the same key: the path over the new one counts.
        new = issue("Middle", self.root, authority=True, key=old.key)
        self.assertEqual(self.verdict(issue("leaf", old), old, new), Verdict.GOOD)

    def test_uses(self) -> None:
        server = issue("leaf", self.root, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
        self.assertEqual(self.verdict(server), Verdict.NOT_FOR_MAIL)
        self.assertEqual(self.verdict(issue("leaf", self.root, signs=False)), Verdict.NOT_FOR_MAIL)
        self.assertEqual(self.verdict(issue("leaf", self.root, authority=True)), Verdict.NOT_AN_AUTHORITY)
        end = issue("End", self.root)
        self.assertEqual(self.verdict(issue("leaf", end), end), Verdict.NOT_AN_AUTHORITY)
        mute = issue("Mute", self.root, authority=True, cert_sign=False)
        self.assertEqual(self.verdict(issue("leaf", mute), mute), Verdict.WRONG_USE)

    def test_the_length_of_a_path(self) -> None:
        short = issue("Short", self.root, authority=True, path_length=0)
        self.assertEqual(self.verdict(issue("leaf", short), short), Verdict.GOOD)
        below = issue("Below", short, authority=True)
        self.assertEqual(self.verdict(issue("leaf", below), below, short), Verdict.WRONG_USE)
        chain = [self.root]
        for number in range(12):
            chain.append(issue(f"Level {number}", chain[-1], authority=True))
        self.assertEqual(self.verdict(issue("leaf", chain[-1]), *chain[1:]), Verdict.UNTRUSTED)

    def test_critical_extensions_that_nobody_knows(self) -> None:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
        self.assertEqual(self.verdict(issue("leaf", self.root, critical=unknown)), Verdict.MALFORMED)
        odd = issue("Odd", self.root, authority=True, critical=unknown)
        self.assertEqual(self.verdict(issue("leaf", odd), odd), Verdict.BAD_CHAIN)

    def test_what_is_no_certificate(self) -> None:
        for data in (b"", b"rubbish", b"\x30\x82\xff\xff", b"x" * 70_000):
            self.assertEqual(self.verdict(data), Verdict.MALFORMED)
        self.assertEqual(self.verdict(issue("leaf", self.root), b"rubbish"), Verdict.BAD_CHAIN)

    def test_a_crowd_of_the_same_name_ends(self) -> None:
        """Each with each other's name: the number of signatures is bounded."""
        crowd = [issue("Crowd", issue("Crowd", authority=True), authority=True) for _ in range(12)]
        self.assertNotEqual(self.verdict(issue("leaf", crowd[0]), *crowd), Verdict.GOOD)

    def test_files_of_certificates(self) -> None:
        both = load_certificates(self.root.pem + b"text between\n" + self.middle.pem)
        self.assertEqual(both, [self.root.certificate, self.middle.certificate])
        self.assertEqual(load_certificates(self.root.der), [self.root.certificate])
        for data in (b"", b"-----BEGIN PRIVATE KEY-----\n", b"hello"):
            self.assertRaises(ValueError, load_certificates, data)

    def test_roots_are_read_again_when_the_file_changed(self) -> None:
        other = issue("Other", authority=True)
        leaf = issue("leaf", other)
        self.assertEqual(self.verdict(leaf), Verdict.UNTRUSTED)
        self.path.write_bytes(self.root.pem + other.pem)
        self.assertEqual(self.verdict(leaf), Verdict.GOOD)

    def test_the_machine_names_a_file(self) -> None:
        self.assertTrue(system_roots().path)

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 500), st.integers(0, 255))
    def test_one_changed_byte_is_never_trusted_more(self, position: int, value: int) -> None:
        leaf = self.leaf = getattr(self, "leaf", None) or issue("leaf", self.root)
        data = bytearray(leaf.der)
        position %= len(data)
        if data[position] == value:
            return
        data[position] = value
        self.assertNotEqual(self.verdict(bytes(data)), Verdict.GOOD)
