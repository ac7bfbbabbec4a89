"""What the domain in From wants done with mail that is not its own.

Promise: the policy is found with at most eight questions, and the verdict asks for nothing harmful when DNS
did not answer. A domain below the one that publishes is judged by ``sp`` or ``np``; ``t=y`` softens the verdict
by one step; what was removed from the protocol (``pct``) is not looked at.

Specifications: RFC 9989 4.7 (records), 4.10 (tree walk, discovery, organizational domain), 5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from attrs import frozen

from posthouse.mailauth.lookup import Lookup, dns_name, failed, found, is_within, query_name

__all__ = [
    "DmarcRecord",
    "DmarcResult",
    "Identifier",
    "Policy",
    "discover",
    "evaluate",
    "parse_record",
]

_POLICIES = ("none", "quarantine", "reject")
_MAX_RECORD = 8192
_MAX_LABELS = 8
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_REPORT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s,;!]+(![0-9]+[KkMmGgTt]?)?\Z")


@frozen
class DmarcRecord:
    """One valid record. ``psd`` is "y", "n" or "u"; ``sp`` and ``np`` are "" when not given."""

    p: str = "none"
    sp: str = ""
    np: str = ""
    strict_dkim: bool = False
    strict_spf: bool = False
    testing: bool = False
    psd: str = "u"
    rua: tuple[str, ...] = ()


@frozen
class Policy:
    """What discovery found for one From domain.

    ``policy`` is the published one that applies, "" without a record; ``domain`` where the record stands.
    ``failed``: DNS did not answer, so nobody knows.
    """

    author: str
    record: DmarcRecord | None = None
    domain: str = ""
    policy: str = ""
    failed: bool = False


@frozen
class Identifier:
    """An authenticated domain: ``method`` "spf" or "dkim", and its result as SPF or DKIM name it."""

    method: str
    domain: str
    result: str


@frozen
class DmarcResult:
    """``result``: pass, fail, none, temperror or permerror; ``disposition``: none, quarantine or reject.

    ``policy`` is the published one, which ``t=y`` and failures of DNS soften to the disposition.
    """

    result: str
    author: str = ""
    policy: str = ""
    disposition: str = "none"
    reason: str = ""


@lru_cache(maxsize=4096)
def parse_record(raw: bytes) -> DmarcRecord | None:
    """A policy record (4.7); None when it is none. Unknown tags and wrong values of optional ones are skipped."""
    text = raw.decode("utf-8", "replace")
    if len(raw) > _MAX_RECORD or not _VERSION.match(text):
        return None
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            tags.setdefault(name.strip().lower(), value.strip())
    rua = tuple([uri for uri in map(str.strip, tags.get("rua", "").split(",")) if _REPORT.match(uri)])
    wanted = {name: tags[name].lower() for name in ("p", "sp", "np") if name in tags}
    if any(value not in _POLICIES for value in wanted.values()):
        if not rua:
            return None
        wanted = {}  # 4.7: somebody wants reports; the rest is as good as p=none
    psd = tags.get("psd", "u").lower()
    return DmarcRecord(
        p=wanted.get("p", "none"),
        sp=wanted.get("sp", ""),
        np=wanted.get("np", ""),
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        strict_spf=tags.get("aspf", "r").lower() == "s",
        testing=tags.get("t", "n").lower() == "y",
        psd=psd if psd in ("y", "n") else "u",
        rua=rua,
    )


class _Unknown(Exception):
    """DNS did not answer."""


async def _record_at(domain: str, lookup: Lookup) -> DmarcRecord | None:
    name = query_name("_dmarc." + domain)
    if name is None:
        return None
    answer = await lookup(name, "TXT")
    if failed(answer):
        raise _Unknown
    records = [record for record in map(parse_record, found(answer)) if record is not None]
    return records[0] if len(records) == 1 else None  # 4.10: several are as good as none


async def _walk(domain: str, lookup: Lookup) -> list[tuple[str, DmarcRecord]]:
    """The records from a domain upwards (4.10), the nearest first."""
    records = []
    target = domain
    for _ in range(_MAX_LABELS):
        record = await _record_at(target, lookup)
        if record is not None:
            records.append((target, record))
            if record.psd != "u":
                break
        labels = target.split(".")
        if len(labels) == 1:
            break
        target = ".".join(labels[-7:] if len(labels) >= _MAX_LABELS else labels[1:])
    return records


def _organizational(domain: str, records: Sequence[tuple[str, DmarcRecord]]) -> str:
    """4.10.2."""
    for name, record in records:
        if record.psd == "n":
            return name
        if record.psd == "y" and name != domain:
            # one label below the public suffix, on the way to where the walk began
            return ".".join(domain.split(".")[-(name.count(".") + 2) :])
    return records[-1][0] if records else domain


async def discover(author: str, lookup: Lookup) -> Policy:
    """The policy for the domain of a From field (4.10.1). ``author`` may hold U-labels."""
    domain = dns_name(author)
    if domain is None:
        return Policy(author[:255])
    try:
        own = await _record_at(domain, lookup)
        if own is not None:
            return Policy(domain, own, domain, own.p)
        records = await _walk(domain, lookup)
    except _Unknown:
        return Policy(domain, failed=True)
    if not records:
        return Policy(domain)
    organization = _organizational(domain, records)
    # The organization's own record; else that of the public suffix above it.
    where, record = next((pair for pair in records if pair[0] == organization), records[-1])
    policy = record.sp or record.p
    if record.np and record.np != policy and await _is_nowhere(domain, lookup):
        policy = record.np
    return Policy(domain, record, where, policy)


async def _is_nowhere(domain: str, lookup: Lookup) -> bool:
    """RFC 9989 3.2.13: neither addresses nor mail hosts. What cannot be told exists."""
    for kind in ("A", "AAAA", "MX"):
        answer = await lookup(domain, kind)
        if failed(answer) or found(answer):
            return False
    return True


async def evaluate(policy: Policy, identifiers: Sequence[Identifier], lookup: Lookup) -> DmarcResult:
    """Does an authenticated domain belong to the author's, and if not, what is to be done (5.3)?"""
    author = policy.author
    if policy.failed:
        return DmarcResult("temperror", author, reason="no answer for the policy")
    record = policy.record
    if record is None:
        return DmarcResult("none", author)
    organization = ""
    unknown = ""
    # What passed first: it may save all other questions.
    for one in sorted(identifiers, key=lambda one: one.result != "pass"):
        if one.result not in ("pass", "temperror"):
            continue
        strict = record.strict_spf if one.method == "spf" else record.strict_dkim
        other = dns_name(one.domain)
        if other is None:
            continue
        aligned = other == author
        if not aligned and not strict:
            try:
                organization = organization or await _organization_of(author, lookup)
                # Only what is within the same organization can be aligned: nothing else is asked for.
                aligned = is_within(other, organization) and (
                    organization == await _organization_of(other, lookup)
                )
            except _Unknown:
                if other.split(".")[-2:] == author.split(".")[-2:]:
                    unknown = unknown or "no answer for the organizational domain"
                continue
        if aligned and one.result == "pass":
            return DmarcResult("pass", author, policy.policy, reason=f"{one.method} of {other}")
        if aligned:
            unknown = unknown or f"no answer for {one.method} of {other}"
    if unknown:
        return DmarcResult("temperror", author, policy.policy, reason=unknown)
    disposition = policy.policy
    if record.testing:
        disposition = _POLICIES[max(_POLICIES.index(disposition) - 1, 0)]
    return DmarcResult("fail", author, policy.policy, disposition)


async def _organization_of(domain: str, lookup: Lookup) -> str:
    return _organizational(domain, await _walk(domain, lookup))
