"""Which parts of a message are its body, which are attachments, and what their bytes mean.

RFC 2045 6 (transfer encodings), RFC 2046 5.1 (mixed, alternative), RFC 2387 (related), RFC 1847 (signed),
RFC 6522 (report), RFC 1740 (appledouble), RFC 3676 (format=flowed), RFC 2392 (cid).
Nothing raises on content.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.mime import charset as charsets
from posthouse.mime.fields import safe_name
from posthouse.mime.part import Part
from posthouse.mime.transfer import decode_iter, decode_part, decode_transfer, decoded_size
from posthouse.model import AttachmentInfo

__all__ = [
    "Bodies",
    "attachments",
    "choose_bodies",
    "decode_iter",
    "decode_part",
    "decode_transfer",
    "decoded_size",
    "reflow",
    "text_of",
]

_SIGNATURES = frozenset(
    ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")
)
_REPORTS = frozenset(
    (
        "message/delivery-status",
        "message/disposition-notification",
        "message/feedback-report",
        "text/rfc822-headers",
        "message/global-delivery-status",
        "message/global-headers",
    )
)
_EXTENSIONS = {
    "text/plain": "txt", "text/html": "html", "text/calendar": "ics", "text/csv": "csv", "text/rtf": "rtf",
    "text/vcard": "vcf", "text/x-vcard": "vcf", "text/xml": "xml", "application/ics": "ics",
    "text/rfc822-headers": "txt", "message/delivery-status": "txt", "message/disposition-notification": "txt",
    "message/rfc822": "eml", "message/global": "eml", "image/jpeg": "jpg", "image/jpg": "jpg",
    "image/png": "png", "image/gif": "gif", "image/bmp": "bmp", "image/tiff": "tif", "image/webp": "webp",
    "image/svg+xml": "svg", "image/heic": "heic", "audio/mpeg": "mp3", "audio/wav": "wav",
    "audio/x-wav": "wav", "audio/mp4": "m4a", "video/mp4": "mp4", "video/quicktime": "mov",
    "application/pdf": "pdf", "application/zip": "zip", "application/gzip": "gz", "application/x-gzip": "gz",
    "application/json": "json",
    "application/xml": "xml", "application/rtf": "rtf", "application/msword": "doc",
    "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/ms-tnef": "dat", "application/vnd.ms-tnef": "dat", "application/pkcs7-mime": "p7m",
    "application/x-pkcs7-mime": "p7m", "application/pkcs7-signature": "p7s",
    "application/x-pkcs7-signature": "p7s", "application/pgp-signature": "asc",
    "application/pgp-keys": "asc",
}  # fmt: skip


@frozen
class Bodies:
    """The parts that are shown as the message. ``native`` is 1 for plain text, 2 for HTML.

    MS-ASAIRS 2.2.2.32 (NativeBodyType).
    """

    plain: Part | None = None
    html: Part | None = None
    calendar: Part | None = None
    native: int = 1


class Choice:
    """The outcome of sorting parts: paths in ``inline`` belong to the body's looks."""

    __slots__ = ("attached", "calendar", "html", "inline", "plain")

    def __init__(self) -> None:
        self.plain: Part | None = None
        self.html: Part | None = None
        self.calendar: Part | None = None
        self.attached: list[Part] = []
        self.inline: set[str] = set()


def _choose(part: Part, choice: Choice, inside: str) -> None:
    """Sort ``part`` and what is below it into body and attachments.

    ``inside`` says what it belongs to: "" the body itself, "alternative", "related" (a root's companion),
    "report" or "rest" (what comes after the body).
    """
    ctype = part.content_type
    if part.is_multipart and part.children:
        _choose_multipart(part, choice, inside)
        return
    if part.is_multipart and inside in ("", "alternative") and choice.plain is None:
        # A multipart whose boundary never came: what there is may be read as text.
        choice.plain = part
        return
    attached = part.disposition == "attachment" or (
        bool(part.filename) and part.disposition != "inline" and not ctype.startswith("text/")
    )
    if inside in ("", "alternative") and not attached:
        if ctype == "text/calendar" and choice.calendar is None:
            choice.calendar = part
            if inside == "alternative" or "method" in part.params:
                return
        elif ctype == "text/html" and choice.html is None and not (part.filename and inside == ""):
            if inside == "alternative" or choice.plain is None:
                choice.html = part
                return
        elif (
            ctype in ("text/plain", "text/enriched", "text/markdown", "text/x-markdown", "text/watch-html")
            and choice.plain is None
            and not (part.filename and inside == "")
        ):
            if ctype == "text/plain" and (inside == "alternative" or choice.html is None):
                choice.plain = part
                return
            if inside == "alternative":
                return  # another rendering of the same text
    if ctype == "text/calendar" and choice.calendar is None and "method" in part.params:
        choice.calendar = part
    choice.attached.append(part)
    if inside == "related":
        inline = bool(part.content_id or part.content_location) and part.disposition != "attachment"
    elif inside == "report":
        inline = ctype in _REPORTS
    else:
        inline = bool(part.content_id) and part.disposition == "inline" and ctype.startswith("image/")
    if inline:
        choice.inline.add(part.path)


def _choose_multipart(part: Part, choice: Choice, inside: str) -> None:
    subtype = part.content_type[10:]
    children = part.children
    if subtype == "alternative":
        below = "alternative" if inside in ("", "alternative") else inside
        for child in children:
            _choose(child, choice, below)
    elif subtype == "related":
        start = part.params.get("start", "").strip("<> ")
        root = next((child for child in children if start and child.content_id == start), children[0])
        _choose(root, choice, inside)
        for child in children:
            if child is not root:
                _choose(child, choice, "related")
    elif subtype == "signed":
        _choose(children[0], choice, inside)
        for child in children[1:]:
            if child.content_type not in _SIGNATURES:
                _choose(child, choice, "rest")
    elif subtype == "appledouble":
        for child in children[1:] or children:
            if child.content_type != "application/applefile":
                _choose(child, choice, inside)
    elif subtype == "report":
        for index, child in enumerate(children):
            first = index == 0 and child.content_type not in _REPORTS
            _choose(child, choice, inside if first else "report")
    else:
        for child in children:
            # Only what comes before any attachment is body; a leading picture does not end the search.
            shown = choice.plain is not None or choice.html is not None
            _choose(child, choice, "rest" if shown and inside != "alternative" else inside)


def sort_parts(root: Part) -> Choice:
    """Body and attachments of a message in one walk, for who needs both."""
    choice = Choice()
    _choose(root, choice, "")
    return choice


def choose_bodies(root: Part) -> Bodies:
    """The body parts of a message; nothing of a forwarded message inside counts."""
    choice = sort_parts(root)
    return Bodies(choice.plain, choice.html, choice.calendar, 2 if choice.html is not None else 1)


def attachments(root: Part, html: str | None = None) -> list[AttachmentInfo]:
    """Everything that is no body, in the order of the message; sizes are those of the content.

    :param html: the HTML body, if at hand: a related part that it does not mention is then not inline.
    """
    return list_attachments(sort_parts(root), html)


def list_attachments(choice: Choice, html: str | None = None) -> list[AttachmentInfo]:
    """What `sort_parts` put aside, as lists show it."""
    found: list[AttachmentInfo] = []
    for number, part in enumerate(choice.attached, 1):
        inline = part.path in choice.inline
        if inline and html is not None and part.content_id:
            inline = f"cid:{part.content_id}" in html or (
                bool(part.content_location) and part.content_location in html
            )
        found.append(
            AttachmentInfo(
                path=part.path,
                name=attachment_name(part, number),
                content_type=part.content_type,
                size=decoded_size(part),
                content_id=part.content_id,
                inline=inline,
                content_location=part.content_location,
            )
        )
    return found


def attachment_name(part: Part, number: int = 1) -> str:
    """The name under which a part is offered; a message is named after its subject."""
    name = part.filename
    if part.content_type in ("message/rfc822", "message/global"):
        if not name and part.children:
            name = safe_name(part.children[0].title[:120])
        name = name or safe_name(part.title[:120]) or "message"
        return name if name.lower().endswith(".eml") else name + ".eml"
    if name:
        return name
    if part.content_type in ("application/ms-tnef", "application/vnd.ms-tnef"):
        return "winmail.dat"
    if part.content_type in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return "smime.p7m"
    suffix = _EXTENSIONS.get(part.content_type, "bin")
    stem = "image" if part.content_type.startswith("image/") else "attachment"
    if part.content_type in ("text/calendar", "application/ics"):
        stem = "invite"
    return f"{stem}{number:03d}.{suffix}" if stem != "invite" else f"{stem}.{suffix}"


def text_of(part: Part, raw: bytes) -> str:
    """The text of a text part: transfer encoding and charset undone, flowed lines joined, lines end in LF."""
    text = charsets.decode(decode_part(part, raw), part.params.get("charset", ""))
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if part.params.get("format", "").lower() == "flowed" and part.content_type == "text/plain":
        text = reflow(text, part.params.get("delsp", "").lower() == "yes")
    return text


def reflow(text: str, delsp: bool = False) -> str:
    """RFC 3676: lines that end in a space go on in the next one of the same quote depth."""
    out: list[str] = []
    pending: list[str] | None = None
    depth = 0
    for line in text.split("\n"):
        stripped = line.lstrip(">")
        quotes = len(line) - len(stripped)
        if stripped.startswith(" "):
            stripped = stripped[1:]  # space-stuffing (4.4)
        if pending is not None and quotes != depth:
            out.append(_quoted(depth, "".join(pending)))
            pending = None
        flowed = stripped.endswith(" ") and stripped != "-- "
        if flowed and delsp:
            stripped = stripped[:-1]
        if pending is not None and stripped == "-- ":
            out.append(_quoted(depth, "".join(pending)))
            pending = None
        if pending is None:
            pending, depth = [], quotes
        pending.append(stripped)
        if not flowed:
            out.append(_quoted(depth, "".join(pending)))
            pending = None
    if pending is not None:
        out.append(_quoted(depth, "".join(pending)))
    return "\n".join(out)


def _quoted(depth: int, text: str) -> str:
    return ">" * depth + " " + text if depth else text
