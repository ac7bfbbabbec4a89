"""New messages, and changes to the header of existing ones.

Whatever is passed in, what comes out is one well-formed message: CRLF line ends, lines of at most 998
bytes, headers folded at 78, no header that was not asked for (CR, LF and NUL never pass). Date, Message-ID
and boundaries are arguments: nothing here looks at a clock or draws random numbers.

RFC 5322, RFC 2045, RFC 2046, RFC 2047, RFC 2231, RFC 2387, RFC 2392, RFC 6532 (UTF-8 in addresses only).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence

from attrs import frozen

from posthouse.mime import addresses

CRLF = b"\r\n"
MAX_LINE = 998

_BREAKS = re.compile(r"[\r\n\x00\u2028\u2029\x85]+")
_CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_NAME = re.compile(r"[!-9;-~]{1,76}")
_WORD_SAFE = re.compile(rb"[A-Za-z0-9!*+/-]")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+.^_`{|}~-]{1,60}")
_ATTR_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`|~")
_ADDRESS_FIELDS = frozenset(("from", "sender", "to", "cc", "bcc", "reply-to", "disposition-notification-to"))
_IDENTIFIER_FIELDS = frozenset(("message-id", "in-reply-to", "references", "date", "content-id", "list-id"))
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,60}/[A-Za-z0-9!#$&^_.+-]{1,60}")


@frozen
class File:
    """Something to attach. ``content_id`` is without angle brackets."""

    name: str
    content_type: str
    data: bytes
    content_id: str = ""
    params: tuple[tuple[str, str], ...] = ()


def build(
    header: Sequence[tuple[str, str]],
    text: str | None,
    html: str | None = None,
    attachments: Sequence[File] = (),
    inline: Sequence[File] = (),
    boundary: Callable[[], str] | None = None,
    calendar: tuple[str, str] | None = None,
) -> bytes:
    """A message as bytes.

    :param header: fields in their order, decoded text; MIME fields are added here and ignored if given.
    :param inline: what the HTML refers to by ``cid:``.
    :param boundary: gives a fresh boundary at each call; needed when there is more than one part.
    :param calendar: an iTIP method and the iCalendar text, sent as one more alternative (RFC 6047 2.4).
    :raises ValueError: when several parts are asked for without ``boundary``.
    """
    body = _body(text, html, inline, calendar, boundary)
    if attachments:
        body = multipart(
            "mixed", [body, *[attachment_part(file, "attachment") for file in attachments]], boundary
        )
    lines = [field(name, value) for name, value in header if not _is_mime(name)]
    lines.append(b"MIME-Version: 1.0\r\n")
    return b"".join(lines) + body


def _is_mime(name: str) -> bool:
    return name.strip().lower() in (
        "mime-version",
        "content-type",
        "content-transfer-encoding",
        "content-disposition",
    )


def _body(
    text: str | None,
    html: str | None,
    inline: Sequence[File],
    calendar: tuple[str, str] | None,
    boundary: Callable[[], str] | None,
) -> bytes:
    """The part that is shown, with its MIME header."""
    versions: list[bytes] = []
    if text is not None or (html is None and calendar is None):
        versions.append(text_part("plain", text or ""))
    if html is not None:
        rich = text_part("html", html)
        if inline:
            parts = [rich, *[attachment_part(file, "inline") for file in inline]]
            rich = multipart("related", parts, boundary, (("type", "text/html"),))
        versions.append(rich)
    if calendar is not None:
        method, content = calendar
        versions.append(text_part("calendar", content, (("method", method),)))
    if len(versions) == 1:
        return versions[0]
    return multipart("alternative", versions, boundary)


def multipart(
    subtype: str,
    parts: Sequence[bytes],
    boundary: Callable[[], str] | None,
    params: Iterable[tuple[str, str]] = (),
) -> bytes:
    """A multipart with its header, of parts that bring theirs.

    :raises ValueError: without ``boundary``.
    """
    if boundary is None:
        raise ValueError("a message of several parts needs boundaries")
    name = re.sub(r"[^A-Za-z0-9'()+_,./:=?-]", "", boundary())[:70] or "="
    mark = name.encode("ascii")
    # The probability is nil with random boundaries, but a given one may be met in the content.
    while any(b"--" + mark in part for part in parts):
        name = (name + "_")[-70:] if len(name) < 70 else re.sub(r"[^A-Za-z0-9=_]", "", boundary())[:69] + "_"
        mark = name.encode("ascii")
    out = [parameters("Content-Type", f"multipart/{subtype}", [("boundary", name), *params]), CRLF]
    for part in parts:
        out += (b"--", mark, CRLF, part, CRLF)
    out += (b"--", mark, b"--", CRLF)
    return b"".join(out)


def text_part(subtype: str, text: str, params: Iterable[tuple[str, str]] = ()) -> bytes:
    """A text part with its header: 7bit where that is possible, else quoted-printable or base64."""
    text = _CONTROLS.sub("", text.replace("\x00", ""))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    data = text.replace("\n", "\r\n").encode("utf-8")
    if not data.endswith(b"\n"):
        data += CRLF
    ascii_only = data.isascii()
    cte, encoded = encode_text(data)
    charset = "us-ascii" if ascii_only and subtype != "calendar" else "utf-8"
    head = parameters("Content-Type", f"text/{subtype}", [("charset", charset), *params])
    return head + field("Content-Transfer-Encoding", cte) + CRLF + encoded


def encode_text(data: bytes) -> tuple[str, bytes]:
    """A transfer encoding for text with CRLF line ends, and the encoded text."""
    longest = max(map(len, data.split(CRLF)), default=0)
    if data.isascii() and longest <= 78 and b"\nFrom " not in data and not data.startswith(b"From "):
        return "7bit", data
    odd = len(data) - len(data.decode("utf-8", "ignore").encode("ascii", "ignore"))
    if odd * 6 > len(data):
        return "base64", base64_lines(data)
    quoted = binascii.b2a_qp(data, istext=True)
    # A line that is a lone dot or begins with From may be damaged on its way (RFC 2049 3).
    quoted = re.sub(rb"(?m)^From ", b"=46rom ", quoted)
    return "quoted-printable", re.sub(rb"(?m)^\.(?=\r?$)", b"=2E", quoted)


def base64_lines(data: bytes) -> bytes:
    """Base64 in lines of 76 characters that end in CRLF."""
    return base64.encodebytes(data).replace(b"\n", CRLF)


def attachment_part(file: File, disposition: str = "attachment") -> bytes:
    """A file as a part with its header; a message stays readable (RFC 2046 5.2.1), all else is base64."""
    content_type = (
        file.content_type.lower() if _TYPE.fullmatch(file.content_type) else "application/octet-stream"
    )
    named = [("name", file.name)] if file.name else []
    head = parameters("Content-Type", content_type, [*named, *file.params])
    head += parameters("Content-Disposition", disposition, [("filename", file.name)] if file.name else [])
    if file.content_id:
        head += field("Content-ID", f"<{''.join(_one_line(file.content_id).split())}>")
    if content_type in ("message/rfc822", "message/global"):
        # RFC 2046 5.2.1: a message inside may not be encoded.
        data = file.data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", CRLF)
        cte = "7bit" if data.isascii() else "8bit"
        return head + field("Content-Transfer-Encoding", cte) + CRLF + data
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64_lines(file.data)


# Header fields


def _one_line(value: str) -> str:
    return _CONTROLS.sub("", _BREAKS.sub(" ", value)).strip()


def field(name: str, value: str) -> bytes:
    """One header field, encoded and folded, with its CRLF; b"" when ``name`` is no field name.

    Addresses keep their structure: only names are encoded, domains become A-labels. A local part beyond
    ASCII stays UTF-8 (RFC 6532), as nothing else can carry it.
    """
    name = name.strip()
    if not _NAME.fullmatch(name):
        return b""
    value = _one_line(value)
    lower = name.lower()
    if lower in _ADDRESS_FIELDS:
        return _address_field(name, value)
    if lower in _IDENTIFIER_FIELDS or (value.isascii() and "=?" not in value):
        return _fold(name.encode("ascii"), value.encode("utf-8"))
    return _fold(name.encode("ascii"), encode_words(value, len(name) + 2))


def raw_field(name: str, value: str) -> bytes:
    """One field whose value is not encoded: RFC 3464 fields, which know no encoded words."""
    return _fold(name.encode("ascii"), _one_line(value).encode("utf-8"))


def _address_field(name: str, value: str) -> bytes:
    boxes = addresses.parse_mailboxes(value)
    if not boxes:
        return _fold(name.encode("ascii"), encode_words(value, len(name) + 2) if value else b"")
    shown = []
    for box in boxes:
        address = addresses.normalise_address(box.address)
        if not box.address:
            shown.append(encode_words(box.name, len(name) + 2))
        elif box.name.isascii() and "=?" not in box.name:
            shown.append(addresses.format_mailbox(addresses.Mailbox(box.name, address)).encode("utf-8"))
        else:
            shown.append(encode_words(box.name, len(name) + 2) + f" <{address}>".encode())
    return _fold(name.encode("ascii"), b", ".join(shown))


def encode_words(value: str, used: int = 0) -> bytes:
    """RFC 2047 words for ``value``, each at most 75 characters and whole characters only.

    :param used: characters that stand before it on its first line.
    """
    if not value:
        return b""
    # Q where most is ASCII and stays readable, else B.
    ascii_count = len(value.encode("ascii", "ignore"))
    quoted = ascii_count * 2 > len(value)
    words: list[bytes] = []
    room = max(75 - used, 30)
    chunk = b""
    for char in value:
        data = char.encode("utf-8", "replace")
        if quoted:
            data = b"".join(
                b"_"
                if byte == 32
                else bytes((byte,))
                if _WORD_SAFE.match(bytes((byte,)))
                else b"=%02X" % byte
                for byte in data
            )
            size = len(chunk) + len(data) + 12
        else:
            size = (len(chunk) + len(data) + 2) // 3 * 4 + 12
        if size > room and chunk:
            words.append(_word(chunk, quoted))
            chunk = b""
            room = 75
        chunk += data
    words.append(_word(chunk, quoted))
    return b" ".join(words)


def _word(chunk: bytes, quoted: bool) -> bytes:
    if quoted:
        return b"=?utf-8?q?" + chunk + b"?="
    return b"=?utf-8?b?" + base64.b64encode(chunk) + b"?="


def _fold(name: bytes, value: bytes) -> bytes:
    """Break a field at its spaces into lines of 78, and by force before 998 (RFC 5322 2.1.1)."""
    line = name + b":"
    if len(line) + 1 + len(value) <= 78:
        return line + b" " + value + CRLF if value else line + CRLF
    lines: list[bytes] = []
    for word in value.split(b" "):
        while len(word) > MAX_LINE - 100:
            cut = MAX_LINE - 100
            while word[cut] & 0xC0 == 0x80:
                cut -= 1
            lines.append(line + b" " + word[:cut])
            line, word = b"", word[cut:]
        # A line of white space alone would be taken for the end of the header by some.
        if len(line) + 1 + len(word) > 78 and line.strip() and line != name + b":":
            lines.append(line)
            line = b" " + word
        else:
            line += b" " + word
    lines.append(line)
    return CRLF.join(entry for entry in lines if entry.strip()) + CRLF


def parameters(name: str, value: str, params: Iterable[tuple[str, str]]) -> bytes:
    """A structured MIME field with parameters, RFC 2231 where they are long or not ASCII."""
    out = f"{name}: {_one_line(value)}".encode("ascii", "replace")
    length = len(out)
    for key, text in params:
        if not _TOKEN.fullmatch(key):
            continue
        for item in _parameter(key, _one_line(text)):
            fits = length + 2 + len(item) <= 77
            out += (b"; " if fits else b";\r\n\t") + item
            length = length + 2 + len(item) if fits else 1 + len(item)
    return out + CRLF


def _parameter(key: str, text: str) -> list[bytes]:
    if text.isascii() and len(text) <= 70:
        if _TOKEN.fullmatch(text):
            return [f"{key}={text}".encode("ascii")]
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return [f'{key}="{escaped}"'.encode("ascii")]
    encoded = [
        (chr(byte) if byte in _ATTR_SAFE else f"%{byte:02X}") for byte in text.encode("utf-8", "replace")
    ]
    whole = "".join(encoded)
    if len(whole) <= 60:
        return [f"{key}*=utf-8''{whole}".encode("ascii")]
    pieces: list[str] = []
    piece = "utf-8''"
    for item in encoded:
        if len(piece) + len(item) > 58:
            pieces.append(piece)
            piece = ""
        piece += item
    pieces.append(piece)
    return [f"{key}*{index}*={piece}".encode("ascii") for index, piece in enumerate(pieces[:100])]


# Existing messages


def edit_headers(
    raw: bytes, remove: Iterable[str] = (), add: Iterable[tuple[str, str]] = (), *, front: bool = False
) -> bytes:
    """A message with fields taken out and put in; its body, and every other field, byte by byte the same.

    S/MIME and DKIM depend on that (RFC 8551 3.1.1). New fields go to the end of the header, or to its
    front.
    """
    gone = {name.lower().encode("ascii", "ignore") for name in remove}
    body = header_end(raw)
    head = raw[:body]
    kept: list[bytes] = []
    dropping = False
    for line in _lines(head):
        if line[:1] not in (b" ", b"\t"):
            dropping = line.partition(b":")[0].rstrip(b" \t").lower() in gone
        if not dropping:
            kept.append(line)
    if kept and not kept[-1].endswith(b"\n"):
        kept[-1] += CRLF
    new = b"".join(field(name, value) for name, value in add)
    rest = raw[body:]
    if not rest:
        rest = CRLF  # there was a header alone
    elif rest[:1] != b"\n" and rest[:2] != CRLF:
        rest = CRLF + rest  # a message without header
    return new + b"".join(kept) + rest if front else b"".join(kept) + new + rest


def _lines(head: bytes) -> list[bytes]:
    lines = head.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def header_end(raw: bytes) -> int:
    """Where the blank line after the header begins; 0 when there is no header."""
    if raw[:1] == b"\n" or raw[:2] == CRLF:
        return 0
    first = raw[: raw.find(b"\n") + 1 or len(raw)]
    if not re.match(rb"[!-9;-~]+[ \t]*:|From ", first):
        return 0
    crlf = raw.find(b"\n\r\n")
    lf = raw.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(raw))
    end = lf if lf >= 0 else crlf
    return end + 1 if end >= 0 else len(raw)
