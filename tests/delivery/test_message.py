"""Messages, header edits and drafts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.message import Message, message_of
from posthouse.mime.part import load_structure
from posthouse.mime.scan import scan

MIXED = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nBcc: eve@example.org\r\nSubject: Re: Plan\r\n"
    b"Message-ID: <1@example.org>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\nContent-Type: text/plain\r\n\r\n"
    b"Hello there\r\n--x\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n"
    b"1,2\r\n--x--\r\n"
)


class MessageTests(SynchronousTestCase):
    def test_the_draft_has_what_lists_show(self) -> None:
        draft = message_of(MIXED).draft(5000)
        self.assertEqual(
            (draft.subject, draft.topic, draft.sender_address), ("Re: Plan", "Plan", "ann@example.org")
        )
        self.assertEqual((draft.received, draft.size, draft.sent), (5000, len(MIXED), 1_700_000_000_000))
        self.assertEqual(draft.preview, "Hello there")
        self.assertEqual([one.name for one in draft.attachments], ["a.csv"])
        self.assertEqual(load_structure(draft.structure), scan(MIXED))
        self.assertEqual(len(draft.thread_keys), 1)

    def test_lines_of_the_trace_count_as_header(self) -> None:
        draft = message_of(b"Subject: x\r\n\r\nbody\r\n").draft(
            1, b"From: ann@example.org\r\nMessage-ID: <m@x>\r\n"
        )
        self.assertEqual((draft.sender_address, draft.message_id, draft.size), ("ann@example.org", "m@x", 20))

    def test_another_head_moves_the_structure_along(self) -> None:
        message = message_of(MIXED)
        head = message.head.replace(b"Bcc: eve@example.org\r\n", b"")
        edited = message.with_head(head)
        wanted = MIXED.replace(b"Bcc: eve@example.org\r\n", b"")
        self.assertEqual(edited.data, wanted)
        self.assertEqual(edited.root, scan(wanted))
        self.assertEqual(edited.size, len(wanted))

    @given(
        st.integers(0, 600),
        st.integers(0, 600),
        st.sampled_from([b"X: y\r\n\r\n", b"\r\n", b"X: " + b"z" * 500 + b"\r\n\r\n"]),
    )
    @settings(max_examples=100)
    def test_any_range_of_an_edited_file_reads_right(self, start: int, length: int, head: bytes) -> None:
        whole = message_of(MIXED)
        filed = Message(whole.head, whole.root, whole.size, lambda a, b: MIXED[a:b])
        edited = filed.with_head(head)
        wanted = head + MIXED[len(whole.head) :]
        self.assertIsNone(edited.data)
        self.assertEqual(edited.size, len(wanted))
        self.assertEqual(edited.read(start, start + length), wanted[start : start + length])
