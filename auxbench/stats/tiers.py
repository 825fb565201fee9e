"""Tiers: groups of methods that cannot be told apart from their best, and intervals of ranks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

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
    edge = (1 - level) / 2
    drawn = drawn_ranks(scores, np.random.default_rng(0))
    low, high = np.quantile(drawn, [edge, 1 - edge], axis=1, method="inverted_cdf")
    return low, high


def drawn_ranks(scores: Numbers, rng: np.random.Generator) -> Numbers:
    """The ranks [M, DRAWS] of M methods in every draw, from their scores [M, n].

    Problems drawn with generators of the same seed have the same draws for the same seeds.
    """
    counts = (~np.isnan(scores)).sum(1)
    means = np.nansum(scores, axis=1) / np.maximum(counts, 1)
    errors = np.nan_to_num(scores - means[:, None])
    errors /= np.sqrt(counts * np.maximum(counts - 1, 1)).clip(1)[:, None]
    drawn = means[:, None] + errors @ rng.standard_normal((scores.shape[1], DRAWS))
    for count in np.unique(counts):
        rows = counts == count
        if count > 1:
            tail = np.sqrt((count - 1) / rng.chisquare(count - 1, DRAWS))
            drawn[rows] = means[rows, None] + (drawn[rows] - means[rows, None]) * tail
        else:  # anything is possible
            drawn[rows] = np.where(rng.random((rows.sum(), DRAWS)) < 0.5, -np.inf, np.inf)
    ranks: Numbers = rankdata(-drawn, axis=0)
    return ranks


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
