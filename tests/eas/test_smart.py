"""SmartReply and SmartForward."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, NotPermitted, StorageFull, TooLarge
from posthouse.mime.scan import scan
from posthouse.mime.summary import summarise
from posthouse.model import Item
from posthouse.store import changes, items
from posthouse.wbxml.tags import AirSyncBase, ComposeMail, Email, Email2
from posthouse.wbxml.tree import E, Element
from tests.eas.room import Response, Room

ORIGINAL = (
    b"From: Bob <bob@example.net>\r\nTo: a@example.org, Cleo <c@example.net>\r\nSubject: Clocks\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <o1@example.net>\r\nReferences: <o0@example.net>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nThe clock is late.\r\n"
    b"--b\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment; filename=plan.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n"
)
NEW = (
    b"From: a@example.org\r\nTo: bob@example.net\r\nSubject: Re: Clocks\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"So am I. Gr\xc3\xbc\xc3\x9fe\r\n"
)


class Base(SynchronousTestCase):
    name = "SmartReply"

    def setUp(self) -> None:
        self.room = Room()
        self.addCleanup(self.room.db.close)
        self.room.provision()
        self.item = self.room.deliver(ORIGINAL)
        self.folder = self.room.folder()

    def smart(
        self,
        *more: Element | None,
        mime: bytes | None = NEW,
        source: Element | None = None,
        client: str = "c1",
        version: str = "14.1",
    ) -> Response:
        root = getattr(ComposeMail, self.name)
        return self.room.post(
            self.name,
            E(
                root,
                E(ComposeMail.ClientId, client),
                source if source is not None else self.source(),
                *more,
                E(ComposeMail.SaveInSentItems),
                E(ComposeMail.Mime, mime) if mime is not None else None,
            ),
            version,
        )

    def source(self, **more: str) -> Element:
        given: dict[str, Any] = {"FolderId": self.folder.number, "ItemId": self.item.number, **more}
        return E(
            ComposeMail.Source,
            [E(getattr(ComposeMail, name), str(value)) for name, value in given.items() if value],
        )

    def now(self) -> Item:
        found = self.room.db.read_now(lambda tx: changes.item_by_id(tx, self.item.id))
        assert found is not None
        return found

    def sent(self) -> bytes:
        return self.room.outbox.sent[-1][1]

    def summary(self) -> Any:
        data = self.sent()
        root = scan(data)
        return summarise(root, data[: root.body_start], lambda start, stop: data[start:stop])


class ReplyTests(Base):
    def test_the_original_is_quoted_and_success_is_empty(self) -> None:
        """MS-ASCMD_R569, R580, R605, R5776."""
        answer = self.smart()
        self.assertEqual((answer.code, answer.body), (200, b""))
        data = self.sent()
        self.assertIn(b"> The clock is late.", data)
        self.assertIn(b"Bob <bob@example.net> wrote:", data)
        self.assertNotIn(b"JVBERg==", data)
        found = self.summary()
        self.assertEqual(found.in_reply_to, "o1@example.net")
        self.assertEqual(found.references, ("o0@example.net", "o1@example.net"))
        self.assertIn("Grüße", found.preview)
        self.assertTrue(self.room.outbox.sent[-1][2])

    def test_the_original_is_marked_and_that_is_news_to_everybody(self) -> None:
        """MS-ASEMAIL_R510, R516; rule 9: no origin, so the phone that asked hears of it, too."""
        self.smart()
        item = self.now()
        self.assertEqual((item.verb, item.verb_at), (1, self.room.call().now()))
        self.assertGreater(item.rest_no, self.item.rest_no)
        by = self.room.db.read_now(lambda tx: tx.value("SELECT rest_by FROM item WHERE id = ?", (item.id,)))
        self.assertEqual(by, 0)

    def test_a_reply_to_another_recipient_is_a_reply_to_all(self) -> None:
        """MS-ASEMAIL_R517."""
        self.smart(mime=NEW.replace(b"To: bob@", b"Cc: C@EXAMPLE.net\r\nTo: bob@"))
        self.assertEqual(self.now().verb, 2)

    def test_replace_mime_goes_out_byte_by_byte(self) -> None:
        """MS-ASCMD_R3775."""
        self.smart(E(ComposeMail.ReplaceMime))
        self.assertEqual(self.sent(), NEW)
        self.assertEqual(self.now().verb, 1)

    def test_a_signed_reply_stays_as_it_is(self) -> None:
        body = (
            b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=s\r\n\r\n'
            b"--s\r\n\r\nx\r\n--s--\r\n"
        )
        signed = b"From: a@example.org\r\nTo: bob@example.net\r\n" + body
        self.smart(mime=signed)
        self.assertTrue(self.sent().endswith(body.partition(b"\r\n")[2]))
        self.assertNotIn(b"clock", self.sent())

    def test_a_repetition_is_118_and_sends_nothing(self) -> None:
        """MS-ASCMD_R4848: although the boundaries of the merged message differ."""
        self.smart()
        answer = self.smart()
        self.assertEqual(answer.text(ComposeMail.Status), "118")
        self.assertEqual(len(self.room.outbox.sent), 1)

    def test_a_repetition_is_118_although_the_original_is_gone(self) -> None:
        # Rule 3 of the sync model.
        """Or its user, told that nothing was sent, would send it again (MS-ASCMD_R4848, R4850)."""
        self.smart()
        original = self.now()
        self.room.db.write_now(lambda tx: items.delete_item(tx, original))
        self.assertEqual(self.smart().text(ComposeMail.Status), "118")
        self.assertEqual(len(self.room.outbox.sent), 1)

    def test_an_original_of_one_part_is_quoted(self) -> None:
        self.item = self.room.deliver(b"From: z@example.net\r\n\r\nAll of it.\r\n")
        self.smart()
        self.assertIn(b"All of it.", self.sent())

    def test_the_same_id_for_another_original_is_no_repetition(self) -> None:
        self.smart()
        self.item = self.room.deliver(ORIGINAL.replace(b"late", b"early"))
        self.assertEqual(self.smart().body, b"")
        self.assertIn(b"early", self.sent())

    def test_a_send_that_failed_leaves_no_mark_and_may_be_tried_again(self) -> None:
        self.room.outbox.error = StorageFull()
        self.assertEqual(self.smart().code, 503)
        self.assertEqual(self.now().verb, 0)
        self.room.outbox.error = None
        self.assertEqual(self.smart().body, b"")
        self.assertEqual(self.now().verb, 1)

    def test_an_original_that_goes_meanwhile_is_answered_all_the_same(self) -> None:
        real = self.room.outbox.submit

        def late(*args: Any) -> Any:
            there = self.now()
            self.room.db.write_now(lambda tx: items.delete_item(tx, there))
            return real(*args)

        self.patch(self.room.outbox, "submit", late)
        self.assertEqual(self.smart().body, b"")
        self.assertEqual(len(self.room.outbox.sent), 1)

    def test_sources(self) -> None:
        """MS-ASCMD_R541, R578 (104), LongId stands alone; common status 105, 106 and 150."""
        cases = (
            (self.source(ItemId="999999"), "150"),
            (self.source(ItemId="x"), "150"),
            (self.source(FolderId="999999"), "150"),
            (self.source(InstanceId="yesterday"), "104"),
            (self.source(LongId="2"), "105"),
            (E(ComposeMail.Source), "106"),
            (E(ComposeMail.Source, E(ComposeMail.LongId, "999999")), "150"),
        )
        for source, status in cases:
            answer = self.smart(source=source)
            self.assertEqual((answer.code, answer.text(ComposeMail.Status)), (200, status))
        self.assertEqual(self.room.outbox.sent, [])
        named = E(ComposeMail.Source, E(ComposeMail.LongId, str(self.item.number)))
        self.assertEqual(self.smart(source=named).body, b"")
        self.assertEqual(self.smart(source=self.source(FolderId=""), client="c2").body, b"")
        valid = self.source(InstanceId="2010-03-20T22:40:00.000Z")
        self.assertEqual(self.smart(source=valid, client="c3").body, b"")

    def test_statuses(self) -> None:
        """MS-ASCMD_R5777, R724 (166), R7176."""
        cases = (
            (self.smart(client="x" * 41), "103"),
            (self.smart(mime=None), "103"),
            (self.smart(mime=b""), "107"),
            (self.smart(mime=b"\xff\xfe no header"), "107"),
            (self.smart(mime=b"Subject: x\r\n\r\nTo: b@example.net"), "119"),
            (self.smart(E(ComposeMail.AccountId, "1")), "166"),
        )
        for response, status in cases:
            self.assertEqual((response.code, response.text(ComposeMail.Status)), (200, status))
        for error, status in ((NotPermitted(), "120"), (Malformed(), "107"), (TooLarge(), "115")):
            self.room.outbox.error = error
            self.assertEqual(self.smart(client="c9").text(ComposeMail.Status), status)
        self.assertEqual((self.room.outbox.sent, self.now().verb), ([], 0))

    def test_an_original_beyond_the_limit_is_115(self) -> None:
        self.room.db.write_now(lambda tx: tx.execute("UPDATE item SET size = ?", (51 << 20,)))
        self.assertEqual(self.smart().text(ComposeMail.Status), "115")

    def test_raw_mime_at_12_1(self) -> None:
        """MS-ASHTTP R115-R122: the original stands in the query; errors are HTTP codes."""
        named = {"ItemId": str(self.item.number), "CollectionId": str(self.folder.number)}
        for saved in ("T", "F"):
            answer = self.room.post(self.name, NEW, "12.1", parameters={**named, "SaveInSent": saved})
            self.assertEqual((answer.code, answer.body), (200, b""))
            self.assertEqual(self.room.outbox.sent[-1][2], saved == "T")
            self.assertIn(b"The clock is late.", self.sent())
        self.assertEqual(self.now().verb, FORWARD_VERBS.get(self.name, 1))
        for parameters, code in (({"ItemId": "999"}, 404), ({}, 400), ({**named, "Occurrence": "?"}, 400)):
            self.assertEqual(self.room.post(self.name, NEW, "12.1", parameters=parameters).code, code)
        self.assertEqual(self.room.post(self.name, b"", "12.1", parameters=named).code, 400)

    def test_it_works_at_every_version_with_documents(self) -> None:
        for number, version in enumerate(("14.0", "14.1", "16.0", "16.1")):
            self.assertEqual(self.smart(client=f"v{number}", version=version).body, b"", version)


FORWARD_VERBS = {"SmartForward": 3}


class ForwardTests(ReplyTests):
    name = "SmartForward"

    def test_the_original_is_quoted_and_success_is_empty(self) -> None:
        """MS-ASCMD_R532, R568, R4407, R4408: its text under its header lines, and what is attached to it."""
        answer = self.smart()
        self.assertEqual((answer.code, answer.body), (200, b""))
        data = self.sent()
        self.assertIn(b"From: Bob <bob@example.net>", data)
        self.assertIn(b"\r\nThe clock is late.", data)
        self.assertIn(b"JVBERg==", data)
        found = self.summary()
        self.assertEqual([one.name for one in found.attachments], ["plan.pdf"])
        self.assertEqual((found.in_reply_to, found.references[-1]), ("", "o1@example.net"))

    def test_the_original_is_marked_and_that_is_news_to_everybody(self) -> None:
        """MS-ASEMAIL_R518."""
        self.smart()
        self.assertEqual(self.now().verb, 3)

    def test_a_reply_to_another_recipient_is_a_reply_to_all(self) -> None:
        """To whomever: a forward is a forward."""
        self.smart(mime=NEW.replace(b"To: bob@", b"Cc: C@EXAMPLE.net\r\nTo: bob@"))
        self.assertEqual(self.now().verb, 3)

    def test_replace_mime_goes_out_byte_by_byte(self) -> None:
        self.smart(E(ComposeMail.ReplaceMime))
        self.assertEqual((self.sent(), self.now().verb), (NEW, 3))

    def test_a_send_that_failed_leaves_no_mark_and_may_be_tried_again(self) -> None:
        self.room.outbox.error = StorageFull()
        self.assertEqual(self.smart().code, 503)
        self.assertEqual(self.now().verb, 0)

    def test_a_meeting_is_not_forwarded_yet(self) -> None:
        """MS-ASCMD_R7176, R7467, R7468, R7470: its form excludes that of mail; by itself it needs a meeting."""
        who = E(
            ComposeMail.Forwardees, E(ComposeMail.Forwardee, E(ComposeMail.ForwardeeEmail, "x@example.net"))
        )
        nobody = E(ComposeMail.Forwardees), E(ComposeMail.Forwardees, E(ComposeMail.Forwardee))
        body = E(AirSyncBase.Body, E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "look"))
        for version, excluded, unreadable in (
            ("14.1", "103", "103"),
            ("16.0", "178", "179"),
            ("16.1", "178", "179"),
        ):
            for more, status in (
                ((who,), "147"),
                ((body,), "147"),
                ((who, body), "147"),
                *(
                    ((who, one), excluded)
                    for one in (E(ComposeMail.SaveInSentItems), E(ComposeMail.ReplaceMime))
                ),
                ((who, E(ComposeMail.Mime, NEW)), excluded),
                ((body, E(ComposeMail.Mime, NEW)), excluded),
                *(((one,), unreadable) for one in nobody),
                ((E(AirSyncBase.Body),), unreadable),
            ):
                root = E(ComposeMail.SmartForward, E(ComposeMail.ClientId, "c"), self.source(), more)
                answer = self.room.post("SmartForward", root, version)
                self.assertEqual(answer.text(ComposeMail.Status), status, (version, more))


class NewsTests(SynchronousTestCase):
    def test_the_mark_reaches_the_phone_that_replied(self) -> None:
        # Rule 9 of the sync model.
        from tests.eas.desk import Mirror
        from tests.eas.desk import Room as Desk

        desk = Desk()
        item = desk.mail()
        phone = Mirror(desk).prime()
        desk.do(lambda tx: items.set_verb(tx, item, 1, 1000))
        found = phone.sync()
        assert found is not None
        data = [one for one in found.iter() if one.tag == Email2.LastVerbExecuted]
        self.assertEqual([one.value for one in data], ["1"])
        self.assertEqual([one for one in found.iter() if one.tag == Email.Read], [])
