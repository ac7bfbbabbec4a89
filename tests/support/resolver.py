"""A resolver from a table, for tests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from posthouse.errors import NoSuchDomain
from posthouse.interfaces import IResolver


@implementer(IResolver)
class FakeResolver:
    """``hosts`` and ``known`` map a name to its answer, or to an exception or Deferred to give instead."""

    def __init__(self) -> None:
        self.hosts: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self.asked: list[str] = []

    def add(self, domain: str, *addresses: str) -> None:
        """A domain with one mail host of the same name under ``mx.``"""
        self.hosts[domain] = [(10, f"mx.{domain}")]
        self.known[f"mx.{domain}"] = list(addresses or ("192.0.2.25",))

    def mail_hosts(self, domain: str) -> Deferred[list[tuple[int, str]]]:
        return self._answer(self.hosts, domain)

    def addresses(self, host: str) -> Deferred[list[str]]:
        return self._answer(self.known, host)

    def _answer(self, table: dict[str, Any], name: str) -> Deferred[Any]:
        self.asked.append(name)
        found = table.get(name, NoSuchDomain(cause="not in the table"))
        if isinstance(found, Deferred):
            return found
        return fail(found) if isinstance(found, Exception) else succeed(found)
