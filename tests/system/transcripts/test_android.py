"""Android's own client and Gmail, and Samsung's: small windows, HTML, the forms of 12.1, drafts at 16.x."""

from __future__ import annotations

from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, Email2, Search, Tasks
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
    folder_sync_0,
    read_mark,
)


class Android(Client):
    """No Accept; gzip; before it knows the version it says none."""

    head = (
        ("MS-ASProtocolVersion", "{version}"),
        ("Connection", "keep-alive"),
        ("User-Agent", "{agent}"),
        ("X-MS-PolicyKey", "{key}"),
        ("Content-Type", "{kind}"),
        ("Authorization", "Basic {basic}"),
        ("Host", "{host}"),
        ("Accept-Encoding", "gzip"),
    )
    form = "Cmd={command}&User={user}&DeviceId={device}&DeviceType={type}"


class AndroidCase(TranscriptCase):
    kind = Android

    def information(self, phone: Client) -> tuple[Element, ...]:
        return (
            E(S.Model, "Pixel 8"),
            E(S.FriendlyName, "Pixel 8"),
            E(S.OS, "Android 14"),
            E(S.UserAgent, phone.user_agent),
        )

    def set_up_account(self, phone: Client) -> None:
        # The validation has a device of its own.
        probe = self.client(phone.version, device_id="validateAndroid1", device_type="Android")
        options = probe.options()
        self.assertEqual(options.status, 200)
        # It takes the last version that it knows of a list without blanks.
        listed = options.headers["ms-asprotocolversions"]
        self.assertNotIn(" ", listed)
        self.assertIn(phone.version, listed.split(","))
        self.assertIn("Provision", options.headers["ms-asprotocolcommands"].split(","))
        probe.refused_until_provisioned("FolderSync", folder_sync_0())
        phone.refused_until_provisioned("FolderSync", folder_sync_0())
        phone.two_phases(*self.information(phone))
        if phone.numbers < (14, 1):
            told = phone.command(
                "Settings",
                E(S.Settings, E(S.DeviceInformation, E(S.Set, self.information(phone)))),
            )
            self.assertEqual(told.text(S.DeviceInformation, S.Status), "1")
        phone.folder_sync("0")
        self.assertFolders(phone)

    def collection(
        self, phone: Client, number: str, commands: list[Element] | None = None, changes: str = ""
    ) -> Element:
        return E(
            AirSync.Collection,
            phone.class_of(),
            phone.key(number),
            E(AirSync.CollectionId, number),
            E(AirSync.DeletesAsMoves),
            E(AirSync.GetChanges, changes or None),
            E(AirSync.WindowSize, "10"),
            E(AirSync.Options, E(AirSync.FilterType, "3"), body_preference(2, 200_000)),
            E(AirSync.Commands, commands) if commands else None,
        )

    def sync(self, phone: Client, number: str, commands: list[Element] | None = None) -> None:
        """One folder at a time, until there is no more; MoreAvailable without an item would be an error."""
        for _ in range(20):
            found = phone.tell(
                E(AirSync.Sync, E(AirSync.Collections, self.collection(phone, number, commands)))
            )
            commands = None
            if number not in found:
                return
            one = found[number]
            self.assertEqual(one.status, 1)
            if not one.more:
                return
            self.assertTrue(one.added or one.changed or one.deleted or one.soft_deleted)
        raise AssertionError("MoreAvailable without end")

    def fill(self, phone: Client) -> None:
        for kind in (INBOX, DRAFTS, SENT, DELETED):
            number = phone.folder(kind)
            phone.begin(number)
            self.sync(phone, number)
        self.assertEqualToStore(phone)


class AndroidTests(AndroidCase):
    def phone(self, version: str, agent: str) -> Client:
        return self.client(version, device_id="androidc259148960", device_type="Android", user_agent=agent)

    def test_aosp_at_12_1(self) -> None:
        self.a_day("12.1", "Android/6.0.1-EAS-2.0")

    def test_aosp_at_14_0(self) -> None:
        self.a_day("14.0", "Android/7.1.2-EAS-2.0")

    def test_aosp_at_14_1(self) -> None:
        self.a_day("14.1", "Android/9-EAS-2.0")

    def test_gmail_at_16_0(self) -> None:
        self.a_day("16.0", "Android-Mail/2019.5.26.252424914.release")

    def test_gmail_at_16_1(self) -> None:
        self.a_day("16.1", "Android-Mail/2026.02.15.0000000.Release")

    def a_day(self, version: str, agent: str) -> None:
        for number in range(23):
            self.mail(f"Before {number}")
        phone = self.phone(version, agent)
        self.set_up_account(phone)
        self.fill(phone)
        self.wakes(phone)
        self.answers(phone)
        self.searches(phone)
        self.begins_again(phone)
        for folder in list(phone.mirror):
            self.sync(phone, folder)
        self.assertEqualToStore(phone)

    def wakes(self, phone: Client) -> None:
        inbox = phone.folder(INBOX)
        ping = phone.wait_for([inbox, phone.folder(SENT)], 480)
        twin = phone.wait_for([inbox, phone.folder(SENT)], 480)
        # Two Pings at once: one of them is answered, properly, with a body.
        self.assertEqual(ping.result(10)[0], "1")
        self.mail("News", raw=self.with_a_file("News", b"plan" * 1000))
        self.assertEqual(twin.result(20), ("2", [inbox]))
        self.sync(phone, inbox)
        item = phone.item(inbox, "News")
        fields = phone.mirror[inbox][item]
        self.assertIn("See the file.", fields[AirSyncBase.Body].text(AirSyncBase.Data) or "")
        # Importance is never left out: its absence would be read as low.
        self.assertEqual(fields[Email.Importance].value, "1")
        reference = fields[AirSyncBase.Attachments].children[0].text(AirSyncBase.FileReference) or ""
        if phone.numbers < (14, 0):
            answer = phone.request("GetAttachment", parameters={"AttachmentName": reference})
            self.assertEqual((answer.status, answer.body), (200, b"plan" * 1000))
        else:
            self.assertEqual(phone.fetch_file(reference), (b"plan" * 1000, None))
        # What changed here goes up by itself, without asking for changes.
        phone.mirror[inbox][item][Email.Read] = E(Email.Read, "1")
        flag = E(
            Email.Flag,
            E(Email.Status, "2"),
            E(Email.FlagType, "FollowUp"),
            E(Tasks.StartDate, "2026-11-01T00:00:00.000Z"),
            E(Tasks.UtcStartDate, "2026-11-01T00:00:00.000Z"),
            E(Tasks.DueDate, "2026-11-08T00:00:00.000Z"),
            E(Tasks.UtcDueDate, "2026-11-08T00:00:00.000Z"),
        )
        change = E(
            AirSync.Change,
            E(AirSync.ServerId, item),
            E(AirSync.ApplicationData, E(Email.Read, "1"), flag),
        )
        self.mail("Not yet")
        found = phone.tell(
            E(AirSync.Sync, E(AirSync.Collections, self.collection(phone, inbox, [change], "0")))
        )
        self.assertEqual((found[inbox].added, found[inbox].responses), ([], []))
        self.sync(phone, inbox)
        self.assertIn("Not yet", phone.subjects(inbox))
        self.assertEqualToStore(phone)
        # The flag is taken away by an empty element.
        clear = E(AirSync.Change, E(AirSync.ServerId, item), E(AirSync.ApplicationData, E(Email.Flag)))
        self.sync(phone, inbox, [clear])
        # One message as it is, by Fetch inside Sync.
        if phone.numbers >= (12, 1):
            fetch = E(
                AirSync.Collection,
                phone.class_of(),
                phone.key(inbox),
                E(AirSync.CollectionId, inbox),
                E(AirSync.GetChanges, "0"),
                E(AirSync.Options, E(AirSync.MIMESupport, "2"), body_preference(4)),
                E(AirSync.Commands, E(AirSync.Fetch, E(AirSync.ServerId, item))),
            )
            found = phone.tell(E(AirSync.Sync, E(AirSync.Collections, fetch)))
            (response,) = found[inbox].responses
            self.assertEqual(response.text(AirSync.Status), "1")
            data = response.find(AirSync.ApplicationData, AirSyncBase.Body)
            assert data is not None
            self.assertIn("plan.pdf", data.text(AirSyncBase.Data) or "")

    def answers(self, phone: Client) -> None:
        inbox, sent = phone.folder(INBOX), phone.folder(SENT)
        item = phone.item(inbox, "News")
        marks = f"{phone.version} {self.serial}"
        subjects = [f"Re: News {marks}", f"Fwd: News {marks}", f"Fresh {marks}"]
        commands = ("SmartReply", "SmartForward", "SendMail")
        for number, (command, subject) in enumerate(zip(commands, subjects, strict=True)):
            source = (inbox, item) if command != "SendMail" else None
            if phone.numbers < (14, 0):
                phone.compose_raw(command, self.letter(subject), source)
            else:
                client_id = f"SendMail-{1_700_000_000_000 + number}"
                self.assertEqual(phone.compose(command, client_id, self.letter(subject), source), 0)
        arrived, kept = self.subjects(INBOX, self.friend), self.subjects(SENT)
        for subject in subjects:
            self.assertEqual((arrived.count(subject), kept.count(subject)), (1, 1), subject)
        self.sync(phone, sent)
        self.sync(phone, inbox)
        self.assertEqualToStore(phone)

    def searches(self, phone: Client) -> None:
        inbox = phone.folder(INBOX)
        criteria = E(
            Search.And,
            E(AirSync.Class, "Email"),
            E(AirSync.CollectionId, inbox),
            E(Search.FreeText, "News"),
        )
        options = E(
            Search.Options,
            E(Search.RebuildResults),
            E(Search.DeepTraversal),
            E(Search.Range, "0-9"),
            body_preference(2, 20_000),
        )
        request = E(
            Search.Search,
            E(Search.Store, E(Search.Name, "Mailbox"), E(Search.Query, criteria), options),
        )
        found: list[str | None] = []

        def look() -> bool:
            nonlocal found
            answer = phone.command("Search", request)
            self.assertEqual(answer.text(Search.Response, Search.Store, Search.Status), "1")
            assert answer.root is not None
            store = answer.root.find(Search.Response, Search.Store)
            assert store is not None
            results = [one for one in store.findall(Search.Result) if one.children]
            found = [one.find(Search.Properties).text(Email.Subject) for one in results]  # type: ignore[union-attr]
            if found:
                # Android needs both of them.
                self.assertEqual((store.text(Search.Range), store.text(Search.Total)), ("0-0", "1"))
                self.assertTrue(results[0].text(Search.LongId))
            return bool(found)

        until(20, look)
        self.assertEqual(found, ["News"])

    def begins_again(self, phone: Client) -> None:
        """After an update of the app: FolderSync 0, and every folder from the beginning; nothing is doubled."""
        phone.folder_sync("0")
        self.assertFolders(phone)
        before = {number: set(held) for number, held in phone.mirror.items()}
        for number in list(phone.mirror):
            phone.begin(number)
            self.sync(phone, number)
        self.assertEqual({number: set(held) for number, held in phone.mirror.items()}, before)


class SamsungTests(AndroidCase):
    """Several folders in one Sync, Options for SMS beside those for mail, drafts that are sent by ``Send``."""

    def test_at_14_1(self) -> None:
        self.a_day("14.1")

    def test_at_16_0(self) -> None:
        self.a_day("16.0")

    def test_at_16_1(self) -> None:
        self.a_day("16.1")

    def test_at_12_0(self) -> None:
        """The old ones: no drafts, no SMS."""
        for number in range(5):
            self.mail(f"Before {number}")
        phone = self.phone("12.0", "SAMSUNG-GT-I9000/100.20304")
        self.set_up_account(phone)
        self.fill(phone)
        self.mail("News")
        inbox = phone.folder(INBOX)
        self.sync(phone, inbox)
        # At 12.0 even an answer without news has a body.
        answer = phone.command("Sync", E(AirSync.Sync, E(AirSync.Collections, self.collection(phone, inbox))))
        self.assertIsNotNone(answer.root)
        self.assertEqualToStore(phone)

    def phone(self, version: str, agent: str = "SAMSUNG-SM-G991B/101.13") -> Client:
        phone = self.client(
            version, device_id="SEC1A2B3C4D5E6F7", device_type="SAMSUNGSMG991B", user_agent=agent
        )
        # Without a key it sends no header for it.
        without = tuple(one for one in Android.head if one[0] != "X-MS-PolicyKey")
        phone.head = without
        return phone

    def set_up_account(self, phone: Client) -> None:
        phone.refused_until_provisioned("FolderSync", folder_sync_0())
        phone.head = Android.head
        phone.two_phases(*self.information(phone))
        phone.folder_sync("0")
        self.assertFolders(phone)

    def together(
        self, phone: Client, *numbers: str, commands: dict[str, list[Element]] | None = None
    ) -> None:
        left = commands or {}
        for _ in range(20):
            collections = [
                E(
                    AirSync.Collection,
                    phone.key(number),
                    E(AirSync.CollectionId, number),
                    E(AirSync.DeletesAsMoves, "1"),
                    E(AirSync.GetChanges, "1"),
                    E(AirSync.WindowSize, "25"),
                    E(
                        AirSync.Options,
                        E(AirSync.Class, "Email"),
                        E(AirSync.FilterType, "4"),
                        E(AirSync.MIMESupport, "0"),
                        body_preference(2, 51_200),
                    ),
                    E(AirSync.Options, E(AirSync.Class, "SMS"), body_preference(1, 5_000))
                    if number == phone.folder(INBOX)
                    else None,
                    E(AirSync.Commands, left[number]) if left.get(number) else None,
                )
                for number in numbers
            ]
            found = phone.tell(
                E(AirSync.Sync, E(AirSync.Collections, collections), E(AirSync.WindowSize, "50"))
            )
            left = {}
            self.assertTrue(all(one.status == 1 for one in found.values()), found)
            self.answers_here = {number: one.responses for number, one in found.items()}
            if not any(one.more for one in found.values()):
                return
        raise AssertionError("MoreAvailable without end")

    def a_day(self, version: str) -> None:
        for number in range(30):
            self.mail(f"Before {number}")
        phone = self.phone(version)
        self.set_up_account(phone)
        mine = [phone.folder(kind) for kind in (INBOX, DRAFTS, SENT, DELETED)]
        phone.begin(*mine)
        self.together(phone, *mine)
        self.assertEqualToStore(phone)
        inbox = phone.folder(INBOX)
        item = phone.item(inbox, "Before 7")
        phone.mirror[inbox][item][Email.Read] = E(Email.Read, "1")
        self.together(phone, *mine, commands={inbox: [read_mark(item)]})
        if phone.numbers >= (16, 0):
            self.drafts(phone, mine)
        self.together(phone, *mine)
        self.assertEqualToStore(phone)

    def drafts(self, phone: Client, mine: list[str]) -> None:
        """``Send`` stands beside ApplicationData, behind it or before it."""
        drafts = phone.folder(DRAFTS)
        for number, behind in enumerate((True, False)):
            subject = f"Draft {phone.version} {self.serial} {number}"
            fields = (
                E(Email.To, f'"Bruno" <{self.friend}>'),
                E(Email.Cc, ""),
                E(Email.Subject, subject),
                E(Email.Importance, "1"),
                E(AirSyncBase.Body, E(AirSyncBase.Type, "2"), E(AirSyncBase.Data, "<p>text</p>")),
                E(
                    AirSyncBase.Attachments,
                    E(
                        AirSyncBase.Add,
                        E(AirSyncBase.ClientId, "file"),
                        E(AirSyncBase.Content, b"PNG" * 100),
                        E(AirSyncBase.ContentType, "image/png"),
                        E(AirSyncBase.DisplayName, "dot.png"),
                        E(AirSyncBase.Method, "1"),
                    ),
                ),
            )
            add = E(AirSync.Add, E(AirSync.ClientId, f"{number}"), E(AirSync.ApplicationData, fields))
            self.together(phone, *mine, commands={drafts: [add]})
            (response,) = self.answers_here[drafts]
            self.assertEqual(response.text(AirSync.Status), "1")
            item = response.text(AirSync.ServerId) or ""
            phone.mirror[drafts][item] = {child.tag: child for child in fields} | {
                Email.Read: E(Email.Read, "1")
            }
            self.assertEqual(self.subjects(DRAFTS).count(subject), 1)
            data = E(AirSync.ApplicationData, E(Email.To, self.friend), E(Email.Subject, subject))
            marks = (data, E(Email2.Send)) if behind else (E(Email2.Send), data)
            self.together(
                phone, *mine, commands={drafts: [E(AirSync.Change, E(AirSync.ServerId, item), marks)]}
            )
            self.together(phone, *mine)
            self.assertNotIn(item, phone.mirror[drafts])
            self.assertEqual(self.subjects(INBOX, self.friend).count(subject), 1)
            self.assertEqual(self.subjects(SENT).count(subject), 1)
        # Written and sent in one.
        subject = f"At once {phone.version} {self.serial}"
        data = E(
            AirSync.ApplicationData,
            E(Email.To, self.friend),
            E(Email.Subject, subject),
            E(AirSyncBase.Body, E(AirSyncBase.Type, "1"), E(AirSyncBase.Data, "now")),
        )
        self.together(
            phone, *mine, commands={drafts: [E(AirSync.Add, E(AirSync.ClientId, "9"), data, E(Email2.Send))]}
        )
        self.together(phone, *mine)
        self.assertEqual(self.subjects(INBOX, self.friend).count(subject), 1)
        self.assertEqual(self.subjects(DRAFTS).count(subject), 0)


class NineTests(AndroidCase):
    """The base64 query; HTML cut at 51,200 bytes, the rest loaded when it is wanted."""

    def test_at_14_1(self) -> None:
        self.a_day("14.1")

    def test_at_16_0(self) -> None:
        self.a_day("16.0")

    def test_at_16_1(self) -> None:
        self.a_day("16.1")

    def a_day(self, version: str) -> None:
        long = "x" * 120_000
        self.mail("Long", raw=(
            f"From: x@else.example\r\nTo: {self.address}\r\nSubject: Long\r\nMessage-ID: <long{self.serial}@e>\r\n"
            "Content-Type: text/html; charset=utf-8\r\n\r\n<p>" + "é" * 60 + "\r\n".join(
                long[at : at + 900] for at in range(0, len(long), 900)
            ) + "</p>\r\n"
        ).encode())  # fmt: skip
        phone = self.client(
            version,
            device_id=b"nine2f6ac0d1".hex(),
            device_type="Android",
            user_agent="Nine/4.9.4b",
            encoded=True,
        )
        # Version and key stand in the query alone.
        phone.head = tuple(
            one for one in Android.head if one[0] not in ("MS-ASProtocolVersion", "X-MS-PolicyKey")
        )
        phone.refused_until_provisioned("FolderSync", folder_sync_0())
        phone.two_phases(*self.information(phone))
        phone.folder_sync("0")
        self.assertFolders(phone)
        inbox = phone.folder(INBOX)
        phone.begin(inbox)
        collection = E(
            AirSync.Collection,
            phone.key(inbox),
            E(AirSync.CollectionId, inbox),
            E(AirSync.DeletesAsMoves, "1"),
            E(AirSync.GetChanges, "1"),
            E(AirSync.WindowSize, "20"),
            E(AirSync.Options, E(AirSync.FilterType, "0"), body_preference(2, 51_200)),
        )
        phone.tell(E(AirSync.Sync, E(AirSync.Collections, collection)))
        item = phone.item(inbox, "Long")
        body = phone.mirror[inbox][item][AirSyncBase.Body]
        data = (body.text(AirSyncBase.Data) or "").encode()
        self.assertEqual(body.text(AirSyncBase.Truncated), "1")
        self.assertLessEqual(len(data), 51_200)
        self.assertGreater(len(data), 51_190)
        self.assertGreater(int(body.text(AirSyncBase.EstimatedDataSize) or 0), 120_000)
        whole = phone.fetch(inbox, item, body_preference(2)).find(AirSyncBase.Body)
        assert whole is not None
        self.assertTrue((whole.text(AirSyncBase.Data) or "").rstrip().endswith("</p>"))
        self.assertNotEqual(whole.text(AirSyncBase.Truncated), "1")
        self.assertEqual(phone.compose("SendMail", "n1", self.letter(f"Nine {version} {self.serial}")), 0)
        self.assertEqual(self.subjects(SENT), [f"Nine {version} {self.serial}"])
        answer = phone.command(
            "ItemOperations",
            E(
                IO.ItemOperations,
                E(
                    IO.Fetch,
                    E(IO.Store, "Mailbox"),
                    E(AirSync.CollectionId, inbox),
                    E(AirSync.ServerId, item),
                    E(IO.Options, body_preference(2)),
                ),
            ),
            parameters={"AcceptMultiPart": "T"},
        )
        self.assertEqual(len(answer.parts), 2)
        self.assertEqualToStore(phone)
