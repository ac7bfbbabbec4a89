"""One reading of the addresses of peers."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from posthouse.peers import peer_address


class PeerTests(SynchronousTestCase):
    def test_both_families(self) -> None:
        for text in ("192.0.2.1", "2001:db8::1"):
            self.assertEqual(peer_address(text), ip_address(text))

    def test_ipv4_seen_through_ipv6_is_ipv4(self) -> None:
        self.assertEqual(peer_address("::ffff:192.0.2.1"), ip_address("192.0.2.1"))

    def test_a_zone_is_no_part_of_the_address(self) -> None:
        self.assertEqual(peer_address("fe80::1%eth0"), ip_address("fe80::1"))

    def test_what_is_no_address(self) -> None:
        for text in ("", "/run/socket", "192.0.2", "192.0.2.1.", "::ffff:1.2.3.4.5", "mail.example.org"):
            self.assertIsNone(peer_address(text), text)
