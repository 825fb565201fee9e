"""Paired comparison of two methods over seeds: interval, test, and what could have been seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

Numbers = npt.NDArray[np.float64]

LEVEL = 0.95
POWER = 0.8
GRID = 4_000


@dataclass(frozen=True)
class Paired:
    """A difference over n seeds that both methods have, oriented so that positive is better.

    `low` and `high` bound the mean difference at the confidence level (paired t); they are NaN for
    one pair. `p` is two-sided. `correlation` is that of the pairs, NaN where one side is constant.
    `detectable` is the true difference that this test would have found with power 0.8, given n and
    the spread that was seen. `unpaired` counts values without a partner.
    """

    n: int
    unpaired: int
    difference: float
    low: float
    high: float
    p: float
    correlation: float
    spread: float
    detectable: float


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Mean and t-interval of independent values; the bounds are NaN for fewer than two.

    >>> [round(x, 3) for x in interval([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    if not values:
        return math.nan, math.nan, math.nan
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    half = _quantile(len(values), level) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def paired(
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
    direction: str,
    alpha: float = 1 - LEVEL,
) -> Paired:
    """Compare two methods by the seeds they share; keys are seeds, values scores.

    `direction` is 'up' where larger is better. `alpha` is the level at which `detectable` is
    computed, smaller than 0.05 within a family. Differences without any spread are certain: p is 1
    when they are zero and 0 otherwise; below two pairs nothing can be tested and p is 1.

    Source of the choice: the paired t-test keeps its level for the small numbers of seeds that are
    usual here, where overlapping error bars and bootstrap intervals do not; Student, "The probable
    error of a mean", Biometrika 6, 1908, https://doi.org/10.1093/biomet/6.1.1

    >>> result = paired({0: 3.0, 1: 4.0, 2: 6.0}, {0: 2.0, 1: 2.0, 2: 3.0}, "up")
    >>> result.n, result.difference, round(result.p, 4)
    (3, 2.0, 0.0742)
    """
    seeds = sorted(ours.keys() & theirs.keys())
    unpaired = len(ours) + len(theirs) - 2 * len(seeds)
    sign = 1.0 if direction == "up" else -1.0
    a = np.array([ours[seed] for seed in seeds], dtype=np.float64)
    b = np.array([theirs[seed] for seed in seeds], dtype=np.float64)
    differences = sign * (a - b)
    n = len(seeds)
    mean, low, high = interval(differences.tolist())
    spread = float(np.std(differences, ddof=1)) if n > 1 else math.nan
    return Paired(
        n=n,
        unpaired=unpaired,
        difference=mean,
        low=low,
        high=high,
        p=_p_value(mean, spread, n),
        correlation=_correlation(a, b),
        spread=spread,
        detectable=detectable(n, spread, alpha),
    )


def detectable(n: int, spread: float, alpha: float = 1 - LEVEL, power: float = POWER) -> float:
    """The smallest true mean difference that a two-sided paired t-test finds with this power.

    `spread` is the standard deviation of the differences. Under a true difference d the statistic
    follows a noncentral t with n - 1 degrees of freedom and noncentrality d sqrt(n) / spread; its
    two tails beyond the critical value are the power. They are integrated over the spread that
    would be seen, since scipy's own distribution fails far out, where families of comparisons lie.

    >>> round(detectable(5, 1.0), 2)
    1.68
    """
    if n < 2:
        return math.nan
    if spread == 0:
        return 0.0
    critical = float(stats.t.ppf(1 - alpha / 2, n - 1))
    shares = (np.arange(GRID) + 0.5) / GRID
    limits = critical * np.sqrt(stats.chi2.ppf(shares, n - 1) / (n - 1))

    def shortfall(effect: float) -> float:
        shift = effect * math.sqrt(n)
        found = stats.norm.sf(limits - shift) + stats.norm.cdf(-limits - shift)
        return float(found.mean()) - power

    top = 1.0
    while shortfall(top) < 0:
        top *= 2
    return spread * float(optimize.brentq(shortfall, 0.0, top))


def holm(values: Sequence[float]) -> list[float]:
    """p-values adjusted for a family, so that any false claim has at most the stated rate.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6, 1979, https://www.jstor.org/stable/4615733

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted


def _p_value(mean: float, spread: float, n: int) -> float:
    if n < 2:
        return 1.0
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) * math.sqrt(n) / spread, n - 1))


def _quantile(n: int, level: float) -> float:
    return float(stats.t.ppf(0.5 + level / 2, n - 1))


def _correlation(a: Numbers, b: Numbers) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])
