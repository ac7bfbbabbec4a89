"""Where mail for a domain goes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.routes import FixedRoute, Routes, Smarthost, Verdict
from posthouse.errors import AcceptsNoMail, TryLater
from posthouse.model import NextHop
from tests.support.resolver import FakeResolver


class RoutesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.resolver = FakeResolver()
        self.routes = Routes(
            self.resolver, frozenset({"mx.here.example"}), lambda: frozenset({"203.0.113.1"})
        )

    def find(self, domain: str, routes: Routes | None = None) -> Any:
        return self.successResultOf(ensureDeferred((routes or self.routes).find(domain)))

    def test_hosts_with_their_addresses_in_order(self) -> None:
        self.resolver.hosts["there.example"] = [(10, "a.example"), (20, "none.example"), (30, "c.example")]
        self.resolver.known.update({"a.example": ["192.0.2.1", "2001:db8::1"], "c.example": ["192.0.2.3"]})
        self.assertEqual(
            self.find("there.example"),
            (NextHop("a.example", ("192.0.2.1", "2001:db8::1")), NextHop("c.example", ("192.0.2.3",))),
        )

    def test_verdicts_by_what_dns_says(self) -> None:
        self.resolver.hosts["null.example"] = AcceptsNoMail()
        self.resolver.hosts["slow.example"] = TryLater(cause="SERVFAIL")
        self.resolver.hosts["empty.example"] = [(10, "none.example")]
        self.resolver.hosts["half.example"] = [(10, "slow.host"), (20, "none.example")]
        self.resolver.known["slow.host"] = TryLater(cause="time-out")
        found = {
            name: (verdict.outcome, verdict.enhanced)
            for name in ("gone.example", "null.example", "slow.example", "empty.example", "half.example")
            if isinstance(verdict := self.find(name), Verdict)
        }
        self.assertEqual(
            found,
            {
                "gone.example": ("failed", "5.1.2"),
                "null.example": ("failed", "5.1.10"),
                "slow.example": ("retry", "4.4.3"),
                "empty.example": ("failed", "5.1.2"),
                "half.example": ("retry", "4.4.3"),
            },
        )

    def test_loop_by_own_mx(self) -> None:
        for address in ("127.0.0.1", "::1", "203.0.113.1", "0.0.0.0", "::ffff:127.0.0.1"):
            self.resolver.add("loop.example", address)
            self.assertEqual(self.find("loop.example").enhanced, "5.4.6", address)
        self.resolver.hosts["name.example"] = [(10, "MX.here.example")]
        self.resolver.known["MX.here.example"] = ["192.0.2.99"]
        self.assertEqual(self.find("name.example").enhanced, "5.4.6")

    def test_better_hosts_than_ourselves_are_used_equal_ones_are_not(self) -> None:
        self.resolver.hosts["b.example"] = [
            (5, "gone"),
            (10, "a"),
            (20, "b"),
            (20, "mx.here.example"),
            (30, "c"),
        ]
        self.resolver.known.update({"a": ["192.0.2.1"], "b": ["192.0.2.2"], "mx.here.example": ["192.0.2.9"]})
        self.assertEqual([hop.host for hop in self.find("b.example")], ["a"])

    def test_the_smarthost_takes_everything_even_on_loopback(self) -> None:
        self.resolver.known["relay"] = ["127.0.0.1"]
        routes = Routes(self.resolver, smarthost=Smarthost("relay", 2526, "u", "p"))
        self.assertEqual(self.find("any.example", routes), (NextHop("relay", ("127.0.0.1",), 2526),))
        self.assertEqual(routes.key("a.example"), routes.key("b.example"))

    def test_an_unknown_smarthost_is_never_the_recipients_fault(self) -> None:
        routes = Routes(self.resolver, smarthost=Smarthost("nowhere"))
        self.assertEqual(self.find("any.example", routes).outcome, "retry")

    def test_a_private_address_needs_a_route(self) -> None:
        for address in (
            "10.1.2.3",
            "192.168.0.1",
            "fd00::1",
            "fe80::1%eth0",
            "169.254.1.1",
            "::ffff:10.0.0.1",
        ):
            self.resolver.add("inside.example", address)
            verdict = self.find("inside.example")
            self.assertEqual((verdict.outcome, verdict.enhanced), ("failed", "5.4.4"), address)
        self.resolver.add("half.example", "10.1.2.3", "192.0.2.1")
        self.assertEqual(self.find("half.example")[0].addresses, ("192.0.2.1",))

    def test_the_table_of_routes(self) -> None:
        table = {
            "inside.example": FixedRoute("smtp", "relay.inside", 2525),
            "*.inside.example": FixedRoute("lmtp", "store.inside", 24),
            "safe.example": FixedRoute("smtps", "relay.inside", 465),
            "there.example": FixedRoute("mx"),
        }
        smarthost = Smarthost("smart", 587, "u", "p")
        routes = Routes(self.resolver, smarthost=smarthost, table=table)
        self.resolver.add("there.example")
        self.resolver.known.update(
            {"relay.inside": ["10.0.0.5"], "store.inside": ["127.0.0.1"], "smart": ["192.0.2.9"]}
        )
        self.assertEqual(self.find("Inside.example", routes), (NextHop("relay.inside", ("10.0.0.5",), 2525),))
        self.assertEqual(
            self.find("a.b.inside.example", routes),
            (NextHop("store.inside", ("127.0.0.1",), 24, lmtp=True),),
        )
        self.assertTrue(self.find("safe.example", routes)[0].implicit_tls)
        self.assertEqual(self.find("there.example", routes)[0].host, "mx.there.example")
        self.assertEqual(self.find("else.example", routes)[0].host, "smart")
        self.assertEqual(routes.security("else.example"), ("verified", ("u", "p")))
        self.assertEqual(routes.security("safe.example"), ("required", None))
        self.assertEqual(routes.security("there.example"), ("opportunistic", None))
        self.assertEqual(
            [routes.key(domain) for domain in ("inside.example", "there.example", "else.example")],
            ["smtp://relay.inside:2525", "there.example", ""],
        )
        del self.resolver.known["relay.inside"]
        self.assertEqual(self.find("inside.example", routes).outcome, "retry")
