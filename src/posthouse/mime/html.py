"""Text from HTML and HTML from text.

`text_from_html` walks a tree made by selectolax (lexbor); before that, size and nesting are checked,
because tree construction and everything after it is quadratic in depth. What is too deep goes through
`strip_tags`, which is linear, builds nothing, and is also the fast way for previews.
"""

from __future__ import annotations

import html as stdlib_html
import re
from typing import Any

from selectolax.lexbor import LexborHTMLParser

MAX_HTML = 2_000_000
MAX_DEPTH = 256


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BREAKS = _names(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure "
    "footer form header hgroup hr legend li main menu nav ol option p pre section summary table tbody tfoot "
    "thead tr ul"
)
_PARAGRAPHS = _names("p h1 h2 h3 h4 h5 h6 blockquote pre ul ol dl table")
_BLOCKS = _BREAKS | _PARAGRAPHS
_DROPPED = _names(
    "head style script title template noscript noframes iframe object embed svg math select textarea audio "
    "video canvas xml map"
)
_VOID = _names("area base br col embed hr img input link meta param source track wbr")
# Elements that HTML closes by itself, so that they do not nest: p, li, td ...
_SELF_CLOSING = _names("p li dt dd tr td th option thead tbody tfoot colgroup")

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:]*)[^<>]*>")
_STRIP = re.compile(r"<(?:(!--)|(/?)([A-Za-z][A-Za-z0-9:]*)([^<>]*)>|[!?/][^<>]*>)")
_DROP_END = {name: re.compile(rf"</{name}\b[^<>]*>", re.IGNORECASE) for name in _DROPPED}
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\x0b\x0c]+")
_LINES = re.compile(r"[ \t]*\n[ \t]*")
_MANY = re.compile(r"\n{3,}")
# No punctuation at the end, and at most one level of brackets, as people write addresses in prose.
_URL = re.compile(r"\bhttps?://[^\s<>\"'\x00-\x1f]{1,2000}", re.IGNORECASE)
_URL_TAIL = ".,;:!?)]}'\""
_SPACE_RUN = re.compile(r" (?= )|^ ", re.MULTILINE)


def too_deep(html: str, limit: int = MAX_DEPTH) -> bool:
    """Whether elements are opened more than ``limit`` levels deep; counts tags, builds no tree."""
    if html.count("<") <= limit:
        return False
    depth = 0
    for match in _TAG.finditer(html):
        name = match[2].lower()
        if name in _VOID or name in _SELF_CLOSING:
            continue
        if match[1]:
            if depth:
                depth -= 1
        else:
            depth += 1
            if depth > limit:
                return True
    return False


def text_from_html(html: str, limit: int = MAX_HTML) -> str:
    """The readable text of an HTML document, at most ``limit`` characters.

    Blocks become lines, list items get a dash, cells are separated by tabs, a link whose text is not its
    address is followed by the address, an image is its alternative text.
    """
    html = html[:MAX_HTML]
    if too_deep(html):
        return strip_tags(html, limit)
    tree = LexborHTMLParser(html)
    root = tree.root
    if root is None:
        return ""
    out = _Text(limit)
    _walk(root, out)
    return out.finish()


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

    def add(self, text: str) -> None:
        if self.pre:
            self._put(text)
            return
        collapsed = _SPACES.sub(" ", text)
        if collapsed == " " or not collapsed:
            self.space = self.space or bool(collapsed)
            return
        if collapsed[0] == " ":
            self.space = True
        tail = collapsed[-1] == " "
        self._put(collapsed.strip(" "))
        self.space = tail

    def raw(self, text: str) -> None:
        self._put(text)
        self.space = False

    def _put(self, text: str) -> None:
        if self.breaks:
            text = "\n" * self.breaks + text
        elif self.space and self.pieces and self.pieces[-1][-1:] not in ("\n", "\t", " "):
            text = " " + text
        self.breaks = 0
        self.space = False
        self.pieces.append(text)
        self.left -= len(text)

    def finish(self) -> str:
        text = "".join(self.pieces).replace("\u00a0", " ").replace("\u200b", "").replace("\ufeff", "")
        text = _MANY.sub("\n\n", _LINES.sub("\n", text)).strip()
        text = text.replace("\x00", "")
        return text if self.left >= 0 else text[: len(text) + self.left]


def _walk(root: Any, out: _Text) -> None:
    """Depth first without recursion; each step is a child, a sibling or back to the parent."""
    node = root
    top = root.mem_id  # comparing nodes by == would serialise them
    while node is not None and out.left > 0:
        tag = node.tag
        child = None
        if tag == "-text":
            out.add(node.text_content or "")
        elif tag is not None and tag not in _DROPPED and tag[0] not in "-_!#":
            _enter(tag, node, out)
            child = node.child
            if child is None:
                _leave(tag, node, out)
        elif tag == "-document" or tag == "#document":
            child = node.child
        if child is not None:
            node = child
            continue
        while node is not None:
            following = node.next
            if following is not None:
                node = following
                break
            node = node.parent
            if node is None or node.mem_id == top:
                return
            if node.tag:
                _leave(node.tag, node, out)


def _enter(tag: str, node: Any, out: _Text) -> None:
    if tag in _BLOCKS:
        out.line(2 if tag in _PARAGRAPHS else 1)
        if tag == "li":
            out.raw("- ")
        elif tag == "pre":
            out.pre += 1
        elif tag == "hr":
            out.raw("----")
            out.line(1)
    elif tag == "br":
        out.raw("\n")
    elif tag == "img":
        alt = node.attributes.get("alt")
        if alt and alt.strip():
            out.add(alt)
    elif tag in ("td", "th") and node.prev is not None and out.pieces and not out.breaks:
        out.raw("\t")


def _leave(tag: str, node: Any, out: _Text) -> None:
    if tag in _BLOCKS:
        if tag == "pre" and out.pre:
            out.pre -= 1
        out.line(2 if tag in _PARAGRAPHS else 1)
    elif tag == "a":
        href = (node.attributes.get("href") or "").strip()
        if href[:7].lower() in ("http://", "https:/") and len(href) <= 2000 and out.pieces:
            shown = node.text(deep=True, separator="", strip=True)
            bare = href.split("://", 1)[-1].rstrip("/").lower()
            if shown and shown.split("://", 1)[-1].rstrip("/").lower() != bare:
                out.add(f" <{_SPACES.sub('', href)}> ")


def strip_tags(html: str, limit: int = MAX_HTML) -> str:
    """Readable text by leaving tags out; linear, and stops when ``limit`` characters are found."""
    pieces: list[str] = []
    length = 0
    position = 0
    no_comment_end = False
    unclosed: set[str] = set()
    while length < limit:
        match = _STRIP.search(html, position)
        start = match.start() if match is not None else len(html)
        if start > position:
            text = html[position:start]
            if not text.isspace():
                pieces.append(text)
                length += len(text)
            elif pieces and not pieces[-1][-1:].isspace():
                pieces.append(" ")
        if match is None:
            break
        position = match.end()
        if match[1]:
            end = -1 if no_comment_end else html.find("-->", match.start() + 2)
            no_comment_end = end < 0
            position = end + 3 if end >= 0 else position
            continue
        name = match[3].lower() if match[3] else ""
        if name in _BLOCKS or name == "br":
            pieces.append("\n")
        elif name in ("td", "th"):
            pieces.append("\t")
        elif name == "img":
            alt = _ALT.search(match[4][:4000])
            if alt is not None:
                pieces.append(alt[1] or alt[2] or "")
        elif name in _DROPPED and not match[2] and name not in unclosed:
            end_tag = _DROP_END[name].search(html, position)
            if end_tag is not None:
                position = end_tag.end()
            else:
                unclosed.add(name)
    text = unescape("".join(pieces)).replace("\u00a0", " ").replace("\x00", "")
    text = _MANY.sub("\n\n", re.sub(r"[ \r\x0b\x0c]+", " ", text))
    return text.strip()[:limit]


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
