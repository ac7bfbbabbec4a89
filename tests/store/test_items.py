"""Items: numbers, groups, moves, tombstones, counts."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import NoSuchAccount, NoSuchFolder, NoSuchItem, NotPermitted, OverQuota
from posthouse.model import Arrival, AttachmentInfo, Flag, FolderType, Item, ItemDraft, News
from posthouse.store import bulk, folders, items, numbers
from posthouse.store.transaction import Transaction
from tests.support.store import NOW, add, folder, make_account, make_database, put


class ItemCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.told: list[News] = []
        self.db = make_database(self.told.append)
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.inbox = folder(self.db, self.account)
        self.trash = folder(self.db, self.account, FolderType.DELETED)
        self.told.clear()

    def top(self) -> int:
        return self.db.read_now(lambda tx: items.top_number(tx, self.account.mailbox_id))

    def now(self, item: Item) -> Item:
        found = self.db.read_now(lambda tx: items.item_by_id(tx, item.id))
        assert found is not None
        return found

    def counts(self, type: FolderType = FolderType.INBOX) -> tuple[int, int]:
        found = folder(self.db, self.account, type)
        return found.total, found.unread


class AddTests(ItemCase):
    def test_everything_of_a_draft_comes_back(self) -> None:
        draft = ItemDraft(
            received=NOW, size=5, message_class="IPM.Note.X", subject="Süß", topic="süß", sender="A <a@b>",
            sender_address="a@b", to="t", cc="c", bcc="b", reply_to="r", sent=NOW - 5, message_id="<m>",
            importance=2, preview="pre", read=True, categories=("red", "grün"), draft=True,
            flag=Flag(2, "x", "y", start=1, due=2, reminder_set=True, sub_ordinal="z"), has_attachments=True,
            attachments=(AttachmentInfo("2.1", "näme", "a/b", 7, "cid", True, "loc"),), structure=b"\0s",
            thread_keys=(b"k" * 16,), trace=b"Received: x\r\n",
        )  # fmt: skip
        body = put(self.db)

        def make(tx: Transaction) -> Item:
            number = items.add_item(tx, self.inbox, draft, body.id, NOW, origin=3)
            return items.items(tx, self.inbox.id, [number])[number]

        item = self.db.write_now(make)
        for name in draft.__attrs_attrs__:
            if name.name not in ("thread_keys", "hidden", "passed_on"):
                self.assertEqual(getattr(item, name.name), getattr(draft, name.name), name.name)
        self.assertEqual((item.body_id, item.verb, item.verb_at), (body.id, 0, None))
        self.assertEqual((len(item.conversation), len(item.conversation_index)), (16, 22))
        self.assertEqual(item.conversation_index[6:], item.conversation)
        self.assertEqual(
            {item.number}, {item.changed, item.read_no, item.flag_no, item.categories_no, item.rest_no}
        )

    def test_text_is_cleaned_of_what_no_database_takes(self) -> None:
        item = add(self.db, self.inbox, subject="a\0b\ud800c", categories=("x\0\udfff",))
        self.assertEqual((item.subject, item.categories), ("ab?c", ("x?",)))

    def test_it_is_counted_and_told(self) -> None:
        item = add(self.db, self.inbox)
        add(self.db, self.inbox, read=True)
        self.assertEqual(self.counts(), (2, 1))
        self.assertEqual(self.told[0], News(self.account.mailbox_id, self.inbox.id, item.number))

    def test_hidden_items_are_neither_counted_nor_synchronised(self) -> None:
        item = add(self.db, self.inbox, hidden=True)
        self.assertEqual(self.counts(), (0, 0))
        self.assertEqual(self.db.read_now(lambda tx: items.added_since(tx, self.inbox.id, 0, 9)), [])
        self.db.write_now(lambda tx: items.set_read(tx, item, True))
        self.db.write_now(lambda tx: items.delete_item(tx, item))
        self.assertEqual(self.counts(), (0, 0))
        self.assertEqual(self.db.read_now(lambda tx: items.gone_since(tx, self.inbox.id, 0, 9)), [])

    def test_a_folder_that_is_gone_takes_nothing(self) -> None:
        made = self.db.write_now(
            lambda tx: folders.create_folder(tx, self.account.mailbox_id, 0, "x", FolderType.USER_MAIL, NOW)
        )
        self.db.write_now(lambda tx: folders.delete_folder(tx, made))
        self.assertRaises(NoSuchFolder, add, self.db, made)

    def test_imap_uids_grow_within_a_folder(self) -> None:
        for _ in range(3):
            add(self.db, self.inbox)
        uids = self.db.read_now(lambda tx: tx.execute("SELECT uid FROM item ORDER BY number"))
        self.assertEqual(uids, [(1,), (2,), (3,)])


class ChangeTests(ItemCase):
    def test_each_group_is_numbered_apart(self) -> None:
        item = add(self.db, self.inbox)
        read = self.db.write_now(lambda tx: items.set_read(tx, item, True, 5))
        flag = self.db.write_now(lambda tx: items.set_flag(tx, item, Flag(2), 6))
        kinds = self.db.write_now(lambda tx: items.set_categories(tx, item, ("a",), 7))
        verb = self.db.write_now(lambda tx: items.set_verb(tx, item, 1, NOW, 8))
        self.assertEqual([read, flag, kinds, verb], list(range(item.number + 1, item.number + 5)))
        now = self.now(item)
        self.assertEqual((now.number, now.changed), (item.number, verb))
        self.assertEqual(
            (now.read_no, now.flag_no, now.categories_no, now.rest_no), (read, flag, kinds, verb)
        )
        self.assertEqual(
            (now.read, now.flag, now.categories, now.verb, now.verb_at), (True, Flag(2), ("a",), 1, NOW)
        )
        by = self.db.read_now(lambda tx: tx.one("SELECT read_by, flag_by, categories_by, rest_by FROM item"))
        self.assertEqual(by, (5, 6, 7, 8))

    def test_what_changes_nothing_takes_no_number_and_is_no_news(self) -> None:
        item = add(self.db, self.inbox, read=True, flag=Flag(2, "x"), categories=("a",))
        before = self.top()
        self.told.clear()
        for change in (
            lambda tx: items.set_read(tx, item, True),
            lambda tx: items.set_flag(tx, item, Flag(2, "x")),
            lambda tx: items.set_categories(tx, item, ("a",)),
        ):
            self.assertEqual(self.db.write_now(change), 0)
        self.assertEqual((self.top(), self.told), (before, []))

    def test_a_flag_and_categories_can_be_cleared(self) -> None:
        item = add(self.db, self.inbox, flag=Flag(2), categories=("a",))
        self.assertTrue(self.db.write_now(lambda tx: items.set_flag(tx, item, None)))
        self.assertTrue(self.db.write_now(lambda tx: items.set_categories(tx, item, ())))
        self.assertEqual((self.now(item).flag, self.now(item).categories), (None, ()))
        self.assertEqual(self.db.write_now(lambda tx: items.set_flag(tx, item, None)), 0)

    def test_unread_counts_follow(self) -> None:
        item = add(self.db, self.inbox)
        for read, expected in ((True, 0), (True, 0), (False, 1)):
            self.db.write_now(lambda tx, read=read: items.set_read(tx, item, read))
            self.assertEqual(self.counts(), (1, expected))

    def test_touching_the_rest_always_takes_a_number(self) -> None:
        item = add(self.db, self.inbox)
        number = self.db.write_now(lambda tx: items.touch_rest(tx, item))
        self.assertEqual((number, self.now(item).rest_no), (item.number + 1, item.number + 1))

    def test_another_content_keeps_name_marks_and_arrival(self) -> None:
        item = add(self.db, self.inbox, subject="old", flag=Flag(2), categories=("a",), read=True)
        body = put(self.db, b"new body")
        draft = ItemDraft(
            received=NOW + 99, size=8, subject="new", attachments=(AttachmentInfo("1", "n", "a/b", 3),)
        )
        number = self.db.write_now(lambda tx: items.replace_item(tx, item, draft, body.id))
        now = self.now(item)
        self.assertEqual((now.number, now.rest_no, now.changed), (item.number, number, number))
        self.assertEqual(
            (now.subject, now.size, now.body_id, now.attachments), ("new", 8, body.id, draft.attachments)
        )
        self.assertEqual((now.received, now.flag, now.categories, now.read), (NOW, Flag(2), ("a",), True))

    def test_what_is_gone_or_moved_cannot_be_changed(self) -> None:
        item, other = add(self.db, self.inbox), add(self.db, self.inbox)
        self.db.write_now(lambda tx: items.delete_item(tx, item))
        self.db.write_now(lambda tx: items.move_item(tx, other, self.trash))
        before = self.top()
        for stale in (item, other):
            for change in (
                lambda tx, stale=stale: items.set_read(tx, stale, True),
                lambda tx, stale=stale: items.set_flag(tx, stale, Flag(2)),
                lambda tx, stale=stale: items.touch_rest(tx, stale),
                lambda tx, stale=stale: items.move_item(tx, stale, self.trash),
                lambda tx, stale=stale: items.delete_item(tx, stale),
            ):
                self.assertRaises(NoSuchItem, self.db.write_now, change)
        self.assertEqual(self.top(), before)


class MoveTests(ItemCase):
    def test_a_move_is_a_new_number_there_and_a_tombstone_here(self) -> None:
        item = add(self.db, self.inbox, received=NOW - 500)
        self.told.clear()
        number = self.db.write_now(lambda tx: items.move_item(tx, item, self.trash))
        moved = self.now(item)
        self.assertGreater(number, item.number)
        self.assertEqual((moved.folder_id, moved.number, moved.changed), (self.trash.id, number, number))
        self.assertEqual((moved.body_id, moved.received), (item.body_id, NOW - 500))
        gone = self.db.read_now(lambda tx: items.gone_since(tx, self.inbox.id, item.number, 9))
        self.assertEqual([(g.number, g.at, g.received) for g in gone], [(item.number, number, NOW - 500)])
        self.assertEqual(
            [m.number for m in self.db.read_now(lambda tx: items.added_since(tx, self.trash.id, 0, 9))],
            [number],
        )
        self.assertEqual(self.db.read_now(lambda tx: items.changed_since(tx, self.trash.id, 0, 9)), [])
        self.assertEqual((self.counts(), self.counts(FolderType.DELETED)), ((0, 0), (1, 1)))
        self.assertEqual({news.folder_id for news in self.told}, {self.inbox.id, self.trash.id})

    def test_out_and_back_is_another_item(self) -> None:
        item = add(self.db, self.inbox)
        self.db.write_now(lambda tx: items.move_item(tx, item, self.trash))
        back = self.db.write_now(lambda tx: items.move_item(tx, items.item_by_id(tx, item.id), self.inbox))
        self.assertNotEqual(back, item.number)
        self.assertEqual(
            self.db.read_now(lambda tx: items.gone(tx, self.inbox.id, [item.number, back])), {item.number}
        )

    def test_a_move_to_where_it_lies_changes_nothing(self) -> None:
        item = add(self.db, self.inbox)
        before = self.top()
        self.assertEqual(self.db.write_now(lambda tx: items.move_item(tx, item, self.inbox)), item.number)
        self.assertEqual(self.top(), before)

    def test_no_move_into_another_mailbox(self) -> None:
        other = folder(self.db, make_account(self.db, "b@example.org"))
        item = add(self.db, self.inbox)
        self.assertRaises(NotPermitted, self.db.write_now, lambda tx: items.move_item(tx, item, other))


class DeleteTests(ItemCase):
    def test_a_deletion_leaves_a_tombstone_and_the_mailbox_smaller(self) -> None:
        item = add(self.db, self.inbox)
        at = self.db.write_now(lambda tx: items.delete_item(tx, item, 4))
        self.assertEqual(at, item.number + 1)
        gone = self.db.read_now(lambda tx: items.gone_since(tx, self.inbox.id, 0, 9))
        self.assertEqual([(g.number, g.at) for g in gone], [(item.number, at)])
        self.assertIsNone(self.db.read_now(lambda tx: items.item_by_number(tx, item.mailbox_id, item.number)))
        self.assertEqual(self.db.read_now(lambda tx: tx.value("SELECT size FROM mailbox")), 0)

    def test_a_folder_is_emptied_in_slices(self) -> None:
        for number in range(7):
            add(self.db, self.inbox, read=number % 2 == 0)
        hidden = add(self.db, self.inbox, hidden=True)
        before = self.top()
        done = [self.db.write_now(lambda tx: bulk.empty_folder(tx, self.inbox, limit=3)) for _ in range(4)]
        self.assertEqual(done, [3, 3, 1, 0])
        self.assertEqual((self.counts(), self.top()), ((0, 0), before + 7))
        gone = self.db.read_now(lambda tx: items.gone_since(tx, self.inbox.id, before, 99))
        self.assertEqual([g.at for g in gone], list(range(before + 1, before + 8)))
        self.assertIsNotNone(self.now(hidden))

    def test_until_done_loops(self) -> None:
        from twisted.internet.defer import Deferred

        for _ in range(5):
            add(self.db, self.inbox)
        work = bulk.until_done(self.db, lambda tx: bulk.empty_folder(tx, self.inbox, limit=2))
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(work)), 5)


class NumberTests(ItemCase):
    def test_a_transaction_that_is_undone_gives_no_number_away(self) -> None:
        before = self.top()

        def fails(tx: Transaction) -> None:
            numbers.next_number(tx, self.account.mailbox_id, 10)
            raise NotPermitted

        self.assertRaises(NotPermitted, self.db.write_now, fails)
        self.assertEqual(self.top(), before)

    def test_many_numbers_at_once(self) -> None:
        first = self.db.write_now(lambda tx: numbers.next_number(tx, self.account.mailbox_id, 10))
        self.assertEqual(self.top(), first + 9)

    def test_the_counter_has_an_end_and_says_so(self) -> None:
        item = add(self.db, self.inbox)
        self.db.write_now(lambda tx: tx.execute("UPDATE mailbox SET counter = ?", (numbers.LAST_NUMBER - 1,)))
        last = self.db.write_now(lambda tx: items.set_read(tx, item, True))
        self.assertEqual(last, 2**48 - 1)
        self.assertRaises(OverQuota, self.db.write_now, lambda tx: items.set_read(tx, item, False))
        self.assertRaises(OverQuota, add, self.db, self.inbox)
        self.assertRaises(OverQuota, self.db.write_now, lambda tx: numbers.next_number(tx, item.mailbox_id))
        self.assertTrue(self.now(item).read)

    def test_no_mailbox_no_number(self) -> None:
        self.assertRaises(NoSuchAccount, self.db.write_now, lambda tx: numbers.next_number(tx, 999))

    def test_a_change_key_is_the_replica_and_the_number(self) -> None:
        key = self.db.read_now(lambda tx: numbers.change_key(tx, self.account.mailbox_id, 258))
        self.assertEqual((len(key), key[16:]), (22, b"\0\0\0\0\1\2"))


class ScanTests(ItemCase):
    def test_filling_goes_from_the_newest_arrival_down(self) -> None:
        made = [add(self.db, self.inbox, received=NOW + offset) for offset in (30, 10, 20, 20)]
        order = [made[0].number, made[3].number, made[2].number, made[1].number]
        top, bottom = Arrival(2**60, 0), Arrival(0, 0)

        def fill(below: Arrival, floor: Arrival, limit: int) -> list[int]:
            found = self.db.read_now(lambda tx: items.filling(tx, self.inbox.id, below, floor, limit))
            return [mark.number for mark in found]

        self.assertEqual(fill(top, bottom, 9), order)
        self.assertEqual(fill(top, bottom, 2), order[:2])
        self.assertEqual(fill(Arrival(NOW + 20, made[3].number), bottom, 9), order[2:])
        self.assertEqual(fill(top, Arrival(NOW + 20, made[3].number), 9), order[:2])
        left = self.db.read_now(
            lambda tx: items.leaving(tx, self.inbox.id, bottom, Arrival(NOW + 20, 2**50), 9)
        )
        self.assertEqual([mark.number for mark in left], [made[1].number, made[2].number, made[3].number])
        count = self.db.read_now(
            lambda tx: [items.count_between(tx, self.inbox.id, bottom, top, cap) for cap in (2, 9)]
        )
        self.assertEqual(count, [2, 4])

    def test_more_numbers_than_one_statement_takes(self) -> None:
        made = [add(self.db, self.inbox).number for _ in range(3)]
        asked = [*made, *range(10**6, 10**6 + 1500)]
        found = self.db.read_now(
            lambda tx: (items.items(tx, self.inbox.id, asked), items.marks(tx, self.inbox.id, asked))
        )
        self.assertEqual((sorted(found[0]), sorted(found[1])), (made, made))
        self.assertEqual(self.db.read_now(lambda tx: items.items(tx, self.inbox.id, [])), {})

    def test_the_scans_use_their_indexes_and_sort_nothing(self) -> None:
        plans: list[str] = []

        def explain(tx: Transaction) -> None:
            original = tx.execute

            class Explained:
                @staticmethod
                def execute(sql: str, params: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
                    plans.extend(row[3] for row in original("EXPLAIN QUERY PLAN " + sql, params))
                    return []

                @staticmethod
                def value(sql: str, params: tuple[object, ...] = ()) -> int:
                    Explained.execute(sql, params)
                    return 0

            fake: Transaction = Explained()  # type: ignore[assignment]
            low, high = Arrival(1, 1), Arrival(9, 9)
            items.added_since(fake, 1, 5, 9)
            items.changed_since(fake, 1, 5, 9)
            items.gone_since(fake, 1, 5, 9)
            items.filling(fake, 1, high, low, 9)
            items.leaving(fake, 1, low, high, 9)
            items.marks(fake, 1, [1])
            items.gone(fake, 1, [1])
            items.count_between(fake, 1, low, high, 9)

        self.db.read_now(explain)
        searches = [plan for plan in plans if "SEARCH" in plan]
        expected = [
            "item_folder (folder_id=? AND number>?)",
            "item_changed (folder_id=? AND changed>?)",
            "gone_at (folder_id=? AND at>?)",
            "item_arrival (folder_id=? AND (received,number)>(?,?) AND (received,number)<(?,?))",
            "item_arrival (folder_id=? AND (received,number)>(?,?) AND (received,number)<(?,?))",
            "item_folder (folder_id=? AND number=?)",
            "gone_number (folder_id=? AND number=?)",
            "item_arrival (folder_id=? AND (received,number)>(?,?) AND (received,number)<(?,?))",
        ]
        self.assertEqual([plan.rpartition("INDEX ")[2] for plan in searches], expected)
        self.assertFalse([plan for plan in plans if "B-TREE" in plan or plan.startswith("SCAN item")])


class ThreadTests(ItemCase):
    def conversation(self, *keys: bytes) -> bytes:
        return add(self.db, self.inbox, thread_keys=tuple(key * 16 for key in keys)).conversation

    def test_an_answer_joins_its_question(self) -> None:
        question = self.conversation(b"q")
        self.assertEqual(self.conversation(b"a", b"q"), question)
        self.assertEqual(self.conversation(b"b", b"a"), question)
        self.assertNotEqual(self.conversation(b"z"), question)

    def test_answers_that_come_before_the_question_find_each_other(self) -> None:
        first = self.conversation(b"a", b"q")
        self.assertEqual(self.conversation(b"b", b"q"), first)
        self.assertEqual(self.conversation(b"q"), first)

    def test_no_key_is_a_conversation_of_its_own(self) -> None:
        self.assertNotEqual(self.conversation(), self.conversation())

    def test_mailboxes_do_not_share_conversations(self) -> None:
        mine = self.conversation(b"q")
        theirs = add(
            self.db, folder(self.db, make_account(self.db, "b@example.org")), thread_keys=(b"q" * 16,)
        )
        self.assertNotEqual(theirs.conversation, mine)

    def test_no_more_than_twenty_keys_are_kept(self) -> None:
        add(self.db, self.inbox, thread_keys=tuple(bytes([n]) * 16 for n in range(50)))
        self.assertEqual(self.db.read_now(lambda tx: tx.value("SELECT count(*) FROM thread_key")), 20)
