"""Tiers: groups of methods that cannot be told apart from their best, and intervals of ranks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Name = TypeVar("Name", bound=Hashable)
Numbers = npt.NDArray[np.float64]

DRAWS = 2000


def rank_intervals(scores: Numbers, level: float = 0.95) -> tuple[Numbers, Numbers]:
    """The bounds [M] of the ranks of M methods by a bootstrap of their n seeds, [M, n].

    `scores` are oriented so that larger is better, NaN where there is no run; rank 1 is the best.
    Every draw weights the deviations of the seeds at random, alike for all methods, since seeds are
    paired, and widens them as Student's t does. Plain resampling would give far too narrow
    intervals for few seeds. A method with one seed may have any rank.

    >>> low, high = rank_intervals(np.array([[3.0, 3.1, 2.9, 3.0], [1.0, 1.1, 0.9, 1.0]]))
    >>> low.tolist(), high.tolist()
    ([1.0, 2.0], [1.0, 2.0])
    """
    low, high = _places(level)
    ordered = np.partition(_doubled(scores), [low, high], axis=1)
    return ordered[:, low] / 2, ordered[:, high] / 2


@lru_cache
def _places(level: float) -> tuple[int, int]:
    """The places of the bounds among the sorted draws."""
    edge = (1 - level) / 2
    places = np.quantile(np.arange(DRAWS), [edge, 1 - edge], method="inverted_cdf")
    return int(places[0]), int(places[1])


def drawn_ranks(scores: Numbers) -> Numbers:
    """The ranks [M, DRAWS] of M methods in every draw, from their scores [M, n].

    All problems with the same seeds have the same draws, since they often share their data.
    """
    ranks: Numbers = _doubled(scores) / 2
    return ranks


def _doubled(scores: Numbers) -> npt.NDArray[np.int32]:
    """Twice the ranks of `drawn_ranks`, which are whole numbers also where equal ones share."""
    counts = (~np.isnan(scores)).sum(1)
    means = np.nansum(scores, axis=1) / np.maximum(counts, 1)
    errors = np.nan_to_num(scores - means[:, None])
    errors /= np.sqrt(counts * np.maximum(counts - 1, 1)).clip(1)[:, None]
    kinds, rows = np.unique(counts, return_counts=True)
    single = int(rows[kinds <= 1].sum())
    normal, tails, coins = _draws(scores.shape[1], tuple(kinds[kinds > 1].tolist()), single)
    drawn = means[:, None] + errors @ normal
    for count, tail in tails.items():
        alike = counts == count
        drawn[alike] = means[alike, None] + (drawn[alike] - means[alike, None]) * tail
    drawn[counts <= 1] = coins  # anything is possible
    above = np.stack([_count(drawn > row) for row in drawn])
    count = len(drawn)
    if (above.sum(0) == count * (count - 1) // 2).all():  # no two are equal
        return 2 * (above + 1)
    return above + 1 + np.stack([_count(drawn >= row) for row in drawn])


def _count(marks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The number of marks in each column; bytes are added up fast."""
    kind = np.uint8 if len(marks) < 256 else np.int32
    found: npt.NDArray[np.int32] = marks.view(np.uint8).sum(0, dtype=kind).astype(np.int32)
    return found


@lru_cache(maxsize=4)
def _draws(
    seeds: int, counts: tuple[int, ...], single: int
) -> tuple[Numbers, dict[int, Numbers], Numbers]:
    """The draws for methods with these counts of seeds, and for `single` methods with one.

    They are normal weights [seeds, DRAWS], factors [DRAWS] by count, and infinities of either sign.
    """
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((seeds, DRAWS))
    coins = np.where(rng.random((single, DRAWS)) < 0.5, -np.inf, np.inf)
    tails = {count: np.sqrt((count - 1) / rng.chisquare(count - 1, DRAWS)) for count in counts}
    return normal, tails, coins


def tiers(order: Sequence[Name], apart: Mapping[tuple[Name, Name], bool]) -> dict[Name, int]:
    """The tier of every method, from 1; `order` is from the best to the worst.

    A tier has the best of the remaining methods and all others that cannot be told apart from it;
    `apart` says which pairs can be.

    >>> tiers(["a", "b", "c"], {("a", "b"): False, ("a", "c"): True, ("b", "c"): False})
    {'a': 1, 'b': 1, 'c': 2}
    """
    found: dict[Name, int] = {}
    left, tier = list(order), 0
    while left:
        tier += 1
        first = left[0]
        together = [name for name in left if name == first or not apart[first, name]]
        found |= dict.fromkeys(together, tier)
        left = [name for name in left if name not in found]
    return {name: found[name] for name in order}
