from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.smtp.limits import ConnectionLimits, RateDeadline


class ConnectionLimitTests(SynchronousTestCase):
    def test_open_connections_of_one_address(self) -> None:
        limits = ConnectionLimits(Clock(), per_address=3)
        self.assertEqual([bool(limits.admit("192.0.2.1")) for _ in range(4)], [False, False, False, True])
        limits.release("192.0.2.1")
        self.assertEqual(limits.admit("192.0.2.1"), "")

    def test_networks_have_three_and_nine_times_as_many(self) -> None:
        limits = ConnectionLimits(Clock(), per_address=2)
        refused = [bool(limits.admit(f"192.0.2.{i}")) for i in range(7)]
        self.assertEqual(refused, [False] * 6 + [True])
        limits = ConnectionLimits(Clock(), per_address=2)
        refused = [bool(limits.admit(f"192.0.{i}.1")) for i in range(19)]
        self.assertEqual(refused, [False] * 18 + [True])

    def test_an_ipv6_network_is_a_64_and_a_48(self) -> None:
        limits = ConnectionLimits(Clock(), per_address=2)
        self.assertEqual([bool(limits.admit("2001:db8::1")) for _ in range(3)], [False, False, True])
        limits = ConnectionLimits(Clock(), per_address=2)
        refused = [bool(limits.admit(f"2001:db8::{i}")) for i in range(1, 8)]
        self.assertEqual(refused, [False] * 6 + [True])
        limits = ConnectionLimits(Clock(), per_address=2)
        refused = [bool(limits.admit(f"2001:db8:0:{i}::1")) for i in range(1, 20)]
        self.assertEqual(refused, [False] * 18 + [True])

    def test_rate_per_minute(self) -> None:
        clock = Clock()
        limits = ConnectionLimits(clock, per_minute=5)
        for expected in [""] * 5 + ["Too many connections in a short time."] * 2:
            said = limits.admit("192.0.2.1")
            self.assertEqual(said, expected)
            if not said:
                limits.release("192.0.2.1")
        clock.advance(60)
        self.assertEqual(limits.admit("192.0.2.1"), "")

    def test_loopback_and_listed_networks_are_exempt(self) -> None:
        limits = ConnectionLimits(
            Clock(), per_address=1, per_minute=1, exempt=("127.0.0.0/8", "::1", "198.51.100.0/24")
        )
        for host in ("127.0.0.1", "::1", "198.51.100.7", "::ffff:198.51.100.7", ""):
            self.assertEqual([limits.admit(host) for _ in range(5)], [""] * 5, host)
            self.assertTrue(limits.exempt(host))
        self.assertFalse(limits.exempt("192.0.2.1"))

    def test_total_holds_for_all(self) -> None:
        limits = ConnectionLimits(Clock(), total=2)
        self.assertEqual([bool(limits.admit("127.0.0.1")) for _ in range(3)], [False, False, True])

    def test_the_tables_are_empty_again(self) -> None:
        clock = Clock()
        limits = ConnectionLimits(clock)
        hosts = ["192.0.2.1", "2001:db8::1", "127.0.0.1", "not an address"]
        for host in hosts:
            limits.admit(host)
        for host in hosts:
            limits.release(host)
        self.assertEqual((limits.open, limits._open), (0, {}))
        clock.advance(60)
        limits.admit("192.0.2.1")
        self.assertEqual(len(limits._recent), 3)


class RateDeadlineTests(SynchronousTestCase):
    def test_a_stall_uses_up_the_grace(self) -> None:
        deadline = RateDeadline(0, 300, 500)
        self.assertEqual(deadline.left(100), 200)
        self.assertEqual(deadline.left(300), 0)

    def test_bytes_give_time_back_but_never_more_than_the_grace(self) -> None:
        deadline = RateDeadline(0, 300, 500)
        deadline.received(100, 5000)
        self.assertEqual(deadline.left(100), 210)
        deadline.received(100, 10_000_000)
        self.assertEqual(deadline.left(100), 300)

    def test_our_own_time_is_excused(self) -> None:
        deadline = RateDeadline(0, 300, 500)
        deadline.excuse(1000)
        self.assertEqual(deadline.left(1000), 300)
