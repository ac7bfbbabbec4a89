"""One attempt to hand one message to the recipients that share a destination.

Promise: before anything is sent, the next attempt is on record, so a crash in the middle costs one wait and
not a hammering loop; afterwards everything that is known (sent, to be tried again, given up, and the reports
that follow) is written in one transaction. A row whose message is gone fails with a report.

Specifications: RFC 5321 4.5.4.1, RFC 3461 5.2, RFC 3464 2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from attrs import define, evolve, frozen
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from posthouse.delivery.bounce import Original, Report, Reporter
from posthouse.delivery.message import Message, message_of
from posthouse.delivery.outcome import (
    Leased,
    Outcome,
    is_hard,
    log_result,
    original_of,
    reply_of,
    result_of,
    same_for_all,
    status_of,
)
from posthouse.delivery.pages import Pages
from posthouse.delivery.routes import Routes, Verdict
from posthouse.delivery.schedule import (
    next_attempt,
    wants_delay_notice,
    wants_failure_report,
    wants_success_report,
)
from posthouse.delivery.security import Security
from posthouse.delivery.signing import Signer
from posthouse.errors import NoSuchItem, PosthouseError, TooLarge, TryLater
from posthouse.faults import reach
from posthouse.interfaces import IDatabase, IRelay
from posthouse.mime.addresses import fold_address
from posthouse.mime.compose import edit_headers, header_end
from posthouse.mime.downgrade import seven_bit
from posthouse.mime.headers import parse_headers
from posthouse.model import BodyRef, HopPolicy, NextHop, OutboxRow, RecipientResult, RelayJob, TlsSession
from posthouse.store import bodies, outbox, queue_orders, transport

__all__ = ["Attempt", "Leased", "Outcome", "Sender"]

_HEAD = 65_536
_RETURNED = 1 << 20  # bytes of a message that is sent back as a whole
_CONVERTED = 32 << 20  # bytes of a message that is converted to 7 bits
_SIGNATURE = b"DKIM-Signature:"
_LEASE = 30 * 60_000  # ms; longer than any attempt may take

_LOST = Verdict("failed", 550, "5.3.0", "The message was lost on this server")

_log = Logger()

_Pairs = Sequence[tuple[OutboxRow, RecipientResult]]


@frozen
class Attempt:
    """The rows of one job, and the key of the lane that they go in."""

    key: str
    domain: str
    rows: tuple[OutboxRow, ...]


@define(eq=False)
class Sender:
    """Carries out attempts. ``routes`` None: the relay needs no route (the built-in catcher).

    :param pool: ``run(function, *args)`` -> Deferred, for what blocks; None: it may block.
    :param signer: signs anew what had to be changed for its next hop.
    :param security: what domains ask of connections; None: nobody looks.
    :param report_delay: ms after midnight when TLS reports are due; None: nothing is counted for them.
    """

    database: IDatabase
    relay: IRelay
    routes: Routes | None
    reporter: Reporter
    random: Random
    now: Callable[[], int]
    pool: Any = None
    signer: Signer | None = None
    security: Security | None = None
    report_delay: int | None = None

    async def lease(self, attempt: Attempt) -> Leased:
        """Take the rows, moving their next attempt ahead first. Rows that somebody else took are left out."""
        now = self.now()
        chance = self.random.random()

        def take(tx: Any) -> Leased:
            rows = []
            verdicts: dict[int, Verdict] = {}
            for known in attempt.rows:
                row = outbox.outbox_row(tx, known.id)
                if row is not None and row.state in ("due", "leased") and row.due <= now:
                    due = next_attempt(row.attempts + 1, now, row.expires, chance)
                    outbox.lease(tx, [row.id], max(due or 0, now + _LEASE))
                    rows.append(row)
                    verdict = _verdict(tx, row)
                    if verdict is not None:
                        verdicts[row.id] = verdict
            if not rows:
                return Leased((), None)
            found = bodies.read_start(tx, rows[0].body_id)
            if found is None:
                return Leased(tuple(rows), None, b"", verdicts)
            body, start = found
            if isinstance(start, TryLater):
                # Damaged, perhaps until a backup is restored. The attempt takes its turn and its place in the
                # schedule all the same; were it to end here, it would begin again and again.
                return Leased(tuple(rows), body, b"", verdicts)
            head = start[:_HEAD]
            return Leased(tuple(rows), body, head[: header_end(head)], verdicts, start)

        leased: Leased = await self.database.write(take)
        return leased

    async def send(self, attempt: Attempt, leased: Leased) -> Outcome:
        """Find the way and hand the message over. Never raises, unless it is cancelled."""
        if not leased.verdicts:
            return await self._send(attempt, leased)
        rest = tuple(row for row in leased.rows if row.id not in leased.verdicts)
        found = Outcome((), None)
        if rest:
            found = await self._send(attempt, evolve(leased, rows=rest))
        results = iter(found.results)
        return Outcome(
            tuple(
                result_of(row.recipient, leased.verdicts[row.id])
                if row.id in leased.verdicts
                else next(results)
                for row in leased.rows
            ),
            found.success,
            found.sessions,
        )

    async def _send(self, attempt: Attempt, leased: Leased) -> Outcome:
        if leased.body is None:
            return same_for_all(leased.rows, _LOST)
        hops: tuple[NextHop, ...] = ()
        sessions: list[TlsSession] = []
        if self.routes is not None:
            found = await self.routes.find(attempt.domain)
            if not isinstance(found, Verdict):
                found = await self._secured(self.routes, attempt.domain, leased, found, sessions)
            if isinstance(found, Verdict):
                return evolve(same_for_all(leased.rows, found), sessions=tuple(sessions))
            hops = found
        try:
            job = await self._signed(self._job(attempt.domain, leased, leased.body, hops), leased.rows[0])
            results: Sequence[RecipientResult] = await self.relay.send(evolve(job, note=sessions.append))
        except CancelledError:
            raise
        except NoSuchItem:
            return same_for_all(leased.rows, _LOST)
        except Exception as error:
            if isinstance(error, PosthouseError):
                cause = error.cause or error.public
            else:
                cause = type(error).__name__
                _log.failure("the relay failed", event="outbox.broken", domain=attempt.domain)
            return same_for_all(leased.rows, Verdict("retry", 451, "4.3.0", f"Local error: {cause}"))
        by_recipient = {result.recipient: result for result in results}
        missing = Verdict("retry", 451, "4.3.0", "The attempt ended without a result")
        answers = tuple(
            by_recipient.get(row.recipient) or result_of(row.recipient, missing) for row in leased.rows
        )
        pushed_back = any(result.code in (421, 450, 0) for result in answers)
        accepted = any(result.outcome == "sent" for result in answers)
        return Outcome(answers, accepted if accepted or pushed_back else None, tuple(sessions))

    async def _secured(
        self,
        routes: Routes,
        domain: str,
        leased: Leased,
        hops: tuple[NextHop, ...],
        sessions: list[TlsSession],
    ) -> tuple[NextHop, ...] | Verdict:
        """The hosts with what connections to them have to be like."""
        if not routes.by_mx(domain):
            # The administrator named them, and said how.
            return tuple(evolve(hop, policy=HopPolicy(trusted=True)) for hop in hops)
        required = leased.rows[0].require_tls
        if self.security is None or (_tls_is_unwanted(leased.head) and not required):
            return hops
        try:
            return await self.security.protect(domain, hops, sessions.append)
        except Exception:
            # Whatever it is, it is no reason to send in the open.
            _log.failure("policies cannot be found", event="outbox.broken", domain=domain)
            return Verdict("retry", 451, "4.3.0", "Local error while looking for policies")

    def _job(self, domain: str, leased: Leased, body: BodyRef, hops: tuple[NextHop, ...]) -> RelayJob:
        first = leased.rows[0]
        trace = first.trace
        tls, login = "opportunistic", None
        if self.routes is not None:
            tls, login = self.routes.security(domain)

        async def converted() -> RelayJob:
            return await self._seven_bit(job)

        job = RelayJob(
            hosts=hops,
            sender=first.sender,
            recipients=tuple(row.recipient for row in leased.rows),
            read=Pages(self.database, body, trace, leased.start).read,
            size=len(trace) + body.size,
            smtputf8=first.smtputf8,
            eight_bit=first.eight_bit,
            tls=tls,
            login=login,
            envid=first.envid,
            ret=first.ret,
            notify=tuple(row.notify for row in leased.rows),
            orcpt=tuple(row.orcpt for row in leased.rows),
            cid=f"out-{first.id}",
            require_tls=first.require_tls,
            # RFC 6152 3: what others wrote and signed goes as it is, or not at all.
            seven_bit=converted if all(row.own for row in leased.rows) else None,
        )
        return job

    async def _signed(self, job: RelayJob, row: OutboxRow) -> RelayJob:
        """What was written inside a transaction (a report, an answer, what a rule forwards) is signed on its way.

        Such mail has no trace in front of it; what our users send has, with the signature made when they sent it.
        """
        if self.signer is None or not row.own or row.trace or job.size > _CONVERTED:
            return job
        found = job.read(0, job.size)
        data = found if isinstance(found, bytes) else await found
        signature = await self.signer.fields(message_of(data), b"", self.now())
        if not signature:
            return job
        whole = signature + data

        async def converted() -> RelayJob:
            return await self._seven_bit(signed)

        signed = evolve(job, read=lambda start, stop: whole[start:stop], size=len(whole), seven_bit=converted)
        return signed

    async def _seven_bit(self, job: RelayJob) -> RelayJob:
        """Our own message for a peer that takes 7-bit mail only, signed anew where it was.

        :raises Malformed: it cannot be had so.
        """
        if job.size > _CONVERTED:
            raise TooLarge("The message is too large to be converted to 7 bits.")
        found = job.read(0, job.size)
        data = found if isinstance(found, bytes) else await found
        message: Message = await self._run(_converted, data)
        signature = b""
        if self.signer is not None and data.startswith(_SIGNATURE):
            signature = await self.signer.fields(message, b"", self.now())
        whole = signature + (message.data or b"")
        return evolve(
            job,
            read=lambda start, stop: whole[start:stop],
            size=len(whole),
            eight_bit=False,
            seven_bit=None,
        )

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.pool is None:
            return function(*arguments)
        return await self.pool.run(function, *arguments)

    async def _reports(
        self, leased: Leased, arrived: _Pairs, bounced: _Pairs, told: _Pairs, now: int
    ) -> list[Report]:
        reports = []
        try:
            if arrived:
                statuses = [
                    status_of(row, result, "delivered" if result.final else "relayed", now)
                    for row, result in arrived
                ]
                reports.append(self.reporter.succeeded(original_of(leased), statuses, now))
            if bounced:
                statuses = [status_of(row, result, "failed", now) for row, result in bounced]
                reports.append(self.reporter.failed(await self._whole(leased), statuses, now))
            if told:
                statuses = [status_of(row, result, "delayed", now) for row, result in told]
                reports.append(self.reporter.delayed(original_of(leased), statuses, now))
        except Exception:
            # Better no report than an outcome that is never noted, and the message sent again for ever.
            _log.failure("a report cannot be written", event="outbox.broken", row=leased.rows[0].id)
        return reports

    async def _whole(self, leased: Leased) -> Original:
        """The message that comes back with a failure: all of it where RET=FULL asks for that."""
        original, body = original_of(leased), leased.body
        # RFC 8689 5: what must not travel in the open does not come back as a whole.
        if (
            leased.rows[0].ret != "FULL"
            or leased.rows[0].require_tls
            or body is None
            or body.size > _RETURNED
        ):
            return original
        try:
            data = await self.database.read(lambda tx: bodies.read_body(tx, body.id, 0, body.size))
        except PosthouseError:
            return original
        return evolve(original, whole=leased.rows[0].trace + data)

    async def record(self, leased: Leased, outcome: Outcome) -> None:
        """Write down what became of each row, with the reports that follow, in one transaction.

        :raises TryLater: the store is busy or full; nothing was written.
        """
        now = self.now()
        pairs = list(zip(leased.rows, outcome.results, strict=True))
        chance = 0.0 if all(result.outcome == "sent" for _, result in pairs) else self.random.random()
        sent, again, failed = [], [], []
        for row, result in pairs:
            if result.outcome == "sent":
                sent.append((row, result))
                continue
            due = next_attempt(row.attempts + 1, now, row.expires, chance)
            if result.outcome == "retry" and due is not None:
                again.append((row, result, due))
            else:
                failed.append((row, result))
        told = [(row, result) for row, result, _ in again if wants_delay_notice(row, now)]
        bounced = [(row, result) for row, result in failed if wants_failure_report(row)]
        # Where the next host knows of reports, it sends them; it was told the same (RFC 3461 5.2.2).
        arrived = [(row, result) for row, result in sent if not result.dsn and wants_success_report(row)]
        reports = await self._reports(leased, arrived, bounced, told, now)
        # RFC 8460 3: reports about the delivery of reports would never end.
        counted = () if _is_tls_report(leased.head) else outcome.sessions

        def write(tx: Any) -> list[Report]:
            ended = [outbox.sent(tx, row.id, reply_of(result), now) for row, result in sent]
            for row, result, due in again:
                outbox.retry(tx, row.id, due, reply_of(result), now)
            # What the administrator dropped meanwhile is not reported.
            ended += [outbox.failed(tx, row.id, reply_of(result), now) for row, result in failed]
            for row, result in failed:
                if is_hard(result):
                    folded = fold_address(row.recipient)
                    queue_orders.suppress(tx, folded, reply_of(result), row.sender, now)
            for row, _ in told:
                outbox.mark_delay_told(tx, row.id)
            if counted and self.report_delay is not None:
                transport.count_sessions(tx, counted, now, self.report_delay)
            if ended and not any(ended):
                return []
            untold = [report for report in reports if not self.reporter.deliver(tx, report, now)]
            reach("queue.recording")
            return untold

        lost = await self.database.write(write)
        reach("queue.after-record")
        for row, result in pairs:
            log_result(row, result, next((due for other, _, due in again if other is row), None))
        for report in lost:
            _log.warn("nobody to tell of a failure: {to}", event="outbox.untold", to=report.to)


def _converted(data: bytes) -> Message:
    if data.startswith(_SIGNATURE):
        data = edit_headers(data, remove=("DKIM-Signature",))
    return message_of(seven_bit(data))


def _tls_is_unwanted(head: bytes) -> bool:
    """``TLS-Required: No`` (RFC 8689 5): to arrive is worth more than to be secret. Once, and nothing else."""
    if b"tls-required" not in head.lower():
        return False
    values = [value.strip().lower() for name, value in parse_headers(head) if name == "tls-required"]
    return values == [b"no"]


def _is_tls_report(head: bytes) -> bool:
    return b"\ntls-report-submitter:" in head.lower()


def _verdict(tx: Any, row: OutboxRow) -> Verdict | None:
    """Why a row is not to be sent at all."""
    if row.verdict:
        return Verdict("failed", 554, "5.3.0", row.verdict)
    stopped = queue_orders.suppressed(tx, fold_address(row.recipient))
    if stopped is None:
        return None
    return Verdict("failed", 550, "5.1.1", f"Mail to this address bounced before: {stopped.reason}")
