"""An SMTP server of the test's own on a real port, with a loop in a thread of its own, and fakes behind it.

For what the real daemon has no handle for: checks that take as long as the test wants, and disks that are full.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

from twisted.internet.selectreactor import SelectReactor

from posthouse.smtp.limits import ConnectionLimits
from posthouse.smtp.server import SMTPFactory, SmtpSettings
from tests.support.fort import Raw
from tests.support.smtp import FakeAuthenticator, FakeIntake

__all__ = ["OwnServer"]


class OwnServer:
    """``intake`` is a FakeIntake; ``reactor`` runs until ``close``."""

    def __init__(self, intake: FakeIntake, exempt: tuple[str, ...] = (), **settings: Any) -> None:
        self.reactor = SelectReactor()
        # The test's own loop stays the one that twisted knows of.
        self.reactor._registerAsIOThread = False  # type: ignore[attr-defined]
        self.intake = intake
        values = {"hostname": "mx.example.org", "default_domain": "example.org", **settings}
        self.factory = SMTPFactory(
            SmtpSettings(role="mx", **values),
            intake,
            FakeAuthenticator(),
            None,
            self.reactor,
            ConnectionLimits(self.reactor, exempt=exempt),
        )
        self._listener = self.reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.port: int = self._listener.getHost().port
        self._thread = threading.Thread(target=self.reactor.run, args=(False,), daemon=True)
        self._thread.start()

    def raw(self) -> Raw:
        """A connection whose greeting was read."""
        line = Raw(self.port)
        assert line.reply()[0] == 220
        return line

    def ask(self, function: Callable[[], Any]) -> Any:
        """Call something in the loop; what it returned."""
        answers: Queue[Any] = Queue()
        self.reactor.callFromThread(lambda: answers.put(function()))
        return answers.get(timeout=30)

    def close(self) -> None:
        self.ask(self._listener.stopListening)
        self.reactor.callFromThread(self.reactor.stop)
        self._thread.join(10)
