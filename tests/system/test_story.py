"""The main job on the real server: mail comes in, wakes a phone, is read, answered and deleted from it."""

from __future__ import annotations

import json
import smtplib
import time
import urllib.request

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.tags import AirSyncBase, Email
from tests.support.eas import Phone, mail_options
from tests.system.house import DELETED, INBOX, SENT, Background, demo_of, letter, login, phone_of


def until(seconds: float, look: object) -> bool:
    """Wait until ``look()`` says yes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if look():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


class StoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.ida, self.bruno = self.daemon.account(0)["address"], self.daemon.account(1)["address"]

    def waiting(self) -> int:
        found = json.loads(self.daemon.posthouse("--json", "status").stdout)
        return int(found["waiting_requests"])

    def test_mail_arrives_is_read_answered_and_deleted_from_the_phone(self) -> None:
        """Over TLS (MS-ASHTTP R518)."""
        phone = phone_of(self.daemon, 0, "PHONE000000000000000000001")
        tablet = phone_of(self.daemon, 0, "TABLET00000000000000000001", version="14.1")
        friend = phone_of(self.daemon, 1, "FRIEND00000000000000000001", version="12.1")
        inbox = phone.folder(INBOX)
        options = mail_options(2, 4096)
        phone.sync_all(inbox, window=100, options=options)
        tablet.sync_all(inbox, window=512, options=mail_options(1, 512))
        friend.sync_all(friend.folder(INBOX), options=mail_options(1))

        before = self.waiting()
        ping = Background(phone.ping, [inbox], 600)
        self.assertTrue(until(20, lambda: self.waiting() > before), "the Ping is not parked")
        self.daemon.mail(self.bruno, [self.ida], letter(self.bruno, self.ida, "Soup on Thursday?"))
        self.assertEqual(ping.result(10), (2, [inbox]))

        came = phone.sync_collection(inbox, options=options)
        self.assertEqual(len(came.added), 1)
        (item,) = came.added
        fields = phone.mirror[inbox][item]
        self.assertEqual(fields[Email.Subject].value, "Soup on Thursday?")
        self.assertEqual(fields[Email.Read].value, "0")
        whole = phone.fetch_item(inbox, item, body=1)
        self.assertIn("Hello.", whole[AirSyncBase.Body].text(AirSyncBase.Data) or "")
        phone.mark_read(inbox, item)

        # The other device of the same user is told of the message, and that it is read.
        tablet.sync_all(inbox, options=mail_options(1, 512))
        (theirs,) = [
            key
            for key, one in tablet.mirror[inbox].items()
            if one[Email.Subject].value == "Soup on Thursday?"
        ]
        self.assertEqual(tablet.mirror[inbox][theirs][Email.Read].value, "1")

        reply = letter(self.ida, self.bruno, "Re: Soup on Thursday?", "Gladly!")
        self.assertEqual(phone.send_mail(reply), 0)
        box = friend.folder(INBOX)
        friend.sync_all(box, options=mail_options(1))
        self.assertIn("Re: Soup on Thursday?", friend.subjects(box))
        sent = phone.folder(SENT)
        phone.sync_all(sent, options=options)
        self.assertIn("Re: Soup on Thursday?", phone.subjects(sent))

        gone = phone.delete(inbox, item, deletes_as_moves=True)
        self.assertEqual(gone.status, 1)
        tablet.sync_all(inbox, options=mail_options(1, 512))
        self.assertNotIn(theirs, tablet.mirror[inbox])
        trash = phone.folder(DELETED)
        phone.sync_all(trash, options=options)
        self.assertIn("Soup on Thursday?", phone.subjects(trash))

    def test_the_first_fill_brings_the_whole_mailbox_newest_first_with_its_attachments(self) -> None:
        phone = phone_of(self.daemon, 0, "FILL0000000000000000000001")
        inbox = phone.folder(INBOX)
        filled = phone.sync_all(inbox, window=100, options=mail_options(2, 20_000))
        self.assertGreater(len(filled.added), 280)
        items = phone.mirror[inbox]
        dates = [items[number][Email.DateReceived].value for number in filled.added if number in items]
        self.assertEqual(dates, sorted(dates, reverse=True))
        subjects = phone.subjects(inbox)
        for words in ("Grüße aus der Werkstatt", "からくり人形について", "Часы с кукушкой", "关于钟楼的问题"):
            self.assertIn(words, subjects)
        files = [
            attachment
            for fields in items.values()
            if AirSyncBase.Attachments in fields
            for attachment in fields[AirSyncBase.Attachments].children
        ]
        self.assertGreater(len(files), 30)
        (document,) = [one for one in files if one.text(AirSyncBase.DisplayName) == "estimate-0.pdf"]
        data, _ = phone.fetch_file(document.text(AirSyncBase.FileReference) or "")
        self.assertTrue(data.startswith(b"%PDF-1.4") and data.rstrip().endswith(b"%%EOF"))
        self.assertTrue(any(one.text(AirSyncBase.IsInline) == "1" for one in files))

    def test_mail_for_elsewhere_is_caught(self) -> None:
        phone = phone_of(self.daemon, 0, "CATCH000000000000000000001")
        with login(self.daemon) as client:
            client.sendmail(
                self.ida, ["far@away.example"], letter(self.ida, "far@away.example", "To the far side")
            )

        def caught() -> bool:
            phone.folder_sync()
            folders = [number for number, one in phone.folders.items() if one.name == "Caught mail"]
            if not folders:
                return False
            phone.sync_all(folders[0], options=mail_options(1))
            return "To the far side" in phone.subjects(folders[0])

        self.assertTrue(until(20, caught))

    def test_nobody_relays_without_a_login(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.daemon.facts["smtp"], timeout=30) as client:
            client.helo("stranger.example")
            client.mail("stranger@else.example")
            self.assertEqual(client.rcpt("far@away.example")[0] // 100, 5)
        with login(self.daemon, 1) as client:
            code = client.mail(self.ida)[0]
            if code == 250:
                code = client.rcpt(self.bruno)[0]
            self.assertEqual(code // 100, 5)

    def test_an_alias_for_both_reaches_both(self) -> None:
        self.daemon.mail(
            "far@away.example",
            ["everybody@posthouse.test"],
            letter("far@away.example", "everybody@posthouse.test", "To everybody"),
        )
        for account in (0, 1):
            phone = phone_of(self.daemon, account, "ALIAS000000000000000000001")
            phone.sync_all(phone.folder(INBOX), window=512, options=mail_options(1, 100))
            self.assertIn("To everybody", phone.subjects(phone.folder(INBOX)))

    def test_autodiscover_leads_to_the_server(self) -> None:
        base = self.daemon.facts["https"]
        url = f"{base}/AutoDiscover/autodiscover.json?Email={self.ida}&Protocol=ActiveSync"
        with urllib.request.urlopen(url, context=self.daemon.tls(), timeout=30) as answer:
            found = json.load(answer)
        self.assertEqual(found["Url"], f"{base}/Microsoft-Server-ActiveSync")

    def test_the_front_page_runs_nothing(self) -> None:
        with urllib.request.urlopen(self.daemon.facts["https"] + "/", context=self.daemon.tls()) as answer:
            self.assertIn(b"Posthouse", answer.read())
            self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])

    def test_a_wrong_password_is_refused_everywhere(self) -> None:
        phone = Phone(self.daemon.facts["https"], self.ida, "wrong", cafile=self.daemon.facts["certificate"])
        self.assertEqual(phone.request("FolderSync", b"").status, 401)
        with smtplib.SMTP_SSL(
            "127.0.0.1", self.daemon.facts["submissions"], timeout=30, context=self.daemon.tls()
        ) as client:
            self.assertRaises(smtplib.SMTPAuthenticationError, client.login, self.ida, "wrong")
