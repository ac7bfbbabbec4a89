"""A message without 8-bit bytes, for a mail server that takes none.

Promise: what a reader sees is the same, and so is the structure: every part stands where it stood, under the same
type and name. Text becomes quoted-printable or base64, the rest base64, raw UTF-8 in headers encoded words. What is
signed or encrypted (multipart/signed, S/MIME, PGP) is never touched: where that would have to be, there is no such
message.

Specifications: RFC 6152 3 (the conversion), RFC 2045 6 (encodings), RFC 1847 2.1 (signed parts may not be changed),
RFC 2047, RFC 2231.
"""

from __future__ import annotations

import re

from posthouse.errors import Malformed
from posthouse.mime.compose import base64_lines, encode_text, field, parameters
from posthouse.mime.headers import parse_params, raw_text, unfold
from posthouse.mime.part import Part
from posthouse.mime.pieces import SEALED
from posthouse.mime.scan import scan
from posthouse.mime.transfer import decode_transfer

__all__ = ["seven_bit"]

# Inline PGP of old, too: encoding its part anew would change what was signed.
_SEALED = SEALED | {"application/pgp"}
_ARMOUR = re.compile(rb"(?m)^-----BEGIN PGP (?:SIGNED )?MESSAGE-----")
_CTE = re.compile(rb"(?i)^content-transfer-encoding[ \t]*:")
_VERSION = re.compile(rb"(?im)^mime-version[ \t]*:")
_NOT_ASCII = re.compile(rb"[^\x00-\x7f]+")
_STRUCTURED = ("content-type", "content-disposition")
_LABELS = ("8bit", "binary")


def seven_bit(data: bytes) -> bytes:
    """The message in ASCII alone; itself when it is so already.

    :raises Malformed: it is signed or encrypted, or has addresses that ASCII cannot carry.
    """
    if data.isascii():
        return data
    return _part(scan(data), data, True)


def _part(part: Part, data: bytes, top: bool = False) -> bytes:
    head, body = data[part.header_start : part.body_start], data[part.body_start : part.body_end]
    ascii_only = head.isascii() and body.isascii()
    if part.content_type in _SEALED:
        if not ascii_only:
            raise Malformed("The message is signed or encrypted and cannot be converted to 7 bits.")
        return head + body
    if ascii_only and part.cte not in _LABELS and not part.children:
        return head + body
    if part.children:
        return _head(head, "7bit" if part.cte in _LABELS else "") + _inside(part, data)
    if body.isascii():
        return _head(head, "7bit" if part.cte in _LABELS else "") + body
    encoding, encoded = _encoded(part, body)
    return _head(head, encoding, top) + encoded


def _inside(part: Part, data: bytes) -> bytes:
    """The children, with the boundary lines and whatever else stands between them."""
    pieces = []
    position = part.body_start
    for child in part.children:
        pieces += [_plain(data[position : child.header_start]), _part(child, data)]
        position = child.body_end
    pieces.append(_plain(data[position : part.body_end]))
    return b"".join(pieces)


def _plain(between: bytes) -> bytes:
    """What stands between parts is shown to nobody (RFC 2046 5.1.1), unless it is the boundary itself."""
    return _NOT_ASCII.sub(b"?", between)


def _encoded(part: Part, body: bytes) -> tuple[str, bytes]:
    if _ARMOUR.search(body):
        raise Malformed("The message is signed or encrypted and cannot be converted to 7 bits.")
    if part.content_type.startswith(("message/", "multipart/")) and part.content_type in (
        "message/rfc822",
        "message/partial",
        "message/external-body",
    ):
        # RFC 2046 5.2.1: nothing but 7bit, 8bit and binary is allowed there.
        raise Malformed("An embedded message cannot be converted to 7 bits.")
    # 8-bit bytes under base64 or quoted-printable: a mistake of its author; readers skip or take them.
    content = decode_transfer(part.cte, body)
    if not part.content_type.startswith("text/"):
        return "base64", base64_lines(content)
    encoding, encoded = encode_text(content)
    # Without any line end in the text, the soft ones came without their CR.
    return encoding, re.sub(rb"(?<!\r)\n", b"\r\n", encoded)


def _head(head: bytes, encoding: str, top: bool = False) -> bytes:
    """A header block in ASCII, with this encoding; "" leaves the encoding alone."""
    fields = _fields(head)
    blank = fields.pop() if fields and not fields[-1].strip() else b"\r\n"
    kept = [_field(one) for one in fields if not (encoding and _CTE.match(one))]
    if encoding:
        if top and not _VERSION.search(head):
            kept.append(b"MIME-Version: 1.0\r\n")
        if encoding != "7bit":
            kept.append(field("Content-Transfer-Encoding", encoding))
    return b"".join(kept) + blank


def _fields(head: bytes) -> list[bytes]:
    """The fields with their continuation lines; the empty line, if it is there, comes last."""
    found: list[bytes] = []
    for line in head.splitlines(keepends=True):
        if line[:1] in (b" ", b"\t") and found and line.strip():
            found[-1] += line
        else:
            found.append(line)
    return found


def _field(line: bytes) -> bytes:
    if line.isascii():
        return line
    raw_name, _, raw = line.partition(b":")
    name = raw_name.decode("latin-1").strip()
    value = raw_text(unfold(raw).strip())
    if name.lower() in _STRUCTURED:
        kind, params = parse_params(value)
        new = parameters(name, kind, params.items())
    else:
        new = field(name, value)
    if not new or not new.isascii():
        raise Malformed("A header field cannot be converted to 7 bits.", cause=repr(line[:100]))
    return new
