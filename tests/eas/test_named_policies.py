"""Policies by name: each account's own, changed while phones are at it, and phones that cannot comply.
Bare numbers are MS-ASPROV.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.policy import DEFAULT_POLICY, Policy, demand, policy_by_name
from posthouse.eas.services import EasSettings
from posthouse.model import Device, DeviceAccess
from posthouse.store import devices, policies
from posthouse.wbxml.tags import AirSyncBase, FolderHierarchy, Settings
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tree import E
from tests.eas.provisioning import acknowledge, key_of, offer, policy_of
from tests.eas.room import VERSIONS, Room
from tests.eas.test_items import CONTENT, MAIL
from tests.support.store import NOW

FOLDER_SYNC = E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, 0))


class NamedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy_name="default"))

    def save(self, name: str, **settings: Any) -> None:
        self.room.db.write_now(lambda tx: policies.save_policy(tx, name, settings, NOW))

    def assign(self, name: str | None) -> None:
        self.room.db.write_now(lambda tx: policies.assign_policy(tx, self.room.account.id, name))

    def status(self, version: str = "14.1") -> str:
        return self.room.post("FolderSync", FOLDER_SYNC, version).text(FolderHierarchy.Status)


class NameTests(NamedCase):
    def test_none_asks_for_nothing_not_even_for_provision(self) -> None:
        self.assign("none")
        for version in VERSIONS:
            self.assertEqual(self.status(version), "1")
        self.assertEqual(policy_of(self.room.post("Provision", offer())).text(P.Status), "2")

    def test_default_asks_and_restricts_nothing(self) -> None:
        self.assertEqual(self.status(), "142")
        document = policy_of(self.room.post("Provision", offer())).find(P.Data, P.EASProvisionDoc)
        assert document is not None
        self.assertEqual(document.children, DEFAULT_POLICY.document((14, 1)).children)
        self.room.provision()
        self.assertEqual(self.status(), "1")

    def test_an_accounts_own_policy_is_sent(self) -> None:
        self.save(
            "sales",
            AllowCamera=0,
            MinDevicePasswordLength=8,
            UnapprovedInROMApplicationList=["a", "b"],
            ApprovedApplicationList=["0a1b"],
        )
        self.assign("sales")
        document = policy_of(self.room.post("Provision", offer("16.1"), "16.1")).find(
            P.Data, P.EASProvisionDoc
        )
        assert document is not None
        self.assertEqual(document.text(P.AllowCamera), "0")
        self.assertEqual(document.text(P.MinDevicePasswordLength), "8")
        listed = document.find(P.UnapprovedInROMApplicationList)
        assert listed is not None
        self.assertEqual([one.value for one in listed.findall(P.ApplicationName)], ["a", "b"])
        hashed = document.find(P.ApprovedApplicationList, P.Hash)
        self.assertEqual(hashed and hashed.value, "0a1b")

    def test_a_changed_ready_made_policy_counts(self) -> None:
        self.assign("pin")
        self.save("pin", AllowBluetooth=1)
        document = policy_of(self.room.post("Provision", offer())).find(P.Data, P.EASProvisionDoc)
        assert document is not None
        self.assertEqual(
            (document.text(P.AllowBluetooth), document.text(P.DevicePasswordEnabled)), ("1", "0")
        )

    def test_a_policy_that_is_gone_means_the_default_and_never_less(self) -> None:
        self.assertIs(policy_by_name("gone", None), DEFAULT_POLICY)
        self.assertIsNone(policy_by_name("none", None))
        self.assertEqual(policy_by_name("none", '{"AllowCamera": 0}'), None)
        self.assertEqual(policy_by_name("x", '{"AllowCamera": 0}'), Policy({"AllowCamera": 0}))

    def test_an_unset_setting_is_sent_as_an_empty_tag_or_its_default(self) -> None:
        """MS-ASPROV R652, R1044, R1045: also when it was set before."""
        self.save("sales", MinDevicePasswordLength=8, AllowCamera=0)
        self.assign("sales")
        self.room.provision()
        self.save("sales")
        document = policy_of(self.room.post("Provision", offer())).find(P.Data, P.EASProvisionDoc)
        assert document is not None
        unset = document.find(P.MinDevicePasswordLength)
        assert unset is not None
        self.assertIsNone(unset.content)
        self.assertEqual(document.text(P.AllowCamera), "1")


class AttachmentTests(NamedCase):
    """What a policy says of attachments is kept by the server, too."""

    def fetched(self, **settings: int) -> tuple[str, int]:
        """The status of a Fetch at 16.1, the code of a GetAttachment at 12.1."""
        self.save("sales", **settings)
        self.assign("sales")
        self.room.provision()
        reference = f"{self.room.deliver(MAIL).number}:2"
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(AirSyncBase.FileReference, reference))
        new = self.room.post("ItemOperations", E(IO.ItemOperations, fetch), "16.1")
        old = self.room.post("GetAttachment", None, "12.1", parameters={"AttachmentName": reference})
        return new.text(IO.Response, IO.Fetch, IO.Status), old.code

    def test_they_may_be_forbidden(self) -> None:
        """R206, R207."""
        self.assertEqual(self.fetched(AttachmentsEnabled=1), ("1", 200))
        self.assertEqual(self.fetched(AttachmentsEnabled=0), ("16", 403))

    def test_they_may_have_a_limit(self) -> None:
        """2.2.2.35: bytes."""
        self.assertEqual(self.fetched(MaxAttachmentSize=len(CONTENT)), ("1", 200))
        self.assertEqual(self.fetched(MaxAttachmentSize=len(CONTENT) - 1)[0], "11")


class ChangeTests(NamedCase):
    def test_a_changed_policy_asks_again_and_the_new_key_is_another(self) -> None:
        """R693; MS-ASCMD R4914: 144, HTTP 449 at 12.1; R658: the old temporary key is no longer good."""
        self.save("sales", AllowCamera=0)
        self.assign("sales")
        first = self.room.provision()
        self.assertEqual(self.status(), "1")
        self.save("sales", AllowCamera=0, AllowWiFi=0)
        self.assertEqual(self.status(), "144")
        self.assertEqual(self.room.post("FolderSync", FOLDER_SYNC, "12.1").code, 449)
        second = self.room.provision()
        self.assertNotEqual(first, second)
        self.assertEqual(self.status(), "1")

    def test_an_acknowledgement_of_the_policy_before_is_5(self) -> None:
        """R475, R507, R657, R708."""
        self.save("sales", AllowCamera=0)
        self.assign("sales")
        key = key_of(self.room.post("Provision", offer()))
        self.save("sales", AllowCamera=0, AllowWiFi=0)
        self.assertEqual(policy_of(self.room.post("Provision", acknowledge(key))).text(P.Status), "5")

    def test_another_policy_for_the_account_asks_again_and_an_equal_one_does_not(self) -> None:
        self.room.provision()
        self.assign("pin")
        self.assertEqual(self.status(), "144")
        self.room.provision()
        self.save("same", **Policy.of(dict(policy_by_name("pin", None).values)).values)  # type: ignore[union-attr]
        self.assign("same")
        self.assertEqual(self.status(), "1")

    def test_a_ping_without_a_key_hears_of_a_new_policy(self) -> None:
        """R757: a Ping need not name the key."""
        policy = Policy({"AllowCamera": 0})
        device = Device(1, 1, "d", "t", provisioned=True, policy_key=7, policy_hash=policy.digest)
        self.assertEqual(demand(policy, device, 0, "Ping"), 0)
        self.assertEqual(demand(Policy(), device, 0, "Ping"), 143)


class RefusalTests(NamedCase):
    def setUp(self) -> None:
        super().setUp()
        self.save(
            "hard", AllowNonProvisionableDevices=0, AllowExternalDeviceManagement=0, DevicePasswordEnabled=1
        )
        self.assign("hard")

    def test_a_device_that_cannot_comply_is_refused_until_it_can(self) -> None:
        """MS-ASPROV R455, R660 (139); MS-ASCMD R4904 (141)."""
        for said, status in ((2, "139"), (3, "139"), (4, "145")):
            key = key_of(self.room.post("Provision", offer()))
            self.assertEqual(self.room.post("Provision", acknowledge(key, said)).text(P.Status), status)
            self.assertEqual(self.status(), "141")
            self.assertEqual(self.room.post("FolderSync", FOLDER_SYNC, "12.1").code, 449)
        self.room.provision()
        self.assertEqual(self.status(), "1")

    def test_a_refused_device_is_asked_anew_when_the_policy_is_another(self) -> None:
        key = key_of(self.room.post("Provision", offer()))
        self.room.post("Provision", acknowledge(key, 2))
        self.assertEqual(self.status(), "141")
        self.assign("default")
        self.assertEqual(self.status(), "142")

    def test_a_version_without_words_for_a_demand_is_139(self) -> None:
        """MS-ASCMD R4899; HTTP 403 at 12.1 and below."""
        self.save("hard", AllowNonProvisionableDevices=0, AllowCamera=0)
        self.assertEqual(self.room.post("Provision", offer("12.0"), "12.0").code, 403)
        self.assertEqual(policy_of(self.room.post("Provision", offer("12.1"), "12.1")).text(P.Status), "1")
        self.save("hard", AllowCamera=0)
        self.assertEqual(policy_of(self.room.post("Provision", offer("12.0"), "12.0")).text(P.Status), "1")


class NewDeviceTests(NamedCase):
    def test_a_new_device_may_have_to_wait_for_a_word(self) -> None:
        room = self.room
        room.db.write_now(lambda tx: policies.set_new_devices(tx, room.account.id, DeviceAccess.QUARANTINED))
        self.assertEqual(self.status(), "129")
        self.assertEqual(room.post("FolderSync", FOLDER_SYNC, "12.1").code, 403)
        row = room.device().id
        room.db.write_now(lambda tx: devices.update_device(tx, row, access=DeviceAccess.ALLOWED))
        self.assertEqual(self.status(), "142")
        room.db.write_now(lambda tx: policies.set_new_devices(tx, room.account.id, None))

    def test_the_server_may_hold_all_new_devices_and_an_account_lets_its_own_in(self) -> None:
        held = Room(EasSettings(policy=None, hold_new=True))
        response = held.post("FolderSync", FOLDER_SYNC)
        self.assertEqual(response.text(FolderHierarchy.Status), "129")
        held.db.write_now(lambda tx: policies.set_new_devices(tx, held.account.id, DeviceAccess.ALLOWED))
        held.device_id = "PHONE2"
        self.assertEqual(held.post("FolderSync", FOLDER_SYNC).text(FolderHierarchy.Status), "1")


class RecoveryPasswordTests(NamedCase):
    def put(self, password: str) -> str:
        ask = E(
            Settings.Settings, E(Settings.DevicePassword, E(Settings.Set, E(Settings.Password, password)))
        )
        return self.room.post("Settings", ask).text(Settings.DevicePassword, Settings.Status)

    def kept(self) -> bytes | None:
        row = self.room.device().id
        return self.room.db.read_now(lambda tx: devices.load_value(tx, row, "recovery password"))

    def test_is_kept_when_the_policy_says_so(self) -> None:
        """MS-ASCMD R2183, R3660, R3661, R4396, R4400; MS-ASPROV R295."""
        self.save("recover", PasswordRecoveryEnabled=1)
        self.assign("recover")
        self.room.provision()
        self.assertEqual(self.put("geheim-ü"), "1")
        self.assertEqual(self.kept(), "geheim-ü".encode())
        self.assertEqual(self.put("x" * 256), "5")
        self.assertEqual(self.put("x" * 255), "1")
        self.assertEqual(self.put(""), "1")
        self.assertIsNone(self.kept())

    def test_is_denied_otherwise(self) -> None:
        """MS-ASCMD R4402."""
        self.room.provision()
        self.assertEqual(self.put("geheim"), "7")
        self.assertIsNone(self.kept())
