"""ItemOperations, SendMail and MoveItems."""

import contextlib
import struct
from base64 import b64decode, b64encode
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.services import EasSettings
from posthouse.errors import Malformed, NotPermitted, StorageFull, TooLarge, TryLater
from posthouse.model import FolderType, Item
from posthouse.store import bulk, changes, folders, items
from posthouse.wbxml.decode import decode
from posthouse.wbxml.tags import AirSync, AirSyncBase, ComposeMail, Email, Move, Search
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.room import VERSIONS, Response, Room
from tests.support.eas import split_parts
from tests.support.store import NOW

CONTENT = bytes(range(256)) * 40
MAIL = (
    b'Subject: files\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nhello\r\n'
    b'--b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    + b64encode(CONTENT)
    + b'\r\n--b\r\nContent-Type: text/x-empty; name="empty"\r\nContent-Disposition: attachment\r\n\r\n--b--\r\n'
)
OUT = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: hi\r\n\r\nhello\r\n"


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))
        self.inbox = self.room.folder()
        self.item = self.room.deliver(MAIL)


def fetch(*children: Element | None, store: str = "Mailbox") -> Element:
    return E(IO.Fetch, E(IO.Store, store) if store else None, *children)


class FetchTests(Base):
    def operate(self, *operations: Element, version: str = "14.1", multipart: bool = False) -> Response:
        headers = {"MS-ASAcceptMultiPart": "T"} if multipart else {}
        return self.room.post("ItemOperations", E(IO.ItemOperations, operations), version, headers=headers)

    def one(self, operation: Element, version: str = "14.1") -> Element:
        response = self.operate(operation, version=version)
        self.assertEqual(response.text(IO.Status), "1")
        found = response.root.find(IO.Response, IO.Fetch) if response.root is not None else None
        assert found is not None
        return found

    def message(self, *options: Element, item: Item | None = None) -> Element:
        return fetch(
            E(AirSync.CollectionId, self.inbox.number),
            E(AirSync.ServerId, (item or self.item).number),
            E(IO.Options, options) if options else None,
        )

    def file(self, path: str = "2", span: str | None = None) -> Element:
        return fetch(
            E(AirSyncBase.FileReference, f"{self.item.number}:{path}"),
            E(IO.Options, E(IO.Range, span)) if span is not None else None,
        )

    def test_a_message_at_every_version(self) -> None:
        for version in VERSIONS:
            found = self.one(self.message(), version)
            self.assertEqual(found.text(IO.Status), "1")
            self.assertEqual(found.text(AirSync.ServerId), str(self.item.number))
            self.assertEqual(found.text(AirSync.Class), "Email")
            properties = found.find(IO.Properties)
            assert properties is not None
            self.assertEqual(properties.text(Email.Subject), "files")

    def test_the_options_are_those_of_the_fetch_itself(self) -> None:
        """SOGo d1e2418d6."""
        cut = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1), E(AirSyncBase.TruncationSize, 2))
        response = self.operate(self.message(cut), self.message())
        assert response.root is not None
        answers = response.root.find(IO.Response)
        assert answers is not None
        data = [one.find(IO.Properties, AirSyncBase.Body, AirSyncBase.Data) for one in answers.children]
        self.assertEqual([one.value if one is not None else "" for one in data], ["he", "hello"])

    def test_a_schema_names_the_properties(self) -> None:
        found = self.one(self.message(E(IO.Schema, E(Email.Subject), E(AirSyncBase.Body)))).find(
            IO.Properties
        )
        assert found is not None
        self.assertEqual([child.tag for child in found.children], [Email.Subject, AirSyncBase.Body])

    def test_an_attachment(self) -> None:
        found = self.one(self.file())
        properties = found.find(IO.Properties)
        assert properties is not None
        self.assertEqual(b64decode(properties.text(IO.Data) or ""), CONTENT)
        self.assertEqual(properties.text(AirSyncBase.ContentType), "application/pdf")
        self.assertEqual([child.tag for child in properties.children], [IO.Data, AirSyncBase.ContentType])

    def test_a_range_is_answered_when_it_was_asked_for(self) -> None:
        for span, expected, said in (
            ("0-9", CONTENT[:10], "0-9"),
            ("100-100", CONTENT[100:101], "100-100"),
            ("10000-999999", CONTENT[10000:], f"10000-{len(CONTENT) - 1}"),
        ):
            properties = self.one(self.file(span=span)).find(IO.Properties)
            assert properties is not None
            self.assertEqual(b64decode(properties.text(IO.Data) or ""), expected)
            self.assertEqual(properties.text(IO.Range), said)
            self.assertEqual(properties.text(IO.Total), str(len(CONTENT)))

    def test_statuses_of_one_fetch(self) -> None:
        # Rule 18 of the sync model.
        cases = (
            (self.file(span="5-4"), 8),
            (self.file(span="x"), 8),
            (self.file(span="999999-9999999"), 8),
            (self.file("3", span="0-9"), 10),
            (self.file("9"), 15),
            (fetch(E(AirSyncBase.FileReference)), 15),
            (fetch(E(AirSyncBase.FileReference, "rubbish")), 15),
            (fetch(E(AirSyncBase.FileReference, "999999:2")), 15),
            (fetch(E(AirSync.CollectionId, self.inbox.number), E(AirSync.ServerId, 999_999)), 6),
            (fetch(E(AirSync.CollectionId, 999_999), E(AirSync.ServerId, self.item.number)), 6),
            (fetch(E(Search.LongId, "x")), 6),
            (fetch(E(AirSync.ServerId, self.item.number)), 2),
            (fetch(), 2),
            (fetch(store=""), 2),
            (fetch(store="DocumentLibrary"), 9),
        )
        for operation, status in cases:
            self.assertEqual(self.one(operation).text(IO.Status), str(status), operation)

    def test_an_empty_attachment_is_empty(self) -> None:
        properties = self.one(self.file("3")).find(IO.Properties)
        assert properties is not None
        self.assertEqual(properties.text(IO.Data), "")

    def test_an_item_that_moved_is_not_found_by_its_old_names(self) -> None:
        other = self.room.folder(FolderType.SENT)
        self.room.db.write_now(lambda tx: items.move_item(tx, self.item, other))
        self.assertEqual(self.one(self.message()).text(IO.Status), "6")

    def test_a_broken_item_is_14(self) -> None:
        broken = self.room.deliver(MAIL, structure=b"rubbish")
        self.assertEqual(self.one(self.message(item=broken)).text(IO.Status), "14")

    def test_an_attachment_beyond_the_limit_is_11(self) -> None:
        room = Room(EasSettings(policy=None, max_attachment=100))
        item = room.deliver(MAIL)
        asked = fetch(E(AirSyncBase.FileReference, f"{item.number}:2"))
        response = room.post("ItemOperations", E(IO.ItemOperations, asked))
        self.assertEqual(response.text(IO.Response, IO.Fetch, IO.Status), "11")

    def test_statuses_of_the_whole(self) -> None:
        # Rule 25 of the sync model.
        """R7489: at most 100, else 11."""
        self.assertEqual(self.operate().text(IO.Status), "2")
        self.assertEqual(self.operate(*[self.file()] * 101).text(IO.Status), "11")
        self.assertEqual(self.operate(*[self.file("9")] * 100).text(IO.Status), "1")

    def test_multipart(self) -> None:
        """MS-ASCMD 2.2.1.10.1.1."""
        response = self.operate(self.file(), self.message(), multipart=True)
        self.assertEqual(response.kind, "application/vnd.ms-sync.multipart")
        parts = split_parts(response.body)
        self.assertEqual(len(parts), 3)
        self.assertEqual(struct.unpack_from("<I", response.body)[0], 3)
        root = decode(parts[0])
        answers = root.find(IO.Response)
        assert answers is not None
        file, message = answers.children
        named = file.find(IO.Properties, IO.Part)
        assert named is not None
        self.assertEqual(parts[int(named.value)], CONTENT)
        self.assertIsNone(file.find(IO.Properties, IO.Data))
        body = message.find(IO.Properties, AirSyncBase.Body)
        assert body is not None
        self.assertIsNone(body.find(AirSyncBase.Data))
        self.assertEqual(parts[int(body.text(IO.Part) or 0)], b"hello")


class EmptyTests(Base):
    def empty(self, number: object, *options: Element) -> str:
        operation = E(
            IO.EmptyFolderContents,
            E(AirSync.CollectionId, str(number)),
            E(IO.Options, options) if options else None,
        )
        response = self.room.post("ItemOperations", E(IO.ItemOperations, operation))
        return response.text(IO.Response, IO.EmptyFolderContents, IO.Status)

    def count(self) -> int:
        found = self.room.db.read_now(lambda tx: folders.folder_by_id(tx, self.inbox.id))
        return found.total if found is not None else -1

    def test_a_folder_is_emptied_in_slices(self) -> None:
        self.patch(bulk, "SLICE", 2)
        for _ in range(5):
            self.room.deliver(MAIL)
        self.assertEqual(self.empty(self.inbox.number), "1")
        self.assertEqual(self.count(), 0)
        self.assertEqual(self.empty(self.inbox.number), "1")

    def test_folders_inside_stay_unless_they_are_named(self) -> None:
        mailbox = self.room.account.mailbox_id
        child = self.room.db.write_now(
            lambda tx: folders.create_folder(tx, mailbox, self.inbox.number, "in", FolderType.USER_MAIL, NOW)
        )

        def there() -> bool:
            return self.room.db.read_now(lambda tx: folders.folder_by_id(tx, child.id)) is not None

        self.empty(self.inbox.number)
        self.assertTrue(there())
        self.empty(self.inbox.number, E(IO.DeleteSubFolders))
        self.assertFalse(there())

    def test_an_unknown_folder_is_6(self) -> None:
        self.assertEqual(self.empty(999_999), "6")


class SendMailTests(Base):
    def send(
        self, mime: bytes | None = OUT, client: str = "c1", save: bool = True, *more: Element
    ) -> Response:
        return self.room.post(
            "SendMail",
            E(
                ComposeMail.SendMail,
                E(ComposeMail.ClientId, client) if client else None,
                more,
                E(ComposeMail.SaveInSentItems) if save else None,
                E(ComposeMail.Mime, mime) if mime is not None else None,
            ),
        )

    def test_success_is_empty(self) -> None:
        response = self.send()
        self.assertEqual((response.code, response.body), (200, b""))
        self.assertEqual(response.kind, "application/vnd.ms-sync.wbxml")
        self.assertEqual(self.room.outbox.sent, [("a@example.org", OUT, True)])

    def test_the_sent_copy_is_made_when_it_is_wanted(self) -> None:
        self.send(save=False)
        self.assertEqual(self.room.outbox.sent[0][2], False)

    def test_a_repetition_is_118_and_sends_nothing(self) -> None:
        # Rule 3 of the sync model.
        self.send()
        self.assertEqual(self.send().text(ComposeMail.Status), "118")
        self.assertEqual(len(self.room.outbox.sent), 1)

    def test_the_same_id_for_another_message_is_no_repetition(self) -> None:
        """R4850: only with an equal MIME hash, because ids restart."""
        self.send()
        self.assertEqual(self.send(OUT + b"more").body, b"")
        self.assertEqual(len(self.room.outbox.sent), 2)

    def test_a_send_that_failed_may_be_tried_again(self) -> None:
        self.room.outbox.error = StorageFull()
        self.assertEqual(self.send().code, 503)
        self.room.outbox.error = None
        self.assertEqual(self.send().body, b"")

    def test_statuses(self) -> None:
        cases = (
            (self.send(client=""), "103"),
            (self.send(client="x" * 41), "103"),
            (self.send(None), "103"),
            (self.send(b""), "107"),
            (self.send(b"\xff\xfe no header"), "107"),
            (self.send(b"Subject: x\r\n\r\nTo: b@example.net"), "119"),
            (self.send(OUT, "c1", True, E(ComposeMail.AccountId, "1")), "166"),
        )
        for response, status in cases:
            self.assertEqual((response.code, response.text(ComposeMail.Status)), (200, status))
        for error, status in ((NotPermitted(), "120"), (Malformed(), "107"), (TooLarge(), "115")):
            self.room.outbox.error = error
            self.assertEqual(self.send(client="c9").text(ComposeMail.Status), status)
        self.assertEqual(self.room.outbox.sent, [])

    def test_raw_mime_at_12_1(self) -> None:
        # Rule 22 of the sync model.
        """MS-ASHTTP R120-R122."""
        for parameters, saved in (({"SaveInSent": "T"}, True), ({"SaveInSent": "F"}, False), ({}, False)):
            response = self.room.post("SendMail", OUT, "12.1", parameters=parameters)
            self.assertEqual((response.code, response.body), (200, b""))
            self.assertEqual(self.room.outbox.sent[-1], ("a@example.org", OUT, saved))

    def test_statuses_at_12_1_are_http_codes(self) -> None:
        # Rule 22 of the sync model.
        self.assertEqual(self.room.post("SendMail", b"", "12.1").code, 400)
        wbxml = {"Content-Type": "application/vnd.ms-sync.wbxml"}
        self.assertEqual(self.room.post("SendMail", OUT, "12.1", headers=wbxml).code, 400)
        self.room.outbox.error = NotPermitted()
        self.assertEqual(self.room.post("SendMail", OUT, "12.1").code, 500)


class MoveItemsTests(Base):
    def setUp(self) -> None:
        super().setUp()
        self.trash = self.room.folder(FolderType.DELETED)

    def move(self, *moves: tuple[object, object, object]) -> list[tuple[str | None, str | None]]:
        response = self.room.post("MoveItems", E(Move.MoveItems, [one_move(*one) for one in moves]))
        assert response.root is not None
        return [
            (one.text(Move.Status), one.text(Move.DstMsgId)) for one in response.root.findall(Move.Response)
        ]

    def test_a_move_makes_a_new_name(self) -> None:
        ((status, named),) = self.move((self.item.number, self.inbox.number, self.trash.number))
        self.assertEqual(status, "3")
        mailbox = self.room.account.mailbox_id
        moved = self.room.db.read_now(lambda tx: changes.item_by_number(tx, mailbox, int(named or 0)))
        assert moved is not None
        self.assertEqual((moved.folder_id, moved.subject), (self.trash.id, "files"))
        self.assertNotEqual(moved.number, self.item.number)

    def test_both_ends_are_news_to_everybody(self) -> None:
        # Rule 10 of the sync model.
        """R285, R289: also to the device that asked."""
        self.move((self.item.number, self.inbox.number, self.trash.number))
        origins = self.room.db.read_now(
            lambda tx: (
                tx.value("SELECT max(gone_by) FROM gone"),
                tx.value("SELECT max(created_by) FROM item"),
            )
        )
        self.assertEqual(origins, (0, 0))

    def test_a_transaction_that_is_run_again_moves_all_the_same(self) -> None:
        """As when somebody else in the same group commit filled the disk."""
        real = self.room.db.write_now

        def twice(function: Any) -> Any:
            def undone(tx: Any) -> None:
                function(tx)
                raise TryLater

            with contextlib.suppress(TryLater):
                real(undone)
            return succeed(real(function))

        self.patch(self.room.db, "write", twice)
        ((status, named),) = self.move((self.item.number, self.inbox.number, self.trash.number))
        self.assertEqual((status, named is not None), ("3", True))

    def test_a_repetition_says_that_the_source_is_gone(self) -> None:
        # Rule 10 of the sync model.
        """R4208."""
        one = (self.item.number, self.inbox.number, self.trash.number)
        self.move(one)
        self.assertEqual(self.move(one), [("1", None)])

    def test_statuses(self) -> None:
        item, inbox, trash = self.item.number, self.inbox.number, self.trash.number
        calendar = self.room.folder(FolderType.CALENDAR).number
        self.assertEqual(
            [status for status, _ in self.move(
                (item, 999_999, trash), (999_999, inbox, trash), ("x", inbox, trash), (item, trash, inbox),
                (item, inbox, 999_999), (item, inbox, calendar), (item, inbox, "RI"), (item, inbox, inbox),
            )],
            ["1", "1", "1", "1", "2", "2", "105", "4"],
        )  # fmt: skip

    def test_more_than_a_thousand_are_103(self) -> None:
        # Rule 25 of the sync model.
        """R5653."""
        moves = [one_move(1, 2, 3)] * 1001
        self.assertEqual(self.room.post("MoveItems", E(Move.MoveItems, moves)).text(Move.Status), "103")

    def test_malformed_requests(self) -> None:
        self.assertEqual(self.room.post("MoveItems", E(Move.MoveItems)).text(Move.Status), "103")
        twice = one_move(1, 2, 3)
        twice.append(E(Move.DstFldId, 4))
        self.assertEqual(self.room.post("MoveItems", E(Move.MoveItems, twice)).text(Move.Status), "5")


def one_move(item: object, source: object, target: object) -> Element:
    return E(
        Move.Move, E(Move.SrcMsgId, str(item)), E(Move.SrcFldId, str(source)), E(Move.DstFldId, str(target))
    )
