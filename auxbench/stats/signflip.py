"""The sign-flip test of paired differences, and the corresponding interval."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

EXACT = 20  # pairs up to which all patterns of signs are tried
PATTERNS = 100_000  # random patterns for more pairs
ROWS = 256  # comparisons that are tested at a time
CELLS = 1_000_000  # signs that are drawn at a time
FAR = 9.0  # times the root of the sum of squares; no random pattern reaches such a sum


def signflip(differences: Numbers) -> float:
    """The two-sided p-value for the hypothesis that differences [n] are symmetric around 0.

    It is the share of sign patterns whose sum is at least as far from 0 as the observed sum, exact
    for up to 20 pairs. It never falls below 2 ** (1 - n), so six pairs are the fewest that can
    reach 0.05.

    Source: R. A. Fisher, "The Design of Experiments", Oliver and Boyd, 1935, section 21.

    >>> signflip(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    return float(signflips(differences[None])[0])


def signflips(differences: Numbers) -> Numbers:
    """The p-values [R] of `signflip` for R comparisons [R, n]."""
    totals = differences.sum(1)
    sizes = np.abs(differences).sum(1)
    bounds = np.abs(totals) - 1e-12 * sizes
    if differences.shape[1] > EXACT:
        return _sampled(differences, totals, bounds)
    # where all have one sign, only the observed pattern and its opposite reach the sum
    extreme = (np.abs(totals) == sizes) & (np.abs(differences).min(1) > 1e-12 * sizes)
    p = np.full(len(differences), 2.0 ** (1 - differences.shape[1]))
    rows = np.flatnonzero(~extreme)
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        p[part] = _exact(differences[part], bounds[part])
    return p


def _exact(differences: Numbers, bounds: Numbers) -> Numbers:
    """The shares [R] of all sign patterns whose sums are at least `bounds` [R] away from 0."""
    half = differences.shape[1] // 2  # every sum is one of the first half and one of the second
    first, second = (
        np.sort(2 * _sums(part) - part.sum(1)[:, None], axis=1)
        for part in (differences[:, :half], differences[:, half:])
    )
    reached = []
    for one, other, bound in zip(first, second, bounds.tolist(), strict=True):
        above = len(other) - np.searchsorted(other, bound - one, side="left")
        below = np.searchsorted(other, -bound - one, side="right")
        both = np.minimum(above + below, len(other))  # a bound of 0 or less is passed by all
        reached.append(int(both.sum()))
    shares: Numbers = np.array(reached) / 2 ** differences.shape[1]
    return shares


def _sums(values: Numbers) -> Numbers:
    """The sums [R, 2 ** n] of all subsets of the values [R, n] of each row."""
    sums = np.zeros((len(values), 1))
    for column in values.T:
        sums = np.concatenate([sums, sums + column[:, None]], axis=1)
    return sums


def _sampled(differences: Numbers, totals: Numbers, bounds: Numbers) -> Numbers:
    """The shares of random sign patterns, the observed one among them.

    By Hoeffding's inequality, no other pattern reaches a sum that is 9 times the root of the sum of
    squares, except with a probability below 1e-12; none is drawn for such differences.
    """
    p = np.full(len(differences), 1 / PATTERNS)
    near = np.flatnonzero(bounds < FAR * np.sqrt(np.square(differences).sum(1)))
    if near.size:
        reached = np.zeros(len(near), dtype=np.int64)
        values = np.ascontiguousarray(differences[near].T)
        for chosen in _patterns(differences.shape[1]):
            flipped = 2 * (chosen @ values) - totals[near]
            reached += (np.abs(flipped) >= bounds[near]).sum(0)
        p[near] = reached / PATTERNS
    return p


def _patterns(count: int) -> Iterator[Numbers]:
    """Random patterns of `count` signs, in parts: 1 where a value keeps its sign, else 0."""
    rng, part = np.random.default_rng(0), max(1, CELLS // count)
    for start in range(0, PATTERNS, part):
        chosen = rng.random((min(part, PATTERNS - start), count)) < 0.5
        if start == 0:
            chosen[0] = True  # the observed signs are one of the patterns
        yield chosen.astype(np.float64)


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
        parts = [(chosen @ values, chosen.sum(1)) for chosen in _patterns(len(values))]
        return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])
    sums, sizes = np.zeros(1), np.zeros(1)
    for value in values:
        sums, sizes = np.concatenate([sums, sums + value]), np.concatenate([sizes, sizes + 1])
    return sums, sizes
