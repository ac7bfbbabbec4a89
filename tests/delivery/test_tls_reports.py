"""A domain that wants to know hears once a day how TLS with its servers went."""

from __future__ import annotations

import base64
import gzip
import json
from email import message_from_bytes
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed

from posthouse.delivery.fetch import FetchFailed
from posthouse.delivery.tls_reports import TlsReports
from posthouse.errors import TryLater
from posthouse.mime.part import Part
from posthouse.model import TlsSession
from posthouse.store import bodies, transport
from posthouse.store.transport import DAY
from tests.delivery.house import HouseCase

ONE = TlsSession(
    "there.example", "sts", ("mode: enforce",), ("*.there.example",), "", "mx.there.example", "192.0.2.1"
)
BAD = evolve(ONE, result="certificate-expired", reason="it expired")


class ReportTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.records: Any = [b"v=TLSRPTv1; rua=mailto:reports@there.example"]
        self.posts: list[tuple[str, bytes, str]] = []
        self.refuse: Exception | None = None
        self.reports = TlsReports(
            self.db,
            self,
            self.post,
            self.reporter,
            None,
            "tls@here.example",
            self.pool,
            self.random,
            self.now,
        )
        self.db.write_now(lambda tx: transport.count_sessions(tx, [ONE, ONE, BAD], self.now(), 1000))

    def texts(self, name: str) -> Deferred[Any]:
        self.assertEqual(name, "_smtp._tls.there.example")
        return fail(self.records) if isinstance(self.records, Exception) else succeed(self.records)

    def post(self, url: str, data: bytes, kind: str) -> Deferred[None]:
        self.posts.append((url, data, kind))
        return fail(self.refuse) if self.refuse is not None else succeed(None)

    def step(self) -> int:
        done: int = self.successResultOf(ensureDeferred(self.reports.step()))
        return done

    def tomorrow(self) -> None:
        self.clock.advance(DAY / 1000 + 1)

    def left(self) -> int:
        return len(
            self.db.read_now(
                lambda tx: transport.counts_of(tx, transport.day_of(self.began), "there.example")
            )
        )

    @property
    def began(self) -> int:
        return self.now() - self.now() % DAY - DAY

    def document(self, packed: bytes) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(gzip.decompress(packed))
        return found

    def test_nothing_before_the_day_is_over(self) -> None:
        self.assertEqual(self.step(), 0)
        self.assertEqual(self.queue(), [])

    def test_by_mail_from_our_own_queue_once(self) -> None:
        self.tomorrow()
        self.assertEqual(self.step(), 1)
        self.assertEqual(self.step(), 0)
        (row,) = self.queue()
        self.assertEqual((row.sender, row.recipient, row.account_id), ("", "reports@there.example", None))
        message = message_from_bytes(self.db.read_now(lambda tx: bodies.read_body(tx, row.body_id)))
        self.assertEqual((message["From"], message["TLS-Required"]), ("<tls@here.example>", "No"))
        document = self.document(base64.b64decode(message.get_payload()[1].get_payload()))
        (policy,) = document["policies"]
        self.assertEqual(
            policy["summary"], {"total-successful-session-count": 2, "total-failure-session-count": 1}
        )
        self.assertEqual(document["organization-name"], "mx.here.example")
        self.assertEqual(self.left(), 0)

    def test_reports_about_reports_are_never_written(self) -> None:
        self.tomorrow()
        self.step()
        self.runner.sender.report_delay = 0
        self.successResultOf(self.runner.start())
        self.clock.advance(1)
        self.assertEqual(len(self.relay.jobs), 1)
        self.assertEqual(self.queue(), [])
        day = self.db.read_now(lambda tx: transport.due_day(tx, self.now() + 10 * DAY))
        self.assertIsNone(day)

    def test_by_https(self) -> None:
        self.records = [b"v=TLSRPTv1; rua=https://r.there.example/tls"]
        self.tomorrow()
        self.step()
        ((url, data, kind),) = self.posts
        self.assertEqual((url, kind), ("https://r.there.example/tls", "application/tlsrpt+gzip"))
        self.assertEqual(self.document(data)["contact-info"], "tls@here.example")
        self.assertEqual((self.queue(), self.left()), ([], 0))

    def test_a_server_that_fails_is_tried_again_for_a_day(self) -> None:
        self.records, self.refuse = [b"v=TLSRPTv1; rua=https://r.there.example/tls"], FetchFailed("503")
        self.tomorrow()
        for _ in range(24):
            self.assertEqual(self.step(), 1)
            self.assertEqual(self.step(), 0)
            self.clock.advance(3600)
        self.assertEqual(len(self.posts), 24)
        self.assertIsNone(self.db.read_now(lambda tx: transport.due_day(tx, self.now() + 10 * DAY)))

    def test_mail_does_not_wait_for_a_server_that_fails(self) -> None:
        self.records = [b"v=TLSRPTv1; rua=https://r.there.example/tls,mailto:reports@there.example"]
        self.refuse = FetchFailed("503")
        self.tomorrow()
        self.step()
        self.assertEqual((len(self.posts), len(self.queue()), self.step()), (1, 1, 0))

    def test_who_wants_no_report_gets_none(self) -> None:
        self.records = [b"v=spf1 -all"]
        self.tomorrow()
        self.assertEqual((self.step(), self.step(), self.queue(), self.left()), (1, 0, [], 0))

    def test_dns_that_is_out_of_order_puts_it_off(self) -> None:
        self.records = TryLater(cause="SERVFAIL")
        self.tomorrow()
        self.assertEqual((self.step(), self.step()), (1, 0))
        self.records = [b"v=TLSRPTv1; rua=mailto:bob@here.example"]
        self.clock.advance(3600)
        self.step()
        # Somebody of ours may be who reads it.
        (item,) = self.items(self.bob)
        self.assertIn("Report Domain: there.example", item.subject)

    def test_it_is_signed(self) -> None:
        class Signer:
            async def fields(self, message: Any, added: bytes, now: int) -> bytes:
                assert isinstance(message.root, Part)
                return b"DKIM-Signature: here\r\n"

        self.reports.signer = Signer()  # type: ignore[assignment]
        self.tomorrow()
        self.step()
        (row,) = self.queue()
        data = self.db.read_now(lambda tx: bodies.read_body(tx, row.body_id))
        self.assertTrue(data.startswith(b"DKIM-Signature: here\r\nFrom: <tls@here.example>"))
