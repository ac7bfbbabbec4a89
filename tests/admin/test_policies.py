"""Policies and absences by the administrator's hand."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from posthouse.errors import Conflict, Malformed, NoSuchThing, NotPermitted
from posthouse.policy import SETTINGS
from posthouse.store import absence, devices
from posthouse.store.absence import Message, State
from tests.admin.test_operations import NOW, OperationsCase


class PolicyTests(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.released: list[int] = []
        self.ports = evolve(self.ports, release=self.released.append)
        self.account = self.user()
        self.device = self.db.write_now(
            lambda tx: devices.seen_device(tx, self.account.id, "ABC", "Phone", "", "16.1", NOW)
        )

    def row(self, name: str) -> dict[str, Any]:
        return next(one for one in self.run_op("policy list") if one["policy"] == name)

    def test_ready_made_ones_are_there(self) -> None:
        self.assertEqual(
            [one["policy"] for one in self.run_op("policy list")], ["none", "default", "pin", "strict"]
        )
        self.assertEqual(self.row("default")["users"], ["ann@example.org"])
        self.assertEqual(self.run_op("policy show", name="Strict")["AllowNonProvisionableDevices"], 0)
        self.assertEqual(list(self.run_op("policy show", name="default", all=True)), list(SETTINGS))

    def test_made_assigned_changed_and_deleted(self) -> None:
        made = self.run_op("policy set", name="Sales", settings=["AllowCamera=0"], like="pin")
        self.assertEqual(
            (made["policy"], made["AllowCamera"], made["DevicePasswordEnabled"]), ("sales", 0, 1)
        )
        self.assertEqual(self.released, [])
        self.run_op("policy assign", name="sales", address="ann@example.org")
        self.assertEqual(self.released, [self.device.id])
        self.assertEqual(
            (self.row("sales")["users"], self.row("default")["users"]), (["ann@example.org"], [])
        )
        changed = self.run_op("policy set", name="sales", settings=["AllowCamera="])
        self.assertNotIn("AllowCamera", changed)
        self.assertEqual(changed["DevicePasswordEnabled"], 1)
        self.assertEqual(self.released, [self.device.id] * 2)
        self.refused(Conflict, "policy delete", name="sales")
        self.run_op("policy assign", name="server", address="ann@example.org")
        self.run_op("policy delete", name="sales")
        self.refused(NoSuchThing, "policy show", name="sales")

    def test_a_ready_made_one_may_be_changed_and_restored(self) -> None:
        self.run_op("policy assign", name="pin", address="ann@example.org")
        self.run_op("policy set", name="pin", settings=["MinDevicePasswordLength=8"])
        self.assertEqual(self.row("pin")["kind"], "changed by you")
        self.run_op("policy delete", name="pin")
        self.assertEqual(self.run_op("policy show", name="pin")["MinDevicePasswordLength"], 4)
        self.refused(NotPermitted, "policy delete", name="pin")
        self.assertEqual(self.released, [self.device.id] * 3)

    def test_what_is_fixed_stays(self) -> None:
        for name in ("none", "default"):
            self.refused(NotPermitted, "policy set", name=name, settings=["AllowCamera=0"])

    def test_the_configured_one_is_not_deleted(self) -> None:
        self.run_op("policy set", name="house", settings=["AllowCamera=0"])
        self.ports = evolve(self.ports, default_policy="house")
        self.refused(Conflict, "policy delete", name="house")
        self.run_op("policy set", name="house", settings=["AllowCamera=1"])
        self.assertEqual(self.released, [self.device.id])

    def test_what_is_wrong_changes_nothing(self) -> None:
        self.refused(Malformed, "policy set", name="x", settings=["AllowCamera=0", "AllowCamera=7"])
        self.refused(Malformed, "policy set", name="x", settings=[])
        self.refused(Malformed, "policy set", name="x y", settings=["AllowCamera=0"])
        self.refused(NoSuchThing, "policy set", name="x", settings=[], like="y")
        self.refused(NoSuchThing, "policy assign", name="x", address="ann@example.org")
        self.assertEqual(len(self.run_op("policy list")), 4)


class AbsenceTests(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.account = self.user()

    def oof(self, verb: str, **more: Any) -> Any:
        return self.run_op(f"oof {verb}", address="ann@example.org", **more)

    def kept(self) -> absence.Absence:
        return self.db.read_now(lambda tx: absence.absence_of(tx, self.account.mailbox_id))

    def test_on_and_off(self) -> None:
        shown = self.oof("set", message="Away", internal="Gone fishing", unknown="")
        self.assertEqual(
            [shown[key] for key in ("out_of_office", "answers_now", "internal", "known", "unknown")],
            ["on", True, "Gone fishing", "Away", None],
        )
        self.assertEqual(self.oof("off")["out_of_office"], "off")
        self.assertEqual(self.kept().internal, Message(True, "Gone fishing"))
        self.assertEqual(self.oof("show")["answers_now"], False)

    def test_with_times_in_any_zone(self) -> None:
        shown = self.oof("set", message="Away", start="2026-09-21", end="2026-09-22T02:00+02:00")
        self.assertEqual((shown["out_of_office"], shown["end"] - shown["start"]), ("timed", 24 * 3600 * 1000))
        self.assertEqual(self.kept().state, State.TIMED)
        self.oof("set")
        self.assertEqual((self.kept().state, self.kept().start), (State.ON, None))

    def test_what_is_wrong(self) -> None:
        for more in (
            {},
            {"message": "x", "start": "2026-09-21"},
            {"message": "x", "start": "2026-09-22", "end": "2026-09-21"},
            {"message": "x", "start": "soon", "end": "later"},
        ):
            self.refused(Malformed, "oof set", address="ann@example.org", **more)
        self.assertEqual(self.kept().state, State.OFF)
