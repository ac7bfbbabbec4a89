"""The loop: order, bounds, time."""

from __future__ import annotations

import itertools
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import StorageFull, TryLater
from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.rates import PeerRates
from posthouse.smtp.session import HIGH_WATER
from tests.smtp.test_data import FORGED
from tests.support.smtp import FakeIntake, Peer

STRANGER = "192.0.2.7"

DIALOGUE = (
    b"EHLO client.example\r\n"
    b"MAIL FROM:<x@y.example> SIZE=50\r\n"
    b"RCPT TO:<alice@example.org>\r\n"
    b"RCPT TO:<nobody@example.org>\r\n"
    b"RCPT TO:<bob@example.org>\r\n"
    b"DATA\r\n"
    b"Subject: one\r\n\r\n..stuffed\r\n.\r\n"
    b"mail from: <> BODY=8BITMIME\r\n"
    b"RCPT TO:<alice@elsewhere.example>\r\n"
    b"RSET\r\n"
    b"MAIL FROM:<>\r\n"
    b"RCPT TO:<postmaster>\r\n"
    b"BDAT 10\r\na: b\r\n\r\n.\r\n"[:-1]
    + b"BDAT 4 LAST\r\n\nx\r\n"
    + b"BOGUS\r\nNOOP\r\nVRFY alice\r\n\r\nQUIT\r\n"
)
CODES = [250, 250, 250, 550, 250, 354, 250, 250, 550, 250, 250, 250, 250, 250, 500, 250, 252, 500, 221]


def codes(said: bytes) -> list[int]:
    return [int(line[:3]) for line in said.decode().splitlines() if line[3] == " "]


def slow_intake(clock: Clock, delays: list[float]) -> FakeIntake:
    """An intake whose answers take these times, in turn."""
    rest = list(delays)

    def later(what: str) -> Deferred[None] | None:
        delay = rest.pop(0) if rest else 0.0
        if not delay:
            return None
        waiting: Deferred[None] = Deferred(lambda ignored: call.cancel())
        call = clock.callLater(delay, waiting.callback, None)
        return waiting

    return FakeIntake(later=later)


class OrderTests(SynchronousTestCase):
    def test_the_dialogue_at_once(self) -> None:
        peer = Peer()
        said = peer.send(DIALOGUE)
        self.assertEqual(codes(said), CODES)
        self.assertEqual(next(body for _, body in peer.intake.accepted), b"Subject: one\r\n\r\n.stuffed\r\n")
        self.assertEqual([body for _, body in peer.intake.accepted][1], b"a: b\r\n\r\n.\r\nx\r\n")
        self.assertTrue(peer.wire.disconnecting)

    def test_every_split_in_two_answers_the_same(self) -> None:
        whole = Peer().send(DIALOGUE)
        for cut in range(len(DIALOGUE)):
            peer = Peer()
            self.assertEqual(peer.send(DIALOGUE[:cut]) + peer.send(DIALOGUE[cut:]), whole, cut)

    def test_byte_by_byte_answers_the_same(self) -> None:
        peer = Peer()
        said = b"".join(peer.send(DIALOGUE[i : i + 1]) for i in range(len(DIALOGUE)))
        self.assertEqual(said, Peer().send(DIALOGUE))

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(0, len(DIALOGUE)), max_size=8),
        st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=20),
        st.lists(st.sampled_from([0.0, 0.3, 2.0]), max_size=9),
    )
    def test_pipeline_order_async(self, cuts: list[int], delays: list[float], gaps: list[float]) -> None:
        whole = Peer().send(DIALOGUE)
        clock = Clock()
        peer = Peer(clock=clock, intake=slow_intake(clock, delays))
        borders = [0, *sorted(cuts), len(DIALOGUE)]
        said = b""
        for index, (start, stop) in enumerate(itertools.pairwise(borders)):
            said += peer.send(DIALOGUE[start:stop])
            clock.advance(gaps[index] if index < len(gaps) else 0)
            said += peer.read()
        for _ in range(60):
            clock.advance(0.5)
        said += peer.read()
        self.assertEqual(said, whole)
        self.assertEqual(len(peer.intake.accepted), 2)

    def test_rset_cancels_pending_rcpt(self) -> None:
        clock = Clock()
        peer = Peer(clock=clock, intake=slow_intake(clock, [0, 5.0]))
        peer.send(b"EHLO a\r\n")
        said = peer.send(
            b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nRSET\r\nMAIL FROM:<c@d.example>\r\n"
            b"RCPT TO:<bob@example.org>\r\nDATA\r\n"
        )
        self.assertEqual(codes(said), [250])
        clock.advance(5)
        self.assertEqual(codes(peer.read()), [250, 250, 250, 250, 354])
        peer.send(b"x: y\r\n.\r\n")
        envelope, _ = peer.intake.accepted[0]
        self.assertEqual([r.address for r in envelope.recipients], ["bob@example.org"])

    def test_pipelined_replies_leave_in_one_write(self) -> None:
        peer = Peer()
        peer.hello()
        before = peer.wire.writes
        peer.send(b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<alice@example.org>\r\n" * 50 + b"DATA\r\n")
        self.assertEqual(peer.wire.writes - before, 1)

    def test_an_exception_in_a_check_is_451_and_a_log_line(self) -> None:
        intake = FakeIntake(refuse={"recipient": ZeroDivisionError("secret")})
        peer = Peer(intake=intake)
        peer.hello()
        said = peer.lines("MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.org>", "NOOP")
        self.assertEqual(said[1], "451 4.3.0 Local error in processing.")
        self.assertEqual(said[2][:3], "250")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_second_reply_to_one_command_is_never_sent(self) -> None:
        peer = Peer()
        self.assertRaises(RuntimeError, peer.server.sendCode, 250, b"unasked")
        self.assertEqual(peer.read(), b"")


class SmugglingTests(SynchronousTestCase):
    def test_smuggle_in_body(self) -> None:
        for role, tls in (("mx", False), ("mx", True), ("submission", True), ("submissions", True)):
            for name, end in FORGED.items():
                peer = Peer(role, tls=tls)
                peer.hello() if role == "mx" else peer.login()
                peer.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")
                said = peer.send(b"a: b\r\n\r\nx" + end + b"MAIL FROM:<evil@b.example>\r\n.\r\n")
                self.assertRegex(said, rb"\A521 5\.5\.2 (bare LF|bare CR|NUL) received", name)
                self.assertEqual(peer.send(b"NOOP\r\n"), b"")
                self.assertTrue(peer.closed)
                self.assertEqual(peer.intake.accepted, [])

    def test_smuggle_in_commands(self) -> None:
        for command in (b"NOOP\n", b"NO\rOP\r\n", b"NOOP\0\r\n", b"NOOP\r\r\n", b"MAIL FROM:<a@b>\nRSET\r\n"):
            peer = Peer()
            peer.hello()
            self.assertRegex(peer.send(command), rb"\A521 5\.5\.2 ", command)
            self.assertTrue(peer.closed)

    def test_helo_lf_injection(self) -> None:
        peer = Peer()
        self.assertEqual(peer.send(b"HELO foo\nX-Evil: yes\r\n")[:3], b"521")
        peer = Peer()
        self.assertEqual(
            peer.codes("HELO a<b>", "HELO a\x0bb", "EHLO", "MAIL FROM:<a@b.example>"), [501, 501, 501, 503]
        )

    def test_envelope_lf_injection(self) -> None:
        peer = Peer()
        peer.hello()
        self.assertEqual(peer.codes('MAIL FROM:<"a\x0bX-Evil: 1"@b.example>'), [501])
        self.assertEqual(peer.send(b'MAIL FROM:<"a\nX-Evil: 1"@b.example>\r\n')[:3], b"521")

    def test_the_reply_survives_while_the_peer_goes_on_sending(self) -> None:
        peer = Peer()
        peer.send(b"NOOP\n")
        self.assertFalse(peer.wire.disconnecting)
        peer.send(b"x" * 100_000)
        peer.clock.advance(2)
        self.assertTrue(peer.wire.disconnecting)


class BoundTests(SynchronousTestCase):
    def test_long_line_is_not_command(self) -> None:
        for line in (b"NOOP " + b"x" * 3000 + b"\r\n", b"x" * 2049 + b"\r\nMAIL FROM:<a@b.example>\r\n"):
            for cut in (0, 100, 2048, 2060):
                peer = Peer()
                peer.hello()
                said = peer.send(line[:cut]) + peer.send(line[cut:])
                self.assertEqual(said, b"500 5.5.2 Line too long; closing the connection.\r\n")
                self.assertTrue(peer.closed)

    def test_lines_are_shorter_before_ehlo(self) -> None:
        self.assertEqual(Peer().send(b"NOOP " + b"x" * 505 + b"\r\n")[:3], b"250")
        self.assertEqual(Peer().send(b"NOOP " + b"x" * 506 + b"\r\n")[:3], b"500")

    def test_unterminated_line_bounded(self) -> None:
        peer = Peer()
        for _ in range(400):
            peer.server.dataReceived(b"x" * 65536)
            self.assertLessEqual(peer.server.buffered, 65536)
        self.assertEqual(peer.read().count(b"\r\n"), 1)

    def test_a_busy_session_pauses_its_peer(self) -> None:
        clock = Clock()
        peer = Peer(clock=clock, intake=slow_intake(clock, [1.0]))
        peer.hello()
        peer.send(b"MAIL FROM:<a@b.example>\r\n")
        peer.send(b"NOOP\r\n" * 1000)
        self.assertEqual(peer.wire.producerState, "producing")
        peer.send(b"NOOP\r\n" * 11000)
        self.assertGreaterEqual(peer.server.buffered, HIGH_WATER)
        self.assertEqual(peer.wire.producerState, "paused")
        clock.advance(1)
        self.assertEqual(peer.wire.producerState, "producing")

    def test_a_peer_that_does_not_read_gets_no_more_answers(self) -> None:
        peer = Peer()
        peer.hello()
        assert peer.wire.producer is not None
        peer.wire.producer.pauseProducing()
        self.assertEqual(peer.send(b"NOOP\r\n" * 20), b"")
        peer.wire.producer.resumeProducing()
        self.assertEqual(codes(peer.read()), [250] * 20)

    @settings(max_examples=80, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=80),
                st.sampled_from(
                    [
                        b"EHLO a\r\n",
                        b"MAIL FROM:<a@b.example>\r\n",
                        b"RCPT TO:<alice@example.org>\r\n",
                        b"DATA\r\n",
                    ]
                    + [
                        b"\r\n.\r\n",
                        b"BDAT 20\r\n",
                        b"BDAT 5 LAST\r\n",
                        b"AUTH PLAIN =\r\n",
                        b"AUTH LOGIN\r\n",
                        b"=\r\n",
                    ]
                    + [
                        b"RSET\r\n",
                        b"STARTTLS\r\n",
                        b"x" * 5000,
                        b"MAIL FROM:<> SIZE=99999999999\r\n",
                        b"\r\n",
                    ]
                ),
            ),
            max_size=25,
        ),
        st.sampled_from([("mx", False), ("mx", True), ("submission", False), ("submissions", True)]),
    )
    def test_any_bytes_give_replies_and_no_exception(
        self, blocks: list[bytes], where: tuple[str, bool]
    ) -> None:
        peer = Peer(where[0], tls=where[1])
        said = peer.greeting
        for block in blocks:
            said += peer.send(block)
            self.assertLess(peer.server.buffered, HIGH_WATER * 2)
            peer.clock.advance(1.0)
            said += peer.read()
        peer.lose()
        self.assertEqual(self.flushLoggedErrors(), [])
        for line in said.split(b"\r\n")[:-1]:
            self.assertRegex(line, rb"\A[2-5][0-9]{2}[ -][ -~]*\Z")
        self.assertEqual(peer.clock.getDelayedCalls(), [])


class TimeTests(SynchronousTestCase):
    def test_an_idle_peer_is_told_421(self) -> None:
        peer = Peer(idle_timeout=300.0)
        peer.clock.advance(299)
        self.assertEqual(peer.read(), b"")
        peer.clock.advance(1)
        self.assertEqual(peer.read()[:3], b"421")
        self.assertTrue(peer.wire.disconnecting)

    def test_a_trickled_command_does_not_reset_the_clock(self) -> None:
        peer = Peer(idle_timeout=300.0)
        for _ in range(299):
            peer.send(b"x")
            peer.clock.advance(1)
        self.assertFalse(peer.wire.disconnecting)
        peer.clock.advance(1)
        self.assertTrue(peer.wire.disconnecting)

    def test_complete_commands_do(self) -> None:
        peer = Peer(idle_timeout=300.0)
        for _ in range(5):
            peer.clock.advance(250)
            self.assertEqual(peer.codes("NOOP"), [250])

    def begin(self, **settings: Any) -> Peer:
        peer = Peer(idle_timeout=300.0, **settings)
        peer.hello()
        peer.codes("MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.org>", "DATA")
        return peer

    def test_a_byte_a_second_is_cut(self) -> None:
        peer = self.begin()
        for _ in range(302):
            peer.send(b"x")
            peer.clock.advance(1)
        self.assertEqual(peer.read(), b"")  # said within send
        self.assertTrue(peer.closed)
        self.assertEqual(peer.intake.accepted, [])
        self.assertTrue(peer.intake.spools[0]._discarded)

    def test_a_slow_but_honest_line_is_not(self) -> None:
        peer = self.begin(session_limit=100_000.0)
        for _ in range(100):
            peer.send(b"x" * 6000 + b"\r\n")
            peer.clock.advance(10)
        self.assertEqual(peer.send(b".\r\n")[:3], b"250")

    def test_our_own_slowness_is_not_the_peers(self) -> None:
        clock = Clock()
        peer = Peer(clock=clock, intake=slow_intake(clock, [1000.0]), session_limit=10_000.0)
        peer.hello()
        peer.send(b"MAIL FROM:<a@b.example>\r\n")
        for _ in range(10):
            clock.advance(100)
        self.assertEqual(peer.read()[:3], b"250")

    def test_a_session_does_not_last_for_ever(self) -> None:
        peer = Peer(session_limit=3600.0)
        for _ in range(36):
            peer.clock.advance(100)
            peer.send(b"NOOP\r\n")
        self.assertTrue(peer.closed)

    def test_the_message_on_its_way_may_end(self) -> None:
        peer = self.begin(session_limit=3600.0)
        for _ in range(3700 // 100):
            peer.send(b"x" * 60_000 + b"\r\n")
            peer.clock.advance(100)
        self.assertFalse(peer.wire.disconnecting)
        self.assertEqual(codes(peer.send(b".\r\nNOOP\r\n"))[0], 250)
        self.assertTrue(peer.closed)

    def test_a_message_that_is_being_kept_gets_its_answer(self) -> None:
        clock = Clock()
        peer = Peer(clock=clock, intake=slow_intake(clock, [0, 0, 150.0]), session_limit=100.0)
        peer.hello()
        peer.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nx: y\r\n.\r\n")
        clock.pump([50, 50])
        self.assertEqual(peer.read(), b"")
        clock.pump([50])
        self.assertEqual(codes(peer.read()), [250, 421])
        self.assertTrue(peer.closed)

    def test_a_lost_connection_leaves_nothing_behind(self) -> None:
        for delays in ([10.0], [0.0, 10.0]):
            clock = Clock()
            intake = slow_intake(clock, delays)
            peer = Peer(clock=clock, intake=intake)
            peer.hello()
            peer.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\n")
            peer.lose()
            self.assertEqual(clock.getDelayedCalls(), [])
            self.assertEqual(peer.factory.sessions, set())

    def test_a_connection_lost_while_the_intake_works_changes_nothing(self) -> None:
        clock = Clock()
        peer = Peer(clock=clock, intake=slow_intake(clock, [0, 0, 3.0]))
        peer.hello()
        peer.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nx: y\r\n.\r\n")
        peer.lose()
        clock.advance(3)
        self.assertEqual(len(peer.intake.accepted), 1)


class BudgetTests(SynchronousTestCase):
    def test_strangers_are_slowed_and_then_closed(self) -> None:
        peer = Peer(host=STRANGER)
        for _ in range(10):
            self.assertEqual(peer.codes("BOGUS"), [500])
        for _ in range(9):
            self.assertEqual(peer.send(b"BOGUS\r\n"), b"")
            peer.clock.advance(1)
            self.assertEqual(peer.read()[:3], b"500")
        said = peer.send(b"BOGUS\r\n")
        self.assertEqual(codes(said), [500, 421])

    def test_loopback_is_never_slowed(self) -> None:
        peer = Peer()
        self.assertEqual(peer.codes(*["BOGUS"] * 19), [500] * 19)
        peer.hello()
        peer.codes("MAIL FROM:<a@b.example>")
        self.assertEqual(peer.codes(*["RCPT TO:<nobody@example.org>"] * 99), [550] * 99)

    def test_guessing_names_is_slow(self) -> None:
        peer = Peer(host=STRANGER)
        peer.hello()
        peer.codes("MAIL FROM:<a@b.example>")
        self.assertEqual(peer.send(b"RCPT TO:<nobody@example.org>\r\n"), b"")
        peer.clock.advance(5)
        self.assertEqual(peer.read()[:3], b"550")
        self.assertEqual(
            peer.codes("RCPT TO:<alice@example.org>", "RCPT TO:<nobody@example.org>"), [250, 550]
        )

    def test_unknown_recipients_end_the_connection(self) -> None:
        peer = Peer(host=STRANGER, unknown_limit=3, unknown_delay=0.0)
        peer.hello()
        peer.codes("MAIL FROM:<a@b.example>", *["RCPT TO:<nobody@example.org>"] * 2)
        peer.send(b"RCPT TO:<alice@example.org>\r\nDATA\r\n")
        self.assertEqual(peer.send(b"x: y\r\n.\r\n")[:3], b"250")  # a message clears it
        peer.codes("MAIL FROM:<a@b.example>", *["RCPT TO:<nobody@example.org>"] * 2)
        self.assertEqual(codes(peer.send(b"RCPT TO:<nobody@example.org>\r\n")), [550, 421])
        self.assertTrue(peer.closed)

    def test_strangers_come_with_so_many_messages_recipients_and_guesses(self) -> None:
        clock = Clock()
        limits = ConnectionLimits(clock)
        rates = PeerRates(clock, limits, messages=2, recipients=3, unknown=4)

        def peer(host: str = STRANGER, role: str = "mx") -> Peer:
            one = Peer(role, host=host, clock=clock, limits=limits, rates=rates, unknown_delay=0.0, tls=True)
            one.hello() if role == "mx" else one.login()
            return one

        mail, good, bad = "MAIL FROM:<a@b.example>", "RCPT TO:<bob@example.org>", "RCPT TO:<no@example.org>"
        self.assertEqual(peer().codes(mail, "RSET", mail, "RSET", mail), [250, 250, 250, 250, 450])
        self.assertEqual(peer().codes(mail), [450])  # on another connection, too
        self.assertEqual(
            peer(role="submission").codes(mail, "RSET", mail), [250] * 3
        )  # but not who logged in
        self.assertEqual(peer("127.0.0.1").codes(*[mail, "RSET"] * 5), [250] * 10)
        clock.advance(60)
        self.assertEqual(peer().codes(mail, good, good, good, good), [250, 250, 250, 250, 450])
        clock.advance(60)
        self.assertEqual(peer().codes(mail, bad, bad, bad, bad), [250, 550, 550, 550, 450])
        clock.advance(60)
        self.assertEqual(peer().codes(mail, bad), [250, 550])
        self.assertEqual(peer().codes(mail), [421])
        self.assertEqual(peer("192.0.3.1").codes(mail), [250])
        clock.advance(3600)
        self.assertEqual(peer().codes(mail), [250])

    def test_junk_commands_are_counted(self) -> None:
        peer = Peer(host=STRANGER)
        said = peer.codes(*["NOOP"] * 119)
        self.assertEqual(set(said), {250})
        self.assertEqual(codes(peer.send(b"NOOP\r\n")), [421])

    def test_a_message_clears_the_budget(self) -> None:
        peer = Peer(host=STRANGER)
        peer.hello()
        for _ in range(4):
            peer.codes(*["BOGUS"] * 8, *["NOOP"] * 50)
            peer.send(b"MAIL FROM:<a@b.example>\r\n")
            peer.send(b"RCPT TO:<alice@example.org>\r\n")
            peer.send(b"DATA\r\n")
            self.assertEqual(peer.send(b"x: y\r\n.\r\n")[:3], b"250")

    def test_trouble_of_ours_does_not_count(self) -> None:
        peer = Peer(host=STRANGER, intake=FakeIntake(refuse={"recipient": TryLater()}))
        peer.hello()
        peer.codes("MAIL FROM:<a@b.example>")
        self.assertEqual(peer.codes(*["RCPT TO:<alice@example.org>"] * 50), [451] * 50)

    def test_other_protocols_are_turned_away(self) -> None:
        for line in (
            b"GET / HTTP/1.1\r\n",
            b"post / HTTP/1.0\r\n",
            b"CONNECT a:25 HTTP/1.1\r\n",
            b"\x16\x03\x01\x02",
        ):
            peer = Peer()
            self.assertEqual(peer.send(line)[:3], b"554", line)
            self.assertTrue(peer.closed)

    def test_strangers_must_wait_for_ehlo_and_data(self) -> None:
        peer = Peer(host=STRANGER)
        self.assertEqual(codes(peer.send(b"EHLO a\r\nMAIL FROM:<a@b.example>\r\n")), [554])
        self.assertTrue(peer.closed)
        peer = Peer(host=STRANGER)
        peer.hello()
        said = peer.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\nx: y\r\n.\r\n")
        self.assertEqual(codes(said), [250, 250, 554])
        self.assertTrue(peer.closed)

    def test_strangers_may_pipeline_what_rfc_2920_allows(self) -> None:
        peer = Peer(host=STRANGER)
        peer.hello()
        group = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n"
        self.assertEqual(codes(peer.send(group)), [250, 250, 354])
        self.assertEqual(codes(peer.send(b"x: y\r\n.\r\n" + group)), [250, 250, 250, 354])

    def test_enospc_gives_452(self) -> None:
        for where in ("recipient", "accept"):
            peer = Peer(intake=FakeIntake(refuse={where: StorageFull()}))
            peer.hello()
            said = peer.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\n")
            said += peer.send(b"DATA\r\n")
            said += peer.send(b"x: y\r\n.\r\n") if where == "accept" else b""
            self.assertTrue(re.search(rb"^452 4\.3\.1 ", said, re.M), said)
