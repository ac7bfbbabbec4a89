"""Hashes and app passwords."""

from __future__ import annotations

import hashlib
import os
import unicodedata

import bcrypt
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.auth.passwords import (
    app_password_digest,
    dummy_hash,
    hash_password,
    make_app_password,
    verify,
)


class HashTests(SynchronousTestCase):
    def test_a_password_fits_its_own_hash_only(self) -> None:
        stored = hash_password(b"correct horse", 4)
        self.assertTrue(verify(b"correct horse", stored))
        self.assertFalse(verify(b"correct hors", stored))
        self.assertNotEqual(stored, hash_password(b"correct horse", 4))

    def test_every_byte_beyond_72_counts(self) -> None:
        stored = hash_password(b"x" * 72 + b"a", 4)
        self.assertTrue(verify(b"x" * 72 + b"a", stored))
        self.assertFalse(verify(b"x" * 72 + b"b", stored))
        self.assertFalse(verify(b"x" * 72, stored))

    def test_bytes_after_a_nul_count(self) -> None:
        stored = hash_password(b"a\0b", 4)
        self.assertTrue(verify(b"a\0b", stored))
        self.assertFalse(verify(b"a\0c", stored))
        self.assertFalse(verify(b"a", stored))

    def test_composed_and_decomposed_accents_are_the_same(self) -> None:
        stored = hash_password(unicodedata.normalize("NFC", "Zoë").encode(), 4)
        self.assertTrue(verify(unicodedata.normalize("NFD", "Zoë").encode(), stored))

    def test_a_bare_bcrypt_hash_from_elsewhere_is_recognised(self) -> None:
        for prefix in (b"2b", b"2a"):
            stored = bcrypt.hashpw(b"old", bcrypt.gensalt(4, prefix)).decode()
            self.assertTrue(verify(b"old", stored))
            self.assertFalse(verify(b"new", stored))
        stored = bcrypt.hashpw(b"y" * 72, bcrypt.gensalt(4)).decode()
        self.assertTrue(verify(b"y" * 80, stored))
        self.assertFalse(verify(b"y\0", stored))

    def test_our_hash_without_its_prefix_does_not_fit(self) -> None:
        self.assertFalse(verify(b"p", hash_password(b"p", 4).removeprefix("ph1:")))

    def test_unknown_strings_fit_nothing(self) -> None:
        for stored in (
            "",
            "plain",
            "ph1:",
            "ph2:" + "x" * 60,
            "$2b$99$" + "." * 53,
            "$2b$04$" + "." * 52 + "\n",
        ):
            self.assertFalse(verify(b"", stored), stored)
            self.assertFalse(verify(stored.encode(), stored), stored)

    def test_the_dummy_fits_nothing_and_costs_the_same(self) -> None:
        self.assertFalse(verify(b"", dummy_hash(4)))
        self.assertEqual(dummy_hash(4)[:11], hash_password(b"", 4)[:11])

    @settings(max_examples=30, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_are_a_password(self, password: bytes) -> None:
        self.assertTrue(verify(password, hash_password(password, 4)))


class AppPasswordTests(SynchronousTestCase):
    def test_it_has_120_bits_in_four_groups(self) -> None:
        text, digest = make_app_password(lambda size: bytes(range(size)))
        self.assertEqual(text, "aaaqea-yeauda-ocajbi-fqydio")
        self.assertEqual([len(group) for group in text.split("-")], [6, 6, 6, 6])
        self.assertEqual(len(digest), 32)
        self.assertNotEqual(make_app_password(os.urandom)[0], make_app_password(os.urandom)[0])

    def test_case_blanks_and_dashes_do_not_matter(self) -> None:
        text, digest = make_app_password(os.urandom)
        for typed in (text, text.upper(), text.replace("-", ""), text.replace("-", " "), f" {text} "):
            self.assertEqual(app_password_digest(typed.encode()), digest)

    def test_the_digest_is_sha256_of_the_letters(self) -> None:
        self.assertEqual(app_password_digest(b"A" * 24), hashlib.sha256(b"a" * 24).digest())

    def test_other_passwords_have_no_digest(self) -> None:
        for password in (b"", b"a" * 23, b"a" * 25, b"1" * 24, b"a" * 23 + b"\xe9", b"-" * 5000):
            self.assertIsNone(app_password_digest(password))
