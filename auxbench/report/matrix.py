"""Matrices: methods by problems, in every cell the difference from the control and its verdict."""

from __future__ import annotations

from typing import Any

from auxbench.report.comparison import Comparison, Difference
from auxbench.report.table import NOTHING, Column, Table

MARKS = {"better": " better", "worse": " worse", "undecided": ""}


def matrix(comparison: Comparison) -> Table:
    """The same differences as the comparison's own table, a row per method and a column per place.

    Methods come in the order of (problems where they are better - where they are worse), and
    among equals of their worst difference, where all are in one metric.
    """
    places = list(dict.fromkeys(difference.place for difference in comparison.differences))
    control = comparison.differences[0].control
    metrics = {difference.where["metric"] for difference in comparison.differences}
    grid: dict[str, dict[str, Difference]] = {}
    for difference in comparison.differences:
        grid.setdefault(difference.method, {})[difference.place] = difference

    def rank(method: str) -> tuple[float, ...]:
        cells = grid[method].values()
        balance = sum((c.verdict == "better") - (c.verdict == "worse") for c in cells)
        worst = min(c.result.difference for c in cells) if len(metrics) == 1 else 0.0
        return (-balance, -worst)

    columns = [Column("method", "method")]
    for place in places:
        columns += [
            Column(f"{place}/text", place),
            *(
                Column(f"{place}/{key}", key, shown=False)
                for key in ("difference", "low", "high", "p_holm", "verdict", "pairs")
            ),
        ]
    rows = [_row(method, places, grid[method]) for method in sorted(grid, key=rank)]
    unit = next(iter(metrics)) if len(metrics) == 1 else "the metric of each problem"
    head = (
        f"Mean paired difference from {control} in {unit}, positive where the method is better. "
        "'better' and 'worse' are decided; a number alone is not."
    )
    return Table("", tuple(columns), rows, (head, *comparison.notes()))


def _row(method: str, places: list[str], cells: dict[str, Difference]) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method}
    for place in places:
        cell = cells.get(place)
        if cell is None:
            row[f"{place}/text"] = NOTHING
            continue
        result = cell.result
        tested = result.n > 1
        row |= {
            f"{place}/text": f"{result.difference:+.{cell.digits}f}{MARKS[cell.verdict]}",
            f"{place}/difference": result.difference,
            f"{place}/low": result.low,
            f"{place}/high": result.high,
            f"{place}/p_holm": cell.p_holm if tested else None,
            f"{place}/verdict": cell.verdict,
            f"{place}/pairs": result.n,
        }
    return row
