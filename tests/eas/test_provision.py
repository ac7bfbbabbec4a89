"""Provisioning in two phases, at every version. Bare numbers are MS-ASPROV."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.policy import FIELDS, Policy, demand
from posthouse.eas.services import EasSettings
from posthouse.model import Device
from posthouse.store import devices
from posthouse.wbxml.tags import FolderHierarchy, Settings
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tree import E
from tests.eas.provisioning import acknowledge, information, key_of, offer, policy_of
from tests.eas.room import VERSIONS, Room

FOLDER_SYNC = E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, 0))


class FlowTests(SynchronousTestCase):
    def test_both_phases_at_every_version(self) -> None:
        """R209, R310, R378, R394, R417, R419, R441, R466, R486, R495, R601, R605, R678, R688, R703, R888; and of
        MS-ASPROV R650, R662: the first key is good for the acknowledgement alone, the second for what follows.
        """
        for version in VERSIONS:
            room = Room()
            first = room.post("Provision", offer(version), version)
            self.assertEqual(first.text(P.Status), "1")
            self.assertEqual(policy_of(first).text(P.Status), "1")
            temporary = key_of(first)
            self.assertTrue(temporary)
            self.assertEqual(policy_of(first).text(P.PolicyType), "MS-EAS-Provisioning-WBXML")
            parts = [P.PolicyType, P.Status, P.PolicyKey, P.Data]
            self.assertEqual([one.tag for one in policy_of(first).children], parts)
            room.policy_key = temporary
            early = room.post("FolderSync", FOLDER_SYNC, version)
            self.assertEqual(
                (early.code, early.text(FolderHierarchy.Status)),
                (200, "142") if version >= "14" else (449, ""),
            )
            room.policy_key = 0
            document = policy_of(first).find(P.Data, P.EASProvisionDoc)
            assert document is not None
            self.assertEqual(document.text(P.DevicePasswordEnabled), "0")
            self.assertEqual(document.find(P.AllowCamera) is not None, version != "12.0")
            second = room.post("Provision", acknowledge(temporary), version)
            self.assertEqual(policy_of(second).text(P.Status), "1")
            self.assertEqual([one.tag for one in policy_of(second).children], parts[:3])
            self.assertNotEqual(key_of(second), temporary)
            room.policy_key = key_of(second)
            self.assertEqual(room.post("FolderSync", FOLDER_SYNC, version).text(FolderHierarchy.Status), "1")
            self.assertTrue(room.device().provisioned)

    def test_device_information_is_answered_and_kept(self) -> None:
        room = Room()
        first = room.post("Provision", offer("16.1"), "16.1")
        self.assertEqual(first.text(Settings.DeviceInformation, Settings.Status), "1")
        self.assertEqual(room.device().information, {"Model": "Phone"})

    def test_device_information_is_required_from_14_1(self) -> None:
        room = Room()
        bare = E(P.Provision, E(P.Policies, E(P.Policy, E(P.PolicyType, "MS-EAS-Provisioning-WBXML"))))
        self.assertEqual(room.post("Provision", bare, "14.1").text(P.Status), "165")
        self.assertEqual(room.post("Provision", bare, "14.0").text(P.Status), "1")
        # Known already: a renewed request need not repeat it.
        room.post("Provision", offer("14.1"), "14.1")
        self.assertEqual(room.post("Provision", bare, "14.1").text(P.Status), "1")

    def test_device_information_may_come_alone(self) -> None:
        response = Room().post("Provision", E(P.Provision, information()), "14.1")
        self.assertEqual(response.text(P.Status), "1")

    def test_a_wrong_temporary_key_is_5(self) -> None:
        """R382, R692, R695, R761."""
        room = Room()
        first = room.post("Provision", offer())
        wrong = room.post("Provision", acknowledge(key_of(first) ^ 1))
        self.assertEqual(policy_of(wrong).text(P.Status), "5")
        self.assertFalse(room.device().provisioned)

    def test_a_repeated_acknowledgement_gives_the_same_key(self) -> None:
        room = Room()
        temporary = key_of(room.post("Provision", offer()))
        final = key_of(room.post("Provision", acknowledge(temporary)))
        self.assertNotEqual(final, temporary)
        self.assertEqual(key_of(room.post("Provision", acknowledge(temporary))), final)

    def test_provisioning_again_keeps_the_key(self) -> None:
        room = Room()
        final = room.provision()
        self.assertEqual(room.provision(), final)

    def test_a_repeated_offer_has_the_same_temporary_key(self) -> None:
        room = Room()
        self.assertEqual(key_of(room.post("Provision", offer())), key_of(room.post("Provision", offer())))

    def test_another_policy_type_is_3(self) -> None:
        """R380, R471, R502."""
        for kind in ("MS-WAP-Provisioning-XML", "", "x"):
            response = Room().post("Provision", offer(kind=kind))
            self.assertEqual(policy_of(response).text(P.Status), "3")

    def test_no_policy_is_2_and_nothing_is_demanded(self) -> None:
        room = Room(EasSettings(policy=None))
        self.assertEqual(policy_of(room.post("Provision", offer())).text(P.Status), "2")
        self.assertEqual(room.post("FolderSync", FOLDER_SYNC).text(FolderHierarchy.Status), "1")

    def test_a_malformed_request_is_2(self) -> None:
        """R497, R679."""
        room = Room()
        for root in (
            E(P.Provision, E(P.Policies), E(P.Policies)),
            E(P.Provision, E(P.Policies)),
            E(P.Provision, E(P.Policies, E(P.Policy))),
            acknowledge(5, "x"),
            E(P.Provision, E(P.RemoteWipe, E(P.Status, 1))),
        ):
            self.assertEqual(room.post("Provision", root).text(P.Status), "2", root)

    def test_acknowledgement_statuses(self) -> None:
        """R455, R461, R681, R684, R686, R687, R697, R1046: 139 and 145 where the server does not allow it."""
        strict = EasSettings(policy=Policy(allow_partial=False, allow_external=False))
        for status, expected in ((2, "139"), (3, "139"), (4, "145")):
            lenient = Room()
            key = key_of(lenient.post("Provision", offer()))
            self.assertEqual(
                policy_of(lenient.post("Provision", acknowledge(key, status))).text(P.Status), "1"
            )
            room = Room(strict)
            key = key_of(room.post("Provision", offer()))
            self.assertEqual(room.post("Provision", acknowledge(key, status)).text(P.Status), expected)
            self.assertFalse(room.device().provisioned)
            old = Room(strict)
            key = key_of(old.post("Provision", offer("12.1"), "12.1"))
            self.assertEqual(old.post("Provision", acknowledge(key, status), "12.1").code, 403)


class DocumentTests(SynchronousTestCase):
    def test_an_unset_setting_is_an_empty_tag(self) -> None:
        """MS-ASPROV R652."""
        document = Policy().document((14, 1))
        found = document.find(P.MinDevicePasswordLength)
        assert found is not None
        self.assertIsNone(found.content)

    def test_values_replace_what_nothing_demands(self) -> None:
        document = Policy({"DevicePasswordEnabled": 1, "MinDevicePasswordLength": 6}).document((16, 1))
        self.assertEqual(document.text(P.DevicePasswordEnabled), "1")
        self.assertEqual(document.text(P.MinDevicePasswordLength), "6")
        self.assertEqual([child.tag for child in document.children], [tag for tag, _, _ in FIELDS])

    def test_the_digest_names_the_values(self) -> None:
        self.assertEqual(Policy({"a": 1, "b": 2}).digest, Policy({"b": 2, "a": 1}).digest)
        self.assertNotEqual(Policy({"a": 1}).digest, Policy().digest)


class DemandTests(SynchronousTestCase):
    def test_the_matrix(self) -> None:
        # Rule 23 of the sync model.
        """R682: 141."""
        policy = Policy()
        new = Device(1, 1, "d", "t")
        known = evolve(new, provisioned=True, policy_key=7, policy_hash=policy.digest)
        self.assertEqual(demand(None, new, 0), 0)
        self.assertEqual(demand(policy, new, 0), 142)
        self.assertEqual(demand(policy, new, 7), 142)
        self.assertEqual(demand(policy, known, 7), 0)
        self.assertEqual(demand(policy, known, 0), 142)
        strict = Policy(allow_partial=False)
        held = evolve(known, policy_hash=strict.digest)
        self.assertEqual(demand(strict, held, 0), 141)  # MS-ASPROV R458, R685
        self.assertEqual(demand(policy, known, 8), 144)
        self.assertEqual(demand(policy, known, 0, "Ping"), 0)
        self.assertEqual(demand(policy, known, 8, "Ping"), 144)
        self.assertEqual(demand(policy, new, 0, "Ping"), 142)
        self.assertEqual(demand(Policy({"AllowCamera": 0}), known, 7), 144)


class EnforcementTests(SynchronousTestCase):
    def test_a_new_device_is_told_to_provision_in_its_versions_terms(self) -> None:
        # Rule 23 of the sync model.
        """Rule 23, R509: HTTP 449 at 12.1 and below, 200 with the status above."""
        for version in VERSIONS:
            response = Room().post("FolderSync", FOLDER_SYNC, version)
            if version < "14":
                self.assertEqual((response.code, response.body), (449, b""))
            else:
                self.assertEqual((response.code, response.text(FolderHierarchy.Status)), (200, "142"))

    def test_settings_is_no_exception(self) -> None:
        room = Room()
        ask = E(Settings.Settings, E(Settings.UserInformation, E(Settings.Get)), information())
        self.assertEqual(room.post("Settings", ask).text(Settings.Status), "142")
        self.assertEqual(
            room.post("Settings", E(Settings.Settings, information())).text(Settings.Status), "1"
        )

    def test_missing_and_wrong_keys(self) -> None:
        """R537."""
        room = Room()
        key = room.provision()
        room.policy_key = 0
        self.assertEqual(room.post("FolderSync", FOLDER_SYNC).text(FolderHierarchy.Status), "142")
        room.policy_key = key ^ 1
        self.assertEqual(room.post("FolderSync", FOLDER_SYNC).text(FolderHierarchy.Status), "144")
        self.assertEqual(room.post("FolderSync", FOLDER_SYNC, "12.1").code, 449)
        for text in ("abc", "-5", "99999999999999"):
            response = room.post("FolderSync", FOLDER_SYNC, headers={"X-MS-PolicyKey": text})
            self.assertEqual(response.text(FolderHierarchy.Status), "144")

    def test_a_client_of_the_table_gets_the_449_line_with_the_same_body(self) -> None:
        room = Room(agent="Apple-iPhone4C1/1002.329")
        response = room.post("FolderSync", FOLDER_SYNC)
        self.assertEqual((response.code, response.text(FolderHierarchy.Status)), (449, "142"))

    def test_a_setting_gives_everybody_the_449_line(self) -> None:
        response = Room(EasSettings(provision_449=True)).post("FolderSync", FOLDER_SYNC, "16.1")
        self.assertEqual((response.code, response.text(FolderHierarchy.Status)), (449, "142"))

    def test_the_key_survives_a_restart(self) -> None:
        room = Room()
        room.provision()
        row = room.device().id
        kept = room.db.read_now(lambda tx: devices.device_by_id(tx, row))
        assert kept is not None
        self.assertEqual(kept.policy_key, room.policy_key)
