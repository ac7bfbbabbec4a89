"""A next host that counts how many copies of each message it was given, and that can be made to wait."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections import Counter
from typing import Any

_SUBJECT = re.compile(rb"^Subject: ([^\r\n]*)", re.M)


class Sink:
    """Listens on 127.0.0.1. ``copies`` counts messages by subject as soon as their last dot is here.

    Clear ``greets`` to keep connections waiting for the greeting, ``judges`` for the answer to a message.
    Recipients whose local part is in ``unknown`` are refused.
    """

    def __init__(self) -> None:
        self.copies: Counter[str] = Counter()
        self.greets, self.judges = threading.Event(), threading.Event()
        self.greets.set()
        self.judges.set()
        self.unknown: set[str] = set()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(20)
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.greets.set()
        self.judges.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: Any) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rwb") as stream:
            self._session(stream)

    def _session(self, stream: Any) -> None:
        def say(line: str) -> None:
            stream.write(line.encode() + b"\r\n")
            stream.flush()

        self.greets.wait(120)
        say("220 sink.test ESMTP")
        while line := stream.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                say("354 go on")
                message = []
                while (part := stream.readline()) not in (b".\r\n", b""):
                    message.append(part)
                if not part:
                    return
                found = _SUBJECT.search(b"".join(message))
                self.copies[found[1].decode() if found else ""] += 1
                self.judges.wait(120)
                say("250 2.0.0 kept")
            elif verb == b"RCPT" and line.decode().partition("<")[2].partition("@")[0] in self.unknown:
                say("550 5.1.1 nobody here has that name")
            elif verb == b"EHLO":
                stream.write(b"250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                stream.flush()
            elif verb == b"QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")
