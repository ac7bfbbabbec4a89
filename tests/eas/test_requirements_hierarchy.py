"""FolderSync, FolderCreate, FolderUpdate, FolderDelete: each status of MS-ASCMD 2.2.3.177 where its condition
arises, and the keys that go with them (2.2.3.181)."""

from __future__ import annotations

from posthouse.model import FolderType
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Response
from tests.eas.test_folders import Base, listed

SPECIAL = (
    FolderType.INBOX,
    FolderType.DRAFTS,
    FolderType.DELETED,
    FolderType.SENT,
    FolderType.OUTBOX,
    FolderType.TASKS,
    FolderType.CALENDAR,
    FolderType.CONTACTS,
    FolderType.NOTES,
)


class StatusCase(Base):
    def setUp(self) -> None:
        super().setUp()
        self.sync()

    def named(self, type: FolderType) -> str:
        return str(self.room.folder(type).number)

    def refused(self, response: Response, status: str) -> None:
        """Its status, and nothing else: no key, no ServerId (the schema does not have them either)."""
        assert response.root is not None
        self.assertEqual([(one.tag, one.value) for one in response.root.children], [(F.Status, status)])

    def without(self, command: str, tag: str, *fields: Element) -> Response:
        """A request that lacks one required element."""
        return self.room.post(command, E(f"FolderHierarchy:{command}", [f for f in fields if f.tag != tag]))


class CreateTests(StatusCase):
    def test_success_gives_a_key_and_a_name(self) -> None:
        """R4011, R4569, R3903."""
        for version in VERSIONS:
            before = self.key
            root = E(
                F.FolderCreate,
                E(F.SyncKey, self.key),
                E(F.ParentId, self.named(FolderType.INBOX)),
                E(F.DisplayName, version),
                E(F.Type, 12),
            )
            made = self.room.post("FolderCreate", root, version)
            self.assertEqual(made.text(F.Status), "1")
            self.key = made.text(F.SyncKey)
            self.assertNotIn(self.key, ("", before))
            self.assertTrue(made.text(F.ServerId))

    def test_what_is_taken_is_2(self) -> None:
        """R4013, R4570, R3904: a failure brings neither key nor ServerId."""
        self.create("A")
        self.refused(self.create("A"), "2")
        self.refused(self.create("Inbox"), "2")

    def test_a_parent_that_is_not_there_is_5(self) -> None:
        """R4018, R4019: never there, or deleted meanwhile."""
        number = self.create("Gone").text(F.ServerId)
        self.delete(number)
        for parent in (number, "987654", "Invalid"):
            self.refused(self.create("B", parent=parent), "5")

    def test_a_wrong_key_is_9(self) -> None:
        """R4032."""
        for key in ("Invalid", "0", "", self.key + "1"):
            self.refused(self.create("B", key=key), "9")

    def test_a_semantic_error_is_10(self) -> None:
        """R4035: a default folder cannot be made, and nothing may lack."""
        for type in (*range(2, 12), 18):
            self.refused(self.create("B", type=type), "10")
        fields = (E(F.SyncKey, self.key), E(F.ParentId, 0), E(F.DisplayName, "B"), E(F.Type, 12))
        for field in fields:
            self.refused(self.without("FolderCreate", field.tag, *fields), "10")


class DeleteTests(StatusCase):
    def test_success_gives_a_key(self) -> None:
        """R4045, R5783."""
        number, before = self.create("A").text(F.ServerId), self.key
        gone = self.delete(number)
        self.assertEqual(gone.text(F.Status), "1")
        self.assertNotIn(gone.text(F.SyncKey), ("", before))

    def test_a_special_folder_is_3(self) -> None:
        """R4046, R4047, R5785."""
        for type in SPECIAL:
            self.refused(self.delete(self.named(type)), "3")
        self.refused(self.delete("RI"), "3")

    def test_the_names_microsoft_takes_for_special_are(self) -> None:
        """Its test suite (S03 and S05) deletes and renames the number of a type, as if it were a ServerId."""
        for number in ("5", "8"):
            self.refused(self.delete(number), "3")
            self.refused(self.update(number, "Mine"), "2")

    def test_what_is_not_there_is_4(self) -> None:
        """R4048, R4049, R4040."""
        for number in ("987654", "Invalid"):
            self.refused(self.delete(number), "4")

    def test_a_wrong_key_is_9_and_a_missing_element_10(self) -> None:
        """R4060, R4063."""
        number = self.create("A").text(F.ServerId)
        good = self.key
        for self.key in ("Invalid", "0", ""):
            self.refused(self.delete(number), "9")
        fields = (E(F.SyncKey, good), E(F.ServerId, number))
        for field in fields:
            self.refused(self.without("FolderDelete", field.tag, *fields), "10")


class UpdateTests(StatusCase):
    def test_success_gives_a_key(self) -> None:
        """R4100, R5784."""
        number, before = self.create("A").text(F.ServerId), self.key
        renamed = self.update(number, "B")
        self.assertEqual(renamed.text(F.Status), "1")
        self.assertNotIn(renamed.text(F.SyncKey), ("", before))

    def test_what_is_taken_or_special_is_2(self) -> None:
        """R4101, R4102, R5438, R4096, R5786."""
        number = self.create("A").text(F.ServerId)
        self.create("B")
        self.refused(self.update(number, "B"), "2")
        for type in SPECIAL:
            self.refused(self.update(self.named(type), "Mine"), "2")

    def test_the_recipient_cache_is_3(self) -> None:
        """R4103, R4104."""
        self.refused(self.update("RI", "Mine"), "3")

    def test_what_is_not_there_is_4_and_its_parent_5(self) -> None:
        """R4105, R4106; R4108, R4109."""
        self.refused(self.update("987654", "B"), "4")
        self.refused(self.update("Invalid", "B"), "4")
        number = self.create("A").text(F.ServerId)
        for parent in ("987654", "Invalid", number):
            self.refused(self.update(number, "A", parent), "5")

    def test_a_wrong_key_is_9_and_a_missing_element_10(self) -> None:
        """R4120, R4123."""
        number = self.create("A").text(F.ServerId)
        good = self.key
        for self.key in ("Invalid", "0", ""):
            self.refused(self.update(number, "B"), "9")
        fields = (
            E(F.SyncKey, good),
            E(F.ServerId, number),
            E(F.ParentId, 0),
            E(F.DisplayName, "B"),
        )
        for field in fields:
            self.refused(self.without("FolderUpdate", field.tag, *fields), "10")


class SyncTests(StatusCase):
    def test_all_folders_and_a_key_at_every_version(self) -> None:
        """R4074, R4578, R5008, R5020."""
        for version in VERSIONS:
            answer = self.sync("0", version)
            self.assertEqual(answer.text(F.Status), "1")
            self.assertNotIn(answer.text(F.SyncKey), ("", "0"))
            names = set(listed(answer, F.Add))
            self.assertLessEqual({self.named(type) for type in SPECIAL}, names)
            self.assertEqual(answer.text(F.Changes, F.Count), str(len(names)))

    def test_names_stay_when_a_device_begins_anew(self) -> None:
        """R5012."""
        before = listed(self.sync("0"), F.Add)
        self.create("Own")
        after = listed(self.sync("0"), F.Add)
        self.assertEqual({number: after[number] for number in before}, before)
        self.assertEqual(set(after.values()) - set(before.values()), {"Own"})

    def test_a_failure_is_one_status_for_all(self) -> None:
        """R4068, R4070, R4581: 9 for a key that is none, and no folder beside it."""
        for key in ("Invalid", "", self.key * 2):
            self.refused(self.sync(key), "9")
