"""Who lives here: accounts, logins, app passwords.

Addresses are folded before they come here (lower-case local part, A-label domain). Deleting an account hides
it at once and removes what it owned in slices. The functions of ``domains`` and ``routing`` are at hand
here, too.
"""

from __future__ import annotations

import secrets
from typing import Any

from posthouse.errors import Exists, NoSuchAccount
from posthouse.mime.addresses import fold_address
from posthouse.model import Account, FolderType
from posthouse.store.bulk import remove_items
from posthouse.store.dialect import clean
from posthouse.store.domains import (
    add_domain,
    delete_domain,
    domains,
    is_local_domain,
    real_domain,
    require_own_addresses,
)
from posthouse.store.folders import insert_folder
from posthouse.store.people import Kind, forget_person, remember_person
from posthouse.store.routing import add_alias, aliases, delete_alias, owned_addresses, route
from posthouse.store.transaction import Transaction

__all__ = [
    "account_by_address",
    "account_by_id",
    "account_by_mailbox",
    "account_for_app_password",
    "accounts",
    "add_account",
    "add_alias",
    "add_app_password",
    "add_domain",
    "aliases",
    "app_passwords",
    "delete_account",
    "delete_alias",
    "delete_app_password",
    "delete_domain",
    "directory_name",
    "domains",
    "find_login",
    "is_local_domain",
    "mailbox_guid",
    "owned_addresses",
    "password_hash",
    "route",
    "set_enabled",
    "set_password",
    "set_quota",
    "touch_app_password",
]

# MS-ASCMD 2.2.3.186.3 and what Outlook calls them.
_DEFAULT_FOLDERS = (
    (FolderType.INBOX, "Inbox", ""),
    (FolderType.DRAFTS, "Drafts", ""),
    (FolderType.DELETED, "Deleted Items", ""),
    (FolderType.SENT, "Sent Items", ""),
    (FolderType.OUTBOX, "Outbox", ""),
    (FolderType.TASKS, "Tasks", ""),
    (FolderType.CALENDAR, "Calendar", ""),
    (FolderType.CONTACTS, "Contacts", ""),
    (FolderType.NOTES, "Notes", ""),
    (FolderType.USER_MAIL, "Junk Email", "junk"),
    (FolderType.RECIPIENT_CACHE, "RecipientInfo", "ri"),
)

_COLUMNS = "id, mailbox_id, address, name, enabled, admin, created"
_SLICE = 200


def _account(row: tuple[Any, ...]) -> Account:
    return Account(row[0], row[1], row[2], row[3], bool(row[4]), bool(row[5]), row[6])


# Accounts


def add_account(
    tx: Transaction, address: str, name: str, password_hash: str, admin: bool, now: int
) -> Account:
    """Make an account, its mailbox and the default folders.

    :param address: folded, of a domain that was added.
    :raises Exists: the address is taken by an account or alias. :raises NoSuchAccount: the domain is not
        ours. :raises NotPermitted: the domain stands for another one.
    """
    address = clean(address)
    local, at, domain = address.rpartition("@")
    if not at or not local or not is_local_domain(tx, domain):
        raise NoSuchAccount(f"The domain of {address} is not served here.")
    require_own_addresses(tx, address)
    taken = "SELECT 1 FROM account WHERE address = ? UNION ALL SELECT 1 FROM alias WHERE address = ?"
    if tx.one(taken, (address, address)) is not None:
        raise Exists(f"The address {address} exists already.")
    mailbox_id = tx.value(
        "INSERT INTO mailbox (guid, replica, created) VALUES (?, ?, ?) RETURNING id",
        (secrets.token_bytes(16), secrets.token_bytes(16), now),
    )
    # MS-OXOABK legacyExchangeDN: random, so that a later account of the same address is another person.
    directory = f"/o=posthouse/ou=users/cn=recipients/cn={secrets.token_hex(16)}"
    account_id = tx.value(
        "INSERT INTO account (mailbox_id, address, local_part, domain, name, directory_name, password, "
        "enabled, admin, created) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?) RETURNING id",
        (mailbox_id, address, local, domain, clean(name), directory, password_hash, int(admin), now),
    )
    for type, title, role in _DEFAULT_FOLDERS:
        insert_folder(tx, mailbox_id, 0, title, type, now, role=role)
    remember_person(tx, Kind.USER, address, name, account_id)
    return Account(account_id, mailbox_id, address, clean(name), True, bool(admin), now)


def account_by_address(tx: Transaction, folded: str) -> Account | None:
    """The account whose primary address this is."""
    row = tx.one(f"SELECT {_COLUMNS} FROM account WHERE address = ? AND deleting = 0", (clean(folded),))
    return _account(row) if row else None


def account_by_id(tx: Transaction, account_id: int) -> Account | None:
    """The account, or None when it is gone."""
    row = tx.one(f"SELECT {_COLUMNS} FROM account WHERE id = ? AND deleting = 0", (account_id,))
    return _account(row) if row else None


def account_by_mailbox(tx: Transaction, mailbox_id: int) -> Account | None:
    """The account that owns a mailbox."""
    row = tx.one(f"SELECT {_COLUMNS} FROM account WHERE mailbox_id = ? AND deleting = 0", (mailbox_id,))
    return _account(row) if row else None


def accounts(tx: Transaction) -> list[Account]:
    """Every account, by address."""
    rows = tx.execute(f"SELECT {_COLUMNS} FROM account WHERE deleting = 0 ORDER BY address")
    return [_account(row) for row in rows]


def find_login(tx: Transaction, login: str) -> Account | None:
    """The account that a login means: ``user@domain``, a bare local part that is unique, ``DOMAIN\\user``.

    An alias is no login.
    """
    domain, backslash, user = clean(login).strip().rpartition("\\")
    user = user.lower()
    if "@" in user:
        return account_by_address(tx, _real(tx, fold_address(user)))
    if backslash and "." in domain:
        found = account_by_address(tx, _real(tx, fold_address(f"{user}@{domain}")))
        if found is not None:
            return found
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM account WHERE local_part = ? AND deleting = 0 LIMIT 2", (user,)
    )
    return _account(rows[0]) if len(rows) == 1 else None


def _real(tx: Transaction, folded: str) -> str:
    """The address in the domain that its own may stand for."""
    local, at, domain = folded.rpartition("@")
    return f"{local}{at}{real_domain(tx, domain)}"


def password_hash(tx: Transaction, account_id: int) -> str:
    """The stored hash. :raises NoSuchAccount: gone."""
    found = tx.value("SELECT password FROM account WHERE id = ? AND deleting = 0", (account_id,))
    if found is None:
        raise NoSuchAccount
    return str(found)


def _set(tx: Transaction, account_id: int, column: str, value: str | int) -> None:
    tx.execute(f"UPDATE account SET {column} = ? WHERE id = ? AND deleting = 0", (value, account_id))
    if not tx.rowcount:
        raise NoSuchAccount


def set_password(tx: Transaction, account_id: int, hash: str) -> None:
    """Store a new hash. :raises NoSuchAccount: gone."""
    _set(tx, account_id, "password", hash)


def set_enabled(tx: Transaction, account_id: int, enabled: bool) -> None:
    """Let an account in, or keep it out; it gets its mail all the same. :raises NoSuchAccount: gone."""
    _set(tx, account_id, "enabled", int(enabled))


def directory_name(tx: Transaction, account_id: int) -> str:
    """The account's name in the directory, the same for ever. :raises NoSuchAccount: gone."""
    found = tx.value("SELECT directory_name FROM account WHERE id = ? AND deleting = 0", (account_id,))
    if found is None:
        raise NoSuchAccount
    return str(found)


def mailbox_guid(tx: Transaction, mailbox_id: int) -> bytes:
    """The mailbox's own 16 bytes. :raises NoSuchAccount: gone."""
    found = tx.value("SELECT guid FROM mailbox WHERE id = ?", (mailbox_id,))
    if found is None:
        raise NoSuchAccount
    return bytes(found)


def set_quota(tx: Transaction, mailbox_id: int, quota: int | None) -> None:
    """Limit a mailbox to so many bytes; 0 lifts the limit, None is the limit of everybody (``store.quotas``)."""
    tx.execute("UPDATE mailbox SET quota = ? WHERE id = ?", (quota, mailbox_id))


def delete_account(tx: Transaction, account_id: int) -> bool:
    """Remove an account and what it owned, one slice for each call; nobody finds it from the first on.

    :returns: True when nothing is left to do.
    """
    row = tx.one("SELECT mailbox_id, address FROM account WHERE id = ?", (account_id,))
    if row is None:
        return True
    mailbox_id, address = row
    tx.execute(
        # The address is free at once for somebody else.
        "UPDATE account SET deleting = 1, enabled = 0, address = '!' || id, local_part = '' "
        "WHERE id = ? AND deleting = 0",
        (account_id,),
    )
    if tx.rowcount:
        forget_person(tx, address)
        tx.execute("DELETE FROM app_password WHERE account_id = ?", (account_id,))
        tx.execute("DELETE FROM account_rule WHERE account_id = ?", (account_id,))
        tx.execute("DELETE FROM absence WHERE mailbox_id = ?", (mailbox_id,))
        for table in ("send_grant", "forwarding", "held_message"):
            tx.execute(f"DELETE FROM {table} WHERE account_id = ?", (account_id,))
        tx.execute("DELETE FROM send_grant WHERE address = ?", (address,))
        return False
    if remove_items(tx, mailbox_id):
        return False
    for sql, key in _SLICES:
        tx.execute(sql, (account_id if key == "account" else mailbox_id, _SLICE))
        if tx.rowcount > 0:
            return False
    tx.execute("DELETE FROM mailbox WHERE id = ?", (mailbox_id,))
    tx.execute("DELETE FROM account WHERE id = ?", (account_id,))
    return True


def _owned_by_device(table: str, key: str) -> str:
    return (
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} "
        "WHERE device IN (SELECT id FROM device WHERE account_id = ?) LIMIT ?)"
    )


_IN_MAILBOX = "folder_id IN (SELECT id FROM folder WHERE mailbox_id = ?)"
# In this order: what refers before what is referred to. What is sent already stays in the outbox.
_SLICES = (
    (_owned_by_device("device_state", "device, collection"), "account"),
    (_owned_by_device("device_value", "device, name"), "account"),
    (_owned_by_device("device_send", "id"), "account"),
    (_owned_by_device("device_aside", "device, folder_id, number"), "account"),
    (_owned_by_device("device_log", "id"), "account"),
    ("DELETE FROM device WHERE id IN (SELECT id FROM device WHERE account_id = ? LIMIT ?)", "account"),
    (f"DELETE FROM gone WHERE id IN (SELECT id FROM gone WHERE {_IN_MAILBOX} LIMIT ?)", "mailbox"),
    (
        "DELETE FROM acquaintance WHERE (folder_id, address) IN "
        f"(SELECT folder_id, address FROM acquaintance WHERE {_IN_MAILBOX} LIMIT ?)",
        "mailbox",
    ),
    (
        "DELETE FROM thread_key WHERE (mailbox_id, key) IN "
        "(SELECT mailbox_id, key FROM thread_key WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    (
        "DELETE FROM conversation_rule WHERE (mailbox_id, conversation) IN "
        "(SELECT mailbox_id, conversation FROM conversation_rule WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    (
        "DELETE FROM named_property WHERE (mailbox_id, property) IN "
        "(SELECT mailbox_id, property FROM named_property WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    (
        "DELETE FROM folder_gone WHERE (mailbox_id, at) IN "
        "(SELECT mailbox_id, at FROM folder_gone WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    (
        "DELETE FROM absence_answer WHERE (mailbox_id, audience, sender) IN "
        "(SELECT mailbox_id, audience, sender FROM absence_answer WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    ("DELETE FROM rule WHERE id IN (SELECT id FROM rule WHERE mailbox_id = ? LIMIT ?)", "mailbox"),
    (
        "DELETE FROM known_sender WHERE (mailbox_id, address) IN "
        "(SELECT mailbox_id, address FROM known_sender WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    (
        "DELETE FROM junk_word WHERE (mailbox_id, word) IN "
        "(SELECT mailbox_id, word FROM junk_word WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    (
        "DELETE FROM junk_learned WHERE item_id IN "
        "(SELECT item_id FROM junk_learned WHERE mailbox_id = ? LIMIT ?)",
        "mailbox",
    ),
    ("DELETE FROM folder WHERE id IN (SELECT id FROM folder WHERE mailbox_id = ? LIMIT ?)", "mailbox"),
)


# App passwords


def add_app_password(tx: Transaction, account_id: int, label: str, digest: bytes, now: int) -> int:
    """Keep the SHA-256 of a generated password. :returns: its id. :raises NoSuchAccount: gone."""
    password_hash(tx, account_id)
    return int(
        tx.value(
            "INSERT INTO app_password (account_id, label, digest, created) VALUES (?, ?, ?, ?) RETURNING id",
            (account_id, clean(label), digest, now),
        )
    )


def app_passwords(tx: Transaction, account_id: int) -> list[tuple[int, str, int, int | None]]:
    """(id, label, created, last used) of each, oldest first."""
    rows = tx.execute(
        "SELECT id, label, created, last_used FROM app_password WHERE account_id = ? ORDER BY id",
        (account_id,),
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def account_for_app_password(tx: Transaction, digest: bytes) -> int | None:
    """The account that a password's SHA-256 belongs to."""
    found: int | None = tx.value("SELECT account_id FROM app_password WHERE digest = ?", (digest,))
    return found


def touch_app_password(tx: Transaction, digest: bytes, now: int) -> None:
    """Note that it was used."""
    tx.execute("UPDATE app_password SET last_used = ? WHERE digest = ?", (now, digest))


def delete_app_password(tx: Transaction, account_id: int, password_id: int) -> bool:
    """Withdraw one. True when it was there."""
    tx.execute("DELETE FROM app_password WHERE id = ? AND account_id = ?", (password_id, account_id))
    return tx.rowcount > 0
