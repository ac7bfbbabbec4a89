"""The daily TLS report to each domain that wants one.

Promise: a day is reported once to each address that its domain names, by mail from our own queue in the same
transaction that forgets the counts, or by HTTPS; what nobody wants to know is forgotten. A domain whose DNS or web
server does not answer is tried again for a day. A report is never counted itself (``delivery.attempt``).

Specifications: RFC 8460 3, 4.1 (once a day), 5.3 and 5.4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any
from urllib.parse import unquote

from attrs import define
from twisted.logger import Logger

from posthouse.delivery.bounce import Report as Parcel
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.fetch import FetchFailed
from posthouse.delivery.message import message_of
from posthouse.delivery.signing import Signer
from posthouse.errors import NoSuchDomain, TryLater
from posthouse.interfaces import IDatabase
from posthouse.mime.dates import format_date
from posthouse.store import transport
from posthouse.store.bodies import prepare
from posthouse.store.transport import TlsDay
from posthouse.tlspolicy.reporting import (
    CONTENT_TYPE,
    Count,
    Report,
    pack,
    report_json,
    report_mail,
    report_targets,
)

__all__ = ["TlsReports"]

_AGAIN = 3_600_000  # ms
_TRIES = 24

_log = Logger()


@define(eq=False)
class TlsReports:
    """:param resolver: with ``texts(name)``. :param post: ``post(url, data, type)``; raises FetchFailed.

    :param contact: the address that reports come from; its domain should be one of ours, with keys.
    :param pool: ``run(function, *args)`` -> Deferred. :param now: ms since the epoch.
    """

    database: IDatabase
    resolver: Any
    post: Callable[[str, bytes, str], Awaitable[None]]
    reporter: Reporter
    signer: Signer | None
    contact: str
    pool: Any
    random: Random
    now: Callable[[], int]

    async def step(self) -> int:
        """Report one day of one domain; 0 when none is due."""
        now = self.now()
        day: TlsDay | None = await self.database.read(lambda tx: transport.due_day(tx, now))
        if day is None:
            return 0
        try:
            targets = report_targets(await self.resolver.texts(f"_smtp._tls.{day.domain}"))
        except NoSuchDomain:
            targets = ()
        except TryLater as error:
            await self._put_off(day, error.cause)
            return 1
        if not targets:
            await self.database.write(lambda tx: transport.forget_day(tx, day))
            return 1
        await self._report(day, targets)
        return 1

    async def _report(self, day: TlsDay, targets: tuple[str, ...]) -> None:
        counted = await self.database.read(lambda tx: transport.counts_of(tx, day.day, day.domain))
        report = Report(
            day.domain,
            day.day,
            self.reporter.hostname,
            self.contact,
            f"{self.random.getrandbits(64):x}",
            tuple(
                Count(
                    one.policy, one.strings, one.mx, one.result, one.host, one.address, one.reason, sessions
                )
                for one, sessions in counted
            ),
        )
        packed = await self.pool.run(lambda: pack(report_json(report)))
        taken = []
        failed = ""
        parcels = []
        for target in targets:
            if target[:7].lower() == "mailto:":
                parcels.append(await self._parcel(report, packed, unquote(target[7:].partition("?")[0])))
                continue
            try:
                await self.post(target, packed, CONTENT_TYPE)
                taken.append(target)
            except FetchFailed as error:
                failed = f"{target}: {error}"
        if not parcels and not taken:
            await self._put_off(day, failed)
            return
        now = self.now()

        def write(tx: Any) -> None:
            for parcel in parcels:
                self.reporter.deliver(tx, parcel, now)
            transport.forget_day(tx, day)

        await self.database.write(write)
        _log.info(
            "TLS of {sessions} sessions with {domain} reported to {targets} addresses",
            event="tlsrpt.sent",
            domain=day.domain,
            sessions=sum(sessions for _, sessions in counted),
            targets=len(parcels) + len(taken),
            failed=failed,
        )

    async def _parcel(self, report: Report, packed: bytes, to: str) -> Parcel:
        now = self.now()
        boundary = f"report-{self.random.getrandbits(96):x}"
        data = report_mail(report, packed, to, format_date(now), boundary)
        if self.signer is not None:
            # RFC 8460 3: a report that is not signed by the domain that sends it counts for nothing.
            data = await self.signer.fields(message_of(data), b"", now) + data
        return Parcel(to, prepare(data), message_of(data).draft(now), False)

    async def _put_off(self, day: TlsDay, why: str) -> None:
        _log.warn(
            "the TLS report to {domain} has to wait: {why}", event="tlsrpt.failed", domain=day.domain, why=why
        )
        again = self.now() + _AGAIN

        def write(tx: Any) -> None:
            if day.tries + 1 >= _TRIES:
                transport.forget_day(tx, day)
            else:
                transport.put_off_day(tx, day, again)

        await self.database.write(write)
