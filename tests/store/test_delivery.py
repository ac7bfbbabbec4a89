"""One message to several places in one transaction, and its repetition."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import NoSuchAccount, NoSuchFolder, TryLater
from posthouse.model import FolderType, ItemDraft
from posthouse.store import bodies, delivery, items, outbox
from posthouse.store.delivery import Copy, Delivered
from posthouse.store.outbox import OutboxDraft
from tests.support.store import NOW, folder, make_account, make_database, put

BODY = b"Message-ID: <1@x>\r\n\r\nhello\r\n"
HOUR = 3600 * 1000


class DeliveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann@example.org")
        self.bob = make_account(self.db, "bob@example.org")

    def deliver(
        self, *copies: Copy, out: tuple[OutboxDraft, ...] = (), data: bytes = BODY, now: int = NOW,
        message_id: str = "<1@x>", sender: str = "s@far.example", **options: Any,
    ) -> Delivered:  # fmt: skip
        draft = ItemDraft(received=now, size=len(data), subject="hi", message_id=message_id)
        prepared = bodies.prepare(data)
        return self.db.write_now(
            lambda tx: delivery.deliver(tx, prepared, draft, copies, sender, out, now, **options)
        )

    def copy(self, account: Any, **fields: Any) -> Copy:
        return Copy(account.mailbox_id, account.address, **fields)

    def remote(self, recipient: str = "r@far.example") -> OutboxDraft:
        return OutboxDraft(None, "s@x", recipient, 5, NOW + 9, NOW)

    def rows(self, table: str) -> int:
        return int(self.db.read_now(lambda tx: tx.value(f"SELECT count(*) FROM {table}")))

    def test_whoever_is_named_nowhere_got_it_as_a_blind_copy(self) -> None:
        """MS-ASEMAIL 2.2.2.59; not what came by a list, and not the sender's own copy."""
        names = '"Ann" <ANN@example.org>, x@else.example'
        for fields, expected in (
            ({"to": names}, ["", "bob@example.org", ""]),
            ({"cc": names}, ["", "bob@example.org", ""]),
            ({"to": names, "passed_on": True}, ["", "", ""]),
            ({"to": names, "bcc": "c@example.org"}, ["c@example.org"] * 3),
            ({"to": "a@b, " * 10_000}, ["", "", ""]),
        ):
            draft = ItemDraft(received=NOW, size=len(BODY), **fields)  # type: ignore[arg-type]
            copies = (
                self.copy(self.ann, trace=b"Received: x\r\n"),
                self.copy(self.bob, trace=b"Received: x\r\n"),
                self.copy(self.bob, trace=b"Date: x\r\n", folder_type=FolderType.SENT),
            )
            prepared = bodies.prepare(BODY)
            done = self.db.write_now(
                lambda tx, d=draft, c=copies, p=prepared: delivery.deliver(tx, p, d, c, "s@x", (), NOW)
            )
            found = [
                self.db.read_now(lambda tx, c=copy, n=number: items.item_by_number(tx, c.mailbox_id, n))
                for copy, number in zip(copies, done.numbers, strict=True)
            ]
            self.assertEqual([one.bcc for one in found if one is not None], expected)

    def test_one_body_serves_all_and_each_has_its_own_trace(self) -> None:
        done = self.deliver(
            self.copy(self.ann, trace=b"Return-Path: <a>\r\n"),
            self.copy(self.bob, trace=b"Return-Path: <b>\r\n", role="junk", read=True),
            out=(self.remote(),),
        )
        self.assertEqual((len(done.numbers), len(done.outbox_ids), done.duplicates), (2, 1, 0))
        mine = self.db.read_now(lambda tx: items.item_by_number(tx, self.ann.mailbox_id, done.numbers[0]))
        other = self.db.read_now(lambda tx: items.item_by_number(tx, self.bob.mailbox_id, done.numbers[1]))
        assert mine is not None and other is not None and done.body is not None
        self.assertEqual((mine.trace, other.trace), (b"Return-Path: <a>\r\n", b"Return-Path: <b>\r\n"))
        self.assertEqual({mine.body_id, other.body_id, done.body.id}, {done.body.id})
        self.assertEqual((mine.read, other.read), (False, True))
        self.assertEqual((mine.folder_id, folder(self.db, self.ann).total), (folder(self.db, self.ann).id, 1))
        queued = self.db.read_now(lambda tx: outbox.outbox_row(tx, done.outbox_ids[0]))
        assert queued is not None
        self.assertEqual(queued.body_id, done.body.id)
        self.assertEqual(self.rows("body"), 1)

    def test_a_retry_after_a_lost_250_makes_no_second_item(self) -> None:
        first = self.deliver(self.copy(self.ann), out=(self.remote(),))
        again = self.deliver(
            self.copy(self.ann), self.copy(self.bob), out=(self.remote(),), now=NOW + HOUR - 1
        )
        self.assertEqual((first.duplicates, again.duplicates), (0, 2))
        self.assertEqual((again.numbers[0], again.outbox_ids), (0, ()))
        self.assertTrue(again.numbers[1])
        self.assertEqual((self.rows("item"), self.rows("outbox")), (2, 1))

    def test_a_retry_of_everything_stores_nothing(self) -> None:
        self.deliver(self.copy(self.ann))
        again = self.deliver(self.copy(self.ann))
        self.assertEqual((again.body, again.duplicates), (None, 1))

    def test_what_differs_is_no_repeat(self) -> None:
        self.deliver(self.copy(self.ann))
        for changed in (
            {"sender": "t@far.example"},
            {"data": BODY + b"x"},
            {"now": NOW + HOUR + 1},
            {"dedupe": False},
        ):
            self.assertTrue(self.deliver(self.copy(self.ann), **changed).numbers[0], changed)

    def test_without_a_message_id_nothing_is_recognised(self) -> None:
        for _ in range(2):
            self.assertEqual(self.deliver(self.copy(self.ann), message_id="").duplicates, 0)

    def test_a_delivery_that_fails_may_be_repeated(self) -> None:
        missing = Copy(self.ann.mailbox_id, "ann@example.org", folder_id=12345)
        self.assertRaises(NoSuchFolder, self.deliver, self.copy(self.bob), missing)
        self.assertEqual((self.rows("item"), self.rows("body"), self.rows("recent_delivery")), (0, 0, 0))
        self.assertEqual(self.deliver(self.copy(self.bob)).duplicates, 0)
        self.assertRaises((NoSuchAccount, NoSuchFolder), self.deliver, Copy(999, "x@example.org"))

    def test_into_a_chosen_folder(self) -> None:
        sent = folder(self.db, self.ann, FolderType.SENT)
        self.deliver(self.copy(self.ann, folder_id=sent.id), data=b"1")
        self.deliver(self.copy(self.ann, folder_type=FolderType.SENT), data=b"2")
        self.assertEqual(folder(self.db, self.ann, FolderType.SENT).total, 2)

    def test_a_body_that_is_there_already(self) -> None:
        ref = put(self.db, BODY)
        draft = ItemDraft(received=NOW, size=ref.size)
        done = self.db.write_now(
            lambda tx: delivery.deliver(tx, ref, draft, [self.copy(self.ann)], "", [], NOW)
        )
        self.assertEqual(done.body, ref)

    def test_a_body_that_was_swept_meanwhile_is_not_accepted(self) -> None:
        ref = put(self.db, BODY)
        self.db.write_now(lambda tx: bodies.sweep(tx, 9, NOW + 2 * HOUR))
        draft = ItemDraft(received=NOW, size=ref.size)
        deliver = lambda tx: delivery.deliver(tx, ref, draft, [self.copy(self.ann)], "", [], NOW)  # noqa: E731
        self.assertRaises(TryLater, self.db.write_now, deliver)
        self.assertEqual(self.rows("item"), 0)

    def test_recent_deliveries_are_forgotten_after_the_hour(self) -> None:
        self.deliver(self.copy(self.ann))
        prune = lambda now: self.db.write_now(lambda tx: delivery.prune_recent(tx, now, 10))  # noqa: E731
        self.assertEqual((prune(NOW + HOUR), prune(NOW + HOUR + 1), self.rows("recent_delivery")), (0, 1, 0))
