"""Domains: what mail is taken for, the keys that sign for them, and what their DNS has to say.

Promise: a domain and its two DKIM keys are added in one transaction; what ``domain dns`` prints can be pasted
into a zone file as it is.

Specifications: RFC 1035 5 (zone files), RFC 7208, RFC 6376 3.6, RFC 9989 4.7, RFC 6186 and RFC 8314 (SRV),
RFC 8461 and RFC 8460 (TLS between servers), RFC 7672 (TLSA).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from posthouse.admin.dkim_records import key_lines, new_keys
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Malformed, NoSuchAccount
from posthouse.mime import addresses
from posthouse.store import accounts, dkim_keys, domains, transport
from posthouse.store.dkim_keys import DkimKey
from posthouse.store.transport import OwnPolicy
from posthouse.tlspolicy import mtasts
from posthouse.tlspolicy.tlsa import advice, presentation

__all__ = ["DOMAIN_NAME", "domain_from", "zone_lines"]

DOMAIN_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)
_STS_AGE = 604_800  # seconds: a week; RFC 8461 3.2 wants weeks, and a beginner wants to be able to go back


@operation("domain add")
async def domain_add(ports: Ports, domain: str, alias_of: str = "") -> dict[str, Any]:
    """Take mail for a domain, or for one whose addresses are those of another, and make the keys that sign."""
    name = domain_from(domain)
    real = domain_from(alias_of) if alias_of else ""
    keys = await new_keys(ports, name)

    def add(tx: Any) -> None:
        accounts.add_domain(tx, name, ports.now(), real)
        for key in keys:
            dkim_keys.add_key(tx, key)

    await ports.db.write(add)
    return {"domain": name} | ({"alias_of": real} if real else {})


@operation("domain list")
async def domain_list(ports: Ports) -> list[dict[str, Any]]:
    """List the domains of this server."""
    return [
        {"domain": one.name, "alias_of": one.alias_of or None, "catch_all": one.catch_all or None}
        for one in await ports.db.read(domains.domain_listing)
    ]


@operation("domain delete")
async def domain_delete(ports: Ports, domain: str) -> dict[str, Any]:
    """Take no more mail for a domain; it must have no users and no aliases left."""
    name = domain_from(domain)

    await ports.db.write(lambda tx: accounts.delete_domain(tx, name))
    return {"domain": name}


@operation("domain sts")
async def domain_sts(
    ports: Ports,
    domain: str,
    mode: str | None = None,
    max_age: int | None = None,
    mx: list[str] | None = None,
) -> dict[str, Any]:
    """Say whether servers that send mail to a domain must use TLS (MTA-STS): enforce, testing or none."""
    name = domain_from(domain)
    if mode is not None and mode not in mtasts.MODES:
        raise Malformed(f"The mode is one of {', '.join(mtasts.MODES)}.")
    if max_age is not None and not 86_400 <= max_age <= mtasts.MOST_AGE:
        raise Malformed("The age is 86400 to 31557600 seconds: a day to a year.")
    hosts = tuple(dict.fromkeys(domain_from(host) for host in mx)) if mx is not None else None

    def decide(tx: Any) -> OwnPolicy:
        if not accounts.is_local_domain(tx, name):
            raise NoSuchAccount(f"The domain {name} is not served here.")
        before = transport.own_policy(tx, name) or OwnPolicy(name, "none", _STS_AGE, (), 0)
        after = OwnPolicy(
            name,
            mode if mode is not None else before.mode,
            max_age if max_age is not None else before.max_age,
            hosts if hosts is not None else before.mx,
            # The id in DNS is made of it: another policy has to have another one.
            max(ports.now(), before.changed + 1),
        )
        if evolve(after, changed=before.changed) == before:
            return before
        transport.set_own_policy(tx, after)
        return after

    policy = await ports.db.write(decide)
    return {
        "domain": name,
        "mode": policy.mode,
        "max_age": policy.max_age,
        "mx": [ports.hostname, *policy.mx],
        "record": _sts_record(policy) if policy.changed else "",
    }


def _sts_record(policy: OwnPolicy) -> str:
    changed = datetime.fromtimestamp(policy.changed / 1000, UTC)
    return f"v=STSv1; id={changed:%Y%m%d%H%M%S}{policy.changed % 1000:03d}"


@operation("domain dns")
async def domain_dns(ports: Ports, domain: str, tlsa: bool = False) -> list[str]:
    """Print what has to be in a domain's DNS; signing keys that are missing are made first."""
    name = domain_from(domain)
    certificate = ports.certificate() if tlsa and ports.certificate is not None else None
    if tlsa and certificate is None:
        raise Malformed("The certificate is known to the running server only; start it first.")

    def read(tx: Any) -> tuple[list[DkimKey], OwnPolicy | None]:
        if not accounts.is_local_domain(tx, name):
            raise NoSuchAccount(f"The domain {name} is not served here.")
        return dkim_keys.keys_of(tx, name), transport.own_policy(tx, name)

    keys, policy = await ports.db.read(read)
    if not keys:

        def keep(tx: Any) -> list[DkimKey]:
            # Somebody else may have been faster.
            if not dkim_keys.keys_of(tx, name):
                for key in made:
                    dkim_keys.add_key(tx, key)
            return dkim_keys.keys_of(tx, name)

        made = await new_keys(ports, name)
        keys = await ports.db.write(keep)
    lines = zone_lines(name, ports.hostname, keys) + _tls_lines(name, ports.hostname, policy)
    if certificate is not None:
        record = advice(certificate)
        lines += [
            "; Only if the zone of the server is signed (DNSSEC), and to be changed before the key is:",
            f"_25._tcp.{ports.hostname}. IN TLSA {presentation(record)}",
        ]
    return lines


def _tls_lines(domain: str, hostname: str, policy: OwnPolicy | None) -> list[str]:
    """RFC 8461 3.1 and RFC 8460 3."""
    lines = [
        "; Where other servers report how TLS with this one went.",
        f'_smtp._tls.{domain}. IN TXT "v=TLSRPTv1; rua=mailto:postmaster@{domain}"',
    ]
    if policy is None:
        return [*lines, f"; To have them use TLS only: posthouse domain sts {domain} testing, later enforce."]
    return [
        *lines,
        f"; They have to use TLS; the certificate of this server has to name mta-sts.{domain}, too.",
        f"mta-sts.{domain}. IN CNAME {hostname}.",
        f'_mta-sts.{domain}. IN TXT "{_sts_record(policy)}"',
    ]


def zone_lines(domain: str, hostname: str, keys: list[DkimKey]) -> list[str]:
    """The zone text, line by line. ``hostname`` is the server's, whose own records are its owner's matter."""
    host = f"{hostname}."
    lines = [
        f"; The DNS of {domain}, with mail at {hostname} (which needs A and AAAA, and a PTR that names it).",
        f"{domain}. IN MX 10 {host}",
        "; Who may send: the mail hosts, and whoever you add here, such as a smarthost.",
        f'{domain}. IN TXT "v=spf1 mx ~all"',
    ]
    if hostname != domain and "." in hostname:
        lines.append(f'{host} IN TXT "v=spf1 a -all"')
    lines += key_lines(keys)
    lines += [
        "; What others shall do with mail that is neither; when all is well, make it p=reject.",
        f'_dmarc.{domain}. IN TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"',
        "; Where phones and programs find their settings.",
        f"autodiscover.{domain}. IN CNAME {host}",
        f"_autodiscover._tcp.{domain}. IN SRV 0 0 443 {host}",
        f"_submissions._tcp.{domain}. IN SRV 0 1 465 {host}",
        f"_submission._tcp.{domain}. IN SRV 10 1 587 {host}",
    ]
    return lines


def domain_from(text: str) -> str:
    """The folded name of a domain that an administrator typed. :raises Malformed: it is none."""
    local, _, name = addresses.fold_address("postmaster@" + text.strip()).rpartition("@")
    if local != "postmaster" or not DOMAIN_NAME.fullmatch(name):
        raise Malformed(f'"{text[:100]}" is not a domain; write it like example.org.')
    return name
