"""Where mail for an address goes: aliases, plus addresses, and the two names that every domain has.

RFC 5321 4.5.1 and RFC 2142: postmaster and abuse are always accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.errors import Exists, NoSuchAccount, TooLarge, TryLater
from posthouse.model import Recipient
from posthouse.store.dialect import clean
from posthouse.store.domains import is_local_domain
from posthouse.store.people import Kind, forget_person, remember_person
from posthouse.store.transaction import Transaction

__all__ = ["MAX_TARGETS", "add_alias", "aliases", "delete_alias", "owned_addresses", "route"]

#: addresses that one address may mean, all steps counted
MAX_TARGETS = 200
# RFC 5321 4.5.1, RFC 2142 section 4
_ALWAYS = ("postmaster", "abuse")


def add_alias(tx: Transaction, address: str, targets: Sequence[str], now: int) -> None:
    """Let an address mean others, here or elsewhere.

    :raises Exists: the address is taken. :raises NoSuchAccount: its domain is not ours, or no target.
    :raises TooLarge: more than ``MAX_TARGETS``.
    """
    address = clean(address)
    if not is_local_domain(tx, address.rpartition("@")[2]):
        raise NoSuchAccount(f"The domain of {address} is not served here.")
    if not targets:
        raise NoSuchAccount("An alias needs a target.")
    if len(targets) > MAX_TARGETS:
        raise TooLarge(f"An alias may have {MAX_TARGETS} targets.")
    taken = "SELECT 1 FROM account WHERE address = ? UNION ALL SELECT 1 FROM alias WHERE address = ?"
    if tx.one(taken, (address, address)) is not None:
        raise Exists(f"The address {address} exists already.")
    alias_id = tx.value("INSERT INTO alias (address, created) VALUES (?, ?) RETURNING id", (address, now))
    tx.many(
        "INSERT INTO alias_target (alias_id, position, target) VALUES (?, ?, ?)",
        [(alias_id, position, clean(target)) for position, target in enumerate(dict.fromkeys(targets))],
    )
    remember_person(tx, Kind.GROUP, address, "")


def delete_alias(tx: Transaction, address: str) -> None:
    """Forget an alias. :raises NoSuchAccount: there is none."""
    alias_id = tx.value("DELETE FROM alias WHERE address = ? RETURNING id", (clean(address),))
    if alias_id is None:
        raise NoSuchAccount(f"There is no alias {address}.")
    tx.execute("DELETE FROM alias_target WHERE alias_id = ?", (alias_id,))
    forget_person(tx, address)


def aliases(tx: Transaction) -> list[tuple[str, tuple[str, ...]]]:
    """Every alias with its targets, by address."""
    found: dict[str, list[str]] = {}
    for address, target in tx.execute(
        "SELECT a.address, t.target FROM alias a JOIN alias_target t ON t.alias_id = a.id "
        "ORDER BY a.address, t.position"
    ):
        found.setdefault(address, []).append(target)
    return [(address, tuple(targets)) for address, targets in found.items()]


def owned_addresses(tx: Transaction, account_id: int) -> frozenset[str]:
    """The primary address and every alias that points to it directly: what the account may send as."""
    rows = tx.execute(
        "SELECT address FROM account WHERE id = ? AND deleting = 0 UNION ALL "
        "SELECT a.address FROM account c JOIN alias_target t ON t.target = c.address "
        "JOIN alias a ON a.id = t.alias_id WHERE c.id = ? AND c.deleting = 0",
        (account_id, account_id),
    )
    return frozenset(row[0] for row in rows)


def route(tx: Transaction, folded_address: str) -> Recipient:
    """What an address means.

    A disabled account behind an alias is passed over while others are left.

    :raises NoSuchAccount: a domain of ours, but nobody there.
    :raises TryLater: only a disabled account, whose mail waits; groups of groups beyond ``MAX_TARGETS``.
    """
    address = clean(folded_address)
    if "@" not in address:
        # RFC 5321 4.5.1: RCPT TO:<postmaster> needs no domain.
        domain = tx.value("SELECT name FROM domain ORDER BY id LIMIT 1")
        if address not in _ALWAYS or domain is None:
            raise NoSuchAccount
        address = f"{address}@{domain}"
    if not is_local_domain(tx, address.rpartition("@")[2]):
        return Recipient(folded_address, remote=(address,))
    mailboxes: dict[int, None] = {}
    remote: dict[str, None] = {}
    disabled = False
    seen = {address}
    waiting = [address]
    while waiting:
        current = waiting.pop(0)
        if current != address and not is_local_domain(tx, current.rpartition("@")[2]):
            remote[current] = None
            continue
        found = _local(tx, current)
        if isinstance(found, list):
            for target in found:
                if target in seen:
                    continue
                if len(seen) > MAX_TARGETS:  # the address itself is one of them
                    # Some of them without the others would lose mail in silence.
                    raise TryLater(
                        "The group is too large.",
                        cause=f"{address} means over {MAX_TARGETS} others",
                        after=3600,
                    )
                seen.add(target)
                waiting.append(target)
        elif found is not None:
            mailbox_id, enabled = found
            if enabled:
                mailboxes[mailbox_id] = None
            else:
                disabled = True
    if not mailboxes and not remote:
        if disabled:
            raise TryLater("The mailbox is disabled for now.", cause=f"{address} is disabled", after=3600)
        raise NoSuchAccount
    return Recipient(folded_address, mailbox_ids=tuple(mailboxes), remote=tuple(remote))


def _local(tx: Transaction, address: str) -> tuple[int, bool] | list[str] | None:
    """A mailbox and whether it is open, the targets of an alias, or None."""
    local, _, domain = address.rpartition("@")
    candidates = [address]
    stem = local.partition("+")[0]
    if stem and stem != local:
        candidates.append(f"{stem}@{domain}")
    for candidate in candidates:
        row = tx.one(
            "SELECT mailbox_id, enabled FROM account WHERE address = ? AND deleting = 0", (candidate,)
        )
        if row is not None:
            return row[0], bool(row[1])
        targets = tx.execute(
            "SELECT t.target FROM alias a JOIN alias_target t ON t.alias_id = a.id WHERE a.address = ? "
            "ORDER BY t.position",
            (candidate,),
        )
        if targets:
            return [target[0] for target in targets]
    if stem in _ALWAYS:
        row = tx.one(
            "SELECT mailbox_id, enabled FROM account WHERE deleting = 0 AND enabled = 1 "
            "ORDER BY admin DESC, id LIMIT 1"
        )
        if row is not None:
            return row[0], bool(row[1])
    return None
