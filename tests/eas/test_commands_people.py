"""Settings, the directory in three commands, and Provision's statuses (MS-ASCMD 2.2.1 and 2.2.2)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.policy import Policy
from posthouse.eas.services import EasSettings
from posthouse.wbxml.tags import GAL, AirSync, AirSyncBase
from posthouse.wbxml.tags import Find as FI
from posthouse.wbxml.tags import FolderHierarchy as F
from posthouse.wbxml.tags import Provision as P
from posthouse.wbxml.tags import ResolveRecipients as R
from posthouse.wbxml.tags import Search as S
from posthouse.wbxml.tags import Settings as T
from posthouse.wbxml.tree import E, Element
from tests.eas.finding import JPEG, FindingRoom
from tests.eas.handset import Handset, deep, options, plain_room
from tests.eas.provisioning import acknowledge, key_of, offer
from tests.eas.room import VERSIONS, Response, Room
from tests.eas.test_commands_sync import SIGNED

START, END = E(R.StartTime, "2026-01-05T08:00:00.000Z"), E(R.EndTime, "2026-01-05T18:00:00.000Z")
OOF_GET = E(T.Oof, E(T.Get, E(T.BodyType, "Text")))
USER = E(T.UserInformation, E(T.Get))
MODEL = E(T.DeviceInformation, E(T.Set, E(T.Model, "m")))
PASSWORD = E(T.DevicePassword, E(T.Set, E(T.Password, "p")))


class SettingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = plain_room()

    def post(self, *asked: Element, version: str = "14.1") -> Response:
        return self.room.post("Settings", E(T.Settings, list(asked)), version)

    def test_properties_are_answered_in_the_order_of_the_request(self) -> None:
        """R469, R480, R481, R5713: a status for the command, then one for each."""
        for asked in (
            (OOF_GET, MODEL, PASSWORD, USER),
            (USER, PASSWORD, MODEL, OOF_GET),
            (USER, OOF_GET),
        ):
            for version in VERSIONS:
                answer = self.post(*asked, version=version)
                assert answer.root is not None
                status, *properties = answer.root.children
                self.assertEqual((status.tag, status.value), (T.Status, "1"))
                self.assertEqual([one.tag for one in properties], [one.tag for one in asked])
                self.assertTrue(all(one.text(T.Status) for one in properties))

    def test_an_error_of_one_property_is_its_own(self) -> None:
        """R484."""
        half = E(T.Oof, E(T.Set, E(T.OofState, 2), E(T.EndTime, "2026-12-01T00:00:00.000Z")))
        answer = self.post(half, USER)
        self.assertEqual(answer.text(T.Status), "1")
        self.assertEqual(answer.text(T.Oof, T.Status), "2")
        self.assertEqual(answer.text(T.UserInformation, T.Status), "1")

    def test_a_protocol_error_is_of_the_whole_and_nothing_is_done(self) -> None:
        """R483: also what stood before it in the request."""
        away = E(T.Oof, E(T.Set, E(T.OofState, 1)))
        for bad in (
            (E(T.DevicePassword, E(T.Set)),),
            (USER, USER),
        ):
            answer = self.post(away, *bad)
            assert answer.root is not None
            self.assertEqual([(one.tag, one.value) for one in answer.root.children], [(T.Status, "2")])
        self.assertEqual(deep(self.post(OOF_GET).root, T.Oof, T.Get, T.OofState), "0")

    def test_a_message_has_a_body_type_and_none_without(self) -> None:
        """R826, R1106, R5677."""
        message = E(
            T.OofMessage,
            E(T.AppliesToInternal),
            E(T.Enabled, 1),
            E(T.ReplyMessage, "Away"),
            E(T.BodyType, "Text"),
        )
        self.post(E(T.Oof, E(T.Set, E(T.OofState, 1), message)))
        found = self.post(OOF_GET).root
        get = found.find(T.Oof, T.Get) if found else None
        assert get is not None
        shown = [
            (one.children[0].tag, one.text(T.ReplyMessage), one.text(T.BodyType))
            for one in get.findall(T.OofMessage)
        ]
        self.assertEqual(shown[0], (T.AppliesToInternal, "Away", "Text"))
        self.assertEqual([one[1:] for one in shown[1:]], [(None, None)] * 2)

    def test_accounts_from_14_1(self) -> None:
        """R733."""
        for version in VERSIONS:
            root = self.post(USER, version=version).root
            get = root.find(T.UserInformation, T.Get) if root else None
            assert get is not None
            accounts = get.find(T.Accounts)
            self.assertEqual(accounts is not None, version >= "14.1", version)
            if accounts is not None:
                self.assertEqual(len(accounts.children), 1)


class DirectoryTests(SynchronousTestCase):
    """Elements of the directory: told of people, and of nothing else."""

    FIELDS = {
        GAL.DisplayName: "Barry Johnson",
        GAL.Phone: "+1",
        GAL.Office: "7",
        GAL.Title: "Captain",
        GAL.Company: "Lantern",
        GAL.Alias: "bj",
        GAL.FirstName: "Barry",
        GAL.LastName: "Johnson",
        GAL.HomePhone: "+3",
        GAL.MobilePhone: "+2",
        GAL.EmailAddress: "bob@example.org",
    }

    def setUp(self) -> None:
        self.room = FindingRoom()
        self.room.person(
            "bob@example.org",
            name="Barry Johnson",
            first_name="Barry",
            last_name="Johnson",
            alias="bj",
            title="Captain",
            company="Lantern",
            office="7",
            phone="+1",
            mobile="+2",
            home_phone="+3",
        )
        self.room.mail("Barry", "Barry Johnson of Lantern")

    def search(self, store: str, query: object, version: str = "14.1") -> Element:
        request = E(S.Search, E(S.Store, E(S.Name, store), E(S.Query, query)))
        root = self.room.post("Search", request, version).root
        assert root is not None
        return root

    def find(self, criterion: str, query: Element, version: str) -> Element:
        request = E(FI.Find, E(FI.SearchId, "1"), E(FI.ExecuteSearch, E(criterion, query)))
        root = self.room.post("Find", request, version).root
        assert root is not None
        return root

    def shown(self, root: Element) -> dict[str, str]:
        return {one.tag: one.value for one in root.iter() if one.tag.startswith("GAL:")}

    def test_search_tells_them_of_the_directory_alone(self) -> None:
        """R5286, R5287, R5293, R5300, R5316, R5323, R5330, R5337, R1322."""
        for version in VERSIONS:
            self.assertEqual(self.shown(self.search("GAL", "barry", version)), self.FIELDS)
            words = E(S.And, E(AirSync.Class, "Email"), E(S.FreeText, "barry"))
            mail = self.search("Mailbox", words, version)
            self.assertEqual(self.shown(mail), {})
            classes = [one.value for one in mail.iter() if one.tag == AirSync.Class]
            self.assertEqual(classes, ["Email"])

    def test_find_tells_them_of_the_directory_alone(self) -> None:
        """R61641061, R61641062, R63510605, R65590806; R132000: by the beginnings of words."""
        for version in VERSIONS:
            people = self.find(FI.GALSearchCriterion, E(FI.Query, "barry"), version)
            self.assertEqual(self.shown(people), self.FIELDS)
            for query, found in (("JOHN", True), ("barry j", True), ("arry", False), ("ohnson", False)):
                people = self.find(FI.GALSearchCriterion, E(FI.Query, query), version)
                self.assertEqual(people.find(FI.Response, FI.Result) is not None, found, query)
            words = E(FI.Query, E(AirSync.Class, "Email"), E(FI.FreeText, "barry"))
            mail = self.find(FI.MailBoxSearchCriterion, words, version)
            self.assertIsNotNone(mail.find(FI.Response, FI.Result))
            self.assertEqual(self.shown(mail), {})

    def test_statuses_of_pictures(self) -> None:
        """R4970, R4972, R4974: 173, 174, 175; R3287: 173 also when there are enough of them already."""
        self.room.person("ann@example.org", name="Kim Ash", photo=JPEG)
        self.room.person("cyd@example.org", name="Kim Birch", photo=JPEG * 9)
        self.room.person("dan@example.org", name="Kim Cedar")
        self.room.person("eve@example.org", name="Kim Dove", photo=JPEG)
        self.room.person("fay@example.org", name="Kim Elm")
        expected = ["1", "174", "173", "175", "173"]
        for version in ("14.1", "16.0", "16.1"):
            size, most = len(JPEG), 1
            wish = E(S.Options, E(S.Picture, E(S.MaxSize, size), E(S.MaxPictures, most)))
            request = E(S.Search, E(S.Store, E(S.Name, "GAL"), E(S.Query, "kim"), wish))
            found = self.room.post("Search", request, version).root
            assert found is not None
            self.assertEqual(
                [one.text(GAL.Status) for one in found.iter() if one.tag == GAL.Picture], expected
            )
            limits = E(R.Picture, E(R.MaxSize, size), E(R.MaxPictures, most))
            request = E(R.ResolveRecipients, E(R.To, "kim"), E(R.Options, limits))
            found = self.room.post("ResolveRecipients", request, version).root
            assert found is not None
            self.assertEqual([one.text(R.Status) for one in found.iter() if one.tag == R.Picture], expected)

    def test_availability_always_has_a_status(self) -> None:
        """R3338: 163 as long as there is no calendar to read (R4298)."""
        for version in VERSIONS:
            request = E(R.ResolveRecipients, E(R.To, "bob"), E(R.Options, E(R.Availability, START, END)))
            root = self.room.post("ResolveRecipients", request, version).root
            found = root.find(R.Response, R.Recipient, R.Availability) if root else None
            told = [(one.tag, one.value) for one in found.children] if found is not None else []
            self.assertEqual(told, [(R.Status, "163")] if version > "13" else [], version)


class SealedMailTests(SynchronousTestCase):
    def test_a_signed_message_is_found_whole(self) -> None:
        """R3383, R3384, R3387, R3388."""
        room = FindingRoom()
        room.deliver(SIGNED)
        room.index()
        for support in (1, 2):
            for version in VERSIONS:
                mime = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 4))
                wish = E(S.Options, E(AirSync.MIMESupport, support), mime)
                query = E(S.Query, E(S.And, E(AirSync.Class, "Email"), E(S.FreeText, "sealed")))
                root = room.post(
                    "Search", E(S.Search, E(S.Store, E(S.Name, "Mailbox"), query, wish)), version
                ).root
                body = (
                    root.find(S.Response, S.Store, S.Result, S.Properties, AirSyncBase.Body) if root else None
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
                self.assertEqual((body.text(AirSyncBase.Data) or "").encode(), SIGNED)


class CommonStatusTests(SynchronousTestCase):
    """Of 2.2.2, what the other tests do not come by."""

    def test_device_information_has_to_come_with_provision(self) -> None:
        """R4954: 165 from 14.1 on, when it is not known yet."""
        bare = E(P.Provision, E(P.Policies, E(P.Policy, E(P.PolicyType, "MS-EAS-Provisioning-WBXML"))))
        for version in VERSIONS:
            answer = Room().post("Provision", bare, version)
            self.assertEqual(answer.text(P.Status), "165" if version >= "14.1" else "1", version)

    def test_a_device_that_somebody_else_manages(self) -> None:
        """R4917: 145, HTTP 403 below 14.0."""
        for version in VERSIONS:
            room = Room(EasSettings(policy=Policy(allow_external=False)))
            key = key_of(room.post("Provision", offer(version), version))
            answer = room.post("Provision", acknowledge(key, 4), version)
            said = (answer.code, answer.text(P.Status))
            self.assertEqual(said, (200, "145") if version > "13" else (403, ""), version)

    def test_a_wrong_policy_key(self) -> None:
        """R4912: 144, HTTP 449 below 14.0."""
        for version in VERSIONS:
            room = Room()
            room.policy_key = room.provision(version) ^ 1
            answer = room.post("FolderSync", E(F.FolderSync, E(F.SyncKey, "0")), version)
            said = (answer.code, answer.text(F.Status))
            self.assertEqual(said, (200, "144") if version > "13" else (449, ""), version)

    def test_a_body_part_of_another_type(self) -> None:
        """R5412: 164 of the whole Sync."""
        part = options(E(AirSyncBase.BodyPartPreference, E(AirSyncBase.Type, 3)))
        for version in ("14.1", "16.0", "16.1"):
            phone = Handset(plain_room(), version=version)
            phone.ask()
            self.assertEqual(phone.ask(part), "164")
            assert phone.answer is not None
            self.assertEqual(phone.answer.text(AirSync.Status), "164")
