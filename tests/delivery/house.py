"""A small house for the tests of this room: a store in memory, two accounts, every service wired."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from posthouse.delivery.attempt import Sender
from posthouse.delivery.bounce import Reporter
from posthouse.delivery.directory import Directory
from posthouse.delivery.intake import Intake
from posthouse.delivery.routes import Routes
from posthouse.delivery.runner import Runner
from posthouse.delivery.submission import Submission
from posthouse.mime.scan import Scanner
from posthouse.model import Account, Envelope, Folder, FolderType, Item, News, OutboxRow, Recipient
from posthouse.store import accounts, bodies, folders, items, outbox
from posthouse.work.pool import InlinePool
from posthouse.work.spool import Spool
from tests.support.relay import FakeRelay
from tests.support.resolver import FakeResolver
from tests.support.store import NOW, make_account, make_database

HOST = "mx.here.example"
PLAIN = (
    b"From: Ann <ann@here.example>\r\nTo: bob@here.example\r\nSubject: Hello\r\n"
    b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@here.example>\r\n\r\nHello Bob\r\n"
)


class HouseCase(SynchronousTestCase):
    """``ann`` and ``bob`` live at here.example; ``team`` is both, ``sales`` is Ann's, ``away`` forwards."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW / 1000)
        self.db = make_database(self.heard)
        self.addCleanup(self.db.close)
        self.ann = make_account(self.db, "ann@here.example", admin=True)
        self.bob = make_account(self.db, "bob@here.example")
        for address, *targets in (
            ("team@here.example", "ann@here.example", "bob@here.example"),
            ("sales@here.example", "ann@here.example"),
            ("away@here.example", "far@there.example"),
        ):
            self.db.write_now(lambda tx, a=address, t=targets: accounts.add_alias(tx, a, t, NOW))
        self.random = Random(7)
        self.directory = Directory(self.db, self.clock.seconds)
        self.reporter = Reporter(HOST, lambda: f"{self.random.getrandbits(96):x}")
        self.free = 10**12
        self.pool = InlinePool()
        self.relay = FakeRelay()
        self.resolver = FakeResolver()
        self.resolver.add("there.example")
        self.routes = Routes(self.resolver, frozenset({HOST}))
        self.runner = self.make_runner()
        self.intake = Intake(
            self.db,
            self.directory,
            self.pool,
            self.new_spool,
            HOST,
            self.clock.seconds,
            self.random,
            lambda: self.free,
        )
        self.intake.reporter = self.reporter
        self.submission = Submission(
            self.db,
            self.directory,
            self.pool,
            self.reporter,
            HOST,
            self.clock,
            self.random,
            lambda: self.free,
        )

    def heard(self, news: News) -> None:
        if news.mailbox_id == outbox.QUEUE:
            self.runner.poke()

    def now(self) -> int:
        return int(self.clock.seconds() * 1000)

    def make_runner(self, relay: Any = None, routes: Routes | None = None) -> Runner:
        sender = Sender(
            self.db, relay or self.relay, routes or self.routes, self.reporter, self.random, self.now
        )
        return Runner(self.db, sender, self.clock)

    def new_spool(self, memory_limit: int = 256 * 1024) -> Spool:
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        return Spool(directory, self.pool, memory_limit, Scanner(), reserve=0)

    def spooled(self, data: bytes, memory_limit: int = 256 * 1024) -> Any:
        spool = self.new_spool(memory_limit)
        for start in range(0, len(data), 65_536):
            spool.write(data[start : start + 65_536])
        return self.successResultOf(spool.finish())

    def envelope(
        self, sender: str, *recipients: str, account: Account | None = None, **fields: Any
    ) -> Envelope:
        routed: list[Recipient] = [
            self.successResultOf(self.intake.check_recipient(address, account)) for address in recipients
        ]
        return Envelope(
            sender,
            tuple(routed),
            peer="192.0.2.7",
            helo="client.example",
            protocol="ESMTPS",
            account_id=account.id if account is not None else None,
            **fields,
        )

    def accept(
        self, data: bytes, sender: str, *recipients: str, account: Account | None = None, **fields: Any
    ) -> str:
        envelope = self.envelope(sender, *recipients, account=account, **fields)
        name: str = self.successResultOf(self.intake.accept(envelope, self.spooled(data)))
        return name

    def submit(self, data: bytes, save: bool = True, then: Any = None, account: Account | None = None) -> Any:
        return self.successResultOf(self.submission.submit(account or self.ann, data, save, then))

    def folder(self, account: Account, kind: FolderType = FolderType.INBOX) -> Folder:
        return self.db.read_now(lambda tx: folders.folder_of_type(tx, account.mailbox_id, kind))

    def items(self, account: Account, kind: FolderType = FolderType.INBOX) -> list[Item]:
        return self.items_in(self.folder(account, kind))

    def items_in(self, folder: Folder) -> list[Item]:
        def read(tx: Any) -> list[Item]:
            marks = items.added_since(tx, folder.id, 0, 1000)
            found = items.items(tx, folder.id, [mark.number for mark in marks])
            return [found[mark.number] for mark in marks]

        return self.db.read_now(read)

    def body(self, item: Item) -> bytes:
        return self.db.read_now(lambda tx: bodies.read_body(tx, item.body_id))

    def queue(self, finished: bool = False) -> list[OutboxRow]:
        return self.db.read_now(lambda tx: outbox.listing(tx, 1000, finished=finished))
