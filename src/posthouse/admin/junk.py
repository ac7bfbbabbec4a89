"""What a mailbox knows of junk: senders that its user calls safe or blocked, and what was learned."""

from __future__ import annotations

from typing import Any

from posthouse.admin.domains import DOMAIN_NAME
from posthouse.admin.people import account_of, fold_address
from posthouse.admin.registry import Ports, operation
from posthouse.errors import Malformed
from posthouse.mime import addresses
from posthouse.model import FolderType
from posthouse.store import folders, junk
from posthouse.store.junk import Listed

__all__ = ["sender_name"]

# Newest messages of a folder that are learned at once.
_LESSONS = 500


@operation("junk show")
async def junk_show(ports: Ports, address: str) -> dict[str, Any]:
    """Show what a user's mailbox has learned about junk."""
    account = await account_of(ports, address)

    def read(tx: Any) -> dict[str, Any]:
        known = junk.learned(tx, account.mailbox_id)
        listed = junk.senders(tx, account.mailbox_id)
        return {
            "address": account.address,
            "learned_junk": known.junk,
            "learned_good": known.good,
            "safe_senders": sum(how is Listed.SAFE for _, how in listed),
            "blocked_senders": sum(how is Listed.BLOCKED for _, how in listed),
        }

    return dict(await ports.db.read(read))


@operation("junk senders")
async def junk_senders(ports: Ports, address: str) -> list[dict[str, Any]]:
    """List the senders whom a user calls safe or blocked."""
    account = await account_of(ports, address)
    listed = await ports.db.read(lambda tx: junk.senders(tx, account.mailbox_id))
    return [{"sender": sender, "listed": how.name.lower()} for sender, how in listed]


@operation("junk safe")
async def junk_safe(ports: Ports, address: str, sender: str) -> dict[str, Any]:
    """Let mail of a sender (an address, or @domain) never go to Junk when it is shown to be the sender's."""
    return await _list(ports, address, sender, Listed.SAFE)


@operation("junk block")
async def junk_block(ports: Ports, address: str, sender: str) -> dict[str, Any]:
    """Let all mail of a sender (an address, or @domain) go to Junk."""
    return await _list(ports, address, sender, Listed.BLOCKED)


@operation("junk unlist")
async def junk_unlist(ports: Ports, address: str, sender: str) -> dict[str, Any]:
    """Take a sender off a user's lists."""
    return await _list(ports, address, sender, Listed.NO)


async def _list(ports: Ports, address: str, sender: str, how: Listed) -> dict[str, Any]:
    account = await account_of(ports, address)
    name = sender_name(sender)
    await ports.db.write(lambda tx: junk.list_sender(tx, account.mailbox_id, name, how, ports.now()))
    return {"address": account.address, "sender": name, "listed": how.name.lower()}


def sender_name(text: str) -> str:
    """A folded address, or "@domain". :raises Malformed: it is neither."""
    text = text.strip()
    if "@" in text.lstrip("@"):
        return fold_address(text)
    domain = addresses.fold_domain(text.lstrip("@"))
    if not DOMAIN_NAME.fullmatch(domain):
        raise Malformed(f'"{text[:100]}" is neither a mail address nor a domain, such as @example.org.')
    return f"@{domain}"


@operation("junk learn")
async def junk_learn(ports: Ports, address: str) -> dict[str, Any]:
    """Learn from what lies in a user's folders: Junk is junk, what was read elsewhere is not."""
    account = await account_of(ports, address)

    def note(tx: Any) -> dict[str, Any]:
        bad = folders.folder_of_role(tx, account.mailbox_id, "junk")
        good = 0
        for folder in folders.list_folders(tx, account.mailbox_id):
            kept = folder.id != bad.id and folder.type in (FolderType.INBOX, FolderType.USER_MAIL)
            if kept and good < _LESSONS:
                good += junk.note_folder(tx, folder, False, _LESSONS - good)
        return {
            "address": account.address,
            "junk": junk.note_folder(tx, bad, True, _LESSONS),
            "good": good,
        }

    return dict(await ports.db.write(note))


@operation("junk forget")
async def junk_forget(ports: Ports, address: str) -> dict[str, Any]:
    """Forget all that a user's mailbox has learned; safe and blocked senders stay."""
    account = await account_of(ports, address)
    while await ports.db.write(lambda tx: junk.forget(tx, account.mailbox_id)):
        pass
    return {"address": account.address, "learned_junk": 0, "learned_good": 0}
