"""An administrator and phones, on the real server: quarantine, block, wipe, policies, out of office."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.tags import AirSyncBase, Email
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tags import Settings as S
from posthouse.wbxml.tree import E
from tests.support.eas import Phone, mail_options
from tests.system.house import INBOX, Background, demo_of, letter, phone_of
from tests.system.test_story import until


class PhonesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.ida, self.bruno = self.daemon.account(0)["address"], self.daemon.account(1)["address"]

    def posthouse(self, *words: str) -> Any:
        done = self.daemon.posthouse("--json", *words)
        self.assertEqual((done.returncode, done.stderr), (0, ""), words)
        return json.loads(done.stdout)

    def parked(self, phone: Phone) -> Background:
        """A Ping that waits, as the live view shows."""
        ping = Background(phone.ping, [phone.folder(INBOX)], 600)

        def waits() -> bool:
            rows = self.posthouse("device", "live")
            return any(row["device"] == phone.device_id and row["left"] is not None for row in rows)

        self.assertTrue(until(20, waits), "the Ping is not parked")
        return ping

    def test_a_new_phone_waits_for_a_word(self) -> None:
        self.posthouse("device", "default", "quarantine", self.bruno)
        self.addCleanup(self.posthouse, "device", "default", "server", self.bruno)
        phone = Phone.of_demo(self.daemon.directory / "demo.json", 1, device_id="NEWPHONE01", check=False)
        self.assertEqual(phone.folder_sync("0").text(F.Status), "129")
        (row,) = [one for one in self.posthouse("device", "list") if one["device"] == "NEWPHONE01"]
        self.assertEqual(row["access"], "quarantined")
        self.posthouse("device", "allow", "NEWPHONE01")
        phone.set_up()
        self.assertTrue(phone.folders)

    def test_a_block_ends_a_parked_ping_and_the_next_request_is_refused(self) -> None:
        phone = phone_of(self.daemon, 0, "BLOCKME01")
        phone.sync_all(phone.folder(INBOX), window=512, options=mail_options(1, 100))
        ping = self.parked(phone)
        self.posthouse("device", "block", "BLOCKME01")
        self.assertEqual(ping.result(10), (1, []))
        self.assertEqual(phone.folder_sync().text(F.Status), "129")
        self.posthouse("device", "allow", "BLOCKME01")
        self.assertEqual(phone.folder_sync().text(F.Status), "1")

    def test_a_phone_is_erased_and_says_so(self) -> None:
        phone = phone_of(self.daemon, 0, "WIPEME01")
        phone.sync_all(phone.folder(INBOX), window=512, options=mail_options(1, 100))
        ping = self.parked(phone)
        self.posthouse("device", "wipe", "WIPEME01")
        ping.result(10)
        self.assertEqual(phone.folder_sync().text(F.Status), "140")
        told = phone.command("Provision", E(P.Provision))
        assert told.root is not None
        self.assertIsNotNone(told.root.find(P.RemoteWipe))
        self.assertEqual(self.posthouse("device", "show", "WIPEME01")["wipe"], "device wipe sent")
        done = phone.command("Provision", E(P.Provision, E(P.RemoteWipe, E(P.Status, 1))))
        self.assertEqual(done.text(P.Status), "1")
        shown = self.posthouse("device", "show", "WIPEME01")
        self.assertEqual((shown["wipe"], shown["access"]), ("device wipe acknowledged", "blocked"))
        self.assertEqual(phone.folder_sync().text(F.Status), "129")
        self.posthouse("device", "remove", "WIPEME01")
        phone.folder_key = "0"
        self.assertEqual(phone.set_up().folder_sync().text(F.Status), "1")

    def test_a_changed_policy_reaches_a_phone_that_waits(self) -> None:
        phone = phone_of(self.daemon, 1, "POLICY01")
        phone.sync_all(phone.folder(INBOX), window=512, options=mail_options(1, 100))
        ping = self.parked(phone)
        self.posthouse("policy", "set", "sales", "AllowCamera=0", "--like", "pin")
        self.posthouse("policy", "assign", "sales", self.bruno)
        self.addCleanup(self.posthouse, "policy", "assign", "server", self.bruno)
        ping.result(10)
        self.assertEqual(phone.folder_sync().text(F.Status), "144")
        phone.provision()
        self.assertEqual(phone.folder_sync().text(F.Status), "1")

    def test_out_of_office_set_on_the_phone_answers_a_stranger_once(self) -> None:
        phone = phone_of(self.daemon, 1, "AWAY01")
        message = E(
            S.OofMessage,
            E(S.AppliesToExternalUnknown),
            E(S.Enabled, 1),
            E(S.ReplyMessage, "Back on Monday."),
            E(S.BodyType, "Text"),
        )
        ask = E(S.Settings, E(S.Oof, E(S.Set, E(S.OofState, 1), message)))
        self.assertEqual(phone.command("Settings", ask).text(S.Oof, S.Status), "1")
        self.assertEqual(self.posthouse("oof", "show", self.bruno)["unknown"], "Back on Monday.")
        for number in range(3):
            subject = f"Question {number}"
            self.daemon.mail(
                "stranger@away.example", [self.bruno], letter("stranger@away.example", self.bruno, subject)
            )
        self.posthouse("oof", "off", self.bruno)
        self.daemon.mail("late@away.example", [self.bruno], letter("late@away.example", self.bruno, "Late"))
        # The demo catches what would go out, in the first administrator's folder.
        desk = phone_of(self.daemon, 0, "DESK01")

        def caught() -> list[str]:
            desk.folder_sync()
            folders = [number for number, one in desk.folders.items() if one.name == "Caught mail"]
            if not folders:
                return []
            desk.sync_all(folders[0], window=512, options=mail_options(1))
            rows = desk.mirror[folders[0]].values()
            self.bodies = [row[AirSyncBase.Body].text(AirSyncBase.Data) or "" for row in rows]
            return [row[Email.Subject].value for row in rows if row[Email.Subject].value.startswith("Auto:")]

        self.assertTrue(until(20, caught))
        self.assertEqual(caught(), ["Auto: Question 0"])
        self.assertTrue(any("Back on Monday." in body for body in self.bodies))
