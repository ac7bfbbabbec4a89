"""A message on its way out is read once, whatever its size."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery import pages
from posthouse.delivery.pages import Pages
from posthouse.model import BodyRef
from posthouse.store.bodies import CHUNK

FRONT = b"Received: here\r\n"


class Shelf:
    """A database that counts what is read of its one body."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.reads: list[tuple[int, int]] = []

    def read(self, function: Any) -> Deferred[bytes]:
        return succeed(function(self))


class PagesTests(SynchronousTestCase):
    def pages(self, size: int) -> tuple[Shelf, Pages, bytes]:
        body = Random(size).randbytes(size)
        shelf = Shelf(body)

        def read_body(tx: Shelf, body_id: int, start: int, stop: int) -> bytes:
            tx.reads.append((start, stop))
            return tx.body[start:stop]

        self.patch(pages, "read_body", read_body)
        found: Any = shelf
        return shelf, Pages(found, BodyRef(1, b"", size), FRONT, body[:CHUNK]), FRONT + body

    def take(self, some: Pages, start: int, stop: int) -> bytes:
        found: Any = some.read(start, stop)
        if isinstance(found, bytes):
            return found
        data: bytes = self.successResultOf(Deferred.fromCoroutine(found))
        return data

    def test_a_small_one_is_known_from_the_lease(self) -> None:
        shelf, some, whole = self.pages(5000)
        self.assertEqual(some.read(0, len(whole)), whole)
        self.assertEqual(some.read(0, len(whole)), whole)
        self.assertEqual(shelf.reads, [])

    def test_each_chunk_is_read_once(self) -> None:
        for block in (65_536, CHUNK, CHUNK + 1, 1 << 20):
            shelf, some, whole = self.pages(3 * CHUNK + 7)
            places = range(0, len(whole), block)
            data = b"".join(self.take(some, at, min(at + block, len(whole))) for at in places)
            self.assertEqual(data, whole)
            self.assertEqual([start % CHUNK for start, _ in shelf.reads], [0] * len(shelf.reads))
            self.assertEqual(sum(stop - start for start, stop in shelf.reads), 2 * CHUNK + 7)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3 * CHUNK), st.integers(0, 2 * CHUNK)), max_size=8))
    def test_any_ranges_in_any_order(self, ranges: list[tuple[int, int]]) -> None:
        _, some, whole = self.pages(2 * CHUNK + 100)
        for start, length in ranges:
            self.assertEqual(self.take(some, start, start + length), whole[start : start + length])
