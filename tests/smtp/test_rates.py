"""What strangers may come with in a while."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.smtp import rates
from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.rates import PeerRates, Rate


class RateTests(SynchronousTestCase):
    def test_an_address_and_its_networks(self) -> None:
        for hosts, allowed in (
            (["192.0.2.1"] * 10, 2),
            ([f"192.0.2.{i}" for i in range(10)], 6),
            ([f"192.0.{i}.1" for i in range(30)], 18),
            ([f"2001:db8::{i:x}" for i in range(10)], 6),
            ([f"2001:db8:0:{i:x}::1" for i in range(30)], 18),
        ):
            rate = Rate(2, 60.0)
            taken = [rate.take(host, 0.0) for host in hosts]
            self.assertEqual(taken, [True] * allowed + [False] * (len(hosts) - allowed))

    def test_the_next_window_begins_anew(self) -> None:
        rate = Rate(1, 60.0)
        self.assertEqual([rate.take("192.0.2.1", now) for now in (0.0, 59.0, 60.0, 61.0)], [True, False] * 2)

    def test_a_refusal_is_not_counted(self) -> None:
        """Else one who goes on asking would use up the share of his neighbours."""
        rate = Rate(1, 60.0)
        for _ in range(20):
            rate.take("192.0.2.1", 0.0)
        self.assertTrue(rate.take("192.0.2.2", 0.0))

    def test_no_limit_and_no_address(self) -> None:
        self.assertTrue(all(Rate(0, 60.0).take("192.0.2.1", 0.0) for _ in range(5)))
        self.assertTrue(all(Rate(1, 60.0).take("", 0.0) for _ in range(5)))

    def test_the_table_is_bounded(self) -> None:
        self.patch(rates, "MAX_TABLE", 100)
        rate = Rate(5, 60.0)
        for number in range(1000):
            rate.count(f"10.{number % 250}.{number // 250}.1", 0.0)
            self.assertLessEqual(len(rate._counts), 103)

    def test_the_exempt_are_not_counted(self) -> None:
        clock = Clock()
        peers = PeerRates(clock, ConnectionLimits(clock, exempt=["198.51.100.0/24"]), 1, 1, 1)
        for _ in range(3):
            peers.unknown("198.51.100.1")
            self.assertTrue(peers.message("198.51.100.1") and peers.recipient("198.51.100.1"))
            self.assertFalse(peers.guesses("198.51.100.1"))
        peers.unknown("192.0.2.1")
        self.assertTrue(peers.guesses("192.0.2.1"))
