"""Sync, requirement by requirement (MS-ASCMD 2.2.1.21 and its elements up to 2.2.3.110)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import FolderType, Item
from posthouse.store import changes, items
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Tasks
from posthouse.wbxml.tree import E, Element
from tests.eas.handset import (
    LETTER,
    Handset,
    aged,
    change,
    deep,
    delete,
    filtered,
    letter,
    options,
    plain_room,
)
from tests.eas.room import VERSIONS

SIGNED = (
    b"From: b@example.net\r\nTo: a@example.org\r\nSubject: sealed\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=s\r\n\r\n'
    b"--s\r\nContent-Type: text/plain\r\n\r\nsigned text\r\n"
    b"--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"MIIB\r\n--s--\r\n"
)


class SyncCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = plain_room()

    def now(self, item: Item) -> Item | None:
        mailbox = self.room.account.mailbox_id
        return self.room.db.read_now(lambda tx: changes.item_by_number(tx, mailbox, item.number))

    def held(self, type: FolderType) -> int:
        return self.room.folder(type).total


class KeyTests(SyncCase):
    def test_the_first_key_and_the_next_ones(self) -> None:
        """R648, R654: a first key without items, then one with each change."""
        for version in VERSIONS:
            self.room.device_id = "P" + version
            self.room.deliver(LETTER)
            phone = Handset(self.room, version=version)
            self.assertEqual(phone.ask(), "1")
            self.assertEqual(phone.commands(AirSync.Add), [])
            keys = ["0", phone.key]
            phone.ask()
            self.assertTrue(phone.commands(AirSync.Add))
            keys.append(phone.key)
            self.room.deliver(LETTER)
            phone.ask()
            keys.append(phone.key)
            self.assertEqual(len(set(keys)), 4, version)

    def test_without_changes_the_answer_has_no_body(self) -> None:
        """R656, R667, R679: also to the empty request."""
        for version in VERSIONS[1:]:
            self.room.device_id = "P" + version
            phone = Handset(self.room, version=version).prime()
            self.assertEqual(phone.ask(), "")
            assert phone.answer is not None
            self.assertEqual((phone.answer.code, phone.answer.body), (200, b""))
            again = self.room.post("Sync", None, version)
            self.assertEqual((again.code, again.body), (200, b""))


class GetChangesTests(SyncCase):
    def setUp(self) -> None:
        super().setUp()
        self.kept, self.gone, self.read = (
            self.room.deliver(letter(name)) for name in ("kept", "gone", "read")
        )
        self.phone = Handset(self.room).prime()
        self.room.deliver(letter("new"))
        self.room.db.write_now(lambda tx: items.delete_item(tx, self.gone))
        self.room.db.write_now(lambda tx: items.set_read(tx, self.read, True))

    def told(self) -> tuple[list[str], list[str | None], list[str | None]]:
        return (
            self.phone.subjects(),
            [one.text(AirSync.ServerId) for one in self.phone.commands(AirSync.Delete)],
            [one.text(AirSync.ServerId) for one in self.phone.commands(AirSync.Change)],
        )

    def test_wanted_when_it_is_1_or_empty_or_not_there(self) -> None:
        """R749, R3119, R3126, R3127, R5556: additions, deletions and changes."""
        key = self.phone.key
        for more in ((), (E(AirSync.GetChanges),), (E(AirSync.GetChanges, 1),)):
            self.phone.key = key
            self.assertEqual(self.phone.ask(*more), "1")
            self.assertEqual(self.told(), (["new"], [str(self.gone.number)], [str(self.read.number)]))

    def test_not_wanted_when_it_is_0(self) -> None:
        """R3125: the client's own commands are done all the same."""
        self.phone.order(change(self.kept, E(Email.Read, 1)), before=(E(AirSync.GetChanges, 0),))
        self.assertEqual(self.told(), ([], [], []))
        kept = self.now(self.kept)
        assert kept is not None
        self.assertTrue(kept.read)

    def test_with_key_0_nothing_is_told_and_it_may_not_be_asked_for(self) -> None:
        """R3128, R3129, R5555, R5838, R5839."""
        for more, status in (
            ((), "1"),
            ((E(AirSync.GetChanges, 0),), "1"),
            ((E(AirSync.GetChanges),), "4"),
            ((E(AirSync.GetChanges, 1),), "4"),
        ):
            self.assertEqual(self.phone.ask(*more, key="0"), status, more)
            self.assertEqual(self.told(), ([], [], []))


class ChangeTests(SyncCase):
    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(LETTER)
        self.phone = Handset(self.room).prime()

    def change(self, *data: Element) -> Item:
        self.assertIn(self.phone.order(change(self.item, *data)), ("", "1"))
        self.assertEqual(self.phone.responses(AirSync.Change), [])
        found = self.now(self.item)
        assert found is not None
        return found

    def test_a_mark_alone_leaves_everything_else(self) -> None:
        """R873, R5825, R5826: flag, read mark, categories, in any order."""
        flag = E(
            Email.Flag, E(Tasks.Subject, "call"), E(Email.Status, 2), E(Email.FlagType, "Flag for follow up")
        )
        marks = (
            (E(Email.Read, 1), "read"),
            (flag, "flag"),
            (E(Email.Categories, E(Email.Category, "home")), "categories"),
        )
        names = [
            name.name for name in type(self.item).__attrs_attrs__ if not name.name.endswith(("_no", "_by"))
        ]
        before = self.item
        for mark, field in marks:
            after = self.change(mark)
            different = {name for name in names if getattr(before, name) != getattr(after, name)}
            self.assertEqual(different - {"changed", "change_key", "modified"}, {field})
            before = after

    def test_more_than_a_mark_is_no_error(self) -> None:
        """R875: what a device may not change is passed over."""
        after = self.change(
            E(Email.To, "z@example.net"), E(Email.Subject, "other"), E(Email.Importance, 2), E(Email.Read, 1)
        )
        self.assertEqual((after.subject, after.to, after.read), ("hi", self.item.to, True))

    def test_a_conflict_is_decided_as_asked(self) -> None:
        """R2066 to R2069."""
        for asked, status, read in ((None, "7", False), (1, "7", False), (0, "", True)):
            item = self.room.deliver(LETTER)
            self.room.db.write_now(lambda tx, item=item: items.set_read(tx, item, True))
            self.phone.ask()
            fresh = self.now(item)
            assert fresh is not None
            self.room.db.write_now(lambda tx, fresh=fresh: items.set_read(tx, fresh, False))
            before = (options(E(AirSync.Conflict, asked)) if asked is not None else options(),)
            self.phone.order(change(item, E(Email.Read, 1)), before=before)
            said = [one.text(AirSync.Status) for one in self.phone.responses(AirSync.Change)]
            self.assertEqual(said, [status] if status else [], asked)
            after = self.now(item)
            assert after is not None
            self.assertEqual(after.read, read, asked)


class AddTests(SyncCase):
    def test_what_a_device_adds_gets_an_id_of_the_server(self) -> None:
        """R748, R957."""
        for version in ("16.0", "16.1"):
            self.room.device_id = "P" + version
            phone = Handset(self.room, FolderType.DRAFTS, version).prime()
            data = E(AirSync.ApplicationData, E(Email.To, "b@example.net"), E(Email.Subject, "thought"))
            phone.order(E(AirSync.Add, E(AirSync.ClientId, "mine"), data))
            (added,) = phone.responses(AirSync.Add)
            self.assertEqual((added.text(AirSync.ClientId), added.text(AirSync.Status)), ("mine", "1"))
            number = int(added.text(AirSync.ServerId) or 0)
            # From here on it is known by that.
            self.assertIn(phone.order(change(number, E(Email.Subject, "thoughts"))), ("", "1"))
            self.assertIn(phone.order(delete(number)), ("", "1"))
            self.assertEqual(self.held(FolderType.DRAFTS), 0)

    def test_the_class_of_an_old_calendar(self) -> None:
        """R9945: the class of a calendar is Calendar, and it is said again where the version says one."""
        for version in ("12.0", "12.1"):
            phone = Handset(self.room, FolderType.CALENDAR, version)
            asked = E(AirSync.Class, "Calendar"), E(AirSync.SyncKey, "0"), E(AirSync.CollectionId, phone.name)
            root = E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, asked)))
            found = self.room.post("Sync", root, version)
            self.assertEqual(found.text(AirSync.Collections, AirSync.Collection, AirSync.Class), "Calendar")
            self.assertEqual(found.text(AirSync.Collections, AirSync.Collection, AirSync.Status), "1")
        phone = Handset(self.room, FolderType.CALENDAR, "16.1").prime()
        self.assertEqual(phone.ask(options(E(AirSync.Class, "Calendar"))), "")


class DeleteTests(SyncCase):
    def test_deletes_are_moves_unless_it_is_said_otherwise(self) -> None:
        """R2158, R2160, R2161, R5874, R5875."""
        for asked, kept in (
            ((), 1),
            ((E(AirSync.DeletesAsMoves),), 1),
            ((E(AirSync.DeletesAsMoves, 1),), 1),
            ((E(AirSync.DeletesAsMoves, 0),), 0),
        ):
            item = self.room.deliver(LETTER)
            phone = Handset(self.room).prime()
            before = self.held(FolderType.DELETED)
            phone.order(delete(item), before=asked)
            self.assertIsNone(self.now(item))
            self.assertEqual(self.held(FolderType.DELETED) - before, kept, asked)


class FilterTests(SyncCase):
    AGES = (0.1, 2, 5, 10, 20, 60)

    def test_each_window_of_mail(self) -> None:
        """R2987, R3035 to R3040, R3076: a day, three days, a week, two weeks, a month; without one all of it."""
        for days in self.AGES:
            aged(self.room, f"{days}", days)
        newest = [f"{days}" for days in self.AGES]
        windows = [((filtered(value),), count) for value, count in enumerate((6, 1, 2, 3, 4, 5))]
        for number, (asked, expected) in enumerate([((), 6), *windows]):
            self.room.device_id = f"P{number}"
            phone = Handset(self.room)
            phone.ask()
            self.assertEqual(phone.ask(*asked), "1")
            self.assertEqual(phone.subjects(), newest[:expected], asked)

    def test_people_are_the_same_with_and_without_one(self) -> None:
        """R3079."""
        bare = Handset(self.room, FolderType.CONTACTS)
        self.assertEqual(bare.ask(), "1")
        for value in range(9):
            self.room.device_id = f"P{value}"
            phone = Handset(self.room, FolderType.CONTACTS)
            self.assertEqual(phone.ask(filtered(value)), "1")
            assert phone.found is not None and bare.found is not None
            self.assertEqual(
                [one.tag for one in phone.found.children], [one.tag for one in bare.found.children]
            )


class WaitTests(SyncCase):
    def test_out_of_range_is_14_with_the_nearest(self) -> None:
        """R3160, R3225, R3227 to R3230."""
        phone = Handset(self.room).prime()
        for tag, value, limit in (
            (AirSync.Wait, 0, "1"),
            (AirSync.Wait, 60, "59"),
            (AirSync.Wait, 100, "59"),
            (AirSync.HeartbeatInterval, 59, "60"),
            (AirSync.HeartbeatInterval, 3541, "3540"),
        ):
            self.assertEqual(phone.ask(more=(E(tag, value),)), "14", (tag, value))
            self.assertEqual(deep(phone.answer.root if phone.answer else None, AirSync.Limit), limit)


class SealedTests(SyncCase):
    def test_the_body_of_a_signed_message(self) -> None:
        """R3408, R3409, R3410; MIMESupport 1 is for such alone."""
        self.room.deliver(SIGNED)
        self.room.deliver(LETTER)
        mime = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 4))
        plain = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1))
        for number, (support, version) in enumerate([(1, "12.1"), (1, "14.1"), (2, "14.1"), (1, "16.1")]):
            self.room.device_id = f"P{number}"
            phone = Handset(self.room, version=version)
            phone.ask()
            phone.ask(options(E(AirSync.MIMESupport, support), plain, mime))
            bodies = {
                deep(one, AirSync.ApplicationData, Email.Subject): one.find(
                    AirSync.ApplicationData, AirSyncBase.Body
                )
                for one in phone.commands(AirSync.Add)
            }
            body = bodies["sealed"]
            assert body is not None
            self.assertEqual(
                [child.tag for child in body.children],
                [AirSyncBase.Type, AirSyncBase.EstimatedDataSize, AirSyncBase.Truncated, AirSyncBase.Data],
            )
            self.assertEqual(body.text(AirSyncBase.Type), "4")
            self.assertEqual((body.text(AirSyncBase.Data) or "").encode(), SIGNED)
            self.assertEqual(body.text(AirSyncBase.EstimatedDataSize), str(len(SIGNED)))
            self.assertEqual(body.text(AirSyncBase.Truncated), "0")
            self.assertEqual(deep(bodies["hi"], AirSyncBase.Type), "4" if support == 2 else "1")
