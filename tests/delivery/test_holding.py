"""Mail that waits: sent at its time and once, or taken back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import fail

from posthouse.delivery.holding import Holding
from posthouse.delivery.message import Message
from posthouse.delivery.submission import Parcel
from posthouse.errors import NoSuchThing, NotPermitted, OverQuota, SentTooMuch, TryLater
from posthouse.model import FolderType, News, Recipient, evolve
from posthouse.store import accounts, domains, held, items, outbox, preferences
from posthouse.store.allowance import Allowance
from tests.delivery.house import PLAIN, HouseCase
from tests.delivery.test_runner import OUT
from tests.support.store import NOW

BOX, DRAFTS, SENT = FolderType.OUTBOX, FolderType.DRAFTS, FolderType.SENT
BOTH = OUT.replace(b"Subject:", b"Cc: bob@here.example\r\nBcc: secret@else.example\r\nSubject:", 1)


class HoldingCase(HouseCase):
    def setUp(self) -> None:
        self.holding: Holding | None = None
        super().setUp()
        self.holding = Holding(self.submission, self.clock)
        self.holding.start()
        self.resolver.add("else.example")

    def heard(self, news: News) -> None:
        super().heard(news)
        if self.holding is not None and news.mailbox_id == outbox.QUEUE:
            self.holding.poke()

    def hold(self, seconds: int = 30) -> None:
        self.db.write_now(lambda tx: preferences.set_hold(tx, self.ann.id, seconds))
        self.directory.forget()

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.0, seconds, 0.0, 0.01, 0.01, 0.01])

    def waiting(self) -> list[held.Held]:
        return self.db.read_now(lambda tx: held.held_listing(tx, 10))

    def take_back(self, name: str, account_id: int | None = None) -> held.TakenBack:
        return self.db.write_now(lambda tx: held.take_back(tx, name, account_id))

    def places(self) -> dict[str, int]:
        """How many of the sender's own copies lie where."""
        return {kind.name: len(self.items(self.ann, kind)) for kind in (BOX, DRAFTS, SENT)}


class PhoneTests(HoldingCase):
    def test_it_waits_in_the_outbox_and_leaves_at_its_time(self) -> None:
        self.hold()
        self.submit(BOTH)
        self.assertEqual(self.places(), {"OUTBOX": 1, "DRAFTS": 0, "SENT": 0})
        self.assertEqual((self.items(self.bob), self.queue()), ([], []))
        self.pass_time(29)
        self.assertEqual(len(self.waiting()), 1)
        self.pass_time(1)
        self.assertEqual(self.places(), {"OUTBOX": 0, "DRAFTS": 0, "SENT": 1})
        (sent,) = self.items(self.ann, SENT)
        self.assertIn(b"Bcc: secret@else.example", self.body(sent))
        self.assertTrue(sent.read)
        (item,) = self.items(self.bob)
        self.assertNotIn(b"secret", self.body(item) + item.trace)
        self.assertEqual(
            {row.recipient for row in self.queue()}, {"far@there.example", "secret@else.example"}
        )
        self.pass_time(3600)
        self.assertEqual((len(self.items(self.bob)), len(self.queue())), (1, 2))

    def test_all_of_it_is_taken_back_while_it_waits(self) -> None:
        self.hold()
        self.submit(BOTH)
        (one,) = self.waiting()
        self.assertRaises(NoSuchThing, self.take_back, one.name, self.bob.id)
        done = self.take_back(one.name, self.ann.id)
        self.assertEqual(
            set(done.withdrawn), {"far@there.example", "bob@here.example", "secret@else.example"}
        )
        self.assertEqual(done.gone, ())
        self.assertEqual(self.places(), {"OUTBOX": 0, "DRAFTS": 1, "SENT": 0})
        (draft,) = self.items(self.ann, DRAFTS)
        self.assertTrue(draft.draft)
        self.assertIn(b"Bcc: secret@else.example", self.body(draft))
        self.pass_time(60)
        self.assertEqual((self.items(self.bob), self.queue(), self.waiting()), ([], [], []))
        self.assertRaises(NoSuchThing, self.take_back, one.name)

    def test_afterwards_what_is_still_queued_is_taken_back_and_the_rest_told(self) -> None:
        self.hold()
        self.submit(BOTH)
        (one,) = self.waiting()
        self.pass_time(30)
        rows = self.queue()
        self.db.write_now(lambda tx: outbox.lease(tx, [rows[0].id], self.now() + 1))
        done = self.take_back(one.name)
        self.assertEqual(done.withdrawn, (rows[1].recipient,))
        self.assertEqual(set(done.gone), {"bob@here.example", rows[0].recipient})
        self.assertEqual([row.id for row in self.queue()], [rows[0].id])
        # Some have it: the record of that stays, beside the draft.
        self.assertEqual(self.places(), {"OUTBOX": 0, "DRAFTS": 1, "SENT": 1})
        self.assertRaises(NoSuchThing, self.take_back, one.name)
        self.assertEqual(len(self.items(self.ann, DRAFTS)), 1)

    def test_when_nobody_has_it_yet_the_sent_item_goes_back(self) -> None:
        self.hold()
        self.submit(OUT)
        (one,) = self.waiting()
        self.pass_time(30)
        self.assertEqual(self.take_back(one.name).gone, ())
        self.assertEqual(self.places(), {"OUTBOX": 0, "DRAFTS": 1, "SENT": 0})
        self.assertEqual(self.queue(), [])

    def test_whoever_deletes_it_from_the_outbox_has_taken_it_back(self) -> None:
        self.hold()
        self.submit(BOTH)
        (item,) = self.items(self.ann, BOX)
        self.db.write_now(lambda tx: items.delete_item(tx, item))
        self.pass_time(60)
        self.assertEqual((self.items(self.bob), self.queue(), self.waiting()), ([], [], []))

    def test_a_caller_says_when(self) -> None:
        later = self.now() + 3_600_000
        self.successResultOf(self.submission.submit(self.ann, PLAIN, False, None, later))
        self.pass_time(3599)
        self.assertEqual(self.items(self.bob), [])
        self.pass_time(1)
        self.assertEqual(len(self.items(self.bob)), 1)
        self.assertEqual(self.places(), {"OUTBOX": 0, "DRAFTS": 0, "SENT": 0})
        self.hold()
        self.successResultOf(self.submission.submit(self.ann, PLAIN, False, None, 0))
        self.assertEqual(len(self.items(self.bob)), 2)

    def test_it_is_counted_once_and_when_it_is_written(self) -> None:
        self.submission.allowance = self.intake.allowance = Allowance(2, 0)
        self.hold()
        self.submit(OUT)
        self.submit(OUT)
        self.failureResultOf(self.submission.submit(self.ann, OUT, True), SentTooMuch)
        self.pass_time(30)
        self.assertEqual(len(self.queue()), 2)

    def test_where_it_goes_is_decided_when_it_leaves(self) -> None:
        self.hold()
        self.submit(BOTH)
        self.db.write_now(lambda tx: domains.close_address(tx, "bob@here.example", "", NOW))
        self.pass_time(30)
        self.assertEqual(self.items(self.bob), [])
        self.assertIn(b"Status: 5.1.1", self.body(self.items(self.ann)[0]))
        self.assertEqual(len(self.queue()), 2)

    def test_a_sender_who_is_disabled_sends_nothing_until_he_is_back(self) -> None:
        self.hold()
        self.submit(PLAIN)
        self.db.write_now(lambda tx: accounts.set_enabled(tx, self.ann.id, False))
        self.pass_time(30)
        self.assertEqual((self.items(self.bob), len(self.waiting())), ([], 1))
        self.db.write_now(lambda tx: accounts.set_enabled(tx, self.ann.id, True))
        self.pass_time(3600)
        self.assertEqual((len(self.items(self.bob)), self.waiting()), (1, []))

    def test_a_sender_who_is_gone_sends_nothing(self) -> None:
        self.hold()
        self.submit(BOTH)
        self.db.write_now(lambda tx: accounts.delete_account(tx, self.ann.id))
        self.pass_time(60)
        self.assertEqual((self.items(self.bob), self.queue()), ([], []))

    def test_a_restart_finds_what_is_due(self) -> None:
        self.hold()
        self.submit(PLAIN)
        assert self.holding is not None
        self.holding.stop()
        self.pass_time(60)
        self.assertEqual(self.items(self.bob), [])
        self.holding = Holding(self.submission, self.clock)
        self.holding.start()
        self.pass_time(0)
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_what_was_held_is_forgotten_after_a_day(self) -> None:
        self.hold()
        self.submit(PLAIN)
        self.assertEqual(self.db.write_now(lambda tx: held.prune_held(tx, self.now() + 10**9, 10)), 0)
        self.pass_time(30)
        self.assertEqual(self.db.write_now(lambda tx: held.prune_held(tx, self.now(), 10)), 0)
        self.assertEqual(self.db.write_now(lambda tx: held.prune_held(tx, self.now() + held.KEEP + 1, 10)), 1)


class FakeSigner:
    """Signs with a number that counts up."""

    count = 0

    async def fields(self, message: Message, added: bytes, now: int) -> bytes:
        self.count += 1
        return b"DKIM-Signature: n=%d\r\n" % self.count


class TroubleTests(HoldingCase):
    def test_it_is_signed_when_it_leaves(self) -> None:
        signer = FakeSigner()
        self.submission.signer = signer  # type: ignore[assignment]
        self.hold()
        self.submit(OUT)
        self.assertEqual(signer.count, 0)
        self.pass_time(30)
        (row,) = self.queue()
        self.assertTrue(row.trace.startswith(b"DKIM-Signature: n=1\r\n"), row.trace)

    def test_a_busy_store_only_makes_it_later(self) -> None:
        self.hold()
        self.submit(PLAIN)
        write, self.db.write = self.db.write, lambda function: fail(TryLater())  # type: ignore[method-assign]
        self.pass_time(30)
        self.assertEqual(self.items(self.bob), [])
        self.db.write = write  # type: ignore[method-assign]
        self.pass_time(5)
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_one_that_breaks_us_does_not_keep_the_others(self) -> None:
        self.hold()
        self.submit(BOTH)
        self.submit(PLAIN)
        hand_out = self.submission.hand_out

        def broken(tx: Any, parcel: Parcel) -> tuple[str, ...]:
            if len(parcel.recipients) == 3:
                raise ZeroDivisionError
            return hand_out(tx, parcel)

        self.patch(type(self.submission), "hand_out", lambda submission, tx, parcel: broken(tx, parcel))
        self.pass_time(31)
        self.assertEqual((len(self.items(self.bob)), len(self.waiting())), (1, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_is_lost_is_reported(self) -> None:
        self.hold()
        self.submit(OUT)
        self.db.write_now(lambda tx: tx.execute("DELETE FROM chunk"))
        self.db.write_now(lambda tx: tx.execute("DELETE FROM body"))
        self.pass_time(31)
        self.assertEqual((self.queue(), self.waiting()), ([], []))
        self.assertIn(b"Action: failed", self.body(self.items(self.ann)[0]))

    def test_what_is_taken_back_while_it_fails_is_not_reported(self) -> None:
        self.hold()
        self.submit(OUT)
        (name,) = [one.name for one in self.waiting()]
        structure_of = self.submission.structure_of

        async def fails(submission: Any, data: bytes) -> Any:
            self.take_back(name)
            raise NotPermitted("No.")

        self.patch(type(self.submission), "structure_of", fails)
        self.pass_time(31)
        self.patch(type(self.submission), "structure_of", structure_of)
        self.assertEqual((self.places(), self.items(self.ann)), ({"OUTBOX": 0, "DRAFTS": 1, "SENT": 0}, []))


class SmtpTests(HoldingCase):
    def smtp(self, data: bytes, *recipients: Recipient, **fields: Any) -> str:
        envelope = self.envelope("ann@here.example", account=self.ann, **fields)
        envelope = evolve(envelope, recipients=recipients)
        name: str = self.successResultOf(self.intake.accept(envelope, self.spooled(data)))
        return name

    def test_hold_until_goes_with_its_envelope(self) -> None:
        name = self.smtp(
            PLAIN,
            Recipient("bob@here.example", (self.bob.mailbox_id,), notify="SUCCESS", orcpt="rfc822;bob"),
            Recipient("hidden@there.example", (), ("hidden@there.example",), notify="FAILURE,DELAY"),
            hold_until=self.now() + 60_000,
            envid="E7",
            ret="HDRS",
        )
        (waits,) = self.items(self.ann, BOX)
        self.assertIn(b"Bcc: hidden@there.example", self.body(waits))
        self.assertEqual(self.waiting()[0].name, name)
        self.pass_time(60)
        # The program of the user has filed its own copy.
        self.assertEqual(self.places(), {"OUTBOX": 0, "DRAFTS": 0, "SENT": 0})
        (row,) = self.queue()
        self.assertEqual((row.notify, row.envid, row.ret), ("FAILURE,DELAY", "E7", "HDRS"))
        self.assertEqual((row.sender, row.expires), ("ann@here.example", row.created + 5 * 24 * 3_600_000))
        (item,) = self.items(self.bob)
        self.assertNotIn(b"hidden", self.body(item))
        self.assertIn(b"Action: delivered", self.body(self.items(self.ann)[0]))

    def test_a_report_says_when_it_should_leave(self) -> None:
        # RFC 4865
        when = self.now() + 60_000
        self.smtp(PLAIN, Recipient("gone@here.example", (self.bob.mailbox_id,)), hold_until=when)
        self.pass_time(60)
        report = self.body(self.items(self.ann)[0])
        moment = datetime.fromtimestamp(when / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.assertIn(f"Future-Release-Request: until; {moment}\r\n".encode(), report)
        self.hold(10)  # nobody asked for this
        self.smtp(PLAIN, Recipient("gone@here.example", (self.bob.mailbox_id,)))
        self.pass_time(10)
        self.assertNotIn(b"Future-Release", self.body(self.items(self.ann)[1]))

    def test_a_full_mailbox_holds_nothing_more(self) -> None:
        self.db.write_now(lambda tx: accounts.set_quota(tx, self.ann.mailbox_id, 100))
        to = Recipient("bob@here.example", (self.bob.mailbox_id,))
        self.smtp(PLAIN, to, hold_until=self.now() + 60_000)
        envelope = evolve(
            self.envelope("ann@here.example", account=self.ann),
            recipients=(to,),
            hold_until=self.now() + 60_000,
        )
        self.failureResultOf(self.intake.accept(envelope, self.spooled(PLAIN)), OverQuota)
        self.assertEqual(len(self.waiting()), 1)

    def test_the_users_own_hold_counts_here_too_and_can_be_taken_back(self) -> None:
        self.hold(10)
        name = self.smtp(PLAIN, Recipient("bob@here.example", (self.bob.mailbox_id,)))
        self.assertEqual(self.items(self.bob), [])
        self.take_back(name)
        self.assertEqual(self.places(), {"OUTBOX": 0, "DRAFTS": 1, "SENT": 0})
        self.pass_time(20)
        self.assertEqual(self.items(self.bob), [])

    def test_a_moment_that_has_passed_is_now(self) -> None:
        self.smtp(PLAIN, Recipient("bob@here.example", (self.bob.mailbox_id,)), hold_until=self.now())
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_what_lacks_date_and_id_has_them_in_the_outbox_and_later(self) -> None:
        bare = b"From: ann@here.example\r\nTo: bob@here.example\r\n\r\nHello\r\n"
        self.smtp(bare, Recipient("bob@here.example", (self.bob.mailbox_id,)), hold_until=self.now() + 5_000)
        (waits,) = self.items(self.ann, BOX)
        self.pass_time(5)
        (item,) = self.items(self.bob)
        self.assertTrue(waits.message_id and waits.sent)
        self.assertEqual((item.message_id, item.sent), (waits.message_id, waits.sent))
        self.assertEqual(item.trace.count(b"Message-ID:"), 1)

    def test_moving_it_out_of_the_outbox_takes_it_back(self) -> None:
        self.smtp(PLAIN, Recipient("bob@here.example", (self.bob.mailbox_id,)), hold_until=self.now() + 5_000)
        (waits,) = self.items(self.ann, BOX)
        drafts = self.folder(self.ann, DRAFTS)
        self.db.write_now(lambda tx: items.move_item(tx, waits, drafts))
        self.pass_time(10)
        self.assertEqual(self.items(self.bob), [])
