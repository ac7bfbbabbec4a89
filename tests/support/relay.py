"""A relay that answers what a test says, for tests of the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface import implementer

from posthouse.interfaces import IRelay
from posthouse.model import RecipientResult, RelayJob


@implementer(IRelay)
class FakeRelay:
    """Keeps jobs and their bytes. ``answer(recipient)`` gives (code, enhanced, text), or set ``hold``."""

    def __init__(self) -> None:
        self.jobs: list[RelayJob] = []
        self.messages: list[bytes] = []
        self.held: list[tuple[RelayJob, Deferred[Any]]] = []
        self.hold = False
        self.answer: Callable[[str], tuple[int, str, str]] = lambda recipient: (250, "2.0.0", "ok")

    def send(self, job: RelayJob) -> Deferred[Any]:
        return ensureDeferred(self._send(job))

    async def _send(self, job: RelayJob) -> list[RecipientResult]:
        self.jobs.append(job)
        data = job.read(0, job.size)
        self.messages.append(data if isinstance(data, bytes) else await data)
        if self.hold:
            waiting: Deferred[Any] = Deferred()
            self.held.append((job, waiting))
            await waiting
        return [self.result(job, recipient) for recipient in job.recipients]

    def result(self, job: RelayJob, recipient: str) -> RecipientResult:
        code, enhanced, text = self.answer(recipient)
        outcome = "sent" if 200 <= code < 300 else "failed" if code >= 500 else "retry"
        return RecipientResult(
            recipient, outcome, code, enhanced, text, job.hosts[0].host if job.hosts else ""
        )

    def release(self) -> None:
        """Let every held job go on."""
        held, self.held = self.held, []
        for _, waiting in held:
            waiting.callback(None)
