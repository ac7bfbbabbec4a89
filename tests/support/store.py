"""A store for tests: in memory, without threads, every Deferred already fired."""

from __future__ import annotations

from collections.abc import Callable

from posthouse.model import Account, BodyRef, Folder, FolderType, Item, ItemDraft, News
from posthouse.store import accounts, bodies, folders, items
from posthouse.store.inline import InlineDatabase

#: the time at which tests begin, ms: 2026-01-01T00:00:00Z
NOW = 1_767_225_600_000


def make_database(publish: Callable[[News], None] | None = None) -> InlineDatabase:
    """An open, empty store in memory. ``db.write_now(f)`` and ``db.read_now(f)`` are plain calls."""
    database = InlineDatabase() if publish is None else InlineDatabase(publish=publish)
    return database.open()


def make_account(
    db: InlineDatabase, address: str = "a@example.org", *, admin: bool = False, password_hash: str = "!"
) -> Account:
    """An account, and its domain where that is missing."""
    domain = address.rpartition("@")[2]

    def make(tx):  # type: ignore[no-untyped-def]
        if not accounts.is_local_domain(tx, domain):
            accounts.add_domain(tx, domain, NOW)
        return accounts.add_account(tx, address, address.partition("@")[0].title(), password_hash, admin, NOW)

    return db.write_now(make)


def folder(db: InlineDatabase, account: Account, type: FolderType = FolderType.INBOX) -> Folder:
    """A default folder of an account."""
    return db.read_now(lambda tx: folders.folder_of_type(tx, account.mailbox_id, type))


def put(db: InlineDatabase, data: bytes = b"Subject: hi\r\n\r\nhello\r\n") -> BodyRef:
    """Store a body."""
    return db.write_now(lambda tx: bodies.put_body(tx, bodies.prepare(data), NOW))


def add(
    db: InlineDatabase,
    where: Folder,
    subject: str = "hi",
    received: int = NOW,
    data: bytes = b"Subject: hi\r\n\r\nhello\r\n",
    **fields: object,
) -> Item:
    """Put an item into a folder. ``fields`` are those of ``ItemDraft``."""
    draft = ItemDraft(received=received, size=len(data), subject=subject, **fields)  # type: ignore[arg-type]

    def make(tx):  # type: ignore[no-untyped-def]
        body = bodies.put_body(tx, bodies.prepare(data), NOW)
        number = items.add_item(tx, where, draft, body.id, NOW)
        return items.items(tx, where.id, [number])[number]

    return db.write_now(make)
