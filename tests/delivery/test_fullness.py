"""Warnings of a filling mailbox, and what its senders are told."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from posthouse.delivery.fullness import Fullness, in_words
from posthouse.errors import MailboxFull, OverQuota
from posthouse.model import Item
from posthouse.store import accounts, items, quotas
from tests.delivery.house import PLAIN, HouseCase


class FullnessTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.fullness = Fullness(self.db, self.reporter)
        self.number = 0

    def quota(self, per_cent: int) -> None:
        """So that Bob's mailbox is so full."""
        usage = self.db.read_now(lambda tx: quotas.usage(tx, self.bob.mailbox_id, 0))
        assert usage is not None
        limit = usage.size * 100 // per_cent
        self.db.write_now(lambda tx: accounts.set_quota(tx, self.bob.mailbox_id, limit))
        self.directory.forget()

    def step(self) -> int:
        found: int = self.successResultOf(Deferred.fromCoroutine(self.fullness.step(self.now())))
        return found

    def mail(self) -> None:
        self.number += 1
        data = PLAIN.replace(b"<1@", b"<%d@" % self.number) + b"so much\r\n" * 5000
        self.accept(data, "x@there.example", "bob@here.example")

    def warnings(self) -> list[Item]:
        return [item for item in self.items(self.bob) if item.subject.startswith("Your mailbox")]

    def test_each_step_is_told_once_and_again_after_room_was_made(self) -> None:
        for _ in range(5):
            self.mail()
        self.quota(50)
        self.assertEqual((self.step(), self.warnings()), (0, []))
        for number, per_cent in enumerate((81, 91, 96), 1):
            self.quota(per_cent)
            self.assertEqual((self.step(), self.step()), (1, 0))
            warnings = self.warnings()
            self.assertEqual(len(warnings), number)
            self.assertIn("% full", warnings[-1].subject)
        self.quota(50)
        self.assertEqual((self.step(), len(self.warnings())), (1, 3))
        self.quota(85)
        self.step()
        self.assertEqual(len(self.warnings()), 4)

    def test_a_warning_says_what_to_do_and_asks_for_no_answer(self) -> None:
        for _ in range(5):
            self.mail()
        self.quota(85)
        self.step()
        (item,) = self.warnings()
        body = self.body(item)
        self.assertIn(b"Auto-Submitted: auto-generated", body)
        self.assertIn(b"empty the folder of deleted items", body)
        self.assertIn(b"Return-Path: <>", item.trace)

    def test_a_full_mailbox_asks_to_come_again_and_then_refuses(self) -> None:
        for _ in range(3):
            self.mail()
        self.quota(100)
        check = self.intake.check_recipient("bob@here.example", None, "x@there.example")
        self.failureResultOf(check, OverQuota)
        self.step()
        self.assertEqual(self.warnings()[0].subject, "Your mailbox is full")
        self.clock.advance(quotas.GRACE / 1000 + 6)
        check = self.intake.check_recipient("bob@here.example", None, "x@there.example")
        self.failureResultOf(check, MailboxFull)
        # A group goes on without him; the sender hears of it.
        self.accept(PLAIN.replace(b"<1@", b"<99@"), "ann@here.example", "team@here.example", account=self.ann)
        subjects = [item.subject for item in self.items(self.ann)]
        self.assertEqual(sorted(subjects), ["Hello", "Undeliverable: your message was not delivered"])
        report = next(item for item in self.items(self.ann) if item.subject != "Hello")
        self.assertIn(b"Status: 5.2.2", self.body(report))
        for item in self.items(self.bob):
            self.db.write_now(lambda tx, item=item: items.delete_item(tx, item))
        self.directory.forget()
        self.successResultOf(self.intake.check_recipient("bob@here.example", None, "x@there.example"))

    def test_whoever_cannot_keep_what_he_sends_makes_room_first(self) -> None:
        self.mail()
        self.db.write_now(lambda tx: accounts.set_quota(tx, self.bob.mailbox_id, 1))
        data = PLAIN.replace(b"ann@here", b"bob@here")
        self.failureResultOf(self.submission.submit(self.bob, data, True), OverQuota)
        self.successResultOf(self.submission.submit(self.bob, data.replace(b"To: bob", b"To: ann"), False))

    def test_sizes_in_words(self) -> None:
        for size, words in ((0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 KB"), (5 * 10**9, "5 GB")):
            self.assertEqual(in_words(size), words)
