"""Cuts never fall inside a character."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.truncate import truncate_bytes, truncate_mime


class TruncateTests(SynchronousTestCase):
    def test_short_text_stays(self) -> None:
        self.assertEqual(truncate_bytes("äb".encode(), 3), ("äb".encode(), False))

    def test_a_character_that_does_not_fit_goes(self) -> None:
        self.assertEqual(truncate_bytes("aä".encode(), 2), (b"a", True))
        self.assertEqual(truncate_bytes("a😀".encode(), 4), (b"a", True))

    def test_bytes_that_are_no_text_are_cut_where_asked(self) -> None:
        self.assertEqual(truncate_bytes(b"\x80" * 10, 5), (b"\x80" * 5, True))

    def test_a_message_is_not_cut_inside_a_line_break(self) -> None:
        self.assertEqual(truncate_mime(b"a\r\nb", 2), (b"a", True))

    @given(st.text(max_size=60), st.integers(0, 100))
    @settings(max_examples=100, deadline=None)
    def test_the_result_is_the_longest_prefix_that_fits(self, text: str, limit: int) -> None:
        data, truncated = truncate_bytes(text.encode(), limit)
        self.assertTrue(len(data) <= limit)
        cut = data.decode()  # fails inside a character
        self.assertTrue(text.startswith(cut))
        self.assertEqual(truncated, cut != text)
        if truncated:
            self.assertTrue(len(text[: len(cut) + 1].encode()) > limit)
