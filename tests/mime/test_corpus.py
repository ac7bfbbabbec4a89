"""Every ugly mail of the corpus goes through every function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime import addresses, bodies, dates, headers, html, threads
from posthouse.mime.compose import edit_headers
from posthouse.mime.scan import Scanner, dump_structure, load_structure, scan
from posthouse.mime.summary import index_text, summarise
from tests.support.shared import shared_path


def corpus() -> list[Path]:
    return sorted(
        path for path in shared_path("corpus", "mail").rglob("*") if path.is_file() and path.name != "LICENSE"
    )


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda start, stop: data[start:stop]


class CorpusTests(SynchronousTestCase):
    def test_block_splits_give_equal_trees(self) -> None:
        for path in corpus():
            data = path.read_bytes()
            whole = scan(data)
            for size in (1, 2, 3, 7, 64, 1000):
                scanner = Scanner()
                for position in range(0, len(data), size):
                    scanner.feed(data[position : position + size])
                self.assertEqual(scanner.close(), whole, (path.name, size))
            self.assertEqual(load_structure(dump_structure(whole)), whole)

    def test_all_functions_survive_all_files(self) -> None:
        files = corpus()
        self.assertTrue(len(files) > 50)
        for path in files:
            data = path.read_bytes()
            root = scan(data)
            head = data[root.header_start : root.body_start]
            for name, value in headers.parse_headers(head):
                headers.decode_header(value).encode("utf-8")
                headers.parse_params(value.decode("latin-1"))
                if name in ("from", "to", "cc", "reply-to", "sender"):
                    addresses.parse_mailboxes(value)
                if name == "date":
                    dates.parse_date(value)
            made = summarise(root, head, reader(data))
            threads.thread_keys(made)
            index_text(root, reader(data)).encode("utf-8")
            bodies.attachments(root, "")
            for part in root.walk():
                raw = data[part.body_start : part.body_end]
                whole = bodies.decode_part(part, raw)
                pieces = bodies.decode_iter(part, reader(data), 100)
                if part.cte == "base64":
                    self.assertEqual(b"".join(pieces), whole, (path.name, part.path))
                text = bodies.text_of(part, raw)
                html.text_from_html(text)
                html.html_from_text(text)
            self.assertEqual(edit_headers(data)[: root.body_start], head)

    def test_golden_subjects_and_names(self) -> None:
        for name, subject, attachment in (
            (
                "attachment_emails/attachment_pdf.eml",
                "Another PDF with 🎉 Unicode chars in it 🍿",
                "broken.pdf",
            ),
            ("attachment_emails/attachment_nonascii_filename.eml", "testing", "ciële.txt"),
            (
                "attachment_emails/attachment_with_quoted_filename.eml",
                "Eelanalüüsi päring",
                "Eelanalüüsi päring.jpg",
            ),
            ("multi_charset/japanese_attachment.eml", "testing", "てすと.txt"),
            (
                "multipart_report_emails/multi_address_bounce1.eml",
                "Undelivered Mail Returned to Sender",
                "Test of bounce email.eml",
            ),
        ):
            data = shared_path("corpus", "mail", *name.split("/")).read_bytes()
            root = scan(data)
            made = summarise(root, data[: root.body_start], reader(data))
            self.assertEqual((made.subject, made.attachments[-1].name), (subject, attachment))

    def test_golden_previews(self) -> None:
        for name, preview in (
            ("multi_charset/japanese_iso_2022.eml", "すみません。"),
            ("multi_charset/ks_c_5601-1987.eml", "스티해"),
            (
                "multi_charset/japanese_shift_jis.eml",
                "あいうえお このメールはテスト用のメールです。 今後ともよろしくお願い申し上げます！",
            ),
            ("plain_emails/raw_email_simple.eml", "Hello Mikel"),
        ):
            data = shared_path("corpus", "mail", *name.split("/")).read_bytes()
            root = scan(data)
            made = summarise(root, data[: root.body_start], reader(data))
            self.assertEqual(made.preview, preview)
