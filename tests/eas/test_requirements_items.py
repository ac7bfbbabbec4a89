"""ItemOperations, MoveItems, Ping, Search, Find, Settings, SendMail, ResolveRecipients and Provision: statuses of
MS-ASCMD 2.2.3.177 and the elements of 2.2.3.111 to 2.2.3.199 that are present under a condition."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.commands.ping import Ping
from posthouse.eas.policy import POLICY_TYPE
from posthouse.eas.services import EasSettings
from posthouse.errors import NotPermitted
from posthouse.model import FolderType
from posthouse.store import people, routing
from posthouse.wbxml.tags import (
    GAL,
    AirSync,
    AirSyncBase,
    ComposeMail,
    DocumentLibrary,
    Email,
    Move,
    RightsManagement,
    Settings,
)
from posthouse.wbxml.tags import Find as F
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Ping as P
from posthouse.wbxml.tags import Provision as PV
from posthouse.wbxml.tags import ResolveRecipients as R
from posthouse.wbxml.tags import Search as S
from posthouse.wbxml.tree import E, Element
from tests.eas.desk import Mirror
from tests.eas.desk import Room as Desk
from tests.eas.finding import JPEG, FindingRoom
from tests.eas.provisioning import acknowledge, key_of, offer, policy_of
from tests.eas.room import VERSIONS, Response, Room
from tests.support.smime import issue
from tests.support.store import NOW

CONTENT = bytes(range(256)) * 40
MAIL = (
    b'Subject: files\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nhello\r\n'
    b'--b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    + b64encode(CONTENT)
    + b'\r\n--b\r\nContent-Type: text/x-empty; name="empty"\r\nContent-Disposition: attachment\r\n\r\n--b--\r\n'
)
OUT = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: hi\r\n\r\nhello\r\n"


class FetchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None, max_attachment=20_000))
        self.item = self.room.deliver(MAIL)
        self.inbox = self.room.folder().number

    def fetch(self, *more: Element | None, store: str = "Mailbox", version: str = "14.1") -> Element:
        operation = E(IO.Fetch, E(IO.Store, store), *more)
        answer = self.room.post("ItemOperations", E(IO.ItemOperations, operation), version)
        self.assertEqual(answer.text(IO.Status), "1")
        assert answer.root is not None
        found = answer.root.find(IO.Response, IO.Fetch)
        assert found is not None
        return found

    def names(self, server_id: object = None) -> tuple[Element, Element]:
        number = self.item.number if server_id is None else server_id
        return E(AirSync.CollectionId, self.inbox), E(AirSync.ServerId, str(number))

    def file(self, path: str = "2", span: str | None = None) -> Element:
        options = E(IO.Options, E(IO.Range, span)) if span is not None else None
        return self.fetch(E(AirSyncBase.FileReference, f"{self.item.number}:{path}"), options)

    def data(self, found: Element) -> bytes:
        properties = found.find(IO.Properties)
        assert properties is not None
        return b64decode(properties.text(IO.Data) or "")

    def test_success_is_1_of_the_whole_and_of_each(self) -> None:
        """R4153."""
        for version in VERSIONS:
            self.assertEqual(self.fetch(*self.names(), version=version).text(IO.Status), "1")

    def test_what_is_not_there_is_6(self) -> None:
        """R4158, as Microsoft's case asks it: a ServerId that is none."""
        for number in ("InvalidServerID", 987654):
            self.assertEqual(self.fetch(*self.names(number)).text(IO.Status), "6")

    def test_ranges_count_from_0_and_without_one_all_of_it_comes(self) -> None:
        """R3716, R5422, R5423."""
        self.assertEqual(self.data(self.file()), CONTENT)
        self.assertEqual(self.data(self.file(span="0-0")), CONTENT[:1])
        self.assertEqual(self.data(self.file(span="255-256")), CONTENT[255:257])

    def test_ranges_that_cannot_be(self) -> None:
        """R4160 (8), R4162 (10)."""
        self.assertEqual(self.file(span="99999-99999").text(IO.Status), "8")
        self.assertEqual(self.file(span="9-1").text(IO.Status), "8")
        self.assertEqual(self.file("3", span="0-9").text(IO.Status), "10")

    def test_what_is_too_large_is_11(self) -> None:
        """R4163."""
        large = self.room.deliver(MAIL.replace(b64encode(CONTENT), b64encode(CONTENT * 3)))
        found = self.fetch(E(AirSyncBase.FileReference, f"{large.number}:2"))
        self.assertEqual(found.text(IO.Status), "11")

    def test_what_names_no_attachment_is_15(self) -> None:
        """R4166."""
        for name in ("InvalidAttachmentID", "", f"{self.item.number}:9", "987654:2"):
            self.assertEqual(self.fetch(E(AirSyncBase.FileReference, name)).text(IO.Status), "15", name)

    def test_other_stores(self) -> None:
        """R4161 (9 for a store that is unknown, or not there), R4156 (4 for a link that is none)."""
        self.assertEqual(self.fetch(*self.names(), store="InvalidStore").text(IO.Status), "9")
        for link, status in (
            ("\\\\server\\share\\a.txt", "9"),
            ("https://intranet.example/a.txt", "9"),
            ("//invalidURI", "4"),
            ("hello", "4"),
        ):
            found = self.fetch(E(DocumentLibrary.LinkId, link), store="DocumentLibrary")
            self.assertEqual((found.text(IO.Status), found.text(DocumentLibrary.LinkId)), (status, link))

    def test_a_password_of_256_characters_is_taken(self) -> None:
        """R5886."""
        options = E(IO.Options, E(IO.UserName, "a"), E(IO.Password, "x" * 256))
        self.assertEqual(self.fetch(*self.names(), options).text(IO.Status), "1")

    def test_a_conversation_is_moved_by_its_own_element(self) -> None:
        """R3465."""
        operation = E(
            IO.Move,
            E(IO.ConversationId, self.item.conversation),
            E(IO.DstFldId, str(self.room.folder(FolderType.DELETED).number)),
            E(IO.Options, E(IO.MoveAlways)),
        )
        answer = self.room.post("ItemOperations", E(IO.ItemOperations, operation))
        assert answer.root is not None
        moved = answer.root.find(IO.Response, IO.Move)
        assert moved is not None
        self.assertEqual(moved.text(IO.Status), "1")
        self.assertEqual(moved.blob(IO.ConversationId), self.item.conversation)
        self.assertEqual(self.room.folder(FolderType.DELETED).total, 1)


class MoveTests(SynchronousTestCase):
    def test_each_status_and_the_item_that_it_is_about(self) -> None:
        """R3977, R5879, R4201, R4212 (2), R4217 (3), R4219 (4)."""
        room = Room(EasSettings(policy=None))
        item, inbox = room.deliver(MAIL).number, room.folder().number
        trash = room.folder(FolderType.DELETED).number
        cases = (
            (item, inbox, "987654", "2"),
            (item, inbox, "Invalid", "2"),
            (item, inbox, inbox, "4"),
            (item, trash, inbox, "1"),
            (item, inbox, trash, "3"),
        )
        for number, source, target, status in cases:
            move = E(
                Move.Move,
                E(Move.SrcMsgId, str(number)),
                E(Move.SrcFldId, str(source)),
                E(Move.DstFldId, str(target)),
            )
            answer = room.post("MoveItems", E(Move.MoveItems, move))
            assert answer.root is not None
            (found,) = answer.root.findall(Move.Response)
            self.assertEqual((found.text(Move.SrcMsgId), found.text(Move.Status)), (str(number), status))
            self.assertEqual(found.find(Move.DstMsgId) is not None, status == "3")


class PingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Desk()
        self.room.folder_sync()
        self.inbox = Mirror(self.room).prime()
        self.drafts = Mirror(self.room, FolderType.DRAFTS).prime()

    def start(self, *names: str, seconds: int | None = None) -> Deferred[Any]:
        folders = [E(P.Folder, E(P.Id, name), E(P.Class, "Email")) for name in names]
        request = E(
            P.Ping,
            E(P.HeartbeatInterval, seconds) if seconds is not None else None,
            E(P.Folders, folders) if folders else None,
        )
        waiting = self.room.start(Ping(), request)
        self.room.clock.advance(0)
        return waiting

    def test_parameters_are_missing_until_they_were_said_once(self) -> None:
        """R4240, R4241."""
        self.assertEqual(self.successResultOf(self.start(seconds=80)), 3)
        self.start(self.inbox.name, seconds=80)
        self.room.clock.advance(80)
        self.assertNoResult(self.start(self.inbox.name))

    def test_no_parameter_at_all_is_4(self) -> None:
        """R4244, R4228."""
        self.assertEqual(self.successResultOf(self.start()), 4)

    def test_changes_are_2_with_the_folders_that_changed(self) -> None:
        """R4235, R4236."""
        waiting = self.start(self.inbox.name, self.drafts.name, seconds=80)
        self.assertNoResult(waiting)
        self.room.mail(type=FolderType.DRAFTS)
        self.room.clock.advance(1)
        answer = self.successResultOf(waiting)
        self.assertEqual(answer.text(P.Status), "2")
        self.assertEqual([one.value for one in answer.find(P.Folders).children], [self.drafts.name])

    def test_without_news_it_waits_for_the_interval(self) -> None:
        """R5714."""
        waiting = self.start(self.inbox.name, seconds=80)
        self.room.clock.advance(79)
        self.assertNoResult(waiting)
        self.room.clock.advance(1)
        self.assertEqual(self.successResultOf(waiting).text(P.Status), "1")


class SearchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = FindingRoom()
        self.room.mail("Bread", "from the oven")

    def store(self, name: str, query: Element | str, *options: Element, twice: bool = False) -> Element:
        element = E(
            S.Store, E(S.Name, name), E(S.Query, query), E(S.Options, list(options)) if options else None
        )
        answer = self.room.post("Search", E(S.Search, [element] * (2 if twice else 1)))
        self.assertEqual(answer.text(S.Status), "1")
        assert answer.root is not None
        found = answer.root.find(S.Response, S.Store)
        assert found is not None
        return found

    def words(self, *more: Element) -> Element:
        return E(S.And, E(AirSync.Class, "Email"), *more, E(S.FreeText, "bread"))

    def test_what_stands_twice_is_no_error(self) -> None:
        """R2143, R3374, R3723, R3747, R4535."""
        for tag, value in (
            (S.DeepTraversal, None),
            (S.RebuildResults, None),
            (S.Range, "0-1"),
            (AirSync.MIMESupport, "1"),
        ):
            found = self.store("Mailbox", self.words(), E(tag, value), E(tag, value))
            self.assertEqual((found.text(S.Status), found.text(S.Total)), ("1", "1"), tag)
        self.assertEqual(self.store("Mailbox", self.words(), twice=True).text(S.Status), "1")

    def test_two_conversations_are_an_error(self) -> None:
        """R5815."""
        one = E(S.ConversationId, b"\1" * 16)
        self.assertEqual(self.store("Mailbox", self.words(one)).text(S.Status), "1")
        self.assertEqual(self.store("Mailbox", self.words(one, one)).text(S.Status), "2")

    def test_what_a_mail_has_is_no_part_of_a_query(self) -> None:
        """R4329, as Microsoft's case asks it."""
        found = self.store("Mailbox", self.words(E(Email.To, "a@example.org")))
        self.assertEqual([(one.tag, one.value) for one in found.children], [(S.Status, "2")])

    def test_people_are_found_by_names_with_a_line_in_them(self) -> None:
        """R421, R431: the users of Microsoft's cases are MSASCMD_User01 to 03."""
        for number in (2, 1, 3):
            self.room.person(f"msascmd_user0{number}@example.org", name=f"MSASCMD_User0{number}")
        found = self.store("GAL", "MSASCMD_User", E(S.Range, "0-2"))
        self.assertEqual((found.text(S.Range), found.text(S.Total)), ("0-2", "3"))
        names = [one.find(S.Properties, GAL.DisplayName) for one in found.findall(S.Result)]
        self.assertEqual(
            [name.value for name in names if name is not None], [f"MSASCMD_User0{n}" for n in (1, 2, 3)]
        )

    def test_a_result_has_the_properties_of_the_mail(self) -> None:
        """R3851, R3862."""
        wish = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1))
        found = self.store("Mailbox", self.words(), wish).find(S.Result, S.Properties)
        assert found is not None
        self.assertEqual(found.text(Email.Subject), "Bread")
        data = found.find(AirSyncBase.Body, AirSyncBase.Data)
        assert data is not None
        self.assertEqual(data.value.strip(), "from the oven")

    def test_what_only_people_have(self) -> None:
        """R5353, R5360, R5368, R3692: as much as each of them has; and no mail has any of it."""
        self.room.person("ann@example.org", name="Ann Lee", office="7", phone="+1", mobile="+2")
        self.room.person("anne@example.org", name="Anne Moon")
        theirs = (GAL.MobilePhone, GAL.Office, GAL.Phone)
        first, second = (one.find(S.Properties) for one in self.store("GAL", "ann").findall(S.Result))
        assert first is not None and second is not None
        self.assertEqual([first.text(tag) for tag in theirs], ["+2", "7", "+1"])
        self.assertEqual([second.find(tag) for tag in theirs], [None] * 3)
        self.assertNotEqual(len(first.children), len(second.children))
        mail = self.store("Mailbox", self.words()).find(S.Result, S.Properties)
        assert mail is not None
        self.assertEqual([mail.find(tag) for tag in theirs], [None] * 3)

    def test_pictures_in_all_three_commands(self) -> None:
        """R3667."""
        self.room.person("ann@example.org", name="Ann Lee", photo=JPEG)
        found = self.store("GAL", "ann", E(S.Picture)).find(S.Result, S.Properties, GAL.Picture)
        resolved = self.room.post(
            "ResolveRecipients", E(R.ResolveRecipients, E(R.To, "ann"), E(R.Options, E(R.Picture)))
        )
        criterion = E(F.GALSearchCriterion, E(F.Query, "ann"), E(F.Options, E(F.Picture)))
        searched = self.room.post(
            "Find", E(F.Find, E(F.SearchId, "1"), E(F.ExecuteSearch, criterion)), "16.1"
        )
        assert resolved.root is not None and searched.root is not None
        others = (
            resolved.root.find(R.Response, R.Recipient, R.Picture),
            searched.root.find(F.Response, F.Result, F.Properties, GAL.Picture),
        )
        for picture in (found, *others):
            assert picture is not None
            data = picture.children[-1]
            self.assertEqual((picture.children[0].value, b64decode(data.value)), ("1", JPEG))


class FindTests(SynchronousTestCase):
    def test_statuses_and_what_only_people_have(self) -> None:
        """R72172509, R72172520: 1 of the command and of its response; R69581706: Phone is of people alone."""
        room = FindingRoom()
        room.mail("Ann's bread")
        room.person("ann@example.org", name="Ann Lee", phone="+1")
        query = E(F.Query, E(AirSync.Class, "Email"), E(F.FreeText, "ann"))
        for criterion, phone in (
            (E(F.GALSearchCriterion, E(F.Query, "ann")), "+1"),
            (E(F.MailBoxSearchCriterion, query), None),
        ):
            answer = room.post("Find", E(F.Find, E(F.SearchId, "1"), E(F.ExecuteSearch, criterion)), "16.1")
            assert answer.root is not None
            self.assertEqual((answer.text(F.Status), answer.text(F.Response, F.Status)), ("1", "1"))
            properties = answer.root.find(F.Response, F.Result, F.Properties)
            assert properties is not None
            self.assertEqual(properties.text(GAL.Phone), phone)


class SettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = Room(EasSettings(policy=None))

    def post(self, asked: Element, version: str = "14.1") -> Response:
        return self.room.post("Settings", E(Settings.Settings, asked), version)

    def test_the_user_and_his_primary_address(self) -> None:
        """R4387, R4392, R3679 (from 14.1 on)."""
        for version in VERSIONS:
            answer = self.post(E(Settings.UserInformation, E(Settings.Get)), version)
            status = answer.text(Settings.UserInformation, Settings.Status)
            self.assertEqual((answer.text(Settings.Status), status), ("1", "1"))
            path = (Settings.Accounts, Settings.Account) if version >= "14.1" else ()
            primary = answer.text(
                Settings.UserInformation,
                Settings.Get,
                *path,
                Settings.EmailAddresses,
                Settings.PrimarySmtpAddress,
            )
            self.assertEqual(primary, "a@example.org" if version >= "14.1" else "", version)

    def test_rights_management_has_an_answer(self) -> None:
        """R3863."""
        asked = E(Settings.RightsManagementInformation, E(Settings.Get))
        answer = self.post(asked)
        assert answer.root is not None
        found = answer.root.find(Settings.RightsManagementInformation)
        assert found is not None
        self.assertEqual(found.text(Settings.Status), "1")
        self.assertIsNotNone(found.find(Settings.Get, RightsManagement.RightsManagementTemplates))


class SendMailTests(SynchronousTestCase):
    def test_success_has_no_body_and_a_failure_a_status(self) -> None:
        """R4379, R5091; R4380, R5092."""
        room = Room(EasSettings(policy=None))

        def send(client: str, mime: bytes = OUT) -> Response:
            root = E(ComposeMail.SendMail, E(ComposeMail.ClientId, client), E(ComposeMail.Mime, mime))
            return room.post("SendMail", root)

        sent = send("1")
        self.assertEqual((sent.code, sent.body), (200, b""))
        self.assertEqual(send("2", b"Subject: nobody\r\n\r\nx").text(ComposeMail.Status), "119")
        room.outbox.error = NotPermitted()
        self.assertEqual(send("3").text(ComposeMail.Status), "120")


class ResolveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = FindingRoom()
        self.room.person("ann@example.org", name="Ann Lee")
        self.room.person("anne@example.org", name="Anne Moon")

    def one(self, name: str, *options: Element) -> Element:
        answer = self.room.post(
            "ResolveRecipients",
            E(R.ResolveRecipients, E(R.To, name), E(R.Options, list(options)) if options else None),
        )
        self.assertEqual(answer.text(R.Status), "1")
        assert answer.root is not None
        (found,) = answer.root.findall(R.Response)
        return found

    def group(self, name: str, count: int) -> None:
        members = [f"m{number}@far.net" for number in range(count)]
        self.room.db.write_now(lambda tx: routing.add_alias(tx, f"{name}@example.org", members, NOW))

    def test_the_ambiguous_and_a_group_have_their_recipients(self) -> None:
        """R3761, R3762."""
        found = self.one("ann")
        self.assertEqual((found.text(R.Status), len(found.findall(R.Recipient))), ("2", 2))
        self.group("crew", 3)
        found = self.one("crew")
        self.assertEqual((found.text(R.Status), len(found.findall(R.Recipient))), ("1", 1))

    def test_certificates_are_there_when_they_were_asked_for(self) -> None:
        """R3764."""
        leaf = issue("ann@example.org")

        def certify(tx: Any) -> None:
            person = people.person_by_address(tx, "ann@example.org")
            assert person is not None
            people.set_certificates(tx, person, (leaf.der,))

        self.room.db.write_now(certify)
        certificate = (R.Recipient, R.Certificates, R.Certificate)
        found = self.one("ann@example.org", E(R.CertificateRetrieval, 2)).find(*certificate)
        assert found is not None
        self.assertEqual(b64decode(found.value), leaf.der)
        self.assertIsNone(self.one("ann@example.org").find(R.Recipient, R.Certificates))

    def test_times_are_for_those_who_are_meant_for_certain(self) -> None:
        """R4617, R4618; R4626: 161 for a group of more than 20."""
        times = E(
            R.Availability,
            E(R.StartTime, "2026-01-05T08:00:00.000Z"),
            E(R.EndTime, "2026-01-05T18:00:00.000Z"),
        )
        availability = (R.Recipient, R.Availability)
        self.assertIsNone(self.one("ann", times).find(*availability))
        self.assertIsNotNone(self.one("ann@example.org", times).find(*availability))
        self.group("few", 20)
        self.group("many", 21)
        statuses = [self.one(name, times).find(*availability, R.Status) for name in ("few", "many")]
        self.assertEqual([one.value if one is not None else "" for one in statuses], ["163", "161"])

    def test_a_name_of_256_characters_is_taken(self) -> None:
        """R5873."""
        self.assertEqual(self.one("x" * 256).text(R.Status), "4")
        longer = self.room.post("ResolveRecipients", E(R.ResolveRecipients, E(R.To, "x" * 257)))
        self.assertEqual(longer.text(R.Status), "5")


class ProvisionTests(SynchronousTestCase):
    def test_the_sequence_of_downloading_a_policy(self) -> None:
        """R4990, R4992, R5026 (type, status, key and data), R5028 (type, status and key)."""
        for version in VERSIONS:
            room = Room()
            first = policy_of(room.post("Provision", offer(version), version))
            self.assertEqual(
                [one.tag for one in first.children], [PV.PolicyType, PV.Status, PV.PolicyKey, PV.Data]
            )
            self.assertEqual((first.text(PV.PolicyType), first.text(PV.Status)), (POLICY_TYPE, "1"))
            settings = first.find(PV.Data, PV.EASProvisionDoc)
            assert settings is not None
            self.assertTrue(settings.children)
            key = int(first.text(PV.PolicyKey) or 0)
            answer = room.post("Provision", acknowledge(key), version)
            second = policy_of(answer)
            self.assertEqual([one.tag for one in second.children], [PV.PolicyType, PV.Status, PV.PolicyKey])
            self.assertEqual(second.text(PV.Status), "1")
            self.assertNotIn(key_of(answer), (0, key))

    def test_without_a_policy_type_it_is_2(self) -> None:
        """R4989."""
        root = E(PV.Provision, E(PV.Policies, E(PV.Policy)))
        self.assertEqual(Room().post("Provision", root).text(PV.Status), "2")
