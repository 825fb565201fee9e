"""The frame: a table with one row per run, on which all statistics are computed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auxbench.data.progress import counted
from auxbench.records.ledger import Tuning
from auxbench.records.provenance import stale
from auxbench.spec.networks import HEAD
from auxbench.spec.problem import problem_of

if TYPE_CHECKING:
    import pandas

NUMBERS = (
    "value",
    "margin",
    "train_seconds",
    "cpu_seconds",
    "evaluation_seconds",
    "waiting_seconds",
    "threads",
    "train_flops",
    "forward",
    "backward",
    "partial",
    "jvp",
    "examples",
    "peak_memory_bytes",
    "parameters",
    "macs",
    "latency_ms",
    "dropped_strength",
)
COLUMNS = (
    "id",
    "problem",
    "dataset",
    "primary",
    "auxiliaries",
    "backbone",
    "pretrained",
    "weights",
    "head",
    "budget",
    "protocol",
    "method",
    "entry",
    "tuning",
    "tuning_flops",
    "seed",
    "status",
    "reason",
    "metric",
    "metric_version",
    "unit",
    "direction",
    *NUMBERS,
    "same_as_single",
    "contended",
    "stale",
    "data",
    "draw",
    "code",
    "torch",
    "commit",
    "dirty",
    "device",
)
LATER = ("entry", "tuning", "tuning_flops", "stale")  # what depends on a ledger and on today's code
FIXED = (*(key for key in COLUMNS if key not in LATER), "traced")
CONTENDED = 0.1  # share of time waiting for a core above which a run is marked


def frame(
    records: Iterable[Mapping[str, Any]] | pandas.DataFrame, tunings: Iterable[Tuning] = ()
) -> pandas.DataFrame:
    """One row per run with flat columns; values that a run does not have are missing.

    Rows with the same `problem` are comparable: same data, tasks, backbone, recipe and protocol.
    `value` is the deployed network's primary score on the test split, and NaN for a run that
    failed. With the `tunings` of a ledger, an entry that tuning selected has its method's name in
    `method`; `entry` is always the complete text, and `tuning` says how the entry was found. `draw`
    is the draw of the data, if the seed made one. `stale` says why a run does not match the present
    code, and is empty if it does. If a run has several records, the last one counts. A frame is
    returned unchanged, so that callers may pass either records or a frame.

    >>> frame([]).columns[:3].tolist()
    ['id', 'problem', 'dataset']
    """
    import pandas

    if isinstance(records, pandas.DataFrame):
        return records
    return labelled(columns_of(records), tunings)


def columns_of(records: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """What is read of each record, one row per run: the columns that never change afterwards."""
    import pandas

    rows = {record["id"]: _row(record) for record in records}
    result = pandas.DataFrame(list(rows.values()), columns=list(FIXED))
    numbers = (*NUMBERS, "metric_version", "draw")
    types = {"seed": "int64", "pretrained": "bool", **dict.fromkeys(numbers, "float64")}
    return result.astype(types)


def labelled(rows: pandas.DataFrame, tunings: Iterable[Tuning]) -> pandas.DataFrame:
    """The frame of `columns_of` with what depends on a ledger and on the present code."""
    names = [
        {"problem": problem, "method": method}
        for problem, method in zip(rows["problem"], rows["method"], strict=True)
    ]
    _label(names, tunings)
    why: dict[tuple[str, bool, str], str] = {}
    keys = list(zip(rows["code"], rows["traced"], rows["status"], strict=True))
    for key in dict.fromkeys(keys):
        code, traced, status = key
        known = {"code": json.loads(code)} if traced else None
        why[key] = stale({"status": status, "provenance": known})
    return rows.assign(
        **{key: [name[key] for name in names] for key in ("method", "entry", "tuning")},
        tuning_flops=[float(name["tuning_flops"]) for name in names],
        stale=[why[key] for key in keys],
    )[list(COLUMNS)]


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
    """How an entry was found, from all tunings of its method; the last one selected it."""
    tried = {trial.entry for tuning in tunings for trial in tuning.trials}
    samplers = sorted({tuning.sampler for tuning in tunings} - {"sobol"})
    several = [f"{len(tunings)} tunings"] if len(tunings) > 1 else []
    return f"tuned ({', '.join([*several, counted(len(tried), 'trial'), *samplers])})"


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    run = record["run"]
    score = (record.get("primary") if record["status"] == "done" else None) or {}
    training = record.get("training") or {}
    inference = record.get("inference") or {}
    surroundings = record.get("environment") or {}
    return {
        "id": record["id"],
        "problem": problem_of(run),
        "dataset": run["dataset"],
        "primary": run["primary"],
        "auxiliaries": ",".join(run["auxiliaries"]),
        "backbone": run["backbone"],
        "budget": run["recipe"]["budget"],
        "protocol": run["protocol"],
        "pretrained": run["pretrained"],
        "weights": run.get("weights", ""),
        "head": run.get("head", HEAD),
        "method": run["method"],
        "seed": run["seed"],
        "status": record["status"],
        "reason": record.get("reason", ""),
        **{key: score.get(key) for key in ("metric", "unit", "direction", "value", "margin")},
        "metric_version": score.get("version"),
        **_times(training, surroundings.get("threads")),
        "train_flops": training.get("flops"),
        **{key: training.get(key) for key in ("forward", "backward", "partial", "examples")},
        "jvp": training.get("jvp"),
        "peak_memory_bytes": training.get("peak_memory_bytes"),
        **{
            key: inference.get(key)
            for key in ("parameters", "macs", "latency_ms", "same_as_single")
        },
        "dropped_strength": (record.get("selected") or {}).get("dropped_strength"),
        "traced": record.get("provenance") is not None,
        "data": _data(record),
        "draw": (record.get("provenance") or {}).get("draw"),
        "code": json.dumps((record.get("provenance") or {}).get("code") or {}, sort_keys=True),
        "torch": (surroundings.get("packages") or {}).get("torch"),
        "commit": surroundings.get("commit"),
        "dirty": surroundings.get("dirty"),
        "device": surroundings.get("device_name"),
    }


def _data(record: Mapping[str, Any]) -> str:
    """The fingerprint of a run's data; empty where it is unknown."""
    known = record.get("provenance") or {}
    return json.dumps(known["data"], sort_keys=True) if known.get("data") else ""


def _times(training: Mapping[str, Any], threads: int | None) -> dict[str, Any]:
    """The seconds of a run, and whether the machine was busy (None if unknown)."""
    seconds, evaluation = training.get("seconds"), training.get("evaluation_seconds")
    waiting, contended = training.get("waiting_seconds"), None
    if not (seconds is None or evaluation is None or waiting is None or threads is None):
        contended = waiting > CONTENDED * threads * (seconds + evaluation)
    return {
        "train_seconds": seconds,
        "cpu_seconds": training.get("cpu_seconds"),
        "evaluation_seconds": evaluation,
        "waiting_seconds": waiting,
        "threads": threads,
        "contended": contended,
    }
