"""A mail server that is slow, lies, or dies: a script per connection, in threads of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable


class Line:
    """One connection, as the script sees it. ``pause`` is between the bytes of what is said."""

    def __init__(self, connection: socket.socket, peer: BadPeer) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb")
        self._peer = peer
        self.pause = 0.0

    def say(self, text: str | bytes) -> None:
        data = text if isinstance(text, bytes) else f"{text}\r\n".encode()
        for piece in [data] if not self.pause else [data[at : at + 1] for at in range(len(data))]:
            self._connection.sendall(piece)
            self._peer.sent += len(piece)
            time.sleep(self.pause)

    def hear(self) -> str:
        """The next command. :raises OSError: there is none any more."""
        line = self._stream.readline()
        if not line:
            raise OSError("gone")
        self._peer.heard.append(line.decode("utf-8", "replace").rstrip())
        return self._peer.heard[-1][:4].upper()

    def message(self) -> bytes:
        """The body, to the dot, which is not kept."""
        found = b""
        while (line := self._stream.readline()) != b".\r\n":
            if not line:
                raise OSError("gone")
            found += line
        self._peer.messages.append(found)
        return found

    def serve(self, *, extensions: tuple[str, ...] = (), **replies: str | Callable[[str], str]) -> None:
        """Speak SMTP until QUIT, or the end; ``replies`` by verb instead of the usual ones, "" ends."""
        while True:
            verb = self.hear()
            known: dict[str, str] = {"DATA": "354 go on", "QUIT": "221 bye"}
            answer = replies.get(verb, known.get(verb, "250 ok"))
            text = answer if isinstance(answer, str) else answer(self._peer.heard[-1])
            if verb == "EHLO" and extensions and text == "250 ok":
                text = "\r\n".join(["250-peer", *(f"250-{word}" for word in extensions), "250 8BITMIME"])
            if not text:
                return
            self.say(text)
            if verb == "QUIT":
                return
            if verb == "DATA" and text.startswith("354"):
                self.message()
                final = replies.get("dot", "250 taken")
                said = final if isinstance(final, str) else final("")
                if not said:
                    return
                self.say(said)

    def reset(self) -> None:
        """End with RST instead of FIN."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class BadPeer:
    """``script(line)`` is run for each connection, which ends with it.

    ``connections`` counts them; ``heard`` has all commands, ``messages`` all bodies, ``sent`` the bytes said.
    """

    def __init__(self, script: Callable[[Line], None]) -> None:
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self.sent = 0
        self.heard: list[str] = []
        self.messages: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            line = Line(connection, self)
            try:
                self._script(line)
            finally:
                # Its file holds the socket open otherwise.
                line._stream.close()
