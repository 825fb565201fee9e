"""Scored problems: the runs of one problem, prepared for comparisons."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from auxbench.errors import UsageError
from auxbench.stats import Claim, collapsed, imputed, paired, ranks
from auxbench.stats.collapse import FAR
from auxbench.stats.decision import ALPHA, evidence, level
from auxbench.stats.multiplicity import holm
from auxbench.stats.tiers import rank_intervals, tiers

if TYPE_CHECKING:
    import pandas

Metric = tuple[str, str, str]  # name, unit, direction


def problems(rows: pandas.DataFrame) -> Iterator[pandas.DataFrame]:
    """The rows of every problem; only runs of the same problem are comparable."""
    for _, group in rows.groupby("problem", sort=False):
        yield group


def metric_of(group: pandas.DataFrame) -> tuple[str, str, str]:
    """Metric, unit and direction of a problem; no names if no run has finished.

    Errors: `UsageError` if the runs have several metrics, or several versions of one.
    """
    keys = ("metric", "unit", "direction", "metric_version")
    known = group["metric"].notna().to_numpy()
    columns = [group[key].to_numpy()[known].tolist() for key in keys]
    kinds = list(dict.fromkeys(zip(*columns, strict=True)))
    if not kinds:
        return "", "", "up"
    if len(kinds) > 1:
        names = " and ".join(f"{name} {version:g} {unit}" for name, unit, _, version in kinds)
        raise UsageError(
            f"problem '{group['problem'].iloc[0]}' was scored by {names}; "
            "keep such records in separate folders."
        )
    metric, unit, direction, _ = map(str, kinds[0])
    return metric, unit, direction


def scores(group: pandas.DataFrame, method: str) -> dict[int, float]:
    """The scores of a method's finished runs by seed."""
    done = (group["method"] == method) & group["value"].notna()
    pairs = zip(group.loc[done, "seed"], group.loc[done, "value"], strict=True)
    return {int(seed): float(value) for seed, value in pairs}


def with_failures(group: pandas.DataFrame, direction: str) -> dict[str, dict[int, float]]:
    """The scores of all runs by method and seed; a run without one has the problem's worst."""
    runs: dict[str, dict[int, float]] = {}
    for method, seed, value in zip(group["method"], group["seed"], group["value"], strict=True):
        runs.setdefault(method, {})[int(seed)] = float(value)
    return imputed(runs, direction)


def merits(
    group: pandas.DataFrame, scores: Mapping[str, Mapping[int, float]], direction: str
) -> dict[str, tuple[float, float]]:
    """The sort keys of a problem's methods, the smallest being the best.

    A key is the mean score, in which a failed run counts as the worst and whose sign is flipped if
    larger is better, followed by the share of runs that failed.
    """
    sign = -1 if direction == "up" else 1
    failed = group["value"].isna().groupby(group["method"]).mean()
    return {
        method: (sign * fmean(values.values()) if values else 0.0, float(failed[method]))
        for method, values in scores.items()
    }


def failures(group: pandas.DataFrame, method: str) -> dict[str, int]:
    """The number of a method's runs without a score, by reason."""
    part = group[(group["method"] == method) & group["value"].isna()]
    return dict(Counter("unscored" if word == "done" else word for word in part["status"]))


@dataclass(frozen=True)
class ScoredProblem:
    """The runs of a problem, failed ones with the worst score, and the ranks of some methods.

    `collapses` counts the collapsed runs of every method, `depth` and `spread` are as returned by
    `collapsed`, `others` is the number of methods besides the control (methods with identical
    scores count once), `failing` has the methods with runs that gave no score, and `order` all
    methods, the best first.
    """

    group: pandas.DataFrame
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

    @classmethod
    def of(cls, group: pandas.DataFrame, methods: Sequence[str] | None = None) -> ScoredProblem:
        """The problem of these rows, with the ranks of those of `methods` that are recorded.

        None stands for all methods. Errors: as for `metric_of`.
        """
        name, metric = str(group["problem"].iloc[0]), metric_of(group)
        every = with_failures(group, metric[2])
        order = merits(group, every, metric[2])
        shown = order if methods is None else [method for method in methods if method in order]
        ranked = ranks({method: order[method] for method in shown})
        # methods with identical scores count as one, since a copy adds no information
        distinct = {tuple(part.items()): method for method, part in every.items()}
        kept = {method: every[method] for method in distinct.values()}
        marks, depth, spread = collapsed(_oriented(kept, metric[2]))
        rows = dict(zip(distinct, marks.sum(-1).tolist(), strict=True))
        counts = {method: rows[tuple(part.items())] for method, part in every.items()}
        lost = group.loc[group["value"].isna(), "method"]
        return cls(
            group,
            name,
            metric,
            every,
            ranked,
            counts,
            float(depth),
            float(spread),
            len(distinct) - 1,
            frozenset(lost),
            tuple(sorted(order, key=order.__getitem__)),
        )

    def standing(self, order: Sequence[str]) -> dict[str, tuple[int, float, float]]:
        """The tier of every method and the bounds of its rank; `order` begins with the best one.

        The methods of a tier cannot be told apart from its first by the decision rules of
        comparisons, over the family of all pairs.
        """
        scores = self.oriented(order)
        if not scores.size:
            return {name: (1, 1.0, float(len(order))) for name in order}
        pairs = list(combinations(range(len(order)), 2))
        raised = holm(self._pairwise(order, scores, pairs)) if pairs else np.ones(0)
        apart = {
            (order[one], order[other]): bool(p <= ALPHA)
            for (one, other), p in zip(pairs, raised, strict=True)
        }
        low, high = rank_intervals(scores)
        tier = tiers(order, apart)
        return {
            name: (tier[name], float(low[place]), float(high[place]))
            for place, name in enumerate(order)
        }

    def _pairwise(
        self, order: Sequence[str], scores: npt.NDArray[np.float64], pairs: list[tuple[int, int]]
    ) -> npt.NDArray[np.float64]:
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

    def oriented(self, methods: Sequence[str]) -> npt.NDArray[np.float64]:
        """The scores of methods by seed, [M, n], larger being better; NaN where there is no run."""
        return _oriented({name: self.scores[name] for name in methods}, self.metric[2])

    def claim(
        self, method: str, control: str, family: int, depth: float, alpha: float = ALPHA
    ) -> Claim:
        """The difference between two methods, as one of `family` comparisons.

        `depth` is the known depth of collapses on this problem (see `shared_depth`), and `alpha`
        the level of the family.
        """
        ours, theirs = self.scores[method], self.scores[control]
        known = self.group["margin"].dropna()
        margin = None if known.empty else float(known.iloc[-1])
        strict = level(self.others) * alpha / ALPHA / family
        result = paired(ours, theirs, self.metric[2], strict)
        depth, fallen = self.risk(method, control, result.difference, depth)
        return Claim(result, self.others, depth, fallen, margin, alpha)

    def risk(
        self, method: str, control: str, difference: float, depth: float
    ) -> tuple[float, bool]:
        """How far one more run may fall, and whether a run of the two methods has collapsed.

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
        return len(scores(self.group, method).keys() & self.scores[control].keys())


def _oriented(scores: Mapping[str, Mapping[int, float]], direction: str) -> npt.NDArray[np.float64]:
    """The scores of methods by seed, [M, n], larger being better; NaN where there is no run."""
    seeds = sorted({seed for part in scores.values() for seed in part})
    sign = 1.0 if direction == "up" else -1.0
    rows = [[sign * part.get(seed, math.nan) for seed in seeds] for part in scores.values()]
    return np.array(rows, dtype=np.float64).reshape(len(scores), len(seeds))
