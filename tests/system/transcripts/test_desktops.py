"""Outlook on desk and phone, Windows Mail and Windows Mobile, and TbSync."""

from __future__ import annotations

import json

from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, GetItemEstimate, Ping, Search
from posthouse.wbxml.tags import Settings as S
from posthouse.wbxml.tree import E, Element
from tests.system.house import Background
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


class Outlook(Client):
    """Credentials in ISO-8859-1."""

    head = (
        ("Cache-Control", "no-cache"),
        ("Connection", "Keep-Alive"),
        ("Pragma", "no-cache"),
        ("Content-Type", "{kind}"),
        ("Authorization", "Basic {basic}"),
        ("User-Agent", "{agent}"),
        ("X-MS-PolicyKey", "{key}"),
        ("MS-ASProtocolVersion", "{version}"),
        ("Host", "{host}"),
    )
    charset = "latin-1"


class DesktopCase(TranscriptCase):
    kind: type[Client] = Outlook

    def collection(
        self,
        client: Client,
        number: str,
        commands: list[Element] | None = None,
        changes: str = "1",
        window: str = "512",
    ) -> Element:
        return E(
            AirSync.Collection,
            client.class_of(),
            client.key(number),
            E(AirSync.CollectionId, number),
            E(AirSync.DeletesAsMoves, "1"),
            E(AirSync.GetChanges, changes),
            E(AirSync.WindowSize, window),
            E(
                AirSync.Options,
                E(AirSync.FilterType, "0"),
                E(AirSync.MIMESupport, "2"),
                body_preference(4) if client.numbers >= (14, 0) else body_preference(2),
                E(AirSync.Conflict, "1"),
            ),
            E(AirSync.Commands, commands) if commands else None,
        )

    def sync(self, client: Client, *numbers: str, window: str = "512") -> None:
        for _ in range(30):
            asked = [self.collection(client, number, window=window) for number in numbers]
            found = client.tell(E(AirSync.Sync, E(AirSync.Collections, asked), E(AirSync.WindowSize, window)))
            self.assertTrue(all(one.status == 1 for one in found.values()), found)
            if not any(one.more for one in found.values()) and len(found) in (0, len(numbers)):
                return
            if not found:
                return
        raise AssertionError("MoreAvailable without end")

    def set_up_account(self, client: Client, *information: Element) -> None:
        client.refused_until_provisioned("FolderSync", folder_sync_0())
        client.two_phases(*(information or (E(S.Model, "PC"), E(S.OS, "Windows 11"))))
        client.folder_sync("0")
        self.assertFolders(client)

    def estimate(self, client: Client, number: str) -> int:
        status, count = client.get_item_estimate(number)
        self.assertEqual(status, 1)
        return count


class OutlookTests(DesktopCase):
    def test_the_whole_mailbox_in_large_windows(self) -> None:
        for number in range(40):
            self.mail(f"Before {number}")
        outlook = self.client(
            "14.0",
            device_id="8F5FB0A1D1E94E29B0F4E5E9C9A0B1C2",
            device_type="WindowsOutlook15",
            user_agent="Outlook/15.0 (15.0.4420.1017; MSI; x86)",
        )
        self.set_up_account(outlook)
        told = outlook.command(
            "Settings",
            E(S.Settings, E(S.DeviceInformation, E(S.Set, E(S.Model, "PC"), E(S.OS, "Windows 10")))),
        )
        self.assertEqual(told.text(S.DeviceInformation, S.Status), "1")
        mine = [n for n, one in outlook.folders.items() if one.type in (2, 3, 4, 5, 12)]
        self.assertGreaterEqual(len(mine), 4)
        outlook.begin(*mine)
        self.sync(outlook, *mine)
        self.assertEqualToStore(outlook)
        self.changes_go_up_alone(outlook)
        self.partial(outlook, mine)
        self.pings(outlook, mine)
        self.comes_with_another_name(outlook)

    def changes_go_up_alone(self, outlook: Client) -> None:
        """GetChanges 0 with its own changes; what others did meanwhile comes with the next Sync."""
        inbox = outlook.folder(INBOX)
        item = outlook.item(inbox, "Before 3")
        self.mail("Meanwhile")
        outlook.mirror[inbox][item][Email.Read] = E(Email.Read, "1")
        asked = self.collection(outlook, inbox, [read_mark(item)], "0")
        found = outlook.tell(E(AirSync.Sync, E(AirSync.Collections, asked)))
        one = found[inbox]
        self.assertEqual((one.status, one.added, one.changed, one.responses), (1, [], [], []))
        self.sync(outlook, inbox)
        self.assertIn("Meanwhile", outlook.subjects(inbox))
        self.assertEqualToStore(outlook)

    def partial(self, outlook: Client, mine: list[str]) -> None:
        """Only what is different is said; the rest is that of the last request."""
        inbox, trash = outlook.folder(INBOX), outlook.folder(DELETED)
        self.sync(outlook, *mine)
        answer = outlook.command("Sync")
        self.assertEqual((answer.status, answer.body), (200, b""), "nothing new")
        self.mail("For the empty request")
        answer = outlook.command("Sync")
        assert answer.root is not None
        listed = answer.root.find(AirSync.Collections)
        assert listed is not None
        for one in listed.children:
            outlook._take(one.text(AirSync.CollectionId) or "", one, True)
        self.assertIn("For the empty request", outlook.subjects(inbox))
        self.mail("For the partial one")
        changed = E(
            AirSync.Collection,
            outlook.key(inbox),
            E(AirSync.CollectionId, inbox),
            E(AirSync.GetChanges, "1"),
            E(AirSync.WindowSize, "10"),
        )
        found = outlook.tell(
            E(AirSync.Sync, E(AirSync.Collections, changed), E(AirSync.WindowSize, "512"), E(AirSync.Partial))
        )
        self.assertEqual(list(found), [inbox])
        self.assertIn("For the partial one", outlook.subjects(inbox))
        self.assertIn(trash, outlook.keys)
        # The kept options hold: the whole message came.
        item = outlook.item(inbox, "For the partial one")
        body = outlook.mirror[inbox][item][AirSyncBase.Body]
        self.assertEqual(body.text(AirSyncBase.Type), "4")
        self.assertEqualToStore(outlook)

    def pings(self, outlook: Client, mine: list[str]) -> None:
        """A folder that nobody knows: the folders are to be fetched anew, at once."""
        status, changed = outlook.wait_for([*mine, "999999"]).result(20)
        self.assertEqual((status, changed), ("7", []))
        outlook.folder_sync()
        ping = outlook.wait_for(mine)
        self.mail("Wake up")
        self.assertEqual(ping.result(20), ("2", [outlook.folder(INBOX)]))
        self.sync(outlook, *mine)
        self.assertEqualToStore(outlook)

    def comes_with_another_name(self, outlook: Client) -> None:
        """Since version 2408 it has another DeviceId at each start."""
        other = self.client(
            "14.0",
            device_id="0123456789ABCDEF0123456789ABCDEF",
            device_type="WindowsOutlook15",
            user_agent=outlook.user_agent,
        )
        self.set_up_account(other)
        inbox = other.folder(INBOX)
        other.begin(inbox)
        self.sync(other, inbox)
        self.assertEqualToStore(other)
        self.assertEqual(set(other.mirror[inbox]), set(outlook.mirror[inbox]))

    def test_outlook_mobile(self) -> None:
        """Its proxy looks for the 401, asks Autodiscover in JSON, and searches in all folders at once."""
        self.mail("A needle in hay")
        for version in ("14.1", "16.1"):
            phone = self.client(
                version,
                device_id=f"OUTLOOK{version.replace('.', '')}0123456789ABCDEF",
                device_type="Outlook",
                user_agent="Outlook-iOS-Android/1.0",
            )
            bare = phone.request("", method="OPTIONS", credentials=False)
            self.assertEqual(bare.status, 401)
            path = f"/autodiscover/autodiscover.json?Email={self.address}&Protocol="
            found = phone.raw("GET", path + "ActiveSync", credentials=False)
            self.assertEqual(found.status, 200)
            told = json.loads(found.body)
            self.assertEqual(told["Protocol"], "ActiveSync")
            self.assertTrue(told["Url"].endswith("/Microsoft-Server-ActiveSync"))
            self.assertEqual(phone.raw("GET", path + "Nonsense", credentials=False).status, 400)
            self.set_up_account(phone)
            mine = [phone.folder(kind) for kind in (INBOX, DRAFTS, SENT, DELETED)]
            phone.begin(*mine)
            self.sync(phone, *mine, window="100")
            self.assertEqualToStore(phone)
            criteria = E(
                Search.And,
                E(AirSync.Class, "Email"),
                E(AirSync.CollectionId, "0"),
                E(Search.FreeText, "needle"),
            )
            request = E(
                Search.Search,
                E(
                    Search.Store,
                    E(Search.Name, "Mailbox"),
                    E(Search.Query, criteria),
                    E(
                        Search.Options,
                        E(Search.RebuildResults),
                        E(Search.DeepTraversal),
                        E(Search.Range, "0-24"),
                    ),
                ),
            )
            answer = phone.command("Search", request)
            self.assertEqual(answer.text(Search.Response, Search.Store, Search.Status), "1")


class WindowsMailTests(DesktopCase):
    """The app of Windows 8 to 10: Ping, large windows, HTML; and Windows Mobile with its hanging Sync."""

    def test_windows_8_at_14_0(self) -> None:
        self.a_day("14.0", "MSFT-WIN-3/6.2.9200", "WindowsMail")

    def test_windows_8_1_at_14_1(self) -> None:
        self.a_day("14.1", "MSFT-WIN-4/6.3.9600", "WindowsMail")

    def test_windows_10_at_16_1(self) -> None:
        self.a_day("16.1", "MSFT-WIN-4/10.0.19041", "UniversalOutlook")

    def a_day(self, version: str, agent: str, kind: str) -> None:
        for number in range(12):
            self.mail(f"Before {number}")
        mail = self.client(
            version, device_id="A1B2C3D4E5F60718293A4B5C6D7E8F90", device_type=kind, user_agent=agent
        )
        self.set_up_account(mail)
        mine = [mail.folder(one) for one in (INBOX, DRAFTS, SENT, DELETED)]
        mail.begin(*mine)
        self.assertEqual(self.estimate(mail, mail.folder(INBOX)), 12)
        self.sync(mail, *mine, window="100")
        self.assertEqual(self.estimate(mail, mail.folder(INBOX)), 0)
        ping = mail.wait_for(mine, 900)
        self.mail("News")
        self.assertEqual(ping.result(20), ("2", [mail.folder(INBOX)]))
        self.sync(mail, *mine, window="100")
        # An empty Ping means the last one.
        answer = Background(mail.beside().command, "Ping")
        self.mail("More")
        self.assertEqual(answer.result(20).text(Ping.Status), "2")
        self.sync(mail, *mine, window="100")
        self.assertEqual(mail.compose("SendMail", "w1", self.letter(f"Windows {version} {self.serial}")), 0)
        self.sync(mail, *mine, window="100")
        self.assertIn(f"Windows {version} {self.serial}", mail.subjects(mail.folder(SENT)))
        self.assertEqualToStore(mail)

    def test_windows_mobile_at_12_1(self) -> None:
        self.a_hanging_day("12.1")

    def test_windows_phone_at_14_1(self) -> None:
        self.a_hanging_day("14.1", encoded=True)

    def a_hanging_day(self, version: str, encoded: bool = False) -> None:
        """Sync with Wait in place of Ping; what it repeats has no body."""
        for number in range(5):
            self.mail(f"Before {number}")
        phone = self.client(
            version,
            device_id="6F24CAD599A5BF1A690246B8C68FAE8D",
            device_type="PocketPC" if not encoded else "WP8",
            user_agent="MSFT-PPC/5.2.5082" if not encoded else "MSFT-WP/8.10.14219",
            encoded=encoded,
        )
        self.set_up_account(phone)
        inbox, sent = phone.folder(INBOX), phone.folder(SENT)
        phone.begin(inbox, sent)
        self.sync(phone, inbox, sent, window="100")
        self.assertEqualToStore(phone)
        asked = [self.collection(phone, number, window="100") for number in (inbox, sent)]
        request = E(AirSync.Sync, E(AirSync.Collections, asked), E(AirSync.Wait, "15"))
        for subject in ("First", "Second"):
            other = phone.beside()
            hanging = Background(other.tell, request)
            self.addCleanup(other.close)
            self.mail(subject)
            found = hanging.result(20)
            self.assertEqual(list(found), [inbox])
            self.assertEqual(len(found[inbox].added), 1)
            asked = [self.collection(phone, number, window="100") for number in (inbox, sent)]
            request = E(AirSync.Sync, E(AirSync.Collections, asked), E(AirSync.Wait, "15"))
        # A second one takes the place of the first, which is answered with nothing.
        first, second = phone.beside(), phone.beside()
        waits = Background(first.tell, request)
        other_waits = Background(second.tell, request)
        done = [one for one in (waits, other_waits) if self.ends(one)]
        self.assertEqual(len(done), 1)
        self.assertEqual(done[0].result(5), {})
        self.mail("Third")
        still = other_waits if done[0] is waits else waits
        self.assertEqual(list(still.result(20)), [inbox])
        for one in (first, second):
            one.close()
        self.assertIn("Third", phone.subjects(inbox))
        if version == "12.1":
            phone.compose_raw("SendMail", self.letter(f"Mobile {self.serial}"))
        else:
            self.assertEqual(phone.compose("SendMail", "m1", self.letter(f"Mobile {self.serial}")), 0)
        self.sync(phone, inbox, sent, window="100")
        self.assertIn(f"Mobile {self.serial}", phone.subjects(sent))
        self.assertEqualToStore(phone)

    def ends(self, one: Background) -> bool:
        one._thread.join(1.5)
        return not one.running


class TbSync(Client):
    head = (
        ("Host", "{host}"),
        ("User-Agent", "{agent}"),
        ("Accept", "*/*"),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Content-Type", "{kind}"),
        ("Authorization", "Basic {basic}"),
        ("MS-ASProtocolVersion", "{version}"),
        ("X-MS-PolicyKey", "{key}"),
        ("Connection", "keep-alive"),
    )


class TbSyncTests(DesktopCase):
    """EAS-4-TbSync: contacts, calendars and tasks, which are empty here but have to be answered properly."""

    kind = TbSync

    def test_at_14_0(self) -> None:
        self.a_day("14.0")

    def test_at_14_1(self) -> None:
        self.a_day("14.1")

    def test_at_16_1(self) -> None:
        self.a_day("16.1")

    def a_day(self, version: str) -> None:
        client = self.client(
            version,
            device_id="MZTB1605170123456",
            device_type="Thunderbird",
            user_agent="Thunderbird ActiveSync",
        )
        options = client.options()
        self.assertIn(version, options.headers["ms-asprotocolversions"].split(","))
        information = (
            E(S.Model, "Computer"),
            E(S.FriendlyName, "TbSync on Device TB1605170123456"),
            E(S.OS, "Linux"),
            E(S.UserAgent, "Thunderbird ActiveSync"),
        )
        self.set_up_account(client, *information)
        told = client.command("Settings", E(S.Settings, E(S.DeviceInformation, E(S.Set, information))))
        self.assertEqual((told.text(S.Status), told.text(S.DeviceInformation, S.Status)), ("1", "1"))
        told = client.command("Settings", E(S.Settings, E(S.UserInformation, E(S.Get))))
        self.assertEqual(told.text(S.UserInformation, S.Status), "1")
        wanted = [n for n, one in client.folders.items() if one.type in (7, 8, 9, 13, 14, 15)]
        for number in wanted:
            client.begin(number)
            estimate = client.command(
                "GetItemEstimate",
                E(
                    GetItemEstimate.GetItemEstimate,
                    E(
                        GetItemEstimate.Collections,
                        E(
                            GetItemEstimate.Collection,
                            client.key(number),
                            E(GetItemEstimate.CollectionId, number),
                        ),
                    ),
                ),
            )
            self.assertEqual(estimate.text(GetItemEstimate.Response, GetItemEstimate.Status), "1")
            collection = E(
                AirSync.Collection,
                client.key(number),
                E(AirSync.CollectionId, number),
                E(AirSync.DeletesAsMoves),
                E(AirSync.GetChanges),
                E(AirSync.WindowSize, "100"),
                E(AirSync.Options, body_preference(1)),
            )
            found = client.tell(E(AirSync.Sync, E(AirSync.Collections, collection)))
            for one in found.values():
                # It reads the Status of every collection.
                self.assertEqual((one.status, one.added, one.more), (1, [], False))
        # Out of bounds: 14, with the Limit that it then keeps to.
        inbox = client.folder(INBOX)
        client.begin(inbox)
        self.sync(client, inbox, window="100")
        asked = self.collection(client, inbox)
        answer = client.command(
            "Sync", E(AirSync.Sync, E(AirSync.Collections, asked), E(AirSync.Wait, "600"))
        )
        self.assertEqual((answer.text(AirSync.Status), answer.text(AirSync.Limit)), ("14", "59"))
        # What changed on the server, in the next round.
        self.mail("News")
        self.sync(client, inbox, window="100")
        self.assertEqualToStore(client)
