"""The table for a paper: every problem's board in LaTeX, with gains and cost ratios."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auxbench.errors import UsageError, suggestion
from auxbench.report.board import boards
from auxbench.report.escape import escape
from auxbench.report.notes import provenance
from auxbench.report.scored import ScoredProblem
from auxbench.report.tables import decimals
from auxbench.stats import Paired
from auxbench.stats.runs import Runs, problems

if TYPE_CHECKING:
    import pandas

Cells = dict[str, str]

TITLES = {
    "method": "Method",
    "score": "Score",
    "gain": "Gain",
    "training": "Training",
    "inference": "Inference",
    "n": "$n$",
    "failed": "Failed",
}
"""The columns by name; training and inference are FLOPs relative to the control's."""


def paper(
    rows: pandas.DataFrame,
    control: str = "single",
    columns: Sequence[str] = tuple(TITLES),
    order: Sequence[str] = (),
) -> str:
    """One LaTeX table per problem; LaTeX needs the package booktabs.

    The gain is the paired difference from the control with its 95 % interval, positive where the
    method is better. Scores of methods that are not found worse than the best are bold. `columns`
    selects from the keys of `TITLES`, and `order` names the methods to show, in that order.
    Errors: `UsageError` for unknown columns and methods, and if the control is not recorded.
    """
    for name in columns:
        if name not in TITLES:
            raise UsageError(f"no column is called '{name}'; {suggestion(name, TITLES)}")
    present = sorted(set(rows["method"]))
    for name in (control, *order):
        if name not in present:
            raise UsageError(f"no record has method '{name}'; {suggestion(name, present)}")
    tables = zip(boards(rows), problems(rows), strict=True)
    return "\n".join(
        _table(number, board.rows, runs, control, columns, order)
        for number, (board, runs) in enumerate(tables, 1)
    )


def _table(
    number: int,
    board: Sequence[Mapping[str, Any]],
    runs: Runs,
    control: str,
    columns: Sequence[str],
    order: Sequence[str],
) -> str:
    by_method = {row["method"]: row for row in board}
    scored = ScoredProblem.of(runs)
    base = by_method.get(control)
    digits = _digits(board)
    lines = []
    for method in order or by_method:
        if method not in by_method:
            continue
        row = by_method[method]
        result = None
        if base is not None and method != control:
            result = scored.claim(method, control, max(len(board) - 1, 1), 0.0).result
        cells = _cells(row, base, result, digits)
        lines.append(" & ".join(cells[name] for name in columns) + r" \\")
    metric, unit, _ = scored.metric
    arrow = {"up": r"$\uparrow$", "down": r"$\downarrow$"}[scored.metric[2]]
    titles = {**TITLES, "score": f"{escape(' '.join(filter(None, [metric, unit])))} {arrow}"}
    kinds = "".join("l" if name == "method" else "r" for name in columns)
    caption = (
        f"{escape(scored.name)}. Means over seeds with the half width of 95\\,\\% $t$-intervals; "
        f"gains over {escape(control)} are paired by seed, positive where the method is better; "
        "bold: not found worse than the best. Intervals are not adjusted for multiplicity. "
        f"Training and inference: FLOPs relative to {escape(control)}. A failed run counts as the "
        "worst score."
    )
    return "\n".join(
        [
            *(f"% {note}" for note in provenance(runs)),
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:auxbench-{number}}}",
            rf"\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            " & ".join(titles[name] for name in columns) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _cells(
    row: Mapping[str, Any], base: Mapping[str, Any] | None, result: Paired | None, digits: int
) -> Cells:
    score = "--"
    if row["mean"] is not None:
        score = _number(row["imputed"] if row["failed"] else row["mean"], digits)
        if row["low"] is not None and not row["failed"]:
            score += rf" $\pm$ {_number((row['high'] - row['low']) / 2, digits)}"
        if row["tier"] == 1:
            score = rf"\textbf{{{score}}}"
    return {
        "method": escape(row["method"]),
        "score": score,
        "gain": "--" if result is None or not result.n else _gain(result, digits),
        "training": _ratio(row, base, "train_flops"),
        "inference": _ratio(row, base, "macs"),
        "n": str(row["seeds"]),
        "failed": str(row["failed"]),
    }


def _gain(result: Paired, digits: int) -> str:
    mean, *bounds = (
        _number(value, digits, "+") for value in (result.difference, result.low, result.high)
    )
    # there is no interval for too few pairs, nor for differences that are all equal
    return mean if math.isnan(result.low) else f"{mean} [{', '.join(bounds)}]"


def _ratio(row: Mapping[str, Any], base: Mapping[str, Any] | None, key: str) -> str:
    if base is None or not base[key] or row[key] is None:
        return "--"
    return rf"{row[key] / base[key]:.2f}$\times$"


def _number(value: float, digits: int, sign: str = "") -> str:
    """A number with a true minus sign."""
    return format(value, f"{sign}.{digits}f").replace("-", "$-$")


def _digits(board: Sequence[Mapping[str, Any]]) -> int:
    """Decimals for scores: two digits of the narrowest interval's half width."""
    halves = list(_halves(board))
    return decimals(min(halves)) if halves else 2


def _halves(board: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    for row in board:
        if row["low"] is not None and row["high"] > row["low"]:
            yield (row["high"] - row["low"]) / 2
