"""Sync and GetItemEstimate as Microsoft's own test cases ask them (MS-ASCMD test suite S07, S19)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.call import Answer
from posthouse.model import FolderType
from posthouse.wbxml.tags import AirSync, Email
from posthouse.wbxml.tags import GetItemEstimate as G
from posthouse.wbxml.tree import E, Element
from tests.eas.desk import GetItemEstimate, Mirror, Room, Sync, collection, options, sync


def block(*children: Element) -> Element:
    return E(AirSync.Options, list(children))


def status(answer: Any) -> str:
    """The Status of the one collection."""
    assert isinstance(answer, Element), answer
    found = answer.find(AirSync.Collections, AirSync.Collection, AirSync.Status)
    assert found is not None
    return found.value


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room()

    def ask(self, type: FolderType, key: str, *more: Element, **named: Any) -> Any:
        return self.room.run(Sync(), sync(collection(self.room.name(type), key, *more, **named)))

    def key(self, type: FolderType) -> str:
        phone = Mirror(self.room, type)
        phone.sync()
        return phone.key


class WholeRequestTests(Base):
    """What is wrong with the request is said as a child of Sync, not of the collection."""

    def test_get_changes_with_key_0_is_4(self) -> None:
        # Rule 18 of the sync model.
        """R3128, R5838, R5839."""
        self.assertEqual(self.ask(FolderType.CONTACTS, "0", E(AirSync.GetChanges)), 4)
        self.assertEqual(self.ask(FolderType.CONTACTS, "0", changes=True), 4)
        self.assertEqual(status(self.ask(FolderType.CONTACTS, "0", changes=False)), "1")

    def test_a_filter_that_the_class_does_not_have_is_4(self) -> None:
        """R3035-3061, R3080."""
        for type, good in (
            (FolderType.INBOX, (0, 1, 2, 3, 4, 5)),
            (FolderType.CALENDAR, (0, 4, 5, 6, 7)),
            (FolderType.TASKS, (0, 8)),
            (FolderType.CONTACTS, range(9)),
        ):
            for value in range(9):
                answer = self.ask(type, "0", options=block(E(AirSync.FilterType, value)))
                if value in good:
                    self.assertEqual(status(answer), "1", (type, value))
                else:
                    self.assertEqual(answer, 4, (type, value))

    def test_conversations_of_what_is_no_mail_are_4(self) -> None:
        """R2117."""
        mode = E(AirSync.ConversationMode, 1)
        self.assertEqual(self.ask(FolderType.CONTACTS, self.key(FolderType.CONTACTS), mode), 4)
        self.room.mail()
        self.assertEqual(status(self.ask(FolderType.INBOX, self.key(FolderType.INBOX), mode)), "1")

    def test_two_blocks_are_for_mail_and_sms_alone(self) -> None:
        """R930, R934, R935."""
        key = self.key(FolderType.CALENDAR)
        for pair, good in (
            (("Calendar", "Calendar"), False),
            (("Calendar", "Tasks"), False),
            (("Email", "Email"), False),
            (("Email", "SMS"), True),
            (("SMS", "Email"), True),
        ):
            blocks = [block(E(AirSync.Class, name)) for name in pair]
            answer = self.ask(FolderType.CALENDAR, key, *blocks)
            self.assertEqual(answer == 4, not good, pair)

    def test_the_recipient_cache_is_read_only(self) -> None:
        # Rule 26 of the sync model.
        """R756."""
        order = E(AirSync.Add, E(AirSync.ClientId, "1"), E(AirSync.ApplicationData))
        first = self.room.run(Sync(), sync(collection("RI", "0")))
        self.assertEqual(status(first), "1")
        key = first.find(AirSync.Collections, AirSync.Collection, AirSync.SyncKey).value
        self.assertEqual(self.room.run(Sync(), sync(collection("RI", key, commands=[order]))), 4)
        self.assertIsInstance(self.room.run(Sync(), sync(collection("RI", key))), Answer)


class OptionsTests(Base):
    def test_a_repeated_option_is_no_error(self) -> None:
        """R938, R2075, R3075, R3280, R3404, R3432."""
        self.room.mail()
        for tag, first, second in (
            (AirSync.Class, "Email", "Email"),
            (AirSync.Conflict, 1, 1),
            (AirSync.FilterType, 0, 1),
            (AirSync.MaxItems, 2, 3),
            (AirSync.MIMESupport, 0, 1),
            (AirSync.MIMETruncation, 2, 3),
        ):
            key = self.key(FolderType.INBOX)
            answer = self.ask(FolderType.INBOX, key, options=block(E(tag, first), E(tag, second)))
            self.assertEqual(status(answer), "1", tag)
            self.assertIsNotNone(answer.find(AirSync.Collections, AirSync.Collection, AirSync.Commands), tag)


class EmptyRequestTests(Base):
    def test_a_request_that_only_began_cannot_be_repeated(self) -> None:
        """R4456: key 0 a second time would begin anew."""
        self.ask(FolderType.INBOX, "0")
        self.assertEqual(self.room.run(Sync(), None), 13)
        self.assertEqual(self.room.run(Sync(), E(AirSync.Sync, E(AirSync.Partial))), 13)

    def test_what_began_beside_others_is_left_out_of_the_repetition(self) -> None:
        phone = Mirror(self.room).prime()
        request = sync(collection(phone.name, phone.key), collection(self.room.name(FolderType.SENT), "0"))
        self.room.run(Sync(), request)
        self.room.mail("news")
        again = self.room.run(Sync(), None)
        named = again.find(AirSync.Collections).findall(AirSync.Collection)
        self.assertEqual([one.text(AirSync.CollectionId) for one in named], [phone.name])


class OlderKeyTests(Base):
    def test_without_changes_it_is_answered_with_nothing(self) -> None:
        """R3125: the key of before, GetChanges 0."""
        item = self.room.mail()
        phone = Mirror(self.room)
        phone.sync()
        key = phone.key
        self.assertIsInstance(self.ask(FolderType.INBOX, key), Element)
        silent = self.ask(FolderType.INBOX, key, changes=False, options=options(filter_type=2))
        self.assertIsInstance(silent, Answer)
        # And nothing is lost or shown twice by it.
        phone.sync()
        self.assertEqual(list(phone.held), [item.number])
        self.assertIsNone(phone.sync())


class ResponseTests(Base):
    def add(self, type: FolderType, class_name: str) -> Element:
        order = E(
            AirSync.Add,
            E(AirSync.Class, class_name) if class_name else None,
            E(AirSync.ClientId, "7"),
            E(AirSync.ApplicationData, E(Email.To, "a@example.org")),
        )
        answer = self.ask(type, self.key(type), commands=[order])
        found = answer.find(AirSync.Collections, AirSync.Collection, AirSync.Responses, AirSync.Add)
        assert isinstance(found, Element)
        return found

    def test_mail_cannot_be_added(self) -> None:
        """R755."""
        self.assertEqual(self.add(FolderType.INBOX, "Email").text(AirSync.Status), "6")

    def test_a_foreign_class_is_said_again_and_the_own_is_not(self) -> None:
        """R941, R942."""
        foreign = self.add(FolderType.NOTES, "Calendar")
        self.assertEqual(foreign.children[0].tag, AirSync.Class)
        self.assertEqual(foreign.text(AirSync.Class), "Calendar")
        self.assertIsNone(self.add(FolderType.NOTES, "Notes").text(AirSync.Class))
        self.room.version = (12, 1)
        self.assertIsNone(self.add(FolderType.NOTES, "Calendar").text(AirSync.Class))


class WaitTests(Base):
    def test_a_sync_never_waits_less_than_a_minute(self) -> None:
        """R3229, R3227, whatever Ping allows."""
        room = Room(heartbeat=(10, 3540))
        for more, limit in (({"heartbeat": 59}, "60"), ({"wait": 0}, "1"), ({"heartbeat": 3541}, "3540")):
            answer = room.run(Sync(), sync(collection(room.name(), "0"), **more))
            self.assertEqual((answer.text(AirSync.Status), answer.text(AirSync.Limit)), ("14", limit))


class EstimateTests(Base):
    def ask_for(self, name: str, key: str | None, *more: Element) -> Any:
        element = E(
            G.Collection,
            E(AirSync.SyncKey, key) if key is not None else None,
            E(G.CollectionId, name),
            list(more),
        )
        return self.room.run(GetItemEstimate(), E(G.GetItemEstimate, E(G.Collections, element)))

    def one(self, *asked: Any) -> str:
        answer = self.ask_for(*asked)
        return answer.find(G.Response, G.Status).value if isinstance(answer, Element) else f"all {answer}"

    def test_a_filter_that_the_class_does_not_have_is_110_for_the_whole(self) -> None:
        """R3005-3025, R2973."""
        for type, good in (
            (FolderType.INBOX, (0, 1, 2, 3, 4, 5)),
            (FolderType.CALENDAR, (0, 4, 5, 6, 7)),
            (FolderType.TASKS, (0, 8)),
            (FolderType.CONTACTS, range(9)),
        ):
            key = self.key(type)
            for value in range(9):
                found = self.one(self.room.name(type), key, block(E(AirSync.FilterType, value)))
                self.assertEqual(found, "1" if value in good else "all 110", (type, value))

    def test_what_no_class_has_is_103_of_the_collection(self) -> None:
        """R2100, R2984."""
        for type in (FolderType.INBOX, FolderType.CONTACTS, FolderType.CALENDAR, FolderType.TASKS):
            found = self.one(self.room.name(type), self.key(type), block(E(AirSync.FilterType, 9)))
            self.assertEqual(found, "103")
        contacts = self.room.name(FolderType.CONTACTS)
        mode = E(AirSync.ConversationMode, 1)
        self.assertEqual(self.one(contacts, self.key(FolderType.CONTACTS), mode), "103")
        self.assertEqual(self.one(contacts, None, mode), "103")
        self.assertEqual(self.one(self.room.name(), self.key(FolderType.INBOX), mode), "1")

    def test_the_recipient_cache_is_counted(self) -> None:
        """R3272."""
        answer = self.room.run(Sync(), sync(collection("RI", "0")))
        key = answer.find(AirSync.Collections, AirSync.Collection, AirSync.SyncKey).value
        twice = block(E(AirSync.MaxItems, 2), E(AirSync.MaxItems, 3))
        self.assertEqual(self.one("RI", key, twice), "1")
