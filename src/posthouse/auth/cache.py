"""What the authenticator remembers of checks it has made, keyed so that a memory dump names no password.

The promise: a look-up costs one HMAC-SHA256 under a key that lives only in this process; ``forget`` empties
everything of one account at once; the number of entries is bounded, the oldest unused go first.

Successes come in two ages. A *fresh* one answers by itself. A *stale* one only says "this password was right
for that stored hash": one database read that finds the same hash makes it fresh again, without bcrypt.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict

from attrs import define, field

from posthouse.model import Account

__all__ = ["Remembered", "Successes", "keyed_digest"]


def keyed_digest(key: bytes, kind: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 over parts of any length, none of which can run into the next."""
    message = kind + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, message, "sha256")


@define(eq=False, repr=False)
class Remembered:
    """One success. ``proof`` is what it rests on: the stored hash, or the digest of an app password."""

    account: Account
    proof: str | bytes
    expires: float


@define(eq=False, repr=False)
class Successes:
    """Digest of (login, password) or of a whole Basic header -> the account it belongs to."""

    size: int
    _entries: OrderedDict[bytes, Remembered] = field(init=False, factory=OrderedDict)
    _by_account: dict[int, set[bytes]] = field(init=False, factory=dict)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> Remembered | None:
        entry = self._entries.get(digest)
        if entry is not None:
            self._entries.move_to_end(digest)
        return entry

    def put(self, digest: bytes, entry: Remembered) -> None:
        self.drop(digest)
        self._entries[digest] = entry
        self._by_account.setdefault(entry.account.id, set()).add(digest)
        while len(self._entries) > self.size:
            self.drop(next(iter(self._entries)))

    def drop(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is not None:
            digests = self._by_account[entry.account.id]
            digests.discard(digest)
            if not digests:
                del self._by_account[entry.account.id]

    def forget(self, account_id: int) -> None:
        for digest in self._by_account.pop(account_id, ()):
            del self._entries[digest]
