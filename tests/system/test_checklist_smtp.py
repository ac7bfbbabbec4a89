"""The security checklist, as far as it is SMTP and logins: raw bytes to real ports. See docs/security.rst.

A stranger is somebody for whom a balancer speaks (RFC 5737 and RFC 3849 addresses); this machine has no limits.
"""

from __future__ import annotations

import itertools
import re
import socket
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import StorageFull
from tests.smtp.test_data import FORGED
from tests.smtp.test_session import CODES, DIALOGUE
from tests.support.fort import IDA, NOA, PASSWORD, STRANGER, Fort, Raw, fort_of, plain
from tests.support.ownloop import OwnServer
from tests.support.smtp import FakeIntake

MAIL, RCPT = b"MAIL FROM:<a@b.test>", f"RCPT TO:<{IDA}>".encode()
PORTS = (("smtp", False), ("smtp", True), ("submission", True), ("submissions", False))


class FortCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.fort: Fort = fort_of(__name__)
        self.addCleanup(self.fort.unharmed, self)

    def raw(self, service: str = "smtp", peer: str = "") -> Raw:
        line = self.fort.raw(service, peer)
        self.addCleanup(line.close)
        return line

    def ready(self, service: str = "smtp", tls: bool = False, peer: str = "") -> Raw:
        """After EHLO, inside TLS when wanted, logged in on the ports for users."""
        line = self.raw(service, peer)
        line.code(b"EHLO client.test")
        if tls:
            line.starttls().code(b"EHLO client.test")
        if service != "smtp":
            self.assertEqual(line.code(b"AUTH PLAIN " + plain(IDA, PASSWORD)), 235)
        return line


class SmuggleTests(FortCase):
    def test_smuggle_in(self) -> None:
        """Every forged end, in a body and in place of a command's end, on every port."""
        talks = []
        for service, tls in PORTS:
            sender = MAIL if service == "smtp" else f"MAIL FROM:<{IDA}>".encode()
            for name, end in FORGED.items():
                line = self.ready(service, tls)
                self.assertEqual(line.codes(sender, RCPT, b"DATA"), [250, 250, 354])
                line.send(b"a: b\r\n\r\nx" + end + b"MAIL FROM:<evil@b.test>\r\nRSET\r\n.\r\nNOOP\r\n")
                talks.append((service, f"{name} in a body", line))
                line = self.ready(service, tls).send(b"NOOP" + end + b"MAIL FROM:<evil@b.test>\r\n")
                talks.append((service, f"{name} in commands", line))
        for command in (b"NOOP\n", b"NO\rOP\r\n", b"NOOP\0\r\n", b"NOOP\r\r\n"):
            talks.append(("smtp", repr(command), self.ready().send(command + b"NOOP\r\n")))
        for service, name, line in talks:  # all at once: each lingers, so that its reply can be read
            *before, (code, text) = line.replies()
            self.assertEqual((code, text[:6]), (521, "5.5.2 "), (service, name))
            self.assertRegex(text, "bare LF|bare CR|NUL")
            # "NOOP" and an empty line may come before the flaw, and nothing else.
            self.assertIn([one for one, _ in before], ([], [250], [250, 500]), (service, name))
            if "body" in name:
                self.assertEqual(before, [], (service, name))

    def test_smuggle_in_chunks(self) -> None:
        """BDAT knows where it ends; what would be another end to the next server is refused all the same."""
        for name, end in FORGED.items():
            line = self.ready()
            line.codes(MAIL, RCPT)
            body = b"a: b\r\n\r\nx" + end + b"y\r\n"
            self.assertEqual(line.send(b"BDAT %d LAST\r\n" % len(body) + body).reply()[0], 554, name)

    def test_helo_lf_injection(self) -> None:
        self.assertEqual(self.raw().send(b"HELO foo\nX-Evil: yes\r\n").rest(), [521])
        for rest in (b"a<b>", b"a\x0bb", b"a b", b"a\tb", b"\xff"):
            self.assertIn(self.raw().code(b"EHLO " + rest), (500, 501), rest)

    def test_envelope_lf_injection(self) -> None:
        line = self.ready()
        for path in (b'"a\x0bX-Evil: 1"@b.test', b"a\x0b@b.test", b"a@b.test\x0b"):
            self.assertEqual(line.code(b"MAIL FROM:<" + path + b">"), 501, path)
        self.assertEqual(line.code(MAIL), 250)
        self.assertEqual(line.code(b'RCPT TO:<"a\x0bX-Evil: 1"@here.test>'), 501)
        self.assertEqual(self.ready().send(b'MAIL FROM:<"a\nX-Evil: 1"@b.test>\r\n').rest(), [521])

    def test_login_lf_injection(self) -> None:
        """A name is base64: it may hold anything, and the log is one object a line all the same."""
        line = self.raw("submissions")
        line.code(b"EHLO client.test")
        self.assertEqual(line.code(b"AUTH PLAIN " + plain("ida\r\nX-Evil: injected\r\n", "x")), 535)
        self.assertNotIn("\nX-Evil", self.fort.said())
        self.assertEqual(len(self.fort.events()), len(self.fort.said().splitlines()))


class StartTlsTests(FortCase):
    def test_starttls_inject_server(self) -> None:
        for service in ("smtp", "submission"):
            for peer in ("", STRANGER):
                line = self.raw(service, peer)
                line.code(b"EHLO client.test")
                line.send(b"STARTTLS\r\nRSET\r\nMAIL FROM:<injected@b.test>\r\nRCPT TO:<v")
                self.assertEqual(line.rest(), [554], (service, peer))

    def test_starttls_state_reset(self) -> None:
        line = self.raw()
        self.assertEqual(line.codes(b"EHLO client.test", MAIL, RCPT), [250] * 3)
        line.starttls()
        self.assertEqual(line.codes(b"DATA", RCPT, MAIL), [503] * 3)
        self.assertEqual(line.codes(b"EHLO client.test", RCPT, MAIL, RCPT), [250, 503, 250, 250])

    def test_no_starttls_inside_tls(self) -> None:
        for service, tls in PORTS[1:]:
            line = self.raw(service)
            if tls:
                self.assertIn("STARTTLS", line.send(b"EHLO client.test\r\n").reply()[1])
                line.starttls()
            self.assertNotIn("STARTTLS", line.send(b"EHLO client.test\r\n").reply()[1], service)
            self.assertEqual(line.code(b"STARTTLS"), 503)

    def test_half_open_handshakes_hold_nobody_up(self) -> None:
        """A hundred clients that begin TLS and say no more."""
        held = []
        for _ in range(100):
            held.append(socket.create_connection(("127.0.0.1", self.fort.ports["submissions"])))
            held[-1].sendall(b"\x16\x03\x01\x02\x00\x01")
            self.addCleanup(held[-1].close)
        began = time.monotonic()
        self.assertEqual(self.ready("submissions").code(b"NOOP"), 250)
        self.assertLess(time.monotonic() - began, 5)


class OrderTests(SynchronousTestCase):
    def own(self, **settings: Any) -> tuple[OwnServer, list[float]]:
        """A server whose checks take the times in the list, in turn."""
        delays: list[float] = []

        def later(what: str) -> Deferred[None] | None:
            delay = delays.pop(0) if delays else 0.0
            return deferLater(server.reactor, delay, lambda: None) if delay else None

        server = OwnServer(FakeIntake(later=later), ("127.0.0.0/8",), **settings)
        self.addCleanup(server.close)
        return server, delays

    def test_pipeline_order_async(self) -> None:
        """However long each check takes and however the bytes come: the replies are those of one by one."""
        server, delays = self.own()

        @settings(max_examples=25, deadline=None)
        @given(
            st.lists(st.integers(1, len(DIALOGUE) - 1), max_size=6),
            st.lists(st.sampled_from([0.0, 0.001, 0.005, 0.01]), max_size=12),
        )
        def check(cuts: list[int], chosen: list[float]) -> None:
            delays[:] = chosen
            line = server.raw()
            for first, last in itertools.pairwise([0, *sorted(set(cuts)), len(DIALOGUE)]):
                line.send(DIALOGUE[first:last])
            self.assertEqual(line.rest(), CODES)
            line.close()

        check()

    def test_rset_cancels_pending_rcpt(self) -> None:
        server, delays = self.own()
        line = server.raw()
        self.assertEqual(line.codes(b"EHLO client.test", MAIL), [250, 250])
        delays[:] = [0.2]
        line.send(
            b"RCPT TO:<alice@example.org>\r\nRSET\r\nMAIL FROM:<c@b.test>\r\nRCPT TO:<bob@example.org>\r\n"
        )
        self.assertEqual([line.reply()[0] for _ in range(4)], [250] * 4)
        self.assertEqual(line.code(b"DATA"), 354)
        self.assertEqual(line.code(b"x: y\r\n."), 250)
        ((envelope, _),) = server.intake.accepted
        self.assertEqual([one.address for one in envelope.recipients], ["bob@example.org"])

    def test_enospc_gives_452(self) -> None:
        for where in ("sender", "recipient", "accept"):
            server = OwnServer(FakeIntake(refuse={where: StorageFull()}), ("127.0.0.0/8",))
            self.addCleanup(server.close)
            line = server.raw()
            line.code(b"EHLO client.test")
            line.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@example.org>\r\n")
            said = [line.reply(), line.reply()]
            if where == "accept":
                self.assertEqual(line.code(b"DATA"), 354)
                said = [line.send(b"x: y\r\n.\r\n").reply()]
            self.assertIn((452, "4.3.1"), [(code, text[:5]) for code, text in said], where)

    def test_early_talker(self) -> None:
        """A stranger who does not wait where RFC 2920 says that he must is no mail server."""
        fort = fort_of(__name__)
        for said in (b"EHLO a.test\r\nMAIL FROM:<a@b.test>\r\n", b"HELO a.test\r\nNOOP\r\n"):
            self.assertEqual(fort.raw(peer=STRANGER).send(said).rest(), [554])
        line = fort.raw(peer=STRANGER)
        line.code(b"EHLO a.test")
        line.send(MAIL + b"\r\n" + RCPT + b"\r\nDATA\r\nx: y\r\n\r\nz\r\n.\r\n")
        self.assertEqual(line.rest(), [250, 250, 554])


class TimeTests(SynchronousTestCase):
    def own(self, **settings: Any) -> Raw:
        server = OwnServer(FakeIntake(), **settings)
        self.addCleanup(server.close)
        line = server.raw()
        self.addCleanup(line.close)
        return line

    def test_an_idle_client_is_cut(self) -> None:
        line = self.own(idle_timeout=0.3)
        self.assertEqual(line.send(b"NOO").rest(), [421])

    def test_a_trickle_is_cut(self) -> None:
        """Within a message by its rate, else by the time that one command takes."""
        line = self.own(idle_timeout=0.5, min_rate=1000)
        self.assertEqual(
            line.codes(b"EHLO a.test", MAIL, b"RCPT TO:<alice@example.org>", b"DATA"), [250, 250, 250, 354]
        )
        for _ in range(20):
            line.send(b"x")
            time.sleep(0.05)
        self.assertEqual(line.rest(), [421])

    def test_a_session_ends(self) -> None:
        line = self.own(session_limit=0.3)
        deadline = time.monotonic() + 20
        while line.code(b"NOOP") == 250:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertTrue(line.ended())

    def test_errors_are_slow_and_then_the_end(self) -> None:
        """10 at once, the next with a delay, 20 and it is over."""
        line = self.own(error_delay=0.1)
        began = time.monotonic()
        self.assertEqual(line.codes(*[b"BOGUS"] * 10), [500] * 10)
        soft = time.monotonic()
        self.assertEqual(line.codes(*[b"BOGUS"] * 9), [500] * 9)
        self.assertGreater(time.monotonic() - soft, 0.9)
        self.assertLess(soft - began, 0.9)
        self.assertEqual(line.send(b"BOGUS\r\n").rest(), [500, 421])

    def test_junk_commands_are_counted(self) -> None:
        line = self.own()
        self.assertEqual(line.send(b"NOOP\r\n" * 200).rest(), [250] * 119 + [421])

    def test_a_client_that_does_not_read(self) -> None:
        """Replies that nobody takes are not made."""
        server = OwnServer(FakeIntake(), ("127.0.0.0/8",), junk_limit=10**9)
        self.addCleanup(server.close)
        line = server.raw()
        self.addCleanup(line.close)
        line.socket.settimeout(1)
        try:
            for _ in range(2000):
                line.socket.sendall(b"VRFY x\r\n" * 1000)
        except TimeoutError:
            pass
        else:
            self.fail("the server read on")
        (session,) = server.factory.sessions
        self.assertLess(server.ask(lambda: session.buffered), 200_000)


class BoundTests(FortCase):
    def test_long_line_is_not_command(self) -> None:
        for data in (
            b"NOOP " + b"x" * 3000 + b"\r\nMAIL FROM:<a@b.test>\r\n",
            b"x" * 2049 + b"\r\nMAIL FROM:<a@b.test>\r\n",
            b"x" * 20_000 + b"\r\nMAIL FROM:<a@b.test>\r\n",
        ):
            self.assertEqual(self.ready().send(data).rest(), [500])
        line = self.ready("submissions")
        self.assertEqual(line.send(b"AUTH PLAIN " + b"A" * 20_000 + b"\r\nNOOP\r\n").rest()[-1], 500)

    def test_a_long_line_of_a_body_is_no_command(self) -> None:
        """Real mail has lines of a megabyte. Only the end of data ends it."""
        line = self.ready()
        self.assertEqual(line.codes(MAIL, RCPT, b"DATA"), [250, 250, 354])
        body = b"Subject: long\r\n\r\n" + b"x" * 1_000_000 + b"\r\nMAIL FROM:<evil@b.test>\r\nQUIT\r\n.\r\n"
        self.assertEqual(line.send(body).reply()[0], 250)
        self.assertEqual(line.code(RCPT), 503)

    def test_unterminated_line_bounded(self) -> None:
        before = self.fort.memory()
        for prepare in ((), (b"EHLO a.test",)):
            line = self.raw()
            line.codes(*prepare)
            self.assertEqual(line.send(b"x" * 65536).reply()[0], 500)
            for _ in range(320):
                line.send(b"x" * 65536)
            self.assertEqual(line.rest(), [])
        self.assertLess(self.fort.memory() - before, 15_000_000)

    def test_address_parser_linear(self) -> None:
        line = self.ready()
        line.code(MAIL)
        for local in (b"a." * 900, b'"' + b"\\a" * 900 + b'"', b"((" * 900, b"@a," * 600, b"a@" * 900):
            began = time.monotonic()
            self.assertIn(line.code(b"RCPT TO:<" + local + b"@here.test>"), (501, 550, 553))
            self.assertLess(time.monotonic() - began, 0.5)

    def test_size_is_refused_before_and_after(self) -> None:
        line = self.ready()
        self.assertEqual(line.code(b"MAIL FROM:<a@b.test> SIZE=99999999999"), 552)
        self.assertEqual(line.codes(MAIL, RCPT, b"DATA"), [250, 250, 354])
        before = self.fort.memory()
        chunk = (b"x" * 70 + b"\r\n") * 1000
        for _ in range(120):
            line.send(chunk)
        self.assertEqual(line.send(b".\r\n").reply()[0], 552)
        self.assertLess(self.fort.memory() - before, 15_000_000)
        self.assertEqual(line.code(b"NOOP"), 250)

    def test_non_smtp_first_line(self) -> None:
        for said in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST / HTTP/1.0\r\n\r\nMAIL FROM:<a@b.test>\r\n",
            b"CONNECT a.test:25 HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ):
            for service in ("smtp", "submission"):
                self.assertEqual(self.raw(service).send(said).rest(), [554], said)

    def test_small_commands(self) -> None:
        self.assertEqual(
            self.ready().codes(b"VRFY ida", b"EXPN everybody", b"HELP", b"NOOP", b"RSET", b"BOGUS", b"QUIT"),
            [252, 502, 214, 250, 250, 500, 221],
        )


class RelayTests(FortCase):
    def test_open_relay_table(self) -> None:
        paths = (
            "x@elsewhere.test",
            "@here.test:x@elsewhere.test",
            "@elsewhere.test,@here.test:x@elsewhere.test",
            "x%elsewhere.test@here.test",
            "elsewhere.test!x@here.test",
            "here.test!x@elsewhere.test",
            '"x@elsewhere.test"@here.test',
            '"x@elsewhere.test"',
            "x@[127.0.0.1]",
            "x@[203.0.113.9]",
            "x@[IPv6:::1]",
            "ida@127.0.0.1",
            "x@ELSEWHERE.test",
            "x@elsewhere.test.",
            "x@elsewhere.test@here.test",
            "ida@here.test@elsewhere.test",
            "ida@sub.here.test",
            "ida@xn--hre-hma.test",
            "x@",
            "@",
        )
        for sender in ("", "x@elsewhere.test", IDA, "root@here.test"):
            line = self.ready()  # this machine has no limits, and may relay as little as anybody
            self.assertEqual(line.code(f"MAIL FROM:<{sender}>".encode()), 250)
            for path in paths:
                self.assertIn(line.code(f"RCPT TO:<{path}>".encode()), (501, 550, 553), (sender, path))
            self.assertEqual(line.code(b"DATA"), 554)
        line = self.ready(peer="203.0.113.77")
        self.assertEqual(line.codes(b"MAIL FROM:<>", b"RCPT TO:<x@elsewhere.test>"), [250, 550])

    def test_ports_of_users_take_nothing_without_a_login(self) -> None:
        for service in ("submission", "submissions"):
            line = self.raw(service)
            line.code(b"EHLO client.test")
            if service == "submission":
                line.starttls().code(b"EHLO client.test")
            self.assertEqual(line.codes(MAIL, RCPT, b"DATA", b"BDAT 0 LAST"), [530, 503, 503, 503], service)


class LoginTests(FortCase):
    def web(self, peer: str, login: str, password: str) -> int:
        """Basic authentication over HTTPS; the status."""
        line = self.fort.raw("https", peer)
        token = b64encode(f"{login}:{password}".encode()).decode()
        path = f"/Microsoft-Server-ActiveSync?Cmd=FolderSync&User={quote(login)}&DeviceId=X1&DeviceType=X"
        line.send(
            f"OPTIONS {path} HTTP/1.1\r\nHost: mail.here.test\r\nAuthorization: Basic {token}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        first = line._line()
        line.close()
        assert first is not None
        return int(first.split(" ")[1])

    def smtp(self, peer: str, login: str, password: str) -> tuple[int, str]:
        line = self.fort.raw("submissions", peer)
        line.code(b"EHLO client.test")
        answer = line.send(b"AUTH PLAIN " + plain(login, password) + b"\r\n").reply()
        line.close()
        return answer

    def test_auth_before_tls_refused(self) -> None:
        line = self.raw("submission")
        self.assertNotIn("AUTH", line.send(b"EHLO client.test\r\n").reply()[1])
        self.assertEqual(
            line.codes(b"AUTH PLAIN " + plain(IDA, PASSWORD), b"AUTH PLAIN", b"AUTH LOGIN", MAIL),
            [538] * 3 + [530],
        )

    def test_no_auth_on_25(self) -> None:
        for tls in (False, True):
            line = self.ready("smtp", tls)
            self.assertNotIn("AUTH", line.send(b"EHLO client.test\r\n").reply()[1])
            self.assertEqual(line.codes(b"AUTH PLAIN " + plain(IDA, PASSWORD), b"AUTH LOGIN"), [503, 503])

    def test_one_auth_per_session(self) -> None:
        for service in ("submission", "submissions"):
            line = self.ready(service, service == "submission")
            self.assertEqual(line.code(b"AUTH PLAIN " + plain(NOA, PASSWORD)), 503)

    def test_three_failures_end_the_session(self) -> None:
        line = self.raw("submissions")
        line.code(b"EHLO client.test")
        wrong = b"AUTH PLAIN " + plain(IDA, "wrong")
        self.assertEqual(line.codes(wrong, wrong), [535, 535])
        self.assertEqual(line.send(wrong + b"\r\n").rest(), [421])

    def test_auth_throttle_shared_with_http_and_eas(self) -> None:
        """Ten wrong passwords by whatever door close all doors to that address, and to no other."""
        first, second, third = "203.0.113.40", "198.51.100.40", "192.0.2.40"
        for number in range(10):
            self.assertEqual(self.web(first, NOA, f"wrong {number}"), 401)
        self.assertEqual(self.smtp(first, NOA, PASSWORD)[0], 454)
        self.assertEqual(self.web(first, IDA, PASSWORD), 503)
        lines = [self.fort.raw("submissions", second) for _ in range(5)]
        for line in lines:  # side by side: each refusal takes a second
            self.addCleanup(line.close)
            line.code(b"EHLO client.test")
        for attempt in range(2):
            for number, line in enumerate(lines):
                line.send(b"AUTH PLAIN " + plain(f"user{number}@here.test", f"wrong {attempt}") + b"\r\n")
            self.assertEqual([line.reply()[0] for line in lines], [535] * 5)
        self.assertEqual(self.web(second, IDA, PASSWORD), 503)
        self.assertEqual(self.smtp(second, IDA, PASSWORD)[0], 454)
        self.assertEqual(self.smtp(third, IDA, PASSWORD)[0], 235)
        self.assertEqual(self.web(third, IDA, PASSWORD), 200)

    def test_auth_throttle_of_a_network(self) -> None:
        """Three times as many for an IPv6 /48: its /64 networks are addresses to us, a host owns one."""
        for number in range(30):
            self.assertEqual(
                self.web(f"2001:db8:77:{number:x}::1", f"u{number}@here.test", "wrong"), 401, number
            )
        self.assertEqual(self.web("2001:db8:77:ffff::1", IDA, PASSWORD), 503)
        self.assertEqual(self.web("2001:db8:78::1", IDA, PASSWORD), 200)

    def test_enum_timing(self) -> None:
        """Whether somebody exists can be told neither from words nor from the time that they take."""
        peer = "203.0.113.90"
        heard, times = set(), []
        for login in ("nobody@here.test", NOA, "nobody@elsewhere.test"):
            began = time.monotonic()
            code, text = self.smtp(peer, login, f"wrong for {login}")
            times.append(time.monotonic() - began)
            heard.add((code, text))
        self.assertEqual(len(heard), 1, heard)
        self.assertEqual(next(iter(heard))[0], 535)
        self.assertGreaterEqual(min(times), 1.0)
        self.assertLess(max(times) - min(times), 0.5)

    def test_enum_by_recipients(self) -> None:
        line = self.ready(peer="203.0.113.91")
        line.code(MAIL)
        began = time.monotonic()
        self.assertEqual(line.code(b"RCPT TO:<nobody@here.test>"), 550)
        self.assertGreater(time.monotonic() - began, 4.9)
        self.assertEqual(line.code(RCPT), 250)
        # From now on at once, but not for ever.
        line.send(b"".join(b"RCPT TO:<nobody%d@here.test>\r\n" % number for number in range(20)))
        self.assertEqual(line.rest(), [550] * 9 + [421])

    def test_secrets_are_not_in_the_log(self) -> None:
        self.smtp("", IDA, PASSWORD)
        self.smtp("", IDA, "a wrong and secret one")
        said = self.fort.said()
        for secret in (PASSWORD, "a wrong and secret", plain(IDA, PASSWORD).decode()):
            self.assertNotIn(secret, said)
        self.assertTrue(re.search("login_failed|535", said))
