"""The beginning of a message's text: plain text where there is some, bounded, from any bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.excerpt import excerpt
from posthouse.mime.scan import scan

BOTH = (
    b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    b"--x\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n--x--\r\n"
)


def of(data: bytes, limit: int = 1000) -> str:
    return excerpt(scan(data), lambda start, stop: data[start:stop], limit)


class ExcerptTests(SynchronousTestCase):
    def test_what_a_reader_sees(self) -> None:
        self.assertEqual(of(b"Subject: x\r\n\r\nHello\r\n"), "Hello\n")
        self.assertEqual(of(BOTH).strip(), "plain")
        self.assertEqual(of(BOTH.replace(b"plain\r\n", b"")).strip(), "rich")
        self.assertEqual(of(b"Content-Type: text/html\r\n\r\n<b>Hi</b> <i>you</i>").strip(), "Hi you")
        self.assertEqual(of(b"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n"), "Hello")
        self.assertEqual(of(b"Content-Type: image/png\r\n\r\nxxx"), "")

    def test_it_is_bounded(self) -> None:
        asked: list[int] = []
        data = b"Subject: x\r\n\r\n" + b"word " * 100_000

        def read(start: int, stop: int) -> bytes:
            asked.append(stop - start)
            return data[start:stop]

        self.assertEqual(len(excerpt(scan(data), read, 1000)), 1000)
        self.assertEqual(asked, [4000])

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=300), st.integers(0, 200))
    def test_any_bytes_give_text(self, data: bytes, limit: int) -> None:
        for one in (data, BOTH[:120] + data, b"Content-Type: text/html; charset=x\r\n\r\n" + data):
            self.assertLessEqual(len(of(one, limit)), limit)
