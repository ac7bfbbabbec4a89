"""Bytes in any charset become clean text; this never fails and takes linear time.

Only codecs on an allow-list are used (the standard library's table also holds ``zlib_codec``, ``idna``
and other things that are no charsets). What is declared is tried first, then UTF-8, then windows-1252
in the form of the WHATWG Encoding Standard, which maps every byte.

Labels: IANA character-sets registry, WHATWG Encoding Standard section 4.2, and the misspellings that
mail carries. Text that comes out holds no NUL, no lone surrogate and neither U+FFFE nor U+FFFF, since
XML 1.0 (section 2.2), SQLite and PostgreSQL refuse some of them.
"""

from __future__ import annotations

import codecs
import re

# Every byte of windows-1252; the five that Microsoft left open are C1 controls (WHATWG).
_CP1252 = "".join(
    chr(b) if b in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else bytes([b]).decode("cp1252") for b in range(256)
)

WINDOWS_1252 = "cp1252"

_CODECS: dict[str, str] = {}


def _allow(codec: str, *labels: str) -> None:
    for label in (codec, *labels):
        _CODECS[_key(label)] = _CODECS[label] = codec


def _key(label: str) -> str:
    return re.sub(r"[^a-z0-9]", "", label.lower())


_allow("utf-8", "utf8", "utf-8mb4", "unicode-1-1-utf-8", "x-utf-8", "utf-8-sig", "cp65001", "65001")
_allow("utf-7", "unicode-1-1-utf-7", "x-unicode-1-1-utf-7", "csunicode11utf7")
_allow("utf-16", "ucs-2", "iso-10646-ucs-2", "unicode")
_allow("utf-16-le", "utf-16le", "unicodelittle")
_allow("utf-16-be", "utf-16be", "unicodebig")
_allow("utf-32", "ucs-4")
_allow("utf-32-le")
_allow("utf-32-be")
# Who says Latin-1 writes windows-1252 (WHATWG 4.2).
_allow(
    WINDOWS_1252, "windows-1252", "x-cp1252", "iso-8859-1", "latin1", "l1", "iso8859-1", "cp819", "ibm819",
    "iso-ir-100", "iso_8859-1:1987", "csisolatin1", "x-ansi", "ansi", "win-1252", "western",
)  # fmt: skip
for _n in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258):
    _allow(f"cp{_n}", f"windows-{_n}", f"x-cp{_n}", f"win-{_n}", f"cp-{_n}")
_allow("cp1254", "iso-8859-9", "latin5", "l5")
for _n, _names in {
    2: ("latin2", "l2"), 3: ("latin3", "l3"), 4: ("latin4", "l4"), 5: ("cyrillic",),
    6: ("arabic", "iso-8859-6-i", "iso-8859-6-e", "asmo-708"), 7: ("greek", "ecma-118", "greek8"),
    8: ("hebrew", "iso-8859-8-i", "iso-8859-8-e", "logical", "visual"), 10: ("latin6", "l6"),
    13: ("latin7",), 14: ("latin8",), 15: ("latin9", "latin-9", "l9"), 16: ("latin10",),
}.items():  # fmt: skip
    _allow(f"iso8859-{_n}", f"iso-8859-{_n}", f"iso_8859-{_n}", *_names)
_allow("cp874", "windows-874", "tis-620", "iso-8859-11", "dos-874")
_allow("koi8-r", "koi", "koi8", "cskoi8r")
_allow("koi8-u", "koi8-ru")
_allow("koi8-t")
_allow("ptcp154", "cp154", "kz1048")
_allow(
    "gb18030", "gb2312", "gbk", "cp936", "ms936", "windows-936", "x-gbk", "euc-cn", "gb_2312-80", "chinese",
    "csgb2312", "iso-ir-58", "x-euc-cn",
)  # fmt: skip
_allow("hz", "hz-gb-2312")
_allow("cp950", "big5", "big-5", "x-x-big5", "big5-eten", "ms950", "windows-950", "cn-big5", "csbig5")
_allow("big5hkscs", "big5-hkscs")
_allow(
    "cp949", "euc-kr", "ks_c_5601-1987", "ks_c_5601", "ks_c_5601-1989", "ksc5601", "ksc_5601", "korean",
    "windows-949", "uhc", "cseuckr", "iso-ir-149",
)  # fmt: skip
_allow("johab", "cp1361")
_allow("iso2022_kr", "iso-2022-kr", "csiso2022kr")
_allow(
    "cp932", "shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j", "ms932", "windows-932",
    "csshiftjis",
)  # fmt: skip
_allow("euc_jp", "euc-jp", "x-euc-jp", "ujis", "cseucpkdfmtjapanese")
_allow("iso2022_jp_ext", "iso-2022-jp", "csiso2022jp", "iso-2022-jp-ext", "cp50220", "cp50221", "jis")
_allow("iso2022_jp_2", "iso-2022-jp-2", "iso-2022-jp-1")
_allow("iso2022_jp_3", "iso-2022-jp-3")
_allow("iso2022_jp_2004", "iso-2022-jp-2004")
_allow("mac-roman", "macintosh", "mac", "x-mac-roman", "csmacintosh")
_allow("mac-cyrillic", "x-mac-cyrillic", "x-mac-ukrainian")
_allow("mac-greek", "x-mac-greek")
_allow("mac-turkish", "x-mac-turkish")
_allow("mac-latin2", "x-mac-ce", "x-mac-centraleurroman")
_allow("hp-roman8", "roman8")
for _n in (437, 737, 775, 850, 852, 855, 857, 858, 860, 861, 862, 863, 864, 865, 866, 869, 1125):
    _allow(f"cp{_n}", f"ibm{_n}", f"dos-{_n}")
# No codec: the body is ASCII, or whatever the fall-backs find in it.
_NONE = frozenset(
    _key(n)
    for n in (
        "", "us-ascii", "ascii", "ansi_x3.4-1968", "ansi_x3.4-1986", "iso646-us", "iso-ir-6", "646", "us",
        "7bit", "8bit", "unknown", "unknown-8bit", "x-unknown", "default", "default_charset", "binary",
        "none",
        "x-user-defined",
    )
)  # fmt: skip

# Code pages that Microsoft numbers (MS-ASEMAIL 2.2.2.43 InternetCPID; values from the Windows list).
_PAGES = {
    "utf-8": 65001, "utf-7": 65000, "utf-16-le": 1200, "utf-16": 1200, "utf-16-be": 1201, "cp1252": 28591,
    "koi8-r": 20866, "koi8-u": 21866, "gb18030": 54936, "cp949": 949, "cp950": 950, "big5hkscs": 950,
    "cp932": 932, "euc_jp": 51932, "iso2022_jp_ext": 50220, "iso2022_jp_2": 50220, "iso2022_kr": 50225,
    "hz": 52936, "cp874": 874, "mac-roman": 10000,
}  # fmt: skip

_UNCLEAN = re.compile("[\x00\ud800-\udfff\ufffe\uffff]")


def lookup(label: str) -> str | None:
    """The name of the Python codec for a charset label, or None for ASCII and for unknown labels."""
    if len(label) > 100:
        return None
    found = _CODECS.get(label.lower())
    if found is not None:
        return found
    key = _key(label)
    if key in _NONE:
        return None
    return _CODECS.get(key)


def code_page(label: str) -> int:
    """Microsoft's number of a charset (for InternetCPID); 65001, UTF-8, where it has none."""
    key = _key(label[:100])
    if key in ("usascii", "ascii"):
        return 20127
    codec = _CODECS.get(key)
    if codec is None:
        return 65001
    if codec == WINDOWS_1252 and "1252" in key:
        return 1252
    if codec in _PAGES:
        return _PAGES[codec]
    if codec.startswith("iso8859-"):
        return 28590 + int(codec[8:])
    if codec.startswith("cp") and codec[2:].isdigit():
        return int(codec[2:])
    return 65001


def clean(text: str) -> str:
    """Text without NUL, lone surrogates (both become U+FFFD or nothing) and non-characters."""
    if "\x00" not in text and "\ufffe" not in text and "\uffff" not in text:
        try:
            text.encode("utf-8")  # much faster than looking for surrogates
            return text
        except UnicodeEncodeError:
            pass
    # A pair of surrogates, as CESU-8 or UTF-7 may give it, is one character.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _UNCLEAN.sub(lambda m: "" if m[0] == "\x00" else "\ufffd", text)


def windows_1252(data: bytes) -> str:
    """The fall-back that takes every byte."""
    return codecs.charmap_decode(data, "strict", _CP1252)[0]


def _mostly(data: bytes, codec: str) -> str | None:
    """A reading with replacements, if the good characters far outnumber the bad ones."""
    try:
        text = data.decode(codec, "replace")
    except (UnicodeError, LookupError, ValueError):
        return None
    if text.endswith("\ufffd") and text.count("\ufffd") == 1 and not text[:-1].isascii():
        return text  # only the end is broken: the text was cut there
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    return text if good > 4 * bad else None


def decode(data: bytes, declared: str = "") -> str:
    """Text of ``data``, which claims to be in the charset ``declared``.

    Never raises. A byte sequence cut at its end by truncation, or a few broken characters, do not make
    the declared charset lose against the fall-backs.
    """
    if data.isascii() and not declared:
        text = data.decode("ascii")
        return text if "\x00" not in text else text.replace("\x00", "")
    codec = lookup(declared) if declared else None
    if codec is None or codec == "utf-8":
        try:
            # A byte order mark is no text.
            text = data.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError:
            text_or_none = _mostly(data, "utf-8")
            return clean(windows_1252(data) if text_or_none is None else text_or_none)
        # Strict UTF-8 gives no surrogates, so most texts need no further look.
        return clean(text) if "\x00" in text or "\ufffe" in text or "\uffff" in text else text
    if codec == WINDOWS_1252:
        return clean(windows_1252(data))
    try:
        return clean(data.decode(codec).removeprefix("\ufeff"))
    except (UnicodeError, LookupError, ValueError):
        pass
    try:
        return clean(data.decode("utf-8"))
    except UnicodeDecodeError:
        mostly = _mostly(data, codec)
        return clean(windows_1252(data) if mostly is None else mostly)
