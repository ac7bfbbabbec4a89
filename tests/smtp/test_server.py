"""The factory: limits, ids, shutdown; and one real handshake."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.server import SMTPFactory, SmtpSettings
from tests.support.smtp import FakeAuthenticator, FakeIntake, Peer, Wire, _Address


class FactoryTests(SynchronousTestCase):
    def factory(self, role: str, limits: ConnectionLimits) -> SMTPFactory:
        settings = SmtpSettings(role=role, hostname="mx.example.org")
        return SMTPFactory(settings, FakeIntake(), FakeAuthenticator(), None, Clock(), limits)

    def test_over_the_limit_is_421_and_goodbye(self) -> None:
        limits = ConnectionLimits(Clock(), per_address=1)
        factory = self.factory("mx", limits)
        self.assertIsNotNone(factory.buildProtocol(_Address("192.0.2.1")))
        refusal = factory.buildProtocol(_Address("192.0.2.1"))
        assert refusal is not None
        wire = Wire()
        refusal.makeConnection(wire)
        self.assertEqual(wire.value(), b"421 4.7.0 Too many connections from your network.\r\n")
        self.assertTrue(wire.disconnecting)

    def test_inside_tls_over_the_limit_is_just_closed(self) -> None:
        factory = self.factory("submissions", ConnectionLimits(Clock(), total=0))
        self.assertIsNone(factory.buildProtocol(_Address("192.0.2.1")))

    def test_an_ended_session_gives_its_place_back(self) -> None:
        limits = ConnectionLimits(Clock(), per_address=1)
        for _ in range(3):
            peer = Peer(host="192.0.2.1", limits=limits)
            peer.lose()
            peer.server.connectionLost()
            self.assertEqual(limits.open, 0)

    def test_connection_ids_differ(self) -> None:
        factory = self.factory("mx", ConnectionLimits(Clock()))
        self.assertEqual(len({factory.next_cid() for _ in range(50)}), 50)

    def test_an_unknown_role_is_refused(self) -> None:
        self.assertRaises(ValueError, self.factory, "smtps", ConnectionLimits(Clock()))

    def test_shutdown_between_messages(self) -> None:
        peer = Peer()
        closed = peer.factory.close_all()
        self.assertEqual(peer.read()[:9], b"421 4.3.2")
        self.assertNoResult(closed)
        peer.lose()
        self.successResultOf(closed)

    def test_shutdown_lets_a_message_end(self) -> None:
        peer = Peer()
        peer.hello()
        peer.codes("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        closed = peer.factory.close_all(grace=10)
        self.assertFalse(peer.wire.disconnecting)
        said = peer.send(b"x: y\r\n.\r\nNOOP\r\n")
        self.assertEqual([line[:9] for line in said.splitlines()], [b"250 2.0.0", b"421 4.3.2"])
        peer.lose()
        self.successResultOf(closed)
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_shutdown_does_not_wait_for_an_envelope(self) -> None:
        for commands in (["MAIL FROM:<>"], ["MAIL FROM:<>", "RCPT TO:<alice@example.org>"]):
            peer = Peer()
            peer.hello()
            peer.codes(*commands)
            peer.factory.close_all(grace=10)
            self.assertEqual(peer.read()[:9], b"421 4.3.2")
            self.assertTrue(peer.wire.disconnecting)

    def test_shutdown_waits_for_chunks_and_for_the_answer_to_a_message(self) -> None:
        waiting: Deferred[None] = Deferred()
        peer = Peer(intake=FakeIntake(later=lambda what: waiting if what == "accept" else None))
        peer.hello()
        peer.codes("MAIL FROM:<>", "RCPT TO:<alice@example.org>")
        peer.send(b"BDAT 6\r\nx: y\r\n")
        peer.factory.close_all(grace=10)
        self.assertEqual(peer.send(b"BDAT 2 LAST\r\n\r\n"), b"")
        self.assertFalse(peer.wire.disconnecting)
        waiting.callback(None)
        self.assertEqual([line[:9] for line in peer.read().splitlines()], [b"250 2.0.0", b"421 4.3.2"])
        self.assertEqual(len(peer.intake.accepted), 1)

    def test_shutdown_does_not_wait_for_an_answer_that_no_message_needs(self) -> None:
        waiting: Deferred[None] = Deferred()
        peer = Peer(intake=FakeIntake(later=lambda what: waiting if what.startswith("rec") else None))
        peer.hello()
        peer.codes("MAIL FROM:<>")
        self.assertEqual(peer.send(b"RCPT TO:<alice@example.org>\r\n"), b"")
        peer.factory.close_all(grace=10)
        self.assertEqual(peer.read()[:9], b"421 4.3.2")
        self.assertTrue(peer.wire.disconnecting)

    def test_shutdown_cuts_who_does_not_end(self) -> None:
        peer = Peer()
        peer.hello()
        peer.codes("MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA")
        peer.factory.close_all(grace=10)
        self.assertEqual(peer.read(), b"")
        peer.clock.advance(10)
        self.assertTrue(peer.wire.aborted)

    def test_shutdown_without_sessions_is_done_at_once(self) -> None:
        self.successResultOf(self.factory("mx", ConnectionLimits(Clock())).close_all())
