"""Text from HTML and HTML from text.

Promises: linear time, no tree. Building one (by any parser that follows the standard) takes quadratic time
in nesting depth and in the attributes of a tag, and no cheap test can tell beforehand how deep a document
will nest, because the rules of what closes what are those of the tree construction itself. Reading tags in
their order gives the same text.

WHATWG HTML 13.2.5 (tokenisation of tags, comments and raw text), as far as text needs it.
"""

from __future__ import annotations

import html as stdlib_html
import re

MAX_HTML = 2_000_000


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PARAGRAPHS = _names("p h1 h2 h3 h4 h5 h6 blockquote pre ul ol dl table")
_BLOCKS = _PARAGRAPHS | _names(
    "address article aside body center dd details dialog dir div dt fieldset figcaption figure footer form "
    "header hgroup hr legend li main menu nav option section summary tbody tfoot thead tr"
)
# What is between their tags is no text of the message.
_DROPPED = _names(
    "style script title template noframes iframe object svg math select textarea audio video canvas map"
)
_END = {name: re.compile(rf"</{name}(?=[ \t\n\f\r/>])[^>]*>", re.IGNORECASE) for name in _DROPPED}

# One tag with quoted values, which may hold ">"; possessive, so that it never goes back. It can run to the
# end of the text in vain, but only once: from then on the short form is used, which stops at the next "<".
_TAG = re.compile(
    r"<(/?)([A-Za-z][^ \t\n\f\r/>]*+)((?:[ \t\n\f\r/]++|[^ \t\n\f\r/>][^ \t\n\f\r/>=]*+"
    r"(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+(?:\"[^\"]*+\"|'[^']*+'|(?![\"'])[^ \t\n\f\r>]*+))?+)*+)>"
)
_SHORT_TAG = re.compile(r"<(/?)([A-Za-z][^ \t\n\f\r/<>]*+)([^<>]*+)>")
_VALUE = r"[ \t\n\f\r]*+=[ \t\n\f\r]*+(?:\"([^\"]*+)\"|'([^']*+)'|([^ \t\n\f\r>\"']++))"
_ALT = re.compile(r"\balt" + _VALUE, re.IGNORECASE)
_HREF = re.compile(r"\bhref" + _VALUE, re.IGNORECASE)
_MAX_ATTRIBUTES = 8192
_SPACES = re.compile(r"\s+")
_MANY = re.compile(r"\n{3,}")
_URL = re.compile(r"\bhttps?://[^\s<>\"'\x00-\x1f]{1,2000}", re.IGNORECASE)
_URL_TAIL = ".,;:!?)]}'\""
_SPACE_RUN = re.compile(r" (?= )|^ ", re.MULTILINE)


def text_from_html(html: str, limit: int = MAX_HTML, *, links: bool = True) -> str:
    """The readable text of an HTML document (of its first 2 MB), at most ``limit`` characters.

    Blocks become lines, list items get a dash, cells are separated by tabs, an image is its alternative
    text. With ``links``, a link whose text is not its address is followed by the address.
    """
    html = html[:MAX_HTML]
    out = _Text(limit)
    position = 0
    tag = _TAG
    endless: set[str] = set()  # what was opened and is not closed in the rest of the text
    href, href_from = "", 0
    while out.left > 0:
        start = html.find("<", position)
        if start < 0:
            out.add(html[position:])
            break
        if start > position:
            out.add(html[position:start])
        match = tag.match(html, start)
        if match is None:
            position = _markup_end(html, start, endless)
            if position < 0:
                # A tag that does not end: what follows is read as leniently as can be.
                position, tag = start, _SHORT_TAG
                if tag.match(html, start) is None:
                    out.add("<")
                    position = start + 1
            elif position == start:
                out.add("<")
                position += 1
            continue
        position = match.end()
        closing, name, attributes = match.groups()
        name = name.lower()
        if name in _BLOCKS:
            _block(name, bool(closing), out)
        elif name == "br":
            out.raw("\n")
        elif name == "a":
            if links:
                if closing:
                    _link(href, href_from, out)
                href, href_from = "" if closing else _attribute(_HREF, attributes), len(out.pieces)
        elif name in ("td", "th"):
            if not closing and not out.breaks and out.pieces:
                out.raw("\t")
        elif name == "img":
            alternative = _attribute(_ALT, attributes)
            if alternative:
                out.add(alternative)
        elif name in _DROPPED and not closing and name not in endless:
            end = _END[name].search(html, position)
            if end is not None:
                position = end.end()
            else:
                endless.add(name)
    return out.finish()


def _markup_end(html: str, start: int, endless: set[str]) -> int:
    """Where a comment or declaration at ``start`` ends; ``start`` if it is text, -1 for an endless tag."""
    mark = html[start + 1 : start + 2]
    if html.startswith("!--", start + 1) and "-->" not in endless:
        end = html.find("-->", start + 2)  # "<!-->" is a comment
        if end >= 0:
            return end + 3
        endless.add("-->")
    if mark in ("!", "?") or (mark == "/" and not html[start + 2 : start + 3].isalpha()):
        if ">" not in endless:
            end = html.find(">", start)
            if end >= 0:
                return end + 1
            endless.add(">")
        return start
    return -1 if mark.isalpha() or mark == "/" else start


def _attribute(pattern: re.Pattern[str], attributes: str) -> str:
    match = pattern.search(attributes[:_MAX_ATTRIBUTES])
    if match is None:
        return ""
    return unescape(match[1] or match[2] or match[3] or "").strip()


def _block(name: str, closing: bool, out: _Text) -> None:
    if name == "pre":
        out.pre = max(0, out.pre + (-1 if closing else 1))
    out.line(2 if name in _PARAGRAPHS else 1)
    if name == "li" and not closing:
        out.raw("- ")
    elif name == "hr":
        out.raw("----")
        out.line(1)


def _link(href: str, start: int, out: _Text) -> None:
    if href[:8].lower() not in ("https://",) and href[:7].lower() != "http://":
        return
    shown = "".join(out.pieces[start:]).strip()
    if shown and len(href) <= 2000 and _bare(shown) != _bare(href):
        out.add(" <" + _SPACES.sub("", href).replace("<", "%3C").replace(">", "%3E") + ">", False)


def _bare(url: str) -> str:
    return url.partition("://")[2].rstrip("/").lower() if "://" in url else url.rstrip("/").lower()


class _Text:
    """Text under construction: collapses white space, remembers breaks that are due."""

    __slots__ = ("breaks", "left", "pieces", "pre", "space")

    def __init__(self, limit: int) -> None:
        self.pieces: list[str] = []
        self.left = limit
        self.breaks = 0
        self.space = False
        self.pre = 0

    def line(self, count: int) -> None:
        if self.pieces and count > self.breaks:
            self.breaks = count
        self.space = False

    def add(self, text: str, encoded: bool = True) -> None:
        if encoded and "&" in text:
            text = unescape(text)
        if self.pre:
            self.raw(text)
            return
        collapsed = " ".join(text.split())
        if not collapsed:
            self.space = self.space or bool(text)
            return
        self.space = self.space or text[0].isspace()
        self.raw(collapsed)
        self.space = text[-1].isspace()

    def raw(self, text: str) -> None:
        if self.breaks:
            text = "\n" * self.breaks + text
        elif self.space and self.pieces and self.pieces[-1][-1:] not in ("\n", "\t", " "):
            text = " " + text
        self.breaks = 0
        self.space = False
        self.pieces.append(text)
        self.left -= len(text)

    def finish(self) -> str:
        text = "".join(self.pieces)
        if self.left < 0:
            text = text[: len(text) + self.left]
        text = text.replace("\u200b", "").replace("\ufeff", "").replace("\x00", "")
        text = "\n".join([line.strip(" \t\r\u00a0") for line in text.split("\n")])
        return _MANY.sub("\n\n", text).replace("\u00a0", " ").strip()


def unescape(text: str) -> str:
    """Character references become characters; no lone surrogate comes out."""
    return stdlib_html.unescape(text) if "&" in text else text


def html_from_text(text: str) -> str:
    """A small HTML document with the text, its line breaks and spaces kept, web addresses as links."""
    pieces: list[str] = []
    position = 0
    for match in _URL.finditer(text):
        url = match[0]
        while url and url[-1] in _URL_TAIL:
            # A closing bracket belongs to the address when the address opened it.
            if url[-1] == ")" and url.count("(") >= url.count(")"):
                break
            url = url[:-1]
        if len(url) <= len("https://"):
            continue
        pieces.append(_escape(text[position : match.start()]))
        quoted = stdlib_html.escape(url)
        pieces.append(f'<a href="{quoted}">{quoted}</a>')
        position = match.start() + len(url)
    pieces.append(_escape(text[position:]))
    body = "".join(pieces)
    return (
        '<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head>'
        f"<body><div>{body}</div></body></html>"
    )


def _escape(text: str) -> str:
    text = stdlib_html.escape(text).replace("\r\n", "\n").replace("\r", "\n")
    if "  " in text or "\n " in text or text.startswith(" "):
        text = _SPACE_RUN.sub("&nbsp;", text)
    return text.replace("\t", "&nbsp;&nbsp;&nbsp; ").replace("\n", "<br>\r\n")
