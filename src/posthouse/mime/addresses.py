"""The address parser of the house: mailbox lists in headers, and the folded form of an address.

RFC 5322 3.4 and 4.4 (groups, comments, routes), RFC 2047 in phrases, RFC 6532. Any garbage is read in
linear time and gives what looks most like mailboxes. The strict grammar of SMTP paths is not here.
"""

from __future__ import annotations

import re
import unicodedata

import idna
from attrs import frozen

from posthouse.mime import headers

MAX_MAILBOXES = 1000
MAX_VALUE = 262_144
MAX_ADDRESS = 1000

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<atom>[^ \t\r\n"(<,;:\[]+)|"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)"|"""
    r"""(?P<open>\()|<(?P<angle>[^<>]*)(?P<shut>>?)|(?P<mark>[,;:])|(?P<literal>\[[^\[\]<>,;]*\]?)|(?P<stray>")""",
    re.DOTALL,
)
# After an opening quote was found to have no end, quotes mean nothing.
_TOKEN_PLAIN = re.compile(
    _TOKEN.pattern.replace('"(?P<quoted>[^"\\\\]*(?:\\\\.[^"\\\\]*)*)"', "(?P<quoted>(?!))"), re.DOTALL
)
_COMMENT = re.compile(r"\([^()]*\)")
_PAREN = re.compile(r"[()\\]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r"[\"(\\:;\[]")
_QUOTED = re.compile(r'"([^"\\]*)"\s*<([^\s<>,"()\\:;\[\]]+)>')
_QUOTED_SPACE = "\x00"  # stands for a space that belongs to a quoted local part
_SPACES = re.compile(r"\s+")
_ATOM_TEXT = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ \-\u0080-\U0010ffff]*")
_SPECIALS = re.compile(r'(["\\])')


@frozen
class Mailbox:
    """One mailbox of a header. ``address`` is "" where only a name was readable."""

    name: str
    address: str


def parse_mailboxes(value: str | bytes, limit: int = MAX_MAILBOXES) -> list[Mailbox]:
    """The mailboxes of an address header in their order, at most ``limit``; members of groups included.

    Never raises; names are decoded (RFC 2047) and clean, addresses hold no white space.
    """
    text = headers.raw_text(value) if isinstance(value, bytes) else value
    text = text[:MAX_VALUE].strip()
    if not text:
        return []
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        return [Mailbox(_name(quoted[1]), _address(quoted[2]))]
    if _SPECIAL.search(text) is None:
        found = _simple(text, limit)
        if found is not None:
            return found
    return _parse(text, limit)


def _simple(text: str, limit: int) -> list[Mailbox] | None:
    """The plain forms ``name <address>`` and ``address``, nearly all there is; None for anything else."""
    found: list[Mailbox] = []
    for piece in text.split(",", limit)[:limit]:
        piece = piece.strip()
        if piece.endswith(">"):
            name, _, address = piece[:-1].partition("<")
            if "<" in address or ">" in address or ">" in name or not address:
                return None
            _keep(found, name, address)
        elif piece:
            if "<" in piece or ">" in piece or "@" not in piece or len(piece.split(None, 1)) > 1:
                return None
            _keep(found, "", piece)
    return found


def _keep(found: list[Mailbox], name: str, address: str) -> None:
    name = _name(name) if name else ""
    address = _address(address) if address else ""
    if name or address:
        found.append(Mailbox(name, address))


def _name(phrase: str) -> str:
    phrase = phrase.strip()
    if "=?" in phrase:
        phrase = headers.decode_words(_SPACES.sub(" ", phrase))
    phrase = headers.clean_line(phrase, 1000)
    if len(phrase) > 1 and phrase[0] == phrase[-1] and phrase[0] in "'\"":
        phrase = phrase[1:-1].strip()
    return phrase


def _address(text: str) -> str:
    if text.startswith("@") and ":" in text:
        text = text.rpartition(":")[2]  # an obsolete route (RFC 5322 4.4)
    if "=?" in text:
        text = headers.decode_words(text)
    if "(" in text:
        text = _COMMENT.sub("", text)
    text = "".join(text.split()) if not text.isalnum() else text
    if text[:7].lower() == "mailto:":
        text = text[7:]
    if _QUOTED_SPACE in text:
        text = text.replace(_QUOTED_SPACE, " ")
    return headers.clean_line(text.strip("<>,;"), MAX_ADDRESS)


class _Builder:
    """The mailbox that is being read."""

    __slots__ = ("comment", "found", "literal", "pieces", "quoted")

    def __init__(self) -> None:
        self.found: list[Mailbox] = []
        self.reset()

    def reset(self) -> None:
        self.pieces: list[str] = []
        self.comment = ""
        self.quoted = False

    def angle(self, address: str) -> None:
        name = "".join(self.pieces)
        _keep(self.found, name if name.strip() else self.comment, address)
        self.reset()

    def end(self) -> None:
        if not self.pieces:
            self.reset()
            return
        text = "".join(self.pieces).strip()
        if "@" in text and not (self.quoted and " " in text):
            # A bare address; words before it, without brackets, are its name.
            words = text.split()
            if len(words) > 1 and "@" in words[-1] and not words[-1].startswith("@") and "@" not in words[0]:
                _keep(self.found, " ".join(words[:-1]), words[-1])
            else:
                _keep(self.found, self.comment, text)
        elif text:
            _keep(self.found, text, "")
        self.reset()


def _parse(text: str, limit: int) -> list[Mailbox]:
    text = text.replace(_QUOTED_SPACE, "")
    builder = _Builder()
    found = builder.found
    pattern, comments = _TOKEN, True
    position, size = 0, len(text)
    while position < size and len(found) < limit:
        match = pattern.match(text, position)
        if match is None:  # a lone character that begins nothing
            position += 1
            continue
        kind = match.lastgroup
        position = match.end()
        if kind == "atom":
            builder.pieces.append(match["atom"])
        elif kind == "space":
            if builder.pieces:
                builder.pieces.append(" ")
        elif kind == "mark":
            mark = match["mark"]
            if mark == ":" and "@" not in "".join(builder.pieces[-3:]):
                builder.reset()  # the name of a group (RFC 5322 3.4)
            elif mark == ":":
                builder.pieces.append(mark)
            else:
                builder.end()
        elif kind == "quoted":
            quoted = match["quoted"]
            # "john doe"@example.org keeps its quotes: they are part of the address.
            if text[position : position + 1] == "@":
                builder.pieces.append('"' + _SPACES.sub(_QUOTED_SPACE, quoted) + '"')
            else:
                builder.pieces.append(_ESCAPE.sub(r"\1", quoted) if "\\" in quoted else quoted)
                builder.quoted = True
        elif kind == "shut":
            address = match["angle"]
            if not match["shut"]:  # never closed: it ends at the comma
                address = address.partition(",")[0]
                position = match.start() + 1 + len(address)
            builder.angle(address)
        elif kind == "open":
            end = _comment_end(text, position) if comments else -1
            if end < 0:
                comments = False
            else:
                builder.comment = builder.comment or text[position : end - 1]
                position = end
        elif kind == "literal":
            builder.pieces.append(match["literal"])
        else:
            pattern = _TOKEN_PLAIN
    if len(found) < limit:
        builder.end()
    return found


def _comment_end(text: str, position: int) -> int:
    """Where the comment whose parenthesis was opened just before ``position`` ends; -1 if it does not."""
    depth = 1
    skip = -1
    for match in _PAREN.finditer(text, position):
        if match.start() == skip:
            continue
        mark = match[0]
        if mark == "\\":
            skip = match.start() + 1
        elif mark == "(":
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                return match.end()
    return -1


def display_mailbox(mailbox: Mailbox) -> str:
    """A mailbox for people and for ActiveSync: ``"Name" <address>``, in Unicode, not for the wire."""
    if not mailbox.name:
        return mailbox.address
    name = (
        _SPECIALS.sub(r"\\\1", mailbox.name) if '"' in mailbox.name or "\\" in mailbox.name else mailbox.name
    )
    if not mailbox.address:
        return f'"{name}"' if "@" in name or "," in name else name
    return f'"{name}" <{mailbox.address}>'


def format_mailbox(mailbox: Mailbox) -> str:
    """A mailbox as a header value: the name as atoms, quoted string or, where not ASCII, as it is.

    `posthouse.mime.compose` encodes what is not ASCII.
    """
    address = "".join(mailbox.address.split())
    name = headers.clean_line(mailbox.name)
    if not name:
        return address
    if not _ATOM_TEXT.fullmatch(name) or "=?" in name:
        name = '"' + _SPECIALS.sub(r"\\\1", name) + '"'
    return f"{name} <{address}>"


def fold_domain(domain: str) -> str:
    """A domain as A-labels in lower case without a final dot; what is no domain only in lower case."""
    domain = domain.strip().rstrip(".") if len(domain) < 1000 else domain
    if domain.isascii():
        return domain.lower()
    if len(domain) > 253:
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        return domain.lower()


def normalise_address(address: str) -> str:
    """The address with its local part as it is (NFC) and its domain folded."""
    address = address.strip()
    local, at, domain = address.rpartition("@")
    if not at:
        return address if address.isascii() else unicodedata.normalize("NFC", address)
    if not local.isascii():
        local = unicodedata.normalize("NFC", local)
    return f"{local}@{fold_domain(domain)}"


def fold_address(address: str) -> str:
    """The key under which an address is known here: lower-case local part, A-label domain.

    RFC 5321 2.4 lets a host decide that its local parts know no case; this one does.
    """
    local, at, domain = normalise_address(address).rpartition("@")
    return f"{local.lower()}@{domain}" if at else domain.lower()
