"""The security checklist, as far as it is mail itself, DNS and the queue: raw bytes to real ports.

The table is docs/security.rst.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import resource
import socket
import time
import zipfile
from base64 import b64encode
from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from tests.support.authority import issue
from tests.support.fort import IDA, NETWORK, NOA, PASSWORD, Fort, Raw, fort_of
from tests.support.injector import Injector
from tests.support.tlspeer import MailPeer

MAIL, TO_NOA = b"MAIL FROM:<a@b.test>", f"RCPT TO:<{NOA}>".encode()
BILLION = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10) for letter in range(98, 108))
    + b"]>"
)


class FortCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.fort: Fort = fort_of(__name__, delivery=("daily_recipients = 20",))
        self.addCleanup(self.fort.unharmed, self)

    def raw(self, service: str = "smtp", peer: str = "") -> Raw:
        line = self.fort.raw(service, peer)
        self.addCleanup(line.close)
        if service != "https":
            line.code(b"EHLO client.test")
        return line

    def give(self, message: bytes, peer: str = "", line: Raw | None = None, sender: bytes = MAIL) -> int:
        """The code after the final dot."""
        line = line or self.raw(peer=peer)
        self.assertEqual(line.codes(sender, TO_NOA, b"DATA"), [250, 250, 354])
        return line.send(message.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n").reply()[0]

    def post(self, to: str, body: bytes = b"Hello.\r\n", sender: str = IDA) -> Raw:
        """A user's mail to somewhere else; accepted."""
        line = self.fort.user()
        self.addCleanup(line.close)
        subject = f"To {to} from <{sender}>"
        head = f"From: {IDA}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n".encode()
        self.assertEqual(
            line.codes(f"MAIL FROM:<{sender}>".encode(), f"RCPT TO:<{to}>".encode(), b"DATA"), [250, 250, 354]
        )
        self.assertEqual(line.send(head + body.replace(b"\r\n.", b"\r\n..") + b".\r\n").reply()[0], 250)
        return line

    def queue(self, to: str) -> list[dict[str, object]]:
        return [row for row in self.fort.run("queue", "list") if row["recipient"] == to]

    def reports(self, to: str) -> list[str]:
        """The reports that Ida was sent about that recipient."""
        return [text for _, text in self.fort.letters(IDA) if f"Final-Recipient: rfc822; {to}" in text]


class HeaderTests(FortCase):
    def test_authentication_results_in_our_name_are_removed(self) -> None:
        forged = (
            b"Authentication-Results: mail.here.test; dmarc=pass reason=forged1\r\n",
            b"AUTHENTICATION-RESULTS : MAIL.HERE.TEST; spf=pass reason=forged2\r\n",
            b"Authentication-Results: (who) mail.here.test (are you) 1;\r\n\tdkim=pass reason=forged3\r\n",
            b"Authentication-Results:\r\n mail.here.test; dkim=pass reason=forged4\r\n",
        )
        other = b"Authentication-Results: mx.other.test; spf=pass reason=theirs\r\n"
        message = b"".join(forged) + other + b"From: x@b.test\r\nSubject: in our name\r\n\r\nHello.\r\n"
        self.assertEqual(self.give(message, "203.0.113.9"), 250)
        text = self.fort.mail()["in our name"]
        self.assertNotIn("forged", text)
        self.assertIn("reason=theirs", text)
        ours = [one for one in text.split("\r\n") if one.startswith("Authentication-Results: mail.here.test")]
        self.assertEqual(len(ours), 1)
        self.assertIn("spf=none", ours[0])

    def test_loop_by_received(self) -> None:
        hop = b"Received: from x.test by y.test; Sun, 01 Nov 2026 10:00:00 +0000\r\n"
        line = self.raw()
        self.assertEqual(self.give(hop * 50 + b"Subject: far travelled\r\n\r\nx", line=line), 250)
        self.assertEqual(self.give(hop * 51 + b"Subject: in a circle\r\n\r\nx", line=line), 554)

    def test_headers_without_end(self) -> None:
        for number, head in enumerate(
            (
                b"X-Field: y\r\n" * 50_000,
                b"X-Long: " + b"y" * 2_000_000 + b"\r\n",
                b"X-Folded: y\r\n" + b" y\r\n" * 300_000,
                b"To: " + b"," * 200_000 + b"\r\n",
                b"From: " + b"(" * 100_000 + b"\r\n",
                b"Cc: " + b", ".join(b"a%d@b.test" % one for one in range(20_000)) + b"\r\n",
                b"References: " + b" ".join(b"<%d@b.test>" % one for one in range(20_000)) + b"\r\n",
                b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\r\n",
                b"Content-Type: text/plain; "
                + b" ".join(b"a*%d=b;" % one for one in range(20_000))
                + b"\r\n",
            )
        ):
            began = time.monotonic()
            code = self.give(head + b"Message-ID: <head%d@b.test>\r\n\r\nHello.\r\n" % number)
            self.assertIn(code, (250, 552, 554), number)
            self.assertLess(time.monotonic() - began, 10, number)
        self.fort.mail()  # and a phone may have all of it


class BombTests(FortCase):
    def test_bomb_mime(self) -> None:
        """Depth, number and names of parts; what is beyond the bounds is opaque, and nobody waits for it."""
        nested = b"".join(
            b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (one, one)
            for one in range(2000)
        )
        messages = b"".join(b"Content-Type: message/rfc822\r\n\r\n" for _ in range(2000))
        for number, body in enumerate(
            (
                nested,
                messages,
                b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 100_000,
                b'Content-Type: multipart/mixed; boundary=""\r\n\r\n' + b"--\r\n" * 100_000,
                b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n--x' % (b"x" * 50_000),
                b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--bb\r\n" * 200_000,
                b"Content-Type: text/plain; charset=zlib_codec\r\nContent-Transfer-Encoding: base64\r\n\r\neJw=",
                b'Content-Type: text/plain; charset="idna"\r\n\r\n' + b"xn--a." * 10_000,
            )
        ):
            began = time.monotonic()
            head = b"From: x@b.test\r\nSubject: bomb %d\r\nMIME-Version: 1.0\r\n" % number
            self.assertEqual(self.give(head + body), 250, number)
            self.assertLess(time.monotonic() - began, 10, number)
        self.assertIn("bomb 0", self.fort.mail())

    def test_bomb_html(self) -> None:
        for number, html in enumerate(
            (
                b"<div>" * 100_000,
                b"<table><tr><td>" * 40_000,
                b"<a href='" * 50_000,
                b"<" * 500_000,
                b"<!--" * 100_000,
                b"&" * 500_000,
                b"<p " + b"a=b " * 100_000 + b">",
                b"<style>" * 50_000,
            )
        ):
            head = b"From: x@b.test\r\nSubject: html %d\r\nContent-Type: text/html\r\n\r\n" % number
            began = time.monotonic()
            self.assertEqual(self.give(head + html), 250, number)
            self.assertLess(time.monotonic() - began, 10, number)
        began = time.monotonic()
        with self.fort.phone() as phone:
            inbox = phone.folder(2)
            phone.sync_all(inbox)
            for item in phone.mirror[inbox]:
                for kind in (1, 2):  # text and HTML, made by the server
                    phone.fetch_item(inbox, item, body=kind)
        self.assertLess(time.monotonic() - began, 60)

    def test_bomb_ical(self) -> None:
        rules = (
            b"FREQ=SECONDLY;COUNT=1000000000",
            b"FREQ=SECONDLY;UNTIL=99991231T235959Z",
            b"FREQ=YEARLY;BYDAY=" + b",".join(b"%dMO" % one for one in range(1, 54)) + b";BYSETPOS=-366",
        )
        for number, rule in enumerate(rules):
            calendar = (
                b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:bomb%d\r\nDTSTART:20000101T000000Z\r\n"
                b"DTEND:20000101T000001Z\r\nRRULE:%b\r\n%bORGANIZER:mailto:x@b.test\r\nSUMMARY:ical\r\nEND:VEVENT\r\n"
                b"END:VCALENDAR\r\n"
            ) % (number, rule, b"EXDATE:20000101T000000Z\r\n" * 20_000)
            head = b"From: x@b.test\r\nSubject: ical %d\r\n" % number
            head += b"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n"
            began = time.monotonic()
            self.assertEqual(self.give(head + calendar), 250)
            self.assertLess(time.monotonic() - began, 10, rule)
        self.assertIn("ical 0", self.fort.mail())

    def test_bomb_gzip_zip_zstd(self) -> None:
        """Nobody unpacks what a letter has within, whatever it claims to be: not even a report about TLS."""
        from backports import zstd

        zeros = bytes(200_000_000)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("report.xml", zeros)
        before = self.fort.memory()
        for name, kind, data in (
            ("report.json.gz", "application/tlsrpt+gzip", gzip.compress(zeros)),
            ("b.test!here.test!1!2.zip", "application/zip", packed.getvalue()),
            ("b.test!here.test!1!2.xml.zst", "application/zstd", zstd.compress(zeros)),
        ):
            text = b64encode(data)
            lines = b"\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
            head = f'From: x@b.test\r\nSubject: {name}\r\nContent-Type: {kind}; name="{name}"\r\n'.encode()
            head += b"TLS-Report-Domain: here.test\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            self.assertEqual(self.give(head + lines), 250)
        self.assertIn("report.json.gz", self.fort.mail())
        self.assertLess(self.fort.memory() - before, 60_000_000)

    def web(self, path: str, body: bytes, *headers: str) -> int:
        line = self.fort.raw("https")
        self.addCleanup(line.close)
        token = b64encode(f"{NOA}:{PASSWORD}".encode()).decode()
        head = [f"POST {path} HTTP/1.1", "Host: mail.here.test", f"Authorization: Basic {token}"]
        head += [f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
        line.send("\r\n".join(head).encode() + body)
        first = line._line()
        assert first is not None
        return int(first.split(" ")[1])

    def test_bomb_gzip_in_a_request(self) -> None:
        before = self.fort.memory()
        query = "/Microsoft-Server-ActiveSync?Cmd=SendMail&User=noa&DeviceId=BOMB1&DeviceType=iPhone"
        body = gzip.compress(bytes(1_000_000_000), 1)
        began = time.monotonic()
        status = self.web(
            query,
            body,
            "Content-Encoding: gzip",
            "Content-Type: message/rfc822",
            "MS-ASProtocolVersion: 12.1",
        )
        self.assertEqual(status, 400)  # what 12.1 says in place of status 101
        self.assertIn('"cause": "unpacked body"', self.fort.said())
        self.assertLess(time.monotonic() - began, 20)
        self.assertLess(self.fort.memory() - before, 150_000_000)

    def test_bomb_xml(self) -> None:
        began = time.monotonic()
        for body in (
            b'<?xml version="1.0"?>' + BILLION + b"<Autodiscover><Request>&k;</Request></Autodiscover>",
            b"<a>" * 100_000,
            b"<a " + b"".join(b"b%d='c' " % one for one in range(10_000)) + b"/>",
        ):
            self.assertIn(
                self.web("/autodiscover/autodiscover.xml", body, "Content-Type: text/xml"), (200, 400, 413)
            )
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(self.raw().code(b"NOOP"), 250)

    def test_bomb_wbxml(self) -> None:
        query = "/Microsoft-Server-ActiveSync?Cmd=Sync&User=noa&DeviceId=BOMB1&DeviceType=iPhone"
        for body in (
            b"\x03\x01\x6a\x00" + b"\x45" * 500_000,  # depth
            b"\x03\x01\x6a\xff\xff\xff\xff\x7f",  # a string table of gigabytes
            b"\x03\x01\x6a\x00\x45\xc3\xff\xff\xff\xff\x7f",  # as much of opaque data
            b"\x03\x01\x6a\x00" + b"\x00\x01" * 400_000,  # code pages
        ):
            began = time.monotonic()
            status = self.web(
                query, body, "Content-Type: application/vnd.ms-sync.wbxml", "MS-ASProtocolVersion: 14.1"
            )
            self.assertIn(status, (200, 400, 413, 449))
            self.assertLess(time.monotonic() - began, 10)


class BackscatterTests(FortCase):
    def test_no_backscatter(self) -> None:
        """What is not wanted is refused while the sender is on the line; nothing is sent to anybody afterwards."""
        before = len(self.fort.run("queue", "list"))
        line = self.raw(peer="203.0.113.10")
        self.assertEqual(line.code(b"MAIL FROM:<victim@b.test>"), 250)
        self.assertEqual(line.codes(TO_NOA, b"RCPT TO:<nobody@here.test>"), [250, 550])
        line.code(b"RSET")
        hop = b"Received: x\r\n" * 60
        self.assertEqual(
            self.give(hop + b"Subject: x\r\n\r\nx", line=line, sender=b"MAIL FROM:<victim@b.test>"), 554
        )
        self.assertEqual(
            line.codes(b"MAIL FROM:<victim@b.test>", b"RCPT TO:<nobody@here.test>", b"DATA")[-1], 554
        )
        self.assertEqual(len(self.fort.run("queue", "list")), before)

    def test_no_dsn_for_dsn(self) -> None:
        self.fort.dns.add("nodsn.test", "MX", "0 .")
        self.post("one@nodsn.test", sender="")
        self.post("two@nodsn.test")
        self.fort.until(lambda: self.reports("two@nodsn.test"))
        self.fort.until(lambda: not self.queue("one@nodsn.test"))
        self.assertEqual(self.reports("one@nodsn.test"), [])

    def test_loop_by_own_mx(self) -> None:
        self.fort.dns.add("loop.test", "MX", "10 mail.here.test.")
        self.fort.dns.add("mail.here.test", "A", "127.0.0.1")
        self.post("x@loop.test")
        (report,) = self.fort.until(lambda: self.reports("x@loop.test"))
        self.assertIn("Status: 5.4.6", report)


class NameTests(FortCase):
    """What the name system says, and what becomes of the mail; each answer comes from a real server."""

    def report(self, to: str) -> str:
        self.post(to)
        (report,) = self.fort.until(lambda: self.reports(to))
        return str(report)

    def waiting(self, to: str) -> str:
        """The mail waits in the queue; why."""
        self.post(to)
        row = self.fort.until(lambda: next((row for row in self.queue(to) if row["last_reply"]), None))
        self.assertEqual(self.reports(to), [])
        return str(row["last_reply"])

    def test_null_mx(self) -> None:
        self.fort.dns.add("null.test", "MX", "0 .")
        self.assertIn("Status: 5.1.10", self.report("x@null.test"))

    def test_nodata_vs_nxdomain(self) -> None:
        self.fort.dns.add("there.test", "TXT", '"no addresses, but there"')
        self.assertIn("Status: 5.1.2", self.report("x@nxdomain.invalid"))
        self.assertNotIn("5.1.10", self.report("x@there.test"))

    def test_servfail_is_temporary(self) -> None:
        self.fort.dns.add("broken.test", "MX", "10 mx.broken.test.")
        self.fort.dns.manner["broken.test"] = "servfail"
        self.assertIn("4.4.3", self.waiting("x@broken.test"))

    def peer(self, host: str) -> MailPeer:
        peer = MailPeer(f"{NETWORK}.{host}", self.fort.away)
        self.addCleanup(peer.close)
        return peer

    def test_equal_pref_mx(self) -> None:
        peer = self.peer("20")
        self.fort.dns.add(
            "equal.test", "MX", "10 dead.equal.test.", "10 mx.equal.test.", "10 gone.equal.test."
        )
        self.fort.dns.add("mx.equal.test", "A", f"{NETWORK}.20")
        self.fort.dns.add("dead.equal.test", "A", f"{NETWORK}.21")
        self.post("x@equal.test")
        self.fort.until(lambda: peer.messages)

    def test_smuggle_out(self) -> None:
        """Lines of dots over all borders of all blocks; the other side sees one message, and the same."""
        peer = self.peer("22")
        self.fort.dns.add("out.test", "MX", "10 mx.out.test.")
        self.fort.dns.add("mx.out.test", "A", f"{NETWORK}.22")
        for shift in range(3):
            body = b"x" * shift + b"\r\n" + b".\r\n" * 90_000 + b"MAIL FROM:<evil@b.test>\r\n..\r\nend\r\n"
            self.post(f"x{shift}@out.test", body)
            self.fort.until(lambda shift=shift: len(peer.messages) > shift)
            _, message, _ = peer.messages[shift]
            self.assertEqual(message.replace(b"\r\n", b"").count(b"\r"), 0)
            self.assertEqual(message.replace(b"\r\n", b"").count(b"\n"), 0)
            received = re.sub(rb"(?m)^\.", b"", message).partition(b"\r\n\r\n")[2]
            self.assertEqual(received, body)
        self.assertEqual([line for line in peer.heard if "evil" in line], [])

    def test_starttls_inject_client(self) -> None:
        """Replies that came in clear, behind the 220, are nobody's."""
        root = issue(ca=True, common="root", now=datetime.now(UTC))
        pair = issue("mx.inject.test", by=root, now=datetime.now(UTC))
        more = b"250-evil\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n354 go\r\n250 stolen\r\n"
        peer = Injector(f"{NETWORK}.23", self.fort.away, (pair, root), more)
        self.addCleanup(peer.close)
        self.fort.dns.add("inject.test", "MX", "10 mx.inject.test.")
        self.fort.dns.add("mx.inject.test", "A", f"{NETWORK}.23")
        self.post("x@inject.test")
        self.fort.until(lambda: peer.message)
        verbs = [(secure, line[:4]) for secure, line in peer.heard]
        self.assertEqual(verbs[:2], [(False, "EHLO"), (False, "STAR")])
        self.assertEqual(verbs[2:6], [(True, "EHLO"), (True, "MAIL"), (True, "RCPT"), (True, "DATA")])
        self.assertIn(b"To x@inject.test", peer.message)


class SpoofTests(FortCase):
    def say(self, head: str, sender: str = IDA) -> int:
        line = self.fort.user()
        self.addCleanup(line.close)
        code = line.code(f"MAIL FROM:<{sender}>".encode())
        if code != 250:
            return code
        self.assertEqual(line.codes(TO_NOA, b"DATA"), [250, 354])
        return line.send(head.replace("\n", "\r\n").encode() + b"\r\n\r\nHello.\r\n.\r\n").reply()[0]

    def test_submission_spoofing(self) -> None:
        for sender in (NOA, "x@elsewhere.test", "root@here.test"):
            self.assertEqual(self.say(f"From: {IDA}", sender), 550, sender)
        for head in (
            f"From: {NOA}",
            "From: x@elsewhere.test",
            f'From: "{IDA}" <x@elsewhere.test>',
            f"From: {IDA}, {NOA}",
            f"From: {IDA}\nFrom: {NOA}",
            f"From: {NOA}\nFrom: {IDA}",
            f"FROM : {NOA}",
            f"From: {IDA}\nSender: {NOA}",
            f"From:\n {NOA}",
        ):
            self.assertIn(self.say(head + "\nSubject: spoofed"), (550, 554), head)
        self.assertNotIn("spoofed", self.fort.mail())

    def test_submission_completes_the_header(self) -> None:
        self.assertEqual(self.say(f"From: {IDA}\nTo: {NOA}\nBcc: hidden@here.test\nSubject: completed"), 250)
        text = self.fort.mail()["completed"]
        self.assertNotIn("hidden@", text)
        for name in ("Date", "Message-ID"):
            self.assertEqual(len(re.findall(rf"(?mi)^{name}: ", text)), 1, text)

    def test_submission_limits_of_a_day(self) -> None:
        """What a stolen password is worth."""
        line = self.fort.user(login=NOA)
        self.addCleanup(line.close)
        self.assertEqual(line.code(f"MAIL FROM:<{NOA}>".encode()), 250)
        line.codes(*[b"RCPT TO:<r%d@elsewhere.test>" % one for one in range(30)])
        self.assertEqual(line.code(b"DATA"), 354)
        code, text = line.send(f"From: {NOA}\r\nSubject: many\r\n\r\nx\r\n.\r\n".encode()).reply()
        self.assertEqual((code, text[:5]), (451, "4.7.1"))


class ResourceTests(FortCase):
    def test_no_files_left_is_no_spin(self) -> None:
        """EMFILE: connections wait, the processor rests, and afterwards all is well."""
        pid = self.fort.server.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 5, usual[1]))
        held = []
        try:
            for _ in range(30):
                held.append(socket.create_connection(("127.0.0.1", self.fort.ports["smtp"]), 10))
            time.sleep(0.5)
            before = self.processor()
            time.sleep(2)
            self.assertLess(self.processor() - before, 1.0)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
            for one in held:
                one.close()
        self.assertEqual(self.raw().code(b"NOOP"), 250)

    def processor(self) -> float:
        """Seconds of the processor that the server has used."""
        with open(f"/proc/{self.fort.server.pid}/stat") as stream:
            words = stream.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
