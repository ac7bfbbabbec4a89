"""The folder commands and GetItemEstimate, requirement by requirement (MS-ASCMD 2.2.1.3 to 2.2.1.6, 2.2.1.9)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import FolderType
from posthouse.wbxml.tags import AirSync
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import GetItemEstimate as G
from posthouse.wbxml.tree import E, Element
from tests.eas.handset import LETTER, Handset, aged, deep, filtered, options, plain_room
from tests.eas.room import VERSIONS, Response


class FolderCase(SynchronousTestCase):
    version = "14.1"

    def setUp(self) -> None:
        self.room = plain_room()
        self.key = "0"

    def do(self, command: str, *fields: Element) -> Response:
        root = E(f"FolderHierarchy:{command}", E(F.SyncKey, self.key), fields)
        answer = self.room.post(command, root, self.version)
        if answer.text(F.Status) == "1":
            self.key = answer.text(F.SyncKey)
        return answer

    def news(self, tag: str) -> list[tuple[str, str, str]]:
        """Name, id and parent of what FolderSync says of one kind."""
        answer = self.do("FolderSync")
        changes = answer.root.find(F.Changes) if answer.root else None
        assert changes is not None
        self.count = changes.text(F.Count)
        return [
            (one.text(F.DisplayName) or "", one.text(F.ServerId) or "", one.text(F.ParentId) or "")
            for one in changes.findall(tag)
        ]

    def create(self, name: str, parent: object = 0) -> Response:
        return self.do("FolderCreate", E(F.ParentId, str(parent)), E(F.DisplayName, name), E(F.Type, 12))

    def update(self, number: str, name: str, parent: object = 0) -> Response:
        return self.do(
            "FolderUpdate", E(F.ServerId, number), E(F.ParentId, str(parent)), E(F.DisplayName, name)
        )

    def elsewhere(self) -> FolderCase:
        """Another device of the same account, which knows every folder."""
        other = FolderCase()
        other.room, other.key, other.version = self.room, "0", self.version
        device, self.room.device_id = self.room.device_id, "TABLET"
        other.news(F.Add)
        self.room.device_id = device
        return other


class HierarchyTests(FolderCase):
    def test_a_first_sync_tells_all_folders_and_no_item(self) -> None:
        """R113, R116, R119, R5775, R5416."""
        self.room.deliver(LETTER)
        for self.version in VERSIONS:
            self.key = "0"
            names = [name for name, _, _ in self.news(F.Add)]
            self.assertTrue(
                {"Inbox", "Drafts", "Deleted Items", "Sent Items", "Outbox", "Calendar"} <= set(names)
            )
            self.assertEqual(len(set(names)), len(names))
            self.assertNotEqual(self.key, "0")
            answer = self.room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, "0")), self.version)
            assert answer.root is not None
            tags = {one.tag.partition(":")[0] for one in answer.root.iter()}
            self.assertEqual(tags, {"FolderHierarchy"})

    def test_nothing_new_is_a_count_of_0(self) -> None:
        """R2120."""
        self.news(F.Add)
        self.assertEqual((self.news(F.Add), self.count), ([], "0"))

    def test_a_new_folder_is_a_child_of_its_parent_on_every_device(self) -> None:
        """R79, R5860."""
        self.news(F.Add)
        inbox = self.room.folder().number
        other = self.elsewhere()
        made = self.create("Plans", inbox)
        self.assertEqual(made.text(F.Status), "1")
        self.room.device_id = "TABLET"
        self.assertEqual(other.news(F.Add), [("Plans", made.text(F.ServerId), str(inbox))])

    def test_names_within_a_folder_are_different(self) -> None:
        """R5416: a second of a name is refused, with ten names and more."""
        self.news(F.Add)
        parent = self.create("Parent").text(F.ServerId)
        for number in range(12):
            self.assertEqual(self.create(f"Child {number}", parent).text(F.Status), "1")
        for number in range(12):
            self.assertEqual(self.create(f"child {number}", parent).text(F.Status), "2")
        self.key = "0"
        names = [name for name, _, under in self.news(F.Add) if under == parent]
        self.assertEqual(len(set(names)), 12)
        self.assertEqual(len(names), 12)

    def test_a_deleted_folder_is_gone_by_its_id(self) -> None:
        """R97, R98, R99, R5863."""
        self.news(F.Add)
        gone = self.create("Gone").text(F.ServerId)
        stays = self.create("Stays").text(F.ServerId)
        other = self.elsewhere()
        answer = self.do("FolderDelete", E(F.ServerId, gone))
        assert answer.root is not None
        self.assertEqual([child.tag for child in answer.root.children], [F.Status, F.SyncKey])
        self.assertEqual(answer.text(F.Status), "1")
        self.assertEqual(self.do("FolderDelete", E(F.ServerId, gone)).text(F.Status), "4")
        self.room.device_id = "TABLET"
        self.assertEqual([number for _, number, _ in other.news(F.Delete)], [gone])
        other.key = "0"
        left = [number for _, number, _ in other.news(F.Add)]
        self.assertIn(stays, left)
        self.assertNotIn(gone, left)

    def test_a_folder_goes_elsewhere_and_has_another_name(self) -> None:
        """R139, R140."""
        self.news(F.Add)
        parent, child = self.create("Parent").text(F.ServerId), self.create("Child").text(F.ServerId)
        other = self.elsewhere()
        self.assertEqual(self.update(child, "Child", parent).text(F.Status), "1")
        self.room.device_id = "TABLET"
        self.assertEqual(other.news(F.Update), [("Child", child, parent)])
        self.room.device_id = "PHONE1"
        self.assertEqual(self.update(child, "Renamed", parent).text(F.Status), "1")
        self.room.device_id = "TABLET"
        self.assertEqual(other.news(F.Update), [("Renamed", child, parent)])


class EstimateTests(SynchronousTestCase):
    AGES = (0.1, 2, 5, 10, 20, 60, 120)

    def setUp(self) -> None:
        self.room = plain_room()

    def estimate(self, phone: Handset, *more: Element | None, whole: bool = False) -> str:
        asked = E(G.Collection, E(AirSync.SyncKey, phone.key), E(G.CollectionId, phone.name), more)
        answer = self.room.post(
            "GetItemEstimate", E(G.GetItemEstimate, E(G.Collections, asked)), phone.version
        )
        if whole:
            return answer.text(G.Status)
        self.assertEqual(answer.text(G.Response, G.Status), "1")
        return deep(answer.root, G.Response, G.Collection, G.Estimate)

    def test_each_filter_counts_what_lies_within_it(self) -> None:
        """R171, R2967, R2969, R2970, R2999 to R3004: a day, three days, a week, two weeks, a month."""
        for days in self.AGES:
            aged(self.room, f"{days}", days)
        phone = Handset(self.room)
        phone.ask()
        for value, expected in ((0, 7), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)):
            self.assertEqual(self.estimate(phone, filtered(value)), str(expected), value)
        self.assertEqual(self.estimate(phone), "7")
        self.assertEqual(self.estimate(phone, options(E(AirSync.Class, "Email"))), "7")
        aged(self.room, "new", 0)
        self.assertEqual(self.estimate(phone, filtered(1)), "2")
        phone.ask()
        self.assertEqual(self.estimate(phone), "0")

    def test_mail_and_sms_go_together_and_nothing_else(self) -> None:
        """R907, R908: 4 of the whole command."""
        phone = Handset(self.room)
        phone.ask()

        def blocks(*names: str) -> list[Element]:
            return [options(E(AirSync.Class, name)) for name in names]

        for names in (("Email", "SMS"), ("SMS", "Email")):
            self.assertEqual(self.estimate(phone, *blocks(*names)), "0")
        for names in (("Tasks", "Contacts"), ("Email", "Calendar"), ("Email", "Email")):
            self.assertEqual(self.estimate(phone, *blocks(*names), whole=True), "4", names)

    def test_people_have_no_age(self) -> None:
        """R2973."""
        phone = Handset(self.room, FolderType.CONTACTS)
        phone.ask()
        self.assertEqual([self.estimate(phone, filtered(value)) for value in range(9)], ["0"] * 9)
