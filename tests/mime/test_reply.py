"""Replies and forwards: the user's text first, the original behind it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.bodies import attachments, choose_bodies, decode_part, text_of
from posthouse.mime.headers import parse_headers
from posthouse.mime.reply import MAX_QUOTED, Original, forward, reply, wanted
from posthouse.mime.scan import scan
from tests.mime.test_corpus import corpus

PLAIN = (
    b"From: Bob <bob@example.net>\r\nTo: ann@example.org, Cleo <c@example.net>\r\nCc: d@example.net\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <o2@example.net>\r\nReferences: <o0@example.net> <o1@example.net>\r\n"
    b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"Sch\xf6n\r\n> older\r\n\r\nend\r\n"
)
RICH = (
    b"From: bob@example.net\r\nSubject: rich\r\nMessage-ID: <r@example.net>\r\n"
    b"Content-Type: multipart/mixed; boundary=m\r\n\r\n"
    b"--m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n"
    b"--r\r\nContent-Type: text/html\r\n\r\n"
    b'<html><head><title>no</title><style>p{color:red}</style></head><body bgcolor="x"><p>Rich</p>'
    b'<img src="cid:a%40b"></body></html>\r\n'
    b"--r\r\nContent-Type: image/png\r\nContent-ID: <a@b>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBO\r\n"
    b"--r\r\nContent-Type: image/gif\r\nContent-ID: <unused@b>\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lG\r\n"
    b'--r--\r\n--m\r\nContent-Type: application/pdf; name="p l.pdf"\r\nContent-Disposition: attachment\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--m--\r\n"
)
NEW = b"From: ann@example.org\r\nTo: bob@example.net\r\nSubject: Re: x\r\nX-Mine: 1\r\n\r\nMine\r\n"
NEW_RICH = (
    b"From: ann@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=n\r\n\r\n"
    b"--n\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
    b'<html><head><meta charset="iso-8859-1"></head><body><b>M\xefne</b></body></html>\r\n'
    b"--n\r\nContent-Type: text/csv; name=my.csv\r\nContent-Disposition: attachment\r\n\r\n1;2\r\n--n--\r\n"
)
SIGNED = (
    b'From: ann@example.org\r\nContent-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=s'
    b"\r\n\r\n--s\r\nContent-Type: text/plain\r\n\r\nsigned\r\n--s\r\n"
    b"Content-Type: application/pkcs7-signature\r\n\r\nxx\r\n--s--\r\n"
)
SEALED = (
    b"From: ann@example.org\r\nContent-Type: application/pkcs7-mime\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\n"
)


def boundaries() -> Callable[[], str]:
    count = itertools.count()
    return lambda: f"=_{next(count)}"


class Opened:
    """A message to look into."""

    def __init__(self, data: bytes) -> None:
        self.data, self.root = data, scan(data)
        chosen = choose_bodies(self.root)
        self.plain, self.html = (
            None if part is None else text_of(part, data[part.body_start : part.body_end])
            for part in (chosen.plain, chosen.html)
        )
        self.fields = dict(parse_headers(data[: self.root.body_start]))
        self.files = {
            info.name: (info.content_id, info.inline, self._content(info.path))
            for info in attachments(self.root)
        }

    def _content(self, path: str) -> bytes:
        part = self.root.find(path)
        assert part is not None
        return decode_part(part, self.data[part.body_start : part.body_end])


def replied(new: bytes, original: bytes) -> Opened:
    return Opened(reply(new, Original.of(original), boundaries()))


def forwarded(new: bytes, original: bytes, *, attached: bool = False) -> Opened:
    return Opened(forward(new, Original.of(original), boundaries(), attached=attached))


class ReplyTests(SynchronousTestCase):
    def test_text_answers_text(self) -> None:
        found = replied(NEW, PLAIN)
        self.assertEqual(
            found.plain,
            "Mine\n\nOn Thu, 01 Jan 2026 00:00:00 +0000, Bob <bob@example.net> wrote:\n"
            "> Schön\n>> older\n>\n> end\n",
        )
        self.assertIsNone(found.html)
        self.assertEqual(found.fields["x-mine"], b"1")
        self.assertEqual(found.root.charset, "utf-8")

    def test_the_thread_is_named(self) -> None:
        """RFC 5322 3.6.4."""
        found = replied(NEW, PLAIN).fields
        self.assertEqual(found["in-reply-to"], b"<o2@example.net>")
        self.assertEqual(found["references"], b"<o0@example.net> <o1@example.net> <o2@example.net>")

    def test_what_the_user_said_of_the_thread_stays(self) -> None:
        mine = b"In-Reply-To: <a@b>\r\nReferences: <c@d>\r\n" + NEW
        found = replied(mine, PLAIN).fields
        self.assertEqual((found["in-reply-to"], found["references"]), (b"<a@b>", b"<c@d>"))

    def test_a_long_thread_keeps_its_root_and_its_end(self) -> None:
        chain = b" ".join(b"<%d@x>" % number for number in range(90))
        found = (
            replied(NEW, PLAIN.replace(b"<o0@example.net> <o1@example.net>", chain))
            .fields["references"]
            .split()
        )
        self.assertLessEqual(len(found), 50)
        self.assertEqual((found[0], found[-2], found[-1]), (b"<0@x>", b"<89@x>", b"<o2@example.net>"))

    def test_html_is_quoted_in_a_block_with_its_pictures(self) -> None:
        found = replied(NEW_RICH, RICH)
        assert found.html is not None and found.plain is not None
        self.assertIn("<b>Mïne</b>", found.html)
        self.assertIn('<blockquote type="cite"', found.html)
        self.assertIn("<style>p{color:red}</style><p>Rich</p>", found.html)
        self.assertNotIn("<title>", found.html)
        self.assertEqual(found.html.count("<body"), 1)
        self.assertTrue(found.html.rstrip().endswith("</blockquote></body></html>"))
        self.assertIn('charset="utf-8"', found.html)
        self.assertEqual(found.plain.split()[0], "Mïne")
        self.assertIn("> Rich", found.plain)
        # The picture that is shown comes along; what is attached, or shown nowhere, does not.
        self.assertEqual(
            sorted((cid, inline) for cid, inline, _ in found.files.values()), [("", False), ("a@b", True)]
        )
        self.assertEqual(found.files["my.csv"][2], b"1;2")

    def test_text_answers_html_as_html_with_text_beside_it(self) -> None:
        found = replied(NEW, RICH)
        assert found.html is not None
        self.assertIn("Mine", found.html)
        self.assertIn("<p>Rich</p>", found.html)
        self.assertEqual(found.root.content_type, "multipart/alternative")

    def test_html_answers_text(self) -> None:
        found = replied(NEW_RICH, PLAIN)
        assert found.html is not None
        self.assertIn("Schön<br>", found.html)

    def test_a_picture_that_the_reply_brings_itself_is_not_doubled(self) -> None:
        own = RICH.replace(b"From: bob@example.net", b"From: ann@example.org").replace(b"iVBO", b"bWlu")
        pictures = [one for one in replied(own, RICH).files.values() if one[0] == "a@b"]
        self.assertEqual([one[2] for one in pictures], [b"min"])

    def test_a_signed_or_encrypted_reply_is_not_merged(self) -> None:
        """RFC 8551: not a byte of the body; the header may name the thread."""
        for sealed in (SIGNED, SEALED):
            head, _, body = sealed.partition(b"\r\n\r\n")
            for made in (reply, forward):
                found = made(sealed, Original.of(PLAIN), boundaries())
                self.assertTrue(found.startswith(head))
                self.assertTrue(found.endswith(b"\r\n\r\n" + body))
                self.assertIn(b"<o2@example.net>", found)

    def test_an_endless_original_is_cut(self) -> None:
        data = PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + b"0123456789\r\n" * (MAX_QUOTED // 8)
        root = scan(data)
        asked: list[tuple[int, int]] = []

        def read(start: int, stop: int) -> bytes:
            asked.append((start, stop))
            return data[start:stop]

        found = reply(NEW, Original(root, read, len(data)), boundaries())
        self.assertLess(len(found), MAX_QUOTED * 1.3)
        self.assertIn(b"[...]", found)
        spans = wanted(root, len(data), forwarding=False)
        self.assertTrue(all(any(a <= start and stop <= b for a, b in spans) for start, stop in asked))

    def test_of_endless_html_the_text_beside_it_is_cut(self) -> None:
        data = b"Content-Type: text/html\r\n\r\n<body>" + b"<p>0123456789</p>\r\n" * 20_000
        found = replied(NEW, data)
        assert found.html is not None and found.plain is not None
        self.assertGreater(found.html.count("<p>"), 19_999)
        self.assertLess(len(found.plain), 200_000)
        self.assertIn("> [...]", found.plain)

    def test_header_lines_in_front_of_the_stored_original_count(self) -> None:
        body = b"Subject: x\r\n\r\nhi\r\n"
        original = Original(
            scan(body), lambda a, b: body[a:b], len(body), b"From: z@example.net\r\nMessage-ID: <t@x>\r\n"
        )
        found = Opened(reply(NEW, original, boundaries()))
        self.assertIn("z@example.net wrote:", found.plain or "")
        self.assertEqual(found.fields["in-reply-to"], b"<t@x>")


class ForwardTests(SynchronousTestCase):
    def test_text_with_the_header_lines(self) -> None:
        self.assertEqual(
            forwarded(NEW, PLAIN).plain,
            "Mine\n\n-------- Original Message --------\nFrom: Bob <bob@example.net>\n"
            'Date: Thu, 01 Jan 2026 00:00:00 +0000\nTo: ann@example.org, "Cleo" <c@example.net>\n'
            "Cc: d@example.net\nSubject: Grüße\n\nSchön\n> older\n\nend\n\n",
        )

    def test_attachments_come_along_byte_by_byte(self) -> None:
        found = forwarded(NEW_RICH, RICH)
        self.assertEqual(found.files["my.csv"][2], b"1;2")
        self.assertEqual(found.files["p l.pdf"], ("", False, b"%PDF"))
        self.assertIn(b"\r\n\r\nJVBERg==\r\n--", found.data)
        # The picture that nothing shows is still a part of what is forwarded.
        self.assertEqual(
            {cid: inline for cid, inline, _ in found.files.values() if cid}, {"a@b": True, "unused@b": False}
        )
        assert found.html is not None
        self.assertIn("<b>From:</b> bob@example.net<br>", found.html)
        self.assertNotIn("<blockquote", found.html)

    def test_a_name_cannot_be_markup(self) -> None:
        found = forwarded(NEW_RICH, PLAIN.replace(b"From: Bob ", b'From: "<img src=x>" '))
        self.assertNotIn("<img src=x>", found.html or "")

    def test_the_whole_original_as_a_message(self) -> None:
        found = forwarded(NEW, PLAIN, attached=True)
        ((name, (_, _, content)),) = found.files.items()
        self.assertEqual((name, content), ("Grüße.eml", PLAIN))
        self.assertEqual((found.plain or "").strip(), "Mine")

    def test_an_encrypted_original_goes_as_a_message(self) -> None:
        found = forwarded(NEW, SEALED)
        ((_, (_, _, content)),) = found.files.items()
        self.assertEqual(content, SEALED)

    def test_it_answers_nothing(self) -> None:
        found = forwarded(NEW, PLAIN).fields
        self.assertNotIn("in-reply-to", found)
        self.assertIn(b"<o2@example.net>", found["references"])


class UglyTests(SynchronousTestCase):
    def test_every_ugly_original_is_merged(self) -> None:
        files = corpus()
        self.assertGreater(len(files), 50)
        for path in files:
            data = path.read_bytes()
            original = Original.of(data)
            for new in (NEW, NEW_RICH):
                found = Opened(reply(new, original, boundaries()))
                self.assertIn("ne", (found.plain or "")[:10], path.name)
                self.assertEqual(found.fields["from"], b"ann@example.org")
                found = Opened(forward(new, original, boundaries()))
                self.assertIn(
                    "-- Original Message --", found.plain or found.data.decode("latin-1"), path.name
                )
                Opened(forward(new, original, boundaries(), attached=True))
            reply(data, original, boundaries())
            forward(data, original, boundaries())

    def test_what_was_attached_is_attached(self) -> None:
        for path in corpus():
            data = path.read_bytes()
            before = Opened(data)
            after = Opened(forward(NEW, Original.of(data), boundaries()))
            contents = [one[2] for one in after.files.values()]
            for name, (_, _, content) in before.files.items():
                if content.strip() and before.root.content_type not in (
                    "application/pkcs7-mime",
                    "multipart/encrypted",
                ):
                    self.assertTrue(
                        any(content.strip() == one.strip() for one in contents) or len(after.files) == 1,
                        f"{path.name}: {name}",
                    )

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=400), st.binary(max_size=400))
    def test_no_bytes_raise(self, new: bytes, original: bytes) -> None:
        for data in (original, b"Content-Type: text/html\r\n\r\n" + original):
            reply(new, Original.of(data), boundaries())
            forward(new, Original.of(data), boundaries())
            forward(NEW, Original.of(data), boundaries(), attached=True)
