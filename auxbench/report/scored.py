"""Scored problems: the runs of one problem, prepared for comparisons."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean

import numpy as np
import numpy.typing as npt

from auxbench.errors import UsageError
from auxbench.stats import Claim, collapsed, paired, ranks
from auxbench.stats.collapse import FAR
from auxbench.stats.decision import ALPHA, evidence, level
from auxbench.stats.multiplicity import holm
from auxbench.stats.runs import Runs
from auxbench.stats.tiers import rank_intervals, tiers

Numbers = npt.NDArray[np.float64]
Metric = tuple[str, str, str]  # name, unit, direction


def metric_of(runs: Runs) -> tuple[str, str, str]:
    """Metric, unit and direction of a problem; no names if no run has finished.

    Errors: `UsageError` if the runs have several metrics, or several versions of one.
    """
    keys = ("metric", "unit", "direction", "metric_version")
    kinds = dict.fromkeys(zip(*(runs[key].tolist() for key in keys), strict=True))
    known = [kind for kind in kinds if isinstance(kind[0], str)]
    if not known:
        return "", "", "up"
    if len(known) > 1:
        names = " and ".join(f"{name} {version:g} {unit}" for name, unit, _, version in known)
        raise UsageError(
            f"problem '{runs['problem'][0]}' was scored by {names}; "
            "keep such records in separate folders."
        )
    metric, unit, direction, _ = map(str, known[0])
    return metric, unit, direction


def failures(runs: Runs, method: str) -> dict[str, int]:
    """The number of a method's runs without a score, by reason."""
    places = runs.methods.get(method, np.zeros(0, dtype=np.intp))
    lost = runs["status"][places[~runs.scored[places]]].tolist()
    return dict(Counter("unscored" if word == "done" else str(word) for word in lost))


@dataclass(frozen=True)
class ScoredProblem:
    """The runs of a problem, failed ones with the worst score, and the ranks of some methods.

    `collapses` counts the collapsed runs of every method, `depth` and `spread` are as returned by
    `collapsed`, `others` is the number of methods besides the control (methods with identical
    scores count once), `failing` has the methods with runs that gave no score, and `order` all
    methods, the best first.
    """

    runs: Runs
    name: str
    metric: Metric
    scores: Mapping[str, Mapping[int, float]]
    ranks: Mapping[str, float]
    collapses: Mapping[str, int]
    depth: float
    spread: float
    others: int
    failing: frozenset[str]
    order: tuple[str, ...]
    _table: Numbers = field(repr=False)

    @classmethod
    def of(cls, runs: Runs, methods: Sequence[str] | None = None) -> ScoredProblem:
        """The problem of these runs, with the ranks of those of `methods` that are recorded.

        None stands for all methods. Errors: as for `metric_of`.
        """
        metric = metric_of(runs)
        seeds, table, present = _imputed(runs, metric[2])
        every = {
            method: dict(zip(seeds[there].tolist(), values[there].tolist(), strict=True))
            for method, values, there in zip(runs.methods, table, present, strict=True)
        }
        order = _merits(runs, every, metric[2])
        shown = order if methods is None else [method for method in methods if method in order]
        ranked = ranks({method: order[method] for method in shown})
        # methods with identical scores count as one, since a copy adds no information
        alike = [row.tobytes() for row in table + 0.0]  # of the two zeros, one
        distinct = {row: place for place, row in enumerate(alike)}
        oriented = table if metric[2] == "up" else -table
        marks, depth, spread = collapsed(oriented[list(distinct.values())])
        counts = dict(zip(distinct, marks.sum(-1).tolist(), strict=True))
        lost = runs["method"][~runs.scored].tolist()
        return cls(
            runs,
            str(runs["problem"][0]),
            metric,
            every,
            ranked,
            {method: counts[row] for method, row in zip(every, alike, strict=True)},
            float(depth),
            float(spread),
            len(distinct) - 1,
            frozenset(lost),
            tuple(sorted(order, key=order.__getitem__)),
            oriented,
        )

    def standing(self, order: Sequence[str]) -> dict[str, tuple[int, float, float]]:
        """The tier of every method and the bounds of its rank; `order` begins with the best one.

        The methods of a tier cannot be told apart from its first by the decision rules of
        comparisons, over the family of all pairs.
        """
        scores = self.oriented(order)
        if not scores.size:
            return {name: (1, 1.0, float(len(order))) for name in order}
        low, high = rank_intervals(scores)
        tier = tiers(order, self.apart(order))
        return {
            name: (tier[name], float(low[place]), float(high[place]))
            for place, name in enumerate(order)
        }

    def apart(self, order: Sequence[str]) -> dict[tuple[str, str], bool]:
        """The pairs of methods, each in this order, and whether they can be told apart."""
        scores = self.oriented(order)
        pairs = list(combinations(range(len(order)), 2)) if scores.size else []
        raised = holm(self._pairwise(order, scores, pairs)) if pairs else np.ones(0)
        found = dict.fromkeys(combinations(order, 2), False)
        for (one, other), p in zip(pairs, raised, strict=True):
            found[order[one], order[other]] = bool(p <= ALPHA)
        return found

    def _pairwise(
        self, order: Sequence[str], scores: Numbers, pairs: list[tuple[int, int]]
    ) -> Numbers:
        """The p-values of pairs of rows of `scores`, those with the same seeds tested together."""
        p = np.ones(len(pairs))
        known = ~np.isnan(scores)
        seeds: dict[bytes, list[int]] = {}
        for place, (one, other) in enumerate(pairs):
            seeds.setdefault((known[one] & known[other]).tobytes(), []).append(place)
        for mask, places in seeds.items():
            common = np.frombuffer(mask, dtype=bool)
            if common.sum() < 2:
                continue
            ones, others = np.array([pairs[place] for place in places]).T
            differences = scores[np.ix_(ones, common)] - scores[np.ix_(others, common)]
            means = differences.mean(1).tolist()
            risks = [
                self.risk(order[one], order[other], mean, self.depth)
                for one, other, mean in zip(ones, others, means, strict=True)
            ]
            largest = np.nanmax(np.abs(scores), axis=1)
            found = evidence(
                differences,
                others=self.others,
                depth=[depth for depth, _ in risks],
                collapsed=[fallen for _, fallen in risks],
                scale=np.maximum(largest[ones], largest[others]),
            )
            p[places] = found.p
        return p

    def oriented(self, methods: Sequence[str]) -> Numbers:
        """The scores of methods by seed, [M, n], larger being better; NaN where there is no run."""
        places = {method: place for place, method in enumerate(self.scores)}
        found = self._table[[places[method] for method in methods]]
        return found[:, ~np.isnan(found).all(0)]

    def claim(
        self, method: str, control: str, family: int, depth: float, alpha: float = ALPHA
    ) -> Claim:
        """The difference between two methods, as one of `family` comparisons.

        `depth` is the known depth of collapses on this problem (see `shared_depth`), and `alpha`
        the level of the family.
        """
        ours, theirs = self.scores[method], self.scores[control]
        known = self.runs["margin"][~np.isnan(self.runs["margin"])]
        margin = float(known[-1]) if known.size else None
        strict = level(self.others) * alpha / ALPHA / family
        result = paired(ours, theirs, self.metric[2], strict)
        depth, fallen = self.risk(method, control, result.difference, depth)
        return Claim(result, self.others, depth, fallen, margin, alpha)

    def risk(
        self, method: str, control: str, difference: float, depth: float
    ) -> tuple[float, bool]:
        """The depth to which one more run may fall, and if a run of the two methods has collapsed.

        The score that a failed run would have had is unknown and may be far worse than the worst
        score seen. Failing must not help the method that seems better, so its failures count as
        collapses, at least as deep as the threshold for a collapse.
        """
        fallen = bool(self.collapses[method] or self.collapses[control])
        if (method if difference > 0 else control) in self.failing:
            return max(depth, FAR * self.spread), True
        return depth, fallen

    def finished(self, method: str, control: str) -> int:
        """The number of pairs in which the method's own run has a score."""
        places = self.runs.methods[method]
        seeds = self.runs["seed"][places[self.runs.scored[places]]].tolist()
        return len(set(seeds) & self.scores[control].keys())


def _imputed(runs: Runs, direction: str) -> tuple[Numbers, Numbers, npt.NDArray[np.bool_]]:
    """The seeds [n], the scores of methods by seed [M, n], and marks of the runs that there are.

    A run without a score has the worst of the problem (see `imputed`); other gaps are NaN.
    """
    seeds, columns = np.unique(runs["seed"], return_inverse=True)
    table = np.full((len(runs.methods), len(seeds)), math.nan)
    present = np.zeros(table.shape, dtype=bool)
    table[runs.numbers, columns] = runs["value"]  # the last one, where a seed was recorded twice
    present[runs.numbers, columns] = True
    known = ~np.isnan(table)
    if not known.any():
        return seeds[:0], table[:, :0], present[:, :0]
    worst = (np.min if direction == "up" else np.max)(table[known])
    table[present & ~known] = worst
    return seeds, table, present


def _merits(
    runs: Runs, scores: Mapping[str, Mapping[int, float]], direction: str
) -> dict[str, tuple[float, float]]:
    """The sort keys of a problem's methods, the smallest being the best.

    A key is the mean score, in which a failed run counts as the worst and whose sign is flipped if
    larger is better, followed by the share of runs that failed.
    """
    sign = -1 if direction == "up" else 1
    return {
        method: (
            sign * fmean(scores[method].values()) if scores[method] else 0.0,
            float((~runs.scored[places]).mean()),
        )
        for method, places in runs.methods.items()
    }
