"""The hierarchy and its changes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Exists, Malformed, NoSuchFolder, NotPermitted, OverQuota
from posthouse.model import Folder, FolderType, News
from posthouse.store import bodies, bulk, folders, items
from tests.support.store import NOW, add, folder, make_account, make_database


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told: list[News] = []
        self.db = make_database(self.told.append)
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.box = self.account.mailbox_id
        self.since = self.top()
        self.told.clear()

    def top(self) -> int:
        return self.db.read_now(lambda tx: items.top_number(tx, self.box))

    def make(self, name: str, parent: int = 0, type: FolderType = FolderType.USER_MAIL) -> Folder:
        return self.db.write_now(lambda tx: folders.create_folder(tx, self.box, parent, name, type, NOW, 7))

    def changes(self, since: int | None = None) -> tuple[list[str], list[int]]:
        start = self.since if since is None else since
        made, gone = self.db.read_now(lambda tx: folders.folder_changes(tx, self.box, start, 99))
        return [each.name for each in made], [number for number, _ in gone]

    def rename(self, where: Folder, name: str, parent: int = 0) -> Folder:
        return self.db.write_now(lambda tx: folders.rename_folder(tx, where, name, parent))

    def delete(self, where: Folder) -> int:
        return self.db.write_now(lambda tx: folders.delete_folder(tx, where))

    def test_a_new_folder_is_numbered_and_told(self) -> None:
        made = self.make("Projects")
        self.assertEqual((made.number, made.changed), (self.since + 1, self.since + 1))
        self.assertEqual(self.told, [News(self.box, 0, made.number)])
        self.assertEqual(self.changes(), (["Projects"], []))
        self.assertEqual(
            self.db.read_now(lambda tx: folders.folder_by_number(tx, self.box, made.number)), made
        )

    def test_names_are_taken_without_regard_to_case_in_one_place(self) -> None:
        parent = self.make("Straße")
        self.assertRaises(Exists, self.make, "STRASSE")
        self.make("STRASSE", parent.number)
        self.assertRaises(Exists, self.make, "inbox")
        self.assertRaises(Exists, self.make, "Another", 0, FolderType.DRAFTS)
        self.assertRaises(NoSuchFolder, self.make, "x", 999)
        for name in ("", "  ", "\0", "x" * 256):
            self.assertRaises(Malformed, self.make, name)

    def test_a_rename_that_changes_nothing_takes_no_number(self) -> None:
        made = self.make("a")
        before = self.top()
        self.rename(made, "a")
        self.assertEqual(self.top(), before)
        again = self.rename(made, "A")
        self.assertEqual((again.name, again.number, again.changed), ("A", made.number, before + 1))
        self.assertEqual(self.changes(before), (["A"], []))

    def test_a_folder_does_not_go_into_itself(self) -> None:
        outer = self.make("outer")
        inner = self.make("inner", outer.number)
        self.assertRaises(NotPermitted, self.rename, outer, "outer", outer.number)
        self.assertRaises(NotPermitted, self.rename, outer, "outer", inner.number)
        moved = self.rename(inner, "inner", 0)
        self.assertEqual(moved.parent, 0)

    def test_default_folders_stay_as_they_are(self) -> None:
        inbox = folder(self.db, self.account)
        self.assertRaises(NotPermitted, self.delete, inbox)
        self.assertRaises(NotPermitted, self.rename, inbox, "Post", 0)

    def test_deleting_takes_the_inner_ones_along_and_frees_the_names(self) -> None:
        outer = self.make("outer")
        inner = self.make("inner", outer.number)
        deep = self.make("deep", inner.number)
        before = self.top()
        at = self.delete(outer)
        self.assertEqual((at, self.top()), (before + 3, before + 3))
        self.assertEqual(self.changes(before), ([], [deep.number, inner.number, outer.number]))
        self.assertIsNone(self.db.read_now(lambda tx: folders.folder_by_id(tx, inner.id)))
        self.assertRaises(NoSuchFolder, self.delete, outer)
        self.assertRaises(NoSuchFolder, self.rename, inner, "x", 0)
        self.assertNotEqual(self.make("outer").number, outer.number)

    def test_the_contents_of_a_deleted_folder_are_out_of_sight_at_once_and_go_in_slices(self) -> None:
        made = self.make("a")
        kept = [add(self.db, made, data=b"body %d" % number) for number in range(5)]
        self.delete(made)
        self.assertIsNone(self.db.read_now(lambda tx: items.item_by_number(tx, self.box, kept[0].number)))
        before = self.top()
        done = []
        while count := self.db.write_now(lambda tx: bulk.empty_deleted(tx, 2)):
            done.append(count)
        self.assertEqual(done[:3], [2, 2, 1])
        self.assertEqual(self.top(), before)
        left = self.db.read_now(lambda tx: tx.one("SELECT count(*), (SELECT size FROM mailbox) FROM item"))
        self.assertEqual(left, (0, 0))
        self.assertEqual(self.db.write_now(lambda tx: bodies.sweep(tx, 99, NOW + 4 * 3600 * 1000)), 5)
        self.assertEqual(self.db.read_now(lambda tx: tx.value("SELECT count(*) FROM body")), 0)

    def test_the_number_of_folders_and_their_depth_are_bounded(self) -> None:
        self.patch(folders, "MAX_FOLDERS", 12)
        self.make("one more")
        self.assertRaises(OverQuota, self.make, "too many")
        self.patch(folders, "MAX_FOLDERS", 99)
        self.patch(folders, "MAX_DEPTH", 3)
        parent = 0
        for name in "abc":
            parent = self.make(name, parent).number
        self.assertRaises(OverQuota, self.make, "d", parent)

    def test_old_folder_tombstones_are_forgotten_and_the_horizon_tells(self) -> None:
        self.patch(folders, "TOMBSTONES_KEPT", 2)
        ats = [self.delete(self.make(name)) for name in "abcd"]
        self.assertEqual(self.db.read_now(lambda tx: folders.folder_horizon(tx, self.box)), ats[1])
        gone = self.db.read_now(lambda tx: folders.folder_changes(tx, self.box, 0, 99))[1]
        self.assertEqual([at for _, at in gone], ats[2:])
