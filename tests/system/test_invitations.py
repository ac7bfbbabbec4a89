"""An invitation from the wire to a phone, and the answer from the phone to its organizer, on the real server."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml.tags import AirSyncBase, Email, Email2
from posthouse.wbxml.tags import MeetingResponse as M
from posthouse.wbxml.tree import E
from tests.pim.texts import EVENT, calendar, mail
from tests.support.eas import Phone, mail_options
from tests.system.house import INBOX, demo_of, phone_of
from tests.system.test_story import until

SENT = 5


class InvitationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = demo_of(__name__)
        self.ida, self.bruno = self.daemon.account(0)["address"], self.daemon.account(1)["address"]

    def found(self, phone: Phone, folder: int, subject: str) -> str:
        """The ServerId of a message, once it is there."""
        number = phone.folder(folder)
        items: list[str] = []

        def there() -> bool:
            phone.sync_all(number, window=512, options=mail_options(1, 1000))
            mirror = phone.mirror[number]
            items[:] = [one for one, fields in mirror.items() if fields[Email.Subject].value == subject]
            return bool(items)

        self.assertTrue(until(20, there), f"{subject!r} did not come")
        return items[0]

    def invite(self, subject: str) -> None:
        event = EVENT.replace("ann@example.org", self.ida).replace("bob@example\n .org", self.bruno)
        text = calendar(event=event.replace("SUMMARY:Plans", f"SUMMARY:{subject}"))
        message = mail(text).replace(b"Subject: Plans", f"Subject: {subject}".encode())
        self.daemon.mail("ann@away.example", [self.bruno], message)

    def test_accepted_on_a_phone_and_heard_of_by_the_organizer(self) -> None:
        for version in ("16.0", "16.1"):
            subject = f"Tea at {version}"
            self.invite(subject)
            name = version.replace(".", "")
            guest = phone_of(self.daemon, 1, f"GUEST{name}", version=version)
            host = phone_of(self.daemon, 0, f"HOST{name}", version=version)
            inbox, item = guest.folder(INBOX), self.found(guest, INBOX, subject)
            self.assertIn(Email.MeetingRequest, guest.mirror[inbox][item])
            body = E(AirSyncBase.Body, E(AirSyncBase.Type, 1), E(AirSyncBase.Data, "Gladly."))
            ask = E(
                M.Request,
                E(M.UserResponse, 1),
                E(M.CollectionId, inbox),
                E(M.RequestId, item),
                E(M.SendResponse, body),
            )
            # The second time as after a lost answer.
            for _ in range(2):
                answer = guest.command("MeetingResponse", E(M.MeetingResponse, ask))
                self.assertEqual(answer.text(M.Result, M.Status), "1")
            told = self.found(host, INBOX, f"Accepted: {subject}")
            fields = host.mirror[host.folder(INBOX)][told]
            self.assertEqual(fields[Email.MessageClass].value, "IPM.Schedule.Meeting.Resp.Pos")
            self.assertIn("Gladly.", fields[AirSyncBase.Body].text(AirSyncBase.Data) or "")
            self.found(guest, SENT, f"Accepted: {subject}")
            self.assertEqual(guest.subjects(guest.folder(SENT)).count(f"Accepted: {subject}"), 1)
            guest.sync_all(inbox)
            self.assertEqual(guest.mirror[inbox][item][Email2.LastVerbExecuted].value, "1")
