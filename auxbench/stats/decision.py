"""Decisions: the conclusions that a family of comparisons supports, at a measured error rate.

The paired t-test keeps its level for methods that behave alike. It does not for a method that
collapses in a few of its runs: most samples miss the collapses and flatter it. Three rules keep the
rate of false claims at 5 % there as well, as `auxbench calibrate` measures:

* Where more than one method in ten has collapsed runs, a claim must survive one more seed, in which
  the method that is called better falls as deep as these runs do.
* Where a run of either compared method collapsed, a claim must also pass the sign-flip test.
* Where few methods have been run on a problem, so that collapses may be unseen, the level is
  stricter, and collapses on the other problems count as well (see `shared_depth`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from auxbench.stats.multiplicity import holm
from auxbench.stats.paired import Paired
from auxbench.stats.signflip import signflips

Numbers = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]

ALPHA = 0.05
STRICT = {1: 0.001, 2: 0.01, 3: 0.02}  # the level by the number of methods besides the control
ENOUGH = 5  # pairs needed to call methods equivalent: fewer say little about the spread
ROUNDING = 1e-9  # a spread below this share of the scores is rounding error


@dataclass(frozen=True)
class Claim:
    """A paired difference, and what a decision has to know about its problem.

    `others`, `depth`, `collapsed` and `margin` are as for `evidence`. `alpha` is the level of the
    family, which is lower if seeds are added after looks (see `sequential`).
    """

    result: Paired
    others: int
    depth: float = 0.0
    collapsed: bool = False
    margin: float | None = None
    alpha: float = ALPHA


@dataclass(frozen=True)
class Decision:
    """The verdict on one comparison of a family, with p-values to compare with the family's level.

    The p-values are adjusted for the family (Holm), for the strictness of the level and for
    collapses. The verdict is 'better', 'worse', 'equivalent' or 'undecided'. If the t-test finds a
    difference that stays undecided, `why` gives the reason in words; otherwise it is empty.
    """

    p: float
    p_equivalent: float
    verdict: str
    why: str = ""


@dataclass(frozen=True)
class Evidence:
    """The evidence on R comparisons from their paired differences, as arrays [R].

    `p` is the p-value for a difference and `p_equivalent` that for a difference smaller than the
    margin; both have been raised by the rules above and are to be compared with `ALPHA`. `mean` is
    the mean difference. `flipped` marks where the sign-flip test determined `p`, `guarded` where
    one more collapse did.
    """

    mean: Numbers
    p: Numbers
    p_equivalent: Numbers
    flipped: Marks
    guarded: Marks


def level(others: int) -> float:
    """The level of a comparison on a problem with this many methods besides the control.

    >>> level(1), level(12)
    (0.001, 0.05)
    """
    return STRICT.get(others, ALPHA)


def evidence(
    differences: Numbers,
    *,
    others: int,
    depth: npt.ArrayLike = 0.0,
    collapsed: npt.ArrayLike = False,
    margin: float | None = None,
    scale: npt.ArrayLike = 0.0,
) -> Evidence:
    """Test the paired differences [R, n] of R comparisons, positive where the method is better.

    `n` is at least 2. `others` is the number of methods besides the control that have been run on
    the problem, `depth` [R] how deep its collapsed runs fell (see `collapse`), `collapsed` [R]
    whether a run of the two methods collapsed, `margin` the difference below which methods are
    equivalent, if the data set declares one, and `scale` [R] the magnitude of the scores, which
    separates differences from rounding error.

    Sources: for the t-test, Student, "The probable error of a mean", Biometrika 6, 1908,
    https://doi.org/10.1093/biomet/6.1.1; for the two one-sided tests, D. J. Schuirmann, Journal of
    Pharmacokinetics and Biopharmaceutics 15, 1987, https://doi.org/10.1007/BF01068419

    >>> found = evidence(np.array([[0.9, 1.1, 1.0, 1.2, 0.8]]), others=4, margin=2.0)
    >>> found.p.round(6), found.p_equivalent < 0.001
    (array([0.000145]), array([ True]))
    """
    count = len(differences)
    depths, scales = (np.broadcast_to(np.asarray(a, float), count) for a in (depth, scale))
    rounding = ROUNDING * scales
    within = np.nan if margin is None else margin
    p, p_equivalent = _tests(differences, within, rounding)
    mean = differences.mean(1)

    guarded = np.zeros(count, dtype=bool)
    if (risky := np.flatnonzero(depths > 0)).size:
        survives, careful = _one_more(differences[risky], depths[risky], within, rounding[risky])
        guarded[risky] = survives > p[risky]
        p[risky] = np.maximum(p[risky], survives)
        p_equivalent[risky] = np.maximum(p_equivalent[risky], careful)

    flipped = np.zeros(count, dtype=bool)
    touched = np.broadcast_to(np.asarray(collapsed, bool), count)
    tested = np.flatnonzero(touched & (p <= ALPHA))  # what is undecided stays undecided
    if tested.size:
        others_p = signflips(differences[tested])
        flipped[tested] = others_p > p[tested]
        p[tested] = np.maximum(p[tested], others_p)
    factor = ALPHA / level(others)
    raised, raised_equivalent = (np.minimum(one * factor, 1.0) for one in (p, p_equivalent))
    return Evidence(mean, raised, raised_equivalent, flipped, guarded)


def decide(family: Sequence[Claim]) -> list[Decision]:
    """Decide a family of comparisons, in which exact duplicates count as one.

    Over the whole family, the probability of any false 'better' or 'worse' is at most 5 %, and so
    is that of any false 'equivalent'.

    >>> from auxbench.stats import paired
    >>> scores = {0: 40.0, 1: 41.0, 2: 39.5, 3: 40.2, 4: 40.1}
    >>> higher = {seed: score + 9 + seed / 10 for seed, score in scores.items()}
    >>> [decision.verdict for decision in decide([Claim(paired(higher, scores, "up"), others=4)])]
    ['better']
    """
    keys = [(one.result.differences, one.others, one.depth, one.margin) for one in family]
    found = {key: _evidence_of(claim) for key, claim in zip(keys, family, strict=True)}
    raw = np.array([[one.p[0], one.p_equivalent[0]] for one in found.values()])
    p, same = (dict(zip(found, holm(column), strict=True)) for column in raw.T)
    decisions = []
    for key, claim in zip(keys, family, strict=True):
        one = found[key]
        (verdict,) = verdicts(one.mean, np.array([p[key]]), np.array([same[key]]), claim.alpha)
        why = ""
        if verdict == "undecided" and one.flipped[0]:
            why = "a run collapsed, and the sign-flip test does not find the difference"
        elif verdict == "undecided" and one.guarded[0]:
            why = "runs collapse on this problem, and one more could undo the difference"
        decisions.append(Decision(float(p[key]), float(same[key]), str(verdict), why))
    return decisions


def _evidence_of(claim: Claim) -> Evidence:
    result = claim.result
    if result.n < 2:
        nothing = np.zeros(1, dtype=bool)
        return Evidence(np.array([result.difference]), np.ones(1), np.ones(1), nothing, nothing)
    return evidence(
        np.array([result.differences]),
        others=claim.others,
        depth=claim.depth,
        collapsed=claim.collapsed,
        margin=claim.margin,
        scale=result.scale,
    )


def verdicts(
    mean: Numbers, p: Numbers, p_equivalent: Numbers, alpha: float = ALPHA
) -> npt.NDArray[np.str_]:
    """The verdicts on a family of K comparisons, [..., K], from Holm's adjusted p-values.

    A difference that is significantly smaller than the margin is 'equivalent', even if it also
    differs significantly from 0. The others are 'better', 'worse' or 'undecided'.

    >>> verdicts(np.array([0.3, -0.3, 0.0]), np.array([0.01, 0.2, 1.0]), np.array([1, 1, 0.001]))
    array(['better', 'undecided', 'equivalent'], dtype='<U10')
    """
    different = p <= alpha
    return np.select(
        [p_equivalent <= alpha, different & (mean > 0), different & (mean < 0)],
        ["equivalent", "better", "worse"],
        "undecided",
    )


def _one_more(
    differences: Numbers, depths: Numbers, within: float, rounding: Numbers
) -> tuple[Numbers, Numbers]:
    """The p-values [R] with one more seed, in which the method that seems better falls."""
    middle = np.median(differences, axis=1)
    worse, better = (
        np.column_stack([differences, middle + change]) for change in (-depths, depths)
    )
    p_worse, equivalent_worse = _tests(worse, within, rounding)
    p_better, equivalent_better = _tests(better, within, rounding)
    survives = np.where(
        differences.mean(1) > 0,
        np.where(worse.mean(1) > 0, p_worse, 1.0),
        np.where(better.mean(1) < 0, p_better, 1.0),
    )
    return survives, np.maximum(equivalent_worse, equivalent_better)


def _tests(differences: Numbers, margin: float, rounding: Numbers) -> tuple[Numbers, Numbers]:
    """The p-values [R] of the t-test and of the two one-sided tests against the margin.

    A t-test needs a spread. If all differences are equal, p is 1 if they are 0, else that of the
    sign test, 2 ** (1 - n), which is also the p-value for being within the margin.
    """
    n = differences.shape[1]
    mean, spread = differences.mean(1), differences.std(1, ddof=1)
    constant, same = spread <= rounding, np.abs(mean) <= rounding
    error = np.where(constant, 1.0, spread) / np.sqrt(n)
    p = 2 * special.stdtr(n - 1, -np.abs(mean) / error)
    p = np.where(constant, np.where(same, 1.0, 2.0 ** (1 - n)), p)
    beyond = special.stdtr(n - 1, (np.abs(mean) - margin) / error)
    within = np.where(np.abs(mean) < margin, 2.0 ** (1 - n), 1.0)
    beyond = np.where(constant, within, beyond)
    return p, np.where(np.isnan(margin) | (n < ENOUGH), 1.0, beyond)
