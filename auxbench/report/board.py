"""Boards: the methods of a problem by their primary score, with what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from auxbench.report.table import Column, Table
from auxbench.stats import frame, interval
from auxbench.stats.frame import PROBLEM

if TYPE_CHECKING:
    import pandas

Record = dict[str, Any]

COLUMNS = (
    Column("method", "method"),
    Column("dataset", "data set", shown=False),
    Column("primary", "primary", shown=False),
    Column("auxiliaries", "auxiliaries", shown=False),
    Column("backbone", "backbone", shown=False),
    Column("pretrained", "pretrained", shown=False),
    Column("budget", "budget", shown=False),
    Column("metric", "metric", shown=False),
    Column("unit", "unit", shown=False),
    Column("direction", "direction", shown=False),
    Column("mean", "mean", 2),
    Column("interval", "95 % interval"),
    Column("low", "low", shown=False),
    Column("high", "high", shown=False),
    Column("seeds", "seeds"),
    Column("failed", "failed"),
    Column("forward", "forward"),
    Column("backward", "backward"),
    Column("partial", "partial", shown=False),
    Column("train_flops", "train FLOPs", si=True),
    Column("train_seconds", "train s", 0),
    Column("parameters", "deployed parameters", si=True),
    Column("macs", "MACs", si=True),
    Column("latency_ms", "latency ms", 1),
    Column("same_as_single", "same as single", shown=False),
)


def boards(records: Sequence[Record]) -> list[Table]:
    """One table per problem, the best mean first; methods without a finished run come last."""
    return [_board(group) for group in problems(frame(records))]


def problems(rows: pandas.DataFrame) -> Iterator[pandas.DataFrame]:
    """The rows of every problem; runs are comparable inside one and nowhere else."""
    for _, group in rows.groupby(list(PROBLEM), sort=False):
        yield group


def describe(group: pandas.DataFrame) -> str:
    """A problem in one line.

    >>> from auxbench.stats import frame
    >>> describe(frame([]).reindex([0]).assign(dataset="rooms", primary="depth", budget="demo",
    ...     auxiliaries="normals", backbone="resnet18", pretrained=False, protocol="1"))
    'rooms: depth, with normals; resnet18, budget demo, protocol 1'
    """
    row = group.iloc[0]
    auxiliaries = f", with {row.auxiliaries.replace(',', ', ')}" if row.auxiliaries else ""
    weights = " pretrained" if row.pretrained else ""
    return (
        f"{row.dataset}: {row.primary}{auxiliaries}; {row.backbone}{weights}, "
        f"budget {row.budget}, protocol {row.protocol}"
    )


def metric_of(group: pandas.DataFrame) -> tuple[str, str, str]:
    """Metric, unit and direction of a problem; empty where no run has finished."""
    done = group[group["status"] == "done"]
    if done.empty:
        return "", "", "up"
    row = done.iloc[0]
    return row.metric, row.unit, row.direction


def _board(group: pandas.DataFrame) -> Table:
    metric, unit, direction = metric_of(group)
    rows = [_row(part, metric, unit, direction) for _, part in group.groupby("method", sort=False)]
    sign = -1 if direction == "up" else 1
    rows.sort(key=lambda row: (row["mean"] is None, sign * (row["mean"] or 0)))
    arrow = "↑" if direction == "up" else "↓"
    title = describe(group)
    score = f"Score: {metric}{f' in {unit}' if unit else ''} {arrow} on the test split, "
    notes = (
        f"{score}mean over seeds with a 95 % t-interval; costs are means per run.",
        "Overlapping intervals are no comparison: auxbench compare pairs the seeds.",
    )
    return Table(title, COLUMNS, rows, notes if metric else ("No run has finished.",))


def _row(part: pandas.DataFrame, metric: str, unit: str, direction: str) -> dict[str, Any]:
    first = part.iloc[0]
    done = part[part["status"] == "done"]
    values = [float(value) for value in done["value"].dropna()]
    mean, low, high = (None if math.isnan(x) else x for x in interval(values))
    costs: dict[str, Any] = {}
    for key in ("forward", "backward", "partial", "train_flops", "parameters", "macs"):
        costs[key] = None if done.empty else round(float(done[key].mean()))
    for key in ("train_seconds", "latency_ms"):
        costs[key] = None if done.empty else float(done[key].mean())
    return {
        "method": first.method,
        "dataset": first.dataset,
        "primary": first.primary,
        "auxiliaries": first.auxiliaries,
        "backbone": first.backbone,
        "pretrained": bool(first.pretrained),
        "budget": first.budget,
        "metric": metric,
        "unit": unit,
        "direction": direction,
        "mean": mean,
        "low": low,
        "high": high,
        "interval": None if low is None else f"{low:.2f} to {high:.2f}",
        "seeds": len(values),
        "failed": len(part) - len(values),
        "same_as_single": None if done.empty else bool(done["same_as_single"].all()),
        **costs,
    }
