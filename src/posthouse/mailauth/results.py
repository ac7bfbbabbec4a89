"""The Authentication-Results field: ours written, and those of others that pretend to be ours removed.

Promise: whatever a peer put into addresses, selectors and domains, one well-formed field comes out; a field that
bears our name never comes through from outside, however it is dressed. Both in linear time.

Specifications: RFC 8601 2 (format), 2.7 (methods), 5 (removal); RFC 5322 3.2.2 (comments); RFC 6008 (header.b).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from posthouse.mailauth.arc import ArcResult
from posthouse.mailauth.dkim import DkimResult
from posthouse.mailauth.dmarc import DmarcResult
from posthouse.mailauth.spf import SpfResult

__all__ = ["REASON_FIELD", "authentication_results", "reason_field", "remove_foreign"]

#: why a message lies in the Junk folder; ours alone
REASON_FIELD = "X-Posthouse-Reason"

_NAME = b"authentication-results"
_OWN = b"x-posthouse-"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+\Z")
_PVALUE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]*@?[A-Za-z0-9!#$%&'*+.^_`{|}~-]+\Z")
_UNSAFE = re.compile("[^ -~\u00a1-\u2027\u202a-\ud7ff\uf900-\ufffd\U00010000-\U0010ffff]+")
_COMMENT_UNSAFE = re.compile(r"[^A-Za-z0-9 ._:;,=/+@'!-]+")
_MAX_VALUE = 255


def authentication_results(
    authserv_id: str,
    spf: Sequence[SpfResult],
    dkim: Sequence[DkimResult],
    dmarc: Sequence[DmarcResult],
    arc: ArcResult | None = None,
    *,
    utf8: bool = False,
    sender: str = "",
) -> bytes:
    """The field, folded.

    :param sender: the reverse path, for ``smtp.mailfrom``. :param utf8: the message is SMTPUTF8.
    """
    lines = [_value(authserv_id, False)]
    for one in spf:
        name = "mailfrom" if one.identity == "mailfrom" else "helo"
        value = sender if name == "mailfrom" and sender else one.domain
        lines.append(f"spf={one.result}{_comment(one.reason)} smtp.{name}={_value(value, utf8)}")
    for result in dkim:
        lines.append(_dkim(result, utf8))
    if not dkim:
        lines.append("dkim=none")
    for verdict in dmarc:
        note = f"p={verdict.policy}" if verdict.policy else ""
        if verdict.reason:
            note = f"{note}, {verdict.reason}" if note else verdict.reason
        author = f" header.from={_value(verdict.author, utf8)}" if verdict.author else ""
        lines.append(f"dmarc={verdict.result}{_comment(note)}{author}")
    if arc is not None and arc.result != "none":
        # RFC 8617 6: the newest sealer first
        note = ", ".join(f"i={number} {name}" for number, name in reversed([*enumerate(arc.sealers, 1)]))
        lines.append(f"arc={arc.result}{_comment(arc.reason or note)}")
    return ("Authentication-Results: " + ";\r\n\t".join(lines) + "\r\n").encode("utf-8", "replace")


def _dkim(one: DkimResult, utf8: bool) -> str:
    parts = [f"dkim={one.result}{_comment(one.reason)}"]
    for name, value in (("d", one.domain), ("s", one.selector), ("a", one.algorithm)):
        if value:
            parts.append(f"header.{name}={_value(value, utf8)}")
    if one.mark:
        parts.append(f'header.b="{one.mark}"')
    return " ".join(parts)


def reason_field(text: str) -> bytes:
    """Why the message is where it is, in words."""
    return f"{REASON_FIELD}: {re.sub(r'[^ -~]+', '?', text)[:500]}\r\n".encode("ascii")


def _comment(text: str) -> str:
    text = _COMMENT_UNSAFE.sub("?", text)[:160].strip()
    return f" ({text})" if text else ""


def _value(text: str, utf8: bool) -> str:
    """A token, a mailbox of tokens, or a quoted string (RFC 8601 2.2)."""
    text = _UNSAFE.sub("?", text[:_MAX_VALUE])
    if not utf8 and not text.isascii():
        text = re.sub(r"[^ -~]", "?", text)
    if _PVALUE.match(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def remove_foreign(head: bytes, authserv_id: str) -> bytes:
    """The header block without Authentication-Results under our name and without fields that only we write.

    :returns: the same object when there is nothing to remove.
    """
    folded = head.lower()
    if _NAME not in folded and _OWN not in folded:
        return head
    own = authserv_id.lower()
    kept: list[bytes] = []
    lines = head.split(b"\n")
    start = 0
    while start < len(lines):
        end = start + 1
        while end < len(lines) and lines[end][:1] in (b" ", b"\t"):
            end += 1
        if not _is_foreign(lines[start:end], own):
            kept += lines[start:end]
        start = end
    return head if len(kept) == len(lines) else b"\n".join(kept)


def _is_foreign(lines: list[bytes], own: str) -> bool:
    name, colon, _ = lines[0].partition(b":")
    name = name.strip(b" \t").lower()
    if not colon:
        return False
    if name.startswith(_OWN):
        return True
    if name != _NAME:
        return False
    value = b" ".join([line.strip(b"\r") for line in lines]).partition(b":")[2]
    return _authserv_id(value.decode("utf-8", "replace")).lower() in (own, "")


def _authserv_id(value: str) -> str:
    """The first word of the value, comments and quotes taken away; "" when it cannot be told."""
    depth = 0
    place = 0
    while place < len(value):
        sign = value[place]
        if depth:
            if sign == "\\":
                place += 1
            elif sign == "(":
                depth += 1
            elif sign == ")":
                depth -= 1
        elif sign == "(":
            depth = 1
        elif sign not in " \t\r\n":
            break
        place += 1
    rest = value[place:]
    if rest.startswith('"'):
        quoted = re.match(r'"([^"\\]*(?:\\.[^"\\]*)*)"', rest, re.DOTALL)
        return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL).strip() if quoted else ""
    return re.split(r"[\s;(]", rest, maxsplit=1)[0].removesuffix(".")
