"""Paired comparison of two methods over seeds: interval, test and power."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from auxbench.stats.signflip import flip_interval

Numbers = npt.NDArray[np.float64]

LEVEL = 0.95
POWER = 0.8
GRID = 4_000
ROUNDING = 1e-9  # a spread below this share of the scores is rounding error


@dataclass(frozen=True)
class Paired:
    """The mean difference over the n seeds that both methods have; positive is better.

    `low` and `high` bound the mean difference at the confidence level (paired t) and `spread` is
    the standard deviation of the `differences`. `p` is the two-sided p-value of the t-test and
    always a number; `decision` turns it into a verdict. `scale` is the magnitude of the scores.
    `correlation` is that of the pairs, NaN for fewer than three pairs and if one side is constant.
    `detectable` is the true difference that this test would have found with power 0.8, given n and
    the observed spread. `unpaired` counts values without a partner, which are left out.

    For fewer than two pairs there is no test: p is 1, and the bounds and the detectable difference
    are NaN. They are also NaN if all differences are equal, since a t-test needs a spread: p is
    then 1 if the scores are identical and otherwise that of the sign test, 2 ** (1 - n), which
    needs six seeds to fall below 0.05.
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
    differences: tuple[float, ...] = ()
    scale: float = 0.0

    @property
    def median(self) -> float:
        """The median of the differences; NaN for fewer than two pairs."""
        return float(np.median(self.differences)) if self.differences else math.nan

    @property
    def flip_low(self) -> float:
        """The lower bound of the centre by the sign-flip test; NaN for too few pairs."""
        return _flip_interval(self.differences)[0]

    @property
    def flip_high(self) -> float:
        """The upper bound of the centre by the sign-flip test; NaN for too few pairs."""
        return _flip_interval(self.differences)[1]


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


def intervals(
    parts: Numbers | Sequence[Numbers], level: float = LEVEL
) -> tuple[list[float], list[float], list[float]]:
    """The means and the bounds of `interval` for many groups of values.

    >>> [[round(x, 3) for x in part] for part in intervals([np.array([1.0, 2.0, 3.0])])]
    [[2.0], [-0.484], [4.484]]
    """
    mean, low, high = (np.full(len(parts), math.nan) for _ in range(3))
    counts = np.array([len(part) for part in parts])
    for count in set(counts.tolist()) - {0}:
        places = np.flatnonzero(counts == count)
        values = np.stack([parts[place] for place in places.tolist()])
        mean[places] = values.mean(1)
        if count > 1:
            half = _quantile(count, level) * values.std(1, ddof=1) / math.sqrt(count)
            low[places], high[places] = mean[places] - half, mean[places] + half
    return mean.tolist(), low.tolist(), high.tolist()


def paired(
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
    direction: str,
    alpha: float = 1 - LEVEL,
    level: float = LEVEL,
) -> Paired:
    """Compare two methods by the seeds they share; keys are seeds, values scores.

    `direction` is 'up' where larger is better. `alpha` is the level of the test for which
    `detectable` is computed, smaller than 0.05 within a family; `level` is that of the interval.

    Reason and source: the paired t-test keeps its level for the small numbers of seeds that are
    usual here, while overlapping error bars and bootstrap intervals do not; Student, "The probable
    error of a mean", Biometrika 6, 1908, https://doi.org/10.1093/biomet/6.1.1

    >>> result = paired({0: 3.0, 1: 4.0, 2: 6.0}, {0: 2.0, 1: 2.0, 2: 3.0}, "up")
    >>> result.n, result.difference, round(result.p, 4)
    (3, 2.0, 0.0742)
    """
    seeds = sorted(ours.keys() & theirs.keys())
    n = len(seeds)
    unpaired = len(ours) + len(theirs) - 2 * n
    sign = 1.0 if direction == "up" else -1.0
    a = np.array([ours[seed] for seed in seeds], dtype=np.float64)
    b = np.array([theirs[seed] for seed in seeds], dtype=np.float64)
    differences = sign * (a - b)
    mean, low, high = interval(differences.tolist(), level)
    if n < 2:
        return Paired(n, unpaired, mean, low, high, 1.0, math.nan, math.nan, math.nan)
    more = tuple(differences.tolist()), float(max(np.abs(a).max(), np.abs(b).max()))
    correlation = _correlation(a, b)
    spread = float(np.std(differences, ddof=1))
    rounding = ROUNDING * float(max(np.abs(a).max(), np.abs(b).max()))
    if spread <= rounding:
        same = abs(mean) <= rounding
        mean, p = (0.0, 1.0) if same else (mean, 2.0 ** (1 - n))
        return Paired(n, unpaired, mean, math.nan, math.nan, p, correlation, 0.0, math.nan, *more)
    p = float(2 * special.stdtr(n - 1, -abs(mean) * math.sqrt(n) / spread))
    least = detectable(n, spread, alpha)
    return Paired(n, unpaired, mean, low, high, p, correlation, spread, least, *more)


def detectable(n: int, spread: float, alpha: float = 1 - LEVEL, power: float = POWER) -> float:
    """The smallest true mean difference that a two-sided paired t-test of n pairs has `power` for.

    `spread` is the standard deviation of the differences. Under a true difference d the statistic
    follows a noncentral t with n - 1 degrees of freedom and noncentrality d sqrt(n) / spread; the
    power is its probability beyond the critical values.

    >>> round(detectable(5, 1.0), 2)
    1.68
    """
    return spread * _effect(n, alpha, power)


@cache
def _effect(n: int, alpha: float, power: float) -> float:
    """The detectable difference in units of the spread.

    The two tails are averaged over the observed spread, on quantiles of its chi-squared
    distribution: scipy's noncentral t gives NaN or warns far out in the tails, as with few seeds.
    """
    from scipy.optimize import brentq  # slow to import, and boards do without

    critical = -float(special.stdtrit(n - 1, alpha / 2))
    shares = (np.arange(GRID) + 0.5) / GRID
    limits = critical * np.sqrt(2 * special.gammaincinv((n - 1) / 2, shares) / (n - 1))

    def shortfall(effect: float) -> float:
        shift = effect * math.sqrt(n)
        found = special.ndtr(shift - limits) + special.ndtr(-shift - limits)
        return float(found.mean()) - power

    top = 1.0
    while shortfall(top) < 0:
        top *= 2
    return float(brentq(shortfall, 0.0, top))


@cache
def _flip_interval(differences: tuple[float, ...]) -> tuple[float, float]:
    return flip_interval(np.array(differences)) if differences else (math.nan, math.nan)


@lru_cache(maxsize=1024)
def _quantile(n: int, level: float) -> float:
    return -float(special.stdtrit(n - 1, (1 - level) / 2))


def _correlation(a: Numbers, b: Numbers) -> float:
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])
