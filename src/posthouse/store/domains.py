"""The domains that mail is taken for: A-labels, lower case.

A domain may stand for another one: each of its addresses is the same address there, and it has none of its own.
A catch-all gets what comes for nobody.
"""

from __future__ import annotations

from attrs import frozen

from posthouse.errors import Exists, NoSuchAccount, NotPermitted
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = [
    "Domain",
    "add_domain",
    "close_address",
    "closed_addresses",
    "delete_domain",
    "domain_listing",
    "domains",
    "is_local_domain",
    "open_address",
    "real_domain",
    "require_own_addresses",
    "set_catch_all",
]


@frozen
class Domain:
    """``alias_of``: the domain that it stands for, or ""; ``catch_all``: a folded address, or ""."""

    name: str
    alias_of: str = ""
    catch_all: str = ""


def add_domain(tx: Transaction, name: str, now: int, alias_of: str = "") -> None:
    """Take mail for a domain (A-labels, lower case).

    :param alias_of: a domain of ours that it stands for.
    :raises Exists: it is there. :raises NoSuchAccount: the other one is not.
    :raises NotPermitted: the other one stands for a third.
    """
    if is_local_domain(tx, name):
        raise Exists(f"The domain {name} exists already.")
    if alias_of:
        if not is_local_domain(tx, alias_of):
            raise NoSuchAccount(f"The domain {alias_of} is not served here.")
        if real_domain(tx, alias_of) != alias_of:
            raise NotPermitted(f"The domain {alias_of} stands for another one itself.")
    tx.execute(
        "INSERT INTO domain (name, created, alias_of) VALUES (?, ?, ?)", (clean(name), now, clean(alias_of))
    )


def domains(tx: Transaction) -> list[str]:
    """The domains that mail is taken for, in the order in which they were added."""
    return [row[0] for row in tx.execute("SELECT name FROM domain ORDER BY id")]


def domain_listing(tx: Transaction) -> list[Domain]:
    """Likewise, with what is known of them."""
    return [Domain(*row) for row in tx.execute("SELECT name, alias_of, catch_all FROM domain ORDER BY id")]


def is_local_domain(tx: Transaction, domain: str) -> bool:
    """True for a domain of ours."""
    return tx.one("SELECT 1 FROM domain WHERE name = ?", (clean(domain),)) is not None


def real_domain(tx: Transaction, domain: str) -> str:
    """The domain that this one stands for, or itself."""
    return str(tx.value("SELECT alias_of FROM domain WHERE name = ?", (clean(domain),)) or domain)


def require_own_addresses(tx: Transaction, address: str) -> None:
    """May the domain of this address have addresses of its own?

    :raises NoSuchAccount: not one of ours. :raises NotPermitted: it stands for another one.
    """
    domain = address.rpartition("@")[2]
    if not is_local_domain(tx, domain):
        raise NoSuchAccount(f"The domain of {address} is not served here.")
    real = real_domain(tx, domain)
    if real != domain:
        raise NotPermitted(f"The addresses of {domain} are those of {real}.")


def delete_domain(tx: Transaction, name: str) -> None:
    """Take no more mail for a domain.

    :raises NoSuchAccount: not one of ours. :raises NotPermitted: accounts, aliases or other domains use it.
    """
    if not is_local_domain(tx, name):
        raise NoSuchAccount(f"The domain {name} is not served here.")
    like = "%@" + name.replace("!", "!!").replace("_", "!_").replace("%", "!%")
    used = tx.one("SELECT 1 FROM account WHERE domain = ? AND deleting = 0 LIMIT 1", (name,)) or tx.one(
        "SELECT 1 FROM alias WHERE address LIKE ? ESCAPE '!' LIMIT 1", (like,)
    )
    if used is not None:
        raise NotPermitted(f"The domain {name} still has accounts or aliases.")
    other = tx.value("SELECT name FROM domain WHERE alias_of = ? LIMIT 1", (name,))
    if other is not None:
        raise NotPermitted(f"The domain {other} stands for {name}; delete it first.")
    tx.execute("DELETE FROM dkim_key WHERE domain = ?", (name,))
    tx.execute("DELETE FROM own_sts WHERE domain = ?", (name,))
    tx.execute("DELETE FROM closed_address WHERE address LIKE ? ESCAPE '!'", (like,))
    tx.execute("DELETE FROM send_grant WHERE address LIKE ? ESCAPE '!'", (like,))
    tx.execute("DELETE FROM domain WHERE name = ?", (name,))


def set_catch_all(tx: Transaction, name: str, target: str) -> None:
    """Give everything that comes for nobody to an address; "" refuses it again.

    :raises NoSuchAccount: not a domain of ours. :raises NotPermitted: it stands for another one.
    """
    require_own_addresses(tx, f"x@{name}")
    tx.execute("UPDATE domain SET catch_all = ? WHERE name = ?", (clean(target), clean(name)))


# -- addresses that take no mail ---------------------------------------------------------------------------


def close_address(tx: Transaction, address: str, note: str, now: int) -> bool:
    """Refuse mail for a (folded) address, whoever has it, or nobody. False: it was so already.

    :raises NoSuchAccount: its domain is not ours.
    """
    if not is_local_domain(tx, address.rpartition("@")[2]):
        raise NoSuchAccount(f"The domain of {address} is not served here.")
    tx.execute(
        "INSERT INTO closed_address (address, at, note) VALUES (?, ?, ?) ON CONFLICT (address) DO NOTHING",
        (clean(address), now, clean(note)),
    )
    return tx.rowcount > 0


def open_address(tx: Transaction, address: str) -> bool:
    """Take mail for it again. False: it was not closed."""
    tx.execute("DELETE FROM closed_address WHERE address = ?", (clean(address),))
    return tx.rowcount > 0


def closed_addresses(tx: Transaction, limit: int = 10_000) -> list[tuple[str, int, str]]:
    """(address, since, note) of each, by address."""
    rows = tx.execute("SELECT address, at, note FROM closed_address ORDER BY address LIMIT ?", (limit,))
    return [(row[0], row[1], row[2]) for row in rows]
