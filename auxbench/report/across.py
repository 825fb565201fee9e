"""Results across problems: mean ranks of methods with intervals, rank tests, and gain profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np

from auxbench.data.progress import counted
from auxbench.report.comparison import Comparison
from auxbench.report.scored import ScoredProblem
from auxbench.report.tables import Column, Table
from auxbench.stats.across import (
    MANY,
    critical_difference,
    friedman,
    mean_rank_interval,
    profile,
)
from auxbench.stats.tiers import drawn_ranks

SIZES = (-0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2)  # gains, relative to the control


def everywhere(problems: Sequence[ScoredProblem]) -> list[str]:
    """The methods that have runs on every problem."""
    names = list(problems[0].scores) if problems else []
    return [name for name in names if all(name in problem.scores for problem in problems)]


def rank_intervals(problems: Sequence[ScoredProblem]) -> dict[str, tuple[float, float]]:
    """The bounds of the mean rank of every method that has runs on all problems."""
    names = everywhere(problems)
    drawn: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]] = {
        name: [] for name in names
    }
    for problem in problems:
        every = list(problem.scores)
        ranks = drawn_ranks(problem.oriented(every))
        for place, name in enumerate(every):
            if name in drawn:
                drawn[name].append(ranks[place])
    bounds = {name: mean_rank_interval(ranks) for name, ranks in drawn.items() if ranks}
    most = {name: len(problems[0].scores) for name in bounds}
    return {name: (max(low, 1.0), min(high, most[name])) for name, (low, high) in bounds.items()}


def notes(problems: Sequence[ScoredProblem]) -> Iterator[str]:
    """Notes on what rank intervals refer to, and on Friedman's and Nemenyi's tests."""
    count, names = len(problems), everywhere(problems)
    if count >= MANY:
        yield "Intervals of mean ranks are t-intervals over problems, about problems like these."
    else:
        yield (
            "Intervals of ranks are from a bootstrap over seeds and hold for these problems only: "
            f"{counted(count, 'problem')} cannot stand for others (at least {MANY} are needed)."
        )
    if count < 2 or len(names) < 3:
        return
    apart, largest = critical_difference(len(names), count), len(names) - 1
    if apart >= largest:
        yield (
            f"With {count} problems and {len(names)} methods, Nemenyi's critical difference of "
            f"mean ranks is {apart:.1f}, but mean ranks can differ by at most {largest}: a "
            "critical-difference diagram would show nothing."
        )
        return
    means = np.array([np.nanmean(problem.oriented(names), axis=1) for problem in problems])
    p = friedman(-means)
    yield (
        f"Friedman's test on the means of the {count} problems: p = {p:.3f}. Nemenyi's critical "
        f"difference of mean ranks is {apart:.1f}; methods whose mean ranks differ by less "
        "cannot be told apart (see --diagram)."
    )


def profiles(comparison: Comparison) -> Table:
    """The percentage of paired runs that gain at least each of `SIZES` over the control.

    There is one row per method, averaged over the problems with equal weight. Gains are relative to
    the control's mean score, and a failed run counts as the worst score.
    """
    control = comparison.differences[0].control
    methods = list(dict.fromkeys(difference.method for difference in comparison.differences))
    rows = []
    for method in methods:
        gains = [_gains(problem, method, control) for problem in comparison.problems]
        shares = profile([part for part in gains if part is not None], SIZES).tolist()
        row = {f"{size:+.0%}": 100 * share for size, share in zip(SIZES, shares, strict=True)}
        rows.append({"method": method, "problems": sum(g is not None for g in gains), **row})
    rows.sort(key=lambda row: -fmean(row[f"{size:+.0%}"] for size in SIZES))
    columns = (
        Column("method", "method"),
        Column("problems", "problems"),
        *(Column(f"{size:+.0%}", f"{size:+.0%}".replace("+0%", "0%"), 0) for size in SIZES),
    )
    text = (
        f"Percentage of paired runs whose score is better than that of {control} by at least the "
        f"given percentage of {control}'s mean score; all problems have equal weight. Nothing is "
        "tested here: auxbench compare decides."
    )
    return Table(f"Gains over {control}", columns, rows, (text,))


def _gains(
    problem: ScoredProblem, method: str, control: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
    """The relative gains of a method's paired runs; None if it or the control has no runs."""
    if not {method, control} <= problem.scores.keys():
        return None
    ours, theirs = problem.oriented([method, control])
    size = abs(float(np.nanmean(theirs)))
    gains = ours - theirs
    gains = gains[~np.isnan(gains)]
    return gains / size if size and gains.size else None
