"""The recipient information cache: the best N people, synchronised like everything else, and only to be read."""

from __future__ import annotations

import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.commands.estimate import GetItemEstimate
from posthouse.eas.commands.ping import Ping
from posthouse.eas.commands.sync import Sync
from posthouse.eas.services import EasSettings
from posthouse.model import FolderType
from posthouse.store.acquaintances import AcquaintanceFeed, acquaintances, note_acquaintances
from posthouse.wbxml.tags import AirSync, Contacts, FolderHierarchy
from posthouse.wbxml.tags import GetItemEstimate as G
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tree import E, Element
from tests.eas import room
from tests.eas.desk import Room, collection, sync
from tests.support.store import NOW

DAY = 24 * 3600 * 1000


def most(count: int, *more: Element) -> Element:
    return E(AirSync.Options, *more, E(AirSync.MaxItems, count))


class Reader:
    """A device that follows the cache."""

    def __init__(self, house: Room) -> None:
        self.house = house
        self.key = "0"
        self.has: dict[str, dict[str, str]] = {}
        self.more = False
        self.doubt = False

    def sync(
        self, options: Element | None = None, window: int | None = None, lost: bool = False
    ) -> list[str]:
        """One Sync; the tags of its commands. ``lost``: the answer never arrives."""
        request = sync(collection("RI", self.key, options=options, window=window))
        answer = self.house.run(Sync(), request)
        self.doubt = self.doubt or lost
        if lost or not isinstance(answer, Element):
            return []
        found = answer.find(AirSync.Collections, AirSync.Collection)
        assert found is not None and found.text(AirSync.Status) == "1", answer
        self.key = found.text(AirSync.SyncKey) or ""
        self.more = found.find(AirSync.MoreAvailable) is not None
        commands = found.find(AirSync.Commands)
        tags = []
        for command in commands.children if commands is not None else ():
            number = command.text(AirSync.ServerId) or ""
            tags.append(command.tag)
            if command.tag == AirSync.Add:
                assert self.doubt or number not in self.has, "added twice"
                data = command.find(AirSync.ApplicationData)
                assert data is not None
                self.has[number] = {child.tag: child.value for child in data.children}
            else:
                assert command.tag == AirSync.Delete, command.tag
                # After a lost answer the server removes what may be there.
                self.has.pop(number, None)
        return tags

    def names(self) -> list[str]:
        """The addresses, the most relevant first."""
        entries = sorted(self.has.values(), key=lambda one: -int(one[Contacts.WeightedRank]))
        return [one[Contacts.Email1Address].partition("@")[0] for one in entries]


class CacheTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.house = Room((14, 1))
        self.reader = Reader(self.house)

    def write(self, *names: str, label: str = "", day: float = 0) -> None:
        people = [(f"{name}@example.org", f"{name}@example.org", label) for name in names]
        self.house.do(lambda tx: note_acquaintances(tx, self.house.account.id, people, NOW + int(day * DAY)))

    def test_entries_have_the_four_elements_of_the_cache(self) -> None:
        """MS-ASCNTC 2.2.2.2, 2.2.2.27, 2.2.2.30, 2.2.2.64; the CollectionId is RI (R2037)."""
        self.write("a", label="Ann Other")
        self.write("b", "c", day=1)
        self.reader.sync()
        self.assertEqual(self.reader.sync(), [AirSync.Add] * 3)
        first, *others = sorted(self.reader.has.values(), key=lambda one: one[Contacts.Email1Address])
        self.assertEqual(
            first,
            {
                Contacts.Email1Address: "a@example.org",
                Contacts.FileAs: "Ann Other",
                Contacts.Alias: "a",
                Contacts.WeightedRank: str(NOW // 60_000),
            },
        )
        for other in others:
            self.assertEqual(other[Contacts.FileAs], other[Contacts.Email1Address])
            self.assertNotIn(Contacts.Alias, other, "they are in no directory")
            self.assertGreater(int(other[Contacts.WeightedRank]), NOW // 60_000)

    def test_an_update_is_a_deletion_and_an_addition(self) -> None:
        """R3275, R3276: MaxItems does not bound the commands."""
        self.write("x", "y")
        self.reader.sync()
        self.reader.sync()
        self.assertEqual(self.reader.sync(), [])
        self.write("x", "y", day=2)
        self.assertEqual(sorted(self.reader.sync()), [AirSync.Add] * 2 + [AirSync.Delete] * 2)
        self.assertEqual(len(self.reader.has), 2)

    def test_the_best_of_them_are_kept(self) -> None:
        """R3273: the top N; who falls out is deleted, who comes in is added."""
        for number in range(5):
            self.write(f"p{number}", day=number)
        self.reader.sync(most(2))
        self.reader.sync()
        self.assertEqual(self.reader.names(), ["p4", "p3"])
        self.write("p0", day=9)
        self.assertEqual(sorted(self.reader.sync()), [AirSync.Add, AirSync.Delete])
        self.assertEqual(self.reader.names(), ["p0", "p4"])
        self.reader.sync(most(4))
        self.assertEqual(self.reader.names(), ["p0", "p4", "p3", "p2"])
        self.reader.sync(most(1))
        self.assertEqual(self.reader.names(), ["p0"])

    def test_several_maxitems_are_no_error(self) -> None:
        """R3280: the last of them counts."""
        self.write("x", day=1)
        self.write("y")
        self.reader.sync(most(2, E(AirSync.MaxItems, 5), E(AirSync.MaxItems, 1)))
        self.reader.sync(most(1, E(AirSync.MaxItems, 5)))
        self.assertEqual(self.reader.names(), ["x"])

    def test_any_order_of_letters_and_lost_answers_ends_with_the_best(self) -> None:
        for seed in range(12):
            self.setUp()
            dice = random.Random(seed)
            limit, day = 3, 0.0
            self.reader.sync(most(limit))
            for _ in range(40):
                what = dice.random()
                if what < 0.5:
                    day += dice.random() * 3
                    self.write(*(f"p{dice.randrange(9)}" for _ in range(dice.randint(1, 3))), day=day)
                elif what < 0.6:
                    limit = dice.randint(1, 8)
                    self.reader.sync(most(limit), window=dice.randint(1, 4))
                else:
                    self.reader.sync(window=dice.randint(1, 4), lost=what > 0.85)
            for _ in range(40):
                self.reader.sync(most(limit), window=3)
            self.assertEqual(self.reader.names(), self._best(limit), f"seed {seed}")

    def _best(self, limit: int) -> list[str]:
        place = self.house.folder(FolderType.RECIPIENT_CACHE)

        def read(tx: Any) -> list[str]:
            feed = AcquaintanceFeed(tx, place.mailbox_id, place.id)
            marks = sorted(feed.added(0, 500), key=lambda mark: mark.arrival)[::-1][:limit]
            found = acquaintances(tx, place.id, [mark.number for mark in marks])
            ranked = sorted(found.values(), key=lambda one: (-(one.rank // 60_000), 0))
            return [one.address.partition("@")[0] for one in ranked]

        return self.house.db.read_now(read)  # type: ignore[no-any-return]

    def test_an_estimate_says_what_a_sync_brings(self) -> None:
        """R3263; and R3265, R3269: MaxItems for any other collection is status 2."""
        for number in range(5):
            self.write(f"p{number}", day=number)
        self.reader.sync()
        self.house.run(Sync(), sync(collection(self.house.name(), "0")))
        inbox_key = (
            self.house.run(Sync(), sync(collection(self.house.name(), "0")))
            .find(AirSync.Collections, AirSync.Collection)
            .text(AirSync.SyncKey)
        )

        def ask(name: str, key: str, options: Element | None) -> Element:
            answer = self.house.run(
                GetItemEstimate(),
                E(
                    G.GetItemEstimate,
                    E(
                        G.Collections,
                        E(G.Collection, E(AirSync.SyncKey, key), E(G.CollectionId, name), options),
                    ),
                ),
            )
            found = answer.find(G.Response)
            assert found is not None
            return found  # type: ignore[no-any-return]

        for options, count in ((None, "5"), (most(3), "3"), (most(300), "5")):
            found = ask("RI", self.reader.key, options)
            self.assertEqual((found.text(G.Status), found.find(G.Collection).text(G.Estimate)), ("1", count))
        self.assertEqual(ask(self.house.name(), inbox_key, most(3)).text(G.Status), "2")

    def test_a_letter_wakes_the_ping_that_waits_for_the_cache(self) -> None:
        self.house.folder_sync()
        self.reader.sync()
        self.reader.sync()
        waiting = self.house.start(
            Ping(),
            E(
                P.Ping,
                E(P.HeartbeatInterval, 300),
                E(P.Folders, E(P.Folder, E(P.Id, "RI"), E(P.Class, "Contacts"))),
            ),
        )
        self.house.clock.advance(1)
        self.assertNoResult(waiting)
        self.write("x")
        self.house.clock.advance(1)
        answer = self.successResultOf(waiting)
        self.assertEqual(answer.text(P.Status), "2")
        self.assertEqual([one.value for one in answer.find(P.Folders).children], ["RI"])

    def test_it_is_only_read(self) -> None:
        """R756, R754: any command for it is status 4 of the whole request."""
        self.write("x")
        self.reader.sync()
        self.reader.sync()
        (number,) = self.reader.has
        data = E(AirSync.ApplicationData, E(Contacts.Email1Address, "y@example.org"))
        for command in (
            E(AirSync.Add, E(AirSync.ClientId, "1"), data),
            E(AirSync.Change, E(AirSync.ServerId, number), data),
            E(AirSync.Delete, E(AirSync.ServerId, number)),
        ):
            request = sync(collection("RI", self.reader.key, commands=[command]))
            self.assertEqual(self.house.run(Sync(), request), 4, command.tag)
        self.assertEqual(self.reader.sync(), [])


class VersionTests(SynchronousTestCase):
    def test_it_exists_from_14_0_on(self) -> None:
        """R4685; MS-ASCNTC 3.1.4.4: at 12.x it is neither listed nor synchronised."""
        for version in room.VERSIONS:
            house = room.Room(EasSettings(policy=None))
            root = house.post(
                "FolderSync", E(FolderHierarchy.FolderSync, E(FolderHierarchy.SyncKey, "0")), version
            )
            assert root.root is not None
            changes = root.root.find(FolderHierarchy.Changes)
            assert changes is not None
            types = {
                one.text(FolderHierarchy.ServerId): one.text(FolderHierarchy.Type)
                for one in changes.findall(FolderHierarchy.Add)
            }
            answer = house.post("Sync", sync(collection("RI", "0")), version)
            status = answer.text(AirSync.Collections, AirSync.Collection, AirSync.Status)
            new = version >= "14.0"
            self.assertEqual((types.get("RI"), status), ("19", "1") if new else (None, "12"), version)
