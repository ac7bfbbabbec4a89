"""A draft saved again: what is not mentioned stays byte by byte, and attachments keep track of their names."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.mime.compose import File
from posthouse.mime.revise import Addition, Revision, revise
from tests.mime.test_corpus import corpus
from tests.mime.test_reply import RICH, SEALED, SIGNED, Opened, boundaries

TEXT = b"From: ann@example.org\r\nSubject: one\r\nMessage-ID: <1@x>\r\n\r\nText\r\n"
FILE = File("a.bin", "application/octet-stream", b"\x00\x01")
LOGO = File("l.png", "image/png", b"\x89", content_id="logo")


class ReviseTests(SynchronousTestCase):
    def test_fields_alone(self) -> None:
        made = revise(
            TEXT, Revision((("Subject", "zwei ü"), ("Cc", "c@x.example"), ("X-None", ""))), boundaries()
        )
        self.assertIn(b"Subject: =?utf-8?q?zwei_=C3=BC?=\r\n", made.message)
        self.assertIn(b"Cc: c@x.example\r\n", made.message)
        self.assertNotIn(b"X-None", made.message)
        self.assertEqual(made.message.partition(b"\r\n\r\n")[2], b"Text\r\n")
        self.assertEqual(revise(made.message, Revision((("Cc", ""),)), boundaries()).message.count(b"Cc:"), 0)

    def test_nothing_changes_nothing(self) -> None:
        self.assertEqual(revise(TEXT, Revision(), boundaries()).message, TEXT)

    def test_an_attachment_comes_and_goes(self) -> None:
        made = revise(TEXT, Revision(add=(Addition(FILE),)), boundaries())
        found = Opened(made.message)
        self.assertEqual((found.plain, found.files["a.bin"][2], made.added), ("Text\n", b"\x00\x01", ("2",)))
        self.assertFalse(made.renamed)
        less = revise(made.message, Revision(drop=frozenset(made.added)), boundaries())
        self.assertEqual(Opened(less.message).files, {})
        self.assertIn(b"Message-ID: <1@x>\r\n", less.message)

    def test_those_behind_a_dropped_one_are_renamed(self) -> None:
        files = tuple(Addition(File(f"{n}.txt", "text/plain", b"%d" % n)) for n in range(3))
        made = revise(TEXT, Revision(add=files), boundaries())
        self.assertEqual(made.added, ("2", "3", "4"))
        self.assertTrue(revise(made.message, Revision(drop=frozenset("3")), boundaries()).renamed)
        self.assertFalse(revise(made.message, Revision(drop=frozenset("4")), boundaries()).renamed)

    def test_pictures_stand_with_the_html(self) -> None:
        made = revise(
            b"",
            Revision(html='<p>Hi <img src="cid:logo">', add=(Addition(LOGO, True), Addition(FILE))),
            boundaries(),
        )
        found = Opened(made.message)
        self.assertEqual((found.plain or "").strip(), "Hi")
        self.assertEqual(found.files["l.png"][:2], ("logo", True))
        self.assertEqual(found.files["a.bin"][:2], ("", False))
        self.assertEqual([made.root.find(path).filename for path in made.added], ["l.png", "a.bin"])  # type: ignore[union-attr]

    def test_a_new_text_leaves_the_attachments(self) -> None:
        before = Opened(RICH)
        made = revise(RICH, Revision(html='<p>new</p><img src="cid:a@b">'), boundaries())
        found = Opened(made.message)
        self.assertEqual((found.plain or "").strip(), "new")
        self.assertEqual(
            sorted(one[2] for one in found.files.values()), sorted(one[2] for one in before.files.values())
        )
        plain = Opened(revise(RICH, Revision(text="plain"), boundaries()).message)
        self.assertEqual((plain.plain, plain.html, len(plain.files)), ("plain\n", None, 3))

    def test_what_is_sealed_changes_as_a_whole(self) -> None:
        for sealed in (SIGNED, SEALED):
            self.assertRaises(Malformed, revise, sealed, Revision(add=(Addition(FILE),)), boundaries())
            body = sealed.partition(b"\r\n\r\n")[2]
            made = revise(sealed, Revision((("Subject", "s"),)), boundaries())
            self.assertTrue(made.message.endswith(b"\r\n\r\n" + body))
            self.assertEqual(
                Opened(revise(sealed, Revision(text="open"), boundaries()).message).plain, "open\n"
            )

    def test_the_ugliest_draft_takes_an_attachment(self) -> None:
        for path in corpus():
            data = path.read_bytes()
            try:
                made = revise(data, Revision(add=(Addition(FILE),)), boundaries())
            except Malformed:
                continue
            self.assertIn(b"\x00\x01", [one[2] for one in Opened(made.message).files.values()], path.name)
            if made.added:
                part = made.root.find(made.added[0])
                assert part is not None
                self.assertEqual(part.filename, "a.bin", path.name)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=400), st.text(max_size=50), st.text(max_size=50))
    def test_no_bytes_raise(self, message: bytes, value: str, html: str) -> None:
        revise(
            message,
            Revision((("Subject", value), ("To", value)), html=html, add=(Addition(FILE),)),
            boundaries(),
        )
