"""How likely a message is junk, by the words of those that its reader called junk and of those that he kept.

Promise: pure; a number between 0 and 1, near a half when little speaks either way. Nothing is said before enough of
both kinds was learned.

Robinson's probabilities of single words, joined by Fisher's method (Gary Robinson, "A Statistical Approach to the
Spam Problem", Linux Journal 107, 2003).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import frozen

__all__ = ["ENOUGH", "Learned", "probability"]

#: messages of each kind before the filter is asked
ENOUGH = 30
# What an unknown word counts, and how many sightings weigh as much as that prejudice.
_ASSUMED = 0.5
_STRENGTH = 1.0
# Only words that say something, the loudest first.
_MARGIN = 0.1
_MOST = 120
_EDGE = 1e-4


@frozen
class Learned:
    """How many messages a mailbox learned from."""

    junk: int = 0
    good: int = 0


def probability(tokens: Sequence[int], known: Mapping[int, tuple[int, int]], learned: Learned) -> float:
    """How likely it is junk.

    :param known: token -> (junk messages, good messages) that had it.
    """
    if not learned.junk or not learned.good:
        return 0.5
    loud = []
    for token in tokens:
        counts = known.get(token)
        if counts is None:
            continue
        in_junk = min(counts[0] / learned.junk, 1.0)
        in_good = min(counts[1] / learned.good, 1.0)
        if not in_junk and not in_good:
            continue
        seen = counts[0] + counts[1]
        plain = in_junk / (in_junk + in_good)
        value = (_STRENGTH * _ASSUMED + seen * plain) / (_STRENGTH + seen)
        if abs(value - 0.5) >= _MARGIN:
            loud.append(min(max(value, _EDGE), 1 - _EDGE))
    loud.sort(key=lambda value: -abs(value - 0.5))
    loud = loud[:_MOST]
    if not loud:
        return 0.5
    junk = 1 - _chi_square(-2 * sum(math.log(1 - value) for value in loud), 2 * len(loud))
    good = 1 - _chi_square(-2 * sum(math.log(value) for value in loud), 2 * len(loud))
    return (1 + junk - good) / 2


def _chi_square(value: float, freedom: int) -> float:
    """The probability of a chi-square of at least ``value`` with an even number of degrees of freedom."""
    half = value / 2
    # In logarithms, since exp(-half) is 0 for long messages.
    term = total = -half
    for step in range(1, freedom // 2):
        term += math.log(half / step) if half > 0 else -math.inf
        high, low = max(total, term), min(total, term)
        total = high + math.log1p(math.exp(low - high)) if low > -math.inf else high
    return min(math.exp(total), 1.0)
