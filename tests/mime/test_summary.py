"""What lists need to know, from real shapes of mail."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.scan import scan
from posthouse.mime.summary import Summary, index_text, preview_of, summarise, topic


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda start, stop: data[start:stop]


def summary_of(data: bytes) -> Summary:
    root = scan(data)
    return summarise(root, data[: root.body_start], reader(data))


def with_header(*lines: str, body: str = "x") -> Summary:
    return summary_of(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


class HeaderTests(SynchronousTestCase):
    def test_people(self) -> None:
        made = with_header(
            'From: "Doe, J." <j@x.org>, second@x.org',
            "Sender: s@x.org",
            "To: A <a@x.org>,",
            " b@x.org",
            "To: third@x.org",
            "Cc: =?utf-8?q?J=C3=B6rg?= <c@x.org>",
            "Bcc: d@x.org",
            "Reply-To: e@x.org",
        )
        self.assertEqual(
            (made.sender, made.from_name, made.from_address), ('"Doe, J." <j@x.org>', "Doe, J.", "j@x.org")
        )
        self.assertEqual(made.to, '"A" <a@x.org>, b@x.org, third@x.org')
        self.assertEqual(
            (made.cc, made.bcc, made.reply_to, made.sent_by),
            ('"Jörg" <c@x.org>', "d@x.org", "e@x.org", "s@x.org"),
        )

    def test_identifiers(self) -> None:
        made = with_header(
            "Message-ID: <a@b>", "In-Reply-To: Your <c@d> of today", "References: <e@f>\r\n\t<c@d>"
        )
        self.assertEqual((made.message_id, made.in_reply_to, made.references), ("a@b", "c@d", ("e@f", "c@d")))

    def test_references_are_bounded_and_keep_root_and_end(self) -> None:
        made = with_header("References: " + " ".join(f"<{n}@x>" for n in range(5000)))
        self.assertEqual(len(made.references), 100)
        self.assertEqual((made.references[0], made.references[-1]), ("0@x", "4999@x"))

    def test_recipient_lists_are_bounded(self) -> None:
        made = with_header("To: " + ", ".join(f"user{n}@example.org" for n in range(5000)))
        self.assertTrue(15_000 < len(made.to) <= 32_768)
        self.assertTrue(made.to.endswith("@example.org"))

    def test_date(self) -> None:
        self.assertEqual(with_header("Date: Thu, 1 Jan 1970 00:00:01 +0000").date, 1000)
        self.assertIsNone(with_header("Date: soon").date)

    def test_importance(self) -> None:
        for line, value in (
            ("Importance: High", 2), ("X-Priority: 1 (Highest)", 2), ("Priority: urgent", 2),
            ("X-Priority: 5", 0),
            ("Importance: low", 0), ("X-Priority: 3", 1), ("X: y", 1),
        ):  # fmt: skip
            self.assertEqual(with_header(line).importance, value, line)

    def test_lists_and_automatic_mail(self) -> None:
        made = with_header("List-Id: Team <team.x.org>", "Auto-Submitted: auto-replied", "Precedence: Bulk")
        self.assertEqual(
            (made.list_id, made.is_list, made.auto_submitted, made.precedence),
            ("team.x.org", True, "auto-replied", "bulk"),
        )

    def test_topics(self) -> None:
        for subject, expected in (
            ("Re: AW: Fwd: lunch", "lunch"), ("RE[2]: x", "x"), ("Re: [list] x", "[list] x"),
            ("[list] Re: x", "[list] x"),
            ("[list] Re: [list] x", "[list] x"), ("SV: VS: x", "x"), ("回复：你好", "你好"),
            ("[list] plain", "[list] plain"),
            ("Report: x", "Report: x"), ("Re:", ""), ("12:30 lunch", "12:30 lunch"),
            ("Re: " * 3000 + "x", "x"),
        ):  # fmt: skip
            self.assertEqual(topic(subject), expected, subject[:40])


MIXED = (
    b"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
    b"<style>p{}</style><p>Hello&nbsp;<b>world</b></p>\r\n--b\r\nContent-Type: application/pdf; name=r.pdf"
    b"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"
)


class BodyTests(SynchronousTestCase):
    def test_preview_of_html_and_attachments(self) -> None:
        made = summary_of(MIXED)
        self.assertEqual((made.preview, made.has_attachments), ("Hello world", True))
        self.assertEqual([info.name for info in made.attachments], ["r.pdf"])

    def test_preview_leaves_quotes_out(self) -> None:
        self.assertEqual(
            preview_of("Yes.\n\nOn Monday Bob wrote:\n> old\n> text\n\n-----\nmore"), "Yes. more"
        )
        self.assertEqual(preview_of("> all\n> quoted"), "> all > quoted")

    def test_preview_is_short_and_clean(self) -> None:
        made = with_header("Content-Type: text/plain; charset=utf-8", body="ä\x00\t b\r\n" * 10_000)
        self.assertEqual((len(made.preview), made.preview[:7]), (511, "ä b ä b"))

    def test_an_empty_plain_part_gives_way_to_html(self) -> None:
        data = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n \r\n\r\n--b\r\n"
        data += b"Content-Type: text/html\r\n\r\n<p>x\r\n--b--"
        self.assertEqual(summary_of(data).preview, "x")

    def test_at_most_64_kilobytes_are_read(self) -> None:
        data = b"Content-Type: text/html\r\n\r\n" + b"<p>x</p>" * 100_000
        root = scan(data)
        read: list[int] = []

        def reader(start: int, stop: int) -> bytes:
            read.append(stop - start)
            return data[start:stop]

        summarise(root, data[: root.body_start], reader)
        self.assertTrue(sum(read) <= 65_536)

    def test_index_text(self) -> None:
        text = index_text(scan(MIXED), lambda start, stop: MIXED[start:stop])
        self.assertEqual(text, "s\nr.pdf\nHello world")

    def test_index_text_is_capped(self) -> None:
        data = b"Subject: s\r\n\r\n" + b"word " * 400_000
        self.assertEqual(len(index_text(scan(data), lambda start, stop: data[start:stop])), 1_000_000)


class ClassTests(SynchronousTestCase):
    def check(self, header: str, body: str, expected: str) -> None:
        self.assertEqual(with_header(header, body=body).message_class, expected)

    def test_plain_mail(self) -> None:
        self.check("Content-Type: text/html", "x", "IPM.Note")

    def test_smime(self) -> None:
        self.check("Content-Type: application/pkcs7-mime; smime-type=enveloped-data", "", "IPM.Note.SMIME")
        self.check(
            'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b',
            "",
            "IPM.Note.SMIME.MultipartSigned",
        )
        self.check(
            'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b', "", "IPM.Note"
        )

    def test_reports(self) -> None:
        for action, expected in (
            ("failed", "REPORT.IPM.Note.NDR"),
            ("delayed", "REPORT.IPM.Note.DELAYED"),
            ("delivered", "REPORT.IPM.Note.DR"),
        ):
            body = "--b\r\n\r\nsorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
            body += f"Reporting-MTA: x\r\n\r\nAction: {action}\r\n--b--"
            self.check(
                "Content-Type: multipart/report; report-type=delivery-status; boundary=b", body, expected
            )
        body = "--b\r\n\r\nread\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
        body += "Disposition: a; displayed\r\n--b--"
        self.check("Content-Type: multipart/report; boundary=b", body, "REPORT.IPM.Note.IPNRN")

    def test_meetings(self) -> None:
        for method, status, expected in (
            ("REQUEST", "", "Request"), ("CANCEL", "", "Canceled"), ("REPLY", "ACCEPTED", "Resp.Pos"),
            ("REPLY", "DECLINED", "Resp.Neg"), ("REPLY", "TENTATIVE", "Resp.Tent"),
        ):  # fmt: skip
            event = f"BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nATTENDEE;PART\r\n STAT={status}:mailto:a@b.c\r\n"
            for param in ("", f"; method={method}"):
                body = f"--b\r\n\r\nx\r\n--b\r\nContent-Type: text/calendar{param}\r\n\r\n{event}\r\n--b--"
                self.check(
                    "Content-Type: multipart/alternative; boundary=b",
                    body,
                    f"IPM.Schedule.Meeting.{expected}",
                )
        self.check("Content-Type: text/calendar; method=PUBLISH", "", "IPM.Note")


class HostileTests(SynchronousTestCase):
    def test_ten_thousand_fields(self) -> None:
        data = b"X: y\r\n" * 10_000 + b"Subject: late\r\n\r\nx"
        self.assertEqual(summary_of(data).subject, "")

    def test_twenty_kilobytes_of_commas(self) -> None:
        self.assertEqual(with_header("To: " + "," * 20_000).to, "")

    @given(st.binary(max_size=400))
    @settings(max_examples=60, deadline=None)
    def test_any_bytes_give_a_summary_that_can_be_stored(self, data: bytes) -> None:
        for prefix in (
            b"",
            b"Subject: ",
            b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/html\r\n\r\n",
        ):
            made = summary_of(prefix + data)
            for text in (
                made.subject,
                made.preview,
                made.to,
                made.sender,
                made.message_id,
                made.thread_topic,
            ):
                text.encode("utf-8")
                self.assertNotIn("\x00", text)
            index_text(scan(prefix + data), reader(prefix + data))
