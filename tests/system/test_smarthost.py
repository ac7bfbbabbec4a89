"""Mail for elsewhere by a smarthost: it waits, visibly, while that is down, and goes out once it is there."""

from __future__ import annotations

import json
import socket
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon
from tests.system.house import letter, login


class Sink:
    """A mail server that takes everything: a socket, and the lines that it was told."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.envelopes: list[tuple[str, list[str], bytes]] = []

    def open(self) -> None:
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._talk(stream)

    def _talk(self, stream) -> None:  # type: ignore[no-untyped-def]
        def say(line: bytes) -> None:
            stream.write(line + b"\r\n")
            stream.flush()

        sender, recipients = "", []
        say(b"220 sink.example ESMTP")
        while line := stream.readline():
            verb = line[:4].upper()
            if verb == b"MAIL":
                sender, recipients = line.decode(), []
            elif verb == b"RCPT":
                recipients.append(line.decode())
            if verb == b"DATA":
                say(b"354 go on")
                message = b""
                while (part := stream.readline()) not in (b".\r\n", b""):
                    message += part
                self.envelopes.append((sender, recipients, message))
            say(b"221 bye" if verb == b"QUIT" else b"250 sink.example")
            if verb == b"QUIT":
                return


class SmarthostTests(SynchronousTestCase):
    def test_waits_for_the_smarthost_and_goes_through_it(self) -> None:
        sink = Sink()
        self.addCleanup(sink.close)
        daemon = Daemon.demo(None, "--smarthost", f"127.0.0.1:{sink.port}")
        self.addCleanup(daemon.clean)
        self.assertIn(f"127.0.0.1:{sink.port}", daemon.said())
        ida = daemon.account()["address"]
        with login(daemon) as client:
            client.sendmail(ida, ["far@away.example"], letter(ida, "far@away.example", "Over the hills"))

        def queue() -> list[dict[str, object]]:
            found: list[dict[str, object]] = json.loads(daemon.posthouse("--json", "queue", "list").stdout)
            return found

        deadline = time.monotonic() + 40
        while not (queue() and queue()[0]["last_reply"]):
            self.assertLess(time.monotonic(), deadline, daemon.said())
            time.sleep(0.1)
        (row,) = queue()
        self.assertEqual((row["sender"], row["recipient"], row["attempts"]), (ida, "far@away.example", 1))

        sink.open()
        self.assertEqual(daemon.posthouse("queue", "retry").returncode, 0)
        while not sink.envelopes:
            self.assertLess(time.monotonic(), deadline, daemon.said())
            time.sleep(0.1)
        ((sender, recipients, message),) = sink.envelopes
        self.assertIn(f"<{ida}>", sender)
        self.assertEqual(len(recipients), 1)
        self.assertIn("<far@away.example>", recipients[0])
        self.assertIn(b"Subject: Over the hills", message)
        self.assertTrue(message.startswith(b"Received: "), message[:200])
        while queue():
            self.assertLess(time.monotonic(), deadline, daemon.said())
            time.sleep(0.1)
