"""Messages as bytes: headers, one text, alternatives, attachments. Deterministic, and deliberately varied.

The demo's mail must look like the world's: so the charset and the transfer encoding of each message are
chosen by the caller, and the header encodings follow them (RFC 2047), instead of all being UTF-8."""

from __future__ import annotations

import base64
import quopri
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime

from attrs import frozen

__all__ = ["Part", "address", "leaf", "message", "multipart"]


@frozen
class Part:
    """A MIME part: header lines (without the blank one) and the encoded body."""

    headers: tuple[str, ...]
    body: bytes

    def data(self) -> bytes:
        """The part as it lies in its parent."""
        return "\r\n".join(self.headers).encode() + b"\r\n\r\n" + self.body


def leaf(
    content_type: str,
    data: bytes | str,
    *,
    encoding: str = "base64",
    charset: str = "utf-8",
    name: str = "",
    content_id: str = "",
    inline: bool = False,
) -> Part:
    """One part that is not multipart; text is encoded in ``charset`` and ends its lines with CRLF."""
    headers = []
    if isinstance(data, str):
        raw = data.replace("\r\n", "\n").replace("\n", "\r\n").encode(charset, "xmlcharrefreplace")
        content_type += f"; charset={charset}"
    else:
        raw = data
    if name and name.isascii():
        content_type += f'; name="{name}"'
    headers.append(f"Content-Type: {content_type}")
    headers.append(f"Content-Transfer-Encoding: {encoding}")
    if content_id:
        headers.append(f"Content-ID: <{content_id}>")
    if name:
        kind = "inline" if inline else "attachment"
        if name.isascii():
            headers.append(f'Content-Disposition: {kind}; filename="{name}"')
        else:  # RFC 2231
            escaped = "".join(
                chr(b) if (chr(b).isalnum() and b < 128) or b == 46 else f"%{b:02X}" for b in name.encode()
            )
            headers.append(f"Content-Disposition: {kind}; filename*=utf-8''{escaped}")
    if encoding == "base64":
        body = base64.encodebytes(raw).replace(b"\n", b"\r\n")
    elif encoding == "quoted-printable":
        body = quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    else:
        body = raw
    return Part(tuple(headers), body)


def multipart(kind: str, boundary: str, *parts: Part, extra: str = "") -> Part:
    """A multipart ("alternative", "mixed", "related") of parts."""
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part.data() + b"\r\n" for part in parts)
    body += b"--" + boundary.encode() + b"--\r\n"
    return Part((f'Content-Type: multipart/{kind}; boundary="{boundary}"{extra}',), body)


def message(
    part: Part,
    *,
    sender: str,
    to: str,
    subject: str,
    date: int,
    message_id: str,
    charset: str = "utf-8",
    cc: str = "",
    references: tuple[str, ...] = (),
    extra: tuple[str, ...] = (),
) -> bytes:
    """A whole message; ``date`` in milliseconds, addresses as made by ``address``."""
    moment = datetime.fromtimestamp(date / 1000, UTC).replace(microsecond=0)
    lines = [
        f"Date: {format_datetime(moment)}",
        f"From: {sender}",
        f"To: {to}",
        *([f"Cc: {cc}"] if cc else []),
        f"Subject: {_words(subject, charset, 9)}",
        f"Message-ID: <{message_id}>",
    ]
    if references:
        lines.append(f"In-Reply-To: <{references[-1]}>")
        lines.append("References: " + "\r\n ".join(f"<{one}>" for one in references))
    lines += ["MIME-Version: 1.0", *extra, *part.headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + part.body


def address(name: str, mail: str, charset: str = "utf-8") -> str:
    """``Name <mail>`` with the name encoded where it must be."""
    if name.isascii():
        return f'"{name}" <{mail}>' if any(char in name for char in '.,&"') else f"{name} <{mail}>"
    return f"{_words(name, charset, 6)} <{mail}>"


def _words(text: str, charset: str, indent: int) -> str:
    if text.isascii():
        return text
    try:
        text.encode(charset)
    except (UnicodeEncodeError, LookupError):
        charset = "utf-8"
    return Header(text, charset, header_name="x" * indent).encode(linesep="\r\n")
