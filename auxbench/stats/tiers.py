"""Tiers: methods that cannot be told apart stand together, each with an interval of its rank."""

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
    Seeds are drawn for all methods together, since they are paired. With one seed there is nothing
    to draw, and every rank is possible.

    >>> low, high = rank_intervals(np.array([[3.0, 3.1, 2.9], [1.0, 1.1, 0.9]]))
    >>> low.tolist(), high.tolist()
    ([1.0, 2.0], [1.0, 2.0])
    """
    methods, seeds = scores.shape
    if seeds < 2:
        return np.ones(methods), np.full(methods, float(methods))
    chosen = np.random.default_rng(0).integers(0, seeds, (DRAWS, seeds))
    drawn = scores[:, chosen]  # [M, draws, n]
    known = ~np.isnan(drawn)
    sums, counts = np.where(known, drawn, 0.0).sum(-1), known.sum(-1)
    # a method whose runs were not drawn has its mean over all
    overall = np.nanmean(scores, axis=1)[:, None]
    means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    ranks = rankdata(-means, axis=0)
    tail = (1 - level) / 2
    low, high = np.quantile(ranks, [tail, 1 - tail], axis=1, method="inverted_cdf")
    return low, high


def tiers(order: Sequence[Name], apart: Mapping[tuple[Name, Name], bool]) -> dict[Name, int]:
    """The tier of every method, from 1; `order` is from the best to the worst.

    A tier begins with the best method that is left, and takes all that cannot be told apart from
    it; `apart` says of which pairs it can.

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
