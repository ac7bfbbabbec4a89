"""The words of an SMTP command line: RFC 5321 section 4.1 with RFC 6531, 3030, 3461 and 4954.

The promise: every function here is linear in its input, returns plain values, and refuses what breaks the
grammar with ``Malformed`` (or ``NeedsUtf8``) and a sentence for the peer. Nothing that passes contains a
control character, so an address or a HELO name can be put into a header line as it is.

Three things are taken that RFC 5321 would refuse, because real senders write them: a space before ``<``, a
path without angle brackets, and empty atoms in a local part (``a..b@``, once usual with Japanese carriers).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from posthouse.errors import Malformed

__all__ = [
    "NeedsUtf8",
    "decode_xtext",
    "encode_xtext",
    "parse_bdat",
    "parse_helo",
    "parse_notify",
    "parse_orcpt",
    "parse_path",
    "split_command",
    "split_path",
]

MAX_LOCAL = 256  # RFC 5321 4.5.3.1.1 says 64; bounce addresses of mailing lists are longer
MAX_DOMAIN = 255  # RFC 5321 4.5.3.1.2
MAX_PARAMETERS = 20

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_UTF8 = "\x80-\U0010ffff"
_LOCAL = rf'(?:(?P<atoms>[{_ATEXT}.{_UTF8}]++)|"(?P<quoted>(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*+)")'
_DOMAIN = rf"(?P<domain>[A-Za-z0-9_.\-{_UTF8}]++|\[[A-Za-z0-9.:\-]++\])"
# A source route "@one,@two:" is read and ignored (RFC 5321 4.1.2, appendix C).
_ADDRESS = re.compile(rf'(?:@[^:<>" ]*+:)?+{_LOCAL}(?:@{_DOMAIN})?+')
_LABEL = re.compile(rf"[A-Za-z0-9_{_UTF8}](?:[A-Za-z0-9_\-{_UTF8}]*[A-Za-z0-9_{_UTF8}])?")
_PARAMETER = re.compile(rf"(?P<key>[A-Za-z0-9][A-Za-z0-9\-]*+)(?:=(?P<value>[!-~{_UTF8}]++))?+")
_HELO = re.compile(r"[A-Za-z0-9._\-]{1,255}|\[[A-Za-z0-9.:\-]{1,100}\]")
_BLANKS = re.compile(rb"[ \t]++")
_BDAT = re.compile(rb"([0-9]{1,18})(?:[ \t]+(LAST))?", re.IGNORECASE)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class NeedsUtf8(Malformed):
    """A path beyond ASCII in a transaction without the SMTPUTF8 parameter (RFC 6531 3.5)."""

    public_default = "Non-ASCII addresses need SMTPUTF8."


def split_command(line: bytes) -> tuple[bytes, bytes]:
    """The verb in upper case and the rest, both without surrounding blanks.

    A tab is not a separator in RFC 5321, but old clients send it.
    """
    parts = _BLANKS.split(line.strip(b" \t"), 1)
    return parts[0].upper(), parts[1] if len(parts) == 2 else b""


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("The command is neither ASCII nor UTF-8.") from None
    if _CONTROL.search(text):
        raise Malformed("Control characters are not allowed in a command.")
    return text


def split_path(rest: bytes, keyword: str) -> tuple[str, dict[str, str | None]]:
    """The argument of MAIL or RCPT as (path without angle brackets, parameters).

    :param keyword: ``"FROM:"`` or ``"TO:"``.
    :return: parameters by upper-case keyword; None for one without a value.
    :raises Malformed: no such keyword, unbalanced brackets or quotes, bad or repeated parameters.
    """
    text = _text(rest)
    if text[: len(keyword)].upper() != keyword:
        raise Malformed(f"Syntax: {keyword}<address>")
    text = text[len(keyword) :].lstrip()
    if not text:
        raise Malformed(f"Syntax: {keyword}<address>")
    if text[0] == "<":
        end = _closing_bracket(text)
        path, tail = text[1:end], text[end + 1 :]
        if tail and tail[0] not in " \t":
            raise Malformed("A space is missing after the address.")
    else:
        path, _, tail = text.partition(" ")
    return path, _parameters(tail) if tail else {}


def _closing_bracket(text: str) -> int:
    """Where the path ends: the first ``>`` outside a quoted local part."""
    end = text.find(">")
    quote = text.find('"')
    if 0 <= quote < end:
        match = re.compile(r'"(?:[^"\\]|\\.)*+"').match(text, quote)
        if match is None:
            raise Malformed("The quoted local part does not end.")
        end = text.find(">", match.end())
    if end < 0:
        raise Malformed("The closing angle bracket is missing.")
    return end


def _parameters(text: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    words = text.split()
    if len(words) > MAX_PARAMETERS:
        raise Malformed("Too many parameters.")
    for word in words:
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise Malformed("A parameter is malformed.")
        key = match["key"].upper()
        if key in found:
            raise Malformed(f"Parameter {key} is given twice.")
        found[key] = match["value"]
    return found


def parse_path(path: str, *, utf8: bool, default_domain: str = "") -> str:
    """One path as a mailbox ``local@domain``, the domain as written; quotes only where they are needed.

    :param utf8: SMTPUTF8 was asked for in this transaction.
    :param default_domain: for ``postmaster`` without a domain (RFC 5321 4.1.1.3), which only RCPT may say.
    :raises Malformed: not a mailbox. :raises NeedsUtf8: beyond ASCII without SMTPUTF8.
    """
    if len(path) > MAX_LOCAL * 2 + MAX_DOMAIN * 2:  # room for a source route
        raise Malformed("The address is too long.")
    match = _ADDRESS.fullmatch(path)
    if match is None:
        raise Malformed("The address is malformed.")
    local, quoted, domain = match["atoms"], match["quoted"], match["domain"]
    if quoted is not None:
        local = _unquote(quoted)
    if not path.isascii() and not utf8:
        raise NeedsUtf8()
    if len(local) > MAX_LOCAL:
        raise Malformed("The local part is too long.")
    if domain is None:
        if default_domain and local.lower() == "postmaster":
            return f"{local}@{default_domain}"
        raise Malformed("The address has no domain.")
    _check_domain(domain)
    return f"{local}@{domain}"


def _unquote(quoted: str) -> str:
    """The content of a quoted local part, quoted again unless it is a dot-string (RFC 5321 4.1.2)."""
    plain = re.sub(r"\\(.)", r"\1", quoted)
    if re.fullmatch(rf"[{_ATEXT}{_UTF8}]++(?:\.[{_ATEXT}{_UTF8}]++)*+", plain):
        return plain
    return '"' + re.sub(r'(["\\])', r"\\\1", plain) + '"'


def _check_domain(domain: str) -> None:
    if domain[0] == "[":
        literal = domain[1:-1]
        try:
            if literal[:5].upper() == "IPV6:":
                IPv6Address(literal[5:])
            else:
                IPv4Address(literal)
        except AddressValueError:
            raise Malformed("The address literal is malformed.") from None
        return
    if len(domain) > MAX_DOMAIN:
        raise Malformed("The domain is too long.")
    for label in domain.split("."):
        # 63 octets for an A-label; a U-label is shorter in characters (RFC 5890 2.3.2.1).
        if len(label) > 63 or not _LABEL.fullmatch(label):
            raise Malformed("The domain is malformed.")


def parse_helo(rest: bytes) -> str:
    """The name that a client gives itself.

    :raises Malformed: empty, or anything but a host name or an address literal (RFC 5321 4.1.1.1).
        Underscores pass, because machine names on Windows have them.
    """
    word = rest.strip(b" \t").decode("latin-1")
    if not _HELO.fullmatch(word):
        raise Malformed("Syntax: EHLO hostname")
    return word


def parse_bdat(rest: bytes) -> tuple[int, bool]:
    """The argument of BDAT (RFC 3030 2) as (bytes that follow, is it the last chunk).

    :raises Malformed: the stream cannot be followed any more: close the connection.
    """
    match = _BDAT.fullmatch(rest)
    if match is None:
        raise Malformed("Syntax: BDAT size [LAST]")
    return int(match[1]), match[2] is not None


def decode_xtext(text: str) -> str:
    """RFC 3461 section 4: ``+41`` is ``A``. :raises Malformed: not xtext."""
    if not _XTEXT.fullmatch(text):
        raise Malformed("A parameter is not valid xtext.")
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)


def encode_xtext(text: str) -> str:
    """The other way; the text is ASCII. :raises Malformed: it is not."""
    if not text.isascii():
        raise Malformed("xtext carries ASCII only.")
    return re.sub(r"[^!-*,-<>-~]", lambda match: f"+{ord(match[0]):02X}", text)


def parse_notify(value: str | None) -> str:
    """NOTIFY of RFC 3461 4.1, in upper case. :raises Malformed: unknown or contradicting words."""
    words = (value or "").upper().split(",")
    if words == ["NEVER"] or (
        set(words) <= {"SUCCESS", "FAILURE", "DELAY"} and len(set(words)) == len(words)
    ):
        return ",".join(words)
    raise Malformed("NOTIFY must be NEVER or a list of SUCCESS, FAILURE, DELAY.")


def parse_orcpt(value: str | None) -> str:
    """ORCPT of RFC 3461 4.2, as given (``rfc822;xtext``). :raises Malformed: not of that form, over 500."""
    kind, separator, address = (value or "").partition(";")
    if not separator or len(address) > 500 or not re.fullmatch(r"[A-Za-z0-9\-]{1,30}", kind):
        raise Malformed("ORCPT must look like rfc822;address.")
    if kind.lower() != "utf-8":  # RFC 6533 3: that kind may carry UTF-8 and \x{...}
        decode_xtext(address)
    return value or ""
