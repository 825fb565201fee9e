"""Boards: the methods of each problem, sorted by primary score, with their costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from auxbench.report.notes import notes, threads
from auxbench.report.scored import (
    ScoredProblem,
    problems,
)
from auxbench.report.tables import Column, Table, decimals
from auxbench.stats import frame, interval

if TYPE_CHECKING:
    import pandas

Record = Mapping[str, Any]

COLUMNS = (
    Column("tier", "tier"),
    Column("method", "method"),
    Column("entry", "entry", shown=False),
    Column("tuning", "tuning"),
    Column("dataset", "data set", shown=False),
    Column("primary", "primary", shown=False),
    Column("auxiliaries", "auxiliaries", shown=False),
    Column("backbone", "backbone", shown=False),
    Column("pretrained", "pretrained", shown=False),
    Column("budget", "budget", shown=False),
    Column("problem", "problem", shown=False),
    Column("metric", "metric", shown=False),
    Column("unit", "unit", shown=False),
    Column("direction", "direction", shown=False),
    Column("mean", "mean"),
    Column("low", "95 % interval", upto="high"),
    Column("high", "high", shown=False),
    Column("rank_low", "rank", 0, upto="rank_high"),
    Column("rank_high", "rank high", shown=False),
    Column("seeds", "seeds"),
    Column("failed", "failed"),
    Column("failures", "failures", shown=False),
    Column("imputed", "failed as worst"),
    Column("forward", "forward"),
    Column("backward", "backward"),
    Column("partial", "partial"),
    Column("jvp", "forward-mode"),
    Column("train_flops", "train FLOPs", si=True),
    Column("tuning_flops", "tuning FLOPs", si=True),
    Column("train_seconds", "train s", 1),
    Column("cpu_seconds", "CPU s", 1),
    Column("evaluation_seconds", "evaluation s", 1, shown=False),
    Column("threads", "threads", shown=False),
    Column("contended", "contended", shown=False),
    Column("stale", "stale", shown=False),
    Column("parameters", "parameters", si=True),
    Column("macs", "MACs", si=True),
    Column("latency_ms", "latency ms", 1),
    Column("same_as_single", "same as single", shown=False),
    Column("dropped_open", "dropped open", shown=False),
    Column("dropped_strength", "dropped strength", shown=False),
)
OPEN = 0.01  # strength above which dropping a connection changes the deployed network's output
SPENT = ("forward", "backward", "partial", "jvp", "train_flops")
SECONDS = ("train_seconds", "cpu_seconds", "evaluation_seconds")
DEPLOYED = ("same_as_single", "latency_ms", "dropped_strength", "threads", "parameters", "macs")


def boards(records: Iterable[Record] | pandas.DataFrame) -> list[Table]:
    """One table per problem, sorted by mean score, with failed runs counted as the worst score.

    Each row describes a method: its tier and rank interval, the mean score and its interval over
    the seeds that finished, the number of failures by kind, the mean that it is sorted by, and the
    costs of training and inference.
    Errors: `UsageError` when the runs of a problem were scored by different metrics.
    """
    return [_board(group) for group in problems(frame(records))]


def in_words(counts: Mapping[str, int]) -> str:
    """Counts of failures, in words.

    >>> in_words({"diverged": 2, "oom": 1})
    '2 diverged, 1 oom'
    """
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _board(group: pandas.DataFrame) -> Table:
    scored = ScoredProblem.of(group)
    metric, unit, direction = scored.metric
    common = {"metric": metric, "unit": unit, "direction": direction}
    names, every, standing = scored.order, scored.scores, scored.standing(scored.order)
    columns = {str(key): group[key].to_numpy() for key in group.columns}
    rows = [
        {
            **_row({key: column[columns["method"] == method] for key, column in columns.items()}),
            **common,
            **dict(zip(("tier", "rank_low", "rank_high"), standing[method], strict=True)),
            "imputed": _mean(every[method]),
        }
        for method in names
    ]
    if len(threads(group)) > 1:
        for row in rows:
            row |= dict.fromkeys((*SECONDS, "latency_ms"))
    title = group["problem"].iloc[0]
    return Table(title, _columns(rows), rows, tuple(notes(group, rows)))


def _row(part: Mapping[str, Any]) -> dict[str, Any]:
    """The runs of a method, whose columns are arrays, as a row of the board."""
    finished = part["status"] == "done"
    done = {key: part[key][finished] for key in DEPLOYED}
    scored = ~np.isnan(part["value"])
    values = part["value"][scored].tolist()
    failed = Counter(
        "unscored" if word == "done" else str(word) for word in part["status"][~scored].tolist()
    )
    mean, low, high = map(_present, interval(values))
    same = [value for value in done["same_as_single"].tolist() if value is not None]
    latencies = _known(done["latency_ms"])
    strengths = _known(done["dropped_strength"])
    return {
        **{key: part[key][0] for key in ("method", "entry", "tuning", "problem")},
        **{
            key: part[key][0] for key in ("dataset", "primary", "auxiliaries", "backbone", "budget")
        },
        "pretrained": bool(part["pretrained"][0]),
        "mean": mean,
        "low": low,
        "high": high,
        "seeds": len(values),
        "failed": sum(failed.values()),
        "failures": in_words(failed),
        **{key: _whole(_spent(part, key)) for key in SPENT},
        "tuning_flops": _whole(part["tuning_flops"][0]),
        **{key: _present(_spent(part, key)) for key in SECONDS},
        **{key: _whole(_average(done[key])) for key in ("threads", "parameters", "macs")},
        "stale": int((part["stale"] != "").sum()),
        "contended": sum(busy is True for busy in part["contended"].tolist()),  # None if unknown
        # A single run on a busy machine would move a mean.
        "latency_ms": median(latencies) if latencies else None,
        "same_as_single": all(same) if same else None,
        "dropped_open": sum(strength > OPEN for strength in strengths),
        "dropped_strength": max(strengths, default=None),
    }


def _known(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values.tolist() if not math.isnan(value)]


def _average(values: npt.NDArray[np.float64]) -> float:
    known = _known(values)
    return fmean(known) if known else math.nan


def _mean(values: Mapping[int, float]) -> float | None:
    return fmean(values.values()) if values else None


def _spent(part: Mapping[str, Any], key: str) -> float:
    """The total cost of a method's runs, divided by the number of runs with a score.

    A mean over all runs would make a method look cheaper if some of its runs fail early.
    """
    known = ~np.isnan(part[key])
    scored = int((known & ~np.isnan(part["value"])).sum())
    return float(part[key][known].sum()) / scored if scored else math.nan


def _present(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else round(value)


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns, with titles, decimals and visibility that fit these rows."""
    arrow = {"up": "↑", "down": "↓"}[rows[0]["direction"]]
    title = " ".join(word for word in (rows[0]["metric"], rows[0]["unit"], arrow) if word)
    sizes = [abs(row["mean"]) for row in rows if row["seeds"]]
    halves = [(row["high"] - row["low"]) / 2 for row in rows if row["seeds"] > 1]
    halves = [half for half in halves if half > 0]
    digits = decimals(median(halves)) if halves else decimals(max(sizes, default=0.0), 3)
    failed = any(row["failed"] for row in rows)
    changes: dict[str, dict[str, Any]] = {
        "mean": {"title": title if rows[0]["metric"] else "score", "digits": digits},
        "low": {"digits": digits},
        "failed": {"shown": failed},
        "tuning": {"shown": any(row["tuning"] != "default" for row in rows)},
        "imputed": {"shown": failed, "digits": digits},
        **{
            key: {"shown": any(row[key] for row in rows)}
            for key in ("partial", "jvp", "cpu_seconds", "tuning_flops")
        },
    }
    return tuple(replace(column, **changes.get(column.key, {})) for column in COLUMNS)
