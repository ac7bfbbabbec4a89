"""Where mail for a domain goes: its hosts with their addresses, or a verdict.

Promise: a permanent verdict is given only for what DNS says for certain; mail is never sent to ourselves,
so that a wrong MX record makes one report and no loop.

Specifications: RFC 5321 5.1, RFC 7505, RFC 3463 (5.1.2, 5.1.10, 5.4.6, 4.4.3, 4.4.4).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from attrs import frozen

from posthouse.errors import AcceptsNoMail, NoSuchDomain, TryLater
from posthouse.model import NextHop

__all__ = ["Routes", "Smarthost", "Verdict"]

_HOSTS_TRIED = 5


@frozen
class Verdict:
    """Why nothing was tried. ``outcome`` is "retry" or "failed"; ``enhanced`` a status code of RFC 3463."""

    outcome: str
    code: int
    enhanced: str
    text: str


@frozen
class Smarthost:
    """The one relay for all mail. ``tls`` as in RelayJob; ``user`` "" means no login."""

    host: str
    port: int = 587
    user: str = ""
    password: str = ""
    tls: str = "verified"
    implicit_tls: bool = False

    @property
    def login(self) -> tuple[str, str] | None:
        return (self.user, self.password) if self.user else None


def _nothing() -> frozenset[str]:
    return frozenset()


@frozen
class Routes:
    """Finds the next hops.

    :param resolver: an IResolver. :param own_names: host names of ours, lower case.
    :param own_addresses: returns the addresses that we listen on, as text; loopback ones count always.
    :param smarthost: takes all mail when it is set; it may well be on this machine.
    :param port: of the mail exchangers.
    """

    resolver: Any
    own_names: frozenset[str] = frozenset()
    own_addresses: Callable[[], frozenset[str]] = _nothing
    smarthost: Smarthost | None = None
    port: int = 25

    def key(self, domain: str) -> str:
        """What may share a connection: one destination domain, or everything through a smarthost."""
        return "" if self.smarthost is not None else domain.lower()

    async def find(self, domain: str) -> tuple[NextHop, ...] | Verdict:
        """The hosts for a domain in the order in which to try them, or why there are none. Never raises."""
        if self.smarthost is not None:
            return await self._find_smarthost(self.smarthost)
        try:
            hosts = await self.resolver.mail_hosts(domain)
        except AcceptsNoMail:
            return Verdict("failed", 556, "5.1.10", f"The domain {domain} accepts no mail (null MX)")
        except NoSuchDomain:
            return Verdict("failed", 550, "5.1.2", f"The domain {domain} does not exist")
        except TryLater as error:
            return Verdict(
                "retry", 451, "4.4.3", f"Looking up {domain} failed: {error.cause or error.public}"
            )
        return await self._addresses(domain, hosts)

    async def _find_smarthost(self, smarthost: Smarthost) -> tuple[NextHop, ...] | Verdict:
        try:
            addresses = await self.resolver.addresses(smarthost.host)
        except (NoSuchDomain, TryLater) as error:
            # A wrong name of a smarthost is our fault, not the recipient's: never a bounce at once.
            return Verdict("retry", 451, "4.4.3", f"Looking up the smarthost failed: {error.cause}")
        hop = NextHop(smarthost.host, tuple(addresses), smarthost.port, smarthost.implicit_tls)
        return (hop,)

    async def _addresses(self, domain: str, hosts: list[tuple[int, str]]) -> tuple[NextHop, ...] | Verdict:
        found: list[tuple[int, NextHop]] = []
        unsure = ""
        for preference, host in hosts:
            if len(found) >= _HOSTS_TRIED:
                break
            try:
                addresses = await self.resolver.addresses(host)
            except NoSuchDomain:
                continue
            except TryLater as error:
                unsure = error.cause or error.public
                continue
            if self._is_own(host, addresses):
                # RFC 5321 5.1: hosts of our own preference and beyond would only hand it back to us.
                better = tuple(hop for other, hop in found if other < preference)
                if better:
                    return better
                return Verdict("failed", 550, "5.4.6", f"Mail for {domain} loops back to this server")
            found.append((preference, NextHop(host, tuple(addresses), self.port)))
        if found:
            return tuple(hop for _, hop in found)
        if unsure:
            return Verdict("retry", 451, "4.4.3", f"Looking up the mail hosts of {domain} failed: {unsure}")
        return Verdict("failed", 550, "5.1.2", f"The mail hosts of {domain} have no address")

    def _is_own(self, host: str, addresses: list[str]) -> bool:
        if host.lower() in self.own_names:
            return True
        own = {ipaddress.ip_address(text) for text in self.own_addresses()}
        for text in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            mapped = getattr(address, "ipv4_mapped", None) or address
            if mapped.is_loopback or mapped.is_unspecified or mapped in own:
                return True
        return False
