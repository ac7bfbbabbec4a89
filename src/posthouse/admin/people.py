"""Users and app passwords.

A new password and a disabled account take effect at once: every remembered login is dropped and every parked
request of the account ends, before the operation answers.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from posthouse.admin.domains import DOMAIN_NAME
from posthouse.admin.registry import Ports, operation
from posthouse.auth.passwords import make_app_password
from posthouse.errors import Exists, Malformed, NoSuchAccount, NoSuchThing
from posthouse.mime import addresses
from posthouse.model import Account
from posthouse.store import accounts, aliases

__all__ = ["account_of", "account_shown", "fold_address", "make_password"]

# RFC 5322 3.2.3 dot-atom, with RFC 6532's characters; a quoted local part is asking for trouble.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff.-]{1,64}")
MIN_PASSWORD = 8  # characters; NIST SP 800-63B 3.1.1.2


def make_password(random: Any) -> str:
    """A password of 100 random bits in four groups, without letters that look alike ("7kq2x-...")."""
    text = base64.b32encode(random(13)).decode().lower().translate(str.maketrans("l1o0", "w8x9"))[:20]
    return "-".join(text[start : start + 5] for start in range(0, 20, 5))


def fold_address(text: str) -> str:
    """The folded form of an address that an administrator typed.

    :raises Malformed: it is none.
    """
    folded = addresses.fold_address(text.strip())
    local, at, domain = folded.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not DOMAIN_NAME.fullmatch(domain) or ".." in f".{local}.":
        raise Malformed(f'"{text[:100]}" is not a mail address; write it like ann@example.org.')
    return folded


async def account_of(ports: Ports, address: str) -> Account:
    """The account with that primary address.

    :raises NoSuchAccount: none has it.
    """
    folded = fold_address(address)
    found: Account | None = await ports.db.read(lambda tx: accounts.account_by_address(tx, folded))
    if found is None:
        raise NoSuchAccount(f"There is no user {folded}.")
    return found


@operation("user add")
async def user_add(
    ports: Ports, address: str, password: str | None = None, name: str = "", admin: bool = False
) -> dict[str, Any]:
    """Add a user with a mailbox; without a password one is made and shown once."""
    folded = fold_address(address)
    secret, shown = _secret(ports, password)
    hashed = await ports.hash_password(secret)

    def add(tx: Any) -> Account:
        domain = folded.rpartition("@")[2]
        if not accounts.is_local_domain(tx, domain):
            raise NoSuchThing(
                f"There is no domain {domain} here; add it first: posthouse domain add {domain}"
            )
        if accounts.account_by_address(tx, folded) is not None:
            raise Exists(f"There is a user {folded} already.")
        return accounts.add_account(tx, folded, name, hashed, admin, ports.now())

    account: Account = await ports.db.write(add)
    return account_shown(account) | shown


@operation("user list")
async def user_list(ports: Ports) -> list[dict[str, Any]]:
    """List all users."""
    return [account_shown(account) for account in await ports.db.read(accounts.accounts)]


@operation("user passwd")
async def user_passwd(ports: Ports, address: str, password: str | None = None) -> dict[str, Any]:
    """Set a user's password, at once; without one, one is made and shown once."""
    account = await account_of(ports, address)
    secret, shown = _secret(ports, password)
    hashed = await ports.hash_password(secret)
    await ports.db.write(lambda tx: accounts.set_password(tx, account.id, hashed))
    ports.forget(account.id, account.mailbox_id)
    return {"address": account.address} | shown


@operation("user disable")
async def user_disable(ports: Ports, address: str) -> dict[str, Any]:
    """Refuse a user's logins for now, at once; mail for the user is kept."""
    return await _enable(ports, address, False)


@operation("user enable")
async def user_enable(ports: Ports, address: str) -> dict[str, Any]:
    """Let a disabled user in again."""
    return await _enable(ports, address, True)


async def _enable(ports: Ports, address: str, enabled: bool) -> dict[str, Any]:
    account = await account_of(ports, address)
    await ports.db.write(lambda tx: accounts.set_enabled(tx, account.id, enabled))
    ports.forget(account.id, account.mailbox_id)
    return {"address": account.address, "enabled": enabled}


@operation("user delete")
async def user_delete(ports: Ports, address: str) -> dict[str, Any]:
    """Delete a user and the whole mailbox, for ever; say which aliases, groups and others still name the address."""
    account = await account_of(ports, address)
    await ports.db.write(lambda tx: accounts.set_enabled(tx, account.id, False))
    ports.forget(account.id, account.mailbox_id)
    # In slices, so that a large mailbox does not hold up everybody's mail (one writer).
    while not await ports.db.write(lambda tx: accounts.delete_account(tx, account.id)):
        pass
    # They stay, for a successor; whoever gets the address next is in them.
    named = await ports.db.read(lambda tx: aliases.naming(tx, account.address))
    return {"address": account.address, "still_named_by": named}


@operation("app-password add")
async def app_password_add(ports: Ports, address: str, label: str) -> dict[str, Any]:
    """Make a password for one device or program, shown once."""
    account = await account_of(ports, address)
    if not label.strip() or len(label) > 100:
        raise Malformed("The label must have 1 to 100 characters.")
    text, digest = make_app_password(ports.random)
    number = await ports.db.write(
        lambda tx: accounts.add_app_password(tx, account.id, label.strip(), digest, ports.now())
    )
    return {"id": number, "address": account.address, "label": label.strip(), "password": text}


@operation("app-password list")
async def app_password_list(ports: Ports, address: str) -> list[dict[str, Any]]:
    """List the app passwords of a user (never the passwords themselves)."""
    account = await account_of(ports, address)
    rows = await ports.db.read(lambda tx: accounts.app_passwords(tx, account.id))
    return [{"id": row[0], "label": row[1], "created": row[2], "last_used": row[3]} for row in rows]


@operation("app-password delete")
async def app_password_delete(ports: Ports, address: str, id: int) -> dict[str, Any]:
    """Withdraw an app password, at once."""
    account = await account_of(ports, address)

    if not await ports.db.write(lambda tx: accounts.delete_app_password(tx, account.id, id)):
        raise NoSuchThing(f"{account.address} has no app password {id}.")
    ports.forget(account.id, account.mailbox_id)
    return {"id": id, "address": account.address}


def account_shown(account: Account) -> dict[str, Any]:
    """What is told of a user everywhere."""
    return {
        "address": account.address,
        "name": account.name,
        "enabled": account.enabled,
        "admin": account.admin,
        "created": account.created,
    }


def _secret(ports: Ports, password: str | None) -> tuple[bytes, dict[str, str]]:
    """(bytes to hash, what to show once)."""
    if password is None:
        made = make_password(ports.random)
        return made.encode(), {"password": made}
    if len(password) < MIN_PASSWORD:
        raise Malformed(f"A password needs {MIN_PASSWORD} characters at least.")
    return password.encode("utf-8", "surrogatepass"), {}
