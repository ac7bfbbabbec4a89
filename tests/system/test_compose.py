"""Answering, forwarding and drafts from a phone, on the real server: what arrives, and that it arrives once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.tags import AirSync, AirSyncBase, ComposeMail, Email, Email2
from posthouse.wbxml.tree import E, Element
from tests.support.eas import Phone, mail_options
from tests.system.house import INBOX, SENT, demo_of, letter, phone_of

DRAFTS = 3
OPTIONS = mail_options(2, 20_000)
FILE = b"%PDF-1.4 a plan\n" * 5000


class ComposeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.ida, self.bruno = self.daemon.account(0)["address"], self.daemon.account(1)["address"]

    def phone(self, account: int, name: str, version: str = "16.1") -> Phone:
        phone = phone_of(self.daemon, account, name, version=version)
        phone.sync_all(phone.folder(INBOX), window=512, options=OPTIONS)
        return phone

    def arrived(self, phone: Phone, subject: str, folder: str = "") -> str:
        """The ServerId of the one message with that subject."""
        folder = folder or phone.folder(INBOX)
        phone.sync_all(folder, window=512, options=OPTIONS)
        (found,) = [
            number for number, one in phone.mirror[folder].items() if one[Email.Subject].value == subject
        ]
        return found

    def text(self, phone: Phone, item: str) -> str:
        whole = phone.fetch_item(phone.folder(INBOX), item, body=1)
        return whole[AirSyncBase.Body].text(AirSyncBase.Data) or ""

    def smart(self, name: str, phone: Phone, item: str, mime: bytes, client_id: str) -> str:
        source = E(
            ComposeMail.Source,
            E(ComposeMail.FolderId, phone.folder(INBOX)),
            E(ComposeMail.ItemId, item),
        )
        answer = phone.command(
            name,
            E(
                getattr(ComposeMail, name),
                E(ComposeMail.ClientId, client_id),
                source,
                E(ComposeMail.SaveInSentItems),
                E(ComposeMail.Mime, mime),
            ),
        )
        return answer.text(ComposeMail.Status)

    def test_a_reply_brings_the_original_along_and_marks_it(self) -> None:
        """MS-ASCMD_R580, MS-ASEMAIL_R510."""
        bruno, ida = self.phone(1, "REPLYB00000000001"), self.phone(0, "REPLYI00000000001")
        self.daemon.mail(self.ida, [self.bruno], letter(self.ida, self.bruno, "The tower", "Late again."))
        item = self.arrived(bruno, "The tower")
        mime = letter(self.bruno, self.ida, "Re: The tower", "I shall see to it.")
        self.assertEqual(self.smart("SmartReply", bruno, item, mime, "r1"), "")
        self.assertEqual(self.smart("SmartReply", bruno, item, mime, "r1"), "118")
        came = self.text(ida, self.arrived(ida, "Re: The tower"))
        self.assertIn("I shall see to it.", came)
        self.assertIn("> Late again.", came)
        # The mark on the original is told to the phone that answered.
        bruno.sync_all(bruno.folder(INBOX), options=OPTIONS)
        fields = bruno.mirror[bruno.folder(INBOX)][item]
        self.assertEqual(fields[Email2.LastVerbExecuted].value, "1")
        self.arrived(bruno, "Re: The tower", bruno.folder(SENT))

    def test_a_forward_carries_the_attachment(self) -> None:
        """MS-ASCMD_R532; below 14.0 the body is MIME and the original stands in the query."""
        old, ida = self.phone(0, "FORWARD0000000001", "12.1"), self.phone(0, "FORWARDI000000001")
        inbox = ida.folder(INBOX)
        item, name = next(
            (number, attachment.text(AirSyncBase.DisplayName))
            for number, fields in ida.mirror[inbox].items()
            if AirSyncBase.Attachments in fields
            for attachment in fields[AirSyncBase.Attachments].children
            if attachment.text(AirSyncBase.IsInline) != "1"
        )
        mime = letter(self.ida, self.bruno, "Fwd: look", "See below.")
        named = {"ItemId": item, "CollectionId": old.folder(INBOX), "SaveInSent": "T"}
        old.command_raw("SmartForward", mime, named)
        bruno = self.phone(1, "FORWARDB000000001")
        came = bruno.mirror[bruno.folder(INBOX)][self.arrived(bruno, "Fwd: look")]
        names = [one.text(AirSyncBase.DisplayName) for one in came[AirSyncBase.Attachments].children]
        self.assertIn(name, names)

    def test_a_draft_with_an_attachment_is_written_on_one_phone_and_sent_from_another(self) -> None:
        """MS-ASEMAIL_R1389, R1489; the answer to the sending was lost, and the phone says it again."""
        phone, tablet = self.phone(0, "DRAFTP00000000001"), self.phone(0, "DRAFTT00000000001")
        drafts = phone.folder(DRAFTS)
        phone.sync_all(drafts, options=OPTIONS)
        content = E(
            AirSync.ApplicationData,
            E(Email.To, self.bruno),
            E(Email.Subject, "A plan"),
            E(AirSyncBase.Body, E(AirSyncBase.Type, 2), E(AirSyncBase.Data, "<p>Here it is.</p>")),
            E(
                AirSyncBase.Attachments,
                E(
                    AirSyncBase.Add,
                    E(AirSyncBase.ClientId, "a1"),
                    E(AirSyncBase.Method, 1),
                    E(AirSyncBase.ContentType, "application/pdf"),
                    E(AirSyncBase.Content, FILE),
                    E(AirSyncBase.DisplayName, "plan.pdf"),
                ),
            ),
        )
        made = phone.sync_collection(drafts, commands=[E(AirSync.Add, E(AirSync.ClientId, "1"), content)])
        (answer,) = made.responses
        self.assertEqual(answer.text(AirSync.Status), "1")
        reference = answer.find(
            AirSync.ApplicationData,
            AirSyncBase.Attachments,
            AirSyncBase.Attachment,
            AirSyncBase.FileReference,
        )
        assert reference is not None
        self.assertEqual(phone.fetch_file(reference.value)[0], FILE)

        number = self.arrived(tablet, "A plan", tablet.folder(DRAFTS))
        self.assertEqual(number, answer.text(AirSync.ServerId))
        send = self.sending(number, "A better plan")
        tablet.sync_collection(drafts, commands=[send], apply=False)
        tablet.sync_collection(drafts, commands=[send])
        self.assertNotIn(number, tablet.mirror[drafts])

        bruno = self.phone(1, "DRAFTB00000000001")
        item = self.arrived(bruno, "A better plan")
        (file,) = bruno.mirror[bruno.folder(INBOX)][item][AirSyncBase.Attachments].children
        self.assertEqual(bruno.fetch_file(file.text(AirSyncBase.FileReference) or "")[0], FILE)
        self.arrived(tablet, "A better plan", tablet.folder(SENT))
        phone.mirror[drafts][number] = {}
        phone.sync_all(drafts, options=OPTIONS)
        self.assertNotIn(number, phone.mirror[drafts])

    def sending(self, number: str, subject: str) -> Element:
        return E(
            AirSync.Change,
            E(AirSync.ServerId, number),
            E(AirSync.ApplicationData, E(Email.Subject, subject)),
            E(Email2.Send),
        )
