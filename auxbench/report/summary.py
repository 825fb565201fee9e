"""Summaries: the runs of every method on a problem, as the numbers of a row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np
import numpy.typing as npt

from auxbench.report.notes import hardware
from auxbench.report.scored import failures
from auxbench.stats.paired import intervals
from auxbench.stats.runs import Runs

Numbers = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]

OPEN = 0.01  # strength above which dropping a connection changes the deployed network's output
SPENT = ("forward", "backward", "partial", "jvp", "train_flops")
SECONDS = ("train_seconds", "cpu_seconds", "evaluation_seconds")
LATENCIES = (
    *("latency_ms", "latency_p95_ms", "latency_8_ms", "latency_8_p95_ms"),
    *("latency_32_ms", "latency_32_p95_ms"),
)
WORDS = (
    *("method", "entry", "tuning", "problem", "dataset", "primary", "auxiliaries"),
    *("backbone", "budget", "pretrained"),
)


def summaries(runs: Runs) -> dict[str, dict[str, Any]]:
    """The scores and costs of every method; seconds and latency are those of one hardware class."""
    everything, done = np.ones(len(runs), dtype=bool), runs["status"] == "done"
    shown = next(iter(hardware(runs)), None)
    timed = everything if shown is None else runs["hardware"] == shown
    values = _parts(runs, "value", everything)
    seeds = [len(part) for part in values]
    first = np.array([places[0] for places in runs.methods.values()])
    mean, low, high = intervals(values)
    columns: dict[str, Sequence[Any]] = {
        **{key: runs[key][first].tolist() for key in WORDS},
        "mean": _present(mean),
        "low": _present(low),
        "high": _present(high),
        "seeds": seeds,
        **{key: _whole(_spent(runs, key, everything)) for key in SPENT},
        "tuning_flops": _whole(runs["tuning_flops"][first].tolist()),
        **{key: _present(_spent(runs, key, timed)) for key in SECONDS},
        "threads": _whole(map(_mean, _parts(runs, "threads", done & timed))),
        "hardware": [shown] * len(seeds),
        **{
            key: _whole(_mean(part) for part in _parts(runs, key, done))
            for key in ("parameters", "macs", "training_parameters")
        },
        "peak_memory_bytes": _whole(map(_mean, _parts(runs, "peak_memory_bytes", done & timed))),
        # A single run on a busy machine would move a mean.
        **{
            key: [
                median(part.tolist()) if len(part) else None
                for part in _parts(runs, key, done & timed)
            ]
            for key in LATENCIES
        },
        "stale": _counts(runs, runs["stale"] != ""),
        "contended": _counts(runs, np.equal(runs["contended"], True)),  # None if unknown
        **dict(zip(("dropped_open", "dropped_strength"), _dropped(runs, done), strict=True)),
        "same_as_single": _same(runs, done),
        "compared": _compared(runs, done),
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for row, places in zip(rows, runs.methods.values(), strict=True):
        lost = failures(runs, row["method"]) if row["seeds"] < len(places) else {}
        row |= {"failed": sum(lost.values()), "failures": in_words(lost)}
    return {row["method"]: row for row in rows}


def in_words(counts: Mapping[str, int]) -> str:
    """Counts of failures, in words.

    >>> in_words({"diverged": 2, "oom": 1})
    '2 diverged, 1 oom'
    """
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _parts(runs: Runs, key: str, marks: Marks) -> Numbers | list[Numbers]:
    """The known values of a column for every method, of marked runs; a matrix if none is left out.

    The rows of a matrix are summed at once, to the same numbers as one by one.
    """
    column, places = runs[key], list(runs.methods.values())
    kept = marks & ~np.isnan(column)
    if kept.all() and len({len(part) for part in places}) == 1:
        matrix: Numbers = column[np.stack(places)]
        return matrix
    return [column[part[kept[part]]] for part in places]


def _spent(runs: Runs, key: str, marks: Marks) -> list[float]:
    """The total cost of every method's marked runs, divided by the number of those with a score.

    A mean over all runs would make a method look cheaper if some of its runs fail early.
    """
    parts = _parts(runs, key, marks)
    totals = parts.sum(1).tolist() if isinstance(parts, np.ndarray) else [p.sum() for p in parts]
    counts = _counts(runs, marks & runs.scored & ~np.isnan(runs[key]))
    pairs = zip(totals, counts, strict=True)
    return [float(total) / count if count else math.nan for total, count in pairs]


def _counts(runs: Runs, marks: Marks) -> list[int]:
    """The number of marked runs of every method."""
    found = np.bincount(runs.numbers[marks], minlength=len(runs.methods))
    return [int(count) for count in found]


def _dropped(runs: Runs, done: Marks) -> tuple[list[int], list[float | None]]:
    """The number of runs that dropped open connections, and the largest strength, by method."""
    parts = _parts(runs, "dropped_strength", done)
    return (
        [int((part > OPEN).sum()) if len(part) else 0 for part in parts],
        [float(part.max()) if len(part) else None for part in parts],
    )


def _same(runs: Runs, done: Marks) -> list[bool | None]:
    """True if every run deployed the graph of the single-task network; None if unknown."""
    flags = runs["same_as_single"]
    yes, no = (_counts(runs, done & np.equal(flags, flag)) for flag in (True, False))
    return [None if not (a or b) else not b for a, b in zip(yes, no, strict=True)]


def _compared(runs: Runs, done: Marks) -> list[str | None]:
    """The means by which deployed networks were compared; None if runs differ or it is unknown."""
    words = runs["compared"]
    found = ({words[place] for place in places if done[place]} for places in runs.methods.values())
    return [kinds.pop() if len(kinds) == 1 else None for kinds in found]


def _mean(values: Numbers) -> float:
    """The mean, which is exact where all values are the same."""
    if not len(values):
        return math.nan
    least, most = float(values.min()), float(values.max())
    return least if least == most else fmean(values.tolist())


def _present(values: Iterable[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def _whole(values: Iterable[float]) -> list[int | None]:
    return [None if math.isnan(value) else round(value) for value in values]
