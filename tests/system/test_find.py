"""Finding mail and people on the real server, over TLS, as phones do it."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.tags import GAL, AirSync, AirSyncBase, Email, Find, Search
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.support.eas import Phone
from tests.system.house import INBOX, demo_of, letter, phone_of


def search_mail(text: str, *where: str) -> Element:
    query = E(
        Search.And,
        E(AirSync.Class, "Email"),
        [E(AirSync.CollectionId, one) for one in where],
        E(Search.FreeText, text),
    )
    options = E(Search.Options, E(Search.RebuildResults), E(Search.Range, "0-9"), E(Search.DeepTraversal))
    return E(Search.Search, E(Search.Store, E(Search.Name, "Mailbox"), E(Search.Query, query), options))


def find_mail(text: str, where: str) -> Element:
    """As iOS 16 and later do."""
    words = " OR ".join([*(f'{place}:"{text}"' for place in ("to", "cc", "from", "subject")), f'"{text}"'])
    query = E(Find.Query, E(AirSync.Class, "Email"), E(AirSync.CollectionId, where), E(Find.FreeText, words))
    options = E(Find.Options, E(Find.Range, "0-99"), E(Find.DeepTraversal))
    return E(
        Find.Find,
        E(Find.SearchId, "42DD7336-419F-4F68-BEBC-95982BF69899"),
        E(Find.ExecuteSearch, E(Find.MailBoxSearchCriterion, query, options)),
    )


class FindTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.ida, self.bruno = self.daemon.account(0)["address"], self.daemon.account(1)["address"]

    def results(self, phone: Phone, request: Element) -> list[Element]:
        command = request.tag.partition(":")[2]
        answer = phone.command(command, request)
        self.assertEqual((answer.status, answer.text(f"{command}:Status")), (200, "1"))
        assert answer.root is not None
        return [one for one in answer.root.iter() if one.tag == f"{command}:Result" and one.children]

    def until_found(self, phone: Phone, request: Element) -> list[Element]:
        """Words follow the mail within moments."""
        for _ in range(100):
            found = self.results(phone, request)
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError("never found")

    def test_mail_is_found_by_its_text_and_opened(self) -> None:
        text = "There is a heliotrope orrery in the attic, said the clockmaker."
        self.daemon.mail(self.bruno, [self.ida], letter(self.bruno, self.ida, "The attic", text))
        for version in ("12.1", "14.1", "16.1"):
            phone = phone_of(
                self.daemon, 0, f"SEARCHER{version.replace('.', '')}00000000001", version=version, check=True
            )
            (found,) = self.until_found(phone, search_mail("ORRERY heliotr"))
            self.assertEqual(found.text(AirSync.CollectionId), phone.folder(INBOX))
            long_id = found.text(Search.LongId) or ""
            preference = E(AirSyncBase.BodyPreference, E(AirSyncBase.Type, 1))
            fetch = E(IO.Fetch, E(IO.Store, "Mailbox"), E(Search.LongId, long_id), E(IO.Options, preference))
            answer = phone.command("ItemOperations", E(IO.ItemOperations, fetch))
            assert answer.root is not None
            properties = answer.root.find(IO.Response, IO.Fetch, IO.Properties)
            assert properties is not None
            self.assertEqual(properties.text(Email.Subject), "The attic")
            body = properties.find(AirSyncBase.Body)
            assert body is not None
            self.assertIn("heliotrope orrery", body.text(AirSyncBase.Data) or "")
            self.assertEqual(self.results(phone, search_mail("heliotrope unheardof")), [])

    def test_an_iphone_finds_mail(self) -> None:
        text = "The tortoise and the carillon."
        self.daemon.mail(self.bruno, [self.ida], letter(self.bruno, self.ida, "Two friends", text))
        for version in ("14.1", "16.1"):
            phone = phone_of(
                self.daemon,
                0,
                f"FINDER{version.replace('.', '')}000000000000001",
                version=version,
                check=True,
            )
            inbox = phone.folder(INBOX)
            for word in ("carill", "tortoise and the"):
                (found,) = self.until_found(phone, find_mail(word, inbox))
                self.assertEqual(found.text(AirSync.CollectionId), inbox)
                properties = found.find(Find.Properties)
                assert properties is not None
                self.assertEqual(properties.text(Email.Subject), "Two friends")
                whole = phone.fetch_item(inbox, found.text(AirSync.ServerId) or "", body=1)
                self.assertIn(text, whole[AirSyncBase.Body].text(AirSyncBase.Data) or "")

    def test_the_mail_of_the_demo_is_found(self) -> None:
        phone = phone_of(self.daemon, 0, "DEMOFINDER0000000000000001", version="16.1", check=True)
        found = self.until_found(phone, find_mail("escapement", phone.folder(INBOX)))
        dates = [(one.find(Find.Properties) or one).text(Email.DateReceived) or "" for one in found]
        self.assertEqual(dates, sorted(dates, reverse=True))

    def test_people_find_each_other(self) -> None:
        phone = phone_of(self.daemon, 0, "PEOPLE00000000000000000001", version="16.1", check=True)
        options = E(Search.Options, E(Search.Range, "0-99"), E(Search.Picture))
        request = E(Search.Search, E(Search.Store, E(Search.Name, "GAL"), E(Search.Query, "bru"), options))
        (found,) = self.results(phone, request)
        properties = found.find(Search.Properties)
        assert properties is not None
        self.assertEqual(properties.text(GAL.EmailAddress), self.bruno)
        self.assertEqual(properties.text(GAL.Title), "Harbour master")
        picture = properties.find(GAL.Picture)
        assert picture is not None
        self.assertEqual(picture.text(GAL.Status), "1")
        criterion = E(Find.GALSearchCriterion, E(Find.Query, "salt"))
        request = E(Find.Find, E(Find.SearchId, "S"), E(Find.ExecuteSearch, criterion))
        (found,) = self.results(phone, request)
        self.assertEqual((found.find(Find.Properties) or found).text(GAL.EmailAddress), self.bruno)
        self.daemon.posthouse("people", "set", self.bruno, "--hidden", "yes")
        self.assertEqual(self.results(phone, request), [])
        self.daemon.posthouse("people", "set", self.bruno, "--hidden", "no")
