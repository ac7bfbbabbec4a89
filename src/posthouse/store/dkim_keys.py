"""The keys that sign outgoing mail: two for each domain, RSA and Ed25519, each under a selector of its own.

The private halves lie in the file that holds the mail itself, mode 0600; they never reach a log.
"""

from __future__ import annotations

from attrs import field, frozen

from posthouse.errors import NoSuchAccount
from posthouse.store.dialect import clean
from posthouse.store.domains import is_local_domain
from posthouse.store.transaction import Transaction

__all__ = ["DkimKey", "add_key", "keys_of"]


@frozen
class DkimKey:
    """``algorithm`` is "rsa" or "ed25519", ``private`` PKCS #8 in DER."""

    domain: str
    selector: str
    algorithm: str
    private: bytes = field(repr=False)
    created: int


def add_key(tx: Transaction, key: DkimKey) -> None:
    """Keep a key, in place of one under the same selector. :raises NoSuchAccount: not one of our domains."""
    if not is_local_domain(tx, key.domain):
        raise NoSuchAccount(f"The domain {key.domain} is not served here.")
    tx.execute(
        "INSERT INTO dkim_key (domain, selector, algorithm, private, created) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (domain, selector) DO UPDATE SET algorithm = excluded.algorithm, "
        "private = excluded.private, created = excluded.created",
        (clean(key.domain), clean(key.selector), key.algorithm, key.private, key.created),
    )


def keys_of(tx: Transaction, domain: str) -> list[DkimKey]:
    """The keys of a domain, RSA first: what not everybody understands comes last."""
    rows = tx.execute(
        "SELECT domain, selector, algorithm, private, created FROM dkim_key WHERE domain = ? "
        "ORDER BY algorithm DESC, created, selector",
        (clean(domain),),
    )
    return [DkimKey(row[0], row[1], row[2], bytes(row[3]), row[4]) for row in rows]
