"""Mail to and from Postfix, Exim and OpenSMTPD, with TLS or without: it comes whole, once, or its sender hears why."""

from __future__ import annotations

import atexit
import random
import re
import smtplib
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.support.exim import Exim
from tests.support.neighbour import HERE, Neighbour
from tests.support.opensmtpd import OpenSmtpd
from tests.support.postfix import TwoDoors
from tests.system.test_transport import IDA

_running: dict[str, Neighbour] = {}


def neighbour(name: str, make: Any) -> Neighbour:
    """One for all tests of a program."""
    if name not in _running:
        found = _running[name] = Neighbour(name, make)
        atexit.register(found.clean)
    return _running[name]


def _text(sender: str, to: str, subject: str, body: bytes, head: str = "") -> bytes:
    start = (
        f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Sun, 01 Nov 2026 10:00:00 +0000\r\n{head}"
    )
    number = f"Message-ID: <{subject}.{abs(hash(body))}.{to}>\r\n"
    return (start + number).encode() + b"MIME-Version: 1.0\r\n" + body


def letters(sender: str, to: str, tag: str) -> dict[str, bytes]:
    """By kind. The subject begins with the kind and the tag."""
    plain = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    eight = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    chance = random.Random(7)
    # Lines of dots and a little more, so that every border of a buffer somewhere falls before, into and behind one.
    dots = b"".join(
        b"." * chance.randint(1, 3) + b"x" * chance.randint(0, 1) + b"\r\n" for _ in range(60_000)
    )
    bodies = {
        "small": plain + b"Hello.\r\n",
        "empty": plain,
        "eight": eight + "Viele Grüße, 日本語\r\n".encode() * 20,
        "latin": eight.replace(b"utf-8", b"iso-8859-1") + bytes(range(0xA0, 0x100)) + b"\r\n",
        "dots": plain + b".\r\n..\r\n" + dots + b".\r\n",
        "long": plain + b"".join(bytes([97 + n % 26]) * 996 + b"\r\n" for n in range(1_200)),
        "chunks": plain + dots * 6,
        "blank": plain + b"\r\n\r\n \r\n\t\r\ntrailing \r\n\r\n\r\n",
    }
    return {kind: _text(sender, to, f"{kind}-{tag}", body) for kind, body in bodies.items()}


def whole(message: bytes) -> bytes:
    """From the first field that its author wrote."""
    return message[message.index(b"From: ") :]


class Interop:
    """What holds for all of them."""

    name: ClassVar[str]
    make: ClassVar[Callable[..., Any]]
    tls = True  # as a server
    utf8 = True
    envid = "voyage-7"  # in their reports

    def setUp(self) -> None:
        self.house = neighbour(self.name, type(self).make)
        self.there = self.house.there

    def came(self, subject: str, find: Callable[[], list[bytes]]) -> list[bytes]:
        mark = f"\r\nSubject: {subject}\r\n".encode()
        return [message for message in find() if mark in message]

    def come(self: Any, subject: str, find: Callable[[], list[bytes]]) -> bytes:
        """It comes, once."""
        self.house.until(lambda: self.came(subject, find))
        (found,) = self.came(subject, find)
        return bytes(found)

    def report(self: Any, find: Callable[[], list[bytes]], *words: str) -> str:
        """A report comes that has all these words."""

        def search() -> str:
            for message in find():
                text = message.decode("utf-8", "replace")
                folded = text.lower().replace("rfc822;", "rfc822; ").replace("rfc822;  ", "rfc822; ")
                if "message/delivery-status" in folded and all(word.lower() in folded for word in words):
                    return text
            return ""

        return str(self.house.until(search))

    def ida(self: Any) -> list[bytes]:
        return list(self.house.arrived(IDA))

    def tried(self: Any, to: str, attempts: int) -> Any:
        """The row of a recipient after so many attempts in vain."""

        def look() -> Any:
            row = self.house.row(to)
            return row if row is not None and row.last_reply and row.attempts >= attempts else None

        return self.house.until(look)

    def test_what_we_send_arrives_whole(self: Any) -> None:
        for domain, protocol in ((self.there, "ESMTPS"), (f"clear.{self.there}", "ESMTP")):
            sent = letters(IDA, f"far@{domain}", f"out.{domain}")
            with self.house.session() as client:
                for letter in sent.values():
                    client.sendmail(IDA, [f"far@{domain}"], letter, ["BODY=8BITMIME"])
            for kind, letter in sent.items():
                found = self.come(f"{kind}-out.{domain}", self.house.other.mail)
                self.assertTrue(whole(found) == letter, (domain, kind, len(found), len(letter)))
                head = found.partition(b"From: ")[0]
                self.assertIn(b"Received: ", head)
                if self.tls or protocol == "ESMTP":
                    self.assertRegex(head.decode(), rf"(?i)\bwith (utf8)?{protocol}\b")

    def test_what_they_send_arrives_whole(self: Any) -> None:
        for domain, protocol in ((HERE, "ESMTPS"), (f"clear.{HERE}", "ESMTP")):
            sender, to = f"far@{self.there}", f"ida@{domain}"
            sent = letters(sender, to, f"in.{self.name}")
            with smtplib.SMTP("127.0.0.1", self.house.other.clear_port, timeout=60) as client:
                for letter in sent.values():
                    client.sendmail(sender, [to], letter, ["BODY=8BITMIME"])
            for kind, letter in sent.items():
                found = self.come(f"{kind}-in.{self.name}", lambda to=to: self.house.arrived(to))
                self.assertTrue(whole(found) == letter, (domain, kind, len(found), len(letter)))
                ours = found.split(b"Received: ")[1]
                self.assertRegex(ours.decode(), rf"\bwith {protocol}\b")

    def test_international_mail(self: Any) -> None:
        body = "Content-Type: text/plain; charset=utf-8\r\n\r\nΓειά\r\n".encode()
        letter = _text(IDA, f"far@{self.there}", "Grüße-out", body)
        with self.house.session() as client:
            client.sendmail(IDA, [f"far@{self.there}"], letter, ["SMTPUTF8", "BODY=8BITMIME"])
        if not self.utf8:
            report = self.report(self.ida, "Grüße-out", f"far@{self.there}")
            self.assertIn("5.6.7", report)
            return
        self.assertEqual(whole(self.come("Grüße-out", self.house.other.mail)), letter)
        sender = f"jürgen@{self.there}"
        letter = _text(sender, IDA, "Grüße-in", body)
        with smtplib.SMTP("127.0.0.1", self.house.other.clear_port, timeout=60) as client:
            client.ehlo()
            client.sendmail(sender, [IDA], letter, ["SMTPUTF8", "BODY=8BITMIME"])
        self.assertEqual(whole(self.come("Grüße-in", self.ida)), letter)

    def test_one_of_several_is_refused(self: Any) -> None:
        good, bad = f"far@{self.there}", f"gone@{self.there}"
        with self.house.session() as client:
            client.sendmail(IDA, [bad, good], _text(IDA, good, "several-out", b"\r\nHello.\r\n"))
        self.come("several-out", self.house.other.mail)
        report = self.report(self.ida, "several-out", f"Final-Recipient: rfc822; {bad}", "Status: 5.")
        self.assertNotIn(f"rfc822; {good}", report)
        sender, bad = f"far@clear.{self.there}", f"gone@{HERE}"
        with smtplib.SMTP("127.0.0.1", self.house.other.clear_port, timeout=60) as client:
            client.sendmail(sender, [bad, IDA], _text(sender, IDA, "several-in", b"\r\nHello.\r\n"))
        self.come("several-in", self.ida)
        report = self.report(self.house.other.mail, "several-in", bad, "5.1.1")
        self.assertNotRegex(report, rf"(?i)Final-Recipient: rfc822; *{IDA}")

    def test_wishes_for_reports(self: Any) -> None:
        far = f"far@clear.{self.there}"
        with self.house.session() as client:
            client.mail(IDA, ["RET=HDRS", "ENVID=voyage+2D7"])
            client.rcpt(far, ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{far}"])
            client.data(_text(IDA, far, "wish-out", b"\r\nNot to be returned.\r\n"))
            silent = f"silent@clear.{self.there}"
            client.sendmail(IDA, [silent], _text(IDA, silent, "silent", b"\r\n"), [], ["NOTIFY=NEVER"])
        report = self.report(self.ida, "Subject: wish-out", f"Final-Recipient: rfc822; {far}")
        self.assertRegex(report, r"(?im)^Action: (delivered|relayed)")
        if self.envid:
            self.assertRegex(report, rf"(?im)^Original-Envelope-Id: {re.escape(self.envid)}")
            self.assertRegex(report, rf"(?im)^Original-Recipient: rfc822; ?{far}")
        self.assertNotIn("Not to be returned.", report)
        with smtplib.SMTP("127.0.0.1", self.house.other.clear_port, timeout=60) as client:
            client.ehlo()
            client.mail(far, ["RET=HDRS", "ENVID=voyage+2D8"])
            client.rcpt(f"ida@clear.{HERE}", ["NOTIFY=SUCCESS", f"ORCPT=rfc822;ida@clear.{HERE}"])
            client.data(_text(far, IDA, "wish-in", b"\r\nNot to be returned.\r\n"))
        # Port 25 does not offer DSN: they say that they have passed it on.
        report = self.report(
            self.house.other.mail, "Subject: wish-in", f"Final-Recipient: rfc822; ida@clear.{HERE}"
        )
        self.assertRegex(report, r"(?im)^Action: (delivered|relayed)")
        self.assertNotIn("Not to be returned.", report)
        self.house.until(lambda: not self.house.row(silent))
        self.assertFalse([mail for mail in self.ida() if b"silent@" in mail])

    def test_who_is_put_off_comes_again(self: Any) -> None:
        far = f"far@{self.there}"
        self.house.other.close()
        with self.house.session() as client:
            client.sendmail(IDA, [far], _text(IDA, far, "later", b"\r\nHello.\r\n"))
        row = self.tried(far, 1)
        self.assertIn("451 4.7.1", row.last_reply)
        self.assertEqual(row.state, "due")
        self.house.other.open()
        self.assertEqual(self.came("later", self.house.other.mail), [])
        self.house.run("queue", "retry")
        self.come("later", self.house.other.mail)
        self.house.until(lambda: not self.house.row(far))


class PostfixTests(Interop, SynchronousTestCase):
    name, make = "postfix", TwoDoors

    def test_an_outage_is_waited_out_and_one_without_end_is_reported(self) -> None:
        far, postfix = "far@postfix.test", self.house.other
        assert isinstance(postfix, TwoDoors)
        postfix.end()
        with self.house.session() as client:
            client.sendmail(IDA, [far], _text(IDA, far, "outage", b"\r\nHello.\r\n"))
        self.assertIn("cannot connect", self.tried(far, 1).last_reply)
        postfix.begin()
        self.house.run("queue", "retry")
        self.come("outage", self.house.other.mail)
        self.house.until(lambda: not self.house.row(far))
        postfix.end()
        with self.house.session() as client:
            client.sendmail(IDA, [far], _text(IDA, far, "never", b"\r\nHello.\r\n"))
        self.tried(far, 1)
        self.house.age(hours=5)
        delayed = self.report(self.ida, "Subject: never", "Action: delayed", f"rfc822; {far}")
        self.assertIn("Will-Retry-Until:", delayed)
        self.house.age(hours=5 * 24)
        failed = self.report(self.ida, "Subject: never", "Action: failed", f"rfc822; {far}")
        self.assertIn("Status: 5.4.7", failed)
        self.assertIn("cannot connect", failed)
        self.assertIsNone(self.house.row(far))
        self.assertEqual(len([mail for mail in self.ida() if b"Subject: never" in mail]), 2)
        postfix.begin()


class EximTests(Interop, SynchronousTestCase):
    name, make = "exim", Exim
    envid = "voyage+2D7"  # RFC 3464 2.2.1 would have it decoded

    def test_its_commands_come_together(self) -> None:
        far = "far@clear.exim.test"
        with smtplib.SMTP("127.0.0.1", self.house.other.clear_port, timeout=60) as client:
            client.sendmail(far, [IDA], _text(far, IDA, "back", b"\r\nHello.\r\n"))
        self.come("back", self.ida)
        said = self.house.until(lambda: re.search(r"=> ida@here.test .*", self.house.other.said()))[0]
        self.assertRegex(said, r" L-? ")  # PIPELINING was used; "L." would be: was offered


class OpenSmtpdTests(Interop, SynchronousTestCase):
    name, make = "opensmtpd", OpenSmtpd
    tls = utf8 = False
    envid = ""
