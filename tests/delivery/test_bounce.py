"""Reports, and to whom they go."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.delivery.bounce import Original
from posthouse.mime.headers import parse_headers
from posthouse.mime.report import RecipientStatus
from posthouse.mime.scan import scan
from posthouse.store import domains
from tests.delivery.house import HouseCase
from tests.support.store import NOW

FAILED = RecipientStatus("far@there.example", "failed", "5.1.1", diagnostic="550 5.1.1 no", remote_mta="mx")


class BounceTests(HouseCase):
    def deliver(self, sender: str, *statuses: RecipientStatus) -> bool:
        report = self.reporter.failed(Original(sender, b"Subject: x\r\n", self.now()), statuses, self.now())
        done: bool = self.db.write_now(lambda tx: self.reporter.deliver(tx, report, self.now()))
        return done

    def test_to_the_inbox_of_a_sender_here(self) -> None:
        self.assertTrue(self.deliver("ANN+news@Here.example", FAILED))
        (item,) = self.items(self.ann)
        self.assertEqual(item.subject, "Undeliverable: your message was not delivered")
        self.assertEqual(item.sender_address, "mailer-daemon@mx.here.example")
        self.assertIn(b"<far@there.example> (mx said): 550 5.1.1 no", self.body(item))

    def test_into_the_queue_for_a_sender_elsewhere(self) -> None:
        self.assertTrue(self.deliver("x@else.example", FAILED))
        (row,) = self.queue()
        self.assertEqual((row.sender, row.recipient, row.account_id), ("", "x@else.example", None))
        self.assertEqual(row.expires - row.created, 2 * 24 * 3600 * 1000)

    def test_nobody_to_tell(self) -> None:
        self.db.write_now(lambda tx: domains.close_address(tx, "bob@here.example", "", NOW))
        for sender in ("", "nobody@here.example", "bob@here.example"):
            self.assertFalse(self.deliver(sender, FAILED), sender)
        self.assertEqual((self.items(self.ann), self.items(self.bob), self.queue()), ([], [], []))

    def test_very_many_recipients_are_all_in_the_part_for_machines(self) -> None:
        many = [RecipientStatus(f"u{number}@there.example", "failed", "5.1.1") for number in range(150)]
        self.deliver("ann@here.example", *many)
        data = self.body(self.items(self.ann)[0])
        self.assertEqual(data.count(b"Final-Recipient:"), 150)
        self.assertIn(b"... and 50 more.", data)

    @given(st.text(max_size=80), st.text(max_size=80), st.binary(max_size=80))
    @settings(max_examples=50, deadline=None)
    def test_hostile_words_stay_inside_the_report(self, said: str, address: str, head: bytes) -> None:
        status = RecipientStatus(address, "failed", "5.0.0", diagnostic=said, remote_mta=said)
        report = self.reporter.failed(Original(address, head, self.now(), said), [status], self.now())
        self.assertTrue(report.draft.message_class.startswith("REPORT.IPM.Note.NDR"))

    def test_it_is_marked_as_automatic_and_has_three_parts(self) -> None:
        self.deliver("ann@here.example", FAILED)
        data = self.body(self.items(self.ann)[0])
        root = scan(data)
        self.assertEqual(
            [part.content_type for part in root.children],
            ["text/plain", "message/delivery-status", "text/rfc822-headers"],
        )
        self.assertEqual(dict(parse_headers(data[: root.body_start]))["auto-submitted"], b"auto-replied")
