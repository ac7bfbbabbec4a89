"""What the filter learns of a message: its words, each as 64 bits of a hash.

Promise: pure and bounded; at most ``MAX_TOKENS`` of a message, the same for the same message for ever (what was
learned is unlearned by them). Nobody can read a message from them without guessing its words.

Words of the text stand for themselves; those of the subject, the sender and the hosts of links are marked with where
they were found, since "free" in a subject is another thing than "free" in a text. After Graham, "A Plan for Spam"
(2002) and "Better Bayesian Filtering" (2003).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import islice

__all__ = ["MAX_TEXT", "MAX_TOKENS", "tokens"]

#: tokens of one message
MAX_TOKENS = 400
#: characters of text that are looked at
MAX_TEXT = 24_000
# What stands in front must leave room for the text: a long subject, a domain of a hundred labels.
_MOST_LABELS = 6
_MOST_OF_SUBJECT = 100
_WORD = re.compile(r"[^\W_][\w'’$€%!-]{1,24}")
_LINK = re.compile(r"(?i)\bhttps?://([a-z0-9.-]{1,100})")
# Scripts that put no blanks between words are taken in pairs of characters.
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]{2,200}")


def tokens(subject: str, sender: str, text: str, marks: Iterable[str] = ()) -> tuple[int, ...]:
    """The tokens of a message.

    :param sender: the address in From. :param text: of the body; ``MAX_TEXT`` of it count.
    :param marks: whatever else is known of it, in short words ("dkim:example.org").
    :returns: signed 64-bit numbers, each once.
    """
    local, _, domain = sender.lower().rpartition("@")
    found: dict[str, None] = {f"mark:{one}": None for one in marks}
    found[f"from:{local}@{domain}"] = None
    labels = domain.rsplit(".", _MOST_LABELS)[-_MOST_LABELS:]
    for start in range(max(len(labels) - 1, 1)):
        found[f"at:{'.'.join(labels[start:])}"] = None
    words = islice(_words(subject[:1000]), _MOST_OF_SUBJECT)
    found.update((f"subject:{word}", None) for word in words)
    text = text[:MAX_TEXT]
    for host in _LINK.findall(text)[:200]:
        parts = host.lower().strip(".").split(".")
        found["link:" + ".".join(parts[-2:])] = None
        found["link:" + ".".join(parts)] = None
        if len(found) >= MAX_TOKENS // 2:
            break
    for word in _words(text):
        found[word] = None
        if len(found) >= MAX_TOKENS:
            break
    return tuple(dict.fromkeys([_number(one) for one in list(found)[:MAX_TOKENS]]))


def _words(text: str) -> Iterable[str]:
    for match in _WORD.finditer(text):
        word = match[0]
        if _DENSE.match(word):
            yield from (word[at : at + 2] for at in range(len(word) - 1))
        else:
            yield word.lower()


def _number(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
