"""Conversations: the place of each message, moving all of it, and mail that comes later."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.threads import short_index
from posthouse.model import Arrival, Folder, FolderType, Item, ItemDraft
from posthouse.store import accounts, bodies, changes, conversations, delivery, folders, items
from posthouse.store.delivery import Copy
from tests.support.store import NOW, folder, make_account, make_database

MINUTE = 60_000


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.serial = 0

    def folder(self, type: FolderType = FolderType.INBOX) -> Folder:
        return folder(self.db, self.account, type)

    def deliver(self, *keys: bytes, sent: int = NOW, **copy: Any) -> Item:
        self.serial += 1
        data = b"Subject: x\r\n\r\n%d\r\n" % self.serial
        draft = ItemDraft(
            received=NOW, size=len(data), sent=sent, thread_keys=tuple(key * 16 for key in keys)
        )
        place = Copy(self.account.mailbox_id, self.account.address, **copy)
        done = self.db.write_now(
            lambda tx: delivery.deliver(tx, bodies.prepare(data), draft, [place], "s@x", [], NOW)
        )
        item = self.db.read_now(lambda tx: items.item_by_number(tx, self.account.mailbox_id, done.numbers[0]))
        assert item is not None
        return item

    def rule(self, item: Item, to: Folder) -> None:
        self.db.write_now(lambda tx: conversations.keep_rule(tx, item.conversation, to, NOW))

    def rules(self) -> int:
        return int(self.db.read_now(lambda tx: tx.value("SELECT conversation_rules FROM mailbox")))


class PlaceTests(Base):
    """MS-ASCON 2.2.2.4: R86-R92, R259, R304-R309."""

    def test_an_answer_stands_below_what_it_answers(self) -> None:
        question = self.deliver(b"q")
        answer = self.deliver(b"a", b"q", sent=NOW + MINUTE)
        second = self.deliver(b"b", b"q", b"a", sent=NOW + 2 * MINUTE)
        one, two, three = (short_index(item.conversation_index) for item in (question, answer, second))
        self.assertEqual([len(one), len(two), len(three)], [5, 10, 15])
        self.assertEqual((two[:5], three[:10]), (one, two))
        # The head is the time when it was sent, but for its two lowest bytes (MS-ASCON R95).
        self.assertTrue(0 <= self._lost(one) < 1 << 16)
        # 2**18 units of 100 ns in each step of the time, above one byte of other things.
        self.assertEqual(int.from_bytes(two[5:9], "big") >> 0, MINUTE * 10_000 + self._lost(one) >> 18)
        self.assertEqual({item.conversation for item in (question, answer, second)}, {question.conversation})
        self.assertEqual(answer.conversation_index[6:22], question.conversation)

    def _lost(self, head: bytes) -> int:
        begun = int.from_bytes(b"\x01" + head, "big") << 16
        return NOW * 10_000 + 116_444_736_000_000_000 - begun

    def test_the_same_message_has_the_same_place_again(self) -> None:
        first = self.deliver(b"q")
        again = self.deliver(b"q", sent=NOW + MINUTE)
        self.assertEqual(again.conversation_index, first.conversation_index)

    def test_a_question_that_comes_after_its_answer_begins_anew(self) -> None:
        answer = self.deliver(b"a", b"q", sent=NOW + MINUTE)
        question = self.deliver(b"q")
        later = self.deliver(b"c", b"q", sent=NOW + MINUTE)
        self.assertEqual(len(short_index(answer.conversation_index)), 5)
        self.assertEqual(len(short_index(question.conversation_index)), 5)
        self.assertEqual(len(short_index(later.conversation_index)), 10)
        self.assertEqual({answer.conversation, later.conversation}, {question.conversation})

    def test_an_answer_to_an_answer_of_long_ago(self) -> None:
        self.deliver(b"q", sent=-(2**50))
        self.assertEqual(len(short_index(self.deliver(b"a", b"q", sent=2**60).conversation_index)), 10)

    def test_of_many_references_the_newest_count(self) -> None:
        names = [bytes([65 + n]) for n in range(30)]
        before = self.deliver(names[-1])
        answer = self.deliver(b"a", *names)
        self.assertEqual(len(short_index(answer.conversation_index)), 10)
        self.assertEqual(answer.conversation, before.conversation)


class RuleTests(Base):
    def test_all_of_it_moves_but_what_was_sent_or_is_not_sent_yet(self) -> None:
        """MS-ASCON R130, R166, R172, R213, R215."""
        question = self.deliver(b"q")
        self.deliver(b"a", b"q", folder_type=FolderType.SENT)
        self.deliver(b"c", b"q", folder_id=self.folder(FolderType.DELETED).id)
        self.deliver(b"z")
        draft = ItemDraft(received=NOW, size=1, draft=True, thread_keys=(b"d" * 16, b"q" * 16))
        drafts = self.folder(FolderType.DRAFTS)
        self.db.write_now(lambda tx: items.add_item(tx, drafts, draft, question.body_id, NOW))
        to = self.db.write_now(
            lambda tx: folders.create_folder(
                tx, self.account.mailbox_id, 0, "Project", FolderType.USER_MAIL, NOW
            )
        )
        moved = self.db.write_now(lambda tx: conversations.gather(tx, question.conversation, to))
        self.assertEqual(moved, 2)
        self.assertEqual(self.db.write_now(lambda tx: conversations.gather(tx, question.conversation, to)), 0)
        totals = {
            one.type: one.total
            for one in self.db.read_now(lambda tx: folders.list_folders(tx, self.account.mailbox_id))
        }
        self.assertEqual(totals[FolderType.USER_MAIL], 2)
        self.assertEqual((totals[FolderType.SENT], totals[FolderType.DRAFTS]), (1, 1))
        self.assertEqual((totals[FolderType.INBOX], totals[FolderType.DELETED]), (1, 0))
        inbox = self.folder()
        gone = self.db.read_now(lambda tx: changes.gone_since(tx, inbox.id, 0, 9))
        self.assertEqual([stone.number for stone in gone], [question.number])

    def test_what_comes_later_follows(self) -> None:
        question, trash = self.deliver(b"q"), self.folder(FolderType.DELETED)
        self.assertEqual(self.rules(), 0)
        self.rule(question, trash)
        self.assertEqual(self.rules(), 1)
        self.assertEqual(self.deliver(b"a", b"q").folder_id, trash.id)
        self.assertEqual(self.deliver(b"z").folder_id, self.folder().id)
        self.assertEqual(
            self.deliver(b"s", b"q", folder_type=FolderType.SENT).folder_id, self.folder(FolderType.SENT).id
        )
        junk = self.deliver(b"j", b"q", role="junk")
        self.assertNotEqual(junk.folder_id, trash.id)
        # The Inbox ends it.
        self.rule(question, self.folder())
        self.assertEqual(self.rules(), 0)
        self.assertEqual(self.deliver(b"b", b"q").folder_id, self.folder().id)

    def test_a_rule_goes_with_its_folder(self) -> None:
        question = self.deliver(b"q")
        to = self.db.write_now(
            lambda tx: folders.create_folder(
                tx, self.account.mailbox_id, 0, "Project", FolderType.USER_MAIL, NOW
            )
        )
        self.rule(question, to)
        self.db.write_now(lambda tx: folders.delete_folder(tx, to))
        self.assertEqual(self.deliver(b"a", b"q").folder_id, self.folder().id)
        self.assertEqual(self.rules(), 0)

    def test_the_oldest_rules_give_way(self) -> None:
        self.patch(conversations, "MOST_RULES", 3)
        trash = self.folder(FolderType.DELETED)
        for n in range(5):
            self.db.write_now(lambda tx, n=n: conversations.keep_rule(tx, bytes([n]) * 16, trash, NOW + n))
        left = self.db.read_now(
            lambda tx: tx.execute("SELECT conversation FROM conversation_rule ORDER BY 1")
        )
        self.assertEqual([row[0][:1] for row in left], [b"\2", b"\3", b"\4"])
        self.assertEqual(self.rules(), 3)

    def test_an_account_takes_its_rules_with_it(self) -> None:
        self.rule(self.deliver(b"q"), self.folder(FolderType.DELETED))
        while not self.db.write_now(lambda tx: accounts.delete_account(tx, self.account.id)):
            pass
        self.assertEqual(self.db.read_now(lambda tx: tx.value("SELECT count(*) FROM conversation_rule")), 0)

    def test_the_mail_of_a_conversation_is_found_by_an_index(self) -> None:
        plan = self.db.read_now(
            lambda tx: tx.execute(
                "EXPLAIN QUERY PLAN SELECT i.number FROM item i WHERE i.mailbox_id = ? AND i.hidden = 0 "
                "AND i.folder_id IN (?,?) AND i.conversation = ? ORDER BY i.received DESC LIMIT 9",
                (1, 2, 3, b"x"),
            )
        )
        self.assertIn("item_conversation (mailbox_id=? AND conversation=? AND folder_id=?)", plan[0][3])


class FolderTests(Base):
    """What ConversationMode asks of a folder."""

    class _Plans:
        """A transaction that explains what it is asked."""

        def __init__(self, tx: Any) -> None:
            self.tx = tx
            self.found: list[str] = []

        def execute(self, sql: str, params: Any = ()) -> Any:
            rows = self.tx.execute("EXPLAIN QUERY PLAN " + sql, params)
            self.found += [
                row[3].rpartition("INDEX ")[2] for row in rows if "SEARCH" in row[3] or "SCAN item" in row[3]
            ]
            return self.tx.execute(sql, params)

    def test_only_its_own_older_mail_counts(self) -> None:
        question = self.deliver(b"q")
        self.deliver(b"z")
        self.deliver(b"c", b"q", folder_type=FolderType.SENT)
        answer = self.deliver(b"a", b"q")
        inbox, target = self.folder().id, Arrival(NOW, answer.number)
        mailbox = self.account.mailbox_id

        def ask(tx: Any) -> Any:
            return (
                conversations.kindred(tx, mailbox, inbox, target, 9),
                conversations.companions(tx, mailbox, inbox, [answer.number], target, 9),
                conversations.alive(tx, mailbox, inbox, [question.number, question.number + 1], target),
            )

        kindred, companions, alive = self.db.read_now(ask)
        self.assertEqual([mark.number for mark in kindred], [question.number])
        self.assertEqual([mark.number for mark in companions], [question.number])
        self.assertEqual(alive, [question.number])
        plans = self.db.read_now(lambda tx: (lambda plans: (ask(plans), plans.found)[1])(self._Plans(tx)))
        conversation = (
            "item_conversation (mailbox_id=? AND conversation=? AND folder_id=? AND (received,number)"
        )
        self.assertEqual(
            plans,
            [
                "item_arrival (folder_id=? AND (received,number)>(?,?))",
                f"{conversation}<(?,?))",
                "item_folder (folder_id=? AND number=?)",
                f"{conversation}<(?,?))",
                "item_folder (folder_id=? AND number=?)",
                f"{conversation}>(?,?))",
            ],
        )
