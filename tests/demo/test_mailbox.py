"""The demo's mailbox: about 300 messages, varied, valid, the same each time."""

from __future__ import annotations

import email
import email.policy
from collections import Counter
from email.message import EmailMessage

from twisted.trial.unittest import SynchronousTestCase

from posthouse.demo.cast import Person
from posthouse.demo.fill import fill
from posthouse.demo.mailbox import DemoMessage, messages
from posthouse.demo.plans import DAY
from posthouse.model import FolderType
from posthouse.store import accounts, folders, items
from posthouse.store.inline import InlineDatabase

NOW = 1_790_000_000_000
OWNER, OTHER = Person("Ida Holm", "ida@posthouse.test"), Person("Bruno Salt", "bruno@posthouse.test")

_made: list[DemoMessage] = []


def made() -> list[DemoMessage]:
    """The messages; making them takes half a second, so it is done once."""
    if not _made:
        _made.extend(messages(NOW, OWNER, OTHER))
    return _made


def parsed() -> list[EmailMessage]:
    """The messages as the standard library reads them: a second opinion."""
    return [email.message_from_bytes(one.raw, policy=email.policy.default) for one in made()]  # type: ignore[misc]


class MessagesTests(SynchronousTestCase):
    def test_about_three_hundred_the_same_each_time(self) -> None:
        self.assertTrue(280 <= len(made()) <= 340, len(made()))
        self.assertEqual(messages(NOW, OWNER, OTHER), made())

    def test_lie_in_several_folders_mostly_in_the_inbox(self) -> None:
        where = Counter(one.folder for one in made())
        self.assertGreater(where[FolderType.INBOX], 250)
        self.assertGreater(where[FolderType.SENT], 5)
        self.assertGreater(where[None], 2)

    def test_dates_spread_over_months_and_never_into_the_future(self) -> None:
        received = [one.received for one in made()]
        self.assertEqual(received, sorted(received))
        self.assertLess(received[-1], NOW + 1)
        self.assertGreater(received[-1] - received[0], 150 * DAY)
        self.assertLess(sum(moment < NOW - 30 * DAY for moment in received), 0.9 * len(received))

    def test_read_and_unread_and_flagged_are_mixed(self) -> None:
        inbox = [one for one in made() if one.folder is FolderType.INBOX]
        unread = sum(not one.read for one in inbox)
        self.assertTrue(20 < unread < len(inbox) / 2, unread)
        self.assertTrue(5 < sum(one.flagged for one in inbox) < 30)

    def test_are_valid_mail(self) -> None:
        for one, message in zip(made(), parsed(), strict=True):
            for part in message.walk():
                self.assertEqual(part.defects, [], message["subject"])
            for name in ("From", "To", "Date", "Subject", "Message-ID"):
                self.assertTrue(message[name], name)
            for line in one.raw.split(b"\r\n"):
                self.assertLess(len(line), 999)
                self.assertNotIn(b"\n", line)
        identities = [message["Message-ID"] for message in parsed()]
        self.assertEqual(len(set(identities)), len(identities))

    def test_show_every_kind_of_content(self) -> None:
        kinds: Counter[str] = Counter()
        charsets = set()
        inline = files = 0
        for message in parsed():
            for part in message.walk():
                kinds[part.get_content_type()] += 1
                charsets.add(part.get_content_charset())
                inline += part.get_content_disposition() == "inline"
                files += part.get_content_disposition() == "attachment"
        for kind in (
            "text/html",
            "text/calendar",
            "image/png",
            "application/pdf",
            "application/zip",
            "text/csv",
            "message/rfc822",
            "multipart/related",
        ):
            self.assertGreater(kinds[kind], 2, kind)
        self.assertTrue(
            {"iso-8859-1", "koi8-r", "iso-2022-jp", "gb18030", "windows-1256", "utf-8"} <= charsets
        )
        self.assertGreater(inline, 10)
        self.assertGreater(files, 25)

    def test_threads_hang_together(self) -> None:
        known = {message["Message-ID"] for message in parsed()}
        replies = [message for message in parsed() if message["In-Reply-To"]]
        self.assertGreater(len(replies), 50)
        self.assertTrue(all(message["In-Reply-To"] in known for message in replies))

    def test_names_nobody_who_could_be_real(self) -> None:
        for one in made():
            self.assertRegex(one.sender, r"@([a-z]+\.)*[a-z]+\.(example|test)$")


class FillTests(SynchronousTestCase):
    def test_everything_is_put_where_it_belongs(self) -> None:
        db = InlineDatabase().open()
        self.addCleanup(db.close)
        db.write_now(lambda tx: accounts.add_domain(tx, "posthouse.test", NOW))
        account = db.write_now(lambda tx: accounts.add_account(tx, OWNER.address, OWNER.name, "!", True, NOW))
        self.assertEqual(fill(db, OWNER, OTHER, NOW), len(made()))
        listed = db.read_now(lambda tx: folders.list_folders(tx, account.mailbox_id))
        self.assertEqual(sum(one.total for one in listed), len(made()))
        inbox = next(one for one in listed if one.type is FolderType.INBOX)
        self.assertEqual(inbox.unread, sum(not one.read and one.folder is FolderType.INBOX for one in made()))
        marks = db.read_now(lambda tx: items.added_since(tx, inbox.id, 0, 1000))
        found = db.read_now(lambda tx: items.items(tx, inbox.id, [mark.number for mark in marks]))
        subjects = {item.subject for item in found.values()}
        for words in (
            "からくり人形について",
            "Часы с кукушкой",
            "موعد الزيارة",
            "Příští čtvrtek",
            "นาฬิกาเก่า",
        ):
            self.assertIn(words, subjects)
        self.assertEqual(
            sum(item.flag is not None for item in found.values()),
            sum(one.flagged and one.folder is FolderType.INBOX for one in made()),
        )
        self.assertGreater(sum(item.has_attachments for item in found.values()), 25)
        self.assertTrue(all(item.preview for item in found.values()))
        conversations = Counter(item.conversation for item in found.values())
        self.assertGreater(max(conversations.values()), 3)
