"""What an administrator decides about phones, on a real store without threads."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from posthouse.errors import Conflict, Malformed, NoSuchFolder, NoSuchThing, NotPermitted
from posthouse.model import DeviceAccess, FolderType
from posthouse.store import devices, folders, policies
from tests.admin.test_operations import NOW, OperationsCase


class OrdersCase(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.released: list[int] = []
        self.ports = evolve(self.ports, release=self.released.append)
        self.account = self.user()
        self.device = self.see("ABC123")

    def see(self, name: str, protocol: str = "16.1") -> Any:
        return self.db.write_now(
            lambda tx: devices.seen_device(tx, self.account.id, name, "Phone", "Agent/1", protocol, NOW)
        )

    def now(self) -> Any:
        return self.db.read_now(lambda tx: devices.device_by_id(tx, self.device.id))

    def order(self, name: str, **more: Any) -> Any:
        return self.run_op(f"device {name}", device="abc123", **more)

    def inbox(self) -> Any:
        return self.db.read_now(
            lambda tx: folders.folder_of_type(tx, self.account.mailbox_id, FolderType.INBOX)
        )


class AccessTests(OrdersCase):
    def test_block_quarantine_and_allow_hold_at_once(self) -> None:
        for word, access in (
            ("block", DeviceAccess.BLOCKED),
            ("quarantine", DeviceAccess.QUARANTINED),
            ("allow", DeviceAccess.ALLOWED),
        ):
            self.order(word)
            self.assertEqual(self.now().access, access)
        self.assertEqual(self.released, [self.device.id] * 3)
        self.assertIn("access: allowed", str(self.order("log")))

    def test_what_becomes_of_new_phones(self) -> None:
        rule = lambda: self.db.read_now(  # noqa: E731
            lambda tx: policies.rule_for(tx, self.account.id, "default").new_devices
        )
        self.run_op("device default", access="quarantine", address="ann@example.org")
        self.assertEqual(rule(), DeviceAccess.QUARANTINED)
        self.run_op("device default", access="server", address="ann@example.org")
        self.assertIsNone(rule())
        self.assertEqual(self.released, [])
        self.run_op("device default", access="none", address="ann@example.org")
        self.assertEqual(rule(), DeviceAccess.BLOCKED)
        self.assertEqual(self.released, [self.device.id])
        self.refused(Malformed, "device default", access="block", address="ann@example.org")

    def test_a_ceiling(self) -> None:
        self.order("ceiling", version="14.1")
        self.assertEqual(self.now().version_ceiling, "14.1")
        self.order("ceiling", version="none")
        self.assertEqual(self.now().version_ceiling, "")
        self.refused(Malformed, "device ceiling", device="abc123", version="15.0")


class BeginAnewTests(OrdersCase):
    def setUp(self) -> None:
        super().setUp()
        inbox = self.inbox()

        def fill(tx: Any) -> None:
            for name in ("F", str(inbox.number), "99"):
                devices.save_state(tx, self.device.id, name, "", b"", "k", b"x", NOW)
            devices.set_aside(tx, self.device.id, inbox.id, 7, "broken", NOW)
            devices.save_value(tx, self.device.id, "ping", b"x")
            devices.update_device(tx, self.device.id, provisioned=True, policy_key=5, version_ceiling="14.1")

        self.db.write_now(fill)

    def states(self) -> list[str]:
        rows = self.db.read_now(lambda tx: devices.states(tx, self.device.id))
        return [row.collection for row in rows]

    def test_resync_keeps_the_folders_and_drops_what_is_in_them(self) -> None:
        self.assertEqual(self.order("resync")["folders"], 2)
        self.assertEqual(self.states(), ["F"])
        self.assertEqual(self.order("show")["aside"], [])
        self.assertEqual(self.released, [self.device.id])

    def test_resync_of_one_folder_by_name_or_number(self) -> None:
        self.order("resync", folder="inBOX")
        self.assertEqual(self.states(), ["99", "F"])
        names = (str(self.inbox().number), "99")
        forgotten = self.db.read_now(
            lambda tx: [devices.is_forgotten(tx, self.device.id, name) for name in names]
        )
        self.assertEqual(forgotten, [True, False])
        self.order("resync", folder=str(self.inbox().number))
        self.refused(NoSuchFolder, "device resync", device="abc123", folder="Nowhere")

    def test_reset_forgets_everything_but_decisions(self) -> None:
        self.order("reset")
        self.assertEqual(self.states(), [])
        device = self.now()
        self.assertEqual((device.provisioned, device.policy_key, device.version_ceiling), (False, 0, "14.1"))

    def test_remove(self) -> None:
        self.order("remove")
        self.assertEqual(self.run_op("device list"), [])
        self.assertEqual(self.released, [self.device.id])

    def test_items_set_aside_are_listed_and_offered_again(self) -> None:
        (row,) = self.order("show")["aside"]
        self.assertEqual(
            (row["number"], row["folder"], row["reason"], row["at"]), (7, "Inbox", "broken", NOW)
        )
        self.assertEqual(self.order("retry", number=8)["offered"], 0)
        self.assertEqual(self.order("retry")["offered"], 1)
        self.assertEqual(self.order("show")["aside"], [])


class WipeTests(OrdersCase):
    def test_order_and_cancel(self) -> None:
        self.order("wipe")
        shown = self.order("show")
        self.assertEqual(
            (shown["wipe"], shown["wipe_ordered"], shown["wipe_at"]), ("device wipe ordered", NOW, NOW)
        )
        self.assertTrue(self.now().wipe_pending)
        self.assertEqual(self.order("wipe-cancel")["was_told_already"], False)
        self.assertFalse(self.now().wipe_pending)
        self.refused(Conflict, "device wipe-cancel", device="abc123")
        self.assertEqual(self.released, [self.device.id] * 2)

    def state(self, state: str) -> None:
        self.db.write_now(
            lambda tx: devices.update_device(tx, self.device.id, wipe="device", wipe_state=state)
        )

    def test_an_order_that_the_phone_has_heard_may_be_taken_back(self) -> None:
        for state in ("sent", "failed"):
            self.state(state)
            self.assertEqual(self.order("wipe-cancel")["was_told_already"], True)

    def test_after_the_confirmation_nothing_is_taken_back(self) -> None:
        self.state("acknowledged")
        self.assertIn("erased already", self.refused(Conflict, "device wipe-cancel", device="abc123"))
        self.refused(Conflict, "device wipe", device="abc123")

    def test_an_erased_phone_may_come_back(self) -> None:
        self.state("acknowledged")
        self.order("allow")
        self.assertEqual((self.now().wipe, self.now().wipe_state), ("", ""))

    def test_a_phone_with_an_order_is_not_allowed_by_the_way(self) -> None:
        self.order("wipe")
        self.assertIn("wipe-cancel", self.refused(Conflict, "device allow", device="abc123"))

    def test_account_only_needs_16_1(self) -> None:
        self.order("wipe-account")
        self.assertEqual(self.now().wipe, "account")
        self.see("OLD", "14.1")
        sentence = self.refused(NotPermitted, "device wipe-account", device="OLD")
        self.assertIn("speaks protocol 14.1", sentence)
        self.assertIn("device block", sentence)
        self.order("ceiling", version="16.0")
        self.refused(NotPermitted, "device wipe-account", device="abc123")


class ShowTests(OrdersCase):
    def test_the_policy_that_holds(self) -> None:
        self.assertEqual(self.order("show")["policy"], "default")
        self.db.write_now(lambda tx: policies.assign_policy(tx, self.account.id, "gone"))
        self.assertEqual(self.order("show")["policy"], "default (gone does not exist)")

    def test_a_recovery_password_is_shown_on_demand_only(self) -> None:
        self.refused(NoSuchThing, "device password", device="abc123")
        self.db.write_now(lambda tx: devices.save_value(tx, self.device.id, "recovery password", b"geheim"))
        self.assertTrue(self.order("show")["recovery_password"] is True)
        self.assertEqual(self.order("password")["recovery_password"], "geheim")

    def test_nobody_is_connected_when_the_server_is_down(self) -> None:
        self.assertEqual(self.run_op("device live"), [])
