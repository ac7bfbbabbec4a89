"""All that is known of a message and its sender, added up to one verdict in words.

Promise: pure; every point that counts is named in the verdict. What a reader said of a sender counts most, and it
counts for a sender only who is shown to be that sender: whoever forges a friend's address gains nothing.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["THRESHOLD", "Evidence", "Opinion", "Reputation", "judge"]

#: points from which a message is junk
THRESHOLD = 5.0


@frozen
class Reputation:
    """What a mailbox knows of a sender.

    :ivar listed: "safe", "blocked" or "" by the user's own lists. :ivar written: the user has written to him.
    :ivar junk: messages of his that went to Junk by hand, :ivar good: that came out of it, or were answered or filed.
    """

    listed: str = ""
    written: bool = False
    junk: int = 0
    good: int = 0


@frozen
class Evidence:
    """What is known of a message.

    :ivar policy: the author's domain asks to put it aside (in words). :ivar authentic: the author is who he says.
    :ivar spf: the result for MAIL FROM. :ivar signed: some signature is valid.
    :ivar listed: (list, points) that the peer is on. :ivar likely: by the words, 0 to 1; None: not asked.
    :ivar scanner: (points of an outside filter, the points at which it calls it junk); None: not asked.
    """

    policy: str = ""
    authentic: bool = False
    spf: str = "none"
    signed: bool = False
    listed: tuple[tuple[str, float], ...] = ()
    likely: float | None = None
    scanner: tuple[float, float] | None = None


@frozen
class Opinion:
    """:ivar reason: in words, for the reader; "" when it is not junk."""

    junk: bool = False
    points: float = 0.0
    reason: str = ""


def points_of(evidence: Evidence) -> list[tuple[float, str]]:
    """What speaks for junk (and against, below 0), without regard to the reader's senders."""
    found: list[tuple[float, str]] = []
    if evidence.spf in ("fail", "softfail") and not evidence.signed:
        found.append((1.5 if evidence.spf == "fail" else 0.5, "the sender's domain does not know the host"))
    for name, points in evidence.listed:
        found.append((points, f"the host is listed by {name}"))
    if evidence.likely is not None:
        found += _by_words(evidence.likely)
    if evidence.scanner is not None:
        points, limit = evidence.scanner
        if limit > 0:
            # An outside filter that is sure is enough; half as sure is half of enough. It may acquit, too, a little.
            share = min(max(points / limit, -0.4), 2.0) * THRESHOLD
            found.append((share, f"the filter gives it {points:.1f} of {limit:.1f}"))
    return found


def _by_words(likely: float) -> list[tuple[float, str]]:
    percent = f"its words are those of junk ({likely:.1%})"
    for bound, points in ((0.995, 5.5), (0.98, 4.0), (0.9, 2.5), (0.7, 1.0)):
        if likely >= bound:
            return [(points, percent)]
    for bound, points in ((0.02, -3.0), (0.1, -1.5)):
        if likely <= bound:
            return [(points, "its words are those of good mail")]
    return []


def judge(evidence: Evidence, sender: Reputation, threshold: float = THRESHOLD) -> Opinion:
    """The verdict for one reader."""
    if sender.listed == "blocked":
        return Opinion(True, 100.0, "you blocked the sender")
    if evidence.policy:
        # Not even a friend: it is not shown to be from him.
        return Opinion(True, 100.0, evidence.policy)
    if sender.listed == "safe" and evidence.authentic:
        return Opinion(False, -100.0)
    found = points_of(evidence)
    if sender.junk > sender.good:
        found.append(
            (min(2.0 + 1.5 * (sender.junk - sender.good), 6.0), "you moved mail of the sender to Junk")
        )
    if evidence.authentic:
        if sender.written:
            found.append((-6.0, "you have written to the sender"))
        elif sender.good > sender.junk:
            found.append((-4.0, "you kept mail of the sender"))
    total = sum(points for points, _ in found)
    if total < threshold:
        return Opinion(False, round(total, 1))
    told = [words for points, words in sorted(found, reverse=True) if points > 0]
    return Opinion(True, round(total, 1), "; ".join(told[:4]))
