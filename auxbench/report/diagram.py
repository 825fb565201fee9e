"""Critical-difference diagrams: mean ranks on a line, and the groups that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np

from auxbench.errors import UsageError
from auxbench.report.across import everywhere
from auxbench.report.scored import ScoredProblem
from auxbench.report.tables import Column, Table
from auxbench.stats.across import cliques, critical_difference, friedman, mean_ranks

WIDTH = 41  # characters of the line from the first rank to the last


@dataclass(frozen=True)
class Standing:
    """The mean ranks of methods, the best first, and the groups that cannot be told apart.

    `apart` is the critical difference, `groups` have places among `names`, `count` is the number of
    problems, and `p` Friedman's p-value that all methods rank equally.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    apart: float
    groups: tuple[range, ...]
    count: int
    p: float

    @property
    def largest(self) -> int:
        """The largest possible difference of two mean ranks."""
        return len(self.names) - 1

    def note(self, sign: str) -> str:
        """The tests in words; `sign` is what the methods of a group share in a drawing."""
        text = (
            f"Nemenyi's test at 5 %, on the mean scores of {self.count} problems, with failed runs "
            f"counted as the worst score: methods that share a {sign} cannot be told apart. "
            f"Friedman's test that all rank equally: p = {self.p:.3f}."
        )
        if self.p > 0.05:
            text += " It does not reject, so no difference here should be believed."
        return text


def standing(problems: Sequence[ScoredProblem]) -> Standing:
    """The standing of the methods that are recorded on every problem.

    Errors: `UsageError` where a diagram of it could not show anything, whatever the scores.

    Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006,
    https://jmlr.org/papers/v7/demsar06a.html
    """
    names, count = everywhere(problems), len(problems)
    if len(names) < 2:
        raise UsageError(
            "no two methods are recorded on every problem; choose problems with --dataset or "
            "--budget."
        )
    apart, largest = critical_difference(len(names), count), len(names) - 1
    if apart >= largest:
        raise UsageError(
            f"with {len(names)} methods and {count} problem{'s' * (count > 1)} the critical "
            f"difference is {apart:.1f}, and mean ranks differ by at most {largest}: a diagram "
            "would show nothing; record more problems, or see --matrix."
        )
    means = np.array([np.nanmean(problem.oriented(names), axis=1) for problem in problems])
    ranks = mean_ranks(means)
    order = np.argsort(ranks, kind="stable").tolist()
    found = tuple(float(ranks[place]) for place in order)
    sorted_names = tuple(names[place] for place in order)
    groups = tuple(cliques(found, apart))
    return Standing(sorted_names, found, apart, groups, count, friedman(-means))


def diagram(problems: Sequence[ScoredProblem]) -> Table:
    """The critical-difference diagram of the methods that are recorded on every problem.

    It is drawn with a row per method, the best first. Methods that share a letter cannot be told
    apart, and letters stand in columns, as the bars of a printed diagram do. Errors: as for
    `standing`.
    """
    known = standing(problems)
    scale = (WIDTH - 1) / known.largest
    drawn = "├" + "─" * max(0, round(known.apart * scale) - 1) + "┤"
    rows = [{"method": "critical difference", "rank": known.apart, "line": drawn, "groups": ""}]
    for row, (name, rank) in enumerate(zip(known.names, known.ranks, strict=True)):
        line = ["·"] * WIDTH
        line[round((rank - 1) * scale)] = "●"
        letters = [
            ascii_lowercase[index % 26] if row in group else " "
            for index, group in enumerate(known.groups)
        ]
        text = "".join(letters).rstrip()
        rows.append({"method": name, "rank": rank, "line": "".join(line), "groups": text})
    columns = (
        Column("method", "method"),
        Column("rank", "mean rank", 2),
        Column("line", f"1{len(known.names):·>{WIDTH - 1}}"),
        Column("groups", "not told apart"),
    )
    return Table("Critical-difference diagram", columns, rows, (known.note("letter"),))
