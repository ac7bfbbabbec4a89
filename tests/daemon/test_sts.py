"""Our own MTA-STS policies on the web site."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.sts import PATH, StsResource
from posthouse.http.site import Router
from posthouse.store import transport
from posthouse.store.transport import OwnPolicy
from posthouse.tlspolicy.mtasts import parse_policy
from posthouse.work.pool import InlinePool
from tests.http.wire import Wire
from tests.support.store import NOW, make_account, make_database


class StsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        make_account(self.db, "ann@here.example")

    def say(self, mode: str, *mx: str) -> None:
        policy = OwnPolicy("here.example", mode, 86_400, mx, NOW)
        self.db.write_now(lambda tx: transport.set_own_policy(tx, policy))

    def get(self, host: str, path: str = "/.well-known/mta-sts.txt") -> Wire:
        site = Router({PATH: StsResource(self.db, InlinePool(), "MX.here.example")})
        return Wire(site).send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))

    def test_the_policy_of_the_domain_that_is_asked_for(self) -> None:
        self.say("enforce", "b.here.example")
        for host in ("mta-sts.here.example", "MTA-STS.here.example:8443", "mta-sts.here.example."):
            wire = self.get(host)
            self.assertEqual(wire.status, 200, host)
            head, _, body = wire.out.partition(b"\r\n\r\n")
            self.assertIn(b"text/plain", head)
            policy = parse_policy(body)
            self.assertEqual(
                (policy.mode, policy.max_age, policy.mx),
                ("enforce", 86_400, ("mx.here.example", "b.here.example")),
            )

    def test_none_names_no_host(self) -> None:
        self.say("none")
        self.assertEqual(parse_policy(self.get("mta-sts.here.example").out.partition(b"\r\n\r\n")[2]).mx, ())

    def test_nobody_else_is_answered(self) -> None:
        self.assertEqual(self.get("mta-sts.here.example").status, 404)
        self.say("enforce")
        for host in (
            "here.example",
            "mta-sts.there.example",
            "mta-sts.",
            "x.mta-sts.here.example",
            "\xff",
            "",
        ):
            self.assertIn(self.get(host).status, (400, 404), host)
        self.assertEqual(self.get("mta-sts.here.example", "/.well-known/mta-sts.txt/x").status, 404)
