"""The frame: a table with one row per run, on which all statistics are computed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from auxbench.data.progress import counted
from auxbench.records.ledger import Tuning
from auxbench.records.provenance import stale
from auxbench.stats.columns import COLUMNS, columns_of, decoded, table

if TYPE_CHECKING:
    import pandas


def frame(
    records: Iterable[Mapping[str, Any]] | pandas.DataFrame, tunings: Iterable[Tuning] = ()
) -> pandas.DataFrame:
    """One row per run with flat columns; values that a run does not have are missing.

    Rows with the same `problem` are comparable: same data, tasks, backbone, recipe and protocol.
    `value` is the deployed network's primary score on the test split, and NaN for a run that
    failed. With the `tunings` of a ledger, an entry that tuning selected has its method's name in
    `method`; `entry` is always the complete text, and `tuning` says how the entry was found. `draw`
    is the draw of the data, if the seed made one. `stale` says why a run does not match the present
    code, and is empty if it does. `hardware` is the class in which seconds may be averaged. If a
    run has several records, the last one counts. A frame is returned unchanged, so that callers may
    pass either records or a frame.

    >>> frame([]).columns[:3].tolist()
    ['id', 'problem', 'dataset']
    """
    import pandas

    if isinstance(records, pandas.DataFrame):
        return records
    return labelled(columns_of(records), tunings)


def labelled(rows: pandas.DataFrame, tunings: Iterable[Tuning]) -> pandas.DataFrame:
    """The frame of `columns_of` with what depends on a ledger and on the present code."""
    entries, which = _distinct(rows, ("problem", "method"))
    names = [{"problem": problem, "method": method} for problem, method in entries]
    _label(names, tunings)
    keys, runs = _distinct(rows, ("code", "traced", "status"))
    why = [
        stale({"status": status, "provenance": {"code": json.loads(code)} if traced else None})
        for code, traced, status in keys
    ]
    found = {str(key): rows[key].to_numpy() for key in rows.columns}
    for key in ("method", "entry", "tuning"):
        found[key] = decoded([name[key] for name in names], which)
    found["tuning_flops"] = np.array([name["tuning_flops"] for name in names], dtype=float)[which]
    found["stale"] = decoded(why, runs)
    return table({key: found[key] for key in COLUMNS})


def _distinct(
    rows: pandas.DataFrame, keys: Sequence[str]
) -> tuple[list[tuple[Any, ...]], npt.NDArray[np.intp]]:
    """The distinct values of some columns, in order, and which of them every row has."""
    import pandas

    codes = np.zeros(len(rows), dtype=np.int64)
    for key in keys:
        part, values = pandas.factorize(rows[key])
        codes = codes * (len(values) + 1) + part + 1
    which, first = pandas.factorize(codes)
    places = np.zeros(len(first), dtype=np.intp)
    places[which[::-1]] = np.arange(len(rows))[::-1]  # the first row of each
    found = zip(*(rows[key].to_numpy()[places].tolist() for key in keys), strict=True)
    return list(found), which


def _label(rows: Sequence[dict[str, Any]], tunings: Iterable[Tuning]) -> None:
    """Note how every entry was found, and give one that tuning selected its method's name.

    The method's own entry and those of earlier tunings on the same problem are then marked as such.
    Repeated tuning is visible: the note counts all tunings of a method, with their trials.
    """
    every: dict[tuple[str, str], list[Tuning]] = {}
    for one in tunings:
        every.setdefault((one.problem, one.method), []).append(one)
    found = {(group[-1].problem, group[-1].selected): group[-1] for group in every.values()}
    earlier = {(one.problem, one.selected) for group in every.values() for one in group}
    taken = {(tuning.problem, tuning.method) for tuning in found.values()}
    for row in rows:
        entry = row["entry"] = row["method"]
        row["tuning"] = "set by hand" if ":" in entry else "default"
        row["tuning_flops"] = math.nan
        if tuning := found.get((row["problem"], entry)):
            tunings_of_it = every[tuning.problem, tuning.method]
            row["tuning"] = _tuned(tunings_of_it)
            row["tuning_flops"] = sum(trial.flops for one in tunings_of_it for trial in one.trials)
            row["method"] = tuning.method
        elif (row["problem"], entry) in earlier:
            row["tuning"] = "tuned before"
            row["method"] = f"{entry} (tuned before)"
        elif (row["problem"], entry) in taken:
            row["method"] = f"{entry} ({row['tuning']})"


def _tuned(tunings: Sequence[Tuning]) -> str:
    """The way in which an entry was found, by all tunings of its method; the last selected it."""
    tried = {trial.entry for tuning in tunings for trial in tuning.trials}
    samplers = sorted({tuning.sampler for tuning in tunings} - {"sobol"})
    several = [f"{len(tunings)} tunings"] if len(tunings) > 1 else []
    return f"tuned ({', '.join([*several, counted(len(tried), 'trial'), *samplers])})"
