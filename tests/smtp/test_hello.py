"""EHLO, STARTTLS, AUTH."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import TooManyAttempts, TryLater
from posthouse.smtp.auth import Credentials
from tests.support.smtp import ALICE, PASSWORD, FakeAuthenticator, Peer


def plain(login: str = ALICE.address, password: bytes = PASSWORD, authzid: str = "") -> str:
    return b64encode(authzid.encode() + b"\0" + login.encode() + b"\0" + password).decode()


class HelloTests(SynchronousTestCase):
    def test_ehlo_on_25(self) -> None:
        self.assertEqual(
            Peer(size_limit=1234, max_recipients=77).hello(),
            ["PIPELINING", "SIZE 1234", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"]
            + ["LIMITS RCPTMAX=77", "STARTTLS"],
        )

    def test_requiretls_is_offered_inside_tls(self) -> None:
        for role in ("mx", "submission", "submissions"):
            self.assertIn("REQUIRETLS", Peer(role, tls=True).hello())
            if role != "submissions":
                self.assertNotIn("REQUIRETLS", Peer(role).hello())

    def test_auth_is_offered_inside_tls_on_user_ports_only(self) -> None:
        self.assertNotIn("AUTH PLAIN LOGIN", Peer("mx", tls=True).hello())
        self.assertNotIn("AUTH PLAIN LOGIN", Peer("submission").hello())
        self.assertIn("AUTH PLAIN LOGIN", Peer("submission", tls=True).hello())
        self.assertIn("AUTH PLAIN LOGIN", Peer("submissions").hello())
        self.assertIn("DSN", Peer("submissions").hello())

    def test_no_starttls_inside_tls(self) -> None:
        for role in ("mx", "submission", "submissions"):
            peer = Peer(role, tls=True)
            self.assertNotIn("STARTTLS", peer.hello())
            self.assertEqual(peer.codes("STARTTLS"), [503])

    def test_no_starttls_without_a_certificate(self) -> None:
        peer = Peer(context=None)
        self.assertNotIn("STARTTLS", peer.hello())
        self.assertEqual(peer.codes("STARTTLS"), [502])

    def test_helo(self) -> None:
        peer = Peer()
        self.assertEqual(peer.lines("HELO a.example"), ["250 mx.example.org"])
        self.assertEqual(peer.codes("MAIL FROM:<a@b.example> SIZE=1", "MAIL FROM:<a@b.example>"), [555, 250])

    def test_mail_needs_a_hello(self) -> None:
        self.assertEqual(Peer().codes("MAIL FROM:<a@b.example>"), [503])

    def test_small_commands(self) -> None:
        peer = Peer()
        self.assertEqual(
            peer.codes("NOOP x", "HELP", "VRFY alice", "VRFY", "EXPN list", "RSET", "TURN", "quit"),
            [250, 214, 252, 501, 502, 250, 500, 221],
        )

    def test_odd_computer_names_of_users_are_no_obstacle(self) -> None:
        peer = Peer("submissions")
        self.assertEqual(peer.send("EHLO Büro PC\r\n".encode())[:3], b"250")
        self.assertEqual(peer.server.helo, "unknown")

    def test_a_new_hello_forgets_the_transaction(self) -> None:
        peer = Peer()
        peer.hello()
        self.assertEqual(peer.codes("MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.org>"), [250, 250])
        peer.hello()
        self.assertEqual(peer.codes("DATA", "MAIL FROM:<a@b.example>", "DATA"), [503, 250, 554])


class StartTLSTests(SynchronousTestCase):
    def test_starttls(self) -> None:
        peer = Peer("submission")
        peer.hello()
        self.assertEqual(peer.lines("STARTTLS"), ["220 2.0.0 Ready to start TLS"])
        self.assertEqual(peer.wire.tls_started, ["context"])
        self.assertEqual(peer.login()[:3], "235")

    def test_starttls_inject_server(self) -> None:
        for rest in (b"RSET\r\nMAIL FROM:<injected@b.example>\r\nRCPT TO:<v", b"N", b"\x16\x03\x01"):
            peer = Peer()
            peer.hello()
            self.assertEqual(peer.send(b"STARTTLS\r\n" + rest)[:3], b"554")
            self.assertEqual(peer.wire.tls_started, [])
            self.assertEqual(peer.send(b"NOOP\r\n"), b"")
            self.assertTrue(peer.closed)

    def test_starttls_state_reset(self) -> None:
        peer = Peer()
        peer.hello()
        peer.codes("MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.org>", "STARTTLS")
        self.assertEqual(
            peer.codes("DATA", "RCPT TO:<alice@example.org>", "MAIL FROM:<a@b.example>"), [503, 503, 503]
        )
        peer.hello()
        self.assertEqual(peer.codes("DATA", "MAIL FROM:<a@b.example>"), [503, 250])

    def test_starttls_takes_no_argument(self) -> None:
        self.assertEqual(Peer().codes("STARTTLS now"), [501])


class AuthTests(SynchronousTestCase):
    def peer(self, **settings: Any) -> Peer:
        peer = Peer("submissions", **settings)
        peer.hello()
        return peer

    def test_plain_in_one_line(self) -> None:
        self.assertEqual(self.peer().lines(f"AUTH PLAIN {plain()}"), ["235 2.7.0 Authentication successful"])

    def test_plain_in_two_lines_and_any_case(self) -> None:
        self.assertEqual(self.peer().lines("auth plain", plain())[0], "334 ")
        self.assertEqual(self.peer().codes("auth plain", plain(authzid=ALICE.address)), [334, 235])

    def test_login_with_both_prompts(self) -> None:
        said = self.peer().lines(
            "AUTH LOGIN", b64encode(ALICE.address.encode()).decode(), b64encode(PASSWORD).decode()
        )
        self.assertEqual(
            said, ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 Authentication successful"]
        )

    def test_login_with_initial_response_as_outlook_does(self) -> None:
        user = b64encode(ALICE.address.encode()).decode()
        self.assertEqual(self.peer().codes(f"AUTH LOGIN {user}", b64encode(PASSWORD).decode()), [334, 235])

    def test_a_star_cancels(self) -> None:
        for mechanism in ("PLAIN", "LOGIN"):
            self.assertEqual(self.peer().codes(f"AUTH {mechanism}", "*", "NOOP"), [334, 501, 250])

    def test_malformed_is_501_and_the_session_lives(self) -> None:
        for response in (
            "=",
            "!!!",
            "AAAA",
            b64encode(b"a\0b").decode(),
            b64encode(b"a\0b\0c\0d").decode(),
            "YQ",
        ):
            peer = self.peer()
            self.assertEqual(peer.codes(f"AUTH PLAIN {response}", "NOOP"), [501, 250], response)
            self.assertEqual(peer.codes("AUTH PLAIN", response, "NOOP"), [334, 501, 250], response)
            self.assertEqual(peer.authenticator.asked, [])

    def test_refused_without_asking(self) -> None:
        for token in (
            plain(""),
            plain(password=b""),
            plain(authzid="bob@example.org"),
            b64encode(b"\0\xff\xfe\0x").decode(),
        ):
            peer = self.peer()
            peer.send(f"AUTH PLAIN {token}\r\n".encode())
            peer.clock.advance(1)
            self.assertEqual(peer.read()[:9], b"535 5.7.8")
            self.assertEqual(peer.authenticator.asked, [])

    def test_no_such_mechanism(self) -> None:
        self.assertEqual(self.peer().codes("AUTH CRAM-MD5", "AUTH", "AUTH  "), [504, 504, 504])

    def test_auth_before_tls_refused(self) -> None:
        peer = Peer("submission")
        peer.hello()
        self.assertEqual(peer.codes(f"AUTH PLAIN {plain()}", "AUTH LOGIN"), [538, 538])
        self.assertEqual(peer.codes("MAIL FROM:<alice@example.org>"), [530])
        self.assertEqual(peer.authenticator.asked, [])

    def test_never_on_25(self) -> None:
        for tls in (False, True):
            peer = Peer("mx", tls=tls)
            peer.hello()
            self.assertEqual(peer.codes(f"AUTH PLAIN {plain()}"), [503])

    def test_submission_needs_a_login(self) -> None:
        peer = self.peer()
        self.assertEqual(peer.lines("MAIL FROM:<alice@example.org>"), ["530 5.7.0 Authentication required"])

    def test_one_login_per_session(self) -> None:
        peer = self.peer()
        self.assertEqual(peer.codes(f"AUTH PLAIN {plain()}", f"AUTH PLAIN {plain()}"), [235, 503])

    def test_not_during_a_transaction(self) -> None:
        peer = self.peer()
        peer.server.account = ALICE
        peer.codes("MAIL FROM:<alice@example.org>")
        peer.server.account = None
        self.assertEqual(peer.codes(f"AUTH PLAIN {plain()}"), [503])

    def test_failure_is_slow_and_three_are_enough(self) -> None:
        peer = self.peer()
        for expected in (b"535 5.7.8", b"535 5.7.8", b"421 4.7.0"):
            self.assertEqual(peer.send(f"AUTH PLAIN {plain(password=b'no')}\r\n".encode()), b"")
            peer.clock.advance(0.9)
            self.assertEqual(peer.read(), b"")
            peer.clock.advance(0.1)
            self.assertEqual(peer.read()[:9], expected)
        self.assertTrue(peer.closed)

    def test_enum_timing(self) -> None:
        said = []
        for login in ("nobody@example.org", ALICE.address):
            peer = self.peer()
            peer.send(f"AUTH PLAIN {plain(login, b'no')}\r\n".encode())
            peer.clock.advance(1)
            said.append(peer.read())
        self.assertEqual(said[0], said[1])

    def test_temporary_trouble_is_454(self) -> None:
        for error, delay in ((TryLater(), 0), (TooManyAttempts(), 1)):
            authenticator = FakeAuthenticator()
            authenticator.error = error
            peer = self.peer(authenticator=authenticator)
            said = peer.send(f"AUTH PLAIN {plain()}\r\n".encode())
            peer.clock.advance(delay)
            self.assertEqual((said + peer.read())[:9], b"454 4.7.0")

    def test_nothing_happens_while_a_login_is_checked(self) -> None:
        waiting: Deferred[None] = Deferred()
        authenticator = FakeAuthenticator()
        authenticator.later = lambda login: waiting
        peer = self.peer(authenticator=authenticator)
        said = peer.send(f"AUTH PLAIN {plain()}\r\nMAIL FROM:<alice@example.org>\r\n".encode())
        self.assertEqual(said, b"")
        waiting.callback(None)
        self.assertEqual(peer.read(), b"235 2.7.0 Authentication successful\r\n250 2.1.0 Ok\r\n")

    def test_a_long_response_passes_and_a_longer_one_does_not(self) -> None:
        token = plain(password=b"x" * 4000)
        peer = self.peer()
        peer.send(f"AUTH PLAIN {token}\r\n".encode())
        peer.clock.advance(1)
        self.assertEqual(peer.read()[:3], b"535")
        self.assertEqual(peer.codes("AUTH PLAIN"), [334])
        self.assertEqual(peer.send(b"A" * 12287 + b"\r\n")[:3], b"500")

    def test_a_password_is_not_in_a_repr(self) -> None:
        self.assertNotIn("hunter2", repr(Credentials("a", b"hunter2")))

    def test_account_and_protocol_reach_the_envelope(self) -> None:
        peer = self.peer()
        peer.codes(
            f"AUTH PLAIN {plain()}", "MAIL FROM:<alice@example.org>", "RCPT TO:<x@elsewhere.example>", "DATA"
        )
        peer.send(b"x: y\r\n.\r\n")
        envelope, _ = peer.intake.accepted[0]
        self.assertEqual((envelope.protocol, envelope.account_id, envelope.tls), ("ESMTPSA", 1, "TLS"))
        self.assertEqual((envelope.helo, envelope.peer), ("client.example", "127.0.0.1"))
