"""Ping and GetItemEstimate: the same decision as Sync, asked as a question."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.commands.estimate import GetItemEstimate
from posthouse.eas.commands.ping import Ping
from posthouse.model import FolderType, News
from posthouse.store import folders
from posthouse.wbxml.tags import AirSync, AirSyncBase
from posthouse.wbxml.tags import GetItemEstimate as G
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tree import E, Element
from tests.eas.desk import Mirror, Room, change_read, delete, options


def ping(*names: str, heartbeat: int | None = 600) -> Element:
    return E(
        P.Ping,
        E(P.HeartbeatInterval, heartbeat) if heartbeat is not None else None,
        E(P.Folders, [E(P.Folder, E(P.Id, name), E(P.Class, "Email")) for name in names]) if names else None,
    )


class PingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room()
        self.room.folder_sync()
        self.phone = Mirror(self.room).prime()

    def start(self, request: Element | None) -> list[Any]:
        found: list[Any] = []
        self.room.start(Ping(), request).addBoth(found.append)
        self.room.clock.advance(0)
        return found

    def told(self, found: list[Any]) -> tuple[str, list[str]]:
        (answer,) = found
        assert isinstance(answer, Element), answer
        listed = answer.find(P.Folders)
        return answer.text(P.Status) or "", [f.value for f in listed.children] if listed is not None else []

    def test_mail_wakes_it_in_the_same_turn(self) -> None:
        found = self.start(ping(self.phone.name))
        self.assertEqual(found, [])
        self.room.mail()
        self.assertEqual(self.told(found), ("2", [self.phone.name]))
        self.assertEqual(self.room.services.yard.parked, [])
        self.assertEqual(self.room.bus.listening, 0)
        self.assertEqual(self.room.clock.getDelayedCalls(), [])

    def test_news_before_it_came_is_told_at_once(self) -> None:
        self.room.mail()
        self.assertEqual(self.told(self.start(ping(self.phone.name)))[0], "2")

    def test_a_fill_that_is_not_over_is_news(self) -> None:
        for n in range(3):
            self.room.mail(f"{n}")
        phone = Mirror(self.room, device=None)
        phone.sync()
        phone.sync(window=1)
        self.assertEqual(self.told(self.start(ping(phone.name)))[0], "2")

    def test_the_heartbeat_is_kept_to_the_second(self) -> None:
        found = self.start(ping(self.phone.name, heartbeat=60))
        self.room.clock.advance(59.9)
        self.assertEqual(found, [])
        self.room.clock.advance(0.11)
        self.assertEqual(self.told(found), ("1", []))

    def test_its_own_changes_do_not_wake_it(self) -> None:
        mail, other = self.room.mail("1"), self.room.mail("2")
        self.phone.sync()
        self.phone.sync()
        found = self.start(ping(self.phone.name))
        self.phone.sync(commands=[change_read(mail, True)], changes=False)
        self.phone.sync(commands=[delete(other)], changes=False)
        self.room.clock.advance(0)
        self.assertEqual(found, [])

    def test_what_its_deletion_put_into_the_trash_wakes_it(self) -> None:
        # Rule 9 of the sync model.
        mail = self.room.mail()
        trash = Mirror(self.room, FolderType.DELETED).prime()
        self.phone.sync()
        found = self.start(ping(self.phone.name, trash.name))
        self.phone.sync(commands=[delete(mail)])
        self.assertEqual(self.told(found), ("2", [trash.name]))

    def test_a_read_mark_from_elsewhere_wakes_it(self) -> None:
        mail = self.room.mail()
        self.phone.sync()
        found = self.start(ping(self.phone.name))
        self.room.read_elsewhere(mail)
        self.assertEqual(self.told(found)[0], "2")

    def test_what_falls_out_of_the_filter_does_not(self) -> None:  # R5598
        # Rule 14 of the sync model.
        self.room.mail()
        phone = Mirror(self.room).prime(options=options(1))
        self.room.clock.advance(5 * 86400)
        self.assertEqual(self.start(ping(phone.name)), [])

    def test_a_folder_that_was_never_synchronised_is_passed_over(self) -> None:
        # Rule 20 of the sync model.
        trash = self.room.name(FolderType.DELETED)
        self.room.mail(type=FolderType.DELETED)
        found = self.start(ping(self.phone.name, trash))
        self.assertEqual(found, [])

    def test_an_unknown_folder_asks_for_folder_sync(self) -> None:  # R4258
        # Rule 20 of the sync model.
        self.assertEqual(self.told(self.start(ping("424242"))), ("7", []))

    def test_a_device_that_never_did_folder_sync_is_asked_for_it(self) -> None:
        room = Room()
        phone = Mirror(room).prime()
        self.assertEqual(room.run(Ping(), ping(phone.name)).text(P.Status), "7")

    def test_news_that_is_none_of_its_own_costs_no_memory(self) -> None:
        found = self.start(ping(self.phone.name))
        before = len(self.room.gone)
        for _ in range(50):
            self.room.bus.publish(News(self.room.account.mailbox_id, 999))
        self.assertEqual((found, len(self.room.gone)), ([], before))

    def test_a_new_folder_ends_it(self) -> None:  # R4257
        found = self.start(ping(self.phone.name))
        mailbox = self.room.account.mailbox_id
        self.room.do(lambda tx: folders.create_folder(tx, mailbox, 0, "new", FolderType.USER_MAIL, 0))
        self.assertEqual(self.told(found), ("7", []))

    def test_a_newer_one_takes_its_place(self) -> None:
        first = self.start(ping(self.phone.name))
        second = self.start(ping(self.phone.name))
        self.assertEqual(self.told(first), ("1", []))
        self.assertEqual(second, [])
        self.assertEqual(len(self.room.services.yard.parked), 1)

    def test_parameters_are_kept(self) -> None:  # R3152, R5836
        self.start(ping(self.phone.name, heartbeat=300))
        self.room.clock.advance(300)
        found = self.start(None)
        self.room.clock.advance(299)
        self.assertEqual(found, [])
        self.room.clock.advance(1)
        self.assertEqual(self.told(found), ("1", []))
        found = self.start(ping(heartbeat=90))
        self.room.mail()
        self.assertEqual(self.told(found), ("2", [self.phone.name]))

    def test_missing_parameters_and_broken_ones(self) -> None:
        # Rule 20 of the sync model.
        self.assertEqual(self.start(None), [3])
        self.assertEqual(self.start(ping(heartbeat=600)), [3])
        self.assertEqual(self.start(E(P.Ping)), [4])
        self.assertEqual(self.start(E(P.Ping, E(P.Folders))), [4])
        self.assertEqual(self.start(E(P.Ping, E(P.HeartbeatInterval, "soon"))), [4])

    def test_limits_are_answered_with_the_nearest_value(self) -> None:  # R5690, R5691, R4253
        for asked, nearest in ((59, "60"), (3541, "3540")):
            (answer,) = self.start(ping(self.phone.name, heartbeat=asked))
            self.assertEqual((answer.text(P.Status), answer.text(P.HeartbeatInterval)), ("5", nearest))
        self.room.services.settings = Room(max_ping_folders=1).services.settings
        (answer,) = self.start(ping(self.phone.name, self.room.name(FolderType.DELETED)))
        self.assertEqual((answer.text(P.Status), answer.text(P.MaxFolders)), ("6", "1"))

    def test_it_compares_with_the_last_key_returned(self) -> None:  # R5636
        # Rule 20 of the sync model.
        self.room.mail()
        answer = self.phone.ask()
        # The answer is on its way; the Ping must not fire for what it carries.
        found = self.start(ping(self.phone.name))
        self.assertEqual(found, [])
        self.phone.take(answer)


class EstimateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room()
        self.phone = Mirror(self.room)

    def estimate(
        self, key: str | None = None, block: Element | None = None, name: str = ""
    ) -> tuple[str, str]:
        request = E(
            G.GetItemEstimate,
            E(
                G.Collections,
                E(
                    G.Collection,
                    E(AirSync.SyncKey, key or self.phone.key),
                    E(G.CollectionId, name or self.phone.name),
                    block,
                ),
            ),
        )
        answer = self.room.run(GetItemEstimate(), request)
        response = answer.find(G.Response)
        found = response.find(G.Collection, G.Estimate)
        return response.text(G.Status) or "", found.value if found is not None else ""

    def test_it_counts_what_sync_brings(self) -> None:
        mails = [self.room.mail(f"{n}", age_days=n * 5) for n in range(6)]
        self.phone.sync()
        self.assertEqual(self.estimate(), ("1", "6"))
        week = options(3)
        self.assertEqual(self.estimate(block=week), ("1", "2"))
        self.phone.prime()
        self.assertEqual(self.estimate(), ("1", "0"))
        self.room.read_elsewhere(mails[0])
        self.room.delete_elsewhere(mails[1])
        self.room.mail("new")
        self.assertEqual(self.estimate(), ("1", "3"))

    def test_it_proves_nothing(self) -> None:
        self.room.mail()
        self.phone.sync()
        older = self.phone.key
        self.phone.ask()
        self.assertEqual(self.estimate(), ("1", "1"))
        self.assertEqual(self.phone.key, older)
        self.assertIsNotNone(self.phone.sync())

    def test_statuses(self) -> None:
        # Rule 1 of the sync model.
        self.assertEqual(self.estimate()[0], "3")
        self.phone.sync()
        self.assertEqual(self.estimate(key="nonsense")[0], "4")  # R4594
        self.assertEqual(self.estimate(name="424242")[0], "2")

    def test_without_options_no_filter_and_at_most_512(self) -> None:  # R3543
        # Rule 15 of the sync model.
        for n in range(520):
            self.room.mail(f"{n}", age_days=100)
        self.phone.sync(options=options(3))
        self.assertEqual(self.estimate(), ("1", "512"))
        block = E(AirSync.Options, E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1)))
        self.assertEqual(self.estimate(block=block), ("1", "520"))
