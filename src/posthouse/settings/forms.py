"""How values of the configuration are written, and the checks of single values.

Promise: a check raises ``ValueError`` with the end of a sentence ("must be ...") that begins with the key's name;
whoever needs the parts of a value takes them from the ``split_...`` function that checked it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

import attrs

from posthouse.errors import Malformed
from posthouse.policy import check_name

__all__ = [
    "EAS_VERSIONS",
    "SERVICES",
    "address_or_empty",
    "between",
    "bind_address",
    "ceiling",
    "hostname",
    "http_url",
    "mailbox_or_empty",
    "name_server",
    "network",
    "one_of",
    "policy_name",
    "proxied",
    "route",
    "setting",
    "split_address",
    "split_ceiling",
    "split_proxied",
    "split_route",
    "split_zone",
    "zone",
]

SERVICES = ("smtp", "submission", "submissions", "https")
EAS_VERSIONS = ("12.0", "12.1", "14.0", "14.1", "16.0", "16.1")


def split_address(text: str) -> tuple[str, int]:
    """``"127.0.0.1:25"``, ``"[::]:25"`` or ``"mail.example.org:25"`` as (host, port).

    :raises ValueError: not of that form, or the port is not 0-65535.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s\[\]:/]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError('must look like "127.0.0.1:25", "[::]:25" or "mail.example.org:25"')
    return match[1] or match[2], int(match[3])


def address_or_empty(text: str) -> None:
    """Host and port, or nothing."""
    if text:
        split_address(text)


def mailbox_or_empty(text: str) -> None:
    """An address of mail, or nothing."""
    if text and not re.fullmatch(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253}", text):
        raise ValueError('must be an address, such as "tls-reports@example.org"')


def name_server(text: str) -> None:
    """An IP address, with a port or without."""
    address = text
    if text.startswith("[") or text.count(":") == 1:
        address, _ = split_address(text)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ValueError('must be an IP address, such as "127.0.0.1" or "[::1]:5353"') from None


def split_route(text: str) -> tuple[str, str, str, int]:
    """``"example.net=lmtp://127.0.0.1:24"`` as (domain, kind, host, port); kind is smtp, smtps, lmtp or mx.

    Without a kind it is smtp. The domain may be ``*.example.net``: everything below it. ``mx`` stands alone.

    :raises ValueError: not of that form.
    """
    domain, equals, target = (part.strip() for part in text.partition("="))
    if not equals or not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", domain):
        raise ValueError('must look like "example.net=smtp://192.0.2.1:25", or "example.net=mx"')
    if target == "mx":
        return domain.lower(), "mx", "", 0
    kind, slashes, place = target.rpartition("://")
    if slashes and kind not in ("smtp", "smtps", "lmtp"):
        raise ValueError('must name smtp://, smtps:// or lmtp:// before the host, or be "mx"')
    host, port = split_address(place)
    return domain.lower(), kind or "smtp", host, port


def route(text: str) -> None:
    """See ``split_route``."""
    split_route(text)


_ZONE = re.compile(
    r"((?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63})(?:=([0-9.,-]{1,200}))?(?::(\d{1,2}(?:\.\d)?))?"
)
_CODE = re.compile(r"(?:127\.0\.0\.)?(\d{1,3})(?:-(\d{1,3}))?")


def split_zone(text: str) -> tuple[str, tuple[tuple[int, int], ...], float]:
    """``"zen.example=2-3,127.0.0.10:5"`` as (zone, ((first, last) of the last byte of 127.0.0.x, ...), points).

    :raises ValueError: not of that form.
    """
    match = _ZONE.fullmatch(text.strip()) if len(text) <= 400 else None
    if match is None:
        raise ValueError('must look like "zen.example.org", or "zen.example.org=2-11:5" (codes and points)')
    codes = []
    for one in (match[2] or "2-255").split(","):
        code = _CODE.fullmatch(one)
        if code is None or not 1 <= int(code[1]) <= int(code[2] or code[1]) <= 255:
            raise ValueError(f'names a code "{one}": write 2, 2-11 or 127.0.0.2')
        codes.append((int(code[1]), int(code[2] or code[1])))
    return match[1].lower(), tuple(codes), float(match[3] or 4)


def zone(text: str) -> None:
    """See ``split_zone``."""
    split_zone(text)


def http_url(text: str) -> None:
    """Where an HTTP service is, or nothing."""
    if text and not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:_-]{1,255}(/[!-~]{0,200})?", text):
        raise ValueError('must look like "http://127.0.0.1:11333"')


def bind_address(text: str) -> None:
    """What can be listened on."""
    host, _ = split_address(text)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError('must name an IP address, such as "0.0.0.0:25" or "[::]:25"') from None


def network(text: str) -> None:
    """A network of either family; host bits are forgiven."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError('must be a network, such as "192.0.2.0/24" or "2001:db8::/32"') from None


def split_proxied(text: str) -> tuple[str, str]:
    """``"smtp=192.0.2.7"`` or ``"10.0.0.0/24"`` as (service, network); "" is every service.

    :raises ValueError: not of that form.
    """
    service, equals, where = text.rpartition("=")
    if service.strip() not in (SERVICES if equals else ("",)):
        raise ValueError(f'must name one of {", ".join(SERVICES)} before the "="')
    network(where.strip())
    return service.strip(), where.strip()


def proxied(text: str) -> None:
    """See ``split_proxied``."""
    split_proxied(text)


def hostname(text: str) -> None:
    """A name of letters, digits and hyphens (RFC 1123 2.1)."""
    if not re.fullmatch(
        r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*",
        text,
    ):
        raise ValueError('must be a host name, such as "mail.example.org"')


def between(low: float, high: float) -> Callable[[float], None]:
    """The check of a number with bounds, both included."""

    def check(value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"must lie between {low} and {high}")

    return check


def one_of(*choices: str) -> Callable[[str], None]:
    """The check of a word that is one of these."""

    def check(value: str) -> None:
        if value not in choices:
            raise ValueError("must be one of " + ", ".join(f'"{choice}"' for choice in choices))

    return check


def split_ceiling(text: str) -> tuple[str, str]:
    """``"OldMail/=14.0"`` as (part of the User-Agent, version).

    :raises ValueError: not of that form.
    """
    part, _, version = text.rpartition("=")
    if not part.strip() or version.strip() not in EAS_VERSIONS:
        raise ValueError(f'must look like "OldMail/=14.0", with a version of {", ".join(EAS_VERSIONS)}')
    return part.strip(), version.strip()


def ceiling(text: str) -> None:
    """See ``split_ceiling``."""
    split_ceiling(text)


def policy_name(text: str) -> None:
    """What ``posthouse.policy`` takes as a name."""
    try:
        check_name(text)
    except Malformed as problem:
        raise ValueError(f"is no name of a policy: {problem.public.rstrip('.')}") from None


def setting(default: Any, doc: str, check: Callable[[Any], None] | None = None) -> Any:
    """One key: its default (whose type is the key's type), its doc line, and a check of (each) value."""
    return attrs.field(default=default, metadata={"doc": doc, "check": check})
