"""Matrices: methods by problems, with the difference from the control and its verdict in cells."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from auxbench.report.across import notes as across_notes
from auxbench.report.across import rank_intervals
from auxbench.report.comparison import Comparison
from auxbench.report.difference import Difference
from auxbench.report.summary import in_words
from auxbench.report.tables import NOTHING, Column, Table

MARKS = {"better": " better", "worse": " worse", "equivalent": " same", "undecided": ""}
COUNTED = ("better", "equivalent", "worse")


def matrix(comparison: Comparison) -> Table:
    """The differences of a comparison, with a row per method and a column per problem.

    Methods are sorted by mean rank over the problems, with failed runs counted as the worst score;
    those that are not recorded on every problem come last.
    """
    places = list(dict.fromkeys(difference.place for difference in comparison.differences))
    metrics = {difference.where["metric"] for difference in comparison.differences}
    grid: dict[str, dict[str, Difference]] = {}
    for difference in comparison.differences:
        grid.setdefault(difference.method, {})[difference.place] = difference

    columns = [
        Column("method", "method"),
        Column("rank", "mean rank", 1),
        Column("rank_low", "95 % interval", 1, upto="rank_high", spare=1),
        Column("rank_high", "rank high", shown=False),
        Column("decided", "better/same/worse"),
        *(Column(key, key, shown=False) for key in COUNTED),
    ]
    for place in places:
        columns += [
            Column(f"{place}/text", place, telling=True),
            *(
                Column(f"{place}/{key}", key, shown=False)
                for key in (
                    *("difference", "low", "high", "p_holm", "verdict", "pairs"),
                    *("failed", "control_failed", "rank"),
                )
            ),
        ]
    intervals = rank_intervals(comparison.problems)
    rows = [
        _row(method, places, cells) | _standing(cells, intervals.get(method))
        for method, cells in grid.items()
    ]
    rows.sort(key=lambda row: (len(places) - len(grid[row["method"]]), row["rank"]))
    unit = next(iter(metrics)) if len(metrics) == 1 else "the metric of each problem"
    return Table(
        "",
        tuple(columns),
        rows,
        (*_notes(comparison, unit), *comparison.notes()),
        comparison.explanation(),
    )


def _standing(cells: dict[str, Difference], bounds: tuple[float, float] | None) -> dict[str, Any]:
    """The interval of a method's mean rank, and how often it is better, the same and worse."""
    low, high = bounds or (None, None)
    verdicts = [cell.verdict for cell in cells.values()]
    counts = {verdict: verdicts.count(verdict) for verdict in COUNTED}
    decided = "/".join(map(str, counts.values()))
    return {"rank_low": low, "rank_high": high, "decided": decided, **counts}


def _row(method: str, places: list[str], cells: dict[str, Difference]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": method,
        "rank": fmean(cell.rank for cell in cells.values()),
    }
    for place in places:
        cell = cells.get(place)
        if cell is None:
            row[f"{place}/text"] = NOTHING
            continue
        result = cell.result
        tested = result.n > 1
        row |= {
            f"{place}/text": _text(cell),
            f"{place}/difference": result.difference,
            f"{place}/low": result.low,
            f"{place}/high": result.high,
            f"{place}/p_holm": cell.p_holm if tested else None,
            f"{place}/verdict": cell.verdict,
            f"{place}/pairs": result.n,
            f"{place}/failed": sum(cell.failed.values()),
            f"{place}/control_failed": sum(cell.control_failed.values()),
            f"{place}/rank": cell.rank,
        }
    return row


def _text(cell: Difference) -> str:
    """The difference, its verdict, and in brackets the pairs, with failures counted separately.

    A problem on which no method has a score has no difference.
    """
    result, digits = cell.result, cell.digits
    failed = result.n - cell.finished
    pairs = f"{cell.finished}+{failed} failed" if failed else str(result.n)
    number = f"{result.difference:+.{digits}f}" if result.n else NOTHING
    return f"{number}{MARKS[cell.verdict]} ({pairs})"


def _notes(comparison: Comparison, unit: str) -> Iterator[str]:
    differences = comparison.differences
    control = differences[0].control
    yield (
        f"Mean paired difference from {control} in {unit}, positive where the method is better. "
        "'better', 'worse' and 'same' (equivalent) are decided; a number alone is not. In "
        "brackets: the number of paired seeds, with the method's failures counted separately."
    )
    places = {difference.place: difference for difference in differences}
    own = fmean(difference.control_rank for difference in places.values())
    yield (
        "Sorted by mean rank: ranks are by mean score, ties averaged, and methods that are not "
        f"recorded on every problem come last. The mean rank of {control} is {own:.1f}."
    )
    yield from across_notes(comparison.problems)
    for place, difference in places.items():
        if counts := difference.control_failed:
            yield f"{control} on {place}: runs without a score: {in_words(counts)}."
