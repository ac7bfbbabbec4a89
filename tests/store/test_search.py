"""Finding mail by its words."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import FolderType, Item, ItemDraft
from posthouse.store import folders, items, search
from tests.support.store import NOW, add, folder, make_account, make_database, put


class SearchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.inbox = folder(self.db, self.account)

    def item(self, text: str) -> Item:
        made = add(self.db, self.inbox, data=text.encode())
        self.index(text)
        return made

    def index(self, text: str) -> int:
        rows = self.db.read_now(lambda tx: search.to_index(tx, 99))
        return self.db.write_now(lambda tx: search.index(tx, [(row, text) for row in rows]))

    def find(self, query: str, where: Sequence[int] | None = None, **options: int) -> list[int]:
        return self.db.read_now(lambda tx: search.find(tx, self.account.mailbox_id, query, where, **options))

    def check(self) -> None:
        """FTS5's own check fails when its totals do not fit."""
        self.db.write_now(lambda tx: tx.execute("INSERT INTO search (search) VALUES ('integrity-check')"))

    def words_left(self, word: str) -> int:
        return self.db.read_now(
            lambda tx: tx.value("SELECT count(*) FROM search WHERE search MATCH ?", (f'words : "{word}"',))
        )

    def test_all_words_must_occur_and_the_last_may_be_unfinished(self) -> None:
        first = self.item("Die Größe des Hauses in der Straße, No. 5")
        second = self.item("the house on the hill; foo-bar baz")
        for query, expected in (
            ("haus", [first]),
            ("GROSSE", []),
            ("große", [first]),
            ("GRÖSSE", []),
            ("größe", [first]),
            ("grosse hauses", []),
            ("no 5", [first]),
            ("hil", [second]),
            ("hil the", []),
            ("the hil", [second]),
            ("foo-bar", [second]),
            ('"foo bar"', [second]),
            ('"bar foo"', []),
            ('"the hil"', []),
            ("h", [second, first]),
            ("haus house", []),
        ):
            self.assertEqual(self.find(query), [item.number for item in expected], query)

    def test_newest_first_and_in_pages(self) -> None:
        made = [self.item("word").number for _ in range(5)]
        self.assertEqual(self.find("word"), made[::-1])
        self.assertEqual(self.find("word", limit=2, offset=1), [made[3], made[2]])

    @settings(max_examples=100, deadline=None)
    @given(st.text(max_size=60) | st.text("\"'*()^:-+ ANDORTEbox{}\\\0\ud800", max_size=40))
    def test_no_query_is_syntax(self, query: str) -> None:
        self.assertEqual(self.find(query), [])

    def test_no_word_finds_nothing(self) -> None:
        self.item("AND OR NOT NEAR box m1")
        for query in ("", " ", '"', "***", "-", '""'):
            self.assertEqual(self.find(query), [], query)
        self.assertEqual(len(self.find("AND")), 1)
        self.assertEqual(len(self.find("not near")), 1)
        self.assertEqual(self.find("box:m1"), self.find("box m1"))

    def test_nobody_finds_in_another_mailbox(self) -> None:
        self.item("secret")
        other = make_account(self.db, "b@example.org")
        for query in ("secret", "m1", 'm1" OR "secret'):
            found = self.db.read_now(lambda tx, query=query: search.find(tx, other.mailbox_id, query))
            self.assertEqual(found, [])

    def test_folders_narrow_the_search_and_a_move_goes_along(self) -> None:
        item = self.item("word")
        trash = folder(self.db, self.account, FolderType.DELETED)
        self.assertEqual(self.find("word", [self.inbox.id]), [item.number])
        self.assertEqual((self.find("word", [trash.id]), self.find("word", [])), ([], []))
        moved = self.db.write_now(lambda tx: items.move_item(tx, item, trash))
        self.assertEqual((self.find("word", [self.inbox.id]), self.find("word", [trash.id])), ([], [moved]))

    def test_what_is_deleted_is_not_found_and_its_words_go(self) -> None:
        item, kept = self.item("secret word"), self.item("other word")
        self.db.write_now(lambda tx: items.delete_item(tx, item))
        self.assertEqual(self.find("word"), [kept.number])
        self.assertEqual(self.words_left("secret"), 1)
        self.assertEqual(self.db.write_now(lambda tx: search.forget_words(tx, 9)), 1)
        self.assertEqual((self.words_left("secret"), self.words_left("word")), (0, 1))
        self.assertEqual(self.db.write_now(lambda tx: search.forget_words(tx, 9)), 0)
        self.assertEqual(self.db.read_now(lambda tx: tx.value("SELECT count(*) FROM search_text")), 1)
        self.check()

    def test_deleted_before_it_was_indexed(self) -> None:
        item = add(self.db, self.inbox)
        rows = self.db.read_now(lambda tx: search.to_index(tx, 9))
        self.db.write_now(lambda tx: items.delete_item(tx, item))
        self.assertEqual(self.db.write_now(lambda tx: search.index(tx, [(row, "word") for row in rows])), 0)
        self.assertEqual(self.db.read_now(lambda tx: search.to_index(tx, 9)), [])
        self.assertEqual(self.db.write_now(lambda tx: search.forget_words(tx, 9)), 1)
        self.assertEqual(self.words_left("word"), 0)
        self.check()

    def test_another_content_is_indexed_anew(self) -> None:
        item = self.item("first draft")
        body = put(self.db, b"second")
        self.db.write_now(lambda tx: items.replace_item(tx, item, ItemDraft(received=NOW, size=6), body.id))
        self.assertEqual(self.index("second draft"), 1)
        self.assertEqual((self.find("first"), self.find("second")), ([], [item.number]))
        self.check()

    def test_text_of_a_body_that_was_replaced_meanwhile_is_not_taken(self) -> None:
        item = add(self.db, self.inbox)
        rows = self.db.read_now(lambda tx: search.to_index(tx, 9))
        body = put(self.db, b"second")
        self.db.write_now(lambda tx: items.replace_item(tx, item, ItemDraft(received=NOW, size=6), body.id))
        self.assertEqual(self.db.write_now(lambda tx: search.index(tx, [(row, "old") for row in rows])), 0)
        self.assertEqual(self.index("new"), 1)
        self.assertEqual((self.find("old"), self.find("new")), ([], [item.number]))

    def test_the_mark_is_cleared_and_text_is_capped(self) -> None:
        self.item("a " * search.TEXT_LIMIT + "beyond")
        self.assertEqual(self.db.read_now(lambda tx: search.to_index(tx, 9)), [])
        self.assertEqual(self.find("beyond"), [])
        self.assertEqual(len(self.find("a")), 1)

    def test_a_deleted_folder_is_not_searched(self) -> None:
        made = self.db.write_now(
            lambda tx: folders.create_folder(tx, self.account.mailbox_id, 0, "x", FolderType.USER_MAIL, NOW)
        )
        add(self.db, made)
        self.index("word")
        self.assertEqual(len(self.find("word")), 1)
        self.db.write_now(lambda tx: folders.delete_folder(tx, made))
        self.assertEqual(self.find("word"), [])
