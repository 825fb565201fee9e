"""Statistics across problems: mean ranks, profiles of gains, Friedman's and Nemenyi's tests.

No test pools the seeds of several problems: the seeds of one problem say nothing about another
problem, and pooling them would make a few problems look like many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from auxbench.stats.paired import interval

Numbers = npt.NDArray[np.float64]

MANY = 6  # problems from which on results can generalise to similar problems


def mean_rank_interval(ranks: Sequence[Numbers], level: float = 0.95) -> tuple[float, float]:
    """The bounds of a method's mean rank from its drawn ranks on every problem, [DRAWS] each.

    With at least `MANY` problems it is the t-interval of the problems' mean ranks and refers to
    problems like these; with fewer it refers to these problems alone. A percentile bootstrap over
    problems would have a coverage of 89 % with six of them.

    >>> mean_rank_interval([np.full(9, 2.0), np.full(9, 3.0)])
    (2.5, 2.5)
    """
    drawn = np.stack(ranks)
    if len(ranks) >= MANY:
        _, low, high = interval(drawn.mean(1).tolist(), level)
        return low, high
    edge = (1 - level) / 2
    low, high = np.quantile(drawn.mean(0), [edge, 1 - edge]).tolist()
    return low, high


def profile(gains: Sequence[Numbers], sizes: Sequence[float]) -> Numbers:
    """The share [K] of runs whose gain is at least each of K sizes; problems have equal weight.

    `gains` has an array per problem: the gain of every seed, relative to the control's score.

    Source: Agarwal, Schwarzer, Castro, Courville and Bellemare, Deep Reinforcement Learning at the
    Edge of the Statistical Precipice, NeurIPS 2021, https://arxiv.org/abs/2108.13264 (run-score
    distributions)

    >>> profile([np.array([-0.1, 0.1]), np.array([0.2, 0.3])], [0.0, 0.2]).tolist()
    [0.75, 0.5]
    """
    steps = np.asarray(sizes, dtype=np.float64)
    shares = [(part[:, None] >= steps).mean(0) for part in gains if part.size]
    return np.mean(shares, axis=0) if shares else np.full(len(steps), math.nan)


def friedman(scores: Numbers) -> float:
    """Friedman's p-value for the hypothesis that M methods rank equally on N problems, [N, M].

    It is 1 for fewer than three methods or two problems, and if all scores are equal.

    >>> round(friedman(np.array([[1.0, 2, 3]] * 4)), 3)
    0.018
    """
    from scipy.stats import friedmanchisquare

    problems, methods = scores.shape
    if methods < 3 or problems < 2 or (scores == scores[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*scores.T).pvalue)


def critical_difference(methods: int, problems: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of two mean ranks.

    It shows nothing if it reaches the largest possible difference, `methods` - 1.

    Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006,
    https://jmlr.org/papers/v7/demsar06a.html (table 5 and the formula above it)

    >>> round(critical_difference(5, 3), 2)
    3.52
    """
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - alpha, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * problems))


def mean_ranks(scores: Numbers) -> Numbers:
    """The mean ranks [M] of M methods on N problems, [N, M]: 1 is the best, ties share their mean.

    >>> mean_ranks(np.array([[0.9, 0.5, 0.5], [0.8, 0.7, 0.1]])).tolist()
    [1.0, 2.25, 2.75]
    """
    from scipy.stats import rankdata

    means: Numbers = rankdata(-scores, axis=1).mean(0)
    return means


def cliques(ranks: Sequence[float], apart: float) -> list[range]:
    """The largest groups of methods that a critical difference does not tell apart.

    `ranks` are mean ranks, sorted. A group is the range of its places; a method that differs from
    all others is in none.

    >>> cliques([1.0, 1.5, 2.4, 4.0], apart=1.0)
    [range(0, 2), range(1, 3)]
    """
    found: list[range] = []
    for first, low in enumerate(ranks):
        stop = max(place for place, rank in enumerate(ranks) if rank - low <= apart) + 1
        if stop - first > 1 and not (found and found[-1].stop >= stop):
            found.append(range(first, stop))
    return found
