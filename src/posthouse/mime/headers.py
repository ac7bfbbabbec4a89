"""Header blocks and header values, as they come, become clean text in linear time.

RFC 5322 2.2 (fields and folding), RFC 2047 (encoded words), RFC 2231 (parameters with charsets and
continuations), RFC 6532 (raw UTF-8). Nothing here raises on content. The standard library's header
parsers take quadratic time or overflow the stack on some inputs, so none of them is used.

Text that comes out has no line break, no control character and no lone surrogate.
"""

from __future__ import annotations

import binascii
import re

from posthouse.mime import charset as charsets

MAX_FIELDS = 1000
MAX_VALUE = 65536
MAX_TEXT = 10_000
MAX_SEGMENTS = 100
MAX_PARAMS = 200
MAX_RUNS = 2000

_SPACE = re.compile(r"[ \t\r\n\x0b\x0c]+")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]+")
_WORD = re.compile(r"=\?([^?\s*]{1,80})(?:\*[^?\s]{0,40})?\?([BbQq])\?")
_QHEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_B64 = re.compile(rb"[^A-Za-z0-9+/]+")
_PARAM = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^;]*))', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SEGMENT = re.compile(r"([^*]+)(?:\*([0-9]{1,9}))?(\*)?")
_BLANK = re.compile(rb"(?:[ \t]|\r?\n(?=[ \t]))*+")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def unfold(block: bytes) -> bytes:
    """A header block with each field on one line (RFC 5322 2.2.3)."""
    return (
        block.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t").replace(b"\n ", b" ").replace(b"\n\t", b"\t")
    )


def parse_headers(block: bytes, limit: int = MAX_FIELDS) -> list[tuple[str, bytes]]:
    """The fields of a header block in their order: lower-case name, unfolded raw value.

    Lines that are no fields (and a leading mbox ``From `` line) are left out. At most ``limit`` fields.
    """
    if b"\n " in block or b"\n\t" in block:
        block = unfold(block)
    fields: list[tuple[str, bytes]] = []
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        name = name.rstrip(b" \t")
        if not name or b" " in name or not name.isascii():
            continue
        fields.append((name.decode("ascii").lower(), value.strip(b" \t\r")))
        if len(fields) >= limit:
            break
    return fields


def values_of(block: bytes, name: bytes) -> list[bytes]:
    """The values that `parse_headers` finds under one name (lower case), without looking at other fields."""
    folded = b"\n" + block.lower()  # one byte ahead of the block
    line = b"\n" + name
    found: list[bytes] = []
    start = folded.find(line)
    while start >= 0 and len(found) < MAX_FIELDS:
        # White space may stand ahead of the colon, also folded: whoever shows the field would find it.
        blank = _BLANK.match(folded, start + len(line))
        colon = blank.end() if blank is not None else start + len(line)
        if folded[colon : colon + 1] == b":":
            end = folded.find(b"\n", colon)
            while end >= 0 and folded[end + 1 : end + 2] in (b" ", b"\t"):
                end = folded.find(b"\n", end + 1)
            raw = block[colon : end - 1] if end >= 0 else block[colon:]
            found.append(unfold(raw).strip(b" \t\r"))
        start = folded.find(line, start + 1)
    return found


def first(fields: list[tuple[str, bytes]], name: str) -> bytes | None:
    """The value of the first field called ``name`` (lower case), or None."""
    for key, value in fields:
        if key == name:
            return value
    return None


def decode_base64(data: bytes) -> bytes:
    """Base64 with junk, missing padding or several padded runs; what is readable comes out."""
    pad = data.find(b"=")
    if pad >= 0 and data[pad:].strip(b"= \t\r\n"):
        if data.count(b"=") > MAX_RUNS:
            return _one_run(data.replace(b"=", b""))
        # Several encoded runs, one after the other: each ends with its own padding.
        return b"".join(_one_run(run) for run in data.split(b"=") if run)
    return _one_run(data)


def _one_run(data: bytes) -> bytes:
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        data = _NOT_B64.sub(b"", data)
        # One character beyond a full group holds only six bits: no byte.
        data = data[: len(data) - 1] if len(data) % 4 == 1 else data
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4))


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "Bb":
        return decode_base64(data)
    data = data.replace(b"_", b" ")
    return _QHEX.sub(lambda m: bytes((int(m[1], 16),)), data) if b"=" in data else data


def decode_words(text: str) -> str:
    """RFC 2047 encoded words in a string become text; everything else stays as it is.

    White space between two words is dropped (6.2), and neighbours of one charset are joined before
    decoding, because many mailers split in the middle of a character.
    """
    start = text.find("=?")
    if start < 0:
        return text
    out: list[str] = []
    pending: list[bytes] = []  # bytes of neighbouring words in `charset`
    charset = ""
    done = 0
    while start >= 0:
        match = _WORD.match(text, start)
        if match is None:
            start = text.find("=?", start + 2)
            continue
        end = text.find("?=", match.end())
        if end < 0:
            break
        gap = text[done:start]
        if gap and not (pending and gap.isspace()):
            if pending:
                out.append(charsets.decode(b"".join(pending), charset))
                pending = []
            out.append(gap)
        label = match[1].lower()
        if pending and label != charset:
            out.append(charsets.decode(b"".join(pending), charset))
            pending = []
        charset = label
        pending.append(_word_bytes(match[2], text[match.end() : end]))
        done = end + 2
        start = text.find("=?", done)
    if pending:
        out.append(charsets.decode(b"".join(pending), charset))
    out.append(text[done:])
    return "".join(out)


def clean_line(text: str, limit: int = MAX_TEXT) -> str:
    """One line: breaks and tabs become a space, other control characters go, the length is capped."""
    text = text.strip()
    if not text.isprintable():
        text = charsets.clean(_CONTROL.sub("", _SPACE.sub(" ", text))).strip()
    return text if len(text) <= limit else text[:limit]


def raw_text(raw: bytes) -> str:
    """Raw header bytes as text: ASCII, else UTF-8 (RFC 6532), else windows-1252."""
    return raw.decode("ascii") if raw.isascii() else charsets.decode(raw)


def decode_header(raw: bytes, limit: int = MAX_TEXT) -> str:
    """The readable text of an unstructured header value; at most ``limit`` characters."""
    if len(raw) > MAX_VALUE:
        raw = raw[:MAX_VALUE]
    text = raw_text(raw)
    if "=?" in text:
        # Folded inside a word: the space of the fold is no part of base64, and words may hold none.
        text = decode_words(_SPACE.sub(" ", text))
    return clean_line(text, limit)


def parse_params(value: str) -> tuple[str, dict[str, str]]:
    """A structured value such as Content-Type: its first token in lower case, and its parameters.

    ``value`` is the unfolded raw value as Latin-1 text (each character one byte). Names are lower case;
    RFC 2231 continuations are joined (at most 100 segments) and decoded, RFC 2047 words in values, which
    RFC 2231 forbids and mailers send, are decoded as well. The first of equal names wins.
    """
    main, semicolon, _ = value.partition(";")
    params: dict[str, str] = {}
    if not semicolon:
        return main.strip().lower(), params
    segments: dict[str, dict[int, tuple[bool, str]]] | None = None
    count = 0
    for match in _PARAM.finditer(value, len(main)):
        count += 1
        if count > MAX_PARAMS:
            break
        name, quoted, bare = match.groups()
        name = name.lower()
        if quoted is not None:
            text = _ESCAPE.sub(r"\1", quoted) if "\\" in quoted else quoted
        else:
            text = bare.strip()
        if "*" in name:
            parts = _SEGMENT.fullmatch(name)
            if parts is not None:
                if segments is None:
                    segments = {}
                index = int(parts[2]) if parts[2] else 0
                if index < MAX_SEGMENTS:
                    # name*=x alone counts as segment 0 that is encoded.
                    segments.setdefault(parts[1], {}).setdefault(index, (parts[3] is not None, text))
                continue
        if name not in params:
            # A boundary is compared byte by byte, so it is not decoded.
            params[name] = text.rstrip() if name == "boundary" else _param_text(text)
    if segments is not None:
        for name, pieces in segments.items():
            params[name] = _joined(pieces)
    return main.strip().lower(), params


def _param_text(text: str) -> str:
    if text.isascii():
        return clean_line(decode_words(text)) if "=?" in text else clean_line(text)
    return decode_header(text.encode("latin-1", "replace"))


def _joined(pieces: dict[int, tuple[bool, str]]) -> str:
    """RFC 2231 section 3 and 4: segments in their order; the first encoded one names the charset."""
    charset = ""
    data: list[bytes] = []
    for place, index in enumerate(sorted(pieces)):
        if place != index and place:
            break  # a segment is missing: what follows cannot be placed
        encoded, text = pieces[index]
        raw = text.encode("latin-1", "replace")
        if encoded:
            if place == 0 and raw.count(b"'") >= 2:
                label, _, raw = raw.split(b"'", 2)
                charset = label.decode("ascii", "ignore").lower()
            raw = _PERCENT.sub(lambda m: bytes((int(m[1], 16),)), raw)
        data.append(raw)
    joined = b"".join(data)
    text = charsets.decode(joined, charset)
    return clean_line(decode_words(text) if not charset else text)
