"""Folders, moves, Ping, ItemOperations, Settings, Provision and the query as Microsoft's own test cases ask them
(MS-ASCMD test suite S02 to S05, S08, S10, S11, S16, S21; MS-ASPROV S03; MS-ASHTTP S02)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import FolderType
from posthouse.wbxml.tags import AirSync, AirSyncBase, Move, Settings
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tags import Provision as PV
from posthouse.wbxml.tree import E, Element
from tests.eas.provisioning import information
from tests.eas.room import VERSIONS, Response, Room

MAIL = b"From: b@example.net\r\nTo: a@example.org\r\nSubject: hi\r\n\r\nhello\r\n"


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room()
        self.room.provision()

    def hierarchy(self, key: str = "0", version: str = "14.1") -> Response:
        return self.room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, key)), version)


class HierarchyTests(Base):
    def test_an_empty_key_is_a_wrong_one(self) -> None:
        """R4060, R4083, R4573: 9; only a missing one is 10 (R4086, R4568)."""
        folder = [E(F.ServerId, 99), E(F.ParentId, 0), E(F.DisplayName, "x"), E(F.Type, 12)]
        fields = {
            "FolderSync": [],
            "FolderDelete": folder[:1],
            "FolderUpdate": folder[:3],
            "FolderCreate": folder[1:],
        }
        for command, more in fields.items():
            for key, status in ((E(F.SyncKey), "9"), (E(F.SyncKey, "x" * 300), "9"), (None, "10")):
                root = E(f"FolderHierarchy:{command}", key, more)
                self.assertEqual(self.room.post(command, root).text(F.Status), status, command)

    def test_a_status_in_a_folder_update_is_10(self) -> None:
        """R3102."""
        key = self.hierarchy().text(F.SyncKey)
        root = E(
            F.FolderUpdate,
            E(F.SyncKey, key),
            E(F.ServerId, 99),
            E(F.ParentId, 0),
            E(F.DisplayName, "x"),
            E(F.Status, 1),
        )
        self.assertEqual(self.room.post("FolderUpdate", root).text(F.Status), "10")

    def test_a_document_of_foreign_elements_is_102(self) -> None:
        """R4815."""
        root = E(F.FolderSync, E(AirSyncBase.FileReference, "0"))
        self.assertEqual(self.room.post("FolderSync", root).text(F.Status), "102")

    def test_a_key_means_the_same_on_another_device_of_the_account(self) -> None:
        """R5024: the case takes the key of one device to another."""
        first_id, first_policy = self.room.device_id, self.room.policy_key
        self.hierarchy()
        self.room.device_id, self.room.policy_key = "PHONE2", 0
        self.room.provision()
        key = self.hierarchy().text(F.SyncKey)
        create = E(
            F.FolderCreate, E(F.SyncKey, key), E(F.ParentId, 0), E(F.DisplayName, "New"), E(F.Type, 12)
        )
        self.assertEqual(self.room.post("FolderCreate", create).text(F.Status), "1")
        self.room.device_id, self.room.policy_key = first_id, first_policy
        answer = self.hierarchy(key)
        self.assertEqual(answer.text(F.Changes, F.Count), "1")
        self.assertEqual(answer.text(F.Changes, F.Add, F.DisplayName), "New")
        # From here on it is this device's own key.
        self.assertEqual(self.hierarchy(answer.text(F.SyncKey)).text(F.Changes, F.Count), "0")
        self.assertEqual(self.hierarchy("nobody's").text(F.Status), "9")

    def test_the_recipient_cache_is_listed_from_14_on_and_stays_as_it_is(self) -> None:
        # Rule 26 of the sync model.
        """R4685, R81, R100, R101, R141, R143, R4016, R5769."""
        for version in VERSIONS:
            answer = self.hierarchy(version=version)
            assert answer.root is not None
            changes = answer.root.find(F.Changes)
            assert changes is not None
            cache = [one for one in changes.findall(F.Add) if one.text(F.Type) == "19"]
            self.assertEqual(len(cache), int(version >= "14.0"), version)
            self.assertEqual([one.text(F.ServerId) for one in cache], ["RI"] * len(cache))
        key = E(F.SyncKey, answer.text(F.SyncKey))
        name = E(F.DisplayName, "x")
        for command, more in (
            ("FolderDelete", [E(F.ServerId, "RI")]),
            ("FolderUpdate", [E(F.ServerId, "RI"), E(F.ParentId, "RI"), name]),
            ("FolderCreate", [E(F.ParentId, "RI"), name, E(F.Type, 12)]),
            ("FolderCreate", [E(F.ParentId, 0), name, E(F.Type, 19)]),
        ):
            root = E(f"FolderHierarchy:{command}", key, more)
            self.assertEqual(self.room.post(command, root).text(F.Status), "3", command)


class MoveTests(Base):
    def move(self, *moves: tuple[object, object, object]) -> list[str | None]:
        elements = [
            E(Move.Move, E(Move.SrcMsgId, str(a)), E(Move.SrcFldId, str(b)), E(Move.DstFldId, str(c)))
            for a, b, c in moves
        ]
        answer = self.room.post("MoveItems", E(Move.MoveItems, elements))
        assert answer.root is not None
        return [one.text(Move.Status) for one in answer.root.findall(Move.Response)]

    def test_a_second_destination_for_one_item_is_5(self) -> None:
        """R4222."""
        item, inbox = self.room.deliver(MAIL), self.room.folder().number
        trash, sent = (self.room.folder(type).number for type in (FolderType.DELETED, FolderType.SENT))
        self.assertEqual(self.move((item.number, inbox, trash), (item.number, inbox, sent)), ["3", "5"])

    def test_the_recipient_cache_takes_and_gives_nothing(self) -> None:
        """R4821."""
        item, inbox = self.room.deliver(MAIL), self.room.folder().number
        self.assertEqual(self.move((item.number, inbox, "RI"), (item.number, "RI", inbox)), ["105", "105"])

    def test_a_move_of_nothing_is_103(self) -> None:
        """MoveItems.xsd: the name that is said again is never empty."""
        moves = E(Move.Move, E(Move.SrcMsgId), E(Move.SrcFldId, 1), E(Move.DstFldId, 2))
        self.assertEqual(self.room.post("MoveItems", E(Move.MoveItems, moves)).text(Move.Status), "103")

    def test_two_unknown_folders_are_not_the_same_folder(self) -> None:
        """R4207."""
        self.assertEqual(self.move((1, "Invalid", "Unknown")), ["1"])


class PingTests(Base):
    def test_a_negative_interval_is_too_short_and_a_huge_one_too_long(self) -> None:
        """R4249, R5690, R5691, R5837."""
        self.hierarchy()
        folders = E(P.Folders, E(P.Folder, E(P.Id, self.room.folder().number), E(P.Class, "Email")))
        for value, limit in (("-100", "60"), ("59", "60"), ("6000000", "3540"), ("9" * 40, "3540")):
            answer = self.room.post("Ping", E(P.Ping, E(P.HeartbeatInterval, value), folders))
            self.assertEqual((answer.text(P.Status), answer.text(P.HeartbeatInterval)), ("5", limit))
        for value in ("soon", "", "--5", "6.5"):
            answer = self.room.post("Ping", E(P.Ping, E(P.HeartbeatInterval, value), folders))
            self.assertEqual(answer.text(P.Status), "4", value)


class ItemOperationsTests(Base):
    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(MAIL)

    def post(self, *more: Element | None) -> Response:
        return self.room.post(
            "ItemOperations", E(IO.ItemOperations, E(IO.Fetch, E(IO.Store, "Mailbox"), more))
        )

    def test_bad_form_is_2_of_the_whole_command(self) -> None:
        """R765, R3547, R4154; MS-ASAIRS R346, R10030."""
        names = (E(AirSync.CollectionId, self.room.folder().number), E(AirSync.ServerId, self.item.number))
        kind = E(AirSyncBase.Type, 1)
        once = E(AirSyncBase.AllOrNone, 1)
        for more in (
            (*names, E(IO.Options, E(IO.Range))),
            (*names, E(IO.Options, E(AirSync.MIMESupport, 7))),
            (*names, E(IO.Options, E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, "a")))),
            (*names, E(IO.Options, E(AirSyncBase.BodyPreference, kind, once, once))),
            (E(AirSyncBase.FileReference, "1:1"), E(AirSyncBase.FileReference, "1:1")),
        ):
            answer = self.post(*more)
            assert answer.root is not None
            self.assertEqual(answer.text(IO.Status), "2", more)
            self.assertEqual(len(answer.root.children), 1)
        self.assertEqual(self.post(*names).text(IO.Response, IO.Fetch, IO.Status), "1")

    def test_an_empty_name_is_not_said_again(self) -> None:
        answer = self.post(E(AirSync.CollectionId, 1), E(AirSync.ServerId))
        assert answer.root is not None
        refused = answer.root.find(IO.Response, IO.Fetch)
        assert refused is not None
        self.assertEqual([one.tag for one in refused.children], [IO.Status, AirSync.CollectionId])

    def test_the_recipient_cache_is_not_emptied(self) -> None:
        """R196, R4167."""
        root = E(IO.ItemOperations, E(IO.EmptyFolderContents, E(AirSync.CollectionId, "RI")))
        answer = self.room.post("ItemOperations", root)
        self.assertEqual(answer.text(IO.Response, IO.EmptyFolderContents, IO.Status), "16")


class SettingsTests(Base):
    def post(self, *children: Element, version: str = "14.1") -> Response:
        return self.room.post("Settings", E(Settings.Settings, list(children)), version)

    def test_a_device_password_without_password_is_2_of_the_whole(self) -> None:
        """R483, R4398."""
        answer = self.post(
            E(Settings.DevicePassword, E(Settings.Set)), E(Settings.UserInformation, E(Settings.Get))
        )
        assert answer.root is not None
        self.assertEqual(answer.text(Settings.Status), "2")
        self.assertEqual(len(answer.root.children), 1)

    def test_an_overlong_device_password_is_5_whatever_the_policy_says(self) -> None:
        """R4400, R4402."""
        for length, status in ((256, "5"), (255, "7")):
            asked = E(Settings.DevicePassword, E(Settings.Set, E(Settings.Password, "a" * length)))
            self.assertEqual(self.post(asked).text(Settings.DevicePassword, Settings.Status), status)

    def test_half_a_time_of_absence_is_2(self) -> None:
        """R2272, R3992, R5681, R5827."""
        for tag in (Settings.StartTime, Settings.EndTime):
            half = E(Settings.Set, E(Settings.OofState, 2), E(tag, "2026-12-01T00:00:00.000Z"))
            self.assertEqual(self.post(E(Settings.Oof, half)).text(Settings.Oof, Settings.Status), "2")

    def test_the_user_is_named_by_addresses_alone(self) -> None:
        """R5898, R5901, R5905, R5915."""
        for version in VERSIONS:
            answer = self.post(E(Settings.UserInformation, E(Settings.Get)), version=version)
            assert answer.root is not None
            shown = repr(answer.root)
            for name in ("AccountId", "AccountName", "SendDisabled", "UserDisplayName"):
                self.assertNotIn(name, shown)
            self.assertIn("EmailAddresses", shown)


class ProvisionTests(Base):
    def test_a_policy_outside_policies_is_2(self) -> None:
        """MS-ASPROV R395, R450."""
        root = E(PV.Provision, information(), E(PV.Policy, E(PV.PolicyType, "MS-EAS-Provisioning-WBXML")))
        self.assertEqual(self.room.post("Provision", root).text(PV.Status), "2")


class QueryTests(Base):
    LONG = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def test_names_of_a_device_have_32_characters_at_most(self) -> None:
        """R4828, R4830; MS-ASHTTP R98."""
        root = E(F.FolderSync, E(F.SyncKey, "0"))
        for name, status in (("DeviceId", "108"), ("DeviceType", "109")):
            answer = self.room.post("FolderSync", root, parameters={name: self.LONG})
            self.assertEqual(answer.text(F.Status), status)
            self.assertEqual(
                self.room.post("FolderSync", root, "12.1", parameters={name: self.LONG}).code, 400
            )

    def test_32_characters_are_taken(self) -> None:
        self.room.device_id, self.room.policy_key = self.LONG[:32], 0
        self.room.provision()
        self.assertEqual(self.hierarchy().text(F.Status), "1")


class PreviewTests(Base):
    def test_even_two_letters_have_one(self) -> None:
        """MS-ASAIRS R250, R1001036: beside HTML, and not beside plain text."""
        item = self.room.deliver(MAIL.replace(b"hello\r\n", b"hi"))
        for kind, expected in ((2, "hi"), (1, None)):
            wanted = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, kind), E(AirSyncBase.Preview, 18))
            names = (E(AirSync.CollectionId, self.room.folder().number), E(AirSync.ServerId, item.number))
            fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), names, E(IO.Options, wanted))
            answer = self.room.post("ItemOperations", E(IO.ItemOperations, fetch))
            assert answer.root is not None
            body = answer.root.find(IO.Response, IO.Fetch, IO.Properties, AirSyncBase.Body)
            assert body is not None
            self.assertEqual(body.text(AirSyncBase.Preview), expected)


class MimeSupportTests(Base):
    def body(self, *options: Element) -> Element:
        item = self.room.deliver(MAIL)
        names = (E(AirSync.CollectionId, self.room.folder().number), E(AirSync.ServerId, item.number))
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), names, E(IO.Options, list(options)))
        answer = self.room.post("ItemOperations", E(IO.ItemOperations, fetch))
        assert answer.root is not None
        found = answer.root.find(IO.Response, IO.Fetch, IO.Properties, AirSyncBase.Body)
        assert isinstance(found, Element)
        return found

    def test_mime_that_is_not_wanted_is_named_without_its_data(self) -> None:
        """The case of R3360, R3367: nothing but MIME is taken, and never, or for S/MIME alone."""
        mime = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 4))
        for support, given in ((0, False), (1, False), (2, True), (None, True)):
            asked = [E(AirSync.MIMESupport, support)] if support is not None else []
            body = self.body(*asked, mime)
            self.assertEqual(body.text(AirSyncBase.Type), "4")
            self.assertEqual(body.find(AirSyncBase.Data) is not None, given, support)
            if given:
                data = body.text(AirSyncBase.Data) or ""
                self.assertEqual(body.text(AirSyncBase.EstimatedDataSize), str(len(data)))

    def test_the_support_is_kept_between_requests(self) -> None:
        from posthouse.eas.content.options import MailOptions

        for support in (None, 0, 1, 2):
            options = MailOptions(mime_support=support)
            self.assertEqual(MailOptions.from_json(options.to_json()), options)

    def test_an_element_in_a_wrong_place_is_2(self) -> None:
        """MS-ASAIRS R10032."""
        inner = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 2))
        outer = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1), inner)
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(IO.Options, outer))
        answer = self.room.post("ItemOperations", E(IO.ItemOperations, fetch))
        self.assertEqual(answer.text(IO.Status), "2")
