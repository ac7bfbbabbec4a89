"""The keys that sign outgoing mail: RSA and Ed25519 for each domain, each under a selector of its own.

Promise: a key comes, signs and goes in three steps, and never signs before it or after it: ``NEXT`` is made and waits
until its record is in DNS; ``ACTIVE`` signs; ``RETIRED`` signs no more, while its record is still wanted by mail on its
way. The private halves lie in the file that holds the mail itself, mode 0600; they never reach a log.
"""

from __future__ import annotations

from attrs import field, frozen

from posthouse.errors import NoSuchAccount
from posthouse.store.dialect import clean
from posthouse.store.domains import is_local_domain
from posthouse.store.transaction import Transaction

__all__ = [
    "ACTIVE",
    "NEXT",
    "RETIRED",
    "DkimKey",
    "add_key",
    "forget_retired",
    "keys_of",
    "signing_keys",
    "switch",
]

NEXT, ACTIVE, RETIRED = "next", "active", "retired"
_COLUMNS = "domain, selector, algorithm, private, created, state, since"


@frozen
class DkimKey:
    """``algorithm`` is "rsa" or "ed25519", ``private`` PKCS #8 in DER.

    ``state``: one of ``NEXT``, ``ACTIVE``, ``RETIRED``, and since when (ms); since 0: since it was created.
    """

    domain: str
    selector: str
    algorithm: str
    private: bytes = field(repr=False)
    created: int
    state: str = ACTIVE
    since: int = 0


def add_key(tx: Transaction, key: DkimKey) -> None:
    """Keep a key, in place of one under the same selector. :raises NoSuchAccount: not one of our domains."""
    if not is_local_domain(tx, key.domain):
        raise NoSuchAccount(f"The domain {key.domain} is not served here.")
    tx.execute(
        f"INSERT INTO dkim_key ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (domain, selector) DO UPDATE SET algorithm = excluded.algorithm, "
        "private = excluded.private, created = excluded.created, state = excluded.state, since = excluded.since",
        (
            clean(key.domain),
            clean(key.selector),
            key.algorithm,
            key.private,
            key.created,
            key.state,
            key.since,
        ),
    )


def keys_of(tx: Transaction, domain: str) -> list[DkimKey]:
    """The keys of a domain, RSA first: what not everybody understands comes last."""
    rows = tx.execute(
        f"SELECT {_COLUMNS} FROM dkim_key WHERE domain = ? ORDER BY algorithm DESC, created, selector",
        (clean(domain),),
    )
    return [DkimKey(row[0], row[1], row[2], bytes(row[3]), *row[4:]) for row in rows]


def signing_keys(tx: Transaction, domain: str) -> list[DkimKey]:
    """Those that sign now, in the same order."""
    return [key for key in keys_of(tx, domain) if key.state == ACTIVE]


def switch(tx: Transaction, domain: str, now: int) -> None:
    """From now on the next keys sign, and those that did are retired."""
    for before, after in ((ACTIVE, RETIRED), (NEXT, ACTIVE)):
        tx.execute(
            "UPDATE dkim_key SET state = ?, since = ? WHERE domain = ? AND state = ?",
            (after, now, clean(domain), before),
        )


def forget_retired(tx: Transaction, domain: str) -> None:
    """Throw the retired keys away."""
    tx.execute("DELETE FROM dkim_key WHERE domain = ? AND state = ?", (clean(domain), RETIRED))
