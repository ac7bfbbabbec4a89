"""The ranks of people: use counts, waiting does not; at most 200; each update is a departure and an arrival."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import Arrival, FolderType, News
from posthouse.store import accounts, changes, numbers
from posthouse.store.acquaintances import (
    MOST,
    AcquaintanceFeed,
    acquaintances,
    best,
    note_acquaintances,
)
from tests.support.store import NOW, folder, make_account, make_database

DAY = 24 * 3600 * 1000
TOP = Arrival(2**62, 0)
BOTTOM = Arrival(-(2**62), 0)


class AcquaintanceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.news: list[News] = []
        self.db = make_database(self.news.append)
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.place = folder(self.db, self.account, FolderType.RECIPIENT_CACHE)

    def write(self, *names: str, day: float = 0, label: str = "") -> None:
        people = [(f"{name}@x.example", f"{name}@x.example", label) for name in names]
        self.db.write_now(lambda tx: note_acquaintances(tx, self.account.id, people, NOW + int(day * DAY)))

    def order(self) -> list[str]:
        def read(tx):  # type: ignore[no-untyped-def]
            marks = AcquaintanceFeed(tx, self.account.mailbox_id, self.place.id).filling(TOP, BOTTOM, 999)
            found = acquaintances(tx, self.place.id, [mark.number for mark in marks])
            return [found[mark.number].address.partition("@")[0] for mark in marks]

        return self.db.read_now(read)  # type: ignore[no-any-return]

    def test_who_is_written_to_more_often_stands_before_who_is_written_to_later(self) -> None:
        self.write("a")
        self.write("a")
        self.write("b", day=3)
        self.assertEqual(self.order(), ["a", "b"])
        # A month later half of the old use is forgotten, and b was used twice since.
        self.write("b", day=60)
        self.assertEqual(self.order(), ["b", "a"])

    def test_an_update_leaves_under_the_old_number_and_comes_under_a_new_one(self) -> None:
        self.write("a")
        before = self.db.read_now(lambda tx: numbers.top_number(tx, self.account.mailbox_id))
        self.news.clear()
        self.write("a", day=1)
        gone = self.db.read_now(lambda tx: changes.gone_since(tx, self.place.id, before, 9))
        feed = self.db.read_now(
            lambda tx: AcquaintanceFeed(tx, self.account.mailbox_id, self.place.id).added(before, 9)
        )
        self.assertEqual(len(gone), 1)
        self.assertEqual(gone[0].received, NOW)
        self.assertEqual([mark.number for mark in feed], [gone[0].at + 1])
        self.assertEqual(
            self.news, [News(self.account.mailbox_id, self.place.id, gone[0].at + 1)], "a Ping hears of it"
        )

    def test_a_use_that_hardly_raises_the_rank_is_no_news(self) -> None:
        for _ in range(60):
            self.write("a")
        self.news.clear()
        before = self.db.read_now(lambda tx: numbers.top_number(tx, self.account.mailbox_id))
        for _ in range(300):
            self.write("a")
        # 30 days * log2(360 / 60), a day for each piece of news
        self.assertTrue(50 < len(self.news) < 78, len(self.news))
        after = self.db.read_now(lambda tx: numbers.top_number(tx, self.account.mailbox_id))
        self.assertEqual(after - before, 2 * len(self.news))

    def test_another_name_is_news_and_no_name_is_none(self) -> None:
        self.write("a", label="Anna")
        self.write("a", label="Anna B")
        self.write("a")

        def names(tx):  # type: ignore[no-untyped-def]
            return tx.execute("SELECT name FROM acquaintance")

        self.assertEqual(self.db.read_now(names), [("Anna B",)])

    def test_at_most_two_hundred_stay_and_the_worst_leave(self) -> None:
        for number in range(MOST + 7):
            self.write(f"p{number}", day=number / 100)
        self.write("p7", "p8", "new1", "new2", day=9)
        order = self.order()
        self.assertEqual(len(order), MOST)
        self.assertEqual(set(order[:4]), {"p7", "p8", "new1", "new2"})
        self.assertNotIn("p9", order)
        self.assertNotIn("p10", order)
        self.assertIn("p11", order)
        place = self.db.read_now(lambda tx: best(tx, self.place.id, MOST))
        self.assertIsNotNone(place)
        self.assertIsNone(self.db.read_now(lambda tx: best(tx, self.place.id, MOST + 1)))

    def test_a_circular_makes_no_acquaintances(self) -> None:
        self.write(*(f"p{number}" for number in range(51)))
        self.assertEqual(self.order(), [])

    def test_they_leave_with_the_account(self) -> None:
        self.write("a", "b")
        while not self.db.write_now(lambda tx: accounts.delete_account(tx, self.account.id)):
            pass
        self.assertEqual(self.db.read_now(lambda tx: tx.value("SELECT count(*) FROM acquaintance")), 0)
