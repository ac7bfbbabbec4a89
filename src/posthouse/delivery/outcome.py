"""What an attempt took and what it found, in the words of the queue, of reports and of the log.

Promise: values and functions of them; what a server said is bounded before it is kept.

Specifications: RFC 3463 (status codes), RFC 3464 2.3.
"""

from __future__ import annotations

from attrs import field, frozen
from twisted.logger import Logger

from posthouse.delivery.bounce import Original
from posthouse.delivery.routes import Verdict
from posthouse.mime.report import RecipientStatus
from posthouse.model import BodyRef, OutboxRow, RecipientResult, TlsSession

__all__ = [
    "Leased",
    "Outcome",
    "is_hard",
    "log_result",
    "original_of",
    "reply_of",
    "result_of",
    "same_for_all",
    "status_of",
]

_REPLY = 1000

# RFC 3463 3.2 and 3.3: bad mailbox, moved without a new address, mailbox disabled.
_NO_ADDRESS = frozenset(("5.1.1", "5.1.6", "5.2.1"))

_log = Logger("posthouse.delivery.attempt")


@frozen
class Leased:
    """What was taken for an attempt: the rows that were still due, and their message.

    ``verdicts`` has those that are not sent at all, by row: given up by hand, or suppressed. ``start`` is the
    first chunk of the body, which most bodies are.
    """

    rows: tuple[OutboxRow, ...]
    body: BodyRef | None
    head: bytes = b""
    verdicts: dict[int, Verdict] = field(factory=dict)
    start: bytes = b""


@frozen
class Outcome:
    """What an attempt found. ``success`` tells the lanes how the destination behaved.

    ``sessions`` are those that TLS reports count.
    """

    results: tuple[RecipientResult, ...]
    success: bool | None
    sessions: tuple[TlsSession, ...] = ()


def is_hard(result: RecipientResult) -> bool:
    """Did the other side say that this address is none? Not what it thinks of us, or of the message."""
    return result.outcome == "failed" and bool(result.remote_mta) and result.enhanced in _NO_ADDRESS


def result_of(recipient: str, verdict: Verdict) -> RecipientResult:
    return RecipientResult(recipient, verdict.outcome, verdict.code, verdict.enhanced, verdict.text)


def same_for_all(rows: tuple[OutboxRow, ...], verdict: Verdict) -> Outcome:
    return Outcome(tuple(result_of(row.recipient, verdict) for row in rows), None)


def original_of(leased: Leased) -> Original:
    first = leased.rows[0]
    return Original(
        first.sender, first.trace + leased.head, first.created, first.envid, require_tls=first.require_tls
    )


def reply_of(result: RecipientResult) -> str:
    said = f" ({result.remote_mta})" if result.remote_mta else ""
    return f"{result.code:03d} {result.enhanced} {result.text}"[:_REPLY] + said[:300]


def status_of(row: OutboxRow, result: RecipientResult, action: str, now: int) -> RecipientStatus:
    enhanced = result.enhanced
    if action == "failed" and not enhanced.startswith("5."):
        # Given up after days of temporary refusals: RFC 3463 4.7, delivery time expired. What the last
        # attempt said stays in the diagnostic.
        enhanced = "5.4.7" if result.outcome == "retry" else "5.0.0"
    elif action in ("delivered", "relayed") and not enhanced.startswith("2."):
        enhanced = "2.0.0"
    elif action == "delayed" and not enhanced.startswith("4."):
        enhanced = "4.4.7"
    return RecipientStatus(
        row.recipient,
        action,
        enhanced,
        original=row.orcpt,
        diagnostic=f"{result.code:03d} {result.enhanced} {result.text}",
        remote_mta=result.remote_mta,
        last_attempt=now,
        will_retry_until=row.expires if action == "delayed" else None,
    )


def log_result(row: OutboxRow, result: RecipientResult, due: int | None) -> None:
    emit = _log.info if result.outcome == "sent" else _log.warn
    emit(
        "outbox {row}: {outcome} for {recipient}: {code} {enhanced} {text}",
        event="outbox.attempt",
        row=row.id,
        sender=row.sender,
        recipient=row.recipient,
        attempt=row.attempts + 1,
        outcome=result.outcome if result.outcome != "retry" or due is not None else "expired",
        code=result.code,
        enhanced=result.enhanced,
        text=result.text[:_REPLY],
        remote_mta=result.remote_mta,
        tls=result.tls,
        due=due,
    )
