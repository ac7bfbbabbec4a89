"""An outside filter: rspamd, asked over HTTP.

Promise: a filter that is slow, broken or away never delays mail for longer than ``patience`` and never stops it; after
a failure it is left alone for half a minute. Its answer is bounded before it is read.

Specifications: rspamd's protocol (POST /checkv2, request headers, JSON with action, score and required_score).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import treq
from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from posthouse.delivery.message import Message
from posthouse.model import Envelope

__all__ = ["Finding", "Scanner"]

#: bytes of a message that are shown to the filter; longer ones are not
MAX_MESSAGE = 8 << 20
_MAX_ANSWER = 1 << 20
_LEAVE_ALONE = 30.0  # seconds

_log = Logger()


@frozen
class Finding:
    """``limit``: the points from which the filter calls it junk. ``reject``: it would refuse the message."""

    points: float
    limit: float
    reject: bool = False


@define(eq=False)
class Scanner:
    """:param client: a treq ``HTTPClient``. :param url: of the worker, such as "http://127.0.0.1:11333".

    :param clock: IReactorTime. :param patience: seconds for one message.
    """

    client: Any
    url: str
    clock: Any
    pool: Any
    patience: float = 6.0
    _alone_until: float = field(default=0.0, init=False)

    async def look(self, envelope: Envelope, message: Message, name: str) -> Finding | None:
        """What the filter says; None when it says nothing. :param name: the queue id, for its log."""
        if message.size > MAX_MESSAGE or self.clock.seconds() < self._alone_until:
            return None
        data = message.data
        if data is None:
            data = await self.pool.run(message.read, 0, message.size)
        answer: Deferred[Any] = Deferred.fromCoroutine(self._ask(envelope, data, name))
        answer.addTimeout(self.patience, self.clock)
        try:
            finding: Finding | None = await answer
        except CancelledError:
            return None
        except Exception as error:
            self._alone_until = self.clock.seconds() + _LEAVE_ALONE
            _log.warn(
                "the filter did not answer and is left alone for {seconds} seconds: {error}",
                event="junk.scanner",
                seconds=int(_LEAVE_ALONE),
                error=f"{type(error).__name__}: {error}"[:300],
            )
            return None
        return finding

    async def _ask(self, envelope: Envelope, data: bytes, name: str) -> Finding | None:
        response = await self.client.post(
            f"{self.url.rstrip('/')}/checkv2",
            data=data,
            headers=_headers(envelope, name),
            unbuffered=True,
            allow_redirects=False,
        )
        collected: list[bytes] = []
        size = 0

        def collect(block: bytes) -> None:
            nonlocal size
            size += len(block)
            if size > _MAX_ANSWER:
                raise ValueError("the answer is too long")
            collected.append(block)

        await treq.collect(response, collect)
        if response.code != 200:
            raise ValueError(f"HTTP {response.code}")
        return _finding(b"".join(collected))


def _headers(envelope: Envelope, name: str) -> dict[str, list[str]]:
    found = {
        "IP": [envelope.peer.partition("%")[0]],
        "Helo": [envelope.helo],
        "From": [envelope.sender],
        "Rcpt": [recipient.address for recipient in envelope.recipients[:100]],
        "Queue-Id": [name],
    }
    return {key: [_safe(one) for one in values] for key, values in found.items() if any(values)}


def _safe(text: str) -> str:
    """Nothing that a peer said ends a header line."""
    return "".join(char if "!" <= char <= "~" else "?" for char in text[:500])


def _finding(data: bytes) -> Finding | None:
    """:raises ValueError: it is no answer of rspamd."""
    answer = json.loads(data)
    if not isinstance(answer, dict):
        raise ValueError("no JSON object")
    if answer.get("is_skipped"):
        return None
    points, limit, action = _number(answer, "score"), _number(answer, "required_score"), answer.get("action")
    marks: Sequence[str] = ("reject", "add header", "rewrite subject")
    if action in marks:
        # By its own settings it is junk, wherever its limits are; required_score is that of refusing.
        limit = min(limit, points) if points > 0 else limit
    elif action in ("no action", "greylist", "soft reject") and points > 0:
        limit = max(limit, points * 1.25)
    return Finding(points, limit, action == "reject")


def _number(answer: dict[str, Any], key: str) -> float:
    value = answer.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"no {key}")
    return float(value)
