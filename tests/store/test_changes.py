"""Any sequence of writes, seen through the scans, equals what happened: a model beside the store."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import Arrival, Flag, FolderType, Item
from posthouse.store import bulk, folders, items
from tests.support.store import NOW, add, folder, make_account, make_database

TYPES = (FolderType.INBOX, FolderType.DELETED, FolderType.SENT)


class Mailbox(RuleBasedStateMachine):
    """Per folder: what is in it (number to groups) and what left it."""

    def __init__(self) -> None:
        super().__init__()
        self.db = make_database()
        self.account = make_account(self.db)
        self.folders = [folder(self.db, self.account, type) for type in TYPES]
        self.here: list[dict[int, dict[str, Any]]] = [{} for _ in TYPES]
        self.gone: list[list[tuple[int, int]]] = [[] for _ in TYPES]
        self.used: set[int] = set()
        self.checkpoint = self.top()

    def teardown(self) -> None:
        self.db.close()

    def top(self) -> int:
        return self.db.read_now(lambda tx: items.top_number(tx, self.account.mailbox_id))

    def take(self, number: int, before: int) -> None:
        assert number == before + 1 == self.top()
        assert number not in self.used
        self.used.add(number)

    def pick(self, data: int) -> tuple[int, int, Item] | None:
        everything = [(place, number) for place, each in enumerate(self.here) for number in each]
        if not everything:
            return None
        place, number = everything[data % len(everything)]
        item = self.db.read_now(lambda tx: items.items(tx, self.folders[place].id, [number]))[number]
        return place, number, item

    @rule(place=st.integers(0, 2), received=st.integers(-5, 5), read=st.booleans())
    def arrive(self, place: int, received: int, read: bool) -> None:
        before = self.top()
        item = add(self.db, self.folders[place], received=NOW + received, read=read)
        self.take(item.number, before)
        self.here[place][item.number] = {
            "received": NOW + received, "read": read, "flag": None,
            "numbers": [item.number] * 4,
        }  # fmt: skip

    @rule(data=st.integers(0, 99), read=st.booleans())
    def mark(self, data: int, read: bool) -> None:
        if (found := self.pick(data)) is None:
            return
        place, number, item = found
        known, before = self.here[place][number], self.top()
        at = self.db.write_now(lambda tx: items.set_read(tx, item, read))
        if known["read"] == read:
            assert (at, self.top()) == (0, before)
        else:
            self.take(at, before)
            known["read"], known["numbers"][0] = read, at

    @rule(data=st.integers(0, 99), flag=st.sampled_from([None, Flag(1), Flag(2)]))
    def flag(self, data: int, flag: Flag | None) -> None:
        if (found := self.pick(data)) is None:
            return
        place, number, item = found
        known, before = self.here[place][number], self.top()
        at = self.db.write_now(lambda tx: items.set_flag(tx, item, flag))
        if known["flag"] == flag:
            assert (at, self.top()) == (0, before)
        else:
            self.take(at, before)
            known["flag"], known["numbers"][1] = flag, at

    @rule(data=st.integers(0, 99), place=st.integers(0, 2))
    def move(self, data: int, place: int) -> None:
        if (found := self.pick(data)) is None:
            return
        source, number, item = found
        before = self.top()
        at = self.db.write_now(lambda tx: items.move_item(tx, item, self.folders[place]))
        if source == place:
            assert (at, self.top()) == (number, before)
            return
        self.take(at, before)
        known = self.here[source].pop(number)
        self.gone[source].append((number, at))
        self.here[place][at] = {**known, "numbers": [at] * 4}

    @rule(data=st.integers(0, 99))
    def delete(self, data: int) -> None:
        if (found := self.pick(data)) is None:
            return
        place, number, item = found
        before = self.top()
        at = self.db.write_now(lambda tx: items.delete_item(tx, item))
        self.take(at, before)
        del self.here[place][number]
        self.gone[place].append((number, at))

    @precondition(lambda self: any(self.here))
    @rule(place=st.integers(0, 2), limit=st.integers(1, 3))
    def empty(self, place: int, limit: int) -> None:
        before = self.top()
        count = self.db.write_now(lambda tx: bulk.empty_folder(tx, self.folders[place], limit=limit))
        victims = sorted(self.here[place])[:limit]
        assert count == len(victims)
        for offset, number in enumerate(victims, 1):
            del self.here[place][number]
            self.gone[place].append((number, before + offset))
            self.used.add(before + offset)

    @rule()
    def look_away(self) -> None:
        """From here on the scans are asked what is new."""
        self.checkpoint = self.top()

    @invariant()
    def the_scans_tell_what_happened(self) -> None:
        for place, where in enumerate(self.folders):
            for since in {0, self.checkpoint}:
                self.compare(place, where.id, since)
            now = self.db.read_now(lambda tx, where=where: folders.folder_by_id(tx, where.id))
            assert now is not None
            unread = sum(1 for known in self.here[place].values() if not known["read"])
            assert (now.total, now.unread) == (len(self.here[place]), unread)

    def compare(self, place: int, folder_id: int, since: int) -> None:
        def scan(tx: Any) -> tuple[Any, ...]:
            return (
                items.added_since(tx, folder_id, since, 999),
                items.changed_since(tx, folder_id, since, 999),
                items.gone_since(tx, folder_id, since, 999),
                items.filling(tx, folder_id, Arrival(2**60, 0), Arrival(0, 0), 999),
            )

        added, changed, gone, everything = self.db.read_now(scan)
        known = self.here[place]
        assert [mark.number for mark in added] == sorted(number for number in known if number > since)
        tops = {number: max(each["numbers"]) for number, each in known.items()}
        expected = sorted((at, number) for number, at in tops.items() if at > since and at > number)
        assert [(mark.changed, mark.number) for mark in changed] == expected
        assert [(each.number, each.at) for each in gone] == [
            (n, at) for n, at in self.gone[place] if at > since
        ]
        order = sorted(((each["received"], number) for number, each in known.items()), reverse=True)
        assert [(mark.received, mark.number) for mark in everything] == order
        for mark in everything:
            groups = [mark.read_no, mark.flag_no, mark.categories_no, mark.rest_no]
            assert groups == known[mark.number]["numbers"]


Mailbox.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


class ModelTests(SynchronousTestCase):
    def test_any_history_equals_its_scans(self) -> None:
        case = Mailbox.TestCase("runTest")
        case.runTest()
