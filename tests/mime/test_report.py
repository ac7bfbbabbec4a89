"""Delivery status notifications."""

from __future__ import annotations

import email
import email.policy

from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.report import RecipientStatus, report
from posthouse.mime.scan import scan
from posthouse.mime.summary import summarise


def make(
    recipient: RecipientStatus, returned: bytes = b"Subject: x\r\nTo: y\r\n\r\nbody", whole: bool = False
) -> bytes:
    return report(
        sender="Mail Delivery System <mailer-daemon@x.org>",
        to="bob@x.org",
        subject="Undelivered: Grüße",
        text="Your message could not be delivered.",
        date=0,
        message_id="<r@x.org>",
        reporting_mta="mx.x.org",
        recipients=[recipient],
        boundary=lambda: "b",
        envelope_id="E1",
        arrival=0,
        returned=returned,
        returned_whole=whole,
    )


FAILED = RecipientStatus(
    "a@y.org",
    "failed",
    "5.1.1",
    "rfc822;A@y.org",
    "550 5.1.1 no\r\nAction: delivered",
    "mx.y.org",
    1000,
    2000,
)


class ReportTests(SynchronousTestCase):
    def test_the_standard_library_reads_it(self) -> None:
        message = email.message_from_bytes(make(FAILED), policy=email.policy.default)
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual(message["auto-submitted"], "auto-replied")
        _, status, returned = message.iter_parts()  # type: ignore[attr-defined]
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        self.assertEqual(returned.get_content(), "Subject: x\r\nTo: y\r\n")
        whole, each = status.get_payload()
        self.assertEqual(dict(whole.items())["Reporting-MTA"], "dns; mx.x.org")
        self.assertEqual(
            dict(each.items()),
            {
                "Original-Recipient": "rfc822;A@y.org",
                "Final-Recipient": "rfc822; a@y.org",
                "Action": "failed",
                "Status": "5.1.1",
                "Remote-MTA": "dns; mx.y.org",
                "Diagnostic-Code": "smtp; 550 5.1.1 no Action: delivered",
                "Last-Attempt-Date": "Thu, 01 Jan 1970 00:00:01 +0000",
                "Will-Retry-Until": "Thu, 01 Jan 1970 00:00:02 +0000",
            },
        )

    def test_own_reader_knows_it_as_a_failure(self) -> None:
        data = make(FAILED)
        root = scan(data)
        made = summarise(root, data[: root.body_start], lambda start, stop: data[start:stop])
        self.assertEqual(
            (made.message_class, made.preview),
            ("REPORT.IPM.Note.NDR", "Your message could not be delivered."),
        )

    def test_the_whole_message_may_go_back(self) -> None:
        root = scan(make(FAILED, whole=True))
        self.assertEqual(
            (root.children[2].content_type, root.children[2].children[0].title), ("message/rfc822", "x")
        )

    def test_a_huge_header_is_cut_at_a_line(self) -> None:
        data = make(FAILED, b"X: y\r\n" * 100_000)
        self.assertTrue(len(data) < 70_000)
        self.assertIn(b"X: y\r\n", data)

    def test_addresses_beyond_ascii_take_the_global_type(self) -> None:
        root = scan(make(RecipientStatus("jörg@y.org", "failed", "5.1.1")))
        self.assertEqual(root.children[1].content_type, "message/global-delivery-status")
