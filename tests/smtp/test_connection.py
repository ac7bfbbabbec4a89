"""Replies on a transport that can write at once: a socket in small."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.server import SMTPFactory, SMTPServer, SmtpSettings
from tests.support.smtp import FakeAuthenticator, FakeIntake


class Socket(FileDescriptor):
    """Takes ``room`` bytes; None: it is broken."""

    connected = 1

    def __init__(self, room: int | None) -> None:
        self.waiting = False
        self.room = room
        self.sent = b""
        FileDescriptor.__init__(self, self)  # type: ignore[arg-type]

    def addWriter(self, writer: Any) -> None:
        self.waiting = True

    def removeWriter(self, writer: Any) -> None:
        self.waiting = False

    def addReader(self, reader: Any) -> None:
        pass

    def removeReader(self, reader: Any) -> None:
        pass

    def writeSomeData(self, data: bytes) -> int | BaseException:
        if self.room is None:
            return ConnectionLost()
        taken = bytes(data[: self.room])
        self.sent += taken
        self.room -= len(taken)
        return len(taken)

    def drain(self) -> None:
        """Room again, and the reactor says so."""
        self.room = 1000
        self.doWrite()


class WriteTests(SynchronousTestCase):
    def session(self, room: int | None) -> tuple[SMTPServer, Socket]:
        clock = Clock()
        settings = SmtpSettings(role="mx", hostname="mx.example.org")
        factory = SMTPFactory(
            settings, FakeIntake(), FakeAuthenticator(), None, clock, ConnectionLimits(clock)
        )
        session = factory.protocol(factory, "192.0.2.7")
        socket = Socket(room)
        session.makeConnection(socket)
        self.addCleanup(session.connectionLost)
        return session, socket

    def test_what_the_socket_takes_leaves_without_the_reactor(self) -> None:
        session, socket = self.session(10_000)
        session.dataReceived(b"HELO client.example\r\n")
        session.dataReceived(b"NOOP\r\n")
        self.assertEqual([line[:3] for line in socket.sent.splitlines()], [b"220", b"250", b"250"])
        self.assertFalse(socket.waiting)

    def test_what_it_does_not_take_follows_in_order(self) -> None:
        for room in range(0, 120, 7):
            session, socket = self.session(room)
            session.dataReceived(b"HELO client.example\r\n")
            session.dataReceived(b"NOOP\r\n")
            session.dataReceived(b"NOOP\r\nVRFY alice\r\n")
            socket.drain()
            session.dataReceived(b"HELP\r\n")
            socket.drain()
            found = [line[:3] for line in socket.sent.splitlines()]
            self.assertEqual(found, [b"220", b"250", b"250", b"250", b"252", b"214"], room)

    def test_a_broken_socket_is_left_to_the_reactor(self) -> None:
        session, socket = self.session(None)
        session.dataReceived(b"HELO client.example\r\n")
        self.assertEqual(socket.sent, b"")
        self.assertTrue(socket.waiting)
