"""Everything that lists, syncs and rules need to know about a message, made once when it arrives.

RFC 5322 3.6, RFC 2369 and 2919 (lists), RFC 3834 (Auto-Submitted), RFC 3462 and 3464 (reports), RFC 6047
(invitations); message classes as in MS-ASEMAIL 2.2.2.49, importance as in 2.2.2.38. Header values are
bounded before they are parsed, and only the first 64 KB of the body are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

from posthouse.mime import addresses, bodies, headers, html
from posthouse.mime.dates import parse_date
from posthouse.mime.part import Part
from posthouse.model import AttachmentInfo

Read = Callable[[int, int], bytes]

MAX_LIST = 32_768
MAX_REFERENCES = 100
MAX_PREVIEW = 512
_HEAD = 65_536
_SPANS = (2048, 4096, 32_768)
_STATUS = 16_384

_WANTED = {
    name.encode("ascii"): name
    for name in (
        "subject", "from", "sender", "to", "cc", "bcc", "reply-to", "date", "message-id", "in-reply-to",
        "references", "importance", "x-priority", "priority", "x-msmail-priority", "list-id",
        "list-unsubscribe",
        "list-post", "auto-submitted", "precedence", "thread-topic", "x-auto-response-suppress",
        "content-class", "delivered-to", "resent-to", "x-forwarded-to", "x-original-to",
    )
}  # fmt: skip
_ID = re.compile(r"<([^<>\s]{1,998})>")
_PREFIX = re.compile(
    r"\s*(?:re|fwd?|aw|wg|antw|sv|vs|vl|tr|rv|enc|res|odp|pd|doorst|vb|ref|rif|r|i|ynt|ilt|sub|"
    r"\u7b54\u590d|\u8f6c\u53d1|\u56de\u590d|\u56de\u8986|\u8f49\u5bc4|\u8fd4\u4fe1|\u8ee2\u9001|"
    r"\u041d\u0430|\u0418\u043d|\u041e\u0442\u0432|\u03b1\u03c0|\u03c3\u03c7\u03b5\u03c4|\u03c0\u03c1\u03b8)"
    r"(?:\s?[\[(]\d{1,3}[\])]|\^\d{1,3})?\s?[:\uff1a]\s*",
    re.IGNORECASE,
)
_TAG = re.compile(r"\s*(\[[^\[\]]{1,60}\])\s*")
_QUOTE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_INTRO = re.compile(
    r"^[^\n]{0,200}(?:wrote|schrieb|a \u00e9crit|escribi\u00f3|ha scritto)[^\n]{0,40}:\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_RULE = re.compile(r"[-_=*~#]{4,}")
_ACTION = re.compile(rb"^action[ \t]*:[ \t]*([a-z]+)", re.IGNORECASE | re.MULTILINE)
_METHOD = re.compile(r"^METHOD(?:;[^:\r\n]*)?:[ \t]*([A-Za-z-]+)", re.IGNORECASE | re.MULTILINE)
_PARTSTAT = re.compile(r"PARTSTAT=\"?([A-Za-z-]+)", re.IGNORECASE)


@frozen
class Summary:
    """What is known of a message without opening it again.

    ``sender`` is From as shown; ``to``, ``cc``, ``bcc``, ``reply_to`` are lists as shown, at most 32 KB.
    ``sent_by`` is Sender as shown, when it names somebody else than From. ``date`` is in ms since the epoch.
    Identifiers have no angle brackets. ``importance`` is 0, 1 or 2. ``passed_on`` says that it came by a list or was
    sent on, so that its recipients need not be those that it names.
    """

    subject: str = ""
    thread_topic: str = ""
    sender: str = ""
    from_name: str = ""
    from_address: str = ""
    sent_by: str = ""
    to: str = ""
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    date: int | None = None
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    importance: int = 1
    preview: str = ""
    has_attachments: bool = False
    attachments: tuple[AttachmentInfo, ...] = ()
    message_class: str = "IPM.Note"
    list_id: str = ""
    auto_submitted: str = ""
    precedence: str = ""
    is_list: bool = False
    passed_on: bool = False


def summarise(root: Part, head: bytes, read: Read) -> Summary:
    """The summary of a message.

    :param root: its structure.
    :param head: its header block (``header_start`` to ``body_start`` of the root).
    :param read: gives the bytes of the message from an offset up to (not including) another; asked for
        at most 64 KB.
    """
    values = _collect(head)
    get = values.get
    decode = headers.decode_header
    raw_subject = get("subject")
    subject = decode(raw_subject, 2000) if raw_subject else ""
    raw_from = get("from")
    authors = addresses.parse_mailboxes(raw_from, 20) if raw_from else []
    author = next((box for box in authors if box.address), authors[0] if authors else _NOBODY)
    raw_id = get("message-id")
    raw_reply = get("in-reply-to")
    raw_references = get("references")
    choice = bodies.sort_parts(root)
    listed = tuple(bodies.list_attachments(choice)) if choice.attached else ()
    list_id = get("list-id")
    auto = get("auto-submitted")
    precedence = get("precedence")
    raw_sender = get("sender")
    raw_date = get("date")
    return Summary(
        subject,
        topic(subject),
        addresses.display_mailbox(author),
        author.name,
        author.address,
        _sent_by(raw_sender, author.address) if raw_sender else "",
        _shown(get("to")),
        _shown(get("cc")),
        _shown(get("bcc")),
        _shown(get("reply-to")),
        parse_date(raw_date) if raw_date else None,
        _identifier(raw_id) if raw_id else "",
        _identifier(raw_reply) if raw_reply else "",
        _identifiers(raw_references) if raw_references else (),
        _importance(values),
        _preview(choice.plain, choice.html, read),
        any(counts(info) for info in listed),
        listed,
        _VOICE.get(get("content-class", b"").lower()) or _message_class(root, choice.calendar, read),
        _list_name(decode(list_id, 998)) if list_id else "",
        decode(auto, 100).lower() if auto else "",
        decode(precedence, 100).lower() if precedence else "",
        is_list := bool(list_id or get("list-unsubscribe") or get("list-post")),
        is_list or any(name in values for name in _PASSED_ON),
    )


_NOBODY = addresses.Mailbox("", "")

#: What telephone systems call their messages (MS-OXCMAIL 2.1.3.2, Content-Class).
_VOICE = {
    b"voice": "IPM.Note.Microsoft.Voicemail.UM",
    b"voice-ca": "IPM.Note.Microsoft.Voicemail.UM.CA",
    b"missedcall": "IPM.Note.Microsoft.Missed.Voice",
}

#: Whoever sends a message on to others leaves one of these behind.
_PASSED_ON = ("delivered-to", "resent-to", "x-forwarded-to", "x-original-to")


def _collect(head: bytes) -> dict[str, bytes]:
    """The first value of each field that matters; address fields that come twice are joined."""
    if b"\n " in head or b"\n\t" in head:
        head = headers.unfold(head)
    values: dict[str, bytes] = {}
    wanted = _WANTED
    for line in head.split(b"\n", headers.MAX_FIELDS)[: headers.MAX_FIELDS]:
        name, _, value = line.partition(b":")
        key = wanted.get(name.lower())
        if key is None:
            if name[-1:] not in (b" ", b"\t"):
                continue
            key = wanted.get(name.rstrip(b" \t").lower())
            if key is None:
                continue
        value = value.strip(b" \t\r")
        if key not in values:
            values[key] = value
        elif key in ("to", "cc", "bcc") and value and len(values[key]) < addresses.MAX_VALUE:
            values[key] += b", " + value
    return values


def _shown(raw: bytes | None) -> str:
    if not raw:
        return ""
    boxes = addresses.parse_mailboxes(raw)
    if len(boxes) == 1:
        return addresses.display_mailbox(boxes[0])[:MAX_LIST]
    shown: list[str] = []
    length = 0
    for box in boxes:
        text = addresses.display_mailbox(box)
        length += len(text.encode("utf-8", "replace")) + 2
        if length > MAX_LIST:
            break
        shown.append(text)
    return ", ".join(shown)


def _sent_by(raw: bytes, author: str) -> str:
    boxes = addresses.parse_mailboxes(raw, 1)
    if not boxes or not boxes[0].address or boxes[0].address.lower() == author.lower():
        return ""
    return addresses.display_mailbox(boxes[0])


def _identifiers(raw: bytes) -> tuple[str, ...]:
    text = headers.raw_text(raw[: headers.MAX_VALUE])
    found = _ID.findall(text)
    if not found:
        found = [word.strip("<>,;") for word in text.split() if "@" in word and len(word) <= 998]
    if len(found) > MAX_REFERENCES:
        # The root says to which thread it belongs, the end to what it answers.
        found = [found[0], *found[-(MAX_REFERENCES - 1) :]]
    return tuple([headers.clean_line(name) for name in found])


def _identifier(raw: bytes) -> str:
    found = _identifiers(raw[:4096])
    if found:
        return found[0]
    return headers.decode_header(raw[:998]).strip("<> ")


def _list_name(text: str) -> str:
    start, end = text.rfind("<"), text.rfind(">")
    return text[start + 1 : end] if 0 <= start < end else text


def _importance(values: dict[str, bytes]) -> int:
    for name in ("importance", "x-priority", "x-msmail-priority", "priority"):
        raw = values.get(name)
        if raw:
            word = raw[:20].lower()
            if word.startswith((b"high", b"urgent", b"1", b"2")):
                return 2
            if word.startswith((b"low", b"non-urgent", b"4", b"5")):
                return 0
            return 1
    return 1


def topic(subject: str) -> str:
    """The subject without reply and forward prefixes of many languages; a list's [tag] stays.

    MS-ASEMAIL 2.2.2.77 (ThreadTopic).
    """
    if ":" not in subject and "\uff1a" not in subject:
        return subject
    tag = ""
    position = 0
    while position < len(subject):
        match = _PREFIX.match(subject, position)
        if match is None:
            if tag:
                break
            match = _TAG.match(subject, position)
            if match is None or _PREFIX.match(subject, match.end()) is None:
                break
            tag = match[1]
        position = match.end()
    rest = subject[position:].strip()
    if not tag or rest.startswith(tag):
        return rest
    return f"{tag} {rest}".strip()


def counts(info: AttachmentInfo) -> bool:
    """Whether an attachment earns the message its paper clip."""
    return not info.inline and not (info.content_type == "text/plain" and info.name.startswith("attachment0"))


def _preview(plain: Part | None, rich: Part | None, read: Read) -> str:
    shown = _preview_from(plain, read) if plain is not None and plain.size else ""
    return shown or (_preview_from(rich, read) if rich is not None else "")


def _preview_from(part: Part, read: Read) -> str:
    """The preview of one part; style sheets, long quotes and the like make it read on, up to 32 KB."""
    raw = b""
    shown = ""
    rich = part.content_type == "text/html"
    for span in _SPANS[1:] if rich else _SPANS:
        end = part.body_start + span
        raw += read(part.body_start + len(raw), min(part.body_end, end))
        # A cut at a line's end is none in the middle of a character, which would be costly to read.
        cut = raw.rfind(b"\n") + 1 if end < part.body_end else 0
        text = bodies.text_of(part, raw[:cut] if cut > span // 2 else raw)
        if rich:
            text = html.text_from_html(text, MAX_PREVIEW * 3 // 2, links=False)
        shown = preview_of(text)
        if end >= part.body_end or len(shown) >= MAX_PREVIEW // 2:
            break
    return shown


def preview_of(text: str) -> str:
    """The beginning of a text on one line: quoted lines and rules left out, white space collapsed."""
    text = text[: 16 * MAX_PREVIEW]
    if ">" in text:
        unquoted = _QUOTE.sub("", _INTRO.sub("", text))
        text = unquoted if not unquoted.isspace() and unquoted else text
    if "--" in text or "__" in text or "==" in text or "**" in text:
        text = _RULE.sub(" ", text)
    shown = " ".join(text[: MAX_PREVIEW + 128].split())
    if len(shown) < MAX_PREVIEW < len(text):
        shown = " ".join(text[: 4 * MAX_PREVIEW].split())
    return headers.clean_line(shown[:MAX_PREVIEW])


def _message_class(root: Part, calendar: Part | None, read: Read) -> str:
    ctype = root.content_type
    if ctype == "text/plain" or (ctype == "multipart/alternative" and calendar is None):
        return "IPM.Note"
    if ctype == "multipart/signed":
        if "pkcs7" in root.params.get("protocol", "pkcs7").lower():
            return "IPM.Note.SMIME.MultipartSigned"
    elif ctype in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return "IPM.Note.SMIME"
    elif ctype == "multipart/report":
        return _report_class(root, read)
    if calendar is not None:
        return _meeting_class(calendar, read)
    return "IPM.Note"


def _report_class(root: Part, read: Read) -> str:
    for part in root.children:
        if part.content_type in ("message/delivery-status", "message/global-delivery-status"):
            raw = read(part.body_start, min(part.body_end, part.body_start + _STATUS))
            actions = {action.lower() for action in _ACTION.findall(bodies.decode_part(part, raw))}
            if b"failed" in actions or not actions:
                return "REPORT.IPM.Note.NDR"
            return "REPORT.IPM.Note.DELAYED" if b"delayed" in actions else "REPORT.IPM.Note.DR"
        if part.content_type == "message/disposition-notification":
            raw = read(part.body_start, min(part.body_end, part.body_start + _STATUS)).lower()
            return "REPORT.IPM.Note.IPNNRN" if b"deleted" in raw else "REPORT.IPM.Note.IPNRN"
    return "IPM.Note"


def _meeting_class(calendar: Part, read: Read) -> str:
    method = calendar.params.get("method", "").upper()
    text = ""
    if not method or method == "REPLY":
        raw = read(calendar.body_start, min(calendar.body_end, calendar.body_start + _HEAD))
        text = bodies.text_of(calendar, raw).replace("\n ", "").replace("\n\t", "")
        if not method:
            found = _METHOD.search(text)
            method = found[1].upper() if found else ""
    if method == "REQUEST":
        return "IPM.Schedule.Meeting.Request"
    if method == "CANCEL":
        return "IPM.Schedule.Meeting.Canceled"
    if method in ("REPLY", "COUNTER"):
        found = _PARTSTAT.search(text)
        status = found[1].upper() if found else ("TENTATIVE" if method == "COUNTER" else "")
        ending = {"ACCEPTED": "Pos", "DECLINED": "Neg", "TENTATIVE": "Tent"}.get(status)
        return f"IPM.Schedule.Meeting.Resp.{ending}" if ending else "IPM.Note"
    return "IPM.Note"


def index_text(root: Part, read: Read, limit: int = 1_000_000) -> str:
    """What full-text search looks at: subject, people, body and names of attachments, one per line."""
    head = read(root.header_start, min(root.body_start, root.header_start + 4 * _HEAD))
    values = _collect(head)
    raw_subject = values.get("subject")
    lines = [headers.decode_header(raw_subject) if raw_subject else ""]
    lines += [_shown(values.get(name)) for name in ("from", "to", "cc", "bcc")]
    choice = bodies.sort_parts(root)
    lines += [info.name for info in bodies.list_attachments(choice)]
    part = (
        choice.html
        if choice.html is not None and (choice.plain is None or choice.plain.size <= 2)
        else choice.plain
    )
    if part is not None:
        raw = read(part.body_start, min(part.body_end, part.body_start + 4 * limit))
        text = bodies.text_of(part, raw)
        lines.append(html.text_from_html(text, limit) if part is choice.html else text)
    return "\n".join(line for line in lines if line)[:limit]
