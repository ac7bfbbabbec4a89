"""Rules of the sync model that no other test of the room holds by itself; docs/sync-rules.rst lists all thirty."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.call import Answer
from posthouse.eas.commands.sync import Sync
from posthouse.eas.ids import parse_number
from posthouse.model import Flag, FolderType
from posthouse.store import devices, folders, items
from posthouse.wbxml.tags import AirSync, Email
from posthouse.wbxml.tree import E, Element
from tests.eas.desk import Mirror, Room, change_read, collection, delete, sync


class KeyTests(SynchronousTestCase):
    def test_keys_are_opaque_and_fit_one_state_alone(self) -> None:
        """Rule 1 of the sync model: over folders, devices, resets and generations no key comes twice."""
        room = Room()
        seen: list[str] = []
        for device in (room.device, room.other):
            for kind in (FolderType.INBOX, FolderType.SENT):
                for _ in range(2):
                    phone = Mirror(room, kind, device)
                    phone.sync()
                    seen.append(phone.key)
                    room.mail(type=kind)
                    phone.sync()
                    seen.append(phone.key)
        self.assertEqual(len(set(seen)), len(seen))
        self.assertTrue(all(16 <= len(key) <= 64 for key in seen))
        last = Mirror(room, FolderType.SENT, room.other)
        for key in (seen[-1][:-1], seen[0], "1", "x" * 65):
            answer = last.ask(key)
            found = (
                answer if isinstance(answer, int) else answer.find(AirSync.Collections, AirSync.Collection)
            )
            status = found if isinstance(found, int) else int(found.text(AirSync.Status))
            self.assertIn(status, (3, 4), key)


class OrderTests(SynchronousTestCase):
    def test_requests_for_one_folder_run_one_after_another(self) -> None:
        """Rule 5 of the sync model: the second begins with what the first left."""
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        entering: list[Any] = []
        yard, device = room.services.yard, room.device.id
        Deferred.fromCoroutine(yard.enter(device, phone.name)).addBoth(entering.append)
        found: list[Any] = []
        for read in (True, False):
            asked = collection(phone.name, phone.key, commands=[change_read(mail, read)])
            room.start(Sync(), sync(asked)).addBoth(found.append)
        other: list[Any] = []
        room.start(Sync(), sync(collection(room.name(FolderType.SENT), "0"))).addBoth(other.append)
        self.assertEqual((len(entering), found), (1, []))
        self.assertEqual(len(other), 1, "another folder waits for nobody")
        yard.depart(device, phone.name)
        self.assertEqual(len(found), 2)
        now = room.now(mail)
        assert now is not None
        # Both said the same key: the second rolled the first back, and was decided anew.
        self.assertFalse(now.read)
        self.assertNotEqual(key_of(found[0]), key_of(found[1]))
        kept = room.db.read_now(lambda tx: devices.load_state(tx, device, phone.name))
        assert kept is not None
        (last,) = [one for one in found if key_of(one) == kept.new_key]
        phone.take(last)
        self.assertIsInstance(phone.ask(), Answer)

    def test_what_the_user_wanted_last_is_no_conflict_with_what_went_before(self) -> None:
        """Rule 11 of the sync model: the answer to the read mark was lost, and the device says only what it is now."""
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        for read in (True, False, True, False):
            answer = phone.ask(commands=[change_read(mail, read)])
            found = answer.find(AirSync.Collections, AirSync.Collection)
            self.assertIsNone(found.find(AirSync.Responses))
            now = room.now(mail)
            assert now is not None
            self.assertEqual(now.read, read)
        phone.take(answer)
        self.assertIsInstance(phone.ask(), Answer)

    def test_what_is_superseded_or_left_commits_nothing(self) -> None:
        """Rule 5 of the sync model."""
        room = Room()
        phone = Mirror(room).prime()

        def row() -> Any:
            return room.db.read_now(lambda tx: devices.load_state(tx, room.device.id, phone.name))

        before = row()
        ends: list[Any] = []
        for _ in range(2):
            hanging = sync(collection(phone.name, phone.key), heartbeat=600)
            room.start(Sync(), hanging).addBoth(ends.append)
        self.assertEqual(len(ends), 1)
        room.gone[-1].callback(None)
        self.assertEqual((row(), room.services.yard.parked), (before, []))
        # And what comes then, comes under the key that was good before.
        mail = room.mail()
        found = phone.sync()
        assert found is not None
        self.assertEqual(list(phone.held), [mail.number])


class KnownTests(SynchronousTestCase):
    def test_the_high_water_stays_below_what_was_not_sent(self) -> None:
        """Rule 6 of the sync model: a full window leaves the rest for later, whatever happens between."""
        room = Room()
        mails = [room.mail(str(number)) for number in range(6)]
        phone = Mirror(room).prime()
        for mail in mails:
            room.read_elsewhere(mail)
        phone.sync(window=2)
        # Changed again, told already or not: the last value comes in the end.
        room.read_elsewhere(mails[0], False)
        room.read_elsewhere(mails[5], False)
        while phone.sync(window=2) is not None:
            pass
        self.assertEqual(phone.held, {mail.number: mail not in (mails[0], mails[5]) for mail in mails})

    def test_conflicts_are_decided_group_by_group(self) -> None:
        """Rule 11 of the sync model: a flag set elsewhere is no conflict with a read mark."""
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        fresh = room.now(mail)
        room.do(lambda tx: items.set_flag(tx, fresh, Flag(2, "Follow up")))
        found = phone.sync(commands=[change_read(mail, True)])
        assert found is not None
        self.assertIsNone(found.find(AirSync.Responses))
        now = room.now(mail)
        assert now is not None and now.flag is not None
        self.assertEqual((now.read, now.flag.status), (True, 2))
        change = found.find(AirSync.Commands, AirSync.Change, AirSync.ApplicationData)
        assert change is not None
        self.assertEqual([child.tag for child in change.children], [Email.Flag])

    def test_omitted_read_flag_and_categories_stay(self) -> None:
        """Rule 29 of the sync model: R873."""
        room = Room()
        mail = room.mail()
        room.do(lambda tx: items.set_categories(tx, room_item(tx, room, mail), ("Red",)))
        phone = Mirror(room).prime()
        room.read_elsewhere(mail)
        phone.sync()
        flag = E(Email.Flag, E(Email.Status, 2), E(Email.FlagType, "Follow up"))
        phone.sync(
            commands=[E(AirSync.Change, E(AirSync.ServerId, mail.number), E(AirSync.ApplicationData, flag))]
        )
        now = room.now(mail)
        assert now is not None and now.flag is not None
        self.assertEqual((now.read, now.categories, now.flag.status), (True, ("Red",), 2))


class EmptyElementTests(SynchronousTestCase):
    def test_what_an_empty_element_means(self) -> None:
        """Rule 18 of the sync model: empty GetChanges and DeletesAsMoves are TRUE (R2161, R3127)."""
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        new = room.mail("new")
        asked = E(
            AirSync.Collection,
            E(AirSync.SyncKey, phone.key),
            E(AirSync.CollectionId, phone.name),
            E(AirSync.DeletesAsMoves),
            E(AirSync.GetChanges),
            E(AirSync.Commands, delete(mail)),
        )
        del phone.held[mail.number]
        phone.take(room.run(Sync(), sync(asked)))
        self.assertEqual(list(phone.held), [new.number])
        trash = Mirror(room, FolderType.DELETED).prime()
        self.assertEqual(len(trash.held), 1)


class NumberTests(SynchronousTestCase):
    def test_a_name_is_never_given_again(self) -> None:
        """Rule 10 of the sync model: out and back is another name, and the old one means nothing any more."""
        room = Room()
        mail = room.mail()
        phone = Mirror(room).prime()
        names = [mail.number]
        for kind in (FolderType.SENT, FolderType.INBOX, FolderType.SENT, FolderType.INBOX):
            where = room.folder(kind)
            number = names[-1]
            names.append(
                room.do(
                    lambda tx, number=number, where=where: items.move_item(
                        tx, by_number(tx, room, number), where
                    )
                )
            )
        self.assertEqual(len(set(names)), 5)
        found = phone.sync()
        assert found is not None
        self.assertEqual(list(phone.held), [names[-1]])
        told = found.find(AirSync.Commands)
        assert told is not None
        self.assertEqual([one.tag for one in told.children], [AirSync.Delete, AirSync.Add])
        # A folder's name is its own for ever, too.
        mailbox = room.account.mailbox_id
        kind = FolderType.USER_MAIL
        numbers: list[int] = []
        for _ in range(2):
            made = room.do(lambda tx: folders.create_folder(tx, mailbox, 0, "Again", kind, 1))
            numbers.append(made.number)
            room.do(lambda tx, made=made: folders.delete_folder(tx, made))
        self.assertEqual(len(set(numbers)), 2)
        self.assertEqual(parse_number(str(numbers[0])), numbers[0])


def key_of(answer: Element) -> str:
    found = answer.find(AirSync.Collections, AirSync.Collection)
    assert found is not None
    return found.text(AirSync.SyncKey) or ""


def by_number(tx: Any, room: Room, number: int) -> Any:
    from posthouse.store import changes

    return changes.item_by_number(tx, room.account.mailbox_id, number)


def room_item(tx: Any, room: Room, mail: Any) -> Any:
    return by_number(tx, room, mail.number)
