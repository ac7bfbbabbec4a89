"""Which messages belong together, and how Exchange names such a conversation.

Thread keys are hashes of message identifiers (RFC 5322 3.6.4): two messages that share a key belong
together. The conversation index is that of MS-OXOMSG 2.2.1.3.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

_FILETIME_EPOCH = 116_444_736_000_000_000  # 1970 in units of 100 ns since 1601
MAX_KEYS = 100
MAX_INDEX = 22 + 5 * 200


class Threaded(Protocol):
    """What is read of a message: identifiers without angle brackets."""

    @property
    def message_id(self) -> str: ...
    @property
    def in_reply_to(self) -> str: ...
    @property
    def references(self) -> tuple[str, ...]: ...


def identifier_key(identifier: str) -> bytes:
    """16 bytes that stand for a message identifier."""
    return hashlib.blake2b(identifier.strip("<> \t").encode("utf-8", "replace"), digest_size=16).digest()


def thread_keys(message: Threaded) -> list[bytes]:
    """The keys of a message, its own first, then from the root of the thread on; no key twice."""
    names = [message.message_id, *message.references, message.in_reply_to]
    unique = dict.fromkeys(name for name in names if name)
    return [identifier_key(name) for name in list(unique)[:MAX_KEYS]]


def conversation_index(date_ms: int, conversation: bytes) -> bytes:
    """The index of a conversation's first message: 22 bytes.

    MS-OXOMSG 2.2.1.3: one reserved byte that is also the top of the time, five bytes of FILETIME, a GUID.
    """
    filetime = max(0, date_ms * 10_000 + _FILETIME_EPOCH)
    # The top byte of a FILETIME of our time is 0x01, which is the reserved byte as well.
    return b"\x01" + (filetime >> 16 & (1 << 40) - 1).to_bytes(5, "big") + conversation[:16].ljust(16, b"\0")


def short_index(index: bytes) -> bytes:
    """The index as MS-ASCON 2.2.2.4 has it: the time and what follows it, without the conversation's own id."""
    return index[1:6] + index[22:]


def child_index(parent: bytes, date_ms: int) -> bytes:
    """The index of a reply: that of its parent and five bytes for the time between them."""
    if len(parent) < 22 or len(parent) + 5 > MAX_INDEX:
        return parent
    begun = int.from_bytes(parent[:6], "big") << 16
    delta = max(0, date_ms * 10_000 + _FILETIME_EPOCH - begun)
    if delta < 1 << 49:
        code, bits = 0, delta >> 18
    else:
        code, bits = 1, delta >> 23
    level = (code << 31 | bits & (1 << 31) - 1) << 8
    return parent + level.to_bytes(5, "big")
