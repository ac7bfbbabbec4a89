"""TLS reports: where a domain wants them, what they say, and the mail that carries one.

Promise: pure. The report of one domain and one day is made from counted sessions; what servers said stands in it
as plain text, bounded.

Specifications: RFC 8460 3 (the record), 4 (the report), 5.3 (the mail), RFC 8689 5 (it goes even where TLS is broken).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import frozen

__all__ = ["CONTENT_TYPE", "Count", "Report", "pack", "report_json", "report_mail", "report_targets"]

CONTENT_TYPE = "application/tlsrpt+gzip"
_MOST_TARGETS = 5
_MOST_DETAILS = 500
_ADDRESS = re.compile(r"[A-Za-z0-9._%+=&'/~-]{1,64}@[A-Za-z0-9.-]{1,253}")


@frozen
class Count:
    """Sessions that ended alike. ``result`` is "" for success, else a type of RFC 8460 4.3."""

    policy: str  # "sts", "tlsa" or "no-policy-found"
    strings: tuple[str, ...]
    mx: tuple[str, ...]
    result: str
    host: str
    address: str
    reason: str
    sessions: int


@frozen
class Report:
    """``day`` is the first moment of it, ms since the epoch (UTC); ``contact`` an address of ours."""

    domain: str
    day: int
    organization: str
    contact: str
    unique: str
    counts: tuple[Count, ...]

    @property
    def identity(self) -> str:
        begin = datetime.fromtimestamp(self.day / 1000, UTC)
        return f"{begin:%Y-%m-%d}T00:00:00Z_{self.domain}_{self.unique}"

    @property
    def file_name(self) -> str:
        """RFC 8460 5.1."""
        begin = self.day // 1000
        return f"{self.organization}!{self.domain}!{begin}!{begin + 86_399}!{self.unique}.json.gz"


def report_targets(texts: Sequence[bytes]) -> tuple[str, ...]:
    """The ``rua`` of the TXT records of ``_smtp._tls.<domain>``: ``mailto:`` and ``https:``, none when there is
    no record or more than one."""
    ours = [text for text in texts if re.match(rb"v=TLSRPTv1[ \t]*;", text)]
    if len(ours) != 1:
        return ()
    found: list[str] = []
    for part in ours[0].decode("ascii", "replace").split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip() != "rua":
            continue
        for uri in value.split(","):
            uri = uri.strip()
            if _is_target(uri) and uri not in found:
                found.append(uri)
    return tuple(found[:_MOST_TARGETS])


def _is_target(uri: str) -> bool:
    if len(uri) > 1000:
        return False
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "mailto":
        return _ADDRESS.fullmatch(unquote(rest.partition("?")[0])) is not None
    if scheme.lower() == "https":
        try:
            parts = urlsplit(uri)
            return bool(parts.hostname) and parts.username is None and not re.search(r"[^!-~]", uri)
        except ValueError:
            return False
    return False


def report_json(report: Report) -> bytes:
    """The document (RFC 8460 4.4)."""
    begin = datetime.fromtimestamp(report.day / 1000, UTC)
    policies: dict[tuple[Any, ...], list[Count]] = {}
    for count in report.counts:
        policies.setdefault((count.policy, count.strings, count.mx), []).append(count)
    end = begin + timedelta(seconds=86_399)
    document = {
        "organization-name": report.organization,
        "date-range": {
            "start-datetime": f"{begin:%Y-%m-%dT%H:%M:%SZ}",
            "end-datetime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        },
        "contact-info": report.contact,
        "report-id": report.identity,
        "policies": [_policy(report.domain, key, counts) for key, counts in policies.items()],
    }
    return json.dumps(document, ensure_ascii=True).encode("ascii")


def _policy(domain: str, key: tuple[Any, ...], counts: list[Count]) -> dict[str, Any]:
    kind, strings, hosts = key
    about: dict[str, Any] = {"policy-type": kind, "policy-domain": domain}
    if strings:
        about["policy-string"] = list(strings)
    if hosts:
        about["mx-host"] = list(hosts)
    failures = [count for count in counts if count.result]
    found: dict[str, Any] = {
        "policy": about,
        "summary": {
            "total-successful-session-count": sum(count.sessions for count in counts if not count.result),
            "total-failure-session-count": sum(count.sessions for count in failures),
        },
    }
    if failures:
        found["failure-details"] = [_failure(count) for count in failures[:_MOST_DETAILS]]
    return found


def _failure(count: Count) -> dict[str, Any]:
    found: dict[str, Any] = {"result-type": count.result}
    if count.host:
        found["receiving-mx-hostname"] = count.host
    if count.address:
        found["receiving-ip"] = count.address
    found["failed-session-count"] = count.sessions
    if count.reason:
        found["failure-reason-code"] = count.reason
    return found


def report_mail(report: Report, packed: bytes, to: str, date: str, boundary: str) -> bytes:
    """The message. ``packed`` is the document in gzip, ``date`` what stands in its Date field.

    ``TLS-Required: No``: a domain with broken TLS is the one that has to hear of it (RFC 8460 3).
    """
    submitter = report.organization
    encoded = base64.encodebytes(packed).replace(b"\n", b"\r\n")
    head = (
        f"From: <{report.contact}>\r\n"
        f"To: <{to}>\r\n"
        f"Subject: Report Domain: {report.domain} Submitter: {submitter}\r\n"
        f" Report-ID: <{report.identity}@{submitter}>\r\n"
        f"Date: {date}\r\n"
        f"Message-ID: <{report.unique}.{report.day}@{submitter}>\r\n"
        f"TLS-Report-Domain: {report.domain}\r\n"
        f"TLS-Report-Submitter: {submitter}\r\n"
        "TLS-Required: No\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type="tlsrpt";\r\n boundary="{boundary}"\r\n'
        "\r\n"
        f"--{boundary}\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        f"This is a TLS report of {submitter} about mail sent to {report.domain}.\r\n"
        "\r\n"
        f"--{boundary}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment;\r\n filename="{report.file_name}"\r\n'
        "\r\n"
    )
    return head.encode("ascii") + encoded + f"--{boundary}--\r\n".encode("ascii")


def pack(document: bytes) -> bytes:
    """Gzip without a time, so that the same report is the same bytes."""
    return gzip.compress(document, mtime=0)
