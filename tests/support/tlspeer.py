"""A mail server and a web server of another domain, with TLS, in threads."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import ssl
import tempfile
import threading
from typing import Any

from attrs import define, field

from tests.support.authority import Pair


def context_of(*chain: Pair) -> ssl.SSLContext:
    """A server's context that shows this chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    descriptor, path = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as stream:
            stream.write(chain[0].key_pem + b"".join(pair.pem for pair in chain))
        context.load_cert_chain(path)
    finally:
        os.unlink(path)
    return context


@define(eq=False)
class MailPeer:
    """Takes all mail at an address. Without ``chain`` it knows no TLS.

    ``messages`` are (MAIL command, message, over TLS); ``heard`` is every line of every connection.
    """

    host: str
    port: int = 0
    chain: tuple[Pair, ...] = ()
    inside: tuple[str, ...] = ()  # keywords offered within TLS
    outside: tuple[str, ...] = ()
    messages: list[tuple[str, bytes, bool]] = field(factory=list)
    heard: list[str] = field(factory=list)
    names: list[str | None] = field(factory=list)
    _socket: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self.host, self.port))
        self.port = self._socket.getsockname()[1]
        self._socket.listen(10)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
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
        with contextlib.suppress(OSError, ValueError):
            self._session(connection)
        connection.close()

    def _session(self, connection: Any) -> None:
        stream = connection.makefile("rwb")

        def say(*lines: str) -> None:
            marks = ["-"] * (len(lines) - 1) + [" "]
            stream.write(
                b"".join(
                    f"{line[:3]}{mark}{line[4:]}\r\n".encode()
                    for line, mark in zip(lines, marks, strict=True)
                )
            )
            stream.flush()

        secure, mail = False, ""
        say("220 peer ESMTP")
        while line := stream.readline():
            text = line.decode().rstrip()
            self.heard.append(text)
            verb = text[:4].upper()
            if verb == "EHLO":
                words = self.inside if secure else self.outside
                offers = ["STARTTLS"] if self.chain and not secure else []
                say("250 peer", *(f"250 {word}" for word in (*words, *offers, "8BITMIME")))
            elif verb == "STAR" and self.chain:
                say("220 go")
                context = context_of(*self.chain)
                context.sni_callback = lambda sock, name, ctx: self.names.append(name)  # type: ignore[assignment]
                connection = context.wrap_socket(connection, server_side=True)
                stream, secure = connection.makefile("rwb"), True
            elif verb == "DATA":
                say("354 go on")
                message = b""
                while (part := stream.readline()) not in (b".\r\n", b""):
                    message += part
                self.messages.append((mail, message, secure))
                say("250 taken")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                mail = text if verb == "MAIL" else mail
                say("250 ok")


@define(eq=False)
class PolicyHost:
    """HTTPS with one answer per host name: (code, content type, body). ``asked`` are the names."""

    host: str
    chain: tuple[Pair, ...]
    pages: dict[str, tuple[int, str, bytes]] = field(factory=dict)
    asked: list[str] = field(factory=list)
    port: int = field(init=False, default=0)
    _server: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        outer = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.headers["Host"].partition(":")[0]
                outer.asked.append(name)
                code, kind, body = outer.pages.get(name, (404, "text/plain", b""))
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *ignored: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((self.host, 0), Answer)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *ignored: None  # clients that refuse the certificate
        self._server.socket = context_of(*self.chain).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
