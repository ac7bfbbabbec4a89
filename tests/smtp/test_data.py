from __future__ import annotations

import time

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.smtp.data import Chunk, DataIn, DataOut, flaw

STUFFED = b"Subject: x\r\n\r\n..one\r\ntwo.\r\n...\r\n\r\n..\r\n.x\r\n.\r\nQUIT\r\n"
CLEAN = b"Subject: x\r\n\r\n.one\r\ntwo.\r\n..\r\n\r\n.\r\nx\r\n"

# Every form in which an end of data has been forged (smuggling), as it stands between two lines.
FORGED = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CRLF.CR": b"\r\n.\r",
    "CRLF NUL.CRLF": b"\r\n\0.\r\n",
    # In what was taken for clean once: as many CR as LF, in turn, and no pair among them.
    "CR.LF": b"\r.\n",
    "CR.LF CR.LF": b"\r.\n\r.\n",
    "LF.CR": b"\n.\r",
}


def read_in(blocks: list[bytes]) -> tuple[bytes, bytes | None, str]:
    """(message, rest, flaw)"""
    reader = DataIn()
    message = b""
    for index, block in enumerate(blocks):
        message += reader.feed(block)
        if reader.flaw:
            return message, None, reader.flaw
        if reader.rest is not None:
            return message, reader.rest + b"".join(blocks[index + 1 :]), ""
    return message, None, ""


def stuffed(message: bytes) -> bytes:
    """The plain way to do it, line by line."""
    lines = message.split(b"\r\n")
    body = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
    return body + (b"" if message.endswith(b"\r\n") or not message else b"\r\n") + b".\r\n"


class FlawTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.sampled_from([b".", b"a", b"\r", b"\n", b"\r\n", b"\0"]), max_size=12))
    @example([b"\r", b"a", b"\n"])
    def test_only_pairs_are_clean(self, pieces: list[bytes]) -> None:
        block = b"".join(pieces)
        rest = block.replace(b"\r\n", b"")
        self.assertEqual(flaw(block) == "", not any(byte in rest for byte in b"\r\n\0"), block)


class DataInTests(SynchronousTestCase):
    def test_every_split_in_three(self) -> None:
        for first in range(len(STUFFED) + 1):
            for second in range(first, len(STUFFED) + 1):
                blocks = [STUFFED[:first], STUFFED[first:second], STUFFED[second:]]
                self.assertEqual(read_in(blocks), (CLEAN, b"QUIT\r\n", ""), (first, second))

    def test_an_empty_message(self) -> None:
        self.assertEqual(read_in([b".\r\nNOOP\r\n"]), (b"", b"NOOP\r\n", ""))
        self.assertEqual(read_in([b".", b"\r", b"\n"]), (b"", b"", ""))

    def test_a_dot_at_the_very_start(self) -> None:
        self.assertEqual(read_in([b"..a\r\n.\r\n"]), (b".a\r\n", b"", ""))

    def test_forged_ends_are_named_at_every_split(self) -> None:
        for name, end in FORGED.items():
            data = b"a" + end + b"MAIL FROM:<x@y>\r\n.\r\n"
            for cut in range(len(data) + 1):
                _, rest, flaw = read_in([data[:cut], data[cut:]])
                self.assertIn(flaw, ("bare LF", "bare CR", "NUL"), (name, cut))
                self.assertIsNone(rest)

    def test_flaws_behind_the_end_belong_to_somebody_else(self) -> None:
        self.assertEqual(read_in([b"a\r\n.\r\nNOOP\n"]), (b"a\r\n", b"NOOP\n", ""))

    def test_what_is_held_back_is_bounded(self) -> None:
        reader = DataIn()
        given_back = sum(len(reader.feed(b"a\r\n.b")) for _ in range(1000))
        self.assertEqual(given_back, 4000)
        self.assertLess(len(reader._held), 5)

    def test_a_megabyte_takes_milliseconds(self) -> None:
        block = (b"x" * 76 + b"\r\n") * 840  # 64 KB
        reader = DataIn()
        started = time.perf_counter()
        for _ in range(16):
            reader.feed(block)
        self.assertLess(time.perf_counter() - started, 0.2)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b".\r\n", b"b.c"]), max_size=30), st.data())
    def test_what_goes_out_comes_in(self, pieces: list[bytes], data: st.DataObject) -> None:
        message = b"".join(pieces)
        message += b"" if message.endswith(b"\r\n") or not message else b"\r\n"
        wire = stuffed(message)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))
        blocks = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
        self.assertEqual(read_in(blocks), (message, b"", ""))


class ChunkTests(SynchronousTestCase):
    def test_counts_and_leaves_the_rest(self) -> None:
        chunk = Chunk(5, True)
        self.assertEqual(chunk.feed(b"ab"), (b"ab", b""))
        self.assertEqual(chunk.feed(b"cdeQUIT"), (b"cde", b"QUIT"))
        self.assertEqual(chunk.left, 0)

    def test_dots_are_left_alone(self) -> None:
        self.assertEqual(Chunk(7, True).feed(b"\r\n.\r\n.x"), (b"\r\n.\r\n.x", b"")[:2])

    def test_a_line_end_across_two_chunks(self) -> None:
        first = Chunk(2, False)
        self.assertEqual(first.feed(b"a\r"), (b"a", b""))
        second = Chunk(1, True, first.held)
        self.assertEqual(second.feed(b"\n"), (b"\r\n", b""))
        self.assertEqual((first.flaw, second.flaw), ("", ""))

    def test_flaws(self) -> None:
        for block, name in (
            (b"a\nb", "bare LF"),
            (b"a\rb", "bare CR"),
            (b"a\0b", "NUL"),
            (b"ab\r", "bare CR"),
        ):
            chunk = Chunk(3, True)
            chunk.feed(block)
            self.assertEqual(chunk.flaw, name)


class DataOutTests(SynchronousTestCase):
    def send(self, blocks: list[bytes]) -> bytes:
        out = DataOut()
        return b"".join([out.feed(block) for block in blocks]) + out.end()

    def test_smuggle_out_every_split(self) -> None:
        message = b".first\r\nx\r\n.\r\n..\r\n\r\n.end"
        for first in range(len(message) + 1):
            for second in range(first, len(message) + 1):
                blocks = [message[:first], message[first:second], message[second:]]
                self.assertEqual(self.send(blocks), stuffed(message), (first, second))

    def test_an_empty_message(self) -> None:
        self.assertEqual(self.send([]), b".\r\n")
        self.assertEqual(self.send([b""]), b".\r\n")

    def test_bare_line_ends_never_leave_at_any_split(self) -> None:
        for name, end in FORGED.items():
            message = b"a" + end + b"evil\r\n"
            whole = self.send([message])
            for cut in range(len(message) + 1):
                wire = self.send([message[:cut], message[cut:]])
                self.assertEqual(wire, whole, (name, cut))
                pairs = wire.count(b"\r\n")
                self.assertEqual((wire.count(b"\r"), wire.count(b"\n")), (pairs, pairs), name)
                self.assertEqual(wire.find(b"\r\n.\r\n"), len(wire) - 5, name)

    def test_a_nul_never_leaves_and_hides_no_dot_at_any_split(self) -> None:
        body = b"a\0b\r\0\n.\r\n\0.\0\r\n.c"
        for at in range(len(body) + 1):
            out = DataOut()
            sent = out.feed(body[:at]) + out.feed(body[at:]) + out.end()
            self.assertEqual(sent, b"ab\r\n..\r\n..\r\n..c\r\n.\r\n")

    def test_a_cr_at_the_very_end(self) -> None:
        self.assertEqual(self.send([b"a\r"]), b"a\r\n.\r\n")

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.sampled_from([b".", b"a", b"\r", b"\n", b"\r\n", b"\n.\n", b"\0"]), max_size=25),
        st.data(),
    )
    def test_one_end_and_no_other(self, pieces: list[bytes], data: st.DataObject) -> None:
        message = b"".join(pieces)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=4)))
        blocks = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
        wire = b"\r\n" + self.send(blocks)
        self.assertEqual(wire.find(b"\r\n.\r\n"), len(wire) - 5)
        self.assertEqual(wire, b"\r\n" + self.send([message]))
