"""A mail server whose line is not its own: somebody in the middle says more in clear than it did."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from tests.support.authority import Pair
from tests.support.tlspeer import context_of

__all__ = ["Injector"]


class Injector:
    """Answers STARTTLS with its 220 and ``more`` in one segment, then goes on inside TLS.

    ``heard`` has (inside TLS, line) of everything that it was told, ``message`` the bytes of one message.
    """

    def __init__(self, host: str, port: int, chain: tuple[Pair, ...], more: bytes) -> None:
        self.heard: list[tuple[bool, str]] = []
        self.message = b""
        self._chain, self._more = chain, more
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self._socket.listen(10)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with contextlib.suppress(OSError):
                    self._talk(connection)
                connection.close()

    def _talk(self, connection: Any) -> None:
        secure = False
        stream = connection.makefile("rwb", buffering=65536)
        stream.write(b"220 peer ESMTP\r\n")
        stream.flush()
        while line := stream.readline():
            text = line.decode().rstrip()
            self.heard.append((secure, text))
            verb = text[:4].upper()
            if verb == "STAR":
                connection.sendall(b"220 go\r\n" + self._more)
                connection = context_of(*self._chain).wrap_socket(connection, server_side=True)
                stream, secure = connection.makefile("rwb", buffering=65536), True
                continue
            if verb == "DATA":
                stream.write(b"354 go on\r\n")
                stream.flush()
                while (part := stream.readline()) not in (b".\r\n", b""):
                    self.message += part
            said = (
                b"250 ok\r\n"
                if verb != "EHLO" or secure
                else b"250-peer\r\n250-STARTTLS\r\n250 PIPELINING\r\n"
            )
            stream.write(b"221 bye\r\n" if verb == "QUIT" else said)
            stream.flush()
            if verb == "QUIT":
                return
