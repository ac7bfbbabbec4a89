"""Submission by the compose commands."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from posthouse.delivery.submission import MAX_RECIPIENTS
from posthouse.errors import Conflict, Malformed, NotPermitted, StorageFull, TooLarge
from posthouse.interfaces import IOutbox
from posthouse.mime.part import load_structure
from posthouse.mime.scan import scan
from posthouse.model import FolderType
from posthouse.store import accounts, devices
from tests.delivery.house import PLAIN, HouseCase

SENT = FolderType.SENT
MIXED = PLAIN.replace(b"To: bob@here.example", b"To: bob@here.example, Far <far@there.example>")


class SubmissionTests(HouseCase):
    def refused(self, data: bytes, error: type[Exception], then: Any = None) -> None:
        self.failureResultOf(self.submission.submit(self.ann, data, True, then), error)
        self.assertEqual((self.items(self.ann, SENT), self.items(self.bob), self.queue()), ([], [], []))

    def test_provides_the_interface(self) -> None:
        verifyObject(IOutbox, self.submission)

    def test_sent_item_local_copy_and_queue_row_in_one_transaction(self) -> None:
        writes: list[Any] = []
        real = self.db.write
        self.patch(self.db, "write", lambda function: (writes.append(function), real(function))[1])
        self.submit(MIXED)
        self.assertEqual(len(writes), 1)
        (sent,), (received,), (row,) = self.items(self.ann, SENT), self.items(self.bob), self.queue()
        self.assertEqual(self.body(sent), MIXED)
        self.assertEqual({sent.body_id, received.body_id}, {row.body_id})
        self.assertTrue(sent.read)
        self.assertFalse(received.read)
        self.assertEqual(
            (row.sender, row.recipient, row.account_id),
            ("ann@here.example", "far@there.example", self.ann.id),
        )
        self.assertIn(b"Return-Path: <ann@here.example>", received.trace)
        self.assertIn(b"with HTTP id", row.trace)
        self.assertEqual(sent.trace, b"")

    def test_a_client_that_leaves_during_the_commit_does_not_delay_its_mail(self) -> None:
        self.successResultOf(self.runner.start())
        committed: list[Any] = []

        def slow(function: Any) -> Deferred[Any]:
            # As the real store: who cancels stops listening, and the transaction happens all the same.
            committed.append(function)
            return Deferred()

        real = self.db.write
        self.patch(self.db, "write", slow)
        sending = self.submission.submit(self.ann, MIXED, True)
        sending.cancel()
        self.failureResultOf(sending, CancelledError)
        self.patch(self.db, "write", real)
        self.successResultOf(real(committed[0]))
        self.clock.advance(0)
        self.assertEqual(len(self.relay.jobs), 1)

    def test_without_saving_there_is_no_sent_item(self) -> None:
        self.submit(MIXED, save=False)
        self.assertEqual(self.items(self.ann, SENT), [])
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_the_callers_work_is_in_the_same_transaction(self) -> None:
        def then(tx: Any) -> str:
            device = devices.seen_device(tx, self.ann.id, "d", "t", "", "16.1", self.now())
            return device.device_id

        self.assertEqual(self.submit(MIXED, then=then), "d")

    def test_an_error_of_the_caller_cancels_everything(self) -> None:
        def then(tx: Any) -> None:
            raise Conflict("sent already")

        self.refused(MIXED, Conflict, then)

    def test_bcc_is_seen_by_the_sender_alone(self) -> None:
        data = PLAIN.replace(b"Subject:", b"Bcc: far@there.example\r\nSubject:")
        self.submit(data)
        (sent,), (received,), (row,) = self.items(self.ann, SENT), self.items(self.bob), self.queue()
        self.assertEqual((self.body(sent), sent.bcc), (data, "far@there.example"))
        self.assertEqual((self.body(received), received.bcc), (PLAIN, ""))
        self.assertEqual(
            (row.recipient, row.body_id, row.size), ("far@there.example", received.body_id, len(PLAIN))
        )
        self.assertNotIn(b"far@", received.trace + row.trace)
        self.assertEqual(load_structure(sent.structure), scan(data))

    def test_a_message_in_bcc_alone_is_sent(self) -> None:
        self.submit(PLAIN.replace(b"To:", b"Bcc:"))
        self.assertEqual(len(self.items(self.bob)), 1)

    def test_a_missing_from_is_the_account(self) -> None:
        data = b"To: bob@here.example\r\nSubject: x\r\n\r\nhi\r\n"
        self.submit(data)
        (sent,), (received,) = self.items(self.ann, SENT), self.items(self.bob)
        for item in (sent, received):
            self.assertEqual(
                (item.sender_address, item.sender), ("ann@here.example", '"Ann" <ann@here.example>')
            )
            self.assertEqual(item.sent, self.now())
            self.assertEqual(self.body(item), data)
            self.assertIn(b"From: Ann <ann@here.example>\r\nDate: ", item.trace)
        self.assertEqual(sent.message_id, received.message_id)
        self.assertTrue(sent.message_id.endswith("@mx.here.example"))

    def test_a_name_beyond_ascii_is_encoded(self) -> None:
        self.submit(b"To: bob@here.example\r\n\r\nhi\r\n", account=evolve(self.ann, name="Änn"))
        self.assertTrue(self.items(self.bob)[0].trace.isascii())
        self.assertEqual(self.items(self.bob)[0].sender, '"Änn" <ann@here.example>')

    def test_a_foreign_from_is_forbidden(self) -> None:
        self.refused(PLAIN.replace(b"ann@", b"bob@", 1), NotPermitted)
        self.refused(
            PLAIN.replace(b"<ann@here.example>", b"<ann@here.example>, x@there.example"), NotPermitted
        )

    def test_no_recipient_no_header_or_nonsense_is_malformed(self) -> None:
        for data in (
            PLAIN.replace(b"To:", b"X-To:"),
            PLAIN.replace(b"bob@here.example", b"undisclosed-recipients:;"),
            PLAIN.replace(b"bob@here.example", b"Bob"),
            PLAIN.replace(b"bob@here.example", b"@there.example"),
            b"",
            b"\x00\xff\r\n",
        ):
            self.refused(data, Malformed)

    def test_limits(self) -> None:
        many = b",".join(b"u%d@there.example" % number for number in range(MAX_RECIPIENTS + 1))
        self.refused(PLAIN.replace(b"bob@here.example", many), TooLarge)
        self.submission.size_limit = len(PLAIN) - 1
        self.refused(PLAIN, TooLarge)
        self.free = 1
        self.submission.size_limit = 1000
        self.refused(PLAIN, StorageFull)

    def test_unknown_local_recipients_are_reported_not_refused(self) -> None:
        self.submit(MIXED.replace(b"bob@", b"nobody@"))
        (report,) = self.items(self.ann)
        text = self.body(report)
        self.assertEqual(report.message_class, "REPORT.IPM.Note.NDR")
        self.assertIn(b"Final-Recipient: rfc822; nobody@here.example", text)
        self.assertIn(b"Status: 5.1.1", text)
        self.assertIn(b"Subject: Hello", text)
        self.assertTrue(report.trace.startswith(b"Return-Path: <>\r\n"))
        self.assertEqual([row.recipient for row in self.queue()], ["far@there.example"])
        self.assertEqual(len(self.items(self.ann, SENT)), 1)

    def test_all_unknown_is_still_sent_and_reported(self) -> None:
        self.submit(PLAIN.replace(b"bob@", b"nobody@"))
        self.assertEqual((len(self.items(self.ann)), len(self.items(self.ann, SENT))), (1, 1))

    def test_a_full_recipient_is_reported(self) -> None:
        self.db.write_now(lambda tx: accounts.set_quota(tx, self.bob.mailbox_id, 1))
        self.submit(PLAIN)
        self.submit(PLAIN)
        self.assertEqual(len(self.items(self.bob)), 1)
        self.assertIn(b"Status: 5.2.2", self.body(self.items(self.ann)[0]))

    def test_addresses_count_once_and_aliases_lead_on(self) -> None:
        data = PLAIN.replace(
            b"To: bob@here.example", b"To: BOB@here.example, away@here.example\r\nCc: bob@here.example"
        )
        self.submit(data)
        self.assertEqual(len(self.items(self.bob)), 1)
        self.assertEqual([row.recipient for row in self.queue()], ["far@there.example"])

    def test_the_same_message_twice_is_two_messages(self) -> None:
        for _ in range(2):
            self.submit(PLAIN)
        self.assertEqual((len(self.items(self.bob)), len(self.items(self.ann, SENT))), (2, 2))

    def test_a_domain_beyond_ascii_is_queued_as_a_labels(self) -> None:
        self.submit(PLAIN.replace(b"bob@here.example", "x@bücher.example".encode()))
        self.assertEqual(self.queue()[0].recipient, "x@xn--bcher-kva.example")
        self.assertFalse(self.queue()[0].smtputf8)

    def test_eight_bit_is_found_in_the_bytes(self) -> None:
        self.submit(MIXED)
        self.submit(MIXED + "ü".encode())
        self.assertEqual([row.eight_bit for row in self.queue()], [False, True])

    def test_big_messages_are_scanned_and_stored_in_slices(self) -> None:
        data = (
            MIXED.replace(b"Subject:", b"Bcc: eve@else.example\r\nSubject:") + b"0123456789abcde\n" * 200_000
        )
        done = self.submission.submit(self.ann, data, True)
        for _ in range(6):
            self.clock.advance(0)
        self.successResultOf(done)
        self.assertEqual(self.body(self.items(self.ann, SENT)[0]), data)
        self.assertEqual(self.body(self.items(self.bob)[0]), data.replace(b"Bcc: eve@else.example\r\n", b""))
        self.assertEqual(len(self.queue()), 2)
