"""A configured server and one other beside it, each of which sends to the other."""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol, TypeVar

from posthouse.auth.passwords import hash_password
from posthouse.model import FolderType, OutboxRow
from posthouse.store import accounts, bodies, changes, folders, outbox
from posthouse.store.connect import connect
from posthouse.store.db import Transaction, open_for_tool
from tests.support.authority import Pair
from tests.support.unpacked import free_port
from tests.system.test_transport import IDA, PASSWORD, House

HERE = "here.test"
T = TypeVar("T")


class Program(Protocol):
    """What the other one is: see ``tests.support.exim.Exim``."""

    port: int
    clear_port: int

    def close(self) -> None: ...
    def open(self) -> None: ...
    def mail(self) -> list[bytes]: ...
    def said(self) -> str: ...
    def clean(self) -> None: ...


class OneHouse(House):
    """A configured server, with views into its store."""

    def session(self) -> smtplib.SMTP:
        """Ida's, at the port for users."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = smtplib.SMTP_SSL("127.0.0.1", self.ports["submissions"], timeout=60, context=context)
        client.login(IDA, PASSWORD)
        return client

    def arrived(self, address: str) -> list[bytes]:
        """The messages in somebody's Inbox here, in the order of their arrival."""

        def read(tx: Any) -> list[bytes]:
            account = accounts.account_by_address(tx, address)
            assert account is not None
            inbox = folders.folder_of_type(tx, account.mailbox_id, FolderType.INBOX)
            numbers = [mark.number for mark in changes.added_since(tx, inbox.id, 0, 1000)]
            found = changes.items(tx, inbox.id, numbers)
            letters = [found[number] for number in numbers]
            return [letter.trace + bodies.read_body(tx, letter.body_id) for letter in letters]

        return self._read(read)

    def row(self, to: str) -> OutboxRow | None:
        """The row of that recipient while it is in the queue."""
        return next((row for row in self.rows() if row.recipient == to), None)

    def _read(self, function: Callable[[Transaction], T]) -> T:
        with closing(connect(self.data / "posthouse.db", read_only=True)) as connection:
            connection.execute("BEGIN")
            return function(Transaction(connection, writable=False))

    def age(self, hours: float) -> None:
        """Stop, make all mail in the queue so much older, start again, and try it."""
        self.stop()
        database = open_for_tool(self.data / "posthouse.db")
        ms = int(hours * 3_600_000)
        change = "UPDATE outbox SET created = created - ?, expires = expires - ?"
        self._wait(database.write(lambda tx: tx.execute(change, (ms, ms))))
        self._wait(database.stop())
        self.start()
        self.run("queue", "retry")

    def kill(self) -> None:
        """kill -9."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()
        self.server = None

    def rows(self) -> list[OutboxRow]:
        """The queue."""
        return self._read(lambda tx: outbox.listing(tx, 1000))


class Neighbour(OneHouse):
    """``ida`` lives here and ``far`` there, both at two domains: ``X.test``, with TLS, and ``clear.X.test``, without.

    :param make: ``make(domain, user, relay, there, pair)``. :raises SkipTest: the program is not there.
    """

    def __init__(self, name: str, make: Callable[[str, str, int, str, Pair], Program]) -> None:
        House.__init__(self)
        self.name = name
        self.there = f"{name}.test"
        port = free_port()
        try:
            self.other = make(self.there, "far", port, HERE, self.issue(f"mx.{self.there}"))
        except BaseException:
            House.clean(self)
            raise
        self.config.write_text(
            self.config.read_text().replace('smtp = ["127.0.0.1:0"]', f'smtp = ["127.0.0.1:{port}"]', 1)
        )
        database = open_for_tool(self.data / "posthouse.db")

        def fill(tx: Any) -> None:
            accounts.add_domain(tx, f"clear.{HERE}", 0)
            hashed = hash_password(PASSWORD.encode(), 4)
            accounts.add_account(tx, f"ida@clear.{HERE}", "Ida", hashed, False, 0)

        self._wait(database.write(fill))
        self._wait(database.stop())
        routes = (
            f"{self.there}=smtp://127.0.0.1:{self.other.port}",
            f"clear.{self.there}=smtp://127.0.0.1:{self.other.clear_port}",
        )
        self.start(f"routes = {list(routes)}")

    def clean(self) -> None:
        House.clean(self)
        self.other.clean()

    def until(self, true: Callable[[], Any], seconds: float = 30.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := true()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.log.read_text()[-5000:]}\n{self.other.said()[-5000:]}")
            time.sleep(0.1)
        return found
