"""Who guesses is held back; who belongs here is not."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.auth.throttle import Throttle, address_keys
from posthouse.errors import TooManyAttempts


class ThrottleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.throttle = Throttle(self.clock, exempt=["10.0.0.0/8"], size=100)

    def _fail(self, times: int, peer: str = "192.0.2.1", account: int | str = 1) -> None:
        for _ in range(times):
            self.throttle.failed(peer, account)

    def _after(self, peer: str, account: int | str) -> float:
        """Seconds to wait; 0 when the attempt is welcome."""
        try:
            self.throttle.check(peer, account)
        except TooManyAttempts as error:
            return error.after
        return 0.0

    def test_ten_failures_a_minute_from_one_address(self) -> None:
        self._fail(9)
        self.assertEqual(self._after("192.0.2.1", 2), 0)
        self._fail(1)
        self.assertEqual(self._after("192.0.2.1", 2), 60)
        self.assertRaises(TooManyAttempts, self.throttle.check_address, "192.0.2.1")
        self.throttle.check_address("192.0.2.2")
        self.clock.advance(61)
        self.assertEqual(self._after("192.0.2.1", 2), 0)

    def test_fifty_failures_a_day_from_one_address(self) -> None:
        for account in range(50):
            self._fail(1, account=account)
            self.clock.advance(30)
        self.assertGreater(self._after("192.0.2.1", 99), 80_000)
        self.clock.advance(86_400)
        self.assertEqual(self._after("192.0.2.1", 99), 0)

    def test_a_network_has_three_times_the_limit(self) -> None:
        for host in range(30):
            self._fail(1, f"192.0.2.{host}", host)
        self.assertGreater(self._after("192.0.2.200", 99), 0)
        self.assertEqual(self._after("192.0.3.1", 99), 0)

    def test_ipv6_counts_by_64(self) -> None:
        for host in range(10):
            self._fail(1, f"2001:db8::{host + 1:x}", host)
        self.assertGreater(self._after("2001:db8::ffff", 99), 0)
        self.assertEqual(self._after("2001:db8:0:1::1", 99), 0)

    def test_a_mapped_ipv4_address_is_the_ipv4_address(self) -> None:
        self.assertEqual(address_keys("::ffff:192.0.2.1"), address_keys("192.0.2.1"))

    def test_an_account_gets_a_growing_delay_whatever_the_address(self) -> None:
        for host in range(20):
            self._fail(1, f"198.51.{host}.1", "ann")
        self.assertEqual(self._after("203.0.113.1", "ann"), 30)
        self.assertEqual(self._after("203.0.113.1", "bob"), 0)
        self._fail(1, "198.51.100.1", "ann")
        self.assertEqual(self._after("203.0.113.1", "ann"), 60)
        self._fail(12, "198.51.101.1", "ann")
        self.assertEqual(self._after("203.0.113.1", "ann"), 3600)

    def test_a_success_clears(self) -> None:
        self._fail(9)
        self.throttle.succeeded("192.0.2.1", 1)
        self._fail(9, account=2)
        self.assertEqual(self._after("192.0.2.1", 3), 0)

    def test_a_known_phone_is_not_shut_out_by_an_attack_on_its_account(self) -> None:
        self.throttle.succeeded("192.0.2.1", "ann")
        for host in range(40):
            self._fail(1, f"198.51.{host}.1", "ann")
        self.assertGreater(self._after("203.0.113.1", "ann"), 0)
        self.assertEqual(self._after("192.0.2.1", "ann"), 0)

    def test_a_known_phone_is_not_shut_out_by_its_neighbours(self) -> None:
        self.throttle.succeeded("192.0.2.1", "ann")
        self._fail(30, account="bob")
        self.assertGreater(self._after("192.0.2.1", "bob"), 0)
        self.assertEqual(self._after("192.0.2.1", "ann"), 0)
        self.throttle.check_address("192.0.2.1")

    def test_a_known_address_answers_for_itself(self) -> None:
        self.throttle.succeeded("192.0.2.1", "ann")
        self._fail(10, account="ann")
        self.assertGreater(self._after("192.0.2.1", "ann"), 0)

    def test_trust_ends(self) -> None:
        self.throttle.succeeded("192.0.2.1", "ann")
        self.clock.advance(8 * 86_400)
        self._fail(10, account="bob")
        self.assertGreater(self._after("192.0.2.1", "ann"), 0)
        self.assertRaises(TooManyAttempts, self.throttle.check_address, "192.0.2.1")

    def test_loopback_listed_networks_and_inside_are_exempt(self) -> None:
        for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", ""):
            self._fail(100, peer)
            self.assertEqual(self._after(peer, 1), 0, peer)
            self.throttle.check_address(peer)
        self.assertEqual(self._after("192.0.2.1", 1), 0)

    def test_a_peer_that_is_no_address_is_counted_too(self) -> None:
        self._fail(10, "unix")
        self.assertGreater(self._after("unix", 1), 0)

    def test_memory_is_bounded(self) -> None:
        for number in range(1000):
            self._fail(1, f"10{number % 10}.{number % 256}.{number // 4}.1", f"user{number}")
            self.throttle.succeeded(f"2001:db8:{number:x}::1", number)
        for kept in (
            self.throttle._addresses,
            self.throttle._accounts,
            self.throttle._pairs,
            self.throttle._trusted,
            self.throttle._known,
        ):
            self.assertLessEqual(len(kept), 100)
