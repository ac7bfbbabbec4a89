"""Sync and GetItemEstimate: each status of MS-ASCMD 2.2.3.177.7 and 2.2.3.177.17 where its condition arises, the
windows (2.2.3.199, 2.2.3.116), the answers to the client's commands (2.2.3.154), and the sequence of 3.1.5.4."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.commands.estimate import GetItemEstimate
from posthouse.eas.commands.sync import Sync
from posthouse.eas.services import EasSettings
from posthouse.model import FolderType
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email
from posthouse.wbxml.tags import GetItemEstimate as G
from posthouse.wbxml.tree import E, Element
from tests.eas import room as whole
from tests.eas.desk import Mirror, Room, change_read, collection, delete, options, sync

MAIL = b"From: b@example.net\r\nTo: a@example.org\r\nSubject: cut\r\n\r\n"


def told(found: Element | None, tag: str) -> list[str]:
    """The ServerIds of one kind of command."""
    commands = found.find(AirSync.Commands) if found is not None else None
    return [one.text(AirSync.ServerId) or "" for one in commands.findall(tag)] if commands is not None else []


def fetch(number: object) -> Element:
    return E(AirSync.Fetch, E(AirSync.ServerId, str(number)))


class SyncCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room()
        self.phone = Mirror(self.room)

    def fill(self, count: int) -> None:
        for number in range(count):
            self.room.mail(f"{number}")

    def responses(self, *orders: Element, **more: Any) -> list[tuple[str, str]]:
        found = self.phone.sync(commands=list(orders), **more)
        assert found is not None
        answers = found.find(AirSync.Responses)
        return [
            (one.tag, one.text(AirSync.Status) or "")
            for one in (answers.children if answers is not None else ())
        ]


class SequenceTests(SyncCase):
    def test_key_0_gives_a_key_and_that_key_everything(self) -> None:
        """R4599, R4606, R4423, R5032, R5051, R5053, R4602, R5060, R5082."""
        mails = [self.room.mail(f"{number}") for number in range(3)]
        first = self.phone.sync()
        assert first is not None
        self.assertEqual(first.text(AirSync.Status), "1")
        self.assertIsNone(first.find(AirSync.Commands))
        keys = ["0", self.phone.key]
        filled = self.phone.sync()
        self.assertEqual(sorted(map(int, told(filled, AirSync.Add))), [mail.number for mail in mails])
        keys.append(self.phone.key)
        self.room.read_elsewhere(mails[0])
        self.room.delete_elsewhere(mails[1])
        new = self.room.mail("new")
        found = self.phone.sync()
        keys.append(self.phone.key)
        self.assertEqual(told(found, AirSync.Change), [str(mails[0].number)])
        self.assertEqual(told(found, AirSync.Delete), [str(mails[1].number)])
        self.assertEqual(told(found, AirSync.Add), [str(new.number)])
        self.assertEqual(len(set(keys)), 4)

    def test_an_estimate_between_says_how_much_will_come(self) -> None:
        """R5056, R4134."""
        self.fill(4)
        self.phone.sync()
        answer = self.room.run(GetItemEstimate(), estimate((self.phone.name, self.phone.key)))
        self.assertEqual(answer.find(G.Response, G.Status).value, "1")
        self.assertEqual(answer.find(G.Response, G.Collection, G.Estimate).value, "4")
        self.assertEqual(len(told(self.phone.sync(), AirSync.Add)), 4)

    def test_what_falls_out_of_the_filter_is_soft_deleted(self) -> None:
        """R3967."""
        old, new = self.room.mail("old", age_days=5), self.room.mail("new")
        self.phone.prime(options=options(4))
        self.assertEqual(set(self.phone.held), {old.number, new.number})
        found = self.phone.sync(options=options(2))
        self.assertEqual(told(found, AirSync.SoftDelete), [str(old.number)])


class WindowTests(SyncCase):
    def more(self, found: Element | None) -> bool:
        assert found is not None
        return found.find(AirSync.MoreAvailable) is not None

    def test_without_a_window_a_hundred_come(self) -> None:
        """R3459, R4767."""
        self.fill(101)
        self.phone.sync()
        found = self.phone.sync()
        self.assertEqual((len(told(found, AirSync.Add)), self.more(found)), (100, True))
        found = self.phone.sync()
        self.assertEqual((len(told(found, AirSync.Add)), self.more(found)), (1, False))

    def test_a_window_bounds_an_answer_and_says_that_there_is_more(self) -> None:
        """R4771, R4765, R5787, R3451, R3456, R5015, R5041: omitted when nothing is left."""
        self.fill(5)
        self.phone.sync()
        seen: list[str] = []
        for rest in (3, 1, 0):
            found = self.phone.sync(window=2)
            seen += told(found, AirSync.Add)
            self.assertEqual(self.more(found), rest > 0)
            self.assertEqual(len(seen), 5 - rest)
        self.assertEqual(len(set(seen)), 5)

    def test_more_than_512_never_come_at_once(self) -> None:
        """R3460, R4764: whatever the window says, and with the size of an answer fewer may come than asked for."""
        self.fill(515)
        self.phone.sync()
        found = self.phone.sync(window=512)
        self.assertEqual((len(told(found, AirSync.Add)), self.more(found)), (512, True))
        phone = Mirror(self.room, device=self.room.other)
        phone.sync()
        found = phone.sync()
        self.assertTrue(self.more(found))
        small = Room(max_response=4000)
        for number in range(9):
            small.mail(f"{number}")
        phone = Mirror(small)
        phone.sync()
        found = phone.sync(window=512)
        self.assertLess(len(told(found, AirSync.Add)), 9)
        self.assertTrue(self.more(found))

    def test_a_full_global_window_leaves_more_for_later(self) -> None:
        """R4779."""
        self.fill(3)
        self.phone.sync()
        request = sync(collection(self.phone.name, self.phone.key), window=2)
        found = self.phone.take(self.room.run(Sync(), request))
        self.assertEqual((len(told(found, AirSync.Add)), self.more(found)), (2, True))


class ResponsesTests(SyncCase):
    def test_there_are_none_without_commands(self) -> None:
        """R3835."""
        self.fill(1)
        self.phone.sync()
        found = self.phone.sync()
        assert found is not None
        self.assertIsNone(found.find(AirSync.Responses))

    def test_each_operation_that_gets_an_answer(self) -> None:
        """R3834, R5255, R5433 (an Add and a Fetch that succeeded), R5256 (a Change that failed), R4419."""
        self.room = Room((16, 1))
        draft = self.room.mail("here", type=FolderType.DRAFTS)
        self.phone = Mirror(self.room, FolderType.DRAFTS).prime()
        new = E(
            AirSync.Add,
            E(AirSync.ClientId, "1"),
            E(
                AirSync.ApplicationData,
                E(Email.To, "b@example.net"),
                E(Email.Subject, "a thought"),
                E(AirSyncBase.Body, E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "text")),
            ),
        )
        missing = E(
            AirSync.Change, E(AirSync.ServerId, "987654"), E(AirSync.ApplicationData, E(Email.Read, 1))
        )
        self.assertEqual(
            self.responses(new, fetch(draft.number), missing),
            [(AirSync.Add, "1"), (AirSync.Fetch, "1"), (AirSync.Change, "8")],
        )

    def test_a_change_or_deletion_that_succeeded_gets_none(self) -> None:
        one, two = self.room.mail(), self.room.mail()
        self.phone.prime()
        self.assertEqual(self.responses(change_read(one, True), delete(two)), [])


class StatusTests(SyncCase):
    def status(self, answer: Any) -> str:
        assert isinstance(answer, Element), answer
        found = answer.find(AirSync.Collections, AirSync.Collection, AirSync.Status)
        assert found is not None
        return found.value

    def test_a_key_that_is_none_is_3(self) -> None:
        """R4415, R4417, R4425."""
        self.phone.prime()
        for key in ("Invalid", "9" * 64, self.phone.key + "0"):
            self.assertEqual(self.status(self.phone.ask(key=key)), "3")

    def test_what_does_not_comply_is_4_of_the_whole(self) -> None:
        """R4430, R4431, R5778, R5779, R4545 (no CollectionId); on the wire it is a child of Sync."""
        phone = whole.Room(EasSettings(policy=None))
        for root in (
            E(AirSync.Sync),
            E(AirSync.Sync, E(AirSync.Collections)),
            E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, E(AirSync.SyncKey, 0)))),
            E(
                AirSync.Sync,
                E(AirSync.Collections, E(AirSync.Collection, E(AirSync.SyncKey, 0), E(AirSync.Supported))),
            ),
            E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, E(AirSync.CollectionId, 1)))),
        ):
            answer = phone.post("Sync", root)
            assert answer.root is not None
            self.assertEqual([(one.tag, one.value) for one in answer.root.children], [(AirSync.Status, "4")])

    def test_an_invalid_item_is_6(self) -> None:
        """R4440."""
        mail = self.room.mail()
        self.phone.prime()
        subject = E(AirSync.ApplicationData, E(Email.Subject, "mine"))
        for order in (
            E(AirSync.Add, E(AirSync.ClientId, "1"), subject),
            E(AirSync.Change, E(AirSync.ServerId, mail.number), subject),
        ):
            self.assertEqual(self.responses(order), [(order.tag, "6")])

    def test_a_conflict_that_the_server_wins_is_7(self) -> None:
        """R4444."""
        mail = self.room.mail()
        self.phone.prime()
        for read in (True, False, True):
            self.room.read_elsewhere(mail, read)
        self.assertEqual(self.responses(change_read(mail, False)), [(AirSync.Change, "7")])

    def test_what_is_gone_is_8(self) -> None:
        """R4447."""
        mail = self.room.mail()
        self.phone.prime()
        self.room.delete_elsewhere(mail)
        found = self.responses(fetch(mail.number), change_read(mail, True))
        self.assertEqual(found, [(AirSync.Fetch, "8"), (AirSync.Change, "8")])

    def test_an_interval_out_of_range_is_14_with_the_nearest(self) -> None:
        """R4459, R5780, R4460, R5781, R4461, R5782, R4746."""
        for more, limit in (
            ({"wait": 0}, "1"),
            ({"wait": 60}, "59"),
            ({"heartbeat": 59}, "60"),
            ({"heartbeat": 3541}, "3540"),
        ):
            answer = self.room.run(Sync(), sync(collection(self.phone.name, "0"), **more))
            self.assertEqual(
                [(one.tag, one.value) for one in answer.children],
                [(AirSync.Status, "14"), (AirSync.Limit, limit)],
            )

    def test_both_intervals_are_4(self) -> None:
        """R4748."""
        request = sync(collection(self.phone.name, "0"), wait=10, heartbeat=1000)
        self.assertEqual(self.room.run(Sync(), request), 4)

    def test_200_commands_are_the_limit(self) -> None:
        """R5659, R5671, R7501, R5673: the limits are on, and are what Exchange has by default."""
        self.phone.prime()
        orders = [fetch(number) for number in range(201)]
        self.assertEqual(self.phone.ask(commands=orders), 4)
        self.assertEqual(self.status(self.phone.ask(commands=orders[:200])), "1")

    def test_empty_commands_are_no_error(self) -> None:
        """R2058."""
        self.phone.sync()
        element = collection(self.phone.name, self.phone.key)
        element.append(E(AirSync.Commands))
        self.room.mail()
        self.assertEqual(self.status(self.room.run(Sync(), sync(element))), "1")


class TruncationTests(SynchronousTestCase):
    def test_each_value_has_its_length(self) -> None:
        """R3418 to R3426: none of it, 4,096 to 102,400 characters, all of it."""
        house = whole.Room(EasSettings(policy=None))
        item = house.deliver(MAIL + b"0123456789abcd\r\n" * 8000)
        name = str(house.folder().number)
        size = item.size
        for value, length in enumerate((0, 4096, 5120, 7168, 10240, 20480, 51200, 102400, size)):
            key = house.post("Sync", sync(collection(name, "0"))).text(
                AirSync.Collections, AirSync.Collection, AirSync.SyncKey
            )
            wish = E(
                AirSync.Options,
                E(AirSync.MIMETruncation, value),
                E(AirSync.MIMESupport, 2),
                E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 4)),
            )
            answer = house.post("Sync", sync(collection(name, key, options=wish)))
            assert answer.root is not None
            body = answer.root.find(
                AirSync.Collections,
                AirSync.Collection,
                AirSync.Commands,
                AirSync.Add,
                AirSync.ApplicationData,
                AirSyncBase.Body,
            )
            assert body is not None
            data = body.find(AirSyncBase.Data)
            # Nothing of it means that there is no Data at all.
            self.assertEqual(data is None, value == 0)
            found = len(data.value) if data is not None else 0
            self.assertEqual((found, body.text(AirSyncBase.Truncated) == "1"), (length, value < 8), value)


def estimate(*asked: tuple[str, str | None]) -> Element:
    """Of several collections, with their keys."""
    return E(
        G.GetItemEstimate,
        E(
            G.Collections,
            [
                E(
                    G.Collection,
                    E(AirSync.SyncKey, key) if key is not None else None,
                    E(G.CollectionId, name),
                )
                for name, key in asked
            ],
        ),
    )


class EstimateTests(SyncCase):
    def test_each_collection_has_its_own_status(self) -> None:
        """R4130, R4135, R4136 (2), R4139, R4140 (3), R4142 (4)."""
        self.phone.sync()
        contacts = self.room.name(FolderType.CONTACTS)
        answer = self.room.run(
            GetItemEstimate(),
            estimate(
                (self.phone.name, self.phone.key),
                ("987654", self.phone.key),
                (contacts, "1"),
                (self.room.name(FolderType.DELETED), "0"),
                (self.phone.name, "Invalid"),
            ),
        )
        found = [one.text(G.Status) for one in answer.findall(G.Response)]
        self.assertEqual(found, ["1", "2", "3", "3", "4"])
        self.assertIsNone(answer.find(G.Status))

    def test_a_failure_of_the_whole_is_a_status_of_its_own(self) -> None:
        """R4129, R5647: a thousand collections and not one more (103)."""
        phone = whole.Room(EasSettings(policy=None))
        many = estimate(*[("987654", "1")] * 1001)
        answer = phone.post("GetItemEstimate", many)
        assert answer.root is not None
        self.assertEqual([(one.tag, one.value) for one in answer.root.children], [(G.Status, "103")])
        fewer = phone.post("GetItemEstimate", estimate(*[("987654", "1")] * 1000))
        assert fewer.root is not None
        self.assertEqual(len(fewer.root.findall(G.Response)), 1000)
