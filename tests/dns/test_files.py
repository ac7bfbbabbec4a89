"""resolv.conf and hosts."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.dns.files import ResolvConf, WatchedFile, parse_hosts, parse_resolv_conf, split_server


class FilesTests(SynchronousTestCase):
    def test_a_usual_file(self) -> None:
        text = (
            "# made by x\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example.org\n"
            "options timeout:2 attempts:3 trust-ad\n"
        )
        self.assertEqual(parse_resolv_conf(text), ResolvConf(("192.0.2.1", "2001:db8::1"), 2.0, 3, True))

    def test_strange_lines_are_skipped_and_values_bounded(self) -> None:
        text = (
            "nameserver\nnameserver not-an-ip\n; x\n\x00\n"
            "options timeout:999999999 attempts:0 timeout:x ndots\n"
            "nameserver 192.0.2.1 # first\nnameserver 192.0.2.1\n"
            + "".join(f"nameserver 192.0.2.{n}\n" for n in range(2, 9))
        )
        conf = parse_resolv_conf(text)
        self.assertEqual(conf.servers, ("192.0.2.1", "192.0.2.2", "192.0.2.3"))
        self.assertEqual((conf.timeout, conf.attempts), (30.0, 1))

    def test_nothing_means_the_local_resolver(self) -> None:
        self.assertEqual(parse_resolv_conf("").servers, ("127.0.0.1",))

    def test_hosts(self) -> None:
        found = parse_hosts(
            "127.0.0.1 localhost\n192.0.2.5 Relay relay.lan # x\n2001:db8::5 relay\nbad line\n"
        )
        self.assertEqual(found["relay"], ("192.0.2.5", "2001:db8::5"))
        self.assertNotIn("line", found)

    def test_a_changed_file_is_read_again_after_the_interval(self) -> None:
        clock = Clock()
        path = self.mktemp()
        watched = WatchedFile(path, parse_resolv_conf, clock.seconds)
        self.assertEqual(watched().servers, ("127.0.0.1",))
        with open(path, "w") as stream:
            stream.write("nameserver 192.0.2.1\n")
        self.assertEqual(watched().servers, ("127.0.0.1",))
        clock.advance(6)
        self.assertEqual(watched().servers, ("192.0.2.1",))
        os.remove(path)
        clock.advance(6)
        self.assertEqual(watched().servers, ("192.0.2.1",), "the last known servers stay")

    def test_servers_with_a_port(self) -> None:
        found = [
            split_server(text) for text in ("192.0.2.1", "127.0.0.1:5353", "::1", "[::1]:53", "fe80::1%eth0")
        ]
        self.assertEqual(
            found,
            [("192.0.2.1", 53), ("127.0.0.1", 5353), ("::1", 53), ("::1", 53), ("fe80::1%eth0", 53)],
        )
