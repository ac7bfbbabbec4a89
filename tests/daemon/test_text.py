"""Full text catches up in batches, and one broken message does not hold up the others."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.text import BATCH, LONGEST, RATE, SHORT, CatchUp, index_some
from posthouse.mime.draft import draft_from
from posthouse.mime.scan import scan
from posthouse.model import evolve
from posthouse.store import bodies, items, search
from tests.support.store import NOW, folder, make_account, make_database


class IndexTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.inbox = folder(self.db, self.account)
        self.clock = Clock()

    def add(self, raw: bytes, structure: bytes | None = None) -> int:
        root = scan(raw)
        draft = draft_from(root, raw[: root.body_start], lambda start, stop: raw[start:stop], len(raw), NOW)
        if structure is not None:
            draft = evolve(draft, structure=structure)

        def put(tx: Any) -> int:
            body = bodies.put_body(tx, bodies.prepare(raw), NOW)
            return items.add_item(tx, self.inbox, draft, body.id, NOW)

        return self.db.write_now(put)

    def index(self) -> int:
        done = Deferred.fromCoroutine(index_some(self.db, self.clock))
        for _ in range(BATCH + 1):
            self.clock.advance(0)
        return self.successResultOf(done)

    def find(self, words: str) -> list[int]:
        return self.db.read_now(lambda tx: search.find(tx, self.account.mailbox_id, words))

    def test_words_of_the_text_are_found_afterwards(self) -> None:
        number = self.add(b"Subject: Clock\r\n\r\nThe pendulum swings.\r\n")
        self.assertEqual(self.find("pendulum"), [])
        self.assertEqual(self.index(), 1)
        self.assertEqual(self.find("pendulum"), [number])
        self.assertEqual(self.index(), 0)

    def test_a_long_message_is_read_from_the_store_piece_by_piece(self) -> None:
        number = self.add(b"Subject: Long\r\n\r\n" + b"tick tock\r\n" * (SHORT // 10) + b"midnight\r\n")
        self.index()
        self.assertEqual(self.find("midnight"), [number])

    def test_one_batch_is_bounded(self) -> None:
        for number in range(BATCH + 3):
            self.add(b"Subject: %d\r\n\r\nword\r\n" % number)
        self.assertEqual((self.index(), self.index(), self.index()), (BATCH, 3, 0))

    def test_a_message_that_cannot_be_read_is_found_by_its_headers(self) -> None:
        number = self.add(b"Subject: Escapement\r\n\r\nbody\r\n", structure=b"broken")
        after = self.add(b"Subject: Next\r\n\r\nafterwards\r\n")
        self.assertEqual(self.index(), 2)
        self.assertEqual(self.find("Escapement"), [number])
        self.assertEqual(self.find("afterwards"), [after])
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertEqual(self.index(), 0)

    def test_a_damaged_body_does_not_stop_the_others(self) -> None:
        number = self.add(b"Subject: Mainspring\r\n\r\n" + b"rust " * 99)
        after = self.add(b"Subject: Next\r\n\r\nafterwards\r\n")
        self.db.write_now(lambda tx: tx.execute("UPDATE chunk SET data = x'00' WHERE id >> 16 = 1"))
        self.assertEqual(self.index(), 2)
        self.assertEqual(self.find("Mainspring"), [number])
        self.assertEqual(self.find("afterwards"), [after])
        self.assertEqual(len(self.flushLoggedErrors()), 1)


class CatchUpTests(IndexTests):
    def setUp(self) -> None:
        super().setUp()
        self.catch_up = CatchUp(self.db, self.clock)

    def index(self) -> int:
        done = Deferred.fromCoroutine(self.catch_up.step())
        for _ in range(BATCH + 1):
            self.clock.advance(0)
        return self.successResultOf(done)

    def burst(self, seconds: float, rate: float) -> list[int]:
        """How many items were indexed in each half second at that many changes a second."""
        counts = []
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            for _ in range(int(rate / 2)):
                self.catch_up.heard()
            counts.append(self.index())
        return counts

    def test_waits_until_a_burst_is_over(self) -> None:
        self.burst(1, RATE)
        self.add(b"Subject: Clock\r\n\r\nThe pendulum swings.\r\n")
        self.assertEqual(sum(self.burst(5, RATE)), 0)
        self.assertEqual(sum(self.burst(1, 0)), 1)

    def test_mail_that_trickles_without_end_is_indexed_as_it_comes(self) -> None:
        self.burst(60, RATE - 2)
        self.add(b"Subject: Clock\r\n\r\nThe pendulum swings.\r\n")
        self.assertEqual(sum(self.burst(1, RATE - 2)), 1)

    def test_a_burst_without_end_does_not_go_first_for_ever(self) -> None:
        self.burst(1, 500)
        self.add(b"Subject: Clock\r\n\r\nThe pendulum swings.\r\n")
        counts = self.burst(LONGEST + 2, 500)
        self.assertEqual(sum(counts), 1)
        self.assertGreaterEqual(counts.index(1), LONGEST * 2 - 3)

    def test_a_clock_that_is_set_back_does_not_stop_it(self) -> None:
        self.burst(1, 500)
        self.add(b"Subject: Clock\r\n\r\nThe pendulum swings.\r\n")
        self.clock.rightNow -= 500
        self.assertEqual(self.index(), 1)
