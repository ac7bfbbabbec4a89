"""Where mail for a domain goes: its hosts with their addresses, or a verdict.

Promise: a permanent verdict is given only for what DNS says for certain; mail is never sent to ourselves,
so that a wrong MX record makes one report and no loop.

Specifications: RFC 5321 5.1, RFC 7505, RFC 3463 (5.1.2, 5.1.10, 5.4.6, 4.4.3, 4.4.4).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from posthouse.errors import AcceptsNoMail, NoSuchDomain, TryLater
from posthouse.model import NextHop

__all__ = ["FixedRoute", "Routes", "Smarthost", "Verdict"]

_HOSTS_TRIED = 5
# RFC 1918, 3927, 4193, 4291 2.5.6, 6598; loopback is told apart before.
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


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


@frozen
class FixedRoute:
    """One entry of the table. ``kind`` is smtp, smtps, lmtp, or mx: by DNS, whatever the smarthost is."""

    kind: str
    host: str = ""
    port: int = 25


def _nothing() -> frozenset[str]:
    return frozenset()


@frozen
class Routes:
    """Finds the next hops.

    :param resolver: an IResolver. :param own_names: host names of ours, lower case.
    :param own_addresses: returns the addresses that we listen on, as text; loopback ones count always.
    :param smarthost: takes all mail when it is set; it may well be on this machine.
    :param port: of the mail exchangers.
    :param table: fixed routes by domain, or by ``*.`` and the domain above.
    :param inside: private networks that MX records may lead to.
    """

    resolver: Any
    own_names: frozenset[str] = frozenset()
    own_addresses: Callable[[], frozenset[str]] = _nothing
    smarthost: Smarthost | None = None
    port: int = 25
    table: Mapping[str, FixedRoute] = field(factory=dict)
    inside: tuple[str, ...] = ()

    def by_mx(self, domain: str) -> bool:
        """Does DNS say where its mail goes, rather than the administrator?"""
        fixed = self._fixed(domain)
        return fixed.kind == "mx" if fixed is not None else self.smarthost is None

    def may_reach(self, address: str) -> bool:
        """Is it an address that strangers may name: a public one, or one in ``inside``?"""
        return not _is_private(address) or self._is_inside(address)

    def _is_inside(self, text: str) -> bool:
        address = _address(text)
        networks = map(ipaddress.ip_network, self.inside)
        return any(address in network for network in networks if network.version == address.version)

    def key(self, domain: str) -> str:
        """What may share a connection: one destination domain, or everything through one relay."""
        fixed = self._fixed(domain)
        if fixed is not None and fixed.kind != "mx":
            return f"{fixed.kind}://{fixed.host}:{fixed.port}"
        return "" if self.smarthost is not None and fixed is None else domain.lower()

    def security(self, domain: str) -> tuple[str, tuple[str, str] | None]:
        """The TLS and the login of a job for that domain, as ``RelayJob`` has them."""
        fixed = self._fixed(domain)
        if fixed is not None:
            return ("required" if fixed.kind == "smtps" else "opportunistic"), None
        if self.smarthost is not None:
            return self.smarthost.tls, self.smarthost.login
        return "opportunistic", None

    def _fixed(self, domain: str) -> FixedRoute | None:
        if not self.table:
            return None
        domain = domain.lower()
        found = self.table.get(domain)
        while found is None and "." in domain:
            domain = domain.partition(".")[2]
            found = self.table.get(f"*.{domain}")
        return found

    async def find(self, domain: str) -> tuple[NextHop, ...] | Verdict:
        """The hosts for a domain in the order in which to try them, or why there are none. Never raises."""
        fixed = self._fixed(domain)
        if fixed is not None and fixed.kind != "mx":
            return await self._find_fixed(domain, fixed)
        if self.smarthost is not None and fixed is None:
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

    async def _find_fixed(self, domain: str, fixed: FixedRoute) -> tuple[NextHop, ...] | Verdict:
        try:
            addresses = await self.resolver.addresses(fixed.host)
        except (NoSuchDomain, TryLater) as error:
            return Verdict("retry", 451, "4.4.3", f"Looking up the route of {domain} failed: {error.cause}")
        implicit, lmtp = fixed.kind == "smtps", fixed.kind == "lmtp"
        return (NextHop(fixed.host, tuple(addresses), fixed.port, implicit, lmtp),)

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
        private = False
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
            public = tuple(filter(self.may_reach, addresses))
            if not public:
                private = True
                continue
            found.append((preference, NextHop(host, public, self.port)))
        if found:
            return tuple(hop for _, hop in found)
        if unsure:
            return Verdict("retry", 451, "4.4.3", f"Looking up the mail hosts of {domain} failed: {unsure}")
        if private:
            text = f"The mail hosts of {domain} have private addresses; such a domain needs a route"
            return Verdict("failed", 550, "5.4.4", text)
        return Verdict("failed", 550, "5.1.2", f"The mail hosts of {domain} have no address")

    def _is_own(self, host: str, addresses: list[str]) -> bool:
        if host.lower() in self.own_names:
            return True
        own = {ipaddress.ip_address(text) for text in self.own_addresses()}
        for text in addresses:
            mapped = _address(text)
            loops = mapped.is_loopback and not self._is_inside(text)
            if loops or mapped.is_unspecified or mapped in own:
                return True
        return False


def _is_private(text: str) -> bool:
    """Whoever owns a domain must not be able to point our mail at machines inside."""
    mapped = _address(text)
    return any(mapped in network for network in _PRIVATE if network.version == mapped.version)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped: ipaddress.IPv4Address | None = getattr(address, "ipv4_mapped", None)
    return mapped or address
