"""Erasing a phone from afar, at every version. Bare numbers are MS-ASPROV."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import DeviceAccess
from posthouse.store import devices
from posthouse.wbxml.tags import FolderHierarchy
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tree import E, Element
from tests.eas.provisioning import offer
from tests.eas.room import VERSIONS, Response, Room

FOLDER_SYNC = E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, 0))


class WipeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.make("14.1")

    def make(self, version: str) -> None:
        self.version = version
        self.room = Room()
        self.room.provision(version)
        self.row = self.room.device().id

    def order(self, kind: str = "device", **more: Any) -> None:
        fields = {"wipe": kind, "wipe_state": "ordered", "wipe_ordered": 5, "wipe_at": 5, **more}
        self.room.db.write_now(lambda tx: devices.update_device(tx, self.row, **fields))

    def provision(self, *children: Element) -> Response:
        return self.room.post("Provision", E(P.Provision, *children), self.version)

    def confirm(self, status: int | str = 1, tag: str = P.RemoteWipe) -> Response:
        return self.provision(E(tag, E(P.Status, str(status))))

    def folder_sync(self) -> Response:
        return self.room.post("FolderSync", FOLDER_SYNC, self.version)

    @property
    def state(self) -> str:
        return self.room.device().wipe_state


class FlowTests(WipeCase):
    def test_the_whole_way_at_every_version(self) -> None:
        """R653, R663, R664, R1041, R1047, MS-ASCMD R5280, R5281, R7561 (403 without a key), R7562 (449 with)."""
        for version in VERSIONS:
            self.make(version)
            self.order()
            if version < "14":
                self.assertEqual(self.folder_sync().code, 449)
                key, self.room.policy_key = self.room.policy_key, 0
                self.assertEqual(self.folder_sync().code, 403)
                self.room.policy_key = key
            else:
                response = self.folder_sync()
                self.assertEqual((response.code, response.text(FolderHierarchy.Status)), (200, "140"))
            self.assertEqual(self.state, "ordered")
            told = self.room.post("Provision", offer(version), version)
            assert told.root is not None
            self.assertEqual([one.tag for one in told.root.children], [P.Status, P.RemoteWipe])
            directive = told.root.find(P.RemoteWipe)
            assert directive is not None
            self.assertEqual((told.text(P.Status), directive.children), ("1", ()))  # R322
            self.assertEqual(self.state, "sent")
            done = self.confirm()
            self.assertEqual(done.text(P.Status), "1")
            assert done.root is not None
            self.assertIsNone(done.root.find(P.RemoteWipe))
            device = self.room.device()
            self.assertEqual((device.wipe_state, device.access), ("acknowledged", DeviceAccess.BLOCKED))
            self.assertEqual((device.policy_key, device.provisioned), (0, False))
            refused = self.folder_sync()
            if version < "14":
                self.assertEqual(refused.code, 403)
            else:
                self.assertEqual(refused.text(FolderHierarchy.Status), "129")

    def test_an_empty_provision_hears_of_it_too(self) -> None:
        """R493."""
        self.order()
        response = self.provision()
        assert response.root is not None
        self.assertEqual(response.text(P.Status), "1")
        self.assertIsNotNone(response.root.find(P.RemoteWipe))

    def test_without_an_order_there_is_no_directive(self) -> None:
        """R654, R66615; also for one that asks for nothing else, as after its removal from the list."""
        for version in VERSIONS:
            empty = self.room.post("Provision", E(P.Provision), version).root
            assert empty is not None
            self.assertEqual([(child.tag, child.value) for child in empty.children], [(P.Status, "1")])
        response = self.room.post("Provision", offer())
        assert response.root is not None
        self.assertIsNone(response.root.find(P.RemoteWipe))
        latest = self.room.post("Provision", offer("16.1"), "16.1")
        assert latest.root is not None
        self.assertIsNone(latest.root.find(P.AccountOnlyRemoteWipe))
        self.assertEqual(self.confirm().text(P.Status), "2")
        self.assertEqual(self.state, "")

    def test_a_failure_is_2_and_the_directive_again(self) -> None:
        """R665, R701, R403; of 2.2.2.54.2: MS-ASPROV R702, R1042, R1048."""
        self.order()
        self.provision()
        for status in (2, "", "x"):
            failed = self.confirm(status)
            self.assertEqual(failed.text(P.Status), "2")
            assert failed.root is not None
            self.assertIsNotNone(failed.root.find(P.RemoteWipe))
            self.assertEqual(self.state, "failed")
        self.provision()
        self.assertEqual(self.state, "failed")
        self.assertEqual(self.confirm().text(P.Status), "1")
        self.assertEqual(self.state, "acknowledged")

    def test_a_repeated_confirmation_is_answered_like_the_first(self) -> None:
        self.order()
        self.provision()
        self.assertEqual([self.confirm().text(P.Status) for _ in range(3)], ["1"] * 3)
        self.assertEqual(self.room.post("Provision", offer()).text(P.Status), "129")

    def test_a_blocked_phone_is_still_erased(self) -> None:
        self.order(access=DeviceAccess.BLOCKED)
        self.assertEqual(self.folder_sync().text(FolderHierarchy.Status), "140")
        response = self.provision()
        assert response.root is not None
        self.assertIsNotNone(response.root.find(P.RemoteWipe))

    def test_a_phone_that_had_been_told_before_the_order_was_taken_back(self) -> None:
        self.order(wipe_state="cancelled")
        self.assertEqual(self.folder_sync().text(FolderHierarchy.Status), "1")
        self.assertEqual(self.confirm(2).text(P.Status), "2")
        self.assertEqual(self.confirm().text(P.Status), "1")
        self.assertEqual(self.state, "acknowledged")

    def test_the_log_of_the_phone_tells_the_steps(self) -> None:
        self.order()
        self.provision()
        self.confirm(2)
        self.confirm(1)
        lines = [line for _, line in self.room.db.read_now(lambda tx: devices.device_log(tx, self.row, 50))]
        steps = [line for line in lines if line.startswith("wipe")]
        self.assertEqual(
            steps, ["wipe (device): acknowledged", "wipe (device): failed", "wipe (device): sent"]
        )


class AccountOnlyTests(WipeCase):
    def setUp(self) -> None:
        self.make("16.1")
        self.order("account")

    def test_takes_the_account_alone(self) -> None:
        """MS-ASPROV R6903, R66601 to R66605, R66609 to R66613."""
        self.assertEqual(self.folder_sync().text(FolderHierarchy.Status), "140")
        told = self.room.post("Provision", offer("16.1"), "16.1")
        assert told.root is not None
        self.assertEqual([one.tag for one in told.root.children], [P.Status, P.AccountOnlyRemoteWipe])
        failed = self.confirm(2, P.AccountOnlyRemoteWipe)
        assert failed.root is not None
        self.assertEqual(failed.text(P.Status), "2")
        self.assertIsNotNone(failed.root.find(P.AccountOnlyRemoteWipe))
        self.assertEqual(self.confirm(1, P.AccountOnlyRemoteWipe).text(P.Status), "1")
        self.assertEqual(self.state, "acknowledged")

    def test_the_confirmation_of_the_other_kind_does_not_count(self) -> None:
        self.provision()
        self.assertEqual(self.confirm(1, P.RemoteWipe).text(P.Status), "2")
        self.assertEqual(self.state, "failed")

    def test_a_phone_that_comes_with_an_older_version_is_kept_out_and_not_erased(self) -> None:
        """R6906: AccountOnlyRemoteWipe is of 16.1."""
        for version in VERSIONS[:-1]:
            self.version = version
            response = self.room.post("Provision", offer(version), version)
            if version < "14":
                self.assertEqual((response.code, response.body), (403, b""))
            else:
                self.assertEqual(response.text(P.Status), "129")
        self.assertEqual(self.state, "ordered")
