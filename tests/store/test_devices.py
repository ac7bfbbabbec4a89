"""What is kept for a device."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import NoSuchThing
from posthouse.model import DeviceAccess
from posthouse.store import devices
from tests.support.store import NOW, make_account, make_database


class DeviceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.device = self.see("dev1")

    def see(self, name: str, agent: str = "Agent/1", now: int = NOW) -> Any:
        return self.write(devices.seen_device, self.account.id, name, "Phone", agent, "14.1", now)

    def write(self, function: Any, *arguments: Any, **fields: Any) -> Any:
        return self.db.write_now(lambda tx: function(tx, *arguments, **fields))

    def read(self, function: Any, *arguments: Any) -> Any:
        return self.db.read_now(lambda tx: function(tx, *arguments))

    def test_a_device_is_one_however_often_it_comes(self) -> None:
        again = self.see("dev1", "Agent/2", NOW + 5)
        self.assertEqual(again.id, self.device.id)
        self.assertEqual((again.user_agent, again.first_seen, again.last_seen), ("Agent/2", NOW, NOW + 5))
        other = self.see("DEV1")
        self.assertEqual(
            [d.id for d in self.read(devices.devices, self.account.id)], [self.device.id, other.id]
        )
        self.assertEqual(len(self.read(devices.devices)), 2)
        self.assertEqual(self.read(devices.find_device, self.account.id, "DEV1", "Phone"), other)
        self.assertIsNone(self.read(devices.find_device, self.account.id, "x", "Phone"))

    def test_fields_change_by_name(self) -> None:
        fields = {
            "policy_key": 5, "pending_policy_key": 6, "provisioned": True, "access": DeviceAccess.BLOCKED,
            "trace": True, "information": {"Model": "Ü\0"}, "last_error": "e", "version_ceiling": "14.0",
        }  # fmt: skip
        self.write(devices.update_device, self.device.id, **fields)
        now = self.read(devices.device_by_id, self.device.id)
        for name, value in fields.items():
            self.assertEqual(getattr(now, name), value if name != "information" else now.information)
        self.assertEqual(now.information["Model"][0], "Ü")
        self.assertRaises(NoSuchThing, self.write, devices.update_device, 999, policy_key=1)
        self.assertRaises(ValueError, self.write, devices.update_device, self.device.id, account_id=2)

    def test_two_generations_of_state(self) -> None:
        me = self.device.id
        self.assertIsNone(self.read(devices.load_state, me, "5"))
        self.write(devices.save_state, me, "5", "", b"", "k1", b"one", NOW)
        self.write(devices.save_state, me, "5", "k1", b"one", "k2", b"two", NOW)
        self.write(devices.save_state, me, "7", "", b"", "k1", b"x", NOW)
        self.assertEqual(
            self.read(devices.load_state, me, "5"), devices.StateRow("5", "k1", b"one", "k2", b"two")
        )
        self.assertEqual([row.collection for row in self.read(devices.states, me)], ["5", "7"])
        self.write(devices.drop_state, me, "5")
        self.assertEqual([row.collection for row in self.read(devices.states, me)], ["7"])
        self.write(devices.drop_state, me)
        self.assertEqual(self.read(devices.states, me), [])
        self.assertRaises(NoSuchThing, self.write, devices.save_state, 99, "5", "", b"", "k", b"", NOW)

    def test_small_values(self) -> None:
        me = self.device.id
        self.write(devices.save_value, me, "ping", b"a")
        self.write(devices.save_value, me, "ping", b"b")
        self.assertEqual(self.read(devices.load_value, me, "ping"), b"b")
        self.write(devices.save_value, me, "ping", None)
        self.assertIsNone(self.read(devices.load_value, me, "ping"))

    def test_a_send_is_recognised_by_client_id_and_content(self) -> None:
        send = lambda name, digest: self.write(  # noqa: E731
            devices.remember_send, self.device.id, name, digest, NOW
        )
        self.assertTrue(send("1", b"a"))
        self.assertFalse(send("1", b"a"))
        self.assertTrue(send("1", b"b"))  # ClientIds restart: equal content only
        self.assertTrue(self.write(devices.remember_send, self.see("x").id, "1", b"a", NOW))
        for number in range(20):
            self.assertTrue(send(str(number), b"new"))
        self.assertTrue(send("1", b"a"))  # older than the last twenty
        count = self.read(lambda tx: tx.value("SELECT count(*) FROM device_send WHERE device = 1"))
        self.assertEqual(count, devices.SENDS_KEPT)

    def test_items_set_aside_are_listed_and_offered_again(self) -> None:
        me = self.device.id
        for where, number in ((1, 5), (1, 6), (2, 5)):
            self.write(devices.set_aside, me, where, number, "broken", NOW)
        self.write(devices.set_aside, me, 1, 5, "still broken", NOW + 1)
        first = self.read(devices.aside, me, 1)
        self.assertEqual([(a.number, a.reason) for a in first], [(5, "still broken"), (6, "broken")])
        self.assertEqual(self.write(devices.offer_again, me, 1, 5), 1)
        self.assertEqual(len(self.read(devices.aside, me)), 2)
        self.assertEqual(self.write(devices.offer_again, me), 2)

    def test_the_log_keeps_the_last_lines(self) -> None:
        for number in range(devices.LINES_KEPT + 10):
            self.write(devices.log_device, self.device.id, f"line {number}", NOW + number)
        lines = self.read(devices.device_log, self.device.id, 999)
        self.assertEqual((len(lines), lines[0][1]), (devices.LINES_KEPT, f"line {devices.LINES_KEPT + 9}"))

    def test_a_forgotten_device_comes_back_as_a_new_one(self) -> None:
        me = self.device.id
        self.write(devices.save_state, me, "5", "", b"", "k1", b"one", NOW)
        self.write(devices.delete_device, me)
        self.assertIsNone(self.read(devices.device_by_id, me))
        again = self.see("dev1")
        self.assertGreater(again.id, me)
        self.assertEqual(self.read(devices.states, again.id), [])
