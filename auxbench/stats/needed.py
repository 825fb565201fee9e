"""The number of seeds that would decide a comparison."""

from __future__ import annotations

from auxbench.stats.decision import ALPHA
from auxbench.stats.paired import Paired, detectable
from auxbench.stats.sequential import LAST, LOOKS

MOST = 10_000  # seeds; more are as good as never
SAFE = 0.9  # power of each of the two one-sided tests, so that both together have 0.8


def seeds_needed(result: Paired, margin: float | None = None, share: float = 1.0) -> int | None:
    """The seeds at which a look would decide with 80 % power, if it is as it was seen.

    That is: if the true difference and the spread are those observed, the first look (see
    `sequential`) that finds the difference, or shows that it is within the margin. `share` is the
    part of each look's level that this comparison has of its family. After the last look the count
    is that of a new study with as many fresh seeds. The observed values are uncertain, most of all
    for few seeds, and so is this number. None if it is above `MOST`, or without a spread to go by.

    >>> from auxbench.stats.paired import paired
    >>> scores = {0: 1.0, 1: 1.1, 2: 0.9, 3: 1.0}
    >>> seeds_needed(paired(scores, {0: 0.9, 1: 0.9, 2: 1.0, 3: 0.9}, "up"))
    25
    """
    difference, spread = abs(result.difference), result.spread
    if result.n < 2 or not spread > 0:
        return None

    def decides(n: int, level: float) -> bool:
        if difference and detectable(n, spread, share * level) <= difference:
            return True
        room = (margin or 0.0) - difference
        return room > 0 and detectable(n, spread, 2 * share * level, SAFE) <= room

    for count, level in LOOKS.items():
        if count > result.n and decides(count, level):
            return count
    low, high = LAST, 2 * LAST
    while not decides(high, ALPHA):
        low, high = high, 2 * high
        if low > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle, ALPHA) else (middle, high)
    return high
