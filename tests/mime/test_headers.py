"""Header values: encoded words, parameters, raw 8-bit, and hostile input."""

from __future__ import annotations

import base64
from email.header import Header

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.headers import decode_base64, decode_header, parse_headers, parse_params, values_of


class FieldTests(SynchronousTestCase):
    def test_fields_come_in_order_unfolded_and_in_lower_case(self) -> None:
        block = b"Subject: a\r\n  b\r\nFROM : c\r\nX-Empty:\r\nSubject: d\r\n\r\n"
        self.assertEqual(
            parse_headers(block), [("subject", b"a  b"), ("from", b"c"), ("x-empty", b""), ("subject", b"d")]
        )

    def test_lines_that_are_no_fields_are_left_out(self) -> None:
        block = b"From me Mon Jan 1 10:00\r\nquite Delivered: x\r\nnonsense\r\nTo: x\r\n"
        self.assertEqual(parse_headers(block), [("to", b"x")])

    def test_at_most_a_thousand_fields(self) -> None:
        self.assertEqual(len(parse_headers(b"X: y\r\n" * 10_000)), 1000)


class ValuesTests(SynchronousTestCase):
    def test_a_name_that_is_folded_before_its_colon_is_seen(self) -> None:
        """Else a reader is shown an author whom nobody has verified."""
        for block in (b"From\r\n : a@b\r\n", b"X: y\nFROM \n\t\r\n :a@b", b"From\t:a@b\n"):
            self.assertEqual(values_of(block, b"from"), [b"a@b"])
            self.assertEqual([value for name, value in parse_headers(block) if name == "from"], [b"a@b"])

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.sampled_from([b"From", b"from:", b"FROM :", b"Fromage:", b"X-From:", b" x", b"\t", b"a@b"])
            | st.sampled_from([b"\r\n", b"\n", b"\r\n ", b"\n\t", b":", b"\r"]),
            max_size=25,
        ).map(b"".join)
    )
    def test_the_same_as_parsing_everything(self, block: bytes) -> None:
        assume(b"\n\r\n" not in block and b"\n\n" not in block)  # an empty line ends a header
        expected = [value for name, value in parse_headers(block) if name == "from"]
        self.assertEqual(values_of(block, b"from"), expected)


class WordTests(SynchronousTestCase):
    def check(self, raw: bytes, text: str) -> None:
        self.assertEqual(decode_header(raw), text)

    def test_neighbouring_words_join_without_the_space(self) -> None:
        self.check(b"=?utf-8?q?a?= =?utf-8?b?Yg==?=\r\n =?iso-8859-1?q?=FC?= c", "abü c")

    def test_words_without_space_between(self) -> None:
        self.check(b"=?utf-8?q?a?==?utf-8?q?b?=", "ab")

    def test_a_character_split_over_two_words(self) -> None:
        raw = "ü".encode()
        first, second = base64.b64encode(b"x" + raw[:1]), base64.b64encode(raw[1:] + b"y")
        self.check(b"=?utf-8?B?" + first + b"?= =?utf-8?b?" + second + b"?=", "xüy")

    def test_underscore_is_a_space_and_stays_when_encoded(self) -> None:
        self.check(b"=?utf-8?Q?a_b=5Fc?=", "a b_c")

    def test_white_space_inside_a_word_is_tolerated(self) -> None:
        self.check(b"=?utf-8?Q?a b c?= d", "a b c d")

    def test_a_language_tag_is_ignored(self) -> None:
        self.check(b"=?utf-8*de?q?a?=", "a")

    def test_broken_base64_gives_what_is_readable(self) -> None:
        self.check(b"=?utf-8?b?YWJj!ZGVm?=", "abcdef")
        self.check(b"=?utf-8?b?YWJ?=", "ab")
        self.check(b"=?utf-8?b?Y?=", "")

    def test_unknown_charsets_fall_back(self) -> None:
        self.check(b"=?nonsense?q?=C3=BC?=", "ü")
        self.check(b"=?zlib_codec?q?=FC?=", "ü")

    def test_words_that_never_end_stay_as_they_are(self) -> None:
        self.check(b"=?utf-8?q?abc", "=?utf-8?q?abc")

    def test_iso_2022_jp(self) -> None:
        text = "まみむめも"
        self.check(b"=?ISO-2022-JP?B?" + base64.b64encode(text.encode("iso2022_jp")) + b"?=", text)

    def test_raw_eight_bit_is_utf8_or_windows_1252(self) -> None:
        self.check("Grüße".encode(), "Grüße")
        self.check("Grüße “x”".encode("cp1252"), "Grüße “x”")

    def test_the_result_is_one_clean_line(self) -> None:
        self.check(b"a\x00b\r\n c\td", "ab c d")
        self.check(b"=?utf-8?q?Subject=0D=0ABcc:_x=00?=", "Subject Bcc: x")

    def test_length_is_capped(self) -> None:
        self.assertEqual(len(decode_header(b"x" * 1_000_000)), 10_000)

    def test_a_hundred_thousand_word_beginnings(self) -> None:
        self.assertEqual(len(decode_header(b"=?a?q?" * 100_000)), 10_000)
        self.assertEqual(len(decode_header(b"=?" * 100_000 + b"?=")), 10_000)

    @given(
        st.binary(max_size=200)
        | st.text(max_size=80).map(lambda text: f"=?utf-8?q?{text}?=".encode("utf-8", "replace"))
    )
    @settings(max_examples=100, deadline=None)
    def test_any_bytes_give_a_clean_line(self, raw: bytes) -> None:
        text = decode_header(raw)
        text.encode("utf-8")
        self.assertFalse(set(text) & set("\r\n\x00\t"))

    @given(
        st.text(
            st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "),
            min_size=1,
            max_size=120,
        )
    )
    @settings(max_examples=80, deadline=None)
    def test_what_the_standard_library_encodes_comes_back(self, text: str) -> None:
        text = " ".join(text.split())
        raw = Header(text, "utf-8").encode().encode("ascii")
        self.assertEqual(decode_header(raw), text)


class ParameterTests(SynchronousTestCase):
    def params(self, value: str) -> dict[str, str]:
        return parse_params(value)[1]

    def test_quoted_and_bare_values(self) -> None:
        self.assertEqual(
            parse_params('Text/Plain; Charset=utf-8; name="a;\\"b\\".txt" ; x = y z '),
            ("text/plain", {"charset": "utf-8", "name": 'a;"b".txt', "x": "y z"}),
        )

    def test_continuations_in_any_order_with_charset(self) -> None:
        value = "a/b; name*1*=%C3%BCn; name*0*=utf-8'de'gr%C3%BC; name*2=\" .txt\""
        self.assertEqual(self.params(value), {"name": "grüün .txt"})

    def test_a_character_split_over_segments(self) -> None:
        self.assertEqual(self.params("a/b; name*0*=utf-8''%C3; name*1*=%BC"), {"name": "ü"})

    def test_single_extended_value(self) -> None:
        self.assertEqual(self.params("a/b; name*=iso-8859-1''%FC; name=x"), {"name": "ü"})

    def test_encoded_words_in_values(self) -> None:
        self.assertEqual(self.params('a/b; name="=?utf-8?q?=C3=BC?="'), {"name": "ü"})

    def test_a_missing_segment_ends_the_value(self) -> None:
        self.assertEqual(self.params("a/b; name*0=a; name*2=c"), {"name": "a"})

    def test_five_thousand_segments_are_bounded(self) -> None:
        value = "a/b" + "".join(f"; name*{n}=x" for n in range(5000))
        self.assertEqual(self.params(value), {"name": "x" * 100})

    def test_a_boundary_is_never_decoded(self) -> None:
        self.assertEqual(self.params('a/b; boundary="=?utf-8?q?x?="'), {"boundary": "=?utf-8?q?x?="})

    def test_unclosed_quotes_are_survived(self) -> None:
        self.assertEqual(self.params('a/b; name="abc'), {"name": '"abc'})
        parse_params('a/b; x="' + '\\"' * 30_000)
        parse_params("a/b" + ';x="' * 15_000)

    @given(st.text(st.characters(max_codepoint=255), max_size=150))
    @settings(max_examples=100, deadline=None)
    def test_any_value_is_survived(self, text: str) -> None:
        for value in parse_params("a/b;" + text)[1].values():
            value.encode("utf-8")


class Base64Tests(SynchronousTestCase):
    def test_padding_at_odd_places(self) -> None:
        for data, decoded in (
            (b"=A", b""),
            (b"A=A=", b""),
            (b"QUI=Q", b"AB"),
            (b"QUI=QQ", b"ABA"),
            (b"YQ==--", b"a"),
        ):
            self.assertEqual(decode_base64(data), decoded)

    @given(st.text("AQ=- \n", max_size=12))
    @settings(max_examples=100, deadline=None)
    def test_any_padding_is_survived(self, text: str) -> None:
        self.assertIsInstance(decode_base64(text.encode()), bytes)

    @given(st.binary(max_size=100), st.binary(max_size=100))
    @settings(max_examples=50, deadline=None)
    def test_two_padded_runs_are_both_read(self, one: bytes, two: bytes) -> None:
        encoded = base64.encodebytes(one) + base64.encodebytes(two)
        self.assertEqual(decode_base64(encoded), one + two)

    @given(st.binary(max_size=100))
    @settings(max_examples=50, deadline=None)
    def test_any_bytes_are_survived(self, data: bytes) -> None:
        self.assertIsInstance(decode_base64(data), bytes)
