"""What the connections for one domain have to be like: DANE first, else MTA-STS, else what can be had.

Promise: a host of which DNS cannot say for certain whether it has TLSA records is not used now (an attacker who
spoils answers must not win clear text); a policy that is enforced leaves only the hosts that it names. What is
taken away so is tried again later, never bounced at once. Nothing is looked up that a domain without signed DNS
and without a policy would have to answer.

Specifications: RFC 7672 2.1, 2.2 and 3.2.2; RFC 8461 5; RFC 8689 4.2.1; RFC 8460 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, gatherResults

from posthouse.delivery.routes import Verdict
from posthouse.delivery.sts import StsFound, StsPolicies
from posthouse.dns.codec import Answer, Status
from posthouse.dns.names import ascii_name, is_address
from posthouse.errors import NoSuchDomain
from posthouse.model import HopPolicy, NextHop, TlsSession
from posthouse.tlspolicy import mtasts, tlsa

__all__ = ["Security"]

Note = Callable[[TlsSession], None]


def _unheard(session: TlsSession) -> None:
    """Nobody counts."""


@frozen
class _Broken:
    """Whether a host has TLSA records cannot be told."""

    why: str


@frozen(eq=False)
class Security:
    """:param resolver: with ``lookup(name, type)``. :param policies: None: MTA-STS is off. :param dane: look."""

    resolver: Any
    policies: StsPolicies | None = None
    dane: bool = True

    async def protect(
        self, domain: str, hops: tuple[NextHop, ...], note: Note = _unheard
    ) -> tuple[NextHop, ...] | Verdict:
        """The hosts that may be used, each with its policy, or why there are none now. Never raises.

        :param hops: the mail hosts of the domain, by DNS. :param note: hears what went wrong.
        """
        if domain.startswith("["):
            return hops  # an address literal: nobody can say anything about it
        try:
            name = ascii_name(domain)
        except NoSuchDomain:
            return hops
        mx: Answer = await self.resolver.lookup(name, "MX")
        asked: list[Deferred[Any]] = [Deferred.fromCoroutine(self._dane(name, mx, hop)) for hop in hops]
        asked.append(Deferred.fromCoroutine(self._sts(name)))
        *found, sts = await gatherResults(asked, consumeErrors=True)
        if sts.result:
            note(TlsSession(name, "sts", result=sts.result, reason=sts.reason))
        return self._choose(name, mx, list(zip(hops, found, strict=True)), sts.policy, note)

    def _choose(
        self,
        name: str,
        mx: Answer,
        hops: list[tuple[NextHop, HopPolicy | _Broken | None]],
        policy: mtasts.StsPolicy | None,
        note: Note,
    ) -> tuple[NextHop, ...] | Verdict:
        usable: list[NextHop] = []
        why = ""
        for hop, dane in hops:
            if isinstance(dane, _Broken):
                note(TlsSession(name, "tlsa", result="dnssec-invalid", host=hop.host, reason=dane.why))
                why = f"Whether {hop.host} has TLSA records cannot be told: {dane.why}"
                continue
            if dane is not None:
                # RFC 8461 2: where DANE applies, MTA-STS neither adds nor takes away.
                usable.append(evolve(hop, policy=dane))
                continue
            if policy is None:
                secure = _names(mx, name, hop.host)
                usable.append(evolve(hop, policy=HopPolicy(trusted=secure, about=TlsSession(name))))
                continue
            about = TlsSession(name, "sts", policy.lines, mtasts.shown(policy.mx))
            listed, enforced = mtasts.covers(policy.mx, hop.host), policy.mode == "enforce"
            if not listed:
                text = "the host is not in the policy"
                note(evolve(about, result="validation-failure", host=hop.host, reason=text))
                if enforced:
                    why = f"The MTA-STS policy of {name} does not name {hop.host}"
                    continue
            usable.append(
                evolve(
                    hop,
                    policy=HopPolicy(
                        tls="verified" if enforced else "",
                        names=(hop.host.lower().rstrip("."),) if listed else (),
                        watched=listed and not enforced,
                        trusted=listed,
                        # What is not listed was counted just now.
                        about=about if listed else None,
                    ),
                )
            )
        if usable or not hops:
            return tuple(usable)
        return Verdict("retry", 451, "4.7.5", why)

    async def _sts(self, name: str) -> StsFound:
        return StsFound() if self.policies is None else await self.policies.find(name)

    async def _dane(self, name: str, mx: Answer, hop: NextHop) -> HopPolicy | _Broken | None:
        host = hop.host.lower().rstrip(".")
        # RFC 7672 2.2.1: over an unsigned MX record DANE proves nothing.
        if not self.dane or is_address(host) or not _names(mx, name, host):
            return None
        four, six = await gatherResults([self.resolver.lookup(host, kind) for kind in ("A", "AAAA")])
        secure = {record for answer in (four, six) if answer.authentic for record in answer.records}
        # RFC 7672 2.2.2: hosts with unsigned addresses are not asked; some of their servers never answer.
        if not secure.issuperset(hop.addresses):
            return None
        owner = next((answer.owner for answer in (four, six) if answer.records and answer.owner), host)
        for base in dict.fromkeys((owner, host)):
            answer: Answer = await self.resolver.lookup(f"_{hop.port}._tcp.{base}", "TLSA")
            if answer.status is Status.FAILED:
                return _Broken(answer.detail[:200])
            if answer.status is Status.FOUND and answer.authentic:
                return _dane_policy(name, base, host, answer)
        return None


def _names(mx: Answer, name: str, host: str) -> bool:
    """Does signed DNS say that this is a mail host of the domain?"""
    if not mx.authentic:
        return False
    if mx.status is Status.NO_DATA:
        return host == name  # RFC 5321 5.1: the implicit MX
    return any(host == other for _, other in mx.records)


def _dane_policy(name: str, base: str, host: str, answer: Answer) -> HopPolicy:
    records = [one for record in answer.records if (one := tlsa.parse_tlsa(record)) is not None]
    good = tlsa.usable(records)
    about = TlsSession(name, "tlsa", mtasts.shown([tlsa.presentation(one) for one in good or records]))
    if not good:
        # RFC 7672 2.2: somebody meant TLS, though nothing here can prove the server.
        return HopPolicy(tls="required", trusted=True, about=about)
    return HopPolicy(
        tls="dane",
        names=tuple(dict.fromkeys((base, host, name))),  # RFC 7672 3.2.2
        tlsa=tuple((one.usage, one.selector, one.matching, one.data) for one in good),
        trusted=True,
        about=about,
    )
