"""SIGTERM: idle sessions hear 421 at once, a message whose bytes are on their way is still taken."""

from __future__ import annotations

import socket
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.configured import IDA, Configured


class StopTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = Configured()
        self.addCleanup(self.house.clean)
        self.house.start()

    def session(self, *commands: str) -> Any:
        """A stream on which these commands were answered."""
        line = socket.create_connection(("127.0.0.1", self.house.ports["smtp"]), timeout=30)
        self.addCleanup(line.close)
        stream = line.makefile("rwb")
        self.addCleanup(stream.close)
        stream.readline()
        for command in ("HELO client.test", *commands):
            stream.write(command.encode() + b"\r\n")
            stream.flush()
            stream.readline()
        return stream

    def stop(self) -> None:
        assert self.house.process is not None
        self.house.process.terminate()

    def test_a_session_that_is_idle_in_a_transaction_holds_up_nobody(self) -> None:
        streams = [
            self.session(),
            self.session("MAIL FROM:<x@away.test>"),
            self.session("MAIL FROM:<x@away.test>", f"RCPT TO:<{IDA}>"),
        ]
        began = time.monotonic()
        self.stop()
        for stream in streams:
            self.assertTrue(stream.readline().startswith(b"421 4.3.2 "))
        self.assertIn(self.house.dies(), (0, -15))
        self.assertLess(time.monotonic() - began, 8.0)

    def test_a_message_that_is_on_its_way_is_taken(self) -> None:
        stream = self.session("MAIL FROM:<x@away.test>", f"RCPT TO:<{IDA}>", "DATA")
        stream.write(b"Subject: the last one\r\n\r\nHello")
        stream.flush()
        self.stop()
        time.sleep(1.0)
        stream.write(b" Ida\r\n.\r\n")
        stream.flush()
        self.assertTrue(stream.readline().startswith(b"250 "))
        self.assertTrue(stream.readline().startswith(b"421 "))
        self.assertIn(self.house.dies(), (0, -15))
        self.assertEqual(self.house.kept("the last one"), 1)
