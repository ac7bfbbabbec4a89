"""The MIME fields of one part's header, read from the raw block without looking at the other fields.

Every value is bounded before it is parsed; what cannot be understood counts as absent.

RFC 2045 5 and 6 (type, encoding, id, description), RFC 2183 and 2231 (disposition, file names), RFC 2557
(location).
"""

from __future__ import annotations

import re

from posthouse.mime import headers

_TYPE = re.compile(r"[!#-'*+\-.0-9A-Z^_`a-z{|}~]+/[!#-'*+\-.0-9A-Z^_`a-z{|}~]+")
_CTE = re.compile(rb"[a-z0-9-]+")
_CTES = {"7-bit": "7bit", "8-bit": "8bit", "8bits": "8bit", "uuencode": "x-uuencode", "uue": "x-uuencode"}
_NAME_BAD = re.compile("[\x00-\x1f\x7f/\\\\\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_MAX_VALUE = 65536
_FIELD_END = re.compile(rb"\n(?![ \t])")


class OpenPart:
    """A part while it is being scanned."""

    __slots__ = (
        "body_end", "body_start", "children", "content_id", "content_location", "content_type", "cte",
        "default_type", "depth", "disposition", "embedded", "filename", "header_start", "params", "parent",
        "title",
    )  # fmt: skip

    def __init__(self, parent: OpenPart | None, start: int, default_type: str) -> None:
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent is not None else 1
        self.header_start = self.body_start = start
        self.body_end = -1
        self.default_type = self.content_type = default_type
        self.params: dict[str, str] = {}
        self.cte = "7bit"
        self.disposition = self.filename = self.content_id = self.content_location = self.title = ""
        self.children: list[OpenPart] = []
        self.embedded = False


def read_fields(node: OpenPart, block: bytes, limit: int) -> None:
    """Read the fields of MIME from a header block, looking at the first ``limit`` fields."""
    lower = block.lower()
    if lower.count(b"\n") > limit:
        lower = _first_fields(lower, limit)
    size = len(lower)
    seen: set[bytes] = set()
    at = 0 if lower.startswith(b"content-") else lower.find(b"\ncontent-") + 1
    while at or lower.startswith(b"content-"):
        found = _FIELD_END.search(lower, at)
        end = found.start() if found is not None else size
        colon = lower.find(b":", at, end)
        name = lower[at + 8 : colon].rstrip() if colon >= 0 else b""
        if name in _ANALYSERS and name not in seen:
            seen.add(name)
            value = block[colon + 1 : min(end, colon + 1 + _MAX_VALUE)]
            if b"\n" in value:
                value = value.replace(b"\r\n", b"").replace(b"\n", b"")
            _ANALYSERS[name](node, value.strip())
        at = lower.find(b"\ncontent-", end) + 1
        if not at:
            break
    if node.parent is not None and node.parent.embedded:
        subject = headers.first(headers.parse_headers(block[:_MAX_VALUE]), "subject")
        node.title = headers.decode_header(subject, 255) if subject else ""


def _first_fields(block: bytes, count: int) -> bytes:
    """The first ``count`` fields, with their continuation lines."""
    for seen, match in enumerate(_FIELD_END.finditer(block), 1):
        if seen == count:
            return block[: match.end()]
    return block


def _content_type(node: OpenPart, value: bytes) -> None:
    main, params = headers.parse_params(value.decode("latin-1"))
    # What follows a space is a comment, or a parameter whose semicolon was forgotten.
    content_type = main.split(None, 1)[0].partition("(")[0] if main else ""
    node.params = params
    if _TYPE.fullmatch(content_type) and len(content_type) <= 127:
        node.content_type = content_type
    else:
        # RFC 2045 5.2: a type that cannot be understood is plain text; an empty field is no field.
        node.content_type = "text/plain" if content_type else node.default_type
    if not node.filename and "name" in params:
        node.filename = safe_name(params["name"])


def _disposition(node: OpenPart, value: bytes) -> None:
    disposition, params = headers.parse_params(value.decode("latin-1"))
    node.disposition = disposition[:32] if disposition.isascii() else ""
    if params.get("filename"):
        node.filename = safe_name(params["filename"]) or node.filename


def _cte(node: OpenPart, value: bytes) -> None:
    value = value.lower()
    if value.startswith(b"quoted"):
        node.cte = "quoted-printable"
        return
    match = _CTE.match(value)
    cte = match[0].decode("ascii") if match else "7bit"
    node.cte = _CTES.get(cte, cte)[:32]


def _content_id(node: OpenPart, value: bytes) -> None:
    node.content_id = headers.decode_header(value, 998).strip("<> ")


def _location(node: OpenPart, value: bytes) -> None:
    node.content_location = headers.decode_header(value, 998)


def _description(node: OpenPart, value: bytes) -> None:
    node.title = headers.decode_header(value, 255)


_ANALYSERS = {
    b"type": _content_type,
    b"disposition": _disposition,
    b"transfer-encoding": _cte,
    b"id": _content_id,
    b"location": _location,
    b"description": _description,
}


def safe_name(name: str) -> str:
    """A file name that is one: no path, no control or direction-changing character, <= 200 characters."""
    name = _NAME_BAD.sub("_", name).strip(" .\"'") if not name.isalnum() else name
    if len(name) > 200:
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem[: 199 - len(suffix)]}.{suffix}" if dot and len(suffix) <= 20 else name[:200]
    return name
