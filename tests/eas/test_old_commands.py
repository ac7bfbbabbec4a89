"""GetAttachment and GetHierarchy: what 12.1 and below have, and no version after them."""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.services import EasSettings
from posthouse.model import FolderType
from posthouse.store import devices, folders
from posthouse.wbxml.tags import AirSync, AirSyncBase
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tree import E, Element
from tests.eas.room import Response, Room
from tests.support.store import NOW

OLD = ("12.0", "12.1")
CONTENT = bytes(range(256)) * 40
MAIL = (
    b'Subject: files\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nhello\r\n'
    b'--b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    + b64encode(CONTENT)
    + b"\r\n--b--\r\n"
)


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))

    def sync(self, key: str, *more: Element) -> Response:
        collection = E(AirSync.SyncKey, key), E(AirSync.CollectionId, self.room.folder().number), more
        return self.room.post(
            "Sync", E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, collection))), "12.1"
        )


class AttachmentTests(Base):
    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(MAIL)

    def get(self, name: str, version: str = "12.1") -> Response:
        return self.room.post("GetAttachment", None, version, parameters={"AttachmentName": name})

    def test_what_sync_names_is_the_body_of_the_answer(self) -> None:
        """R157, R160, R5501; MS-ASHTTP R115, R230, R490."""
        path = (AirSync.Collections, AirSync.Collection)
        key = self.sync("0").text(*path, AirSync.SyncKey)
        answer = self.sync(key, E(AirSync.GetChanges))
        data = (
            answer.root.find(*path, AirSync.Commands, AirSync.Add, AirSync.ApplicationData)
            if answer.root
            else None
        )
        assert data is not None
        attachment = data.find(AirSyncBase.Attachments, AirSyncBase.Attachment)
        assert attachment is not None
        self.assertEqual(attachment.text(AirSyncBase.DisplayName), "a.pdf")
        for version in OLD:
            found = self.get(attachment.text(AirSyncBase.FileReference) or "", version)
            self.assertEqual((found.code, found.kind, found.body), (200, "application/pdf", CONTENT))

    def test_what_was_deleted_is_500(self) -> None:
        """R166: also when the deletion only moved the mail, which has another name there."""
        name = f"{self.item.number}:2"
        key = self.sync("0").text(AirSync.Collections, AirSync.Collection, AirSync.SyncKey)
        key = self.sync(key).text(AirSync.Collections, AirSync.Collection, AirSync.SyncKey)
        self.sync(key, E(AirSync.Commands, E(AirSync.Delete, E(AirSync.ServerId, self.item.number))))
        for version in OLD:
            self.assertEqual((self.get(name, version).code, self.get(name, version).body), (500, b""))
        self.assertEqual(self.get("999999:9").code, 500)

    def test_what_is_no_name_is_400(self) -> None:
        for name in ("x", "", "1:", ":1", "1:x"):
            self.assertEqual(self.get(name).code, 400, name)


class HierarchyTests(Base):
    def listed(self, version: str = "12.1") -> list[tuple[str, ...]]:
        """Name, id, type and parent of each; the answer went through its schema."""
        answer = self.room.post("GetHierarchy", None, version)
        self.assertEqual((answer.code, answer.kind), (200, "application/vnd.ms-sync.wbxml"))
        assert answer.root is not None
        self.assertEqual(answer.root.tag, F.Folders)
        return [tuple(child.value for child in one.children) for one in answer.root.findall(F.Folder)]

    def test_the_mail_folders_and_no_others(self) -> None:
        """R6024, R6026, R7505, R7507."""
        for version in OLD:
            found = self.listed(version)
            self.assertEqual(
                [(name, type) for name, _, type, _ in found],
                [
                    ("Inbox", "2"),
                    ("Drafts", "3"),
                    ("Deleted Items", "4"),
                    ("Sent Items", "5"),
                    ("Outbox", "6"),
                    ("Junk Email", "1"),
                ],
            )

    def test_the_ids_are_those_of_the_other_commands(self) -> None:
        """R6031, R6032, R6025."""
        answer = self.room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, "0")), "12.1")
        changes = answer.root.find(F.Changes) if answer.root else None
        assert changes is not None
        told = {one.text(F.ServerId): one for one in changes.findall(F.Add)}
        inbox = str(self.room.folder().number)
        made = self.room.post(
            "FolderCreate",
            E(
                F.FolderCreate,
                E(F.SyncKey, answer.text(F.SyncKey)),
                E(F.ParentId, inbox),
                E(F.DisplayName, "Within"),
                E(F.Type, 12),
            ),
            "12.1",
        )
        found = {number: (name, parent) for name, number, _, parent in self.listed()}
        self.assertEqual(found.pop(made.text(F.ServerId)), ("Within", inbox))
        self.assertEqual(
            {name for name, _ in found.values()} - {"Inbox"},
            {"Drafts", "Deleted Items", "Sent Items", "Outbox", "Junk Email"},
        )
        for number, (name, parent) in found.items():
            self.assertEqual(
                (told[number].text(F.DisplayName), told[number].text(F.ParentId)), (name, parent)
            )

    def test_it_is_a_look_and_keeps_nothing(self) -> None:
        mailbox = self.room.account.mailbox_id
        before = self.listed()
        self.room.db.write_now(
            lambda tx: folders.create_folder(tx, mailbox, 0, "Times", FolderType.USER_CALENDAR, NOW)
        )
        self.assertEqual(self.listed(), before)
        row = self.room.device().id
        kept = self.room.db.read_now(lambda tx: devices.states(tx, row))
        self.assertEqual(list(kept), [])

    def test_the_base64_query_names_it_by_its_code(self) -> None:
        data = bytes([121, 5, 9, 4, 2]) + b"d1\0\x06iPhone"
        self.assertEqual(self.room.post("x", None, "12.1", query=b64encode(data)).code, 200)
