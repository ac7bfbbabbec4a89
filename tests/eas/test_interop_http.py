"""What MS-ASHTTP says of commands, parameters, headers and status lines. Bare numbers are MS-ASHTTP."""

from __future__ import annotations

import gzip
import struct
from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.endpoint import PATH, Endpoint
from posthouse.eas.services import EasSettings
from posthouse.http.site import Router
from posthouse.model import DeviceAccess, FolderType, Item
from posthouse.store import changes, devices
from posthouse.wbxml.decode import decode
from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, AirSyncBase, Move, Search
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tree import E, Element
from tests.eas.finding import FindingRoom
from tests.eas.room import VERSIONS, Response, Room
from tests.eas.test_endpoint import BAD, GOOD, TARGET, Authenticator
from tests.eas.test_items import CONTENT, MAIL, OUT
from tests.eas.test_smart import NEW, ORIGINAL
from tests.eas.wire import CheckedWire as Wire
from tests.support.eas import split_parts

FIRST = E(F.FolderSync, E(F.SyncKey, 0))
XML = "application/vnd.ms-sync.wbxml"

_CODES = {
    "Sync": 0, "SendMail": 1, "SmartForward": 2, "SmartReply": 3, "GetAttachment": 4, "FolderSync": 9,
    "FolderCreate": 10, "FolderDelete": 11, "FolderUpdate": 12, "MoveItems": 13, "Ping": 18,
    "ItemOperations": 19,
}  # fmt: skip


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))
        self.addCleanup(self.room.db.close)

    def now(self, item: Item) -> Item | None:
        return self.room.db.read_now(lambda tx: changes.item_by_id(tx, item.id))


class CommandTests(Base):
    """Each command by its code in the base64 query does what the table says of it."""

    def coded(
        self, name: str, body: Element | bytes | None, *parameters: tuple[int, object], version: str = "14.1"
    ) -> Response:
        self.room.device_id = "d1"
        data = bytes([int(version.replace(".", "")), _CODES[name], 9, 4, 2]) + b"d1\0\x06iPhone"
        for tag, value in parameters:
            raw = value if isinstance(value, bytes) else str(value).encode()
            data += bytes([tag, len(raw)]) + raw
        return self.room.post(name, body, version, query=b64encode(data))

    def test_mail_is_sent_and_kept_when_the_flag_says_so(self) -> None:
        """R92, R93, R484, R486, R533; R100."""
        for flags, kept in ((b"\x01", True), (b"\x00", False), (b"\x03", True)):
            self.assertEqual(self.coded("SendMail", OUT, (7, flags), version="12.1").body, b"")
            self.assertEqual(self.room.outbox.sent[-1], ("a@example.org", OUT, kept))

    def test_a_message_is_answered_and_forwarded_without_being_fetched(self) -> None:
        """R88, R488, R489, R524, R525, R532: the server knows it, the client names it."""
        item, folder = self.room.deliver(ORIGINAL), self.room.folder()
        for name, verb in (("SmartReply", 1), ("SmartForward", 3)):
            for flags, kept in ((b"\x01", True), (b"\x00", False)):
                named = (1, folder.number), (3, item.number), (7, flags)
                answer = self.coded(name, NEW, *named, version="12.1")
                self.assertEqual((answer.code, answer.body), (200, b""), name)
                _, data, saved = self.room.outbox.sent[-1]
                self.assertIn(b"The clock is late.", data)
                self.assertEqual(saved, kept)
            found = self.now(item)
            self.assertEqual(found and found.verb, verb)

    def test_an_attachment_is_retrieved(self) -> None:
        """R487, R490, R230: the attachment is the body, in its own type and not in WBXML."""
        item = self.room.deliver(MAIL)
        answer = self.coded("GetAttachment", None, (0, f"{item.number}:2"), version="12.1")
        self.assertEqual((answer.body, answer.kind), (CONTENT, "application/pdf"))

    def test_folders_are_listed_made_renamed_moved_and_deleted(self) -> None:
        """R68, R431, R491, R493, R496; R428: FolderSync tells of folders and of no items."""
        self.room.deliver(MAIL)
        answer = self.coded("FolderSync", FIRST)
        assert answer.root is not None
        self.assertFalse([one for one in answer.root.iter() if one.tag.startswith(("AirSync:", "Email:"))])
        key = answer.text(F.SyncKey)

        def made(name: str) -> str:
            nonlocal key
            fields = E(F.SyncKey, key), E(F.ParentId, "0"), E(F.DisplayName, name), E(F.Type, 12)
            answer = self.coded("FolderCreate", E(F.FolderCreate, *fields))
            self.assertEqual(answer.text(F.Status), "1")
            key = answer.text(F.SyncKey)
            return answer.text(F.ServerId)

        outer, inner = made("Outer"), made("Inner")
        fields = E(F.SyncKey, key), E(F.ServerId, inner), E(F.ParentId, outer), E(F.DisplayName, "Moved")
        answer = self.coded("FolderUpdate", E(F.FolderUpdate, *fields))
        self.assertEqual(answer.text(F.Status), "1")
        key, folders = self.listed()
        self.assertIn((inner, outer, "Moved"), folders)
        gone = E(F.SyncKey, key), E(F.ServerId, inner)
        self.assertEqual(self.coded("FolderDelete", E(F.FolderDelete, *gone)).text(F.Status), "1")
        self.assertNotIn(inner, [one[0] for one in self.listed()[1]])

    def listed(self) -> tuple[str, list[tuple[str, ...]]]:
        root = self.coded("FolderSync", FIRST).root
        assert root is not None
        return root.text(F.SyncKey) or "", [
            tuple(one.text(tag) or "" for tag in (F.ServerId, F.ParentId, F.DisplayName))
            for one in root.iter()
            if one.tag == F.Add
        ]

    def test_items_are_moved(self) -> None:
        """R499."""
        item, inbox, trash = self.room.deliver(MAIL), self.room.folder(), self.room.folder(FolderType.DELETED)
        names = E(Move.SrcMsgId, item.number), E(Move.SrcFldId, inbox.number), E(Move.DstFldId, trash.number)
        answer = self.coded("MoveItems", E(Move.MoveItems, E(Move.Move, *names)))
        self.assertEqual(answer.text(Move.Response, Move.Status), "3")
        found = self.now(item)
        self.assertEqual(found and found.folder_id, trash.id)

    def test_a_ping_tells_which_folder_has_news(self) -> None:
        """R504."""
        number = self.room.folder().number
        key = "0"
        self.coded("FolderSync", FIRST)
        for _ in range(2):
            named = E(AirSync.SyncKey, key), E(AirSync.CollectionId, number)
            answer = self.coded(
                "Sync", E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, *named)))
            )
            key = answer.text(AirSync.Collections, AirSync.Collection, AirSync.SyncKey) or key
        self.room.deliver(MAIL)
        folder = E(P.Folder, E(P.Id, number), E(P.Class, "Email"))
        answer = self.coded("Ping", E(P.Ping, E(P.HeartbeatInterval, 60), E(P.Folders, folder)))
        self.assertEqual((answer.text(P.Status), answer.text(P.Folders, P.Folder)), ("2", str(number)))

    def test_parts_are_given_when_the_flag_says_so(self) -> None:
        """R94, R95, R534."""
        item = self.room.deliver(MAIL)
        fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(AirSyncBase.FileReference, f"{item.number}:2"))
        for flags, kind in ((b"\x02", "application/vnd.ms-sync.multipart"), (b"\x00", XML), (b"\x01", XML)):
            answer = self.coded("ItemOperations", E(IO.ItemOperations, fetch), (7, flags))
            self.assertEqual(answer.kind, kind)


class ParameterTests(SynchronousTestCase):
    """The parameters of the plain query."""

    def setUp(self) -> None:
        self.room = FindingRoom()
        self.addCleanup(self.room.db.close)
        self.item = self.room.deliver(ORIGINAL)
        self.names = {"CollectionId": str(self.room.folder().number), "ItemId": str(self.item.number)}

    def smart(self, name: str, **parameters: str) -> Response:
        return self.room.post(name, NEW, "12.1", parameters=parameters)

    def test_folder_and_item_name_the_message(self) -> None:
        """R435, R436, R511, R517, R526, R527."""
        other = self.room.deliver(ORIGINAL.replace(b"The clock is late.", b"Another one."))
        for name in ("SmartReply", "SmartForward"):
            for item, said in ((self.item, b"The clock is late."), (other, b"Another one.")):
                self.smart(name, **{**self.names, "ItemId": str(item.number)})
                self.assertIn(said, self.room.outbox.sent[-1][1])

    def test_a_long_id_of_a_search_names_it_too(self) -> None:
        """R118, R512, R528."""
        self.room.mail("something else")  # which puts the words of both into the index
        query = E(Search.And, E(AirSync.Class, "Email"), E(Search.FreeText, "clock"))
        root = E(Search.Search, E(Search.Store, E(Search.Name, "Mailbox"), E(Search.Query, query)))
        found = self.room.post("Search", root, "12.1")
        long_id = found.text(Search.Response, Search.Store, Search.Result, Search.LongId)
        self.assertTrue(long_id)
        for name in ("SmartReply", "SmartForward"):
            self.assertEqual(self.smart(name, LongId=long_id).code, 200)
            self.assertIn(b"The clock is late.", self.room.outbox.sent[-1][1])

    def test_an_occurrence_is_a_moment(self) -> None:
        """R513, R529: a message has no other occurrence than itself, and what is no moment is 400."""
        for name in ("SmartReply", "SmartForward"):
            self.assertEqual(self.smart(name, **self.names, Occurrence="20260101T000000Z").code, 200)
            self.assertEqual(self.smart(name, **self.names, Occurrence="?").code, 400)

    def test_save_in_sent(self) -> None:
        # Rule 22 of the sync model.
        """R437, R530, R531."""
        for name, named in (("SmartReply", self.names), ("SmartForward", self.names), ("SendMail", {})):
            for value, kept in (("T", True), ("F", False)):
                self.smart(name, **named, SaveInSent=value)
                self.assertEqual(self.room.outbox.sent[-1][2], kept, name)

    def test_the_header_asks_for_parts(self) -> None:
        """R154, R155, R440."""
        reference = E(AirSyncBase.FileReference, f"{self.item.number}:2")
        root = E(IO.ItemOperations, E(IO.Fetch, E(IO.Store, "Mailbox"), reference))
        for value, parts in (("T", True), ("F", False), ("", False)):
            headers = {"MS-ASAcceptMultiPart": value} if value else {}
            for version in VERSIONS:
                answer = self.room.post("ItemOperations", root, version, headers=headers)
                if parts:
                    self.assertEqual(answer.kind, "application/vnd.ms-sync.multipart")
                    self.assertEqual(split_parts(answer.body)[1], b"%PDF")
                    self.assertEqual(struct.unpack_from("<I", answer.body)[0], 2)
                else:
                    self.assertEqual(answer.kind, XML)
                    shown = answer.text(IO.Response, IO.Fetch, IO.Properties, IO.Data)
                    self.assertEqual(shown, b64encode(b"%PDF").decode())


class LineTests(Base):
    """Status lines and headers as they are on the wire."""

    def setUp(self) -> None:
        super().setUp()
        self.room.services.authenticator = Authenticator(self.room.account)  # type: ignore[assignment]
        self.endpoint = Endpoint(self.room.services)

    def ask(
        self,
        *headers: str,
        target: str = TARGET,
        body: bytes = encode(FIRST),
        method: str = "POST",
        who: str = GOOD,
    ) -> Wire:
        named = [who] if who else []
        return Wire(Router({PATH: self.endpoint}), clock=self.room.clock).get(
            target, *named, "MS-ASProtocolVersion: 14.1", *headers, method=method, body=body
        )

    def test_what_cannot_be_understood_is_400_and_stays_so(self) -> None:
        """R176, R177, R188."""
        for query in ("", "?", "?%%%", "?Cmd", "?AAAA", "?DeviceId=a&DeviceType=b", f"?{'A' * 9000}"):
            target = f"/Microsoft-Server-ActiveSync{query}"
            self.assertEqual([self.ask(target=target).status for _ in range(2)], [400, 400], query[:20])
        target = "/Microsoft-Server-ActiveSync?Cmd=FolderSync&DeviceId=a&DeviceType=b"
        old = Wire(Router({PATH: self.endpoint}), clock=self.room.clock)
        old.get(target, GOOD, "MS-ASProtocolVersion: 12.1", method="POST", body=b"rubbish")
        self.assertEqual(old.status, 400)

    def test_who_says_nothing_and_who_is_refused(self) -> None:
        """R178, R523: 401, and how to log in."""
        for who in ("", BAD):
            wire = self.ask(who=who)
            self.assertEqual(wire.status, 401)
            self.assertTrue(wire.headers["www-authenticate"].startswith("Basic realm="))

    def test_who_may_not_synchronise_is_403(self) -> None:
        """R180: at 12.1 and below; from 14.0 on it is the status 129 of the command."""
        self.ask()
        row = self.room.device().id
        self.room.db.write_now(lambda tx: devices.update_device(tx, row, access=DeviceAccess.BLOCKED))
        old = Wire(Router({PATH: self.endpoint}), clock=self.room.clock)
        old.get(TARGET, GOOD, "MS-ASProtocolVersion: 12.1", method="POST", body=encode(FIRST))
        self.assertEqual((old.status, old.body), (403, b""))

    def test_another_place_is_404(self) -> None:
        """R182, R441."""
        for place in ("/Microsoft-Server-ActiveSyncs", "/", "/Exchange/a"):
            self.assertEqual(
                self.ask(target=TARGET.replace("/Microsoft-Server-ActiveSync", place)).status, 404
            )

    def test_what_is_not_known_here_is_501(self) -> None:
        """R186, R465: a command, and a method that nobody has heard of; one that is known is 405 (RFC 9110 15.5.6)."""
        self.assertEqual(self.ask(target=TARGET.replace("FolderSync", "Teleport")).status, 501)
        self.assertEqual(self.ask(method="TELEPORT", body=b"").status, 501)
        self.assertEqual(self.ask(method="TELEPORT", body=b"", who="").status, 401)
        self.assertEqual(self.ask(method="PUT").status, 405)

    def test_an_answer_is_packed_for_those_who_take_it(self) -> None:
        """R197, R214, R215, R412."""
        plain = self.ask()
        self.assertNotIn("content-encoding", plain.headers)
        self.assertEqual(decode(plain.body).text(F.Status), "1")
        packed = self.ask("Accept-Encoding: gzip, deflate")
        self.assertEqual(packed.headers["content-encoding"], "gzip")
        self.assertEqual(decode(gzip.decompress(packed.body)).text(F.Status), "1")
        # Too small to gain: not packed, and so it does not say that it was.
        small = self.ask("Accept-Encoding: gzip", body=encode(E(F.FolderSync, E(F.SyncKey, "x"))))
        self.assertNotIn("content-encoding", small.headers)
        self.assertEqual(decode(small.body).text(F.Status), "9")

    def test_the_body_is_wbxml_and_says_so(self) -> None:
        """R219, R229."""
        wire = self.ask()
        self.assertEqual(wire.headers["content-type"], XML)
        self.assertEqual(decode(wire.body).tag, F.FolderSync)

    def test_a_sync_without_news_has_no_body(self) -> None:
        """R482."""
        key = "0"
        number = self.room.folder().number
        target = TARGET.replace("FolderSync", "Sync")
        self.ask()
        for _ in range(3):
            named = E(AirSync.SyncKey, key), E(AirSync.CollectionId, number)
            root = E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, *named)))
            wire = self.ask(target=target, body=encode(root))
            if not wire.body:
                break
            found = decode(wire.body).find(AirSync.Collections, AirSync.Collection)
            key = (found.text(AirSync.SyncKey) if found is not None else "") or key
        self.assertEqual((wire.status, wire.body, wire.headers["content-length"]), (200, b"", "0"))
