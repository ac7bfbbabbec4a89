"""A reply or a forward: the user's own message, and the original merged into it.

Promises: pure and bounded; no original is so ugly that it raises. What the user wrote comes first and stays
as it is, his attachments byte by byte; a message that is signed or encrypted is never merged; what is carried
over of the original (pictures of its HTML, attachments, the whole of it) goes byte by byte as well. The text of
the result is UTF-8. The same code serves the phones' SmartReply and SmartForward and the webmail.

MS-ASCMD 2.2.1.19 and 2.2.1.20, RFC 5322 3.6.4 (In-Reply-To and References), RFC 3676 4.5 (quoting),
RFC 2046 5.2.1 (message/rfc822), RFC 8551 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape

from attrs import evolve, frozen

from posthouse.mime import compose, headers
from posthouse.mime.bodies import Choice, sort_parts, text_of
from posthouse.mime.html import html_from_text, text_from_html
from posthouse.mime.part import Part
from posthouse.mime.pieces import (
    Boundary,
    Piece,
    Pieces,
    assemble,
    entity,
    is_sealed,
    outer_header,
    take_apart,
)
from posthouse.mime.scan import scan
from posthouse.mime.summary import Summary, summarise

__all__ = ["MAX_QUOTED", "Original", "forward", "reply", "wanted"]

Read = Callable[[int, int], bytes]

#: Bytes of the original's text, as transferred, that are read and quoted.
MAX_QUOTED = 1 << 20
#: Characters of HTML that are turned into the text beside it: about 15 ms. The HTML itself holds all.
MAX_CONVERTED = 200_000
#: A reply carries the pictures of the quoted HTML up to this size in all; beyond it they are left out.
MAX_PICTURES = 10 << 20
#: RFC 5322 2.1.1 allows any length by folding; nobody needs more ancestors than that.
_MAX_REFERENCES = 50

_CUT = "[...]"
_BODY_OPEN = re.compile(r"<body\b[^>]{0,4000}>", re.IGNORECASE)
_BODY_CLOSE = re.compile(r"</body[ \t\r\n]*>", re.IGNORECASE)
_HTML_CLOSE = re.compile(r"</html[ \t\r\n]*>", re.IGNORECASE)
_STYLE = re.compile(r"<style\b[^>]{0,1000}>[^<]{0,100000}</style[ \t\r\n]*>", re.IGNORECASE)
_MAX_STYLES = 20
#: Where in HTML its charset is declared (HTML 4.2.5.4), in characters.
_HEAD = 2048
_META_CHARSET = re.compile(r"(<meta\b[^>]{0,300}?charset\s*=\s*[\"']?\s*)[A-Za-z0-9_.:-]+", re.IGNORECASE)
_CID = re.compile(r"\bcid:([^\s\"'<>)]{1,400})", re.IGNORECASE)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUOTE_STYLE = "margin:0 0 0 .8ex;border-left:2px solid #ccc;padding-left:1ex"


@frozen(eq=False)
class Original:
    """The message that is answered or forwarded.

    :ivar root: its structure; offsets count in what ``read`` gives.
    :ivar read: its bytes from an offset up to another; only ranges of `wanted` are asked for.
    :ivar size: of what ``read`` gives. :ivar trace: header lines that stand in front of it.
    """

    root: Part
    read: Read
    size: int
    trace: bytes = b""

    @property
    def head(self) -> bytes:
        """The whole header block, trace first."""
        return self.trace + self.read(self.root.header_start, self.root.body_start)

    @classmethod
    def of(cls, data: bytes, trace: bytes = b"") -> Original:
        """A message that is in memory."""
        return cls(scan(data), lambda start, stop: data[start:stop], len(data), trace)


def wanted(root: Part, size: int, *, forwarding: bool) -> list[tuple[int, int]]:
    """Which bytes of an original a merge will read: all for a forward, else header, text and pictures."""
    if forwarding:
        return [(0, size)]
    choice = sort_parts(root)
    spans = [(root.header_start, root.body_start)]
    for part in (choice.plain, choice.html):
        if part is not None:
            spans.append((part.header_start, min(part.body_end, part.body_start + MAX_QUOTED)))
    return spans + [(part.header_start, part.body_end) for part in _pictures(choice)]


def _pictures(choice: Choice) -> list[Part]:
    """The inline parts that a reply may carry, as many as fit."""
    found: list[Part] = []
    room = MAX_PICTURES
    for part in choice.attached:
        if part.path in choice.inline and part.content_id and part.size <= room:
            room -= part.size
            found.append(part)
    return found


def reply(new: bytes, original: Original, boundary: Boundary) -> bytes:
    """The user's message with the original quoted under it.

    :param new: a whole message. :param boundary: gives a fresh boundary at each call.
    """
    root = scan(new)
    summary = _summary(original)
    add = _references(new[: root.body_start], summary)
    if is_sealed(root):
        return _with_fields(new, add)
    shown = _shown(original)
    written = f"{_date_of(original)}{_who(summary)} wrote:"
    plain = f"{written}\n{_quoted(shown.plain())}\n"
    rich = (
        f"<div>{escape(written)}<br></div>"
        f'<blockquote type="cite" style="{_QUOTE_STYLE}">{shown.rich()}</blockquote>'
    )
    pictures = [
        Piece(part.path, entity(part, original.read), part.content_id) for part in _pictures(shown.choice)
    ]
    merged = _merged(new, root, shown, plain, rich, pictures)
    return assemble(_header(new, root, add), merged, boundary)


def forward(new: bytes, original: Original, boundary: Boundary, *, attached: bool = False) -> bytes:
    """The user's message, under it the original's header lines and text, and the original's attachments.

    :param attached: carry the original as one attached message instead (message/rfc822). So goes an original
        that is encrypted, because its parts mean nothing apart.
    """
    root = scan(new)
    summary = _summary(original)
    add = _references(new[: root.body_start], summary, answers=False)
    if is_sealed(root):
        return _with_fields(new, add)
    if attached or (is_sealed(original.root) and original.root.content_type != "multipart/signed"):
        merged = _with_original(new, root, original, summary)
    else:
        merged = _with_contents(new, root, original, summary)
    return assemble(_header(new, root, add), merged, boundary)


def _with_contents(new: bytes, root: Part, original: Original, summary: Summary) -> Pieces:
    shown = _shown(original)
    lines = _header_lines(original, summary)
    plain = "-------- Original Message --------\n"
    plain += "".join(f"{name}: {value}\n" for name, value in lines) + f"\n{shown.plain()}\n"
    rich = '<hr style="border:none;border-top:1px solid #ccc"><div>'
    rich += "".join(f"<b>{name}:</b> {escape(value)}<br>" for name, value in lines)
    rich += f"</div><div><br></div><div>{shown.rich()}</div>"
    pieces = take_apart(original.root, original.read, shown.choice)
    calendar = (pieces.calendar,) if pieces.calendar is not None else ()
    return _merged(new, root, shown, plain, rich, pieces.inline, (*pieces.attached, *calendar), keep=True)


def _with_original(new: bytes, root: Part, original: Original, summary: Summary) -> Pieces:
    """The original whole, as it came, but for a transfer encoding that the way out may need."""
    pieces = take_apart(root, _reader(new))
    data = original.trace + original.read(0, original.size)
    name = f"{summary.subject[:100].strip() or 'message'}.eml"
    head = compose.parameters("Content-Type", "message/rfc822", [("name", name)])
    head += compose.parameters("Content-Disposition", "attachment", [("filename", name)])
    # RFC 2046 5.2.1: nothing but 7bit, 8bit and binary.
    head += compose.field("Content-Transfer-Encoding", "7bit" if data.isascii() else "8bit")
    return evolve(pieces, attached=(*pieces.attached, Piece("", head + b"\r\n" + data)))


# What is quoted ------------------------------------------------------------------------------------------


def _summary(original: Original) -> Summary:
    return summarise(original.root, original.head, lambda start, stop: b"")


@frozen(eq=False)
class _Shown:
    """The text of the original, made when it is asked for."""

    original: Original
    choice: Choice

    @property
    def has_html(self) -> bool:
        return self.choice.html is not None

    def plain(self) -> str:
        part = self.choice.plain
        if part is not None and (self.choice.html is None or part.size > 2):
            return self.text(part)
        return _text_of_html(self.text(self.choice.html)) if self.choice.html is not None else ""

    def rich(self) -> str:
        if self.choice.html is not None:
            return _inside_of(self.text(self.choice.html))
        return _inside_of(html_from_text(self.plain()))

    def text(self, part: Part) -> str:
        stop = min(part.body_end, part.body_start + MAX_QUOTED)
        text = text_of(part, self.original.read(part.body_start, stop))
        return f"{text}\n{_CUT}" if stop < part.body_end else text


def _text_of_html(document: str) -> str:
    if len(document) <= MAX_CONVERTED:
        return text_from_html(document)
    return f"{text_from_html(document[:MAX_CONVERTED])}\n{_CUT}"


def _shown(original: Original) -> _Shown:
    return _Shown(original, sort_parts(original.root))


def _inside_of(document: str) -> str:
    """What is inside the body of an HTML document, after its style sheets."""
    opened = _BODY_OPEN.search(document)
    if opened is None:
        start = 0
        styles = ""
    else:
        start = opened.end()
        styles = "".join(_STYLE.findall(document, 0, opened.start())[:_MAX_STYLES])
    end = len(document)
    for pattern in (_HTML_CLOSE, _BODY_CLOSE):
        found = _last(pattern, document, start, end)
        end = found if found >= 0 else end
    return styles + document[start:end]


def _last(pattern: re.Pattern[str], text: str, start: int, end: int) -> int:
    """Where the last match begins; closing tags stand near the end of a document."""
    position = end
    for _ in range(64):
        position = text.rfind("</", start, position)
        if position < 0:
            return -1
        if pattern.match(text, position):
            return position
    return -1


def _quoted(text: str) -> str:
    """RFC 3676 4.5: a mark before each line, with a space unless the line is quoted already."""
    lines = text.rstrip().split("\n")
    return "\n".join(f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in lines)


def _who(summary: Summary) -> str:
    name = summary.from_name
    return (
        f"{name} <{summary.from_address}>" if name and summary.from_address else summary.sender or "somebody"
    )


def _date_of(original: Original) -> str:
    """ "On <date as the sender wrote it>, ", nothing when he wrote none."""
    date = _date(original)
    return f"On {date}, " if date else ""


def _date(original: Original) -> str:
    raw = headers.first(headers.parse_headers(original.head), "date")
    return headers.decode_header(raw, 60) if raw else ""


def _header_lines(original: Original, summary: Summary) -> list[tuple[str, str]]:
    lines = [
        ("From", _who(summary)),
        ("Date", _date(original)),
        ("To", summary.to),
        ("Cc", summary.cc),
        ("Subject", summary.subject),
    ]
    return [(name, value) for name, value in lines if value]


# Merging -------------------------------------------------------------------------------------------------


def _merged(
    new: bytes,
    root: Part,
    shown: _Shown,
    plain: str,
    rich: str,
    pictures: Sequence[Piece],
    attached: Sequence[Piece] = (),
    *,
    keep: bool = False,
) -> Pieces:
    """The user's pieces with the original's text behind his own.

    HTML as soon as one of both is HTML, and then with the text beside it; else text alone.

    :param pictures: of the original's HTML. :param keep: attach those that the text does not show.
    """
    choice = sort_parts(root)
    mine = take_apart(root, _reader(new), choice)
    written = _Shown(Original(root, _reader(new), len(new)), choice)
    text = compose.text_part("plain", f"{written.plain().rstrip()}\n\n{plain}".lstrip("\n"))
    if not (written.has_html or shown.has_html):
        others = pictures if keep else ()
        return evolve(mine, plain=Piece("", text), attached=(*mine.attached, *others, *attached))
    document = _joined(_document(written), rich)
    mentioned = {_unescaped(name) for name in _CID.findall(document)}
    theirs = _unlike(pictures, mine.inline)
    used = [one for one in theirs if one.content_id in mentioned]
    # In a forward a picture that nothing mentions is still a part of what is forwarded.
    others = [one for one in theirs if one.content_id not in mentioned] if keep else []
    return evolve(
        mine,
        plain=Piece("", text),
        html=Piece("", compose.text_part("html", document)),
        inline=(*mine.inline, *used),
        attached=(*mine.attached, *others, *attached),
    )


def _document(written: _Shown) -> str:
    if written.choice.html is None:
        return html_from_text(written.plain())
    document = written.text(written.choice.html)
    # It goes out in UTF-8, so it may not say anything else of itself.
    return _META_CHARSET.sub(r"\1utf-8", document[:_HEAD]) + document[_HEAD:]


def _joined(document: str, rich: str) -> str:
    """HTML put at the end of the body of a document."""
    end = _last(_BODY_CLOSE, document, 0, len(document))
    if end < 0:
        end = _last(_HTML_CLOSE, document, 0, len(document))
    if end < 0:
        end = len(document)
    return f"{document[:end]}<div><br></div>{rich}{document[end:]}"


def _unlike(pieces: Sequence[Piece], known: Sequence[Piece]) -> list[Piece]:
    """Without those whose name the user's own message carries already: phones send the pictures they quote."""
    names = {one.content_id for one in known}
    return [one for one in pieces if not one.content_id or one.content_id not in names]


def _unescaped(name: str) -> str:
    """RFC 2392: a cid URL is the Content-ID, percent-encoded."""
    if "%" not in name:
        return name
    data = _PERCENT.sub(lambda found: bytes((int(found[1], 16),)), name.encode("utf-8", "replace"))
    return data.decode("utf-8", "replace")


def _reader(data: bytes) -> Read:
    return lambda start, stop: data[start:stop]


def _references(head: bytes, summary: Summary, *, answers: bool = True) -> list[tuple[str, str]]:
    """In-Reply-To and References, as far as they are missing; a forward answers nothing."""
    if not summary.message_id:
        return []
    there = {name for name, value in headers.parse_headers(head) if value.strip()}
    add: list[tuple[str, str]] = []
    if answers and "in-reply-to" not in there:
        add.append(("In-Reply-To", f"<{summary.message_id}>"))
    if "references" not in there:
        chain = list(summary.references) or ([summary.in_reply_to] if summary.in_reply_to else [])
        chain = [one for one in chain if one != summary.message_id]
        if len(chain) >= _MAX_REFERENCES:
            # RFC 5322 3.6.4: the first one names the thread, the last ones the place in it.
            chain = [chain[0], *chain[2 - _MAX_REFERENCES :]]
        add.append(("References", " ".join(f"<{one}>" for one in [*chain, summary.message_id])))
    return add


def _with_fields(new: bytes, add: Sequence[tuple[str, str]]) -> bytes:
    """The same message with more header fields; its body stays byte by byte."""
    return compose.edit_headers(new, remove=tuple(name for name, _ in add), add=add) if add else new


def _header(new: bytes, root: Part, add: Sequence[tuple[str, str]]) -> bytes:
    """The user's header without what it says of the content."""
    return outer_header(_with_fields(new[: root.body_start], add))
