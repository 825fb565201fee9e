"""Scored problems: the runs of one problem, made ready for comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from auxbench.report.board import merits, metric_of, scores, with_failures
from auxbench.stats import Claim, collapsed, paired, ranks
from auxbench.stats.decision import level

if TYPE_CHECKING:
    import pandas

Metric = tuple[str, str, str]  # name, unit, direction


@dataclass(frozen=True)
class ScoredProblem:
    """The runs of a problem, a failed one with the worst score, and the ranks of some methods."""

    group: pandas.DataFrame
    name: str
    metric: Metric
    scores: Mapping[str, Mapping[int, float]]
    ranks: Mapping[str, float]
    collapses: Mapping[str, int]
    depth: float
    spread: float

    @classmethod
    def of(cls, group: pandas.DataFrame, methods: Sequence[str]) -> ScoredProblem:
        """The problem of these rows, with the ranks of those of `methods` that are recorded."""
        order = merits(group)
        ranked = ranks({method: order[method] for method in methods if method in order})
        name = str(group["problem"].iloc[0])
        metric, every = metric_of(group), with_failures(group)
        marks, depth, spread = collapsed(_oriented(every, metric[2]))
        counts = dict(zip(every, marks.sum(-1).tolist(), strict=True))
        return cls(group, name, metric, every, ranked, counts, float(depth), float(spread))

    @property
    def others(self) -> int:
        """The number of methods besides the control."""
        return len(self.scores) - 1

    def claim(self, method: str, control: str, family: int, depth: float) -> Claim:
        """The difference of two methods, in a family of this many comparisons.

        `depth` is how far a collapsed run falls here, as far as it is known (see `shared_depth`).
        """
        ours, theirs = self.scores[method], self.scores[control]
        known = self.group["margin"].dropna()
        margin = None if known.empty else float(known.iloc[-1])
        return Claim(
            paired(ours, theirs, self.metric[2], level(self.others) / family),
            self.others,
            depth,
            bool(self.collapses[method] or self.collapses[control]),
            margin,
        )

    def finished(self, method: str, control: str) -> int:
        """The number of pairs with a score of the method's own."""
        return len(scores(self.group, method).keys() & self.scores[control].keys())


def _oriented(scores: Mapping[str, Mapping[int, float]], direction: str) -> npt.NDArray[np.float64]:
    """The scores of methods by seed, [M, n], larger being better; NaN where there is no run."""
    seeds = sorted({seed for part in scores.values() for seed in part})
    sign = 1.0 if direction == "up" else -1.0
    rows = [[sign * part.get(seed, math.nan) for seed in seeds] for part in scores.values()]
    return np.array(rows, dtype=np.float64).reshape(len(scores), len(seeds))
