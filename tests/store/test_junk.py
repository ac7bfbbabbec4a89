"""What moving mail teaches: learned once, taken back, bounded; and the senders that a mailbox knows."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import TooLarge
from posthouse.junk.bayes import Learned
from posthouse.junk.score import Reputation
from posthouse.model import Folder, FolderType, Item
from posthouse.store import accounts, folders, items, junk, rules
from posthouse.store.junk import Listed
from tests.support.store import NOW, add, folder, make_account, make_database

WORDS = (1, 2, -3)


class JunkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann@here.example")
        self.box = self.ann.mailbox_id
        self.inbox = folder(self.db, self.ann)
        self.bin = folder(self.db, self.ann, FolderType.DELETED)
        self.junk = self.read(folders.folder_of_role, self.box, "junk")
        self.work = self.write(folders.create_folder, self.box, 0, "Work", FolderType.USER_MAIL, NOW)

    def read(self, function: Any, *args: Any) -> Any:
        return self.db.read_now(lambda tx: function(tx, *args))

    def write(self, function: Any, *args: Any, **more: Any) -> Any:
        return self.db.write_now(lambda tx: function(tx, *args, **more))

    def arrive(self, where: Folder | None = None) -> Item:
        return add(self.db, where or self.inbox, sender_address="Shop@Far.example")

    def move(self, item: Item, to: Folder, **more: Any) -> Item:
        number = self.write(items.move_item, item, to, **more)
        moved: Item = self.read(items.item_by_number, self.box, number)
        return moved

    def lessons(self) -> list[tuple[bool, bool | None]]:
        return [(one.junk, one.before) for one in self.read(junk.lessons, 100)]

    def learn(self, words: tuple[int, ...] = WORDS) -> None:
        found = [(one, words) for one in self.read(junk.lessons, 100)]
        self.write(junk.learn, found, NOW)

    def known(self) -> dict[int, tuple[int, int]]:
        found: dict[int, tuple[int, int]] = self.read(junk.words, self.box, WORDS)
        return found

    def learned(self) -> Learned:
        found: Learned = self.read(junk.learned, self.box)
        return found


class MoveTests(JunkCase):
    def test_which_moves_teach(self) -> None:
        for source, to, expected in (
            (self.inbox, self.junk, [True]),
            (self.bin, self.junk, [True]),
            (self.junk, self.inbox, [False]),
            (self.junk, self.work, [False]),
            (self.inbox, self.work, [False]),
            (self.junk, self.bin, []),
            (self.inbox, self.bin, []),
            (self.bin, self.inbox, []),
            (self.work, self.inbox, []),
        ):
            self.move(self.arrive(source), to)
            self.assertEqual([one for one, _ in self.lessons()], expected, (source.name, to.name))
            self.write(lambda tx: tx.execute("DELETE FROM junk_lesson"))

    def test_what_the_house_moves_by_itself_does_not(self) -> None:
        self.move(self.arrive(), self.work, learn=False)
        self.assertEqual(self.lessons(), [])

    def test_an_answer_teaches(self) -> None:
        item = self.arrive()
        self.write(items.set_verb, item, 1, NOW)
        self.assertEqual(self.lessons(), [(False, None)])


class LearnTests(JunkCase):
    def test_a_message_is_learned_once(self) -> None:
        item = self.move(self.arrive(), self.junk)
        self.learn()
        self.assertEqual((self.known(), self.learned()), (dict.fromkeys(WORDS, (1, 0)), Learned(1, 0)))
        self.assertEqual(self.lessons(), [])
        item = self.move(item, self.bin)
        self.move(item, self.junk)
        self.assertEqual(self.lessons(), [(True, True)])
        self.learn()
        self.assertEqual(self.learned(), Learned(1, 0))

    def test_what_was_learned_is_taken_back(self) -> None:
        self.move(self.arrive(), self.junk)
        self.learn((1,))
        item = self.move(self.arrive(), self.junk)
        self.learn((1, 2))
        self.assertEqual(self.known(), {1: (2, 0), 2: (1, 0)})
        self.move(item, self.inbox)
        self.assertEqual(self.lessons(), [(False, True)])
        self.learn((1, 2))
        self.assertEqual((self.known(), self.learned()), ({1: (1, 1), 2: (0, 1)}, Learned(1, 1)))
        self.assertEqual(
            self.read(junk.reputation, self.box, self.ann.id, "shop@far.example"), Reputation("", False, 1, 1)
        )

    def test_moved_back_before_it_was_learned(self) -> None:
        item = self.move(self.arrive(), self.junk)
        (lesson,) = self.read(junk.lessons, 10)
        self.move(item, self.inbox)
        self.write(junk.learn, [(lesson, WORDS)], NOW)
        self.assertEqual(self.learned(), Learned())
        self.assertEqual(self.lessons(), [(False, None)])

    def test_a_message_that_is_gone_teaches_nothing_and_its_lesson_goes(self) -> None:
        item = self.move(self.arrive(), self.junk)
        self.write(items.delete_item, item)
        self.assertEqual(self.lessons(), [])
        self.assertEqual(self.write(junk.prune, 100), 1)
        self.assertEqual(self.write(junk.prune, 100), 0)

    def test_mailboxes_do_not_learn_of_each_other(self) -> None:
        bob = make_account(self.db, "bob@here.example")
        self.move(self.arrive(), self.junk)
        self.learn()
        self.assertEqual(self.read(junk.words, bob.mailbox_id, WORDS), {})
        self.assertEqual(self.read(rules.traits, [self.box])[0].learned_junk, 1)

    def test_words_are_bounded_and_the_rare_go_first(self) -> None:
        self.patch(junk, "MAX_WORDS", 50)
        for _ in range(2):
            self.move(self.arrive(), self.junk)
            self.learn((1, 2))
        self.move(self.arrive(), self.junk)
        self.learn(tuple(range(100, 160)))
        while self.write(junk.trim, self.box, 10):
            pass
        count = self.read(lambda tx: tx.value("SELECT count(*) FROM junk_word"))
        self.assertEqual(count, 50)
        self.assertEqual(self.known(), {1: (2, 0), 2: (2, 0)})

    def test_senders_are_bounded_and_those_listed_stay(self) -> None:
        self.patch(junk, "MAX_SENDERS", 5)
        self.write(junk.list_sender, self.box, "a@b.example", Listed.SAFE, 0)
        for number in range(20):
            item = add(self.db, self.inbox, sender_address=f"s{number}@far.example")
            self.move(item, self.junk)
        self.learn()
        while self.write(junk.trim, self.box, 4):
            pass
        self.assertEqual(self.read(junk.senders, self.box), [("a@b.example", Listed.SAFE)])
        self.assertLessEqual(self.read(rules.traits, [self.box])[0].senders, 5)

    def test_everything_can_be_forgotten_but_the_users_lists(self) -> None:
        self.write(junk.list_sender, self.box, "shop@far.example", Listed.BLOCKED, NOW)
        self.move(self.arrive(), self.junk)
        self.learn()
        while self.write(junk.forget, self.box):
            pass
        self.assertEqual((self.known(), self.learned()), ({}, Learned()))
        self.assertEqual(
            self.read(junk.reputation, self.box, self.ann.id, "shop@far.example"), Reputation("blocked")
        )

    def test_nothing_stays_of_an_account_that_goes(self) -> None:
        self.move(self.arrive(), self.junk)
        self.learn()
        while not self.write(accounts.delete_account, self.ann.id):
            pass
        for table in ("junk_word", "junk_learned", "known_sender"):
            self.assertEqual(self.read(lambda tx, t=table: tx.value(f"SELECT count(*) FROM {t}")), 0)


class SenderTests(JunkCase):
    def reputation(self, address: str) -> Reputation:
        found: Reputation = self.read(junk.reputation, self.box, self.ann.id, address)
        return found

    def test_an_address_counts_before_its_domain(self) -> None:
        self.write(junk.list_sender, self.box, "@shop.example", Listed.BLOCKED, NOW)
        self.write(junk.list_sender, self.box, "ida@eu.shop.example", Listed.SAFE, NOW)
        self.assertEqual(self.reputation("bo@shop.example").listed, "blocked")
        self.assertEqual(self.reputation("bo@eu.shop.example").listed, "blocked")
        self.assertEqual(self.reputation("ida@eu.shop.example").listed, "safe")
        self.assertEqual(self.reputation("bo@bookshop.example").listed, "")
        self.write(junk.list_sender, self.box, "@shop.example", Listed.NO, NOW)
        self.assertEqual(self.reputation("bo@shop.example"), Reputation())
        self.assertEqual(self.read(rules.traits, [self.box])[0].senders, 1)

    def test_whom_the_user_wrote_to_is_known(self) -> None:
        from posthouse.store import allowance

        self.write(allowance.note, self.ann.id, ["far@there.example"], NOW)
        self.assertTrue(self.reputation("far@there.example").written)
        self.assertFalse(self.reputation("else@there.example").written)

    def test_lists_are_bounded(self) -> None:
        self.patch(junk, "MAX_LISTED", 2)
        for address in ("a@b.example", "b@b.example"):
            self.write(junk.list_sender, self.box, address, Listed.SAFE, NOW)
        self.write(junk.list_sender, self.box, "a@b.example", Listed.BLOCKED, NOW)
        self.assertRaises(TooLarge, self.write, junk.list_sender, self.box, "c@b.example", Listed.SAFE, NOW)

    def test_folders_are_learned_at_once(self) -> None:
        self.arrive(self.junk)
        self.arrive()
        self.write(items.set_read, self.arrive(), True)
        self.assertEqual(self.write(junk.note_folder, self.junk, True, 10), 1)
        self.assertEqual(self.write(junk.note_folder, self.inbox, False, 10), 1)
        self.assertEqual(sorted(one for one, _ in self.lessons()), [False, True])
