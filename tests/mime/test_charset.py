"""Bytes to text: labels, fall-backs, cleanliness."""

from __future__ import annotations

import codecs

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime import charset
from posthouse.mime.charset import code_page, decode, lookup


class LabelTests(SynchronousTestCase):
    def test_every_codec_on_the_list_exists(self) -> None:
        for codec in set(charset._CODECS.values()):
            self.assertTrue(codecs.lookup(codec)._is_text_encoding, codec)

    def test_common_labels_and_misspellings(self) -> None:
        for label, codec in (
            ("UTF-8", "utf-8"), ("utf8", "utf-8"), ("ISO-8859-1", "cp1252"), ("latin-1", "cp1252"),
            ("Windows-1251", "cp1251"), ("gb2312", "gb18030"), ("ks_c_5601-1987", "cp949"),
            ("x-sjis", "cp932"),
            ("iso-8859-8-i", "iso8859-8"), ("hz-gb-2312", "hz"), ("ISO-2022-JP", "iso2022_jp_ext"),
            ("KOI8-R", "koi8-r"),
            ("unicode-1-1-utf-7", "utf-7"), ("big5", "cp950"), ("iso-8859-15", "iso8859-15"),
        ):  # fmt: skip
            self.assertEqual(lookup(label), codec, label)

    def test_things_that_are_no_charsets_are_unknown(self) -> None:
        for label in ("zlib_codec", "idna", "rot13", "base64", "nonsense", "us-ascii", "x" * 1000, "\x00"):
            self.assertIsNone(lookup(label))

    def test_code_pages(self) -> None:
        self.assertEqual(
            [
                code_page(label)
                for label in (
                    "utf-8",
                    "",
                    "us-ascii",
                    "iso-8859-1",
                    "windows-1252",
                    "cp1251",
                    "iso-8859-15",
                    "gb2312",
                )
            ],
            [65001, 65001, 20127, 28591, 1252, 1251, 28605, 54936],
        )


class DecodeTests(SynchronousTestCase):
    def test_declared_charsets(self) -> None:
        for label, text in (
            ("utf-7", "Grüße"), ("gb2312", "中文"), ("ks_c_5601-1987", "한국말"), ("shift_jis", "日本語"),
            ("koi8-r", "Привет"), ("windows-1255", "שלום"), ("iso-2022-jp", "かな"),
            ("hz-gb-2312", "中文"), ("big5", "中文"),
        ):  # fmt: skip
            codec = lookup(label)
            assert codec is not None
            self.assertEqual(decode(text.encode(codec), label), text)

    def test_ascii_declared_but_utf8_or_windows_1252_meant(self) -> None:
        self.assertEqual(decode("ü".encode(), "us-ascii"), "ü")
        self.assertEqual(decode(b"\x93x\x94", "us-ascii"), "“x”")

    def test_latin1_declared_means_windows_1252(self) -> None:
        self.assertEqual(decode(b"\x80", "iso-8859-1"), "€")

    def test_utf8_declared_but_latin1_meant(self) -> None:
        self.assertEqual(decode(b"caf\xe9", "utf-8"), "café")

    def test_a_cut_character_at_the_end_does_not_spoil_the_rest(self) -> None:
        self.assertEqual(decode("Größen äöü ß".encode()[:-1], "utf-8"), "Größen äöü �")
        self.assertEqual(decode("a ü bß".encode()[:-1], "utf-8"), "a ü b�")
        self.assertTrue(decode(("日本語" * 10).encode("cp932")[:-1], "shift_jis").startswith("日本語日本語"))

    def test_no_nul_no_surrogate_no_byte_order_mark(self) -> None:
        self.assertEqual(decode(b"a\x00b"), "ab")
        self.assertEqual(decode(b"+2AA-x", "utf-7"), "�x")
        self.assertEqual(decode("\ufeffx".encode(), "utf-8"), "x")
        self.assertEqual(decode("\ufffe\uffff".encode(), "utf-8"), "\ufffd\ufffd")

    @given(st.binary(max_size=80), st.sampled_from(sorted(charset._CODECS)) | st.text(max_size=10))
    @settings(max_examples=100, deadline=None)
    def test_any_bytes_in_any_charset_give_clean_text(self, data: bytes, label: str) -> None:
        text = decode(data, label)
        text.encode("utf-8")
        self.assertFalse(set(text) & set("\x00\ufffe\uffff"))
