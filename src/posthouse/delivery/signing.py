"""Outgoing mail of our users is signed under the domain of its author.

Promise: the reactor computes no signature and reads no key; a message whose signature cannot be made goes
unsigned rather than not at all. Keys are remembered for a minute, and forgotten at once when they change.

Specifications: RFC 6376 5; RFC 8463 (one signature of each kind).
"""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.logger import Logger

from posthouse.delivery.authentication import authors_of, feed_body
from posthouse.delivery.message import Message
from posthouse.interfaces import IDatabase
from posthouse.mailauth.dkim_sign import OutgoingBody, SigningKey, load_key, sign
from posthouse.store import dkim_keys

__all__ = ["Signer"]

_LIFETIME = 60_000  # ms
_LIMIT = 1000

_log = Logger()


@define(eq=False)
class Signer:
    """:param pool: ``run(function, *args)`` -> Deferred."""

    database: IDatabase
    pool: Any
    _kept: dict[str, tuple[int, tuple[SigningKey, ...]]] = field(factory=dict, init=False)

    def forget(self) -> None:
        """Keys or domains changed."""
        self._kept.clear()

    async def fields(self, message: Message, added: bytes, now: int) -> bytes:
        """The DKIM-Signature lines for a message; none when its author's domain has no key here.

        :param added: header lines that go in front of the message. :param now: ms since the epoch.
        """
        try:
            return await self._fields(message, added, now)
        except Exception:
            _log.failure("a message could not be signed", event="mailauth.unsigned")
            return b""

    async def _fields(self, message: Message, added: bytes, now: int) -> bytes:
        authors = authors_of(added + message.head)
        if not authors:
            return b""
        keys = await self._keys(authors[0], now)
        if not keys:
            return b""
        body = OutgoingBody()
        await feed_body(message, body, self.pool)
        signed: bytes = await self.pool.run(sign, added + message.head, body.digest(), keys, now // 1000)
        return signed

    async def _keys(self, domain: str, now: int) -> tuple[SigningKey, ...]:
        kept = self._kept.get(domain)
        if kept is not None and now < kept[0]:
            return kept[1]
        rows = await self.database.read(lambda tx: dkim_keys.signing_keys(tx, domain))
        keys: tuple[SigningKey, ...] = ()
        if rows:
            keys = await self.pool.run(_load, rows)
        if len(self._kept) >= _LIMIT:
            self._kept.clear()
        self._kept[domain] = (now + _LIFETIME, keys)
        return keys


def _load(rows: list[dkim_keys.DkimKey]) -> tuple[SigningKey, ...]:
    return tuple([load_key(row.domain, row.selector, row.private) for row in rows])
