"""The sign-flip test of paired differences, and the corresponding interval."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

EXACT = 20  # pairs up to which all patterns of signs are tried
PATTERNS = 100_000  # random patterns for more pairs


def signflip(differences: Numbers) -> float:
    """The two-sided p-value for the hypothesis that differences [n] are symmetric around 0.

    It is the share of sign patterns whose sum is at least as far from 0 as the observed sum, exact
    for up to 20 pairs. It never falls below 2 ** (1 - n), so six pairs are the fewest that can
    reach 0.05.

    Source: R. A. Fisher, "The Design of Experiments", Oliver and Boyd, 1935, section 21.

    >>> signflip(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    total = float(differences.sum())
    bound = abs(total) - 1e-12 * float(np.abs(differences).sum())
    if len(differences) > EXACT:
        flipped = 2 * _subset_sums(differences)[0] - total
        return float(np.mean(np.abs(flipped) >= bound))
    half = len(differences) // 2  # every sum is one of the first half and one of the second
    first, second = (
        2 * _subset_sums(part)[0] - part.sum() for part in (differences[:half], differences[half:])
    )
    second = np.sort(second)
    above = len(second) - np.searchsorted(second, bound - first, side="left")
    below = np.searchsorted(second, -bound - first, side="right")
    both = np.minimum(above + below, len(second))  # a bound of 0 or less is passed by all
    return float(both.sum() / 2 ** len(differences))


def flip_interval(differences: Numbers, level: float = 0.95) -> tuple[float, float]:
    """The interval of centres that the sign-flip test does not reject; NaN for too few pairs.

    Its ends are two of the means of all subsets of the differences [n]: for symmetric differences,
    these means divide the line into intervals that contain the centre with equal probability.

    Source: J. A. Hartigan, "Using Subsample Values as Typical Values", Journal of the American
    Statistical Association 64, 1969, https://doi.org/10.1080/01621459.1969.10501057

    >>> flip_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    (1.0, 6.0)
    """
    sums, counts = _subset_sums(differences)
    means = sums[counts > 0] / counts[counts > 0]
    outside = math.floor((1 - level) / 2 * (len(means) + 1))
    if outside < 1:
        return math.nan, math.nan
    low, high = outside - 1, len(means) - outside
    sorted_there = np.partition(means, [low, high])
    return float(sorted_there[low]), float(sorted_there[high])


def _subset_sums(values: Numbers) -> tuple[Numbers, Numbers]:
    """The sums and the sizes of all subsets of n values, or of random ones where n is large."""
    if len(values) > EXACT:
        chosen = np.random.default_rng(0).random((PATTERNS, len(values))) < 0.5
        chosen[0] = True  # the observed signs are one of the patterns
        return chosen @ values, chosen.sum(1).astype(np.float64)
    sums, sizes = np.zeros(1), np.zeros(1)
    for value in values:
        sums, sizes = np.concatenate([sums, sums + value]), np.concatenate([sizes, sizes + 1])
    return sums, sizes
