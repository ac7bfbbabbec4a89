"""A body that is UTF-8 already takes the short way, and comes out as by the long one."""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.content import body
from posthouse.mime.bodies import text_of
from posthouse.mime.part import Part
from posthouse.wbxml.encode import clean, encode
from posthouse.wbxml.tags import AirSyncBase
from posthouse.wbxml.tree import E, Utf8

_PIECES = st.sampled_from(
    [
        "<p>",
        "Grüße",
        "\r\n",
        "\n",
        "\r",
        "\x00",
        "\x0b",
        "\ufeff",
        "\ufffe",
        "\uffff",
        " \r\n",
        "\t\n",
        "日本",
        "=",
        "x",
    ]
)
_TEXTS = st.lists(_PIECES, max_size=30).map("".join)
_DATA = st.one_of(
    _TEXTS.map(str.encode), st.binary(max_size=40), _TEXTS.map(lambda t: t.encode("latin-1", "replace"))
)


def _part(raw: bytes, cte: str, charset: str) -> Part:
    params = {"charset": charset} if charset else {}
    return Part("1", 0, 0, len(raw), content_type="text/html", params=params, cte=cte)


class ShortWayTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(_DATA, st.sampled_from(["", "utf-8", "us-ascii", "iso-8859-1", "koi8-r", "utf-16", "gb18030", "no-such"]),
           st.sampled_from(["7bit", "8bit", "base64", "quoted-printable"]))  # fmt: skip
    def test_same_as_by_the_long_way(self, data: bytes, charset: str, cte: str) -> None:
        raw = {"base64": b2a_base64, "quoted-printable": b2a_qp}.get(cte, bytes)(data)
        part = _part(raw, cte, charset)
        short = body._as_it_is(part, raw)
        if short is not None:
            self.assertEqual(short, clean(text_of(part, raw)))

    def test_what_most_mail_is_takes_it(self) -> None:
        for charset in ("utf-8", "us-ascii", "", "iso-8859-1"):
            self.assertEqual(body._as_it_is(_part(b"<p>\r\nx", "8bit", charset), b"<p>\r\nx"), b"<p>\nx")
        self.assertEqual(body._as_it_is(_part(b"", "8bit", "utf-8"), "ü".encode()), "ü".encode())

    def test_other_charsets_do_not(self) -> None:
        self.assertIsNone(body._as_it_is(_part(b"", "8bit", "iso-8859-1"), "ü".encode()))
        self.assertIsNone(body._as_it_is(_part(b"", "8bit", "utf-16"), b"\x00a"))

    def test_a_wrong_label_in_the_page_is_corrected(self) -> None:
        page = b'<html><META http-equiv="x" content="text/html; Charset=ISO-8859-1">'
        self.assertIn(b"Charset=utf-8", body._relabelled(page))


class ContentTests(SynchronousTestCase):
    def test_checked_text_goes_as_a_string(self) -> None:
        for text in ("Grüße", "x" * 1000):
            self.assertEqual(
                encode(E(AirSyncBase.Data, Utf8(text.encode()))), encode(E(AirSyncBase.Data, text))
            )
