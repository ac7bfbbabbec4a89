"""Microsoft's own test cases for bodies (MS-ASAIRS S01): the same rules in Sync, ItemOperations and Search.
Bare numbers are MS-ASAIRS.
"""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.delivery.message import message_of
from posthouse.mime.threads import short_index
from posthouse.wbxml.tags import AirSync, AirSyncBase, ComposeMail, Search
from posthouse.wbxml.tags import ItemOperations as IO
from posthouse.wbxml.tree import E, Element
from tests.eas.test_interop_mail import Base, preference
from tests.support.store import NOW

HTML = b"<html><body>" + b"word " * 40 + b"</body></html>"
MAIL = b"From: ann@example.org\r\nSubject: long\r\nContent-Type: text/html\r\n\r\n" + HTML + b"\r\n"
SIZE = len(HTML) + 1


class BodyTests(Base):
    def setUp(self) -> None:
        super().setUp()
        self.item = self.room.deliver(MAIL)

    def answers(self, *preferences: Element) -> Iterator[tuple[str, Element]]:
        """The properties of the message as each command gives them."""
        (data,) = self.phone().commands(E(AirSync.Options, preferences))[AirSync.Add]
        yield "Sync", data
        fetch = E(
            IO.Fetch,
            E(IO.Store, "Mailbox"),
            E(AirSync.CollectionId, self.room.folder().number),
            E(AirSync.ServerId, self.item.number),
            E(IO.Options, preferences),
        )
        root = self.room.post("ItemOperations", E(IO.ItemOperations, fetch)).root
        found = root.find(IO.Response, IO.Fetch, IO.Properties) if root is not None else None
        assert found is not None
        yield "ItemOperations", found
        query = E(
            Search.Query,
            E(Search.And, E(Search.ConversationId, self.item.conversation), E(AirSync.Class, "Email")),
        )
        store = E(
            Search.Store,
            E(Search.Name, "Mailbox"),
            query,
            E(Search.Options, E(Search.Range, "0-9"), preferences),
        )
        root = self.room.post("Search", E(Search.Search, store)).root
        found = (
            root.find(Search.Response, Search.Store, Search.Result, Search.Properties)
            if root is not None
            else None
        )
        assert found is not None
        yield "Search", found

    def each(self, size: int | None, whole: bool | None, tag: str) -> Iterator[Element]:
        asked = preference(
            2,
            *([E(AirSyncBase.TruncationSize, size)] if size is not None else []),
            *([E(AirSyncBase.AllOrNone, whole)] if whole is not None else []),
            tag=f"{tag}Preference",
        )
        for name, data in self.answers(asked):
            found = data.find(tag)
            self.assertIsNotNone(found, name)
            assert found is not None
            yield found

    def test_all_or_none(self) -> None:
        """R53-R55, R62, R63, R73, R77, R78, R105, R120, R180, R188, R276-R283, R373-R382, R392, R400, R401,
        R402, R403, R407-R411, R420-R424; ASCON R38-R40, R235, R236, R239, R240.
        """
        for tag in (AirSyncBase.Body, AirSyncBase.BodyPart):
            for size, whole, shown in (
                (None, None, SIZE),
                (None, True, SIZE),
                (None, False, SIZE),
                (SIZE, True, SIZE),
                (SIZE, None, SIZE),
                (50, None, 50),
                (50, False, 50),
                (50, True, 0),
            ):
                for found in self.each(size, whole, tag):
                    where = (tag, size, whole)
                    self.assertEqual(len(found.text(AirSyncBase.Data) or ""), shown, where)
                    truncated = found.text(AirSyncBase.Truncated)
                    self.assertEqual(truncated, None if shown == SIZE else "1", where)
                    self.assertEqual(found.text(AirSyncBase.Type), "2")
                    estimate = int(found.text(AirSyncBase.EstimatedDataSize) or 0)
                    # The size of what was not looked at counts its line ends as they are stored.
                    self.assertIn(estimate, (SIZE, SIZE + 1), where)

    def test_previews(self) -> None:
        """R248, R250, R253, R255, R256, R2599, R2644."""
        for tag in (AirSyncBase.Body, AirSyncBase.BodyPart):
            asked = preference(2, E(AirSyncBase.Preview, 12), tag=f"{tag}Preference")
            for _, data in self.answers(asked):
                self.assertEqual(data.find(tag, AirSyncBase.Preview).value, "word word wo")  # type: ignore[union-attr]


class PlaceTests(Base):
    def test_what_is_answered_or_forwarded_here_stands_below_the_original(self) -> None:
        """ASCON R87, R88, R192, R194, R305-R307, ASEMAIL R352, R1054."""
        original = MAIL.replace(b"Subject", b"Message-ID: <o@example.org>\r\nSubject")
        draft = message_of(original).draft(NOW)
        item = self.room.deliver(original, thread_keys=draft.thread_keys, sent=NOW)
        new = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: Re: long\r\n\r\nyes\r\n"
        for name in ("SmartReply", "SmartForward"):
            source = E(
                ComposeMail.Source,
                E(ComposeMail.FolderId, self.room.folder().number),
                E(ComposeMail.ItemId, item.number),
            )
            request = E(
                getattr(ComposeMail, name), E(ComposeMail.ClientId, name), source, E(ComposeMail.Mime, new)
            )
            self.assertEqual(self.room.post(name, request).body, b"")
            sent = message_of(self.room.outbox.sent[-1][1]).draft(NOW + 60_000)
            # A message without an id of its own gets one when it is sent.
            keys = (name.encode().ljust(16)[:16], *sent.thread_keys)
            copy = self.room.deliver(new, thread_keys=keys, sent=NOW + 60_000)
            self.assertEqual(copy.conversation, item.conversation, name)
            self.assertEqual(len(short_index(copy.conversation_index)), 10, name)
