"""A rule made at the command line sorts mail from the wire, and a phone's thumb teaches the junk filter."""

from __future__ import annotations

import json
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.tags import Email
from tests.system.house import INBOX, demo_of, letter, phone_of


class ArrivalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.noa = self.daemon.account(1)["address"]
        self.phone = phone_of(self.daemon, 1)

    def good(self, *arguments: str) -> Any:
        done = self.daemon.posthouse("--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
        return json.loads(done.stdout)

    def named(self, name: str) -> str:
        return next(number for number, folder in self.phone.folders.items() if folder.name == name)

    def test_a_rule_sorts_from_the_moment_it_is_made(self) -> None:
        self.phone.folder_create("Harbour")
        self.phone.folder_sync()
        self.daemon.mail(
            "far@there.example", [self.noa], letter("far@there.example", self.noa, "Before the rule")
        )
        rule = self.good(
            "rule", "add", self.noa, "--if", "subject contains rule", "--do", "move harbour", "--do", "read"
        )
        self.daemon.mail(
            "far@there.example", [self.noa], letter("far@there.example", self.noa, "After the rule")
        )
        tried = self.good("rule", "test", self.noa)
        self.assertEqual(
            (tried["subject"], tried["folder"], tried["read"]), ("Before the rule", "Harbour", True)
        )
        harbour = self.named("Harbour")
        self.phone.sync_all(harbour)
        self.phone.sync_all(self.phone.folder(INBOX))
        self.assertEqual(self.phone.subjects(harbour), ["After the rule"])
        self.assertIn("Before the rule", self.phone.subjects(self.phone.folder(INBOX)))
        # The phone deletes the folder: the rule is off and says why, and mail goes to the Inbox again.
        self.phone.folder_delete(harbour)
        (listed,) = self.good("rule", "list", self.noa)
        self.assertEqual((listed["id"], listed["enabled"]), (rule["id"], False))
        self.assertEqual(listed["problem"], 'The folder "Harbour" was deleted.')
        self.daemon.mail(
            "far@there.example", [self.noa], letter("far@there.example", self.noa, "A rule no more")
        )
        self.phone.sync_all(self.phone.folder(INBOX))
        self.assertIn("A rule no more", self.phone.subjects(self.phone.folder(INBOX)))

    def test_a_phone_teaches_what_is_junk(self) -> None:
        sender = "pills@shop.example"
        for number in (1, 2):
            self.daemon.mail(sender, [self.noa], letter(sender, self.noa, f"Pills {number}"))
        inbox, junk = self.phone.folder(INBOX), self.named("Junk Email")
        self.phone.sync_all(inbox)
        mine = [
            number
            for number, fields in self.phone.mirror[inbox].items()
            if fields[Email.Subject].value.startswith("Pills")
        ]
        self.assertEqual(len(mine), 2)
        self.phone.move_items(*((number, inbox, junk) for number in mine))
        deadline = time.monotonic() + 40
        while self.good("junk", "show", self.noa)["learned_junk"] < 2:
            self.assertLess(time.monotonic(), deadline, self.daemon.said())
            time.sleep(0.5)
        self.daemon.mail(sender, [self.noa], letter(sender, self.noa, "Pills 3"))
        self.phone.sync_all(junk)
        self.assertIn("Pills 3", self.phone.subjects(junk))
