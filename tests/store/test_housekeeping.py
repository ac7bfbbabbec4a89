"""What happens when nobody looks."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from posthouse.store import bodies, bulk, housekeeping, items, properties
from posthouse.store.housekeeping import DAY, TOMBSTONE_AGE
from posthouse.store.inline import InlineDatabase
from tests.support.store import NOW, add, folder, make_account, make_database, put


class HousekeepingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.db = make_database()
        self.addCleanup(self.db.close)
        self.account = make_account(self.db)
        self.inbox = folder(self.db, self.account)

    def keep(self, now: int, db: InlineDatabase | None = None) -> int:
        total = 0
        while count := (db or self.db).write_now(lambda tx: housekeeping.housekeep(tx, now)):
            total += count
        return total

    def lose(self) -> int:
        item = add(self.db, self.inbox)
        return self.db.write_now(lambda tx: items.delete_item(tx, item))

    def tombstones(self) -> list[int]:
        return [each.at for each in self.db.read_now(lambda tx: items.gone_since(tx, self.inbox.id, 0, 99))]

    def horizon(self) -> int:
        return self.db.read_now(lambda tx: items.tombstone_horizon(tx, self.account.mailbox_id))

    def test_tombstones_go_after_sixty_days_and_the_horizon_tells(self) -> None:
        first = self.lose()
        self.keep(NOW)
        second = self.lose()
        self.keep(NOW + DAY)
        third = self.lose()
        self.keep(NOW + TOMBSTONE_AGE - 1)
        self.assertEqual((self.tombstones(), self.horizon()), ([first, second, third], 0))
        self.keep(NOW + TOMBSTONE_AGE)
        self.assertEqual((self.tombstones(), self.horizon()), ([second, third], first))
        self.keep(NOW + TOMBSTONE_AGE + DAY)
        self.assertEqual((self.tombstones(), self.horizon()), ([third], second))
        for day in range(2, 200):
            self.keep(NOW + TOMBSTONE_AGE + day * DAY)
        self.assertEqual((self.tombstones(), self.horizon()), ([], third))
        self.assertLess(self.db.read_now(lambda tx: tx.value("SELECT count(*) FROM gone_age")), 70)

    def test_nothing_to_do_is_nothing_done(self) -> None:
        add(self.db, self.inbox)
        self.keep(NOW)
        self.assertEqual(self.keep(NOW + 1), 0)

    def test_freed_pages_go_back_to_the_file_system_in_slices(self) -> None:
        path = Path(self.mktemp())
        db = InlineDatabase(path).open()
        self.addCleanup(db.close)
        for number in range(10):
            put(db, random.Random(number).randbytes(8 * bodies.CHUNK))
        pages = lambda: db.read_now(lambda tx: tx.value("PRAGMA page_count"))  # noqa: E731
        before = pages()
        self.assertGreater(self.keep(NOW + DAY, db), 0)
        self.assertLess(pages(), before - 300)

    def test_no_slice_changes_more_than_a_thousand_rows(self) -> None:
        self.assertLessEqual(bulk.SLICE * 5, 1000)
        for number in range(300):
            add(self.db, self.inbox, data=b"%d" % number)
        changed: list[int] = []

        def slice(tx: object) -> int:
            before = self.db._connection.total_changes  # type: ignore[union-attr]
            count = bulk.empty_folder(tx, self.inbox)  # type: ignore[arg-type]
            changed.append(self.db._connection.total_changes - before)  # type: ignore[union-attr]
            return count

        while self.db.write_now(slice):
            pass
        self.assertLessEqual(max(changed), 1000)
        self.assertEqual(len(changed), 3)

    def test_named_properties_keep_their_id(self) -> None:
        box = self.account.mailbox_id
        give = lambda name, create=True: self.db.write_now(  # noqa: E731
            lambda tx: properties.named_property(tx, box, b"g" * 16, name, create=create)
        )
        self.assertEqual(give("a", False), 0)
        self.assertEqual([give("a"), give("b"), give("a")], [0x8000, 0x8001, 0x8000])
        found = self.db.read_now(lambda tx: properties.property_name(tx, box, 0x8001))
        self.assertEqual(found, (b"g" * 16, "b"))
