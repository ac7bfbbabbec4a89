"""Structure from bytes: offsets, limits, any split, and agreement with the standard library."""

from __future__ import annotations

import email
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.fields import safe_name
from posthouse.mime.scan import Limits, Part, Scanner, dump_structure, load_structure, scan

NESTED = (
    b"From: a@example.org\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\npreamble\r\n--outer\r\n"
    b'Content-Type: multipart/alternative;\r\n boundary="in ner"\r\n\r\n--in ner\r\n\r\nplain\r\n'
    b"--in ner\r\nContent-Type: text/HTML; charset=UTF-8\r\n"
    b"Content-Transfer-Encoding: Quoted-Printable\r\n\r\n"
    b"<p>rich</p>\r\n\r\n--in ner--\r\nepilogue\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=third\r\n\r\n"
    b"--third\r\n\r\none\r\n--third\r\nContent-ID: <x@y>\r\n"
    b"Content-Disposition: attachment; filename=two.bin\r\n\r\ntwo\r\n--third--\r\n\r\n--outer--\r\nend\r\n"
)


def outline(part: Part) -> list[tuple[str, str]]:
    return [(each.path, each.content_type) for each in part.walk()]


def content(data: bytes, part: Part) -> bytes:
    return data[part.body_start : part.body_end]


def in_blocks(data: bytes, size: int, limits: Limits | None = None) -> Part:
    scanner = Scanner(limits or Limits())
    for position in range(0, len(data), size):
        scanner.feed(data[position : position + size])
    return scanner.close()


class StructureTests(SynchronousTestCase):
    def test_nested_parts_have_imap_numbers_and_exact_offsets(self) -> None:
        root = scan(NESTED)
        self.assertEqual(
            outline(root),
            [
                ("", "multipart/mixed"),
                ("1", "multipart/alternative"),
                ("1.1", "text/plain"),
                ("1.2", "text/html"),
                ("2", "message/rfc822"),
                ("2.0", "multipart/mixed"),
                ("2.1", "text/plain"),
                ("2.2", "text/plain"),
            ],
        )
        bodies = {part.path: content(NESTED, part) for part in root.walk() if not part.children}
        self.assertEqual(bodies, {"1.1": b"plain", "1.2": b"<p>rich</p>\r\n", "2.1": b"one", "2.2": b"two"})

    def test_fields_of_a_part_are_read(self) -> None:
        root = scan(NESTED)
        rich = root.find("1.2")
        assert rich is not None
        self.assertEqual((rich.charset, rich.cte), ("UTF-8", "quoted-printable"))
        two = root.find("2.2")
        assert two is not None
        self.assertEqual((two.disposition, two.filename, two.content_id), ("attachment", "two.bin", "x@y"))

    def test_the_subject_of_an_embedded_message_is_kept(self) -> None:
        inner = scan(NESTED).find("2.0")
        assert inner is not None
        self.assertEqual(inner.title, "Grüße")

    def test_header_block_of_the_root_by_offsets(self) -> None:
        root = scan(NESTED)
        self.assertTrue(NESTED[root.header_start : root.body_start].endswith(b"boundary=outer\r\n\r\n"))

    def test_a_plain_message_is_part_one(self) -> None:
        data = b"Subject: x\r\n\r\nhello\r\n"
        root = scan(data)
        self.assertEqual(
            (root.path, root.content_type, content(data, root)), ("1", "text/plain", b"hello\r\n")
        )

    def test_line_feeds_alone_give_the_same_tree(self) -> None:
        root = scan(NESTED.replace(b"\r\n", b"\n"))
        self.assertEqual(outline(root), outline(scan(NESTED)))

    def test_carriage_returns_alone_are_survived(self) -> None:
        data = NESTED.replace(b"\r\n", b"\r")
        root = scan(data)
        self.assertEqual((root.header_start, root.body_end), (0, len(data)))

    def test_an_empty_message_is_an_empty_part(self) -> None:
        root = scan(b"")
        self.assertEqual((root.header_start, root.body_start, root.body_end), (0, 0, 0))

    def test_a_message_without_header_is_all_body(self) -> None:
        self.assertEqual(scan(b"just some words\r\n\r\nmore").body_start, 0)

    def test_an_mbox_line_before_the_header_is_skipped(self) -> None:
        root = scan(b"From me Mon Jan 1\r\nContent-Type: text/html\r\n\r\nx")
        self.assertEqual(root.content_type, "text/html")

    def test_a_boundary_must_match_the_whole_line(self) -> None:
        data = b"Content-Type: multipart/mixed; boundary=ab\r\n\r\n"
        data += b"--ab \t\r\n\r\none\r\n--abc\r\ntwo\r\n--ab--\r\n"
        root = scan(data)
        self.assertEqual([content(data, part) for part in root.children], [b"one\r\n--abc\r\ntwo"])

    def test_a_boundary_that_ends_in_dashes(self) -> None:
        data = b"Content-Type: multipart/mixed; boundary=ab--\r\n\r\n"
        data += b"--ab--\r\n\r\none\r\n--ab--\r\n\r\ntwo\r\n--ab----\r\n"
        self.assertEqual([content(data, part) for part in scan(data).children], [b"one", b"two"])

    def test_the_outer_boundary_ends_inner_parts_that_were_never_closed(self) -> None:
        data = NESTED.replace(b"--in ner--\r\n", b"").replace(b"--third--\r\n", b"")
        self.assertEqual(outline(scan(data)), outline(scan(NESTED)))

    def test_an_inner_multipart_with_the_same_boundary_terminates(self) -> None:
        part = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        self.assertEqual(len(list(scan(part * 50 + b"\r\nx\r\n--b--\r\n").walk())), 51)

    def test_a_part_without_blank_line(self) -> None:
        data = (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n--b\r\n"
            b"no header here\r\n--b\r\n--b\r\n\r\nlast\r\n--b--\r\n"
        )
        root = scan(data)
        self.assertEqual(
            [(part.content_type, content(data, part)) for part in root.children],
            [
                ("image/png", b""),
                ("text/plain", b"no header here"),
                ("text/plain", b""),
                ("text/plain", b"last"),
            ],
        )

    def test_parts_of_a_digest_are_messages(self) -> None:
        data = (
            b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: s\r\n\r\nx\r\n--b--\r\n"
        )
        self.assertEqual(outline(scan(data))[1:], [("1", "message/rfc822"), ("1.1", "text/plain")])

    def test_an_encoded_message_is_not_looked_into(self) -> None:
        root = scan(
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==\r\n"
        )
        self.assertEqual(root.children, ())

    def test_odd_content_types_are_text(self) -> None:
        for value in (b"text", b"", b";;;", b"a/b/c", "tëxt/plain".encode()):
            self.assertEqual(scan(b"Content-Type: " + value + b"\r\n\r\nx").content_type, "text/plain")

    def test_type_before_a_comment_or_a_forgotten_semicolon(self) -> None:
        self.assertEqual(scan(b"Content-Type: Text/HTML (rich)\r\n\r\n").content_type, "text/html")
        self.assertEqual(scan(b"Content-Type: text/html charset=x\r\n\r\n").content_type, "text/html")

    def test_the_first_of_repeated_fields_wins(self) -> None:
        self.assertEqual(scan(b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n").content_type, "a/b")

    def test_misspelt_transfer_encodings(self) -> None:
        for value, meant in (
            (b"8bits", "8bit"),
            (b"7-bit", "7bit"),
            (b"quoted printable", "quoted-printable"),
            (b"BASE64;", "base64"),
            (b"", "7bit"),
        ):
            self.assertEqual(scan(b"Content-Transfer-Encoding: " + value + b"\r\n\r\n").cte, meant)

    def test_file_names_are_no_paths(self) -> None:
        for name, safe in (
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\x\\y.txt", "C:_x_y.txt"),
            ("a\x00b\x1f.txt", "a_b_.txt"),
            ("\u202etxt.exe", "_txt.exe"),
            ("..", ""),
            ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
        ):
            self.assertEqual(safe_name(name), safe)


class SerialisationTests(SynchronousTestCase):
    def test_a_tree_comes_back_equal(self) -> None:
        root = scan(NESTED)
        self.assertEqual(load_structure(dump_structure(root)), root)

    def test_a_plain_part_is_small(self) -> None:
        self.assertEqual(dump_structure(scan(b"A: b\r\n\r\nx")), b'["1",0,8,9,"text/plain",{},"7bit"]')


class LimitTests(SynchronousTestCase):
    def test_more_than_a_megabyte_of_header_is_body(self) -> None:
        data = b"X: y\r\n" * 200_000 + b"\r\nbody"
        root = scan(data)
        self.assertTrue(root.body_start <= 1 << 20)
        self.assertEqual(root.body_end, len(data))
        self.assertEqual(in_blocks(data, 65536), root)

    def test_a_header_line_without_end_is_cut(self) -> None:
        root = scan(b"X: " + b"y" * 3_000_000)
        self.assertEqual(root.body_start, 1 << 20)

    def test_fields_after_the_thousandth_are_not_read(self) -> None:
        many = b"X: y\r\n" * 10_000
        self.assertEqual(scan(many + b"Content-Type: text/html\r\n\r\nx").content_type, "text/plain")
        self.assertEqual(scan(b"Content-Type: text/html\r\n" + many + b"\r\nx").content_type, "text/html")

    def test_nesting_stops_at_a_hundred(self) -> None:
        data = b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000)
        )
        parts = list(scan(data + b"\r\nx").walk())
        self.assertEqual(len(parts), 100)
        self.assertEqual((parts[-1].content_type, parts[-1].children), ("multipart/mixed", ()))
        self.assertEqual(parts[-1].body_end, len(data) + 3)

    def test_messages_in_messages_stop_at_a_hundred(self) -> None:
        parts = list(scan(b"Content-Type: message/rfc822\r\n\r\n" * 1000).walk())
        self.assertEqual(len(parts), 100)

    def test_after_a_thousand_parts_the_rest_is_one_opaque_part(self) -> None:
        data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000
        root = scan(data)
        self.assertEqual(len(root.children), 1000)
        last = root.children[-1]
        self.assertEqual((last.content_type, last.body_end), ("application/octet-stream", len(data)))
        self.assertEqual(in_blocks(data, 4096), root)

    def test_too_long_a_boundary_makes_an_opaque_part(self) -> None:
        b = b"b" * 2049
        root = scan(b"Content-Type: multipart/mixed; boundary=" + b + b"\r\n\r\n--" + b + b"\r\n\r\nx")
        self.assertEqual(root.children, ())

    def test_false_boundaries_are_bounded(self) -> None:
        head = (
            b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
        )
        data = head + b"--\r\n" * 1000 + b"--b\r\n\r\nlast"
        self.assertEqual(len(list(scan(data).walk())), 4)
        limits = Limits(false_boundaries=100)
        root = scan(data, limits)
        self.assertEqual(len(list(root.walk())), 3)
        for size in (1, 7, 1000):
            self.assertEqual(in_blocks(data, size, limits), root)


PIECES = st.sampled_from(
    [
        b"--a\r\n", b"--b\r\n", b"--a--\r\n", b"--b--\r\n", b"\r\n", b"\n", b"\r", b"-", b"--", b"text\r\n",
        b"--a",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b"Content-Type: multipart/mixed;\r\n boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: multipart/digest; boundary=a\n", b"X: y\r\n",
        b"Content-Disposition: attachment; filename*0*=utf-8''%C3%A4; filename*1=b\r\n", b"\x00\xff",
        b"--ab\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
    ]
)  # fmt: skip
MESSAGES = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=300)
SMALL = Limits(header_bytes=60, header_fields=3, depth=3, parts=5, boundary=4, false_boundaries=4)


class PropertyTests(SynchronousTestCase):
    @given(MESSAGES, st.lists(st.integers(0, 600), max_size=12), st.sampled_from([Limits(), SMALL]))
    @settings(max_examples=100, deadline=None)
    def test_any_split_gives_the_same_tree(self, data: bytes, cuts: list[int], limits: Limits) -> None:
        scanner = Scanner(limits)
        position = 0
        for cut in sorted(cuts):
            scanner.feed(data[position:cut])
            position = max(position, cut)
        scanner.feed(data[position:])
        self.assertEqual(scanner.close(), scan(data, limits))

    @given(MESSAGES, st.sampled_from([Limits(), SMALL]))
    @settings(max_examples=100, deadline=None)
    def test_byte_by_byte_gives_the_same_tree(self, data: bytes, limits: Limits) -> None:
        self.assertEqual(in_blocks(data, 1, limits), scan(data, limits))

    @given(MESSAGES)
    @settings(max_examples=100, deadline=None)
    def test_parts_lie_inside_their_parents_in_order(self, data: bytes) -> None:
        root = scan(data)
        self.assertEqual((root.header_start, root.body_end), (0, len(data)))
        paths = [part.path for part in root.walk()]
        self.assertEqual(len(paths), len(set(paths)))
        for part in root.walk():
            self.assertTrue(part.header_start <= part.body_start <= part.body_end)
            position = part.body_start
            for child in part.children:
                self.assertTrue(position <= child.header_start and child.body_end <= part.body_end)
                position = child.body_end
        self.assertEqual(load_structure(dump_structure(root)), root)


TEXTS = st.text(st.sampled_from("ab-. \n="), max_size=60)


def _trees(children: st.SearchStrategy[Message]) -> st.SearchStrategy[Message]:
    def multipart(parts: list[Message]) -> Message:
        made = MIMEMultipart("mixed")
        for part in parts:
            made.attach(part)
        return made

    return st.lists(children, min_size=1, max_size=3).map(multipart) | children.map(MIMEMessage)


def _binary(data: bytes) -> Message:
    made = MIMEBase("application", "pdf", name="x y.pdf")
    made.set_payload(data.hex())
    return made


LEAVES = TEXTS.map(lambda text: MIMEText(text, "plain", "us-ascii")) | st.binary(max_size=30).map(_binary)
TREES = st.recursive(LEAVES, _trees, max_leaves=6)


def _expected(message: Message) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for part in message.walk():
        whole = None if part.is_multipart() else part.get_payload()
        found.append((part.get_content_type(), whole if isinstance(whole, str) else None))
    return found


class DifferentialTests(SynchronousTestCase):
    @given(TREES)
    @settings(max_examples=60, deadline=None)
    def test_well_formed_messages_look_as_to_the_standard_library(self, message: Message) -> None:
        data = message.as_bytes()
        mine = [
            (part.content_type, None if part.children else content(data, part).decode("ascii"))
            for part in scan(data).walk()
        ]
        self.assertEqual(mine, _expected(email.message_from_bytes(data)))
