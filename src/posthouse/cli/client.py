"""The command's side of the control socket: plain blocking sockets, no reactor.

Protocol: see ``posthouse.admin.control``.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from posthouse.errors import PosthouseError, TryLater

__all__ = ["Refused", "call", "connect"]

SECONDS = 120.0
MAX_ANSWER = 64 * 1024 * 1024


class Refused(PosthouseError):
    """The daemon refused the operation; ``public`` is its sentence."""


def connect(path: Path) -> socket.socket | None:
    """A connection to the running daemon, or None when nobody listens there.

    :raises TryLater: somebody listens, but not for us.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(SECONDS)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        return None
    except PermissionError:
        connection.close()
        raise TryLater(f"You may not use {path}; run this as the server's user or as root.") from None
    except OSError as problem:
        connection.close()
        raise TryLater(f"The daemon cannot be reached at {path}: {problem.strerror or problem}.") from None
    return connection


def call(connection: socket.socket, name: str, arguments: dict[str, Any]) -> Any:
    """Run one operation in the daemon.

    :raises Refused: what the daemon says. :raises TryLater: it says nothing.
    """
    try:
        connection.sendall(json.dumps({"op": name, "args": arguments}).encode() + b"\n")
        line = _line(connection)
        reply = json.loads(line)
    except (OSError, ValueError) as problem:
        raise TryLater("The daemon went away before it answered.", cause=str(problem)) from None
    if not reply.get("ok"):
        raise Refused(str(reply.get("error", "The daemon refused.")))
    return reply.get("result")


def _line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        block = connection.recv(65536)
        if not block or len(received) > MAX_ANSWER:
            raise ConnectionError("no complete answer")
        received += block
    return bytes(received)
