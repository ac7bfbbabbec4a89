"""Bodies: chunks, sharing, slices, sweeping."""

from __future__ import annotations

import hashlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, NoSuchItem, TryLater
from posthouse.model import BodyRef
from posthouse.store import bodies, items
from posthouse.store.bodies import CHUNK
from tests.support.store import NOW, add, folder, make_account, make_database, put

HOUR = 3600 * 1000
LATER = NOW + 2 * HOUR


class BodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)

    def read(self, ref: BodyRef, start: int = 0, stop: int | None = None) -> bytes:
        return self.db.read_now(lambda tx: bodies.read_body(tx, ref.id, start, stop))

    def count(self, table: str) -> int:
        return int(self.db.read_now(lambda tx: tx.value(f"SELECT count(*) FROM {table}")))

    def sweep(self, now: int = LATER) -> None:
        while self.db.write_now(lambda tx: bodies.sweep(tx, 10, now)):
            pass

    @settings(max_examples=50, deadline=None)
    @given(
        st.integers(0, 3 * CHUNK + 5),
        st.booleans(),
        st.integers(-5, 3 * CHUNK + 50),
        st.none() | st.integers(-5, 3 * CHUNK + 50),
    )
    def test_any_part_of_any_body_comes_back(
        self, size: int, noise: bool, start: int, stop: int | None
    ) -> None:
        data = (
            random.Random(size).randbytes(size) if noise else (b"text %d\r\n" % size * (size // 5 + 1))[:size]
        )
        ref = put(self.db, data)
        self.assertEqual((ref.sha256, ref.size), (hashlib.sha256(data).digest(), size))
        expected = data[max(start, 0) : size if stop is None else max(stop, 0)]
        self.assertEqual(self.read(ref, start, stop), expected)

    def test_only_the_chunks_asked_for_are_opened(self) -> None:
        data = random.Random(1).randbytes(4 * CHUNK)
        ref = put(self.db, data)
        # A damaged chunk does no harm to who does not read it.
        self.db.write_now(
            lambda tx: tx.execute("UPDATE chunk SET data = ? WHERE id = ?", (b"\0", ref.id * 65536 + 2))
        )
        self.assertEqual(self.read(ref, 10, 2 * CHUNK), data[10 : 2 * CHUNK])
        self.assertEqual(self.read(ref, 3 * CHUNK), data[3 * CHUNK :])
        self.assertRaises(TryLater, self.read, ref)

    def test_text_is_kept_small_and_noise_as_it_is(self) -> None:
        text = bodies.prepare(b"all work and no play\r\n" * 5000)
        self.assertLess(sum(map(len, text.chunks)), text.size // 20)
        noise = random.Random(2).randbytes(5000)
        self.assertEqual(bodies.prepare(noise).chunks, (noise,))
        self.assertEqual(bodies.prepare(b"").chunks, ())

    def test_the_same_content_is_stored_once(self) -> None:
        self.assertEqual(put(self.db, b"same").id, put(self.db, b"same").id)
        self.assertEqual(self.count("body"), 1)

    def test_no_such_body(self) -> None:
        self.assertRaises(NoSuchItem, self.read, BodyRef(99, b"", 0))
        self.assertIsNone(self.db.read_now(lambda tx: bodies.body_ref(tx, 99)))

    def upload(self, data: bytes, sha256: bytes | None = None) -> BodyRef:
        number = self.db.write_now(lambda tx: bodies.begin_upload(tx, NOW))
        for seq, start in enumerate(range(0, len(data), CHUNK)):
            chunk = bodies.prepare_chunk(data[start : start + CHUNK])
            self.db.write_now(lambda tx, seq=seq, chunk=chunk: bodies.upload_chunk(tx, number, seq, chunk))
        digest = sha256 or hashlib.sha256(data).digest()
        return self.db.write_now(lambda tx: bodies.finish_upload(tx, number, digest, len(data), NOW))

    def test_a_large_body_comes_in_slices(self) -> None:
        data = random.Random(3).randbytes(2 * CHUNK + 77)
        ref = self.upload(data)
        self.assertEqual(self.read(ref), data)
        self.assertEqual(self.db.read_now(lambda tx: bodies.body_ref(tx, ref.id)), ref)
        again = self.upload(data)
        self.assertEqual(again, ref)
        self.sweep(NOW + 1)  # the second upload's slices
        self.assertEqual(self.count("body"), 1)

    def test_an_unfinished_upload_is_no_body_and_is_swept(self) -> None:
        number = self.db.write_now(lambda tx: bodies.begin_upload(tx, NOW))
        self.db.write_now(lambda tx: bodies.upload_chunk(tx, number, 0, b"x" * CHUNK))
        self.assertRaises(NoSuchItem, self.read, BodyRef(number, b"", 0))
        self.sweep(NOW + HOUR // 2)
        self.assertEqual(self.count("chunk"), 1)
        self.sweep()
        self.assertEqual((self.count("body"), self.count("chunk")), (0, 0))
        self.assertRaises(NoSuchItem, self.db.write_now, lambda tx: bodies.upload_chunk(tx, number, 1, b"x"))

    def test_an_upload_with_holes_is_refused(self) -> None:
        number = self.db.write_now(lambda tx: bodies.begin_upload(tx, NOW))
        self.db.write_now(lambda tx: bodies.upload_chunk(tx, number, 1, b"x"))
        finish = lambda tx: bodies.finish_upload(tx, number, b"h" * 32, CHUNK + 1, NOW)  # noqa: E731
        self.assertRaises(Malformed, self.db.write_now, finish)
        self.assertRaises(
            Malformed, self.db.write_now, lambda tx: bodies.upload_chunk(tx, number, 65536, b"x")
        )

    def test_a_body_lives_as_long_as_somebody_refers_to_it(self) -> None:
        inbox = folder(self.db, make_account(self.db))
        first, second = add(self.db, inbox, data=b"shared"), add(self.db, inbox, data=b"shared")
        self.assertEqual(first.body_id, second.body_id)
        self.sweep()
        self.db.write_now(lambda tx: items.delete_item(tx, first))
        self.sweep()
        self.assertEqual(self.read(BodyRef(second.body_id, b"", 0)), b"shared")
        self.db.write_now(lambda tx: items.delete_item(tx, second))
        self.sweep()
        self.assertEqual((self.count("body"), self.count("chunk"), self.count("loose_body")), (0, 0, 0))

    def test_what_waits_for_its_item_is_not_swept_within_the_hour(self) -> None:
        ref = put(self.db, b"waits")
        self.sweep(NOW + HOUR // 2)
        self.assertEqual(self.read(ref), b"waits")
        self.sweep()
        self.assertRaises(NoSuchItem, self.read, ref)

    def test_a_large_body_is_swept_in_slices_and_not_found_meanwhile(self) -> None:
        data = random.Random(4).randbytes(20 * CHUNK)
        ref = put(self.db, data)
        left = []
        while self.db.write_now(lambda tx: bodies.sweep(tx, 10, LATER)):
            left.append(self.count("chunk"))
            self.assertRaises(NoSuchItem, self.read, ref)
        self.assertEqual(left, [12, 4, 0])
        self.assertEqual(self.count("body"), 0)

    def test_an_id_is_never_used_again(self) -> None:
        ref = put(self.db, b"first")
        self.sweep()
        self.assertGreater(put(self.db, b"second").id, ref.id)


class ReadManyTests(SynchronousTestCase):
    def test_same_as_one_by_one(self) -> None:
        db = make_database()
        data = [b"", b"short", bytes(range(256)) * 1000, b"long " * 200_000, bytes(bodies.CHUNK)]
        ids = [db.write_now(lambda tx, d=d: bodies.put_body(tx, bodies.prepare(d), NOW)).id for d in data]
        chunk = bodies.CHUNK
        spans = [(0, None), (0, 3), (2, 5), (5, 2), (0, chunk), (10, chunk + 10), (chunk, chunk + 5), (0, 0)]
        ranges = [(one, start, stop) for one in (*ids, ids[1]) for start, stop in spans]
        found = db.read_now(lambda tx: bodies.read_bodies(tx, ranges))
        alone = db.read_now(lambda tx: [bodies.read_body(tx, *one) for one in ranges])
        self.assertEqual(found, alone)

    def test_what_is_wrong_with_one_harms_no_other(self) -> None:
        db = make_database()
        good = db.write_now(lambda tx: bodies.put_body(tx, bodies.prepare(b"good"), NOW)).id
        bad = db.write_now(lambda tx: bodies.put_body(tx, bodies.prepare(b"bad" * 100), NOW)).id
        db.write_now(lambda tx: tx.execute("UPDATE chunk SET data = x'00' WHERE id = ?", (bad << 16,)))
        found = db.read_now(lambda tx: bodies.read_bodies(tx, [(bad, 0, 9), (good, 0, 9), (good + 99, 0, 9)]))
        self.assertIsInstance(found[0], TryLater)
        self.assertEqual(found[1], b"good")
        self.assertIsInstance(found[2], NoSuchItem)
