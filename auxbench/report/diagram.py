"""Critical-difference diagrams: mean ranks on a line, and the groups that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np

from auxbench.errors import UsageError
from auxbench.report.across import everywhere
from auxbench.report.scored import ScoredProblem
from auxbench.report.tables import Column, Table
from auxbench.stats.across import cliques, critical_difference, friedman, mean_ranks

WIDTH = 41  # characters of the line from the first rank to the last


def diagram(problems: Sequence[ScoredProblem]) -> Table:
    """The critical-difference diagram of the methods that are recorded on every problem.

    It is drawn with a row per method, the best first. Methods that share a letter cannot be told
    apart, and letters stand in columns, as the bars of a printed diagram do. Errors: `UsageError`
    where the diagram could not show anything, whatever the scores.

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
    groups = cliques([ranks[place] for place in order], apart)
    scale = (WIDTH - 1) / largest
    drawn = "├" + "─" * max(0, round(apart * scale) - 1) + "┤"
    rows = [{"method": "critical difference", "rank": apart, "line": drawn, "groups": ""}]
    for row, place in enumerate(order):
        line = ["·"] * WIDTH
        line[round((ranks[place] - 1) * scale)] = "●"
        letters = [
            ascii_lowercase[index % 26] if row in group else " "
            for index, group in enumerate(groups)
        ]
        rows.append(
            {
                "method": names[place],
                "rank": float(ranks[place]),
                "line": "".join(line),
                "groups": "".join(letters).rstrip(),
            }
        )
    columns = (
        Column("method", "method"),
        Column("rank", "mean rank", 2),
        Column("line", f"1{len(names):·>{WIDTH - 1}}"),
        Column("groups", "not told apart"),
    )
    p = friedman(-means)
    note = (
        f"Nemenyi's test at 5 %, on the mean scores of {count} problems, with failed runs counted "
        "as the worst score: methods that share a letter cannot be told apart. Friedman's test "
        f"that all rank equally: p = {p:.3f}."
    )
    if p > 0.05:
        note += " It does not reject, so no difference here should be believed."
    return Table("Critical-difference diagram", columns, rows, (note,))
