"""The canonical forms of RFC 6376 3.4, however the bytes are cut."""

from __future__ import annotations

import hashlib
import itertools
import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mailauth.canonical import BodyHash, canonical_field, split_fields


def relaxed(body: bytes) -> bytes:
    """3.4.4 word by word, slowly."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join([line + b"\r\n" for line in lines])


def simple(body: bytes) -> bytes:
    """3.4.3 word by word."""
    while body.endswith(b"\r\n"):
        body = body[:-2]
    return body + b"\r\n"


def digest(body: bytes, is_relaxed: bool, cuts: list[int] | None = None, limit: int | None = None) -> bytes:
    hashed = BodyHash(is_relaxed, limit)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    for start, stop in itertools.pairwise(places):
        hashed.feed(body[start:stop])
    return hashed.digest()


_BODIES = st.lists(
    st.sampled_from([b"\r\n", b"\r\n", b" ", b"\t", b"  ", b"a", b"b c", b"\xe9", b".", b"\r\n\r\n"]),
    max_size=20,
).map(b"".join)


class BodyTests(SynchronousTestCase):
    def test_the_examples_of_the_rfc(self) -> None:
        body = b" C \r\nD \t E\r\n\r\n\r\n"  # 3.4.5
        self.assertEqual(digest(body, True), hashlib.sha256(b" C\r\nD E\r\n").digest())
        self.assertEqual(digest(body, False), hashlib.sha256(b" C \r\nD \t E\r\n").digest())

    def test_empty_bodies(self) -> None:
        for body in (b"", b"\r\n", b"\r\n\r\n"):
            self.assertEqual(digest(body, True), hashlib.sha256(b"").digest())
            self.assertEqual(digest(body, False), hashlib.sha256(b"\r\n").digest())
        self.assertEqual(digest(b" \t\r\n ", True), hashlib.sha256(b"").digest())

    def test_a_missing_last_line_end_is_added(self) -> None:
        self.assertEqual(digest(b"a", True), hashlib.sha256(b"a\r\n").digest())
        self.assertEqual(digest(b"a", False), hashlib.sha256(b"a\r\n").digest())

    @settings(max_examples=100, deadline=None)
    @given(_BODIES, st.lists(st.integers(0, 1000), max_size=8))
    def test_any_cut_gives_what_the_slow_way_gives(self, body: bytes, cuts: list[int]) -> None:
        self.assertEqual(digest(body, True, cuts), hashlib.sha256(relaxed(body)).digest())
        self.assertEqual(digest(body, False, cuts), hashlib.sha256(simple(body)).digest())

    @settings(max_examples=50, deadline=None)
    @given(_BODIES, st.lists(st.integers(0, 1000), max_size=8), st.integers(0, 30))
    def test_a_limit_cuts_the_canonical_form(self, body: bytes, cuts: list[int], limit: int) -> None:
        for is_relaxed, form in ((True, relaxed(body)), (False, simple(body))):
            expected = hashlib.sha256(form[:limit]).digest()
            self.assertEqual(digest(body, is_relaxed, cuts, limit), expected)

    def test_the_length_is_that_of_the_canonical_form(self) -> None:
        hashed = BodyHash(True)
        hashed.feed(b"a  b \r\n\r\n")
        hashed.digest()
        self.assertEqual(hashed.length, len(b"a b\r\n"))

    def test_hostile_white_space_costs_linear_time(self) -> None:
        for piece in (b" ", b"\r\n", b" \r\n", b"\t", b"\r", b"\n", b" \r", b"a \t"):
            block = piece * (65_536 // len(piece))
            for is_relaxed in (True, False):
                hashed = BodyHash(is_relaxed)
                before = time.process_time()
                for _ in range(64):  # 4 MB
                    hashed.feed(block)
                hashed.feed(b"x")
                hashed.digest()
                self.assertLess(time.process_time() - before, 2.0, (piece, is_relaxed))


class FieldTests(SynchronousTestCase):
    def test_the_examples_of_the_rfc(self) -> None:
        fields = split_fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\n")  # 3.4.5
        self.assertEqual([name for name, _ in fields], [b"a", b"b"])
        self.assertEqual([canonical_field(raw, True) for _, raw in fields], [b"a:X", b"b:Y Z"])
        self.assertEqual([canonical_field(raw, False) for _, raw in fields], [b"A: X", b"B : Y\t\r\n\tZ  "])

    def test_only_space_and_tab_are_white_space(self) -> None:
        self.assertEqual(canonical_field(b"A: \x0bx \x0c\t y\xa0 ", True), b"a:\x0bx \x0c y\xa0")

    def test_lines_that_are_no_fields_are_left_out(self) -> None:
        self.assertEqual(split_fields(b"no field\r\nA: 1\r\n\r\n"), [(b"a", b"A: 1")])
