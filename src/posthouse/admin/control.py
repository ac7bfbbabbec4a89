"""The daemon's side of the control socket: one JSON object a line, one answer a line, in order.

Request ``{"op": "user add", "args": {...}}``; answer ``{"ok": true, "result": ...}`` or ``{"ok": false,
"error": "one sentence", "kind": "NoSuchAccount"}``. The socket is the owner's alone (mode 0600 in a
directory of mode 0700), which is all the authentication there is; still every line is bounded and
checked."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver

from posthouse.admin.registry import Ports, run
from posthouse.errors import Malformed, PosthouseError

__all__ = ["ControlFactory", "ControlProtocol", "answer"]

MAX_LINE = 1_000_000


async def answer(ports: Ports, line: bytes) -> dict[str, Any]:
    """The answer to one request line; never raises."""
    try:
        try:
            request = json.loads(line)
            name, arguments = request["op"], request.get("args", {})
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise Malformed('A request is a JSON object with "op" and "args".') from None
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise Malformed('"op" must be a text and "args" an object.')
        return {"ok": True, "result": await run(ports, name, arguments)}
    except PosthouseError as problem:
        return {"ok": False, "error": problem.public, "kind": type(problem).__name__}
    except Exception:
        # The administrator gets a sentence, the log the traceback; the arguments may hold a password.
        ControlProtocol.log.failure("an operation failed unexpectedly")
        return {"ok": False, "error": "The operation failed; the log tells why.", "kind": "Exception"}


class ControlProtocol(LineOnlyReceiver):
    """One connection of the ``posthouse`` command; requests are answered one after the other."""

    log = Logger(namespace="posthouse.admin")
    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE

    transport: Any

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._waiting: list[bytes] = []
        self._busy = False
        self._gone = False

    def lineReceived(self, line: bytes) -> None:
        """One request."""
        self._waiting.append(line)
        if len(self._waiting) > 100:
            self.transport.abortConnection()
            return
        self._next()

    def connectionLost(self, reason: Any = None) -> None:
        """A request under way is finished all the same; nobody reads its answer."""
        self._gone = True
        self._waiting.clear()

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        self._busy = True
        Deferred.fromCoroutine(answer(self._ports, self._waiting.pop(0))).addCallback(self._reply).addErrback(
            lambda failure: self.log.failure("a control request failed", failure=failure)
        )

    def _reply(self, result: dict[str, Any]) -> None:
        self._busy = False
        if not self._gone:
            self.sendLine(json.dumps(result, ensure_ascii=False).encode())
            self._next()


class ControlFactory(Factory):
    """Makes a ``ControlProtocol`` for each connection."""

    noisy = False

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def buildProtocol(self, addr: Any) -> ControlProtocol:
        """Any connection that the file mode lets in."""
        return ControlProtocol(self._ports)
