"""May this address send for that domain? ``check_host`` of SPF.

Promise: always one of the seven results, never an exception, and at most 10 terms that ask DNS, 2 that find
nothing, 10 mail hosts and 10 names of the client each. The time is the caller's to limit: a lookup that he
ends with FAILED makes ``temperror``.

Specifications: RFC 7208; RFC 7208 4.6.4 for the limits.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field, frozen

from posthouse.mailauth.lookup import Answer, Lookup, dns_name, failed, found, is_within, query_name
from posthouse.mailauth.spf_macro import NEEDS_NAME, as_domain, expand, is_explanation
from posthouse.mailauth.spf_record import SpfRecord, SpfTerm, is_spf, parse_spf
from posthouse.peers import PeerAddress, peer_address

__all__ = ["SpfResult", "check_helo", "check_host", "check_mail_from"]

_MAX_TERMS = 10
_MAX_VOID = 2
_MAX_HOSTS = 10


@frozen
class SpfResult:
    """``identity`` is "mailfrom" or "helo", ``domain`` the one that was checked.

    ``reason`` names the mechanism that decided, or what went wrong; ``explanation`` is what the domain's owner
    has to say about a fail. Both are ASCII, from outside.
    """

    result: str
    identity: str
    domain: str
    reason: str = ""
    explanation: str = ""


class _Over(Exception):
    """The evaluation ends here with a temperror or permerror."""

    def __init__(self, result: str, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


async def check_mail_from(
    peer: str, helo: str, mail_from: str, lookup: Lookup, *, receiver: str = "unknown", now: int = 0
) -> SpfResult:
    """The MAIL FROM identity; for the null reverse path it is postmaster at the HELO name (2.4).

    :param peer: the client's address. :param receiver: our name, :param now: seconds, for explanations.
    """
    if not mail_from:
        return await check_helo(peer, helo, lookup, receiver=receiver, now=now)
    local, _, domain = mail_from.rpartition("@")
    return await check_host(
        peer, domain, local, helo, lookup, identity="mailfrom", receiver=receiver, now=now
    )


async def check_helo(
    peer: str, helo: str, lookup: Lookup, *, receiver: str = "unknown", now: int = 0
) -> SpfResult:
    """The HELO identity (2.3); ``none`` for an address literal or a bare name."""
    return await check_host(
        peer, helo, "postmaster", helo, lookup, identity="helo", receiver=receiver, now=now
    )


async def check_host(
    peer: str,
    domain: str,
    local_part: str,
    helo: str,
    lookup: Lookup,
    *,
    identity: str = "mailfrom",
    receiver: str = "unknown",
    now: int = 0,
) -> SpfResult:
    """RFC 7208 4."""
    name = dns_name(domain)
    if name is None:
        return SpfResult("none", identity, domain[:255], "not a domain name")
    address = peer_address(peer)
    if address is None:
        return SpfResult("none", identity, name, "the client has no address")
    session = _Session(address, local_part[:320] or "postmaster", name, helo[:255], lookup, receiver, now)
    try:
        result, reason = await session.check(name)
    except _Over as over:
        return SpfResult(over.result, identity, name, over.reason)
    return SpfResult(result, identity, name, reason, session.explanation if result == "fail" else "")


@define(eq=False)
class _Session:
    """One evaluation and what it has spent."""

    address: PeerAddress
    local_part: str
    sender_domain: str
    helo: str
    lookup: Lookup
    receiver: str
    now: int
    explanation: str = ""
    _terms: int = 0
    _void: int = 0
    _names: tuple[str, ...] | None = field(default=None, init=False)

    @property
    def kind(self) -> str:
        return "A" if self.address.version == 4 else "AAAA"

    async def check(self, domain: str, nested: bool = False) -> tuple[str, str]:
        """The result for one domain, and the term that decided."""
        record = await self._record(domain)
        if record is None:
            return "none", "no SPF record"
        for term in record.terms:
            if await self._matches(term, domain):
                if term.result == "fail" and record.exp and not nested:
                    self.explanation = await self._explain(record.exp, domain)
                return term.result, term.text[:100]
        if record.redirect:
            self._count()
            target = query_name(await self._target(record.redirect, domain))
            result, reason = ("none", "") if target is None else await self.check(target, nested)
            if result == "none":  # 6.1
                raise _Over("permerror", "redirect to a domain without SPF record")
            return result, reason
        return "neutral", "no term matches"  # 4.7

    async def _record(self, domain: str) -> SpfRecord | None:
        answer = await self.lookup(domain, "TXT")
        if failed(answer):
            raise _Over("temperror", f"no answer for the SPF record of {domain}")
        records = [raw for raw in found(answer) if is_spf(raw)]
        if not records:
            return None
        if len(records) > 1:
            raise _Over("permerror", f"several SPF records at {domain}")  # 4.5
        parsed = parse_spf(records[0])
        if isinstance(parsed, str):
            raise _Over("permerror", f"{domain}: {parsed}")
        return parsed

    async def _matches(self, term: SpfTerm, domain: str) -> bool:
        kind = term.kind
        if kind == "all":
            return True
        if term.bits:
            return term.bits == self.address.max_prefixlen and int(self.address) & term.mask == term.network
        self._count()
        target = query_name(await self._target(term.domain, domain) if term.domain else domain)
        if kind == "ptr":
            return target is not None and any(is_within(name, target) for name in await self._validated())
        if target is None:
            return False  # 4.8: a name that cannot exist matches nothing
        if kind == "include":
            return await self._include(target)
        if kind == "exists":
            return bool(await self._asked(target, "A"))
        if kind == "a":
            return self._among(await self._asked(target, self.kind), term)
        return await self._mail_host(target, term)

    async def _include(self, target: str) -> bool:
        result, _ = await self.check(target, nested=True)
        if result == "none":  # 5.2
            raise _Over("permerror", f"{target} is included and has no SPF record")
        return result == "pass"

    async def _mail_host(self, target: str, term: SpfTerm) -> bool:
        hosts = [host for _, host in sorted(await self._asked(target, "MX")) if host]
        if len(hosts) > _MAX_HOSTS:
            raise _Over("permerror", f"more than {_MAX_HOSTS} mail hosts of {target}")
        for host in hosts:
            name = query_name(host)
            if name is None:
                continue
            # Hosts of the other family only are usual; they are no void lookups of the term.
            answer = await self._answer(name, self.kind)
            if self._among(found(answer), term):
                return True
        return False

    def _among(self, addresses: tuple[str, ...], term: SpfTerm) -> bool:
        bits = self.address.max_prefixlen
        length = term.cidr4 if bits == 32 else term.cidr6
        shift = bits - length
        own = int(self.address) >> shift
        for text in addresses:
            other = peer_address(text)
            if other is not None and other.max_prefixlen == bits and int(other) >> shift == own:
                return True
        return False

    async def _validated(self) -> tuple[str, ...]:
        """The names of the client that point back to it (5.5); errors make them fewer, never a temperror."""
        if self._names is None:
            names = []
            answer = await self.lookup(self.address.reverse_pointer, "PTR")
            for name in [query_name(str(one)) for one in found(answer)][:_MAX_HOSTS]:
                if name is None:
                    continue
                back = await self.lookup(name, self.kind)
                if self._among(found(back), SpfTerm("pass", "ptr", "ptr")):
                    names.append(name)
            self._names = tuple(names)
        return self._names

    async def _asked(self, name: str, kind: str) -> tuple[Any, ...]:
        """The records that decide a term; none at all is a void lookup (4.6.4)."""
        records = found(await self._answer(name, kind))
        if not records:
            self._void += 1
            if self._void > _MAX_VOID:
                raise _Over("permerror", "too many lookups that find nothing")
        return records

    async def _answer(self, name: str, kind: str) -> Answer:
        answer = await self.lookup(name, kind)
        if failed(answer):
            raise _Over("temperror", f"no answer for {kind} of {name}")
        return answer

    def _count(self) -> None:
        self._terms += 1
        if self._terms > _MAX_TERMS:
            raise _Over("permerror", "too many lookups")

    async def _target(self, spec: str, domain: str) -> str:
        if "%" not in spec:
            return as_domain(spec)
        return as_domain(expand(spec, await self._values(spec, domain)))

    async def _values(self, spec: str, domain: str) -> dict[str, str]:
        if self.address.version == 4:
            dotted, family = str(self.address), "in-addr"
        else:
            dotted, family = ".".join(self.address.exploded.replace(":", "")), "ip6"
        name = ""
        if NEEDS_NAME.search(spec):
            names = await self._validated()
            # 7.3 p: the domain itself, else one below it, else any
            within = [one for one in names if is_within(one, domain)]
            name = domain if domain in names else next(iter([*within, *names]), "unknown")
        return {
            "s": f"{self.local_part}@{self.sender_domain}",
            "l": self.local_part,
            "o": self.sender_domain,
            "d": domain,
            "i": dotted,
            "p": name,
            "v": family,
            "h": self.helo,
            "c": str(self.address),
            "r": self.receiver,
            "t": str(self.now),
        }

    async def _explain(self, spec: str, domain: str) -> str:
        """What the owner says (6.2); whatever goes wrong, he then says nothing."""
        target = query_name(await self._target(spec, domain))
        if target is None:
            return ""
        records = found(await self.lookup(target, "TXT"))
        if len(records) != 1:
            return ""
        try:
            text = records[0].decode("ascii")
        except UnicodeDecodeError:
            return ""
        if not is_explanation(text):
            return ""
        words = expand(text, await self._values(text, domain))
        return re.sub(r"[^ -~]", "?", words)[:500]
