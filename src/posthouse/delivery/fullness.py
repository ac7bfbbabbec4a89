"""Warnings to readers whose mailbox fills up.

Promise: one mail for each of 80, 90 and 95 per cent and when it is full, in the transaction that notes it; a step
counts again once the mailbox was below it. The warning itself is taken however full the mailbox is.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.logger import Logger

from posthouse.delivery.bounce import Reporter
from posthouse.delivery.message import message_of
from posthouse.delivery.trace import delivery_trace
from posthouse.errors import NoSuchThing
from posthouse.interfaces import IDatabase
from posthouse.mime import compose
from posthouse.mime.dates import format_date
from posthouse.store import delivery, quotas
from posthouse.store.bodies import prepare
from posthouse.store.quotas import GRACE, Usage

__all__ = ["Fullness", "in_words"]

_PAGE = 20
_DAYS = GRACE // (24 * 3600 * 1000)

_log = Logger()


def in_words(size: int) -> str:
    """A number of bytes as people say it: ``1.5 GB``."""
    value, unit = float(size), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}".replace(".0 ", " ")


@frozen
class Fullness:
    """:param reporter: knows our name and makes ids. :param quota: of everybody, bytes, 0 for none."""

    database: IDatabase
    reporter: Reporter
    quota: int = 0

    async def step(self, now: int) -> int:
        """Tell some readers of what they have not been told. :returns: how many; call it again until 0."""
        waiting = await self.database.read(lambda tx: quotas.due_warnings(tx, self.quota, _PAGE))
        for usage in waiting:
            await self.database.write(lambda tx, usage=usage: self._tell(tx, usage, now))
        return len(waiting)

    def _tell(self, tx: Any, known: Usage, now: int) -> None:
        usage = quotas.usage(tx, known.mailbox_id, self.quota)
        if usage is None or usage.wanted_step == usage.step:
            return
        quotas.note_step(tx, usage.mailbox_id, usage.wanted_step, now)
        if usage.wanted_step < usage.step:
            return
        data = self._compose(usage, now)
        draft = message_of(data).draft(now)
        copy = delivery.Copy(usage.mailbox_id, usage.address, delivery_trace("", usage.address, b""))
        try:
            delivery.deliver(tx, prepare(data), draft, [copy], "", [], now, dedupe=False)
        except NoSuchThing as error:
            _log.warn("{address} cannot be warned: {error}", address=usage.address, error=str(error))

    def _compose(self, usage: Usage, now: int) -> bytes:
        host = self.reporter.hostname
        full = usage.wanted_step == 100
        subject = "Your mailbox is full" if full else f"Your mailbox is {usage.percent} % full"
        text = f"Your mailbox {usage.address} holds {in_words(usage.size)} of {in_words(usage.quota)}.\n\n"
        if full:
            text += (
                "No more mail is taken for it. Who writes to you is asked to try again\n"
                f"for {_DAYS} days, and told afterwards that your mailbox is full.\n\n"
            )
        text += "To make room, delete what you do not need,\nand empty the folder of deleted items.\n"
        header = [
            ("From", f"Mail Delivery System <mailer-daemon@{host}>"),
            ("To", usage.address),
            ("Subject", subject),
            ("Date", format_date(now)),
            ("Message-ID", f"<{self.reporter.token()}@{host}>"),
            ("Auto-Submitted", "auto-generated"),
            ("Importance", "high"),
        ]
        return compose.build(header, text, None, boundary=self.reporter.token)
