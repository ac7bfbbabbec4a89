"""ItemOperations, MoveItems and Ping, and sending, requirement by requirement (MS-ASCMD 2.2.1.10 to 2.2.1.20)."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode

from twisted.trial.unittest import SynchronousTestCase

from posthouse.model import FolderType, Item
from posthouse.store import folders
from posthouse.wbxml.decode import decode
from posthouse.wbxml.tags import AirSync, AirSyncBase, ComposeMail, Email2, Move
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tree import E, Element
from tests.eas.handset import LETTER, Handset, deep, delete, plain_room
from tests.eas.room import VERSIONS, Response
from tests.eas.test_commands_sync import SIGNED
from tests.support.eas import split_parts
from tests.support.store import NOW

CONTENT = bytes(range(256)) * 7
FILES = (
    b'Subject: files\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nhello\r\n'
    b'--b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    + b64encode(CONTENT)
    + b"\r\n--b--\r\n"
)
OUT = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: out\r\n\r\nhello\r\n"


class ItemsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = plain_room()
        self.inbox = self.room.folder()

    def operate(self, *operations: Element, version: str = "14.1", multipart: bool = False) -> Response:
        headers = {"MS-ASAcceptMultiPart": "T"} if multipart else {}
        return self.room.post("ItemOperations", E(IO.ItemOperations, operations), version, headers=headers)

    def fetch(self, item: Item, *more: Element) -> Element:
        names = E(AirSync.CollectionId, self.inbox.number), E(AirSync.ServerId, item.number)
        return E(IO.Fetch, E(IO.Store, "Mailbox"), names, E(IO.Options, list(more)) if more else None)

    def file(self, item: Item) -> Element:
        return E(IO.Fetch, E(IO.Store, "Mailbox"), E(AirSyncBase.FileReference, f"{item.number}:2"))

    def held(self, type: FolderType) -> int:
        return self.room.folder(type).total

    def folder(self, name: str, parent: int) -> int:
        mailbox = self.room.account.mailbox_id
        made = self.room.db.write_now(
            lambda tx: folders.create_folder(tx, mailbox, parent, name, FolderType.USER_MAIL, NOW)
        )
        return int(made.number)


class DeliveryTests(ItemsCase):
    """How what was fetched comes: in the document, or behind it."""

    def test_inline_is_the_default_and_base64(self) -> None:
        """R234, R2301, R5503."""
        item = self.room.deliver(FILES)
        for version in VERSIONS:
            answer = self.operate(self.file(item), version=version)
            self.assertEqual(answer.kind, "application/vnd.ms-sync.wbxml")
            data = deep(answer.root, IO.Response, IO.Fetch, IO.Properties, IO.Data)
            self.assertEqual(b64decode(data, validate=True), CONTENT)

    def test_multipart_is_the_document_and_then_the_contents(self) -> None:
        """R236, R2302, R5505, R5509, R5510, R5512, R5517, R5518."""
        item = self.room.deliver(FILES)
        for version in VERSIONS:
            answer = self.operate(self.fetch(item), self.file(item), version=version, multipart=True)
            self.assertEqual(answer.kind, "application/vnd.ms-sync.multipart")
            (count,) = struct.unpack_from("<I", answer.body)
            table = [struct.unpack_from("<II", answer.body, 4 + 8 * index) for index in range(count)]
            # As many entries as parts; each says where its part begins and how long it is, and nothing is left.
            self.assertEqual(count, 3)
            end = 4 + 8 * count
            for offset, length in table:
                self.assertEqual(offset, end)
                end = offset + length
            self.assertEqual(end, len(answer.body))
            parts = split_parts(answer.body)
            self.assertEqual(decode(parts[0]).tag, IO.ItemOperations)
            self.assertEqual(parts[1:], (b"hello", CONTENT))


class EmptyTests(ItemsCase):
    def empty(self, *more: Element) -> str:
        answer = self.operate(E(IO.EmptyFolderContents, E(AirSync.CollectionId, self.inbox.number), more))
        return deep(answer.root, IO.Response, IO.EmptyFolderContents, IO.Status)

    def test_all_items_go_and_the_folders_inside_only_when_they_are_named(self) -> None:
        """R199, R2167, R2243, R2244."""
        below = self.folder("Within", self.inbox.number)
        mailbox = self.room.account.mailbox_id

        def stands() -> bool:
            return self.room.db.read_now(lambda tx: folders.folder_by_number(tx, mailbox, below)) is not None

        for options in ((), (E(IO.Options),)):
            self.room.deliver(LETTER)
            self.assertEqual(self.empty(*options), "1")
            self.assertEqual((self.held(FolderType.INBOX), stands()), (0, True))
        self.room.deliver(LETTER)
        self.assertEqual(self.empty(E(IO.Options, E(IO.DeleteSubFolders))), "1")
        self.assertEqual((self.held(FolderType.INBOX), stands()), (0, False))


class MoveTests(ItemsCase):
    def test_a_conversation_goes_to_another_folder(self) -> None:
        """R201."""
        item = self.room.deliver(LETTER)
        phone = Handset(self.room).prime()
        added = Handset(self.room)
        added.ask()
        added.ask()
        (one,) = added.commands(AirSync.Add)
        data = one.find(AirSync.ApplicationData)
        assert data is not None
        conversation = data.blob(Email2.ConversationId)
        assert conversation
        operation = E(
            IO.Move,
            E(IO.ConversationId, conversation),
            E(IO.DstFldId, self.room.folder(FolderType.DELETED).number),
            E(IO.Options, E(IO.MoveAlways)),
        )
        answer = self.operate(operation)
        self.assertEqual(deep(answer.root, IO.Response, IO.Move, IO.Status), "1")
        self.assertEqual((self.held(FolderType.INBOX), self.held(FolderType.DELETED)), (0, 1))
        phone.key = added.key
        phone.ask()
        self.assertEqual(
            [gone.text(AirSync.ServerId) for gone in phone.commands(AirSync.Delete)], [str(item.number)]
        )

    def test_a_moved_item_has_another_id(self) -> None:
        """R285, R289, R290."""
        item = self.room.deliver(LETTER)
        phone, there = Handset(self.room).prime(), Handset(self.room, FolderType.SENT).prime()
        move = E(
            Move.Move,
            E(Move.SrcMsgId, item.number),
            E(Move.SrcFldId, self.inbox.number),
            E(Move.DstFldId, there.name),
        )
        answer = self.room.post("MoveItems", E(Move.MoveItems, move))
        self.assertEqual(answer.text(Move.Response, Move.Status), "3")
        number = answer.text(Move.Response, Move.DstMsgId)
        self.assertNotEqual(number, str(item.number))
        phone.ask()
        self.assertEqual(
            [one.text(AirSync.ServerId) for one in phone.commands(AirSync.Delete)], [str(item.number)]
        )
        there.ask()
        self.assertEqual([one.text(AirSync.ServerId) for one in there.commands(AirSync.Add)], [number])


class PingTests(ItemsCase):
    def ping(self, root: Element | None) -> tuple[str, list[str]]:
        answer = self.room.post("Ping", root)
        told = answer.root.find(P.Folders) if answer.root else None
        return answer.text(P.Status), [one.value for one in told.children] if told is not None else []

    def test_it_watches_the_folders_that_it_names_and_an_empty_one_those_of_before(self) -> None:
        """R306, R335."""
        self.room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, "0")))
        phone, other = Handset(self.room).prime(), Handset(self.room, FolderType.SENT).prime()
        watched = E(P.Folders, E(P.Folder, E(P.Id, phone.name), E(P.Class, "Email")))
        self.room.deliver(LETTER, self.room.folder(FolderType.SENT))
        self.room.deliver(LETTER)
        named = self.ping(E(P.Ping, E(P.HeartbeatInterval, 60), watched))
        self.assertEqual(named, ("2", [phone.name]))
        self.assertEqual(self.ping(None), named)
        other.ask()
        phone.ask()
        self.room.deliver(LETTER)
        self.assertEqual(self.ping(None), named)


class SealedTests(ItemsCase):
    def test_the_whole_signed_message(self) -> None:
        """R3363, R3366, R3368, R3360, R3367."""
        item = self.room.deliver(SIGNED)
        wanted = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 4))
        for support in (1, 2):
            for version in VERSIONS:
                answer = self.operate(
                    self.fetch(item, E(AirSync.MIMESupport, support), wanted), version=version
                )
                body = (
                    answer.root.find(IO.Response, IO.Fetch, IO.Properties, AirSyncBase.Body)
                    if answer.root
                    else None
                )
                assert body is not None
                self.assertEqual(
                    [child.tag for child in body.children],
                    [
                        AirSyncBase.Type,
                        AirSyncBase.EstimatedDataSize,
                        AirSyncBase.Truncated,
                        AirSyncBase.Data,
                    ],
                )
                self.assertEqual((body.text(AirSyncBase.Type), body.text(AirSyncBase.Truncated)), ("4", "0"))
                self.assertEqual(body.text(AirSyncBase.EstimatedDataSize), str(len(SIGNED)))
                self.assertEqual((body.text(AirSyncBase.Data) or "").encode(), SIGNED)


class SendTests(ItemsCase):
    def send(self, client: str, mime: bytes | None = OUT, *more: Element, version: str = "14.1") -> Response:
        root = E(
            ComposeMail.SendMail,
            E(ComposeMail.ClientId, client),
            more,
            E(ComposeMail.Mime, mime) if mime is not None else None,
        )
        return self.room.post("SendMail", root, version)

    def test_mime_is_sent_and_success_is_empty(self) -> None:
        """R443, R463."""
        for version in VERSIONS:
            if version > "13":
                answer = self.send("c" + version, version=version)
            else:
                answer = self.room.post("SendMail", OUT, version)
            self.assertEqual((answer.code, answer.body), (200, b""))
            self.assertEqual(self.room.outbox.sent.pop()[1], OUT)

    def test_statuses_of_what_cannot_be_sent(self) -> None:
        """R4817, R4848, R4853, R4956; R7547."""
        nobody = OUT.replace(b"To: b@example.net\r\n", b"To: \r\n")
        self.send("sent before")
        for version in ("14.0", "14.1", "16.0", "16.1"):
            for answer, status in (
                (self.send("c1", None, version=version), "103"),
                (self.send("sent before", version=version), "118"),
                (self.send("c2", nobody, version=version), "119"),
                (self.send("c3", OUT, E(ComposeMail.AccountId, "InvalidAccountID"), version=version), "166"),
            ):
                self.assertEqual((answer.code, answer.text(ComposeMail.Status)), (200, status), version)
        for body in (E(ComposeMail.SendMail, E(ComposeMail.ClientId, "c1")), nobody):
            self.assertEqual(self.room.post("SendMail", body, "12.1").code, 400)
        self.assertEqual(len(self.room.outbox.sent), 1)

    def test_an_original_that_is_gone_is_150(self) -> None:
        """R4930: for a message that was deleted for good, and for one that never was."""
        item = self.room.deliver(LETTER)
        phone = Handset(self.room).prime()
        phone.order(delete(item), before=(E(AirSync.DeletesAsMoves, 0),))
        for command in ("SmartForward", "SmartReply"):
            for number in (item.number, 999_999):
                source = E(ComposeMail.FolderId, self.inbox.number), E(ComposeMail.ItemId, number)
                root = E(
                    getattr(ComposeMail, command),
                    E(ComposeMail.ClientId, "c"),
                    E(ComposeMail.Source, source),
                    E(ComposeMail.Mime, OUT),
                )
                for version in ("14.0", "14.1", "16.0", "16.1"):
                    answer = self.room.post(command, root, version)
                    self.assertEqual(answer.text(ComposeMail.Status), "150", (command, number))
        self.assertEqual(self.room.outbox.sent, [])
