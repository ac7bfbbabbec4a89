"""The transaction: MAIL, RCPT, DATA, BDAT."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, NotPermitted, OverQuota, StorageFull, TooLarge, TryLater
from posthouse.work.pool import HeldPool
from posthouse.work.spool import Spool
from tests.support.smtp import FakeIntake, Peer


def ready(role: str = "mx", **settings: Any) -> Peer:
    """A session in which one recipient was accepted."""
    peer = Peer(role, **settings)
    peer.hello() if role == "mx" else peer.login()
    peer.codes("MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.org>")
    return peer


class EnvelopeTests(SynchronousTestCase):
    def lines(self, *commands: str, role: str = "mx", **settings: Any) -> list[str]:
        peer = Peer(role, **settings)
        peer.hello() if role == "mx" else peer.login()
        return [line[:9] for line in peer.lines(*commands)]

    def test_mail_parameters(self) -> None:
        for parameters, expected in (
            ("", "250 2.1.0"),
            (" SIZE=1000", "250 2.1.0"),
            (" SIZE=1001", "552 5.3.4"),
            (" SIZE=1073741824", "552 5.3.4"),
            (" SIZE=" + "9" * 20, "552 5.3.4"),
            (" SIZE=" + "9" * 21, "501 5.5.4"),
            (" SIZE=-1", "501 5.5.4"),
            (" SIZE=", "501 5.5.4"),
            (" SIZE", "501 5.5.4"),
            (" BODY=7bit", "250 2.1.0"),
            (" BODY=8BITMIME SMTPUTF8", "250 2.1.0"),
            (" BODY=BINARYMIME", "501 5.5.4"),
            (" SMTPUTF8=yes", "501 5.5.4"),
            (" FOO=bar", "555 5.5.4"),
            (" RET=HDRS", "555 5.5.4"),
            (" AUTH=<>", "555 5.5.4"),
            ("SIZE=1", "501 5.5.4"),
        ):
            self.assertEqual(
                self.lines(f"MAIL FROM:<a@b.example>{parameters}", size_limit=1000), [expected], parameters
            )

    def test_requiretls_goes_with_the_envelope(self) -> None:
        self.assertEqual(self.lines("MAIL FROM:<a@b.example> REQUIRETLS"), ["530 5.7.1"])
        self.assertEqual(self.lines("MAIL FROM:<a@b.example> REQUIRETLS=1", tls=True), ["501 5.5.4"])
        for parameter in ("", " requiretls"):
            peer = Peer(tls=True)
            peer.hello()
            commands = [f"MAIL FROM:<a@b.example>{parameter}", "RCPT TO:<alice@example.org>", "DATA"]
            self.assertEqual(peer.codes(*commands), [250, 250, 354])
            peer.send(b"Subject: x\r\n\r\n.\r\n")
            ((envelope, _),) = peer.intake.accepted
            self.assertEqual(envelope.require_tls, bool(parameter))

    def test_dsn_parameters_on_submission(self) -> None:
        for command, expected in (
            ("MAIL FROM:<a@b.example> RET=HDRS ENVID=x+2By AUTH=<>", "250 2.1.0"),
            ("MAIL FROM:<a@b.example> RET=ALL", "501 5.5.4"),
            ("MAIL FROM:<a@b.example> ENVID=a+0", "501 5.5.4"),
            ("MAIL FROM:<a@b.example> ENVID=" + "a" * 101, "501 5.5.4"),
        ):
            self.assertEqual(self.lines(command, role="submissions"), [expected], command)
        said = self.lines(
            "MAIL FROM:<a@b.example>",
            "RCPT TO:<x@y.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@y.example",
            "RCPT TO:<x@y.example> NOTIFY=SOON",
            "RCPT TO:<x@y.example> ORCPT=x@y.example",
            role="submissions",
        )
        self.assertEqual(said, ["250 2.1.0", "250 2.1.5", "501 5.5.4", "501 5.5.4"])

    def test_bad_addresses(self) -> None:
        said = self.lines(
            "MAIL FROM:<a@b@c>",
            "MAIL FROM:<grå@b.example>",
            "MAIL FROM:<>",
            "RCPT TO:<>",
            "RCPT TO:<alice@example.org.>",
            "RCPT TO:<grå@example.org>",
            "RCPT TO:<alice@example.org> SIZE=1",
            "RCPT alice@example.org",
        )
        self.assertEqual(
            said,
            [
                "501 5.1.7",
                "553 5.6.7",
                "250 2.1.0",
                "501 5.1.3",
                "501 5.1.3",
                "553 5.6.7",
                "555 5.5.4",
                "501 5.5.4",
            ],
        )

    def test_smtputf8(self) -> None:
        peer = Peer(intake=FakeIntake(users=frozenset({"grå"})))
        peer.hello()
        self.assertEqual(
            peer.codes("MAIL FROM:<ü@b.example> SMTPUTF8", "RCPT TO:<grå@example.org>", "DATA"),
            [250, 250, 354],
        )
        peer.send("Subject: ü\r\n.\r\n".encode())
        envelope, _ = peer.intake.accepted[0]
        self.assertEqual(
            (envelope.protocol, envelope.smtputf8, envelope.sender), ("UTF8SMTP", True, "ü@b.example")
        )

    def test_a_command_that_is_not_utf8_is_refused(self) -> None:
        peer = Peer()
        peer.hello()
        self.assertEqual(peer.send(b"MAIL FROM:<\xff@b.example> SMTPUTF8\r\n")[:9], b"501 5.5.4")

    def test_open_relay_table(self) -> None:
        peer = Peer(unknown_delay=0.0)
        peer.hello()
        peer.codes("MAIL FROM:<>")
        for path in (
            "x@elsewhere.example",
            "@example.org:x@elsewhere.example",
            "x%elsewhere.example@example.org",
            "elsewhere.example!x@example.org",
            '"x@elsewhere.example"@example.org',
            "x@[127.0.0.1]",
            "x@ELSEWHERE.example",
            "x@elsewhere.example.",
            '"x@elsewhere.example"',
            "x@elsewhere.example@example.org",
        ):
            self.assertIn(peer.codes(f"RCPT TO:<{path}>")[0], (501, 550), path)
        self.assertEqual(peer.codes("DATA"), [554])

    def test_order_of_commands(self) -> None:
        said = self.lines(
            "RCPT TO:<alice@example.org>", "DATA", "MAIL FROM:<>", "MAIL FROM:<>", "DATA", "DATA x"
        )
        self.assertEqual(said, ["503 5.5.1", "503 5.5.1", "250 2.1.0", "503 5.5.1", "554 5.5.1", "501 5.5.4"])

    def test_recipients_are_limited(self) -> None:
        said = self.lines(
            "MAIL FROM:<>",
            *["RCPT TO:<alice@example.org>"] * 1,
            "RCPT TO:<bob@example.org>",
            max_recipients=1,
        )
        self.assertEqual(said, ["250 2.1.0", "250 2.1.5", "452 4.5.3"])

    def test_the_same_recipient_twice_is_one(self) -> None:
        peer = ready()
        peer.codes("RCPT TO:<alice@example.org>", "DATA")
        peer.send(b"x: y\r\n.\r\n")
        self.assertEqual(len(peer.intake.accepted[0][0].recipients), 1)

    def test_the_intake_decides_about_the_sender(self) -> None:
        peer = Peer("submissions", intake=FakeIntake(refuse={"sender": NotPermitted("Not your address.")}))
        peer.login()
        self.assertEqual(peer.lines("MAIL FROM:<bob@example.org>"), ["550 5.7.1 Not your address."])
        self.assertEqual(peer.codes("RCPT TO:<alice@example.org>"), [503])

    def test_quota(self) -> None:
        peer = Peer(intake=FakeIntake(refuse={"recipient": OverQuota()}))
        peer.hello()
        self.assertEqual(peer.lines("MAIL FROM:<>", "RCPT TO:<alice@example.org>")[1][:9], "452 4.2.2")


class DataTests(SynchronousTestCase):
    def test_a_message(self) -> None:
        peer = ready()
        self.assertEqual(peer.codes("DATA"), [354])
        self.assertEqual(peer.send(b"x: y\r\n\r\nbody\r\n.\r\n"), b"250 2.0.0 Ok: queued as Q1\r\n")
        envelope, body = peer.intake.accepted[0]
        self.assertEqual(body, b"x: y\r\n\r\nbody\r\n")
        self.assertEqual(
            (envelope.sender, envelope.protocol, envelope.cid), ("a@b.example", "ESMTP", peer.server.cid)
        )

    def test_any_line_length(self) -> None:
        peer = ready()
        peer.codes("DATA")
        body = b"x" * 3_000_000 + b"\r\n"
        for start in range(0, len(body), 65536):
            peer.send(body[start : start + 65536])
        self.assertEqual(peer.send(b".\r\n")[:3], b"250")
        self.assertEqual(peer.intake.accepted[0][1], body)

    def test_too_much_is_read_to_its_end_without_memory(self) -> None:
        peer = ready(size_limit=100_000)
        peer.codes("DATA")
        for _ in range(4):
            self.assertEqual(peer.send(b"x" * 65534 + b"\r\n"), b"")
            self.assertLess(len(peer.intake.spools[0]._blocks), 4)
        self.assertEqual(peer.intake.spools[0]._blocks, [])
        self.assertEqual(
            peer.send(b".\r\nNOOP\r\n"), b"552 5.3.4 Message size exceeds the limit\r\n250 2.0.0 Ok\r\n"
        )
        self.assertEqual(peer.intake.accepted, [])

    def test_much_too_much_is_cut(self) -> None:
        peer = ready(size_limit=1000)
        peer.codes("DATA")
        self.assertEqual(peer.send(b"x" * 4100)[:9], b"552 5.3.4")
        self.assertTrue(peer.closed)

    def test_what_the_intake_says_is_the_answer(self) -> None:
        for error, expected in (
            (TryLater(), b"451 4.3.0"),
            (StorageFull(), b"452 4.3.1"),
            (Malformed(), b"554 5.6.0"),
            (TooLarge(), b"552 5.3.4"),
        ):
            peer = ready(intake=FakeIntake(refuse={"accept": error}))
            peer.codes("DATA")
            self.assertEqual(peer.send(b"x: y\r\n.\r\n")[:9], expected)
            self.assertEqual(peer.codes("MAIL FROM:<a@b.example>"), [250])

    def test_the_spool_slows_the_peer_down(self) -> None:
        pool = HeldPool()
        intake = FakeIntake()
        intake.make_spool = lambda: Spool(".", pool, 1000, reserve=0)
        peer = ready(intake=intake)
        peer.codes("DATA")
        peer.send(b"x" * 2000 + b"\r\n")
        self.assertEqual(peer.wire.producerState, "paused")
        peer.send(b"y" * 10 + b"\r\n.\r\nNOOP\r\n")
        self.assertEqual(peer.read(), b"")
        while pool.waiting:
            pool.step()
        self.assertEqual(peer.wire.producerState, "producing")
        self.assertEqual(peer.read(), b"250 2.0.0 Ok: queued as Q1\r\n250 2.0.0 Ok\r\n")
        self.assertEqual(intake.accepted[0][1], b"x" * 2000 + b"\r\n" + b"y" * 10 + b"\r\n")

    def test_a_failing_spool_is_answered_at_the_end(self) -> None:
        for where in ("directory that is not there", "write"):
            intake = FakeIntake(directory="/nonexistent/spool", memory_limit=10)
            if where == "write":

                class Broken(Spool):
                    def write(self, block: bytes) -> Deferred[None] | None:
                        raise StorageFull()

                intake.make_spool = lambda: Broken(".", HeldPool())
            peer = ready(intake=intake)
            peer.codes("DATA")
            self.assertEqual(peer.send(b"x" * 2000 + b"\r\n"), b"")
            self.assertIn(peer.send(b".\r\n")[:3], (b"451", b"452"), where)
            self.assertEqual(peer.codes("NOOP"), [250])

    def test_a_connection_lost_in_the_middle_leaves_no_spool(self) -> None:
        for held in (False, True):
            pool = HeldPool()
            spool = Spool(".", pool, 10 if held else 10_000, reserve=0)
            intake = FakeIntake()
            intake.make_spool = lambda spool=spool: spool  # type: ignore[misc]
            peer = ready(intake=intake)
            peer.codes("DATA")
            peer.send(b"x" * 100 + b"\r\n")
            peer.lose()
            while pool.waiting:
                pool.step()
            self.assertEqual((spool._fd, spool._blocks), (-1, []))
            self.assertEqual(intake.accepted, [])
            self.assertEqual(peer.clock.getDelayedCalls(), [])


class ChunkingTests(SynchronousTestCase):
    def test_chunks(self) -> None:
        peer = ready()
        self.assertEqual(peer.send(b"BDAT 6\r\nx: y\r\n"), b"250 2.0.0 6 octets received\r\n")
        self.assertEqual(peer.send(b"BDAT 0\r\n"), b"250 2.0.0 0 octets received\r\n")
        self.assertEqual(peer.send(b"BDAT 7 LAST\r\n\r\n.\r\n.x"), b"250 2.0.0 Ok: queued as Q1\r\n")
        self.assertEqual(peer.intake.accepted[0][1], b"x: y\r\n\r\n.\r\n.x")

    def test_an_empty_last_chunk(self) -> None:
        peer = ready()
        said = peer.send(b"BDAT 6\r\nx: y\r\nBDAT 0 LAST\r\n")
        self.assertEqual(said.count(b"\r\n"), 2)
        self.assertEqual(peer.intake.accepted[0][1], b"x: y\r\n")

    def test_data_cannot_follow(self) -> None:
        peer = ready()
        peer.send(b"BDAT 6\r\nx: y\r\n")
        self.assertEqual(
            peer.codes("DATA", "RCPT TO:<bob@example.org>", "RSET", "NOOP"), [503, 503, 250, 250]
        )
        self.assertTrue(peer.intake.spools[0]._discarded)

    def test_a_refused_chunk_is_drained(self) -> None:
        peer = Peer()
        peer.hello()
        self.assertEqual(peer.send(b"BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n").count(b"\r\n"), 2)
        peer.codes("MAIL FROM:<>")
        said = peer.send(b"BDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n")
        self.assertEqual([line[:3] for line in said.splitlines()], [b"554", b"554", b"250"])

    def test_a_declared_gigabyte_is_refused_at_once(self) -> None:
        peer = ready()
        self.assertEqual(peer.send(b"BDAT 1073741824 LAST\r\n")[:9], b"552 5.3.4")
        self.assertTrue(peer.closed)

    def test_too_much_is_drained(self) -> None:
        peer = ready(size_limit=100)
        said = peer.send(
            b"BDAT 90\r\n" + b"x" * 90 + b"BDAT 20\r\n" + b"x" * 20 + b"BDAT 1 LAST\r\nxNOOP\r\n"
        )
        self.assertEqual([line[:3] for line in said.splitlines()], [b"250", b"552", b"552", b"250"])
        self.assertEqual(peer.intake.accepted, [])

    def test_an_argument_that_cannot_be_followed_closes(self) -> None:
        for rest in (b"", b" x", b" -5", b" 5 FIRST"):
            peer = ready()
            self.assertEqual(peer.send(b"BDAT" + rest + b"\r\n")[:3], b"501")
            self.assertTrue(peer.closed)

    def test_bare_line_ends_are_refused(self) -> None:
        for body in (b"a: b\nc: d", b"a: b\rc: d", b"a\0b", b"a: b\r"):
            peer = ready()
            said = peer.send(b"BDAT %d LAST\r\n%s" % (len(body), body))
            self.assertEqual(said[:9], b"554 5.6.0")
            self.assertEqual(peer.codes("MAIL FROM:<a@b.example>"), [250])

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0, 40), max_size=6), st.lists(st.integers(0, 400), max_size=6))
    def test_any_chunks_at_any_splits_make_the_same_message(self, sizes: list[int], cuts: list[int]) -> None:
        message = b"Subject: x\r\n\r\n.\r\n..\r\nNOOP\r\nQUIT\r\n" * 3
        wire, start = b"", 0
        for size in sizes:
            piece = message[start : start + size]
            wire += b"BDAT %d\r\n%s" % (len(piece), piece)
            start += len(piece)
        wire += b"BDAT %d LAST\r\n%s" % (len(message) - start, message[start:])
        peer = ready()
        borders = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
        said = b"".join(peer.send(wire[a:b]) for a, b in itertools.pairwise(borders))
        self.assertEqual(said.count(b"\r\n"), len(sizes) + 1)
        self.assertEqual(peer.intake.accepted[0][1], message)
