"""The intake: checks of an envelope, and what is kept of a message."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from zope.interface.verify import verifyObject

from posthouse.delivery.intake import MIN_FREE, reserve_of
from posthouse.errors import (
    LoopDetected,
    Malformed,
    NoSuchAccount,
    NotPermitted,
    RelayDenied,
    StorageFull,
    TryLater,
)
from posthouse.interfaces import IMailIntake
from posthouse.mime.part import load_structure
from posthouse.mime.scan import Scanner, scan
from posthouse.store import accounts, bodies, domains
from posthouse.work.memory import Memory
from posthouse.work.spool import Packing, Spool
from tests.delivery.house import PLAIN, HouseCase
from tests.support.store import NOW


class EnvelopeTests(HouseCase):
    def sender(self, address: str, account: Any = None) -> Deferred[None]:
        return self.intake.check_sender(address, account)

    def recipient(self, address: str, account: Any = None) -> Deferred[Any]:
        return self.intake.check_recipient(address, account)

    def test_provides_the_interface(self) -> None:
        verifyObject(IMailIntake, self.intake)

    def test_owned_senders_with_aliases_and_plus_tags(self) -> None:
        for address in (
            "ann@here.example",
            "ANN@Here.Example",
            "sales@here.example",
            "ann+x@here.example",
            "",
        ):
            self.successResultOf(self.sender(address, self.ann))
        for address in (
            "bob@here.example",
            "ann@there.example",
            "away@here.example",
            "ann",
            "+@here.example",
        ):
            self.failureResultOf(self.sender(address, self.ann), NotPermitted)

    def test_anybody_may_come_from_anywhere_on_the_open_port(self) -> None:
        for address in ("", "x@there.example", "ann@here.example"):
            self.successResultOf(self.sender(address))

    def test_a_nearly_full_disk_takes_no_mail(self) -> None:
        self.free = self.intake.min_free - 1
        self.failureResultOf(self.sender("x@there.example"), StorageFull)
        self.failureResultOf(self.sender("ann@here.example", self.ann), StorageFull)

    def test_a_small_disk_keeps_a_small_reserve(self) -> None:
        self.assertEqual(reserve_of(40 << 20), 2 << 20)
        self.assertEqual(reserve_of(1 << 40), MIN_FREE)

    def test_recipients(self) -> None:
        self.assertEqual(
            self.successResultOf(self.recipient("Bob@HERE.example")).mailbox_ids, (self.bob.mailbox_id,)
        )
        self.assertEqual(
            set(self.successResultOf(self.recipient("team@here.example")).mailbox_ids),
            {self.ann.mailbox_id, self.bob.mailbox_id},
        )
        self.assertEqual(
            self.successResultOf(self.recipient("bob+tag@here.example")).mailbox_ids, (self.bob.mailbox_id,)
        )
        for name in ("postmaster@here.example", "abuse@here.example", "postmaster", "PostMaster"):
            self.assertEqual(
                self.successResultOf(self.recipient(name)).mailbox_ids, (self.ann.mailbox_id,), name
            )

    def test_the_address_stays_as_the_peer_gave_it(self) -> None:
        self.assertEqual(self.successResultOf(self.recipient("Bob@HERE.example")).address, "Bob@HERE.example")

    def test_open_relay(self) -> None:
        for address in ("x@there.example", "x@[192.0.2.1]", "x@there.example.", "x@sub.here.example"):
            self.failureResultOf(self.recipient(address), RelayDenied)
        for address in (
            "x%there.example@here.example",
            "there.example!x@here.example",
            '"x@there.example"@here.example',
        ):
            self.failureResultOf(self.recipient(address), NoSuchAccount)

    def test_the_authenticated_may_write_anywhere_but_to_unknown_users_here(self) -> None:
        found = self.successResultOf(self.recipient("X@There.example", self.ann))
        self.assertEqual(found.remote, ("X@there.example",))
        self.failureResultOf(self.recipient("nobody@here.example", self.ann), NoSuchAccount)

    def test_an_alias_to_elsewhere_needs_no_login(self) -> None:
        self.assertEqual(
            self.successResultOf(self.recipient("away@here.example")).remote, ("far@there.example",)
        )

    def test_a_disabled_account_gets_its_mail_a_closed_address_gets_none(self) -> None:
        self.db.write_now(lambda tx: accounts.set_enabled(tx, self.bob.id, False))
        self.assertEqual(
            self.successResultOf(self.recipient("bob@here.example")).mailbox_ids, (self.bob.mailbox_id,)
        )
        self.directory.forget()
        self.db.write_now(lambda tx: domains.close_address(tx, "bob@here.example", "", NOW))
        for address in ("bob@here.example", "Bob+shop@here.example"):
            self.failureResultOf(self.recipient(address), NoSuchAccount)

    def test_routes_are_remembered_for_seconds_and_forgotten_when_told(self) -> None:
        self.successResultOf(self.recipient("bob@here.example"))
        self.db.write_now(lambda tx: domains.close_address(tx, "bob@here.example", "", NOW))
        self.successResultOf(self.recipient("bob@here.example"))
        self.directory.forget()
        self.failureResultOf(self.recipient("bob@here.example"), NoSuchAccount)
        self.db.write_now(lambda tx: domains.open_address(tx, "bob@here.example"))
        self.successResultOf(self.recipient("bob@here.example"))
        self.db.write_now(lambda tx: domains.close_address(tx, "bob@here.example", "", NOW))
        self.clock.advance(5)
        self.failureResultOf(self.recipient("bob@here.example"), NoSuchAccount)

    def test_an_answer_under_way_while_routes_are_forgotten_is_not_remembered(self) -> None:
        waiting: Deferred[Any] = Deferred()
        self.patch(self.directory, "database", SlowReads(self.db, waiting))
        asked = self.recipient("bob@here.example")
        self.directory.forget()
        waiting.callback(None)
        self.successResultOf(asked)
        self.db.write_now(lambda tx: domains.close_address(tx, "bob@here.example", "", NOW))
        self.failureResultOf(self.recipient("bob@here.example"), NoSuchAccount)


class SlowReads:
    """A database whose first read waits."""

    def __init__(self, db: Any, waiting: Deferred[Any]) -> None:
        self.db = db
        self.waiting = waiting

    def read(self, function: Any) -> Deferred[Any]:
        found = self.db.read(function)
        if self.waiting.called:
            return found
        return self.waiting.addCallback(lambda _: found)


class AcceptTests(HouseCase):
    def test_a_message_is_in_the_inbox_with_its_trace(self) -> None:
        name = self.accept(PLAIN, "ann@there.example", "bob@here.example")
        (item,) = self.items(self.bob)
        self.assertEqual((item.subject, item.preview, item.received), ("Hello", "Hello Bob", self.now()))
        self.assertFalse(item.read)
        self.assertEqual(self.body(item), PLAIN)
        lines = item.trace.decode().split("\r\n")
        self.assertEqual(lines[0], "Return-Path: <ann@there.example>")
        self.assertEqual(lines[1], "Delivered-To: bob@here.example")
        self.assertIn(f"id {name}", item.trace.decode())
        self.assertIn(b"from client.example ([192.0.2.7])", item.trace)
        self.assertEqual(load_structure(item.structure), scan(PLAIN))

    def test_one_copy_for_a_mailbox_however_it_is_named(self) -> None:
        self.accept(PLAIN, "x@there.example", "bob@here.example", "bob+a@here.example", "team@here.example")
        self.assertEqual((len(self.items(self.bob)), len(self.items(self.ann))), (1, 1))
        self.assertNotIn(b"for <", self.items(self.bob)[0].trace)

    def test_local_and_remote_recipients_are_one_transaction(self) -> None:
        writes = []
        real = self.db.write
        self.patch(self.db, "write", lambda function: (writes.append(function), real(function))[1])
        self.accept(
            PLAIN,
            "ann@here.example",
            "bob@here.example",
            "far@there.example",
            "x@else.example",
            account=self.ann,
        )
        self.assertEqual(len(writes), 1)
        self.assertEqual(len(self.items(self.bob)), 1)
        rows = self.queue()
        self.assertEqual([row.recipient for row in rows], ["far@there.example", "x@else.example"])
        self.assertEqual({row.body_id for row in rows}, {self.items(self.bob)[0].body_id})
        self.assertEqual({row.account_id for row in rows}, {self.ann.id})
        self.assertTrue(all(row.trace.startswith(b"Received: by mx.here.example") for row in rows))

    def test_nothing_is_kept_when_the_store_is_full(self) -> None:
        envelope = self.envelope("ann@here.example", "bob@here.example", "x@there.example", account=self.ann)
        spooled = self.spooled(PLAIN)
        self.patch(self.db, "write", lambda function: fail(StorageFull()))
        self.failureResultOf(self.intake.accept(envelope, spooled), StorageFull)
        self.assertEqual((self.items(self.bob), self.queue()), ([], []))

    def test_duplicate_window(self) -> None:
        for _ in range(2):
            self.accept(PLAIN, "ann@here.example", "bob@here.example", "x@there.example", account=self.ann)
        self.assertEqual((len(self.items(self.bob)), len(self.queue())), (1, 1))
        self.clock.advance(3601)
        self.accept(PLAIN, "ann@here.example", "bob@here.example", account=self.ann)
        self.assertEqual(len(self.items(self.bob)), 2)

    def test_equal_messages_without_message_id_are_both_kept(self) -> None:
        data = b"From: ann@here.example\r\nSubject: backup failed\r\n\r\nagain\r\n"
        for _ in range(2):
            self.accept(data, "ann@here.example", "bob@here.example", account=self.ann)
        self.assertEqual(len(self.items(self.bob)), 2)

    def test_loop_by_received(self) -> None:
        envelope = self.envelope("x@there.example", "bob@here.example")
        spooled = self.spooled(b"Received: x\r\n" * 51 + PLAIN)
        self.failureResultOf(self.intake.accept(envelope, spooled), LoopDetected)
        self.assertEqual(self.items(self.bob), [])

    def test_forwarding_marks_its_address_and_sees_it_come_back(self) -> None:
        self.accept(PLAIN, "x@else.example", "away@here.example")
        (row,) = self.queue()
        self.assertEqual((row.account_id, row.recipient), (None, "far@there.example"))
        self.assertRegex(row.sender, r"^SRS0=[^=]+=[^=]+=else\.example=x@here\.example$")
        self.assertTrue(row.trace.startswith(b"Delivered-To: away@here.example\r\n"))
        envelope = self.envelope("x@else.example", "away@here.example")
        self.failureResultOf(self.intake.accept(envelope, self.spooled(row.trace + PLAIN)), LoopDetected)

    def test_a_mailbox_that_vanished_meanwhile_is_temporary(self) -> None:
        envelope = self.envelope("x@there.example", "bob@here.example")
        while not self.db.write_now(lambda tx: accounts.delete_account(tx, self.bob.id)):
            pass
        self.failureResultOf(self.intake.accept(envelope, self.spooled(PLAIN)), TryLater)
        self.failureResultOf(self.intake.check_recipient("bob@here.example", None), NoSuchAccount)

    def test_a_body_without_header_does_not_run_into_the_trace(self) -> None:
        self.accept(b"no header at all\r\n", "x@there.example", "bob@here.example")
        (item,) = self.items(self.bob)
        self.assertTrue((item.trace + self.body(item)).endswith(b"\r\n\r\nno header at all\r\n"))

    def test_big_messages_go_ahead_in_slices_and_arrive_whole(self) -> None:
        for size in (100_000, 1_900_000, 2_500_000):
            data = PLAIN.replace(b"<1@", b"<%d@" % size) + b"0123456789abcde\n" * (size // 16)
            writes: list[Any] = []
            real = self.db.write
            with self.subTest(size):
                envelope = self.envelope("x@there.example", "bob@here.example")
                self.db.write = lambda function, real=real, writes=writes: (writes.append(1), real(function))[
                    1
                ]  # type: ignore[method-assign]
                spooled = self.spooled(data)
                self.successResultOf(self.intake.accept(envelope, spooled))
                self.db.write = real  # type: ignore[method-assign]
                item = self.items(self.bob)[-1]
                self.assertEqual(self.body(item), data)
                self.assertEqual(item.preview[:9], "Hello Bob")
                # Above 2 MB: begin, slices of 1 MB, end; and the delivery itself.
                self.assertEqual(len(writes), 6 if size > 2 << 20 else 1)

    def test_what_was_packed_while_it_arrived_arrives_whole(self) -> None:
        memory = Memory(8 << 20)
        for size in (300_000, 1_500_000, 3_000_000):
            # Somebody else's results are taken out, which moves everything behind them.
            for front in (b"", b"Authentication-Results: mx.here.example; spf=pass\r\n"):
                data = (
                    front
                    + PLAIN.replace(b"<1@", b"<%d.%d@" % (size, len(front)))
                    + b"0123456789abcde\n" * (size // 16)
                )
                with self.subTest(size, front=front):
                    packing = Packing(bodies.CHUNK, bodies.prepare_chunk)
                    spool = Spool(".", self.pool, scanner=Scanner(), memory=memory, packing=packing)
                    for start in range(0, len(data), 65_536):
                        self.assertIsNone(spool.write(data[start : start + 65_536]))
                    spooled = self.successResultOf(spool.finish())
                    self.assertTrue(spooled.packed)
                    envelope = self.envelope("x@there.example", "bob@here.example")
                    self.successResultOf(self.intake.accept(envelope, spooled))
                    self.assertEqual(self.body(self.items(self.bob)[-1]), data[len(front) :])
                    self.assertEqual(memory.lent, 0)

    def test_an_upload_that_was_swept_meanwhile_is_temporary(self) -> None:
        real = self.pool.run

        def slow(function: Any, *arguments: Any) -> Any:
            """The machine sleeps for a night; whoever sweeps is awake first."""
            self.db.write_now(lambda tx: bodies.sweep(tx, 99, self.now() + 10 * 3600 * 1000))
            return real(function, *arguments)

        data = PLAIN + b"x\r\n" * 700_000
        spooled = self.spooled(data)
        envelope = self.envelope("s@out.example", "bob@here.example")
        self.patch(self.pool, "run", slow)
        self.failureResultOf(self.intake.accept(envelope, spooled), TryLater)
        self.assertEqual(self.items(self.bob), [])

    def test_the_spool_is_closed_whatever_happens(self) -> None:
        data = PLAIN + b"x" * 300_000
        spooled = self.spooled(data)
        self.accept_spooled(spooled)
        self.assertRaises(TryLater, spooled.read, 0, 10)

    def accept_spooled(self, spooled: Any) -> None:
        self.assertIsNone(spooled.data)
        envelope = self.envelope("x@there.example", "bob@here.example")
        self.successResultOf(self.intake.accept(envelope, spooled))


class SubmittedTests(HouseCase):
    def refused(self, data: bytes, error: type[Exception]) -> None:
        envelope = self.envelope("ann@here.example", "bob@here.example", account=self.ann)
        self.failureResultOf(self.intake.accept(envelope, self.spooled(data)), error)
        self.assertEqual(self.items(self.bob), [])

    def test_from_and_sender_must_be_owned(self) -> None:
        self.refused(PLAIN.replace(b"ann@", b"bob@", 1), NotPermitted)
        self.refused(b"Sender: bob@here.example\r\n" + PLAIN, NotPermitted)
        self.refused(
            PLAIN.replace(b"<ann@here.example>", b"<ann@here.example>, bob@here.example"), NotPermitted
        )
        self.refused(PLAIN.replace(b"Ann <ann@here.example>", b"Ann"), Malformed)

    def test_exactly_one_from(self) -> None:
        self.refused(b"From: ann@here.example\r\n" + PLAIN, Malformed)
        self.refused(PLAIN.replace(b"From:", b"X-From:"), Malformed)

    def test_an_alias_or_tag_in_from_is_owned(self) -> None:
        for number, address in enumerate(
            (b"sales@here.example", b"ann+list@here.example", b"ANN@HERE.EXAMPLE")
        ):
            data = PLAIN.replace(b"ann@here.example", address).replace(b"<1@", b"<x%d@" % number)
            self.accept(data, "ann@here.example", "bob@here.example", account=self.ann)
        self.assertEqual(len(self.items(self.bob)), 3)

    def test_the_open_port_does_not_look_at_from(self) -> None:
        self.accept(b"From: a@x, b@y\r\n\r\n", "", "bob@here.example")
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_missing_date_and_message_id_stand_in_the_trace(self) -> None:
        data = b"From: ann@here.example\r\nSubject: x\r\n\r\nhi\r\n"
        self.accept(data, "ann@here.example", "bob@here.example", "y@there.example", account=self.ann)
        (item,) = self.items(self.bob)
        self.assertEqual(self.body(item), data)
        self.assertIn(b"\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <", item.trace)
        self.assertEqual(item.sent, self.now())
        self.assertIn(item.message_id.encode(), item.trace)
        self.assertIn(item.message_id.encode(), self.queue()[0].trace)

    def test_bcc_is_stripped_in_memory_and_in_a_file(self) -> None:
        for number, padding in enumerate((b"", b"x" * 400_000)):
            data = PLAIN.replace(
                b"Subject:", b"BCC: eve@else.example,\r\n  y@there.example\r\nSubject:"
            ).replace(b"<1@", b"<n%d@" % number)
            self.accept(data + padding, "ann@here.example", "bob@here.example", account=self.ann)
            item = self.items(self.bob)[-1]
            self.assertEqual(self.body(item), PLAIN.replace(b"<1@", b"<n%d@" % number) + padding)
            self.assertEqual(item.bcc, "")
            self.assertEqual(load_structure(item.structure), scan(self.body(item)))
