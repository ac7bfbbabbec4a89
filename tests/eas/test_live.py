"""Who is connected, and what an administrator's word does to a request that waits."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.commands.ping import Ping
from posthouse.eas.commands.sync import Sync
from posthouse.eas.live import live_view
from posthouse.eas.parking import RELEASED, Parked
from posthouse.eas.pipeline import Incoming
from posthouse.eas.services import EasSettings
from posthouse.store import devices
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tree import E, Element
from tests.eas import desk
from tests.eas.room import Room


def ping(name: str, heartbeat: int = 600) -> Element:
    folder = E(P.Folder, E(P.Id, name), E(P.Class, "Email"))
    return E(P.Ping, E(P.HeartbeatInterval, heartbeat), E(P.Folders, folder))


class ReleaseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = desk.Room()
        self.room.folder_sync()
        self.phone = desk.Mirror(self.room).prime()
        self.yard = self.room.services.yard

    def begin(self, command: Any, request: Element) -> list[Any]:
        found: list[Any] = []
        self.room.start(command, request).addBoth(found.append)
        self.room.clock.advance(0)
        self.assertEqual(found, [])
        return found

    def test_a_parked_ping_ends_at_once_and_leaves_nothing(self) -> None:
        found = self.begin(Ping(), ping(self.phone.name))
        self.yard.release(self.room.other.id)
        self.assertEqual(found, [])
        self.yard.release(self.room.device.id)
        (answer,) = found
        self.assertEqual(answer.text(P.Status), "1")
        self.assertEqual((self.yard.parked, self.room.bus.listening), ([], 0))
        self.assertEqual(self.room.clock.getDelayedCalls(), [])

    def test_a_hanging_sync_ends_at_once(self) -> None:
        request = E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                E(
                    AirSync.Collection,
                    E(AirSync.SyncKey, self.phone.key),
                    E(AirSync.CollectionId, self.phone.name),
                ),
            ),
            E(AirSync.Wait, 10),
        )
        found = self.begin(Sync(), request)
        self.yard.release(self.room.device.id)
        self.assertEqual(len(found), 1)
        self.assertEqual(self.yard.parked, [])
        self.assertIsNone(self.yard.recall(self.room.device.id))

    def test_one_that_is_about_to_wait_does_not(self) -> None:
        parked = Parked(self.room.call(None), "Ping", self.room.clock.seconds() + 60)
        parked.end(RELEASED)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(parked.wait(None))), RELEASED)


class ResyncTests(SynchronousTestCase):
    def test_a_folder_to_fetch_anew_wakes_a_ping_until_it_was_begun_anew(self) -> None:
        room = desk.Room()
        room.folder_sync()
        item = room.mail()
        phone = desk.Mirror(room).prime()
        found: list[Any] = []
        room.start(Ping(), ping(phone.name)).addBoth(found.append)
        room.clock.advance(0)
        room.do(lambda tx: devices.forget_state(tx, room.device.id, phone.name))
        room.services.yard.release(room.device.id)
        self.assertEqual(found[0].text(P.Status), "1")
        again = room.run(Ping(), ping(phone.name))
        self.assertEqual(again.text(P.Status), "2")
        refused = phone.ask().find(AirSync.Collections, AirSync.Collection)
        self.assertEqual(refused.text(AirSync.Status), "3")
        anew = desk.Mirror(room).prime()
        self.assertEqual(list(anew.held), [item.number])
        room.start(Ping(), ping(phone.name)).addBoth(found.append)
        room.clock.advance(0)
        self.assertEqual(len(found), 1)


class RetryTests(SynchronousTestCase):
    def test_an_item_that_is_offered_again_wakes_a_ping_and_arrives_and_a_broken_one_does_so_once(
        self,
    ) -> None:
        room = desk.Room()
        room.folder_sync()
        item = room.mail()

        def structure(value: bytes) -> None:
            room.do(
                lambda tx: tx.execute("UPDATE item SET structure = ? WHERE number = ?", (value, item.number))
            )

        structure(b"{")
        phone = desk.Mirror(room).prime()
        self.assertEqual(phone.held, {})

        def asked() -> str:
            found: list[Any] = []
            room.start(Ping(), ping(phone.name, 60)).addBoth(found.append)
            room.clock.advance(61)
            return str(found[0].text(P.Status))

        self.assertEqual(asked(), "1")
        room.do(lambda tx: devices.offer_again(tx, room.device.id))
        self.assertEqual(asked(), "2")
        phone.sync()  # it is broken still, and set aside again
        self.assertEqual(asked(), "1")
        structure(item.structure)
        room.do(lambda tx: devices.offer_again(tx, room.device.id))
        self.assertEqual(asked(), "2")
        phone.sync()
        self.assertEqual(list(phone.held), [item.number])
        self.assertEqual(asked(), "1")


class LiveTests(SynchronousTestCase):
    def test_a_row_for_each_request_under_way(self) -> None:
        room = Room(EasSettings(policy=None))
        sync = E(F.FolderSync, E(F.SyncKey, 0))
        self.assertEqual(room.post("FolderSync", sync).text(F.Status), "1")
        self.assertEqual(live_view(room.services), [])
        body = encode(ping(str(room.folder().number), 300))
        query = {"Cmd": "Ping", "User": "a", "DeviceId": "PHONE1", "DeviceType": "iPhone"}
        headers = {"MS-ASProtocolVersion": "14.1", "Content-Type": "application/vnd.ms-sync.wbxml"}
        replies: list[Any] = []
        Deferred.fromCoroutine(
            room.pipeline.answer(
                room.account,
                Incoming(
                    urlencode(query).encode(),
                    lambda name: headers.get(name, ""),
                    lambda: succeed(body),
                    "192.0.2.1",
                ),
            )
        ).addBoth(replies.append)
        room.clock.advance(100)
        (row,) = live_view(room.services)
        wanted = {
            "address": "a@example.org",
            "device": "PHONE1",
            "command": "Ping",
            "protocol": "14.1",
            "seconds": 100,
            "left": 200,
            "folders": 1,
            "peer": "192.0.2.1",
        }
        self.assertEqual({key: row[key] for key in wanted}, wanted)
        room.services.yard.release(row["id"])
        self.assertEqual([reply.code for reply in replies], [200])
        self.assertEqual(live_view(room.services), [])

    def test_a_request_that_failed_is_over(self) -> None:
        room = Room(EasSettings(policy=None))
        room.post("FolderSync", b"nonsense", headers={"Content-Type": "application/vnd.ms-sync.wbxml"})
        self.assertEqual(live_view(room.services), [])
