"""Behind a balancer: whom it names is who is there, for SMTP and HTTPS, in limits, logs, SPF and Received.

The limits here are small ones, so that a stranger meets them.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import need
from tests.support.fort import BALANCER, IDA, NOA, PASSWORD, Fort, Raw, fort_of, plain, wrap

MAIL, RCPT = b"MAIL FROM:<a@b.test>", f"RCPT TO:<{IDA}>".encode()
V2 = b"\r\n\r\n\0\r\nQUIT\n"


class ProxiedCase(SynchronousTestCase):
    fort: Fort

    def setUp(self) -> None:
        self.fort = fort_of(
            __name__,
            "connections = 2",
            "connections_per_minute = 20",
            "messages_per_minute = 3",
            "recipients_per_minute = 6",
            "unknown_per_hour = 4",
            "unknown_recipients = 3",
            'exempt = ["203.0.113.200/29"]',
            listen=("https_connections = 10",),
        )
        self.addCleanup(self.fort.unharmed, self)

    def stranger(self, peer: str, service: str = "smtp") -> Raw:
        line = self.fort.raw(service, peer)
        self.addCleanup(line.close)
        return line

    def bare(self, service: str, *data: bytes) -> Raw:
        """From the balancer, with these bytes and nothing before them."""
        line = Raw(self.fort.ports[service], BALANCER)
        self.addCleanup(line.close)
        for one in data:
            line.send(one)
        return line

    def logged(self, peer: str) -> list[dict[str, Any]]:
        return [one for one in self.fort.events() if one.get("peer") == peer]


class HeaderTests(ProxiedCase):
    def test_both_versions_and_both_families(self) -> None:
        four = (
            V2
            + b"\x21\x11"
            + (12).to_bytes(2, "big")
            + bytes([203, 0, 113, 61, 192, 0, 2, 1, 18, 103, 0, 25])
        )
        six = socket.inet_pton(socket.AF_INET6, "2001:db8:61::2")
        six = V2 + b"\x21\x21" + (36 + 5).to_bytes(2, "big") + six + bytes(20) + b"\x04\0\x02\0\0"
        for header, peer in (
            (b"PROXY TCP4 203.0.113.60 192.0.2.1 4711 25\r\n", "203.0.113.60"),
            (b"PROXY TCP6 2001:DB8:60:0:0::1 ::1 4711 25\r\n", "2001:db8:60::1"),
            (four, "203.0.113.61"),
            (six, "2001:db8:61::2"),
        ):
            line = self.bare("smtp", header)
            self.assertEqual(line.reply()[0], 220)
            self.assertEqual(line.code(b"QUIT"), 221)
            self.fort.until(lambda peer=peer: self.logged(peer))

    def test_one_byte_at_a_time_and_all_in_one(self) -> None:
        header = b"PROXY TCP4 203.0.113.62 192.0.2.1 4711 25\r\n"
        line = self.bare("smtp")
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(header)):
            line.send(header[at : at + 1])
        self.assertEqual(line.reply()[0], 220)
        line = self.bare("smtp", header + b"NOOP\r\nQUIT\r\n")
        self.assertEqual(line.rest(), [220, 250, 221])

    def test_malformed_is_closed_without_a_word(self) -> None:
        for service in self.fort.ports:
            for data in (
                b"EHLO a.test\r\n",
                b"PROXY TCP4 127.0.0.1\r\n",
                b"PROXY TCP4 999.0.113.1 192.0.2.1 1 2\r\n",
                b"PROXY " + b"x" * 200,
                b"\x16\x03\x01\x02\0",
                V2 + b"\x31\x11\0\x0c" + bytes(12),
                V2 + b"\x21\x11\xff\xff",
                V2 + b"\x21\x11\0\x02ab",
            ):
                self.assertTrue(self.bare(service, data).ended(), (service, data))

    def test_a_header_that_does_not_come_is_not_waited_for(self) -> None:
        began = time.monotonic()
        lines = [self.bare(service) for service in self.fort.ports]
        lines += [self.bare("smtp", b"PROXY TCP4 203.0.113.1"), self.bare("smtp", V2 + b"\x21\x11\0\x0c")]
        self.assertEqual([line.ended() for line in lines], [True] * 6)
        self.assertGreater(time.monotonic() - began, 3)
        self.assertLess(time.monotonic() - began, 20)

    def test_a_header_of_others_is_not_interpreted(self) -> None:
        header = b"PROXY TCP4 203.0.113.63 192.0.2.1 4711 25\r\n"
        line = Raw(self.fort.ports["smtp"])
        self.addCleanup(line.close)
        line.send(header)
        self.assertEqual([line.reply()[0], line.reply()[0], line.code(b"NOOP")], [220, 500, 250])
        line = Raw(self.fort.ports["smtp"])
        self.addCleanup(line.close)
        self.assertEqual(line.send(V2 + b"\x21\x11\0\x0c" + bytes(12)).rest()[-1], 521)
        self.assertEqual(self.logged("203.0.113.63"), [])

    def test_a_health_check(self) -> None:
        for header in (b"PROXY UNKNOWN\r\n", V2 + b"\x20\x00\0\0"):
            self.assertEqual(self.bare("smtp", header, b"QUIT\r\n").rest(), [220, 221])

    def test_starttls_goes_on_as_ever(self) -> None:
        line = self.stranger("203.0.113.64", "submission")
        line.code(b"EHLO a.test")
        line.starttls().code(b"EHLO a.test")
        self.assertEqual(line.code(b"AUTH PLAIN " + plain(IDA, PASSWORD)), 235)
        self.assertEqual(
            [one["account"] for one in self.logged("203.0.113.64") if one.get("event") == "smtp.login"], [IDA]
        )


class OtherClientTests(ProxiedCase):
    def test_swaks_speaks_it_the_same_way(self) -> None:
        swaks = need("swaks")
        for version, family, host in (
            ("1", "TCP4", 70), ("1", "TCP6", 70), ("2", "AF_INET", 71), ("2", "AF_INET6", 71),
        ):  # fmt: skip
            six = family.endswith("6")
            peer = f"2001:db8:{host}::9" if six else f"203.0.113.{host}"
            done = subprocess.run(
                [
                    swaks, "--server", "127.0.0.1", "--port", str(self.fort.ports["smtp"]),
                    "--local-interface", BALANCER, "--from", "x@b.test", "--to", NOA,
                    "--header", f"Subject: swaks {version} {family}",
                    "--proxy-version", version, "--proxy-family", family,
                    "--proxy-source", peer, "--proxy-source-port", "4711",
                    "--proxy-dest", "2001:db8::1" if six else "192.0.2.1", "--proxy-dest-port", "25",
                ],
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, done.stdout[-1000:] + done.stderr[-500:])
            said = f"[IPv6:{peer}]" if six else f"[{peer}]"
            self.assertIn(said, self.fort.mail()[f"swaks {version} {family}"])


class MeaningTests(ProxiedCase):
    def test_spf_received_and_the_log(self) -> None:
        self.fort.dns.zone["sender.test", "TXT"] = ['"v=spf1 ip4:203.0.113.65 -all"']
        for peer, result in (("203.0.113.65", "pass"), ("203.0.113.66", "fail")):
            line = self.stranger(peer)
            line.code(b"EHLO mx.sender.test")
            self.assertEqual(
                line.codes(b"MAIL FROM:<x@sender.test>", f"RCPT TO:<{NOA}>".encode(), b"DATA"),
                [250, 250, 354],
            )
            text = f"From: x@sender.test\r\nTo: {NOA}\r\nSubject: from {peer}\r\n\r\nHello.\r\n.\r\n"
            self.assertEqual(line.send(text.encode()).reply()[0], 250)
            message = self.fort.mail()[f"from {peer}"]
            self.assertIn(f"spf={result}", message)
            self.assertRegex(message, rf"Received: from mx\.sender\.test \(\[{re.escape(peer)}\]\)")
            self.assertNotIn(BALANCER, message)
            line.code(b"QUIT")
            self.fort.until(lambda peer=peer: self.logged(peer))

    def test_https(self) -> None:
        peer = "203.0.113.67"
        line = self.bare("https", f"PROXY TCP4 {peer} 192.0.2.1 4711 443\r\n".encode())
        line.socket = wrap(line.socket)
        line.send(b"GET /nothing/here HTTP/1.1\r\nHost: mail.here.test\r\nConnection: close\r\n\r\n")
        self.assertIn("404", line._line() or "")
        self.fort.until(lambda: [one for one in self.logged(peer) if "/nothing/here" in one["message"]])


class LimitTests(ProxiedCase):
    def greeting(self, peer: str, service: str = "smtp") -> int:
        line = self.stranger(peer, service)
        return int(line.greeting[0])  # type: ignore[attr-defined]

    def test_open_connections_of_an_address_and_its_networks(self) -> None:
        self.assertEqual([self.greeting("198.18.1.1") for _ in range(3)], [220, 220, 421])
        self.assertEqual([self.greeting(f"198.18.1.{host}") for host in range(2, 8)], [220] * 4 + [421] * 2)
        self.assertEqual(self.greeting("198.18.2.1"), 220)
        wider = [self.greeting(f"198.18.{net}.1") for net in range(3, 20)]
        self.assertEqual(wider, [220] * 11 + [421] * 6)  # nine times two for the /16
        six = [self.greeting(f"2001:db8:5::{host:x}") for host in range(1, 9)]
        self.assertEqual(six, [220] * 6 + [421] * 2)

    def test_the_ports_share_the_count(self) -> None:
        self.assertEqual([self.greeting("198.19.1.1", name) for name in ("smtp", "submission")], [220, 220])
        header = b"PROXY TCP4 198.19.1.1 192.0.2.1 4711 25\r\n"
        # Inside TLS a word would cost the handshake that the limit is there to avoid.
        self.assertTrue(self.bare("submissions", header).ended())

    def test_connections_to_the_web(self) -> None:
        header = b"PROXY TCP4 198.19.2.1 192.0.2.1 4711 443\r\n"
        request = b"GET / HTTP/1.1\r\nHost: mail.here.test\r\n\r\n"
        lines = [self.bare("https", header) for _ in range(10)]
        for line in lines:
            line.socket = wrap(line.socket)
            self.assertIn("HTTP/1.1", line.send(request)._line() or "")
        self.assertTrue(self.bare("https", header).ended())
        lines[0].close()  # who leaves makes room
        self.fort.until(lambda: self._served(header, request))

    def _served(self, header: bytes, request: bytes) -> bool:
        line = self.bare("https", header)
        try:
            line.socket = wrap(line.socket)
        except OSError:
            return False
        return "HTTP/1.1" in (line.send(request)._line() or "")

    def test_connections_a_minute(self) -> None:
        found = []
        for _ in range(50):  # the minute may end in between, once
            line = self.fort.raw("smtp", "198.20.1.1")
            found.append(line.greeting[0])  # type: ignore[attr-defined]
            line.code(b"QUIT")
            line.close()
        self.assertEqual(found[:20], [220] * 20)
        self.assertIn(421, found)
        self.assertLessEqual(found.count(220), 40)

    def talk(self, peer: str, *commands: bytes) -> list[int]:
        line = self.fort.raw("smtp", peer)
        line.code(b"EHLO a.test")
        codes = line.codes(*commands)
        line.close()
        return codes

    def test_messages_a_minute(self) -> None:
        found = self.talk("198.21.1.1", *[MAIL, b"RSET"] * 8)[::2]
        self.assertEqual((found[:3], 450 in found), ([250] * 3, True))
        self.assertEqual(set(found), {250, 450})

    def test_recipients_a_minute(self) -> None:
        found = self.talk("198.22.1.1", MAIL, *[RCPT] * 14)[1:]
        self.assertEqual((found[:6], 450 in found, set(found)), ([250] * 6, True, {250, 450}))

    def test_unknown_recipients_on_one_connection_and_in_an_hour(self) -> None:
        line = self.stranger("198.23.1.1")
        self.assertEqual(
            line.codes(b"EHLO a.test", MAIL, RCPT), [250] * 3
        )  # with a good one, there is no delay
        line.send(b"RCPT TO:<no@here.test>\r\n" * 5)
        self.assertEqual(line.rest(), [550, 550, 550, 421])
        self.assertEqual(self.talk("198.23.1.1", MAIL, RCPT, b"RCPT TO:<no@here.test>"), [250, 250, 550])
        self.assertEqual(self.talk("198.23.1.1", MAIL), [421])
        self.assertEqual(self.talk("198.23.2.1", MAIL), [250])

    def test_listed_networks_and_this_machine_are_exempt(self) -> None:
        for peer in ("203.0.113.201", ""):
            lines = [self.fort.raw("smtp", peer) for _ in range(25)]
            self.assertEqual({line.greeting[0] for line in lines}, {220})  # type: ignore[attr-defined]
            lines[0].code(b"EHLO a.test")
            self.assertEqual(lines[0].codes(*[MAIL, b"RSET"] * 5), [250] * 10)
            self.assertEqual(lines[0].codes(MAIL, *[b"RCPT TO:<no@here.test>"] * 12), [250] + [550] * 12)
            for line in lines:
                line.close()

    def test_who_has_logged_in_has_limits_of_his_own(self) -> None:
        line = self.fort.raw("submissions", "198.24.1.1")
        line.code(b"EHLO a.test")
        self.assertEqual(line.code(b"AUTH PLAIN " + plain(IDA, PASSWORD)), 235)
        sender = f"MAIL FROM:<{IDA}>".encode()
        self.assertEqual(line.codes(*[sender, b"RSET"] * 6), [250] * 12)
        self.assertEqual(line.codes(sender, *[RCPT] * 10), [250] * 11)
        line.close()
