"""Thread keys and conversation indexes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.summary import Summary
from posthouse.mime.threads import (
    child_index,
    conversation_index,
    identifier_key,
    thread_keys,
)


class KeyTests(SynchronousTestCase):
    def test_own_key_first_then_the_thread_without_repetition(self) -> None:
        keys = thread_keys(Summary(message_id="c@x", in_reply_to="b@x", references=("a@x", "b@x")))
        self.assertEqual(keys, [identifier_key(name) for name in ("c@x", "a@x", "b@x")])
        self.assertEqual({len(key) for key in keys}, {16})

    def test_a_message_without_identifiers_has_no_keys(self) -> None:
        self.assertEqual(thread_keys(Summary()), [])

    def test_brackets_do_not_matter(self) -> None:
        self.assertEqual(identifier_key("<a@x>"), identifier_key("a@x"))


class IndexTests(SynchronousTestCase):
    def test_header_of_an_index(self) -> None:
        name = identifier_key("a@x")
        index = conversation_index(1_600_000_000_000, name)
        self.assertEqual((len(index), index[6:]), (22, name))
        # 2020-09-13T12:26:40Z is FILETIME 0x01D689C84A0E4000: the top six bytes, of which 0x01 is the first.
        filetime = 1_600_000_000_000 * 10_000 + 116_444_736_000_000_000
        self.assertEqual(index[:6], filetime.to_bytes(8, "big")[:6])

    def test_each_reply_adds_five_bytes(self) -> None:
        index = conversation_index(1_600_000_000_000, bytes(16))
        reply = child_index(index, 1_600_000_060_000)
        self.assertEqual((len(reply), reply[:22]), (27, index))
        # A minute is 600,000,000 units of 100 ns; bits 18 to 48 of the difference are kept.
        delta = int.from_bytes(reply[22:], "big") >> 8
        self.assertTrue(abs((delta << 18) - 600_000_000) < 1 << 19)

    def test_a_long_pause_is_told_by_the_first_bit(self) -> None:
        index = conversation_index(0, bytes(16))
        self.assertEqual(child_index(index, 10 * 365 * 86_400_000)[22] >> 7, 1)

    def test_a_broken_parent_is_left_alone(self) -> None:
        self.assertEqual(child_index(b"short", 0), b"short")
        self.assertEqual(len(child_index(bytes(22 + 5 * 200), 0)), 22 + 5 * 200)
