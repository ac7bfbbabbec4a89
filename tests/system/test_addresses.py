"""Addresses and submission as they are seen on the wire: groups, catch-all, quotas, later sending, taking back."""

from __future__ import annotations

import json
import re
import smtplib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Daemon
from tests.support.eas import Phone
from tests.system.house import INBOX, demo_of, letter, login, phone_of

OUTBOX, DRAFTS, SENT = 6, 3, 5


class AddressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.ida, self.noa = (self.daemon.account(number)["address"] for number in (0, 1))
        self.domain = self.ida.partition("@")[2]

    def good(self, *arguments: str) -> Any:
        done = self.daemon.posthouse("--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return json.loads(done.stdout)

    def stranger(self, *commands: str) -> list[tuple[int, str]]:
        """What another server is told."""
        with smtplib.SMTP("127.0.0.1", self.daemon.facts["smtp"], timeout=60) as client:
            client.ehlo("there.example")
            found = []
            for command in commands:
                code, text = client.docmd(command)
                found.append((code, text.decode()))
            client.docmd("RSET")
            return found

    def rcpt(self, address: str, sender: str = "x@there.example") -> tuple[int, str]:
        return self.stranger(f"MAIL FROM:<{sender}>", f"RCPT TO:<{address}>")[1]

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.daemon.said())
            time.sleep(0.2)

    def test_catch_all_and_refused_addresses(self) -> None:
        self.assertIn("5.1.1", self.rcpt(f"stray@{self.domain}")[1])
        self.good("catchall", "set", self.domain, self.noa)
        self.good("address", "disable", f"leaked@{self.domain}")
        try:
            self.assertEqual(self.rcpt(f"stray@{self.domain}")[0], 250)
            code, text = self.rcpt(f"leaked@{self.domain}")
            self.assertEqual((code, text[:5]), (550, "5.1.1"))
        finally:
            self.good("catchall", "remove", self.domain)
        self.assertEqual(self.rcpt(f"stray@{self.domain}")[0], 550)

    def test_a_domain_that_stands_for_another(self) -> None:
        self.assertEqual(self.rcpt(self.ida.replace(self.domain, "twin.example"))[0], 550)
        self.good("domain", "add", "twin.example", "--alias-of", self.domain)
        self.assertEqual(self.rcpt(self.ida.replace(self.domain, "Twin.Example"))[0], 250)
        twin = self.ida.replace(self.domain, "twin.example")
        with login(self.daemon) as client:
            client.sendmail(twin, [self.noa], letter(twin, self.noa, "From the twin"))

    def test_a_group_for_its_members(self) -> None:
        team = f"team@{self.domain}"
        self.good("group", "add", team, self.ida, self.noa, "--posting", "members", "--name", "Team")
        self.assertEqual(self.rcpt(team)[1][:5], "5.7.1")
        self.assertEqual(self.rcpt(team, self.ida)[1][:5], "5.7.1")  # who did not log in
        self.assertEqual(self.rcpt(team, "")[0], 250)  # a report, for the owner
        phone = phone_of(self.daemon, 1)
        with login(self.daemon) as client:
            client.sendmail(self.ida, [team], letter(self.ida, team, "To the team"))
        phone.sync_all(phone.folder(INBOX))
        self.assertIn("To the team", phone.subjects(phone.folder(INBOX)))

    def test_writing_as_somebody_else_needs_a_grant(self) -> None:
        office = f"office@{self.domain}"
        self.good("group", "add", office, self.ida, self.noa)
        message = letter(office, self.noa, "From the office")
        with login(self.daemon) as client:
            self.assertRaises(smtplib.SMTPSenderRefused, client.sendmail, office, [self.noa], message)
            self.assertRaises(smtplib.SMTPDataError, client.sendmail, self.ida, [self.noa], message)
        self.good("grant", "add", self.ida, office)
        with login(self.daemon) as client:
            client.sendmail(office, [self.noa], message)
        self.assertIn(office, self.good("user", "show", self.ida)["may_write_as"])
        self.good("grant", "remove", self.ida, office)
        with login(self.daemon) as client:
            self.assertRaises(smtplib.SMTPSenderRefused, client.sendmail, office, [self.noa], message)

    def test_a_full_mailbox(self) -> None:
        full = f"full@{self.domain}"
        made = self.good("user", "add", full)
        self.good("user", "quota", full, "20")
        self.assertEqual(self.rcpt(full)[0], 250)
        self.daemon.mail("x@there.example", [full], letter("x@there.example", full, "The last one"))
        self.until(lambda: self.rcpt(full)[0] == 452, 10)  # what was known of it is forgotten in seconds
        self.assertEqual(self.rcpt(full)[1][:5], "4.2.2")
        phone = Phone(
            self.daemon.facts["https"],
            full,
            made["password"],
            cafile=self.daemon.facts["certificate"],
            check=False,
        ).set_up()
        status = phone.send_mail(letter(full, self.noa, "No room for this"), "full-1")
        self.assertEqual(status, 113)  # MS-ASCMD 2.2.2: MailboxQuotaExceeded
        self.assertEqual(phone.send_mail(letter(full, self.noa, "Not kept"), "full-2", save=False), 0)
        self.assertGreater(self.good("quota", "list", "--over", "100")[0]["percent"], 100)
        self.good("user", "quota", full, "default")
        self.assertEqual(self.rcpt(full)[0], 250)

    def test_a_disabled_user_gets_mail_and_nothing_else(self) -> None:
        off = f"off@{self.domain}"
        made = self.good("user", "add", off)
        self.good("user", "disable", off)
        self.assertEqual(self.rcpt(off)[0], 250)
        with smtplib.SMTP_SSL(
            "127.0.0.1", self.daemon.facts["submissions"], timeout=60, context=self.daemon.tls()
        ) as client:
            self.assertRaises(smtplib.SMTPAuthenticationError, client.login, off, made["password"])

    def test_mail_is_sent_later(self) -> None:
        with login(self.daemon) as client:
            client.ehlo()
            offered = client.esmtp_features["futurerelease"]
            self.assertRegex(offered, r"^5184000 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            later = datetime.now(UTC) + timedelta(seconds=10)
            for name, options in (
                ("in a while", ["HOLDFOR=3600"]),
                ("soon", [f"HOLDUNTIL={later:%Y-%m-%dT%H:%M:%SZ}"]),
            ):
                client.sendmail(self.ida, [self.noa], letter(self.ida, self.noa, f"Sent {name}"), options)
            self.assertRaises(
                smtplib.SMTPSenderRefused, client.sendmail, self.ida, [self.noa], b"x", ["HOLDFOR=99999999"]
            )
        self.assertEqual(len(self.good("queue", "waiting", "--user", self.ida)), 2)
        phone = phone_of(self.daemon, 1, "PHONE000000000000000000007")

        def subjects() -> list[str]:
            phone.sync_all(phone.folder(INBOX))
            return phone.subjects(phone.folder(INBOX))

        self.until(lambda: "Sent soon" in subjects())
        self.assertNotIn("Sent in a while", subjects())
        (waits,) = self.good("queue", "waiting", "--user", self.ida)
        self.assertEqual(self.good("queue", "undo", waits["name"])["withdrawn"], [self.noa])
        self.assertEqual(self.good("queue", "waiting", "--user", self.ida), [])

    def test_a_phone_takes_back_what_it_sent(self) -> None:
        phone = phone_of(self.daemon, 0, "PHONE000000000000000000008")
        self.good("user", "hold", self.ida, "60")
        try:
            phone.send_mail(letter(self.ida, "far@away.example", "Too fast"), "undo-1")
            (waits,) = self.good("queue", "waiting", "--user", self.ida)
            self.assertEqual(waits["recipients"], ["far@away.example"])
            queued = self.good("queue", "list")
            self.assertEqual([row for row in queued if row["recipient"] == "far@away.example"], [])
            self.good("queue", "undo", waits["name"])
        finally:
            self.good("user", "hold", self.ida, "0")
        for number in (SENT, DRAFTS):
            phone.sync_all(phone.folder(number))
        self.assertNotIn("Too fast", phone.subjects(phone.folder(SENT)))
        self.assertIn("Too fast", phone.subjects(phone.folder(DRAFTS)))

    def test_reports_as_they_were_asked_for(self) -> None:
        phone = phone_of(self.daemon, 0, "PHONE000000000000000000009")
        with login(self.daemon) as client:
            client.ehlo()
            client.docmd(f"MAIL FROM:<{self.ida}> RET=HDRS ENVID=trip-7")
            self.assertEqual(client.docmd(f"RCPT TO:<{self.noa}> NOTIFY=SUCCESS ORCPT=rfc822;noa")[0], 250)
            self.assertEqual(client.docmd(f"RCPT TO:<{self.ida}> NOTIFY=NEVER")[0], 250)
            client.data(letter(self.ida, self.noa, "Tell me"))
        phone.sync_all(phone.folder(INBOX))
        found = [one for one in phone.subjects(phone.folder(INBOX)) if re.match("Success", one)]
        self.assertEqual(len(found), 1)


class CrashTests(SynchronousTestCase):
    def test_what_waits_survives_kill_9_and_is_sent_once(self) -> None:
        daemon = Daemon.demo()
        self.addCleanup(daemon.clean)
        ida, noa = (daemon.account(number)["address"] for number in (0, 1))
        names = [f"Held {number}" for number in range(6)]
        with login(daemon) as client:
            client.ehlo()
            for number, name in enumerate(names):
                wait = 2 if number < 3 else 8
                client.sendmail(ida, [noa], letter(ida, noa, name), [f"HOLDFOR={wait}"])
        time.sleep(2)  # some are on their way at this moment
        daemon.kill()
        daemon.start()
        phone = phone_of(daemon, 1)

        def arrived() -> list[str]:
            phone.sync_all(phone.folder(INBOX))
            return sorted(one for one in phone.subjects(phone.folder(INBOX)) if one.startswith("Held"))

        deadline = time.monotonic() + 40
        while arrived() != names and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(1)
        self.assertEqual(arrived(), names)
        waiting = json.loads(daemon.posthouse("--json", "queue", "waiting").stdout)
        self.assertEqual(waiting, [])
