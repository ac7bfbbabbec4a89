"""Drafts at 16.0 and above: written, rewritten and sent in Sync, each exactly once, on the real way out."""

from __future__ import annotations

import base64
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.bounce import Reporter
from posthouse.delivery.directory import Directory
from posthouse.delivery.submission import Submission
from posthouse.eas import drafting
from posthouse.errors import StorageFull, TryLater
from posthouse.mime.bodies import choose_bodies, decode_part, text_of
from posthouse.mime.scan import scan
from posthouse.model import FolderType, Item, News
from posthouse.store import accounts, bodies, changes, devices, folders, items, outbox
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2
from posthouse.wbxml.tree import E, Element
from posthouse.work.pool import InlinePool
from tests.eas.desk import Mirror, Room
from tests.support.eas_checker import check_response
from tests.support.store import make_account

FILE = b"%PDF-1.7 not really\n" * 20
PICTURE = b"\x89PNG" + bytes(range(200))


def data(**fields: Any) -> Element:
    """An ApplicationData: to, cc, bcc, subject, importance, text, html, mime, read, and attachments."""
    tags = {
        "to": Email.To, "cc": Email.Cc, "bcc": Email2.Bcc, "subject": Email.Subject,
        "importance": Email.Importance, "read": Email.Read,
    }  # fmt: skip
    found = [E(tags[name], value) for name, value in fields.items() if name in tags]
    for kind, name in ((1, "text"), (2, "html"), (4, "mime")):
        if name in fields:
            found.append(E(AirSyncBase.Body, E(AirSyncBase.Type, kind), E(AirSyncBase.Data, fields[name])))
    if "files" in fields:
        found.append(E(AirSyncBase.Attachments, fields["files"]))
    return E(AirSync.ApplicationData, found)


def file(client_id: str, content: bytes = FILE, name: str = "plan.pdf", **more: Any) -> Element:
    """An attachment to add."""
    return E(
        AirSyncBase.Add,
        E(AirSyncBase.ClientId, client_id),
        E(AirSyncBase.Method, more.get("method", 1)),
        E(AirSyncBase.ContentType, more.get("kind", "application/pdf")),
        E(AirSyncBase.Content, content if more.get("opaque", True) else base64.b64encode(content).decode()),
        E(AirSyncBase.DisplayName, name),
        E(AirSyncBase.ContentId, more["cid"]) if "cid" in more else None,
        E(AirSyncBase.IsInline, 1) if "cid" in more else None,
    )


def drop(reference: str) -> Element:
    return E(AirSyncBase.Delete, E(AirSyncBase.FileReference, reference))


def add(content: Element, client_id: str = "1", send: bool = False) -> Element:
    return E(AirSync.Add, E(AirSync.ClientId, client_id), content, E(Email2.Send) if send else None)


def change(number: object, content: Element | None, send: bool = False) -> Element:
    # Samsung puts Send behind ApplicationData; anywhere beside it is right.
    return E(AirSync.Change, E(AirSync.ServerId, str(number)), content, E(Email2.Send) if send else None)


class DraftCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = room = Room(version=(16, 1))
        self.addCleanup(room.db.close)
        self.bob = make_account(room.db, "b@example.org")
        random = Random(3)
        self.free = 10**12
        self.pokes: list[int] = []
        room.db.publish = self.heard
        room.services.outbox = Submission(
            room.db,
            Directory(room.db, room.clock.seconds),
            InlinePool(),
            Reporter("mx.example.org", lambda: f"{random.getrandbits(96):x}"),
            "mx.example.org",
            room.clock,
            random,
            lambda: self.free,
        )
        self.phone = Mirror(room, FolderType.DRAFTS).prime()

    def heard(self, news: News) -> None:
        if news.mailbox_id == outbox.QUEUE:
            self.pokes.append(1)
        self.room.bus.publish(news)

    def ask(self, *commands: Element, key: str | None = None) -> Element:
        """One Sync, its answer not yet believed, but checked against the schema."""
        answer = self.phone.ask(key, commands=list(commands))
        assert isinstance(answer, Element), answer
        check_response(answer, (16, 1))
        return answer

    def sync(self, *commands: Element) -> Element:
        answer = self.ask(*commands)
        found = self.phone.take(answer)
        assert found is not None
        return found

    def response(self, found: Element) -> Element | None:
        responses = found.find(AirSync.Responses)
        if responses is None:
            return None
        (one,) = responses.children
        return one

    def made(self, content: Element, client_id: str = "1") -> int:
        """Add a draft; its ServerId, which the phone holds now."""
        response = self.response(self.sync(add(content, client_id)))
        assert response is not None
        self.assertEqual(response.text(AirSync.Status), "1")
        number = int(response.text(AirSync.ServerId) or 0)
        self.phone.held[number] = True
        return number

    def items(self, account: Any = None, type: FolderType = FolderType.DRAFTS) -> list[Item]:
        account = account or self.room.account

        def read(tx: Any) -> list[Item]:
            folder = folders.folder_of_type(tx, account.mailbox_id, type)
            marks = changes.added_since(tx, folder.id, 0, 100)
            found = changes.items(tx, folder.id, [mark.number for mark in marks])
            return [found[mark.number] for mark in marks]

        return self.room.db.read_now(read)

    def message(self, item: Item) -> bytes:
        return item.trace + self.room.db.read_now(lambda tx: bodies.read_body(tx, item.body_id))

    def content(self, item: Item, name: str) -> bytes:
        whole = self.message(item)
        root = scan(whole)
        (info,) = [one for one in item.attachments if one.name == name]
        part = root.find(info.path)
        assert part is not None
        return decode_part(part, whole[part.body_start : part.body_end])

    def text(self, item: Item, html: bool = False) -> str:
        whole = self.message(item)
        chosen = choose_bodies(scan(whole))
        part = chosen.html if html else chosen.plain
        return "" if part is None else text_of(part, whole[part.body_start : part.body_end])

    @property
    def received(self) -> list[Item]:
        return self.items(self.bob, FolderType.INBOX)

    @property
    def sent(self) -> list[Item]:
        return self.items(None, FolderType.SENT)


class AddTests(DraftCase):
    def test_a_draft_with_everything(self) -> None:
        """MS-ASEMAIL_R1489, R1494, R1278: what a draft may carry; without Send it is saved."""
        self.made(
            data(
                to="b@example.org", cc="Cleo <c@example.net>", bcc="d@example.net", subject="Grüße",
                importance=2, html='<p>Hi <img src="cid:pic"></p>', read=1,
                files=[file("f1"), file("f2", PICTURE, "pic.png", kind="image/png", cid="pic")],
            )
        )  # fmt: skip
        (item,) = self.items()
        self.assertEqual(
            (item.to, item.cc, item.bcc, item.subject, item.importance, item.draft, item.read),
            ("b@example.org", '"Cleo" <c@example.net>', "d@example.net", "Grüße", 2, True, True),
        )
        self.assertEqual(self.content(item, "plan.pdf"), FILE)
        self.assertEqual(self.content(item, "pic.png"), PICTURE)
        self.assertEqual(
            {one.name: one.inline for one in item.attachments}, {"pic.png": True, "plan.pdf": False}
        )
        self.assertIn("cid:pic", self.text(item, html=True))
        self.assertEqual(self.text(item).strip(), "Hi")
        self.assertTrue(self.message(item).startswith(b"Date: "))
        self.assertEqual(item.sender_address, self.room.account.address)

    def test_an_add_repeated_under_a_new_key_makes_no_second_draft(self) -> None:
        """Its answer was lost, and the device began anew: the draft that is there is named to it, and kept."""
        plan = data(to="b@example.org", subject="Plan", text="well", files=[file("f1")])
        self.ask(add(plan, "7"))
        (item,) = self.items()
        self.phone = Mirror(self.room, FolderType.DRAFTS)
        self.phone.sync()
        answer = self.response(self.sync(add(plan, "7")))
        assert answer is not None
        self.assertEqual(answer.text(AirSync.ServerId), str(item.number))
        self.assertEqual([one.number for one in self.items()], [item.number])
        self.phone.held[item.number] = True
        for other, name in ((plan, "8"), (data(to="b@example.org", subject="Plan", text="Well"), "7")):
            self.assertNotEqual(self.made(other, name), item.number)
        self.assertEqual(len(self.items()), 3)

    def test_a_whole_message_added_again_is_known_by_its_id(self) -> None:
        mime = b"From: a@example.org\r\nMessage-ID: <own@phone>\r\nDate: Wed, 01 Jul 2026 10:00:00 +0000\r\n\r\nhi\r\n"
        first = self.made(data(mime=mime), "1")
        self.phone = Mirror(self.room, FolderType.DRAFTS)
        self.phone.sync()
        self.sync(add(data(mime=mime), "2"))
        self.assertEqual([one.number for one in self.items()], [first])
        self.made(data(mime=mime.replace(b"hi", b"hello")), "3")
        self.assertEqual(len(self.items()), 2)

    def test_a_draft_that_was_written_on_is_not_mistaken_for_its_beginning(self) -> None:
        plan = data(to="b@example.org", subject="Plan", text="well")
        first = self.made(plan, "7")
        self.sync(change(first, data(subject="Other")))
        self.phone = Mirror(self.room, FolderType.DRAFTS)
        self.phone.sync()
        self.assertNotEqual(self.made(plan, "7"), first)

    def test_the_answer_names_conversation_and_attachments(self) -> None:
        """MS-ASEMAIL_R1184, R11850, R1190, R11910; MS-ASAIRS_R1336, R1368, R1001000."""
        answer = self.response(
            self.sync(add(data(to="x@y.example", text="t", files=[file("one"), file("two")])))
        )
        assert answer is not None
        given = answer.find(AirSync.ApplicationData)
        (item,) = self.items()
        assert given is not None
        self.assertEqual(given.blob(Email2.ConversationId), item.conversation)
        self.assertEqual(given.blob(Email2.ConversationIndex), item.conversation_index[1:6])
        named = given.find(AirSyncBase.Attachments)
        assert named is not None
        self.assertEqual(
            [(one.text(AirSyncBase.ClientId), one.text(AirSyncBase.FileReference)) for one in named.children],
            [("one", f"{item.number}:2"), ("two", f"{item.number}:3")],
        )

    def test_content_as_base64_text_and_an_attached_message(self) -> None:
        inner = b"Subject: inside\r\n\r\nhello\r\n"
        self.made(
            data(text="t", files=[file("1", opaque=False), file("2", inner, "inside.eml", method=5, kind="")])
        )
        (item,) = self.items()
        self.assertEqual(self.content(item, "plan.pdf"), FILE)
        self.assertEqual([one.content_type for one in item.attachments][1], "message/rfc822")

    def test_a_whole_message(self) -> None:
        """MS-ASEMAIL_R14890: with a body of type 4 the header is in it."""
        mime = b"To: b@example.org\r\nSubject: whole\r\nX-Mine: 1\r\n\r\nText\r\n"
        self.made(data(mime=mime, importance=0))
        (item,) = self.items()
        message = self.message(item)
        self.assertEqual((item.subject, item.importance, item.to), ("whole", 0, "b@example.org"))
        self.assertIn(b"X-Mine: 1\r\n", message)
        self.assertTrue(message.endswith(b"\r\n\r\nText\r\n"))
        self.assertTrue(item.message_id)

    def test_an_empty_draft(self) -> None:
        self.made(data())
        self.assertEqual(self.text(self.items()[0]).strip(), "")

    def test_what_is_refused_is_not_saved(self) -> None:
        """MS-ASCMD_R755, MS-ASEMAIL_R723, MS-ASAIRS_R1079, R1087, R1353, R1393, R1395."""
        lame = file("1")
        lame.children = [one for one in lame.children if one.tag != AirSyncBase.Content]
        cases = (
            data(text="t", importance=7),
            data(text="t", files=[lame]),
            data(text="t", files=[file("")]),
            data(text="t", files=[file("1", method=3)]),
            data(text="t", files=[E(AirSyncBase.Delete, E(AirSyncBase.FileReference, "1:2"))]),
            E(AirSync.ApplicationData, E(Email2.Sender, "x@y.example")),
            E(AirSync.ApplicationData, E(AirSyncBase.Body, E(AirSyncBase.Type, 3), E(AirSyncBase.Data, "x"))),
        )
        for number, content in enumerate(cases):
            answer = self.response(self.sync(add(content, str(number))))
            assert answer is not None
            self.assertEqual((answer.text(AirSync.Status), answer.text(AirSync.ServerId)), ("6", None))
        self.assertEqual(self.items(), [])

    def test_below_16_there_are_no_drafts(self) -> None:
        """MS-ASEMAIL_R1488, R1392."""
        self.room.version = (14, 1)
        answer = self.phone.ask(commands=[add(data(text="t"))])
        found = answer.find(AirSync.Collections, AirSync.Collection, AirSync.Responses, AirSync.Add)
        self.assertEqual(found.text(AirSync.Status), "6")
        self.assertEqual(self.items(), [])


class LostAddTests(DraftCase):
    """A draft that is being written while answers get lost. Rule 3 of the sync model."""

    def test_what_is_written_on_leaves_no_copies(self) -> None:
        # Rule 3 of the sync model.
        """The same ClientId under the same key is the same draft, as it is by now; each loss left a copy before."""
        tablet = Mirror(self.room, FolderType.DRAFTS, self.room.other).prime()
        for text in ("D", "De", "Dear"):
            self.ask(add(data(subject="letter", text=text)))
            while tablet.sync() is not None:
                pass
        self.made(data(subject="letter", text="Dear Bob"))
        (item,) = self.items()
        self.assertEqual(self.text(item).strip(), "Dear Bob")
        while tablet.sync() is not None:
            pass
        self.assertEqual(list(tablet.held), [item.number])
        self.assertIsNone(self.phone.sync())

    def test_what_somebody_else_has_touched_stays(self) -> None:
        self.ask(add(data(subject="first")))
        (item,) = self.items()
        self.room.do(lambda tx: items.set_read(tx, item, False))
        self.made(data(subject="second"))
        self.assertEqual(sorted(one.subject for one in self.items()), ["first", "second"])

    def test_two_of_one_name_in_one_request_are_two(self) -> None:
        self.ask(add(data(subject="first")), add(data(subject="second")))
        self.assertEqual(len(self.items()), 2)

    def test_it_is_made_once_although_the_device_asked_for_something_else_between(self) -> None:
        key = self.phone.key
        order = add(data(subject="letter"))
        self.ask(order)
        self.room.mail("a stranger", type=FolderType.DRAFTS)
        self.ask(key=key)
        self.sync(order)
        self.assertEqual(sorted(one.subject for one in self.items()), ["a stranger", "letter"])


class ChangeTests(DraftCase):
    def setUp(self) -> None:
        super().setUp()
        self.number = self.made(
            data(
                to="b@example.org", cc="c@example.net", subject="one", text="first",
                files=[file("a", b"A", "a.txt"), file("b", b"B", "b.txt")],
            )
        )  # fmt: skip
        self.references = {one.name: f"{self.number}:{one.path}" for one in self.items()[0].attachments}

    def now(self) -> Item:
        (item,) = self.items()
        return item

    def test_what_is_not_mentioned_stays(self) -> None:
        # Rule 29 of the sync model.
        """MS-ASCMD_R878 and the draft's other elements: only the subject is sent, only it changes."""
        before = self.message(self.now())
        found = self.sync(change(self.number, data(subject="two")))
        item = self.now()
        self.assertEqual(
            (item.number, item.subject, item.to, item.cc),
            (self.number, "two", "b@example.org", "c@example.net"),
        )
        self.assertEqual(self.message(item).partition(b"\r\n\r\n")[2], before.partition(b"\r\n\r\n")[2])
        # R6413: a Change that succeeds and adds no attachment has no answer, and is no news to its author.
        self.assertIsNone(found.find(AirSync.Responses))
        self.assertIsNone(found.find(AirSync.Commands))
        self.assertIsNone(self.phone.sync())

    def test_an_empty_element_clears_and_a_new_body_replaces(self) -> None:
        self.sync(change(self.number, data(cc="", html="<b>second</b>", importance=0)))
        item = self.now()
        self.assertEqual((item.cc, item.to, item.importance), ("", "b@example.org", 0))
        self.assertEqual(
            (self.text(item).strip(), self.text(item, html=True).strip()), ("second", "<b>second</b>")
        )
        self.assertEqual([one.name for one in item.attachments], ["a.txt", "b.txt"])

    def test_an_added_attachment_is_named_in_the_answer(self) -> None:
        """MS-ASCMD_R6234, R6413; MS-ASAIRS_R1006, R1336."""
        answer = self.response(self.sync(change(self.number, data(files=[file("c", b"C", "c.txt")]))))
        assert answer is not None
        item = self.now()
        self.assertEqual((answer.tag, answer.text(AirSync.Status)), (AirSync.Change, "1"))
        named = answer.find(AirSync.ApplicationData, AirSyncBase.Attachments, AirSyncBase.Attachment)
        assert named is not None
        self.assertEqual(named.text(AirSyncBase.ClientId), "c")
        reference = f"{self.number}:{item.attachments[-1].path}"
        self.assertEqual(named.text(AirSyncBase.FileReference), reference)
        self.assertEqual(self.content(item, "c.txt"), b"C")
        self.assertEqual(self.content(item, "a.txt"), b"A")

    def test_a_deleted_attachment_goes_and_new_names_are_news(self) -> None:
        """MS-ASAIRS_R1138, R1374: what stays has moved up, so its author hears the new names, too."""
        found = self.sync(change(self.number, data(files=[drop(self.references["a.txt"])])))
        item = self.now()
        self.assertEqual([one.name for one in item.attachments], ["b.txt"])
        told = found.find(AirSync.Commands, AirSync.Change, AirSync.ApplicationData, AirSyncBase.Attachments)
        assert told is not None
        self.assertEqual(
            [one.text(AirSyncBase.FileReference) for one in told.children],
            [f"{self.number}:{item.attachments[0].path}"],
        )
        # The last one may go without anybody's name changing.
        found = self.sync(
            change(self.number, data(files=[drop(f"{self.number}:{item.attachments[0].path}")]))
        )
        self.assertEqual(self.now().attachments, ())
        self.assertIsNone(found.find(AirSync.Commands))

    def test_another_device_is_told_the_whole_draft(self) -> None:
        """Also what is empty by now."""
        tablet = Mirror(self.room, FolderType.DRAFTS, self.room.other).prime()
        files = [drop(self.references["a.txt"]), drop(self.references["b.txt"])]
        self.sync(change(self.number, data(subject="two", cc="", files=files)))
        found = tablet.sync()
        assert found is not None
        told = found.find(AirSync.Commands, AirSync.Change, AirSync.ApplicationData)
        assert told is not None
        self.assertEqual((told.text(Email.Subject), told.text(Email.Cc)), ("two", ""))
        self.assertIsNotNone(told.find(AirSyncBase.Body))
        attachments = told.find(AirSyncBase.Attachments)
        assert attachments is not None
        self.assertEqual(list(attachments.children), [])

    def test_a_lost_answer_adds_no_attachment_twice(self) -> None:
        """MS-ASCMD_R955, R961, R2066: the same Change under the old key is answered from memory."""
        order = change(self.number, data(subject="two", files=[file("c", b"C", "c.txt")]))
        key = self.phone.key
        lost = self.ask(order, key=key)
        again = self.sync(order)
        self.assertEqual(
            again.find(AirSync.Responses),
            lost.find(AirSync.Collections, AirSync.Collection, AirSync.Responses),
        )
        self.assertEqual([one.name for one in self.now().attachments], ["a.txt", "b.txt", "c.txt"])
        self.assertIsNone(self.phone.sync())
        # Under the next key the same words are another wish.
        self.sync(order)
        self.assertEqual(len(self.now().attachments), 4)

    def test_a_change_elsewhere_after_a_lost_answer_is_news(self) -> None:
        """Rule 9: what is answered from memory hides nobody else's change."""
        order = change(self.number, data(subject="two"))
        self.ask(order)
        item = self.now()
        self.room.do(lambda tx: items.touch_rest(tx, item))
        found = self.sync(order)
        self.assertIsNotNone(found.find(AirSync.Commands, AirSync.Change))

    def test_what_is_written_after_a_lost_answer_is_in_no_conflict_with_it(self) -> None:
        """The device says what the draft is now, not what it was when the answer got lost; nobody else wrote."""
        self.ask(change(self.number, data(subject="two")))
        self.ask(change(self.number, data(subject="three", files=[drop(self.references["a.txt"])])))
        found = self.sync(change(self.number, data(subject="four")))
        self.assertIsNone(self.response(found))
        item = self.now()
        self.assertEqual((item.subject, [one.name for one in item.attachments]), ("four", ["b.txt"]))

    def test_a_wish_comes_back_after_another_one(self) -> None:
        """Every answer is lost: what is said last counts, also when it was said before."""
        for subject in ("two", "three", "two"):
            self.ask(change(self.number, data(subject=subject)))
            self.assertEqual(self.now().subject, subject)

    def test_a_file_is_added_once_although_the_device_asked_for_something_else_between(self) -> None:
        order = change(self.number, data(files=[file("c", b"C", "c.txt")]))
        key = self.phone.key
        self.ask(order)
        self.room.mail("a stranger", type=FolderType.DRAFTS)
        self.ask(key=key)
        self.sync(order)
        (item,) = [one for one in self.items() if one.number == self.number]
        self.assertEqual([one.name for one in item.attachments], ["a.txt", "b.txt", "c.txt"])

    def test_two_changes_in_one_request_build_on_each_other(self) -> None:
        self.sync(change(self.number, data(subject="two")), change(self.number, data(text="second", read=0)))
        item = self.now()
        self.assertEqual((item.subject, self.text(item).strip(), item.read), ("two", "second", False))

    def test_the_servers_change_wins(self) -> None:
        """MS-ASCMD_R2069: status 7, and the draft as it is comes along."""
        item = self.now()
        self.room.do(lambda tx: items.touch_rest(tx, item))
        found = self.sync(change(self.number, data(subject="mine"), send=True))
        answer = self.response(found)
        assert answer is not None
        self.assertEqual(answer.text(AirSync.Status), "7")
        self.assertIsNotNone(found.find(AirSync.Commands, AirSync.Change))
        self.assertEqual((self.now().subject, self.received), ("one", []))

    def test_a_draft_saved_elsewhere_while_it_is_prepared_is_prepared_again(self) -> None:
        real, other = drafting.prepare, data(cc="z@example.net")
        raced: list[int] = []

        async def prepare(call: Any, ask: Any) -> Any:
            found = await real(call, ask)
            if not raced and ask.orders[0].data is not other:
                raced.append(1)
                item = self.now()
                body = self.room.do(lambda tx: bodies.put_body(tx, bodies.prepare(b"Subject: x\r\n\r\n"), 1))
                self.room.do(
                    lambda tx: tx.execute("UPDATE item SET body_id = ? WHERE id = ?", (body.id, item.id))
                )
            return found

        self.patch(drafting, "prepare", prepare)
        self.sync(change(self.number, data(subject="two")))
        self.assertEqual(self.now().subject, "two")
        self.assertEqual(self.now().attachments, ())

    def test_marks_alone_rewrite_nothing(self) -> None:
        body = self.now().body_id
        self.sync(change(self.number, data(read=0)))
        self.assertEqual((self.now().body_id, self.now().read), (body, False))

    def test_a_message_in_another_folder_is_no_draft(self) -> None:
        """MS-ASEMAIL_R41."""
        item = self.room.mail("inbox")
        inbox = Mirror(self.room).prime()
        for content, send in ((data(subject="x"), False), (data(read=1), True)):
            answer = inbox.ask(commands=[change(item.number, content, send)])
            found = inbox.take(answer)
            assert found is not None
            self.assertEqual(found.find(AirSync.Responses, AirSync.Change).text(AirSync.Status), "6")  # type: ignore[union-attr]
        self.assertEqual(self.received, [])

    def test_a_draft_that_is_gone_is_8(self) -> None:
        item = self.now()
        self.room.do(lambda tx: items.delete_item(tx, item))
        answer = self.response(self.sync(change(self.number, data(subject="two"))))
        assert answer is not None
        self.assertEqual(answer.text(AirSync.Status), "8")

    def test_a_signed_draft_changes_as_a_whole_or_not_at_all(self) -> None:
        signed = b"To: b@example.org\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n"
        number = self.made(data(mime=signed), "9")
        answer = self.response(self.sync(change(number, data(files=[file("f")]))))
        assert answer is not None
        self.assertEqual(answer.text(AirSync.Status), "6")
        self.sync(change(number, data(subject="header only")))
        (item,) = [one for one in self.items() if one.number == number]
        self.assertTrue(self.message(item).endswith(b"--s\r\n\r\nx\r\n--s--\r\n"))


class SendTests(DraftCase):
    CONTENT = {"to": "b@example.org", "bcc": "x@there.example", "subject": "off", "text": "Now."}

    def saved(self) -> int:
        return self.made(data(**self.CONTENT, files=[file("f")]))

    def test_a_draft_is_sent_and_gone(self) -> None:
        """MS-ASEMAIL_R1389, R1386: mail, Sent copy and the draft's end are one transaction; its author is told."""
        number = self.saved()
        writes: list[Any] = []
        real = self.room.db.write
        self.patch(self.room.db, "write", lambda function: (writes.append(function), real(function))[1])
        self.room.clock.advance(3600)
        found = self.sync(change(number, data(subject="off now"), send=True))
        self.assertEqual(len(writes), 1)
        self.assertEqual(self.items(), [])
        (mail,), (copy,) = self.received, self.sent
        self.assertEqual(
            (mail.subject, copy.subject, mail.bcc, copy.bcc), ("off now", "off now", "", "x@there.example")
        )
        self.assertEqual(self.content(mail, "plan.pdf"), FILE)
        self.assertEqual((mail.draft, copy.draft, copy.read), (False, False, True))
        self.assertEqual(copy.sent, int(self.room.clock.seconds()) * 1000)
        queued = self.room.db.read_now(lambda tx: tx.execute("SELECT recipient FROM outbox"))
        self.assertEqual([row[0] for row in queued], ["x@there.example"])
        self.assertIsNone(found.find(AirSync.Responses))
        self.assertEqual(self.phone.held, {})
        self.assertIsNone(self.phone.sync())
        self.assertTrue(self.pokes)

    def test_a_replay_sends_once(self) -> None:
        """MS-ASCMD_R2066, R955: the answer was lost, the phone comes back with the older key and the same Send."""
        number = self.saved()
        order = change(number, data(text="Now!"), send=True)
        for _ in range(3):
            self.ask(order)
        found = self.sync(order)
        self.assertEqual((len(self.received), len(self.sent), self.items()), (1, 1, []))
        self.assertIsNone(found.find(AirSync.Responses))
        self.assertEqual(self.phone.held, {})
        self.assertIsNone(self.phone.sync())

    def test_a_replay_without_content_sends_once(self) -> None:
        number = self.saved()
        for _ in range(2):
            self.ask(change(number, None, send=True))
        self.sync(change(number, None, send=True))
        self.assertEqual((len(self.received), len(self.sent)), (1, 1))

    def test_a_new_message_is_sent_at_once_and_once(self) -> None:
        """An Add with Send makes no draft."""
        order = add(data(**self.CONTENT), send=True)
        lost = self.ask(order)
        found = self.sync(order)
        answer = self.response(found)
        assert answer is not None
        self.assertEqual((answer.text(AirSync.Status), answer.text(AirSync.ServerId)), ("1", None))
        self.assertEqual(
            found.find(AirSync.Responses),
            lost.find(AirSync.Collections, AirSync.Collection, AirSync.Responses),
        )
        self.assertEqual((len(self.received), len(self.sent), self.items()), (1, 1, []))
        # ClientIds restart: under the next key it is another message.
        self.sync(order)
        self.assertEqual(len(self.received), 2)

    def test_saved_and_sent_in_one_request(self) -> None:
        number = self.saved()
        self.sync(change(number, data(subject="two")), change(number, data(text="three"), send=True))
        (mail,) = self.received
        self.assertEqual((mail.subject, self.text(mail).strip()), ("two", "three"))

    def test_without_a_recipient_it_is_183_and_stays(self) -> None:
        """MS-ASCMD_R7472."""
        number = self.made(data(subject="nobody", text="t"))
        for content in (data(), data(to="no address"), data(to="@example.org")):
            answer = self.response(self.sync(change(number, content, send=True)))
            assert answer is not None
            self.assertEqual((answer.tag, answer.text(AirSync.Status)), (AirSync.Change, "183"))
        answer = self.response(self.sync(add(data(text="t"), "5", send=True)))
        assert answer is not None
        self.assertEqual(answer.text(AirSync.Status), "183")
        self.assertEqual(([one.subject for one in self.items()], self.sent), (["nobody"], []))

    def test_what_follows_a_refused_send_builds_on_what_is_stored(self) -> None:
        number = self.made(data(subject="nobody", text="t"))
        found = self.sync(change(number, data(subject="lost"), send=True), change(number, data(text="kept")))
        responses = found.find(AirSync.Responses)
        assert responses is not None
        self.assertEqual([one.text(AirSync.Status) for one in responses.children], ["183"])
        (item,) = self.items()
        self.assertEqual((item.subject, self.text(item).strip()), ("nobody", "kept"))

    def test_a_draft_beyond_the_limit_is_122(self) -> None:
        number = self.saved()
        self.room.do(lambda tx: tx.execute("UPDATE item SET size = ? WHERE number = ?", (51 << 20, number)))
        answer = self.response(self.sync(change(number, data(subject="x"))))
        assert answer is not None
        self.assertEqual(answer.text(AirSync.Status), "122")

    def test_a_full_mailbox_takes_no_new_draft_and_sends_none(self) -> None:
        account = self.room.account
        self.room.db.write_now(lambda tx: accounts.set_quota(tx, account.mailbox_id, 10))
        self.sync(add(data(subject="the one that fills it", text="x")))
        # MS-ASCMD 2.2.3.177.17: 9 when the mailbox is full; Exchange's common status 113 for what would be sent.
        more = add(data(subject="more", text="x"), "2")
        sent = add(data(to="b@example.org", text="x"), "3", send=True)
        for order, status in ((more, "9"), (sent, "113")):
            answer = self.response(self.sync(order))
            assert answer is not None
            self.assertEqual(answer.text(AirSync.Status), status)
        # Once there is room, the next Sync takes it.
        self.room.db.write_now(lambda tx: accounts.set_quota(tx, account.mailbox_id, 1 << 20))
        self.sync(more)
        self.assertEqual([item.subject for item in self.items()], ["the one that fills it", "more"])
        self.assertEqual(self.sent, [])

    def test_another_sender_is_120(self) -> None:
        mime = b"From: boss@example.org\r\nTo: b@example.org\r\n\r\nPay\r\n"
        answer = self.response(self.sync(add(data(mime=mime), send=True)))
        assert answer is not None
        self.assertEqual((answer.text(AirSync.Status), self.sent), ("120", []))

    def test_a_full_disk_sends_nothing_and_the_phone_may_try_again(self) -> None:
        number = self.saved()
        self.free = 0
        order = change(number, data(subject="later"), send=True)
        self.assertRaises(StorageFull, self.phone.ask, None, commands=[order])
        self.assertEqual((len(self.items()), self.sent, self.received), (1, [], []))
        self.free = 10**12
        self.sync(order)
        self.assertEqual((len(self.received), self.items()), (1, []))

    def test_when_the_transaction_fails_nothing_happened(self) -> None:
        """Sending, the draft's end and the state are there together or not at all."""
        number = self.saved()
        order = change(number, data(subject="later"), send=True)
        real = devices.save_state

        def broken(*args: Any) -> None:
            raise TryLater(cause="no")

        self.patch(devices, "save_state", broken)
        self.assertRaises(TryLater, self.phone.ask, None, commands=[order])
        self.assertEqual((len(self.items()), self.sent, self.received, self.pokes), (1, [], [], []))
        self.patch(devices, "save_state", real)
        self.sync(order)
        self.assertEqual(len(self.received), 1)

    def test_a_draft_saved_elsewhere_all_the_time_is_a_matter_for_later(self) -> None:
        number = self.saved()
        real = drafting.prepare

        async def prepare(call: Any, ask: Any) -> Any:
            found = await real(call, ask)
            item = self.items()[0]
            text = f"Subject: {item.changed}{self.room.serial}\r\n\r\n".encode()
            body = self.room.do(lambda tx: bodies.put_body(tx, bodies.prepare(text), 1))
            self.room.do(
                lambda tx: tx.execute("UPDATE item SET body_id = ? WHERE id = ?", (body.id, item.id))
            )
            return found

        self.patch(drafting, "prepare", prepare)
        self.assertRaises(TryLater, self.phone.ask, None, commands=[change(number, data(), send=True)])
        self.assertEqual((self.sent, self.received), ([], []))
