"""The domains that mail is taken for: A-labels, lower case."""

from __future__ import annotations

from posthouse.errors import Exists, NoSuchAccount, NotPermitted
from posthouse.store.dialect import clean
from posthouse.store.transaction import Transaction

__all__ = ["add_domain", "delete_domain", "domains", "is_local_domain"]


def add_domain(tx: Transaction, name: str, now: int) -> None:
    """Take mail for a domain (A-labels, lower case). :raises Exists: it is there."""
    if is_local_domain(tx, name):
        raise Exists(f"The domain {name} exists already.")
    tx.execute("INSERT INTO domain (name, created) VALUES (?, ?)", (clean(name), now))


def domains(tx: Transaction) -> list[str]:
    """The domains that mail is taken for, in the order in which they were added."""
    return [row[0] for row in tx.execute("SELECT name FROM domain ORDER BY id")]


def is_local_domain(tx: Transaction, domain: str) -> bool:
    """True for a domain of ours."""
    return tx.one("SELECT 1 FROM domain WHERE name = ?", (clean(domain),)) is not None


def delete_domain(tx: Transaction, name: str) -> None:
    """Take no more mail for a domain.

    :raises NoSuchAccount: not one of ours. :raises NotPermitted: accounts or aliases use it.
    """
    if not is_local_domain(tx, name):
        raise NoSuchAccount(f"The domain {name} is not served here.")
    used = tx.one("SELECT 1 FROM account WHERE domain = ? AND deleting = 0 LIMIT 1", (name,)) or tx.one(
        "SELECT 1 FROM alias WHERE address LIKE ? ESCAPE '!' LIMIT 1",
        ("%@" + name.replace("!", "!!").replace("_", "!_").replace("%", "!%"),),
    )
    if used is not None:
        raise NotPermitted(f"The domain {name} still has accounts or aliases.")
    tx.execute("DELETE FROM dkim_key WHERE domain = ?", (name,))
    tx.execute("DELETE FROM domain WHERE name = ?", (name,))
