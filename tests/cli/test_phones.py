"""Policies, phones and out of office on the command line, without a running server."""

from __future__ import annotations

import json

from posthouse.store import accounts, devices
from posthouse.store.inline import InlineDatabase
from tests.cli.test_main import CommandCase

NOW = 1_790_000_000_000


class PhonesTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.init()
        self.good("domain", "add", "example.org")
        self.good("user", "add", "ann@example.org", "--generate")

    def see(self) -> None:
        db = InlineDatabase(self.data / "posthouse.db").open()
        try:

            def see(tx):  # type: ignore[no-untyped-def]
                account = accounts.account_by_address(tx, "ann@example.org")
                assert account is not None
                devices.seen_device(tx, account.id, "ABC123", "Phone", "Agent/1", "14.1", NOW)

            db.write_now(see)
        finally:
            db.close()

    def test_a_policy_is_made_given_and_shown(self) -> None:
        self.good("policy", "set", "sales", "AllowCamera=0", "MinDevicePasswordLength=8", "--like", "pin")
        self.good("policy", "assign", "sales", "ann@example.org")
        shown = json.loads(self.good("--json", "policy", "show", "sales"))
        self.assertEqual((shown["AllowCamera"], shown["MinDevicePasswordLength"]), (0, 8))
        self.assertRegex(
            self.good("policy", "list"), r"sales +no +your own .*AllowCamera=0.*ann@example\.org"
        )
        self.assertIn("AllowBluetooth", self.good("policy", "show", "sales", "--all"))
        code, _, err = self.run_main("policy", "set", "sales", "AlowCamera=1")
        self.assertEqual((code, 'did you mean "AllowCamera"' in err), (1, True))

    def test_orders_to_a_phone(self) -> None:
        self.see()
        self.assertIn("allowed", self.good("device", "list"))
        self.good("device", "quarantine", "1")
        self.good("device", "allow", "abc123", "--user", "ann@example.org")
        self.good("device", "resync", "ABC123", "--folder", "Inbox")
        self.good("device", "ceiling", "ABC123", "14.0")
        code, _, err = self.run_main("device", "wipe-account", "ABC123")
        self.assertEqual((code, "speaks protocol 14.1" in err), (1, True))
        self.good("device", "wipe", "ABC123")
        out = self.good("device", "show", "ABC123")
        self.assertRegex(out, r"wipe: +device wipe ordered\n")
        self.assertRegex(out, r"wipe_ordered: +20\d\d-")
        self.good("device", "wipe-cancel", "ABC123")
        self.good("device", "remove", "ABC123")
        self.assertIn("(none)", self.good("device", "list"))
        self.assertIn("(none)", self.good("device", "live"))

    def test_out_of_office(self) -> None:
        out = self.good(
            "oof",
            "set",
            "ann@example.org",
            "--message",
            "Away",
            "--from",
            "2026-12-24",
            "--until",
            "2027-01-04",
        )
        self.assertRegex(out, r"end: +2027-01-04 00:00:00 UTC")
        self.assertRegex(self.good("oof", "off", "ann@example.org"), r"out_of_office: +off")
        self.assertRegex(self.good("oof", "show", "ann@example.org"), r"unknown: +Away")
