"""A database that may not grow: from the wire to the queue, and back to normal without help."""

from __future__ import annotations

import random
from typing import Any

from posthouse.errors import StorageFull
from posthouse.store import outbox
from tests.delivery.house import PLAIN, HouseCase
from tests.support.smtp import Peer

OUT = PLAIN.replace(b"bob@here.example", b"far@there.example")


def large(number: int) -> bytes:
    """60 KB that do not compress to nothing."""
    chosen = random.Random(number)
    lines = b"".join(b"%072x\r\n" % chosen.getrandbits(288) for _ in range(800))
    return PLAIN.replace(b"<1@", b"<full%d@" % number) + lines


class FullDatabaseTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.successResultOf(self.runner.start())
        self.peer = Peer(intake=self.intake, clock=self.clock, hostname="mx.here.example")  # type: ignore[arg-type]
        self.peer.hello()

    def pragma(self, text: str) -> int:
        found: Any = self.db._connection.execute(f"PRAGMA {text}").fetchone()  # type: ignore[union-attr]
        return int(found[0])

    def full(self) -> None:
        """Not one page more."""
        self.pragma(f"max_page_count={self.pragma('page_count')}")

    def room(self) -> None:
        self.pragma("max_page_count=1000000")

    def arrive(self, data: bytes) -> str:
        """What is said to a message of a stranger."""
        said = self.peer.codes("MAIL FROM:<x@else.example>", "RCPT TO:<bob@here.example>", "DATA")
        self.assertEqual(said, [250, 250, 354])
        return self.peer.send(data + b".\r\n").decode()

    def test_enospc_gives_452_and_recovers_without_help(self) -> None:
        self.assertTrue(self.arrive(large(0)).startswith("250 "))
        self.full()
        for number in range(1, 4):
            self.assertTrue(self.arrive(large(number)).startswith("452 4.3.1 "), number)
        self.assertEqual(len(self.items(self.bob)), 1)
        self.room()
        # The same session goes on, and what was refused is no repeat.
        for number in range(1, 4):
            self.assertTrue(self.arrive(large(number)).startswith("250 "), number)
        self.assertEqual(len(self.items(self.bob)), 4)

    def test_a_phone_is_told_to_come_again_and_nothing_of_its_mail_is_kept(self) -> None:
        self.full()
        self.failureResultOf(self.submission.submit(self.ann, large(1), True), StorageFull)
        self.assertEqual((self.queue(), self.items(self.ann)), ([], []))
        self.room()
        self.submit(large(1))
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_the_queue_drains_while_it_is_full(self) -> None:
        self.relay.hold = True
        for number in range(5):
            self.submit(OUT.replace(b"<1@", b"<%d@" % number), save=False)
            self.clock.advance(0)
        self.full()
        self.assertTrue(self.arrive(large(1)).startswith("452 "))
        self.relay.hold = False
        self.relay.release()
        self.clock.pump([0] * 20)
        self.assertEqual({row.state for row in self.queue(finished=True)}, {"sent"})
        self.assertEqual(len(self.relay.jobs), 5)

    def test_an_outcome_that_cannot_be_written_is_written_later_and_nothing_is_sent_twice(self) -> None:
        self.relay.hold = True
        self.submit(OUT, save=False)
        self.clock.advance(0)
        write = self.db.write
        refused: list[int] = []

        def no_room(function: Any) -> Any:
            from twisted.internet.defer import fail

            refused.append(1)
            return fail(StorageFull(cause="full"))

        self.db.write = no_room  # type: ignore[method-assign]
        self.relay.release()
        self.clock.pump([5] * 10)
        self.assertGreater(len(refused), 5)
        self.db.write = write  # type: ignore[method-assign]
        self.clock.pump([5] * 3)
        self.assertEqual([row.state for row in self.queue(finished=True)], ["sent"])
        self.assertEqual(len(self.relay.jobs), 1)
        self.assertEqual(self.db.read_now(outbox.last_id), 1)
