"""The hierarchy: FolderSync and the three commands that change it."""

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas import hierarchy
from posthouse.model import Folder, FolderType
from posthouse.store import folders
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Response, Room
from tests.support.store import NOW


def listed(response: Response, tag: str) -> dict[str, str]:
    """ServerId to name of the changes of one kind."""
    changes = response.root.find(F.Changes) if response.root is not None else None
    assert changes is not None
    return {one.text(F.ServerId) or "": one.text(F.DisplayName) or "" for one in changes.findall(tag)}


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room()
        self.room.provision()
        self.key = "0"

    def sync(self, key: str | None = None, version: str = "14.1") -> Response:
        sent = self.key if key is None else key
        response = self.room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, sent)), version)
        if response.text(F.Status) == "1":
            self.key = response.text(F.SyncKey)
        return response

    def make(self, name: str, parent: int = 0) -> Folder:
        account = self.room.account
        return self.room.db.write_now(
            lambda tx: folders.create_folder(tx, account.mailbox_id, parent, name, FolderType.USER_MAIL, NOW)
        )

    def remove(self, folder: Folder) -> None:
        self.room.db.write_now(lambda tx: folders.delete_folder(tx, folder))

    def rename(self, folder: Folder, name: str) -> Folder:
        return self.room.db.write_now(lambda tx: folders.rename_folder(tx, folder, name, folder.parent))

    def create(self, name: str, key: str | None = None, parent: str = "0", type: int = 12) -> Response:
        return self.done(
            "FolderCreate",
            E(
                F.FolderCreate,
                E(F.SyncKey, self.key if key is None else key),
                E(F.ParentId, parent),
                E(F.DisplayName, name),
                E(F.Type, type),
            ),
        )

    def update(self, number: str, name: str, parent: str = "0") -> Response:
        return self.done(
            "FolderUpdate",
            E(
                F.FolderUpdate,
                E(F.SyncKey, self.key),
                E(F.ServerId, number),
                E(F.ParentId, parent),
                E(F.DisplayName, name),
            ),
        )

    def delete(self, number: str) -> Response:
        return self.done("FolderDelete", E(F.FolderDelete, E(F.SyncKey, self.key), E(F.ServerId, number)))

    def done(self, command: str, root: Element) -> Response:
        response = self.room.post(command, root)
        if response.text(F.Status) == "1":
            self.key = response.text(F.SyncKey)
        return response

    def inbox(self) -> str:
        return str(self.room.folder().number)


class FolderSyncTests(Base):
    def test_the_first_answer_lists_every_default_folder(self) -> None:
        response = self.sync()
        assert response.root is not None
        changes = response.root.find(F.Changes)
        assert changes is not None
        types = sorted(int(one.text(F.Type) or 0) for one in changes.findall(F.Add))
        self.assertEqual([kind for kind in types if kind < 12], list(range(2, 11)))
        self.assertEqual(types[-1], 19)
        self.assertEqual(int(changes.text(F.Count) or 0), len(types))

    def test_key_0_brings_the_versions_and_no_other_key_does(self) -> None:
        # Rule 23 of the sync model.
        """MS-ASHTTP R1104, R1202."""
        first = self.sync()
        self.assertEqual(first.headers["x-ms-rp"], "12.0,12.1,14.0,14.1,16.0,16.1")
        self.assertEqual(first.headers["ms-asprotocolversions"], first.headers["x-ms-rp"])
        self.assertIn("FolderSync", first.headers["ms-asprotocolcommands"])
        self.assertNotIn("x-ms-rp", self.sync().headers)

    def test_the_golden_answer_of_every_version(self) -> None:
        for version in VERSIONS:
            room = Room()
            room.provision(version)
            response = room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, 0)), version)
            assert response.root is not None
            self.assertEqual(
                [child.tag for child in response.root.children], [F.Status, F.SyncKey, F.Changes], version
            )

    def test_nothing_new_keeps_the_key(self) -> None:
        self.sync()
        key = self.key
        response = self.sync()
        self.assertEqual(response.text(F.Changes, F.Count), "0")
        self.assertEqual(self.key, key)

    def test_changes_of_others_are_told_once(self) -> None:
        self.sync()
        made = self.make("New")
        response = self.sync()
        self.assertEqual(listed(response, F.Add), {str(made.number): "New"})
        renamed = self.rename(made, "Newer")
        self.assertEqual(listed(self.sync(), F.Update), {str(made.number): "Newer"})
        self.remove(renamed)
        self.assertEqual(list(listed(self.sync(), F.Delete)), [str(made.number)])
        self.assertEqual(self.sync().text(F.Changes, F.Count), "0")

    def test_made_and_removed_between_two_syncs_is_no_news(self) -> None:
        self.sync()
        self.remove(self.make("Brief"))
        self.assertEqual(self.sync().text(F.Changes, F.Count), "0")

    def test_the_older_key_rolls_back_and_is_evaluated_anew(self) -> None:
        # Rule 2 of the sync model.
        """R2066-2069: a fresh key, and what happened meanwhile."""
        self.sync()
        older = self.key
        one = self.make("One")
        self.sync()
        lost = self.key
        two = self.make("Two")
        replayed = self.sync(older)
        self.assertEqual(listed(replayed, F.Add), {str(one.number): "One", str(two.number): "Two"})
        self.assertNotIn(self.key, (older, lost))
        self.assertEqual(self.sync(lost).text(F.Status), "9")

    def test_a_folder_of_the_lost_answer_that_is_gone_by_now_is_deleted(self) -> None:
        # Rule 4 of the sync model.
        self.sync()
        older = self.key
        one = self.make("One")
        self.sync()
        self.remove(one)
        self.assertEqual(list(listed(self.sync(older), F.Delete)), [str(one.number)])

    def test_bad_keys_are_9(self) -> None:
        for key in ("nonsense", "1", "x" * 64):
            self.assertEqual(self.sync(key).text(F.Status), "9")

    def test_a_malformed_request_is_10(self) -> None:
        for root in (
            E(F.FolderSync),
            E(F.FolderSync, E(F.SyncKey, "a"), E(F.SyncKey, "b")),
        ):
            self.assertEqual(self.room.post("FolderSync", root).text(F.Status), "10")
            self.assertEqual(self.room.post("FolderSync", root, "12.1").text(F.Status), "10")

    def test_key_0_keeps_the_states_of_the_collections(self) -> None:
        from posthouse.store import devices

        self.sync()
        row = self.room.device().id
        self.room.db.write_now(lambda tx: devices.save_state(tx, row, "5", "", b"", "k", b"s", NOW))
        self.sync("0")
        self.assertIsNotNone(self.room.db.read_now(lambda tx: devices.load_state(tx, row, "5")))

    def test_parents_come_before_their_children(self) -> None:
        parent = self.make("Parent")
        child = self.make("Child", parent.number)
        self.rename(parent, "Renamed later")
        numbers = list(listed(self.sync(), F.Add))
        self.assertLess(numbers.index(str(parent.number)), numbers.index(str(child.number)))

    def test_a_device_below_the_horizon_begins_again(self) -> None:
        # Rule 7 of the sync model.
        """Rule 7."""
        self.sync()
        self.patch(folders, "folder_horizon", lambda tx, mailbox_id: 10**12)
        self.assertEqual(self.sync().text(F.Status), "9")

    def test_the_device_stands_to_the_hierarchy(self) -> None:
        """For Ping: R4257."""

        def standing() -> str:
            row, mailbox = self.room.device().id, self.room.account.mailbox_id
            return self.room.db.read_now(lambda tx: hierarchy.standing(tx, mailbox, row))

        self.assertEqual(standing(), "never")
        self.sync()
        self.assertEqual(standing(), "current")
        self.make("New")
        self.assertEqual(standing(), "stale")
        self.sync()
        self.assertEqual(standing(), "current")
        self.create("Own")
        self.assertEqual(standing(), "current")


class ChangeTests(Base):
    def test_own_changes_are_not_told_again(self) -> None:
        self.sync()
        created = self.create("Mine")
        self.assertEqual(created.text(F.Status), "1")
        number = created.text(F.ServerId)
        self.assertEqual(self.update(number, "Mine too").text(F.Status), "1")
        self.assertEqual(self.sync().text(F.Changes, F.Count), "0")
        self.assertEqual(self.delete(number).text(F.Status), "1")
        self.assertEqual(self.sync().text(F.Changes, F.Count), "0")

    def test_a_key_of_a_change_leaves_the_changes_of_others_for_later(self) -> None:
        # Rule 6 of the sync model.
        """R4569: FolderCreate has to return a key; it passes nothing unsent."""
        self.sync()
        theirs = self.make("Theirs")
        self.create("Mine")
        self.assertEqual(listed(self.sync(), F.Add), {str(theirs.number): "Theirs"})

    def test_a_change_of_others_to_ones_own_folder_is_news(self) -> None:
        self.sync()
        number = self.create("Mine").text(F.ServerId)
        account = self.room.account
        mine = self.room.db.read_now(lambda tx: folders.folder_by_number(tx, account.mailbox_id, int(number)))
        assert mine is not None
        self.rename(mine, "Theirs now")
        self.assertEqual(listed(self.sync(), F.Update), {number: "Theirs now"})

    def test_a_lost_answer_makes_the_own_change_news(self) -> None:
        self.sync()
        older = self.key
        number = self.create("Mine").text(F.ServerId)
        self.assertEqual(listed(self.sync(older), F.Add), {number: "Mine"})

    def test_other_devices_are_told(self) -> None:
        self.sync()
        key, policy = self.key, self.room.policy_key
        self.room.device_id = "PHONE2"
        self.room.provision()
        self.key = "0"
        self.sync()
        second = self.key
        self.room.device_id, self.room.policy_key, self.key = "PHONE1", policy, key
        self.create("Shared")
        self.room.device_id, self.key = "PHONE2", second
        self.room.provision()
        self.assertEqual(list(listed(self.sync(), F.Add).values()), ["Shared"])

    def test_create_statuses(self) -> None:
        self.sync()
        self.assertEqual(self.create("A").text(F.Status), "1")
        self.assertEqual(self.create("A").text(F.Status), "2")
        self.assertEqual(self.create("B", parent="999999").text(F.Status), "5")
        self.assertEqual(self.create("B", parent="junk").text(F.Status), "5")
        self.assertEqual(self.create("B", parent="RI").text(F.Status), "3")
        self.assertEqual(self.create("B", key="bad").text(F.Status), "9")
        self.assertEqual(self.create("B", key="0").text(F.Status), "9")
        for kind in (2, 9, 18, 255):
            self.assertEqual(self.create("B", type=kind).text(F.Status), "10", kind)
        self.assertEqual(self.create("   ").text(F.Status), "10")
        self.assertEqual(self.create("x" * 300).text(F.Status), "10")
        self.assertEqual(self.create("Below", parent=self.inbox()).text(F.Status), "1")

    def test_update_statuses(self) -> None:
        self.sync()
        one, two = self.create("One").text(F.ServerId), self.create("Two").text(F.ServerId)
        self.assertEqual(self.update(one, "Two").text(F.Status), "2")
        self.assertEqual(self.update(self.inbox(), "Mine").text(F.Status), "2")
        self.assertEqual(self.update("RI", "Mine").text(F.Status), "3")
        self.assertEqual(self.update("999999", "Mine").text(F.Status), "4")
        self.assertEqual(self.update(one, "One", "999999").text(F.Status), "5")
        self.assertEqual(self.update(one, "One", one).text(F.Status), "5")
        self.assertEqual(self.update(one, "One", two).text(F.Status), "1")
        # The same again changes nothing and is fine.
        self.assertEqual(self.update(one, "One", two).text(F.Status), "1")

    def test_delete_statuses(self) -> None:
        self.sync()
        number = self.create("One").text(F.ServerId)
        self.assertEqual(self.delete(self.inbox()).text(F.Status), "3")
        self.assertEqual(self.delete("RI").text(F.Status), "3")
        self.assertEqual(self.delete("999999").text(F.Status), "4")
        self.assertEqual(self.delete(number).text(F.Status), "1")
        self.assertEqual(self.delete(number).text(F.Status), "4")
        self.key = "bad"
        self.assertEqual(self.delete(number).text(F.Status), "9")


class DifferenceTests(SynchronousTestCase):
    """The pure decision."""

    def folder(self, number: int, changed: int, **more: object) -> Folder:
        return Folder(number, 1, number, 0, f"f{number}", FolderType.USER_MAIL, changed, **more)  # type: ignore[arg-type]

    def test_known_folders_are_updates(self) -> None:
        state = hierarchy.HierarchyState(high=10)
        delta = hierarchy.difference(state, [self.folder(5, 12), self.folder(11, 11)], [], 0)
        self.assertEqual([one.number for one in delta.updated], [5])
        self.assertEqual([one.number for one in delta.added], [11])

    def test_hidden_folders_are_not_shown(self) -> None:
        delta = hierarchy.difference(hierarchy.HierarchyState(), [self.folder(5, 5, hidden=True)], [], 0)
        self.assertEqual(delta.count, 0)

    def test_the_state_survives_the_store(self) -> None:
        state = hierarchy.HierarchyState(10, {5: 12}, frozenset((7,)), 20, 99)
        self.assertEqual(hierarchy.HierarchyState.load(state.dump()), state)

    def test_a_circle_of_parents_ends(self) -> None:
        one = Folder(1, 1, 1, 2, "a", FolderType.USER_MAIL, 1)
        two = Folder(2, 1, 2, 1, "b", FolderType.USER_MAIL, 2)
        delta = hierarchy.difference(hierarchy.HierarchyState(), [one, two], [], 0)
        self.assertEqual(delta.count, 2)
