"""The body of a message in the form that a client asked for.

Promise: a decision without input or output (`plan`) says which bytes of the message are needed, so that a
truncated body costs what was asked for and not what is stored; `render` makes the element from them. Sizes
count bytes of UTF-8 and no character is ever split. Implements MS-ASAIRS 2.2.2.9 (Body), 2.2.2.12
(preferences), 2.2.2.3.2 (AllOrNone: R77-R80), 2.2.2.35 (Preview: R250, R1001036), MS-ASCMD 2.2.3.110
(MIMESupport). Bare numbers are MS-ASAIRS.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from enum import Enum

from attrs import evolve, frozen

from posthouse.eas.content.meeting import calendar_range, invitation
from posthouse.eas.content.options import HTML, MIME, PLAIN, RTF, BodyPreference, MailOptions
from posthouse.eas.content.voice import voice_range
from posthouse.eas.versions import Version
from posthouse.errors import Malformed
from posthouse.mime import charset
from posthouse.mime.bodies import Bodies, decoded_size, text_of
from posthouse.mime.html import html_from_text, text_from_html
from posthouse.mime.part import Part
from posthouse.mime.tnef import read_tnef
from posthouse.mime.transfer import decode_part
from posthouse.mime.truncate import truncate_bytes, truncate_mime
from posthouse.mime.unpack import has_rtf
from posthouse.model import AttachmentInfo, Item
from posthouse.wbxml.encode import clean
from posthouse.wbxml.tags import AirSyncBase
from posthouse.wbxml.tree import Element, Utf8

#: HTML that is turned into plain text here, in characters: about 15 ms. What is beyond shows as truncated.
MOST_CONVERTED = 200_000

#: Characters at the front of HTML in which its charset is declared (HTML 4.2.5.4: within 1,024 bytes).
_HEAD = 2048

#: Codecs of which a front part can be decoded like the whole: one byte a character, or UTF-8.
_SIMPLE = re.compile(r"utf[-_]?8|ascii|us-ascii|latin[-_]?1|iso8859-\d+|cp125\d|koi8-[ru]|mac-?roman")

_META_CHARSET = re.compile(rb"(<meta\b[^>]{0,300}?charset\s*=\s*[\"']?\s*)([A-Za-z0-9_.:-]+)", re.IGNORECASE)

#: What the string of a MIME body cannot carry: then it goes as opaque bytes, untouched.
_NOT_TEXT = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0D})


@frozen
class Choice:
    """One form to try.

    :ivar part: None for the whole message (MIME), or when there is nothing to show.
    :ivar stop: None for the end of the message. :ivar whole: whether start and stop name all of the part.
    :ivar limit: bytes of UTF-8 that the client takes, None for all.
    """

    preference: BodyPreference
    part: Part | None
    start: int
    stop: int | None
    whole: bool
    limit: int | None = None


@frozen
class Plan:
    """What to read for one message: the choices in their order; the first is nearly always the one.

    :ivar calendar: the iCalendar part of an invitation, and which bytes of the message to read of it.
    :ivar voice: which bytes tell of the call, for voice mail.
    """

    choices: tuple[Choice, ...]
    native: int
    cpid: int
    invitation: AttachmentInfo | None = None
    calendar: tuple[Part, int, int] | None = None
    voice: tuple[int, int] | None = None


#: MS-ASAIRS 3.2.5.2 with no preference at all: plain text.
_DEFAULT = (BodyPreference(PLAIN),)


def is_smime(item: Item) -> bool:
    """Signed or encrypted (MS-ASEMAIL 2.2.2.49: IPM.Note.SMIME and IPM.Note.SMIME.MultipartSigned)."""
    return item.message_class.startswith("IPM.Note.SMIME")


def rtf_part(root: Part, bodies: Bodies) -> Part | None:
    """The winmail.dat that holds the body as it was written, in RTF; beside HTML it is only a copy of that."""
    if bodies.html is not None:
        return None
    return next((part for part in root.walk() if has_rtf(part)), None)


def candidates(item: Item, native: int, options: MailOptions) -> list[BodyPreference]:
    """The preferences in the order of trying: MIME where it is wanted, the native form, then as listed."""
    listed = options.bodies or _DEFAULT
    mime = next((preference for preference in listed if preference.type == MIME), None)
    others = [preference for preference in listed if preference.type in (PLAIN, HTML, native)]
    # R77: by default the form in which the body is stored.
    others.sort(key=lambda preference: preference.type != native)
    if mime is not None:
        wanted = options.mime_support == 2 or (options.mime_support == 1 and is_smime(item))
        if wanted or (not others and options.mime_support is None):
            return [mime, *others]
        if not others:
            # Nothing but MIME is taken, and not for this mail: the body is named without its data (the case of
            # MS-ASCMD R3360).
            return [evolve(mime, truncation=0)]
    return others or [BodyPreference(PLAIN, listed[0].truncation)]


def plan(item: Item, root: Part, bodies: Bodies, options: MailOptions) -> Plan:
    """Decide which bytes are needed. Offsets are of the stored body, without the item's trace."""
    packed = rtf_part(root, bodies)
    native = bodies.native if packed is None else RTF
    shown = bodies.html or bodies.plain
    label = shown.charset if shown is not None else ""
    return Plan(
        tuple(
            _choice(item, bodies, preference, options)
            if packed is None or preference.type != RTF
            else Choice(preference, packed, packed.body_start, packed.body_end, True, preference.truncation)
            for preference in candidates(item, native, options)
        ),
        native,
        charset.code_page(label) if label else 65001,
        invitation(item, bodies.calendar),
        calendar_range(item, bodies.calendar),
        voice_range(item, root),
    )


def _choice(item: Item, bodies: Bodies, preference: BodyPreference, options: MailOptions) -> Choice:
    limit = preference.truncation
    if preference.type == MIME:
        limit = options.mime_truncation if limit is None else limit
        # One byte more tells whether there is more.
        return Choice(preference, None, 0, None if limit is None else limit + 1, limit is None, limit)
    native = (bodies.html, bodies.plain) if preference.type == HTML else (bodies.plain, bodies.html)
    part = native[0] or native[1]
    if part is None:
        return Choice(preference, None, 0, 0, True, limit)
    if limit is not None and not preference.all_or_none:
        converts = preference.type == PLAIN and part is bodies.html
        enough = _enough(part, limit * 8 + 16384 if converts else limit)
        if enough * 3 < part.size * 2 and _cuttable(part):
            return Choice(preference, part, part.body_start, part.body_start + enough, False, limit)
    return Choice(preference, part, part.body_start, part.body_end, True, limit)


def complete(choice: Choice) -> Choice:
    """The same form, with all of its part to be read."""
    assert choice.part is not None
    return evolve(choice, start=choice.part.body_start, stop=choice.part.body_end, whole=True)


def _enough(part: Part, limit: int) -> int:
    """Bytes as transferred that surely or nearly always decode to ``limit``."""
    if part.cte == "base64":
        return limit * 3 // 2 + 512
    if part.cte == "quoted-printable":
        return limit * 3 // 2 + 1024
    return limit + limit // 8 + 512


def _cuttable(part: Part) -> bool:
    if part.cte not in ("base64", "quoted-printable", "7bit", "8bit", "binary"):
        return False
    label = part.charset
    return not label or _SIMPLE.fullmatch(charset.lookup(label) or "") is not None


def cut_transfer(part: Part, raw: bytes) -> bytes:
    """The front of a transfer-encoded body without a broken piece at its end."""
    if part.cte == "quoted-printable":
        end = raw.rfind(b"\n")
        return raw[: end + 1] if end > len(raw) // 2 else raw[: max(0, len(raw) - 3)]
    return raw


def _decoded(part: Part, raw: bytes, whole: bool) -> str:
    if whole:
        return text_of(part, raw)
    text = text_of(part, cut_transfer(part, raw))
    # The last character may have been cut: then it, or its replacement, is left out.
    return text[:-4] if len(text) > 4 else text


@frozen
class Rendered:
    """A body ready to go.

    :ivar size: of the complete data, estimated when it was not read.
    :ivar data: `Utf8`, since everything behind the transfer encoding is done on bytes; other bytes for opaque.
    """

    type: int
    size: int
    data: str | bytes
    truncated: bool
    preview: int


class Unrendered(Enum):
    """Why a choice gave no body."""

    EXCLUDED = "AllOrNone, and it is larger"
    MORE = "more of the part has to be read"


def render_choice(choice: Choice, raw: bytes, item: Item) -> Rendered | Unrendered:
    """The body in the form of ``choice``.

    :param raw: the bytes of choice.start to choice.stop of the stored message.
    """
    preference, limit, part = choice.preference, choice.limit, choice.part
    if preference.type == MIME:
        return _render_mime(choice, raw, item)
    if preference.type == RTF and part is not None:
        return _render_rtf(choice, part, raw)
    if part is None:
        return Rendered(preference.type, 0, "", False, preference.preview)
    data, shortened = _content(part, raw, choice.whole, preference.type)
    if limit is None:
        return Rendered(preference.type, len(data), Utf8(data), shortened, preference.preview)
    if len(data) <= limit:
        if not choice.whole:
            return Unrendered.MORE
        size = len(data) + (limit if shortened else 0)
        return Rendered(preference.type, size, Utf8(data), shortened, preference.preview)
    if preference.all_or_none:
        return Unrendered.EXCLUDED
    shown, _ = truncate_bytes(data, limit)
    size = len(data) if choice.whole else max(limit + 1, len(data), decoded_size(part))
    return Rendered(preference.type, size, Utf8(shown), True, preference.preview)


def _content(part: Part, raw: bytes, whole: bool, kind: int) -> tuple[bytes, bool]:
    """The body in the wanted form as clean UTF-8, and whether some of it had to be left out."""
    is_html = part.content_type == "text/html"
    if kind == HTML and is_html:
        data = _as_it_is(part, raw) if whole else None
        if data is None:
            data = clean(_decoded(part, raw, whole))
        return _relabelled(data), False
    text, shortened = _converted(_decoded(part, raw, whole), kind, is_html)
    return clean(text), shortened


def _as_it_is(part: Part, raw: bytes) -> bytes | None:
    """``clean(text_of(part, raw))`` at a quarter of the time for a part that is UTF-8 already, as most are.

    :return: None when it is not.
    """
    data = decode_part(part, raw)
    label = part.charset
    codec = charset.lookup(label) if label else None
    if data.isascii():
        if codec is not None and not _SIMPLE.fullmatch(codec):
            return None
    else:
        if codec is not None and codec != "utf-8":
            return None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if "\uffff" in text or "\ufffe" in text or text.startswith("\ufeff"):
            return None
    if b"\r" in data:
        data = b"\n".join(data.split(b"\r\n"))
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")
    return data.translate(None, _NOT_TEXT)


def _relabelled(data: bytes) -> bytes:
    """What arrives is UTF-8, whatever the mail said of itself."""
    head = data[:_HEAD].lower()
    named = head.count(b"charset")
    # Nearly all that name one name this one, which a look tells faster than the expression.
    if named and named != head.count(b"charset=utf-8") + head.count(b'charset="utf-8"'):
        return _META_CHARSET.sub(rb"\1utf-8", data[:_HEAD], count=2) + data[_HEAD:]
    return data


def _converted(text: str, kind: int, is_html: bool) -> tuple[str, bool]:
    """Text in the wanted form, and whether some of it had to be left out."""
    if kind == HTML:
        return html_from_text(text), False
    shortened = is_html and len(text) > MOST_CONVERTED
    if is_html:
        text = text_from_html(text[:MOST_CONVERTED])
    # Lines end in CRLF on the wire (SOGo #3082).
    return text.replace("\n", "\r\n"), shortened


def _render_rtf(choice: Choice, part: Part, raw: bytes) -> Rendered | Unrendered:
    """Type 3: the compressed RTF (MS-OXRTFCP) in base64 (ASAIRS R179), whole or not at all: a part of it is
    no RTF (R79).
    """
    data = decode_part(part, raw)
    try:
        place = read_tnef(data).rtf
    except Malformed:
        return Unrendered.EXCLUDED
    if place is None:
        return Unrendered.EXCLUDED
    text = b64encode(data[place[0] : place[1]]).decode("ascii")
    if choice.limit is not None and len(text) > choice.limit:
        return Unrendered.EXCLUDED
    return Rendered(RTF, len(text), text, False, choice.preference.preview)


def _render_mime(choice: Choice, raw: bytes, item: Item) -> Rendered | Unrendered:
    """Type 4: the message as it was stored, untouched but for the cut."""
    data, truncated = item.trace + raw, False
    if choice.limit is not None:
        data, truncated = truncate_mime(data, choice.limit)
    if truncated and choice.preference.all_or_none:
        return Unrendered.EXCLUDED
    size = max(item.size, len(item.trace) + len(raw)) if truncated else len(data)
    return Rendered(MIME, size, _mime_data(data), truncated, 0)


def _mime_data(data: bytes) -> str | bytes:
    if (
        len(data.translate(None, _NOT_TEXT)) != len(data)
        or b"\xef\xbf\xbe" in data
        or b"\xef\xbf\xbf" in data
    ):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def excluded(choices: Sequence[Choice], item: Item) -> Rendered:
    """When AllOrNone leaves nothing: the size, and no data (R80)."""
    choice = choices[0]
    size = decoded_size(choice.part) if choice.part is not None else item.size
    return Rendered(choice.preference.type, size, "", True, choice.preference.preview)


def body_element(body: Rendered, item: Item, version: Version, tag: str = AirSyncBase.Body) -> Element:
    """The Body (or BodyPart) element, its children in the order of the schema."""
    children = [
        Element(AirSyncBase.Type, str(body.type)),
        Element(AirSyncBase.EstimatedDataSize, str(body.size)),
    ]
    if tag == AirSyncBase.BodyPart:
        children.insert(0, Element(AirSyncBase.Status, "1"))
    if body.truncated:
        children.append(Element(AirSyncBase.Truncated, "1"))
    elif body.type == MIME and body.data:
        # MS-ASCMD R3387, R3409: of MIME it is always said; elsewhere nothing means whole.
        children.append(Element(AirSyncBase.Truncated, "0"))
    if body.data:
        children.append(Element(AirSyncBase.Data, body.data))
    # R1001036: none beside plain text that is there. R1261: none at 12.1.
    if body.preview and version >= (14, 0) and item.preview and not (body.type == PLAIN and body.data):
        children.append(Element(AirSyncBase.Preview, item.preview[: body.preview]))
    return Element(tag, None, children)
