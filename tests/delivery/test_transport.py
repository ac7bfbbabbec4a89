"""What the queue asks of connections, and what it counts of them."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from posthouse.delivery.routes import FixedRoute, Routes, Verdict
from posthouse.model import HopPolicy, TlsSession
from posthouse.store import preferences, transport
from posthouse.store.transport import DAY
from tests.delivery.house import HOST, PLAIN, HouseCase

FAR = "far@there.example"
ABOUT = TlsSession("there.example", host="mx.there.example")


class Guard:
    """Stands where ``Security`` does."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.verdict: Verdict | None = None
        self.error: Exception | None = None

    async def protect(self, domain: str, hops: Any, note: Any) -> Any:
        self.asked.append(domain)
        if self.error is not None:
            raise self.error
        note(evolve(ABOUT, result="sts-policy-fetch-error"))
        return self.verdict or tuple(evolve(hop, policy=HopPolicy("verified", about=ABOUT)) for hop in hops)


class TransportTests(HouseCase):
    def setUp(self) -> None:
        super().setUp()
        self.guard = Guard()
        self.start(self.runner)

    def start(self, runner: Any) -> None:
        runner.sender.security = self.guard
        runner.sender.report_delay = 0
        self.runner = runner
        self.successResultOf(runner.start())

    def send(self, data: bytes = PLAIN, **fields: Any) -> None:
        self.accept(data, "ann@here.example", FAR, account=self.ann, **fields)
        self.clock.advance(1)

    def counted(self) -> dict[TlsSession, int]:
        day = transport.day_of(self.now())
        return dict(self.db.read_now(lambda tx: transport.counts_of(tx, day, "there.example")))

    def test_hosts_come_with_their_policies_and_sessions_are_counted(self) -> None:
        send = self.relay.send

        def noting(job: Any) -> Deferred[Any]:
            job.note(job.hosts[0].policy.about)
            return send(job)

        self.relay.send = noting  # type: ignore[method-assign]
        self.send()
        self.send(PLAIN.replace(b"<1@", b"<2@"))
        self.assertEqual(self.relay.jobs[0].hosts[0].policy.tls, "verified")
        self.assertEqual(self.counted(), {ABOUT: 2, evolve(ABOUT, result="sts-policy-fetch-error"): 2})
        self.assertEqual(
            self.db.read_now(lambda tx: transport.due_day(tx, self.now() + DAY)).domain, "there.example"
        )

    def test_nothing_is_counted_unless_reports_are_wanted(self) -> None:
        self.runner.sender.report_delay = None
        self.send()
        self.assertEqual(self.counted(), {})

    def test_no_host_is_good_enough_now(self) -> None:
        self.guard.verdict = Verdict("retry", 451, "4.7.5", "no")
        self.send()
        (row,) = self.queue()
        self.assertEqual((row.state, row.last_reply, self.relay.jobs), ("due", "451 4.7.5 no", []))
        self.assertEqual(len(self.counted()), 1)

    def test_a_fault_of_ours_sends_nothing_in_the_open(self) -> None:
        self.guard.error = ZeroDivisionError()
        self.send()
        (row,) = self.queue()
        self.assertEqual((row.state, row.last_reply[:9], self.relay.jobs), ("due", "451 4.3.0", []))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_mail_to_which_tls_does_not_matter(self) -> None:
        self.send(b"TLS-Required: No\r\n" + PLAIN)
        self.assertEqual(self.guard.asked, [])
        self.assertEqual(self.relay.jobs[0].hosts[0].policy, HopPolicy())
        for head in (b"TLS-Required: yes\r\n", b"TLS-Required: No\r\n" * 2, b"X-TLS-Required: No\r\n"):
            self.guard.asked.clear()
            self.send(head + PLAIN.replace(b"<1@", b"<%d@" % len(self.relay.jobs)))
            self.assertEqual(self.guard.asked, ["there.example"], head)

    def test_requiretls_stays_with_the_message_and_is_stronger_than_its_header(self) -> None:
        self.send(b"TLS-Required: No\r\n" + PLAIN, require_tls=True)
        self.assertEqual(self.guard.asked, ["there.example"])
        self.assertTrue(self.relay.jobs[0].require_tls)
        self.send(PLAIN)
        self.assertFalse(self.relay.jobs[1].require_tls)

    def test_requiretls_goes_on_through_an_alias(self) -> None:
        self.accept(PLAIN, "x@there.example", "away@here.example", require_tls=True)
        self.clock.advance(1)
        self.assertTrue(self.relay.jobs[0].require_tls)

    def test_requiretls_goes_on_where_somebody_has_his_mail_forwarded(self) -> None:
        self.db.write_now(lambda tx: preferences.set_forwarding(tx, self.bob.id, [FAR], True))
        self.accept(PLAIN, "x@there.example", "bob@here.example", require_tls=True)
        self.clock.advance(1)
        self.assertTrue(self.relay.jobs[0].require_tls)

    def test_a_report_of_what_must_be_encrypted_must_be_encrypted_and_brings_no_body(self) -> None:
        self.relay.answer = lambda recipient: (550, "5.7.30", "REQUIRETLS is required and not offered")
        self.accept(PLAIN, "x@there.example", "away@here.example", require_tls=True, ret="FULL")
        self.relay.hold = False
        self.clock.advance(1)
        self.relay.answer = lambda recipient: (250, "2.0.0", "ok")
        self.clock.advance(1)
        report = next(job for job in self.relay.jobs if not job.sender)
        self.assertTrue(report.require_tls)
        data = self.relay.messages[self.relay.jobs.index(report)]
        self.assertIn(b"5.7.30", data)
        self.assertNotIn(b"Hello Bob", data)

    def test_hosts_that_the_administrator_named_are_trusted_and_not_looked_up(self) -> None:
        routes = Routes(
            self.resolver, frozenset({HOST}), table={"there.example": FixedRoute("smtp", "relay.inside", 25)}
        )
        self.resolver.known["relay.inside"] = ["10.0.0.5"]
        self.successResultOf(self.runner.stop() or succeed(None))
        self.start(self.make_runner(routes=routes))
        self.send()
        self.assertEqual(self.guard.asked, [])
        self.assertTrue(self.relay.jobs[0].hosts[0].policy.trusted)
