"""Microsoft's own test cases for conversations (MS-ASCON S01 to S05). Bare numbers are MS-ASCON."""

from __future__ import annotations

from posthouse.mime.threads import identifier_key
from posthouse.model import FolderType, Item
from posthouse.store import changes, conversations
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2, Move, Search
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.room import Response
from tests.eas.test_interop_mail import PLAIN, Base, preference, wanted
from tests.support.store import NOW


class Conversations(Base):
    def setUp(self) -> None:
        super().setUp()
        self.question = self.mail("q")
        self.answer = self.mail("a", "q", where=FolderType.INBOX, sent=NOW + 60_000)

    def mail(self, name: str, *answers: str, where: FolderType = FolderType.INBOX, **fields: object) -> Item:
        keys = tuple(identifier_key(one) for one in (name, *answers))
        return self.room.deliver(PLAIN, self.room.folder(where), thread_keys=keys, **fields)

    def held(self, type: FolderType) -> list[Item]:
        folder = self.room.folder(type)
        numbers = [
            mark.number
            for mark in self.room.db.read_now(lambda tx: changes.added_since(tx, folder.id, 0, 99))
        ]
        return list(self.room.db.read_now(lambda tx: changes.items(tx, folder.id, numbers)).values())

    def move(self, conversation: bytes, to: object, *always: Element, version: str = "14.1") -> str:
        operation = E(
            IO.Move,
            E(IO.ConversationId, conversation) if conversation else None,
            E(IO.DstFldId, str(to)) if to else None,
            E(IO.Options, always) if always else None,
        )
        response = self.room.post("ItemOperations", E(IO.ItemOperations, operation), version)
        self.assertEqual(response.text(IO.Status), "1")
        assert response.root is not None
        answer = response.root.find(IO.Response, IO.Move)
        assert answer is not None
        self.assertEqual(answer.blob(IO.ConversationId) or b"", conversation)  # R69, R214, R216
        return answer.text(IO.Status) or ""

    def number(self, type: FolderType) -> int:
        return self.room.folder(type).number


class SyncTests(Conversations):
    def test_ids_and_places_are_opaque_bytes(self) -> None:
        """ASCON R74-R93, R192-R196, ASEMAIL R343-R354, R1054."""
        adds = self.phone("14.0").commands()[AirSync.Add]
        answer, question = adds
        self.assertEqual(question.blob(Email2.ConversationId), self.question.conversation)
        self.assertEqual(answer.blob(Email2.ConversationId), self.question.conversation)
        first, second = (one.blob(Email2.ConversationIndex) or b"" for one in (question, answer))
        self.assertEqual((len(first), len(second)), (5, 10))
        self.assertTrue(second.startswith(first))
        for element in (question, answer):
            for child in element.children:
                if child.tag in (Email2.ConversationId, Email2.ConversationIndex):
                    self.assertIsInstance(child.content, bytes)

    def test_marked_flagged_and_deleted_message_by_message(self) -> None:
        """S01 TC01-TC03: R157, R158, R162, R199-R209, R284, R324-R326, R337."""
        phone = self.filled()
        for item in (self.question, self.answer):
            self.assertEqual(phone.change(item, E(Email.Read, 1)), "1")
        self.assertEqual([item.read for item in self.held(FolderType.INBOX)], [True, True])
        deletes = tuple(
            E(AirSync.Delete, E(AirSync.ServerId, one.number)) for one in (self.question, self.answer)
        )
        phone.ask(commands=deletes)
        self.assertEqual(len(self.held(FolderType.DELETED)), 2)
        self.mail("b", "q")
        self.assertEqual(len(self.held(FolderType.INBOX)), 1)

    def test_who_sent_it_for_somebody_else(self) -> None:
        """ASEMAIL R722, R724, R726, R1065, R1073."""
        sent_by = "Cyd <cyd@example.org>"
        self.mail("s", sent_by=sent_by)
        found = self.phone().commands()[AirSync.Add]
        self.assertEqual([one.text(Email2.Sender) for one in found].count(sent_by), 1)
        self.assertEqual([one.text(Email2.Sender) for one in found].count(None), 2)


class MoveTests(Conversations):
    always = E(IO.MoveAlways)

    def test_ignored(self) -> None:
        """S03 TC01: R166, R213, R214."""
        self.mail("s", "q", where=FolderType.SENT)
        phone = self.filled()
        status = self.move(self.question.conversation, self.number(FolderType.DELETED), self.always)
        self.assertEqual(status, "1")
        self.assertEqual([len(self.held(one)) for one in (FolderType.INBOX, FolderType.DELETED)], [0, 2])
        self.assertEqual(len(self.held(FolderType.SENT)), 1)
        # A side effect is news to the device that caused it.
        self.assertEqual(len(phone.commands()[AirSync.Delete]), 2)
        again = self.move(self.question.conversation, self.number(FolderType.DELETED), self.always)
        self.assertEqual((again, len(self.held(FolderType.DELETED))), ("1", 2))
        rules = self.room.db.read_now(lambda tx: tx.execute("SELECT folder_id FROM conversation_rule"))
        self.assertEqual(rules, [(self.room.folder(FolderType.DELETED).id,)])

    def test_always_moved_at_every_version(self) -> None:
        """S03 TC02: R68, R118, R130, R143, R172, R215, R216."""
        for version in ("14.0", "14.1", "16.0", "16.1"):
            to = self.number(FolderType.DELETED if version in ("14.0", "16.0") else FolderType.SENT)
            self.assertEqual(self.move(self.question.conversation, to, self.always, version=version), "1")

    def test_moved_message_by_message(self) -> None:
        """S01 TC04: R170, R217, R218."""
        inbox, trash = self.number(FolderType.INBOX), self.number(FolderType.DELETED)
        moves = [
            E(Move.Move, E(Move.SrcMsgId, one.number), E(Move.SrcFldId, inbox), E(Move.DstFldId, trash))
            for one in (self.question, self.answer)
        ]
        response = self.room.post("MoveItems", E(Move.MoveItems, moves))
        assert response.root is not None
        answers = [
            (one.text(Move.SrcMsgId), one.text(Move.Status)) for one in response.root.findall(Move.Response)
        ]
        self.assertEqual(answers, [(str(one.number), "3") for one in (self.question, self.answer)])
        moved = self.held(FolderType.DELETED)
        self.assertEqual({one.conversation for one in moved}, {self.question.conversation})
        self.assertEqual((len(moved), len(self.held(FolderType.INBOX))), (2, 0))

    def test_a_long_conversation_moves_in_slices(self) -> None:
        self.patch(conversations, "SLICE", 2)
        self.patch(conversations.gather, "__defaults__", (2, 0))
        for n in range(5):
            self.mail(f"m{n}", "q")
        trash = self.number(FolderType.DELETED)
        self.assertEqual(self.move(self.question.conversation, trash, self.always), "1")
        self.assertEqual(len(self.held(FolderType.DELETED)), 7)

    def test_statuses(self) -> None:
        """S03 TC03-TC05: R144, R146, R262, R317, R338, ASCMD R3475, R4939-R4942."""
        name, trash = self.question.conversation, self.number(FolderType.DELETED)
        self.assertEqual(self.move(name, trash, E(IO.MoveAlways, "MoveAlwaysContent")), "2")
        self.assertEqual(self.move(b"", trash, self.always), "2")
        self.assertEqual(self.move(name, None, self.always), "2")
        self.assertEqual(self.move(b"NotExistConversationId", trash, self.always), "6")
        self.assertEqual(self.move(name, 99999, self.always), "6")
        self.assertEqual(self.move(name, "nonsense", self.always), "6")
        self.assertEqual(self.move(name, "RI", self.always), "105")
        self.assertEqual(self.move(name, self.number(FolderType.CALENDAR), self.always), "156")
        self.assertEqual(self.move(name, trash), "155")
        self.assertEqual(len(self.held(FolderType.INBOX)), 2)


class SearchTests(Conversations):
    def test_the_whole_mailbox_is_looked_through(self) -> None:
        """S05: R176, R220, R221."""
        self.mail("s", "q", where=FolderType.SENT)
        self.mail("z")
        query = E(Search.Query, E(Search.And, E(Search.ConversationId, self.question.conversation)))
        request = E(
            Search.Search,
            E(Search.Store, E(Search.Name, "Mailbox"), query, E(Search.Options, E(Search.Range, "0-9"))),
        )
        response = self.room.post("Search", request)
        self.assertEqual(response.text(Search.Response, Search.Store, Search.Total), "3")


class PartTests(Conversations):
    """The part of a message that is its own (3.2.5.7)."""

    def fetch(self, *options: Element) -> Response:
        names = (
            E(AirSync.CollectionId, self.number(FolderType.INBOX)),
            E(AirSync.ServerId, self.answer.number),
        )
        return self.room.post(
            "ItemOperations",
            E(IO.ItemOperations, E(IO.Fetch, E(IO.Store, "Mailbox"), names, E(IO.Options, options))),
        )

    def search(self, *options: Element) -> Response:
        query = E(Search.Query, E(Search.And, E(Search.ConversationId, self.question.conversation)))
        store = E(Search.Name, "Mailbox"), query, E(Search.Options, E(Search.Range, "0-9"), options)
        return self.room.post("Search", E(Search.Search, E(Search.Store, store)))

    def test_is_not_there_unless_it_was_asked_for(self) -> None:
        """R339, R340."""
        for response in (self.fetch(preference(2)), self.search(preference(2))):
            assert response.root is not None
            found = {one.tag for one in response.root.iter()}
            self.assertIn(AirSyncBase.Body, found)
            self.assertNotIn(AirSyncBase.BodyPart, found)
        whole = self.fetch(preference(2, tag=AirSyncBase.BodyPartPreference)).root
        assert whole is not None
        self.assertIn(AirSyncBase.BodyPart, {one.tag for one in whole.iter()})

    def test_is_html_or_164(self) -> None:
        """R241."""
        for kind in (1, 3, 4):
            part = preference(kind, tag=AirSyncBase.BodyPartPreference)
            answer = self.fetch(part)
            status = answer.text(IO.Response, IO.Fetch, IO.Status) or answer.text(IO.Status)
            self.assertEqual(status, "164", kind)
            synced = self.phone().ask(wanted(part))
            assert synced.root is not None
            self.assertIn("164", [one.value for one in synced.root.iter() if one.tag == AirSync.Status], kind)
