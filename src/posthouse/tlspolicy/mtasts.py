"""MTA-STS: the record that says there is a policy, the policy itself, and the hosts that it names.

Promise: functions of values; bytes from elsewhere become a policy or a
:class:`~posthouse.errors.Malformed`, and what is not understood in a policy that is otherwise whole is passed over.

Specifications: RFC 8461 3.1 (the record), 3.2 (the policy), 4.1 (matching hosts).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from posthouse.errors import Malformed

__all__ = [
    "LARGEST",
    "MODES",
    "MOST_AGE",
    "StsPolicy",
    "covers",
    "parse_policy",
    "policy_id",
    "policy_text",
    "shown",
]

LARGEST = 65_536  # bytes of a policy, RFC 8461 3.3
MODES = ("enforce", "testing", "none")
MOST_AGE = 31_557_600  # seconds: a year, RFC 8461 3.2
_MOST_HOSTS = 1000
_MOST_SHOWN, _LONGEST_SHOWN = 40, 200

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_HOST = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,249}[a-z0-9_])?")


@frozen
class StsPolicy:
    """``mode`` is one of ``MODES``, ``max_age`` seconds, ``mx`` the patterns, lower case.

    ``lines`` are those of the file, for reports: the beginning of it, when it is long.
    """

    mode: str
    max_age: int
    mx: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


def policy_id(texts: Sequence[bytes]) -> str:
    """The id in the TXT records of ``_mta-sts.<domain>``; "" when there is no policy.

    Other records there do not matter; two that begin like ours count as none (RFC 8461 3.1).
    """
    ours = [text for text in texts if re.match(rb"v=STSv1[ \t]*(;|$)", text)]
    if len(ours) != 1:
        return ""
    for part in ours[0].decode("ascii", "replace").split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip() == "id":
            return value.strip() if _ID.fullmatch(value.strip()) else ""
    return ""


def parse_policy(data: bytes) -> StsPolicy:
    """Read the file. Of a key that is repeated the first one counts, but for ``mx``.

    :raises Malformed: no version, mode or age, or no host where one is needed.
    """
    if len(data) > LARGEST:
        raise Malformed(cause="MTA-STS: the policy is too long")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(cause="MTA-STS: the policy is no text") from None
    values: dict[str, str] = {}
    hosts: list[str] = []
    lines = [line.strip() for line in re.split(r"\r?\n", text) if line.strip()]
    for line in lines:
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if not colon:
            raise Malformed(cause=f"MTA-STS: a line without a colon: {line[:80]!r}")
        if key == "mx":
            host = value.lower().rstrip(".")
            if not _HOST.fullmatch(host) or ".." in host or len(hosts) >= _MOST_HOSTS:
                raise Malformed(cause=f"MTA-STS: not a host: {value[:80]!r}")
            hosts.append(host)
        else:
            values.setdefault(key, value)
    if values.get("version") != "STSv1":
        raise Malformed(cause="MTA-STS: another version")
    mode, age = values.get("mode", ""), values.get("max_age", "")
    if mode not in MODES:
        raise Malformed(cause=f"MTA-STS: unknown mode {mode[:20]!r}")
    if not re.fullmatch(r"[0-9]{1,10}", age):
        raise Malformed(cause="MTA-STS: no max_age")
    if not hosts and mode != "none":
        raise Malformed(cause="MTA-STS: no mx")
    return StsPolicy(mode, min(int(age), MOST_AGE), tuple(hosts), shown(lines))


def shown(lines: Sequence[str]) -> tuple[str, ...]:
    """What reports show of a policy: enough for an honest one, and nothing to fill a disk with."""
    return tuple(line[:_LONGEST_SHOWN] for line in lines[:_MOST_SHOWN])


def covers(patterns: Sequence[str], host: str) -> bool:
    """Is a mail host named by one of the patterns? ``*.`` stands for exactly one label (RFC 8461 4.1)."""
    name = host.lower().rstrip(".")
    parent = name.partition(".")[2]
    return any(
        pattern == name or (pattern.startswith("*.") and bool(parent) and pattern[2:] == parent)
        for pattern in patterns
    )


def policy_text(policy: StsPolicy) -> bytes:
    """The file as we serve our own."""
    lines = ["version: STSv1", f"mode: {policy.mode}"]
    lines += [f"mx: {host}" for host in policy.mx]
    lines.append(f"max_age: {policy.max_age}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
