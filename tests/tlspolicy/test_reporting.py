"""Where TLS reports go and what they say."""

from __future__ import annotations

import base64
import gzip
import json
from email import message_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.tlspolicy.reporting import Count, Report, pack, report_json, report_mail, report_targets

DAY = 1_793_491_200_000  # 2026-11-01

REPORT = Report(
    "there.example",
    DAY,
    "mx.here.example",
    "tls@here.example",
    "abc",
    (
        Count(
            "sts",
            ("version: STSv1", "mode: enforce"),
            ("*.there.example",),
            "",
            "mx.there.example",
            "192.0.2.1",
            "",
            5,
        ),
        Count(
            "sts",
            ("version: STSv1", "mode: enforce"),
            ("*.there.example",),
            "certificate-expired",
            "mx.there.example",
            "192.0.2.1",
            "it expired",
            2,
        ),
        Count("no-policy-found", (), (), "starttls-not-supported", "b.there.example", "", "", 1),
    ),
)


class TargetTests(SynchronousTestCase):
    def test_mail_and_https(self) -> None:
        text = b"v=TLSRPTv1; rua=mailto:reports@example.com,https://r.example.com/v1/tlsrpt, mailto:reports@example.com"
        self.assertEqual(
            report_targets([b"other", text]),
            ("mailto:reports@example.com", "https://r.example.com/v1/tlsrpt"),
        )

    def test_what_is_no_place_for_reports(self) -> None:
        for rua in (
            "http://r.example.com/", "mailto:", "mailto:a b@c", "mailto:a@b%0d%0aX: y", "https:///x",
            "https://u@r.example/", "ftp://x", "https://r.example/\u00e4", "mailto:" + "a" * 1000 + "@b.example",
        ):  # fmt: skip
            self.assertEqual(report_targets([f"v=TLSRPTv1; rua={rua}".encode()]), (), rua)
        for texts in (
            [],
            [b"v=TLSRPTv2; rua=mailto:a@b.example"],
            [b"v=TLSRPTv1; rua=mailto:a@b.example"] * 2,
        ):
            self.assertEqual(report_targets(texts), ())
        many = ",".join(f"mailto:a{number}@b.example" for number in range(50))
        self.assertEqual(len(report_targets([f"v=TLSRPTv1; rua={many}".encode()])), 5)

    @given(st.binary(max_size=100))
    @settings(max_examples=50)
    def test_any_bytes(self, noise: bytes) -> None:
        for target in report_targets([b"v=TLSRPTv1; rua=" + noise]):
            self.assertRegex(target, r"(?i)\A(mailto|https):[!-~]+\Z")


class DocumentTests(SynchronousTestCase):
    def test_the_document(self) -> None:
        found = json.loads(report_json(REPORT))
        self.assertEqual(
            found["date-range"],
            {"start-datetime": "2026-11-01T00:00:00Z", "end-datetime": "2026-11-01T23:59:59Z"},
        )
        sts, none = found["policies"]
        self.assertEqual(
            sts["policy"],
            {
                "policy-type": "sts",
                "policy-domain": "there.example",
                "policy-string": ["version: STSv1", "mode: enforce"],
                "mx-host": ["*.there.example"],
            },
        )
        self.assertEqual(
            sts["summary"], {"total-successful-session-count": 5, "total-failure-session-count": 2}
        )
        self.assertEqual(
            sts["failure-details"],
            [
                {
                    "result-type": "certificate-expired",
                    "receiving-mx-hostname": "mx.there.example",
                    "receiving-ip": "192.0.2.1",
                    "failed-session-count": 2,
                    "failure-reason-code": "it expired",
                }
            ],
        )
        self.assertEqual(none["policy"], {"policy-type": "no-policy-found", "policy-domain": "there.example"})
        self.assertEqual(found["contact-info"], "tls@here.example")

    def test_the_mail(self) -> None:
        packed = pack(report_json(REPORT))
        data = report_mail(REPORT, packed, "reports@there.example", "Mon, 02 Nov 2026 01:00:00 +0000", "b1")
        self.assertNotIn(b"\n", data.replace(b"\r\n", b""))
        self.assertLess(max(map(len, data.split(b"\r\n"))), 200)
        message = message_from_bytes(data)
        self.assertEqual(message["TLS-Report-Domain"], "there.example")
        self.assertEqual(message["TLS-Required"], "No")
        self.assertEqual(message.get_content_type(), "multipart/report")
        self.assertEqual(message.get_param("report-type"), "tlsrpt")
        _, part = message.get_payload()
        self.assertEqual(part.get_content_type(), "application/tlsrpt+gzip")
        begin = DAY // 1000
        self.assertEqual(
            part.get_filename(), f"mx.here.example!there.example!{begin}!{begin + 86399}!abc.json.gz"
        )
        unpacked = gzip.decompress(base64.b64decode(part.get_payload()))
        self.assertEqual(json.loads(unpacked)["report-id"], REPORT.identity)
