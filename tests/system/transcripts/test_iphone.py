"""An iPhone from its first request through a day."""

from __future__ import annotations

from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2, Find, Search
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tags import Settings as S
from posthouse.wbxml.tree import E, Element
from tests.system.test_story import until
from tests.system.transcripts.client import (
    DELETED,
    DRAFTS,
    INBOX,
    SENT,
    Client,
    TranscriptCase,
    body_preference,
    read_mark,
)

INFORMATION = (
    E(S.Model, "iPhone15C2"),
    E(S.FriendlyName, "Black iPhone"),
    E(S.OS, "iOS 18.4.1 22E252"),
    E(S.OSLanguage, "en"),
)


class IPhone(Client):
    """Plain query with Cmd at the end; offers br, too; the policy key stands on everything, OPTIONS included."""

    head = (
        ("Host", "{host}"),
        ("X-MS-PolicyKey", "{key}"),
        ("Content-Type", "{kind}"),
        ("Accept", "*/*"),
        ("MS-ASProtocolVersion", "{version}"),
        ("Authorization", "Basic {basic}"),
        ("Accept-Language", "en-us"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("User-Agent", "{agent}"),
        ("Connection", "keep-alive"),
    )
    form = "User={user}&DeviceId={device}&DeviceType={type}&Cmd={command}"


class IPhoneTests(TranscriptCase):
    kind = IPhone

    def phone(self, version: str, agent: str) -> Client:
        return self.client(
            version,
            device_id="5G8ANNCTAT2SJ7KPEAQ5VBJEU0",
            device_type="iPhone",
            user_agent=agent,
            encoded=False,
        )

    def test_ios_6_at_12_1(self) -> None:
        self.the_whole_day("12.1", "Apple-iPhone4C1/903.176")

    def test_ios_11_at_14_0(self) -> None:
        self.the_whole_day("14.0", "Apple-iPhone8C4/1504.100")

    def test_ios_12_at_14_1(self) -> None:
        self.the_whole_day("14.1", "Apple-iPhone9C1/1607.65")

    def test_ios_9_at_16_0(self) -> None:
        self.the_whole_day("16.0", "Apple-iPhone7C2/1307.36")

    def test_ios_18_at_16_1(self) -> None:
        self.the_whole_day("16.1", "Apple-iPhone15C2/2205.252")

    def the_whole_day(self, version: str, agent: str) -> None:
        for number in range(30):
            self.mail(f"Before {number}")
        phone = self.phone(version, agent)
        self.set_up_account(phone)
        self.first_fill(phone)
        self.steady(phone)
        self.answers(phone)
        self.finds(phone)
        if phone.numbers >= (16, 0):
            self.drafts(phone)
        self.tidies(phone)
        self.sync(phone, *phone.mirror)
        self.assertEqualToStore(phone)

    # -- setting up

    def set_up_account(self, phone: Client) -> None:
        # Without a password first, as a probe: 401 and Basic, never anything else.
        probe = phone.request("", method="OPTIONS", credentials=False)
        self.assertEqual(probe.status, 401)
        self.assertIn("Basic", probe.headers["www-authenticate"])
        self.discover(phone)
        options = phone.options()
        self.assertEqual(options.status, 200)
        self.assertIn(phone.version, options.headers["ms-asprotocolversions"].split(","))
        # The first command is Settings; whatever it is, Provision follows.
        phone.refused_until_provisioned("Settings", self.settings())
        phone.two_phases(*INFORMATION, E(S.UserAgent, phone.user_agent))
        told = phone.command("Settings", self.settings())
        self.assertEqual(told.text(S.Status), "1")
        self.assertEqual(told.text(S.DeviceInformation, S.Status), "1")
        self.assertEqual(told.text(S.UserInformation, S.Status), "1")
        assert told.root is not None
        addresses = [
            one.value for one in told.root.iter() if one.tag in (S.SMTPAddress, S.PrimarySmtpAddress)
        ]
        # Without a full address the account can receive, but cannot send.
        self.assertIn(self.address, addresses)
        self.assertEqual(
            S.PrimarySmtpAddress in {one.tag for one in told.root.iter()}, phone.numbers >= (14, 1)
        )
        phone.folder_sync("0")
        self.assertFolders(phone)

    def settings(self) -> Element:
        return E(
            S.Settings,
            E(S.UserInformation, E(S.Get)),
            E(S.DeviceInformation, E(S.Set, INFORMATION)),
        )

    def discover(self, phone: Client) -> None:
        request = (
            '<?xml version="1.0" encoding="utf-8"?>\n<Autodiscover xmlns="http://schemas.microsoft.com/exchange/'
            'autodiscover/mobilesync/requestschema/2006">\n<Request>\n<EMailAddress>'
            f"{self.address}</EMailAddress>\n<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/"
            "autodiscover/mobilesync/responseschema/2006</AcceptableResponseSchema>\n</Request>\n</Autodiscover>"
        ).encode()
        for path in ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"):
            answer = phone.raw("POST", path, request, "text/xml")
            self.assertEqual(answer.status, 200)
            self.assertIn(b"/Microsoft-Server-ActiveSync</Url>", answer.body)

    # -- synchronising

    def collection(self, phone: Client, number: str, commands: list[Element] | None = None) -> Element:
        options = E(
            AirSync.Options,
            E(AirSync.FilterType, "5"),
            E(AirSync.MIMESupport, "1"),
            body_preference(1, 500),
            body_preference(4, 500) if phone.numbers >= (14, 0) else None,
        )
        return E(
            AirSync.Collection,
            phone.class_of(),
            phone.key(number),
            E(AirSync.CollectionId, number),
            E(AirSync.DeletesAsMoves, "1"),
            E(AirSync.GetChanges),
            E(AirSync.WindowSize, "25"),
            options,
            E(AirSync.Commands, commands) if commands else None,
        )

    def sync(self, phone: Client, *numbers: str, commands: dict[str, list[Element]] | None = None) -> None:
        """Rounds until nothing more is said."""
        left = commands or {}
        for _ in range(20):
            found = phone.tell(
                E(
                    AirSync.Sync,
                    E(AirSync.Collections, [self.collection(phone, one, left.get(one)) for one in numbers]),
                )
            )
            left = {}
            self.assertTrue(all(one.status == 1 for one in found.values()), found)
            if not any(one.more for one in found.values()):
                return
        raise AssertionError("MoreAvailable without end")

    def first_fill(self, phone: Client) -> None:
        mine = [phone.folder(kind) for kind in (INBOX, DRAFTS, DELETED, SENT)]
        phone.begin(*mine)
        # iOS may begin the same folder twice, before it used the first key.
        phone.begin(phone.folder(INBOX))
        self.sync(phone, *mine)
        inbox = phone.mirror[phone.folder(INBOX)]
        self.assertEqual(len(inbox), 30)
        self.assertTrue(all(Email.DateReceived in fields for fields in inbox.values()))
        self.assertEqualToStore(phone)

    def steady(self, phone: Client) -> None:
        inbox, trash = phone.folder(INBOX), phone.folder(DELETED)
        # Folders that were never synchronised are watched, too.
        never = next(n for n, one in phone.folders.items() if n not in phone.keys and one.type != 19)
        ping = phone.wait_for([inbox, trash, never])
        self.assertTrue(ping.running)
        self.mail("News", raw=self.with_a_file("News", b"%PDF-1.4 plan" * 50))
        self.assertEqual(ping.result(20), ("2", [inbox]))
        self.sync(phone, inbox)
        item = phone.item(inbox, "News")

        # Opened: the whole of it, and its file.
        whole = phone.fetch(inbox, item, E(AirSync.MIMESupport, "1"), body_preference(2))
        body = whole.find(AirSyncBase.Body)
        assert body is not None
        self.assertIn("See the file.", body.text(AirSyncBase.Data) or "")
        attachments = whole.find(AirSyncBase.Attachments)
        assert attachments is not None
        reference = attachments.children[0].text(AirSyncBase.FileReference) or ""
        self.assertEqual(phone.fetch_file(reference), (b"%PDF-1.4 plan" * 50, None))
        part, total = phone.fetch_file(reference, (0, 7))
        self.assertEqual((part, total), (b"%PDF-1.4", 650))
        if phone.numbers >= (14, 0):
            mime = phone.fetch(inbox, item, E(AirSync.MIMESupport, "2"), body_preference(4))
            self.assertIn("plan.pdf", mime.find(AirSyncBase.Body).text(AirSyncBase.Data) or "")  # type: ignore[union-attr]

        # Read and flagged here: no news to this phone, neither in Sync nor in Ping.
        ping = phone.wait_for([inbox, trash])
        phone.mirror[inbox][item][Email.Read] = E(Email.Read, "1")
        flag = E(
            AirSync.Change,
            E(AirSync.ServerId, item),
            E(
                AirSync.ApplicationData,
                E(Email.Flag, E(Email.Status, "2"), E(Email.FlagType, "for Follow Up")),
            ),
        )
        before = phone.keys[inbox]
        found = phone.tell(
            E(AirSync.Sync, E(AirSync.Collections, self.collection(phone, inbox, [read_mark(item), flag])))
        )
        self.assertEqual((found[inbox].changed, found[inbox].added, found[inbox].responses), ([], [], []))
        self.assertTrue(ping.running, "its own change woke it")

        # A second Ping takes the place of the first, which is answered.
        again = phone.wait_for([inbox, trash])
        self.assertEqual(ping.result(10)[0], "1")

        # The answer was lost: the same request comes again with the older key, and nothing happens twice.
        phone.keys[inbox] = before
        self.mail("Meanwhile")
        self.assertEqual(again.result(20), ("2", [inbox]))
        self.sync(phone, inbox, commands={inbox: [read_mark(item), flag]})
        self.assertEqualToStore(phone)

    def answers(self, phone: Client) -> None:
        inbox, sent = phone.folder(INBOX), phone.folder(SENT)
        item = phone.item(inbox, "News")
        marks = f"{phone.version} {self.serial}"
        reply, forward, fresh = f"Re: News {marks}", f"Fwd: News {marks}", f"Fresh {marks}"
        if phone.numbers < (14, 0):
            phone.compose_raw("SmartReply", self.letter(reply), (inbox, item))
            phone.compose_raw("SmartForward", self.letter(forward), (inbox, item))
            phone.compose_raw("SendMail", self.letter(fresh))
        else:
            for _ in range(2):
                status = phone.compose("SmartReply", "A1", self.letter(reply), (inbox, item), replace=True)
                self.assertIn(status, (0, 118))
            self.assertEqual(status, 118)
            self.assertEqual(phone.compose("SmartForward", "A2", self.letter(forward), (inbox, item)), 0)
            self.assertEqual(phone.compose("SendMail", "A3", self.letter(fresh)), 0)
            self.assertEqual(phone.compose("SendMail", "A3", self.letter(fresh)), 118)
        arrived = self.subjects(INBOX, self.friend)
        kept = self.subjects(SENT)
        for subject in (reply, forward, fresh):
            self.assertEqual((arrived.count(subject), kept.count(subject)), (1, 1), subject)
        self.sync(phone, inbox, sent)
        if phone.numbers >= (14, 0):
            # The mark is news to the phone that caused it.
            self.assertIn(phone.mirror[inbox][item][Email2.LastVerbExecuted].value, ("1", "3"))
        # The file went along, though the phone never had it.
        copy = phone.item(sent, forward)
        attachments = phone.mirror[sent][copy].get(AirSyncBase.Attachments)
        assert attachments is not None
        self.assertEqual(attachments.children[0].text(AirSyncBase.DisplayName), "plan.pdf")

    def finds(self, phone: Client) -> None:
        inbox = phone.folder(INBOX)
        query = E(
            Find.Query,
            E(AirSync.Class, "Email"),
            E(AirSync.CollectionId, inbox),
            E(Find.FreeText, 'to:"News" OR cc:"News" OR from:"News" OR subject:"News" OR "News"'),
        )
        options = E(Find.Options, E(Find.Range, "0-99"), E(Find.DeepTraversal))
        request = E(
            Find.Find,
            E(Find.SearchId, "42DC7336-419F-4F68-BEBC-99582BF69899"),
            E(Find.ExecuteSearch, E(Find.MailBoxSearchCriterion, query, options)),
        )
        found: list[str | None] = []

        def look() -> bool:
            # The words of a new message are found a moment after it arrived.
            nonlocal found
            answer = phone.command("Find", request)
            self.assertEqual((answer.text(Find.Status), answer.text(Find.Response, Find.Status)), ("1", "1"))
            assert answer.root is not None
            listed = answer.root.find(Find.Response)
            assert listed is not None
            found = [one.text(AirSync.ServerId) for one in listed.findall(Find.Result)]
            return bool(found)

        until(20, look)
        self.assertEqual(found, [phone.item(inbox, "News")])
        self.assertIsNotNone(phone.fetch(inbox, found[0] or "", body_preference(2, 1000)))
        # The picker of recipients.
        people = E(
            Search.Search,
            E(
                Search.Store,
                E(Search.Name, "GAL"),
                E(Search.Query, self.friend[:3]),
                E(
                    Search.Options,
                    E(Search.Range, "0-99"),
                    E(Search.Picture) if phone.numbers >= (14, 1) else None,
                ),
            ),
        )
        answer = phone.command("Search", people)
        self.assertEqual(answer.text(Search.Response, Search.Store, Search.Status), "1")

    def drafts(self, phone: Client) -> None:
        drafts = phone.folder(DRAFTS)
        subject = f"Draft {phone.version} {self.serial}"
        content = E(
            AirSync.ApplicationData,
            E(Email.To, self.friend),
            E(Email.Cc),
            E(Email2.Bcc),
            E(Email.Subject, subject),
            E(Email.Importance, "1"),
            E(Email.Read, "1"),
            E(AirSyncBase.Body, E(AirSyncBase.Type, "2"), E(AirSyncBase.Data, "<p>half</p>")),
        )
        add = E(AirSync.Add, E(AirSync.ClientId, "D1"), content)
        before = phone.keys[drafts]
        for _ in range(2):
            # The first answer is lost: the same Add under the same key is the same draft.
            phone.keys[drafts] = before
            found = phone.tell(E(AirSync.Sync, E(AirSync.Collections, self.collection(phone, drafts, [add]))))
        (response,) = found[drafts].responses
        self.assertEqual(response.text(AirSync.Status), "1")
        self.assertEqual(self.subjects(DRAFTS).count(subject), 1)
        number = response.text(AirSync.ServerId) or ""
        fields = {child.tag: child for child in content.children}
        phone.mirror[drafts][number] = fields
        change = E(
            AirSync.Change,
            E(AirSync.ServerId, number),
            E(
                AirSync.ApplicationData,
                E(AirSyncBase.Body, E(AirSyncBase.Type, "2"), E(AirSyncBase.Data, "<p>whole</p>")),
            ),
        )
        self.sync(phone, drafts, commands={drafts: [change]})
        send = E(AirSync.Change, E(AirSync.ServerId, number), E(Email2.Send))
        self.sync(phone, drafts, commands={drafts: [send]})
        self.sync(phone, drafts, phone.folder(SENT))
        self.assertNotIn(number, phone.mirror[drafts])
        self.assertEqual(self.subjects(INBOX, self.friend).count(subject), 1)
        self.assertEqual(self.subjects(SENT).count(subject), 1)

    def tidies(self, phone: Client) -> None:
        inbox, trash = phone.folder(INBOX), phone.folder(DELETED)
        self.assertEqual(phone.folder_create("Later").root.children[0].value, "1")  # type: ignore[union-attr]
        later = next(one.id for one in phone.folders.values() if one.name == "Later")
        phone.begin(later)
        chosen = [phone.item(inbox, "Before 1"), phone.item(inbox, "Before 2")]
        moved = phone.move_items(*((one, inbox, later) for one in chosen))
        self.assertEqual([status for status, _ in moved], ["3", "3"])
        # The answer was lost, and the request comes again: the sources are gone, and nothing is doubled.
        self.assertEqual(
            [status for status, _ in phone.move_items(*((one, inbox, later) for one in chosen))], ["1", "1"]
        )
        self.sync(phone, inbox, later)
        self.assertEqual(sorted(phone.subjects(later)), ["Before 1", "Before 2"])
        self.assertFalse(set(chosen) & set(phone.mirror[inbox]))
        # Deleted: it is in the trash, and that is news to this phone.
        gone = phone.item(inbox, "Before 3")
        del phone.mirror[inbox][gone]
        ping = phone.wait_for([trash])
        self.sync(phone, inbox, commands={inbox: [E(AirSync.Delete, E(AirSync.ServerId, gone))]})
        self.assertEqual(ping.result(20), ("2", [trash]))
        self.sync(phone, trash)
        self.assertIn("Before 3", phone.subjects(trash))
        # Emptied.
        answer = phone.command(
            "ItemOperations",
            E(
                IO.ItemOperations,
                E(
                    IO.EmptyFolderContents,
                    E(AirSync.CollectionId, trash),
                    E(IO.Options, E(IO.DeleteSubFolders)),
                ),
            ),
        )
        self.assertEqual(answer.text(IO.Response, IO.EmptyFolderContents, IO.Status), "1")
        self.sync(phone, trash)
        self.assertEqual(phone.mirror[trash], {})
        # FolderSync from the beginning loses nothing: keys and mirrors of the folders stay good.
        phone.folder_sync("0")
        self.assertFolders(phone)
        self.mail("After")
        self.sync(phone, inbox)
        self.assertIn("After", phone.subjects(inbox))
