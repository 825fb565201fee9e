"""The frame: one row per run, the form in which records are computed with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from auxbench.records.provenance import stale
from auxbench.spec.budget import BUDGETS, PROTOCOL, Recipe
from auxbench.spec.grammar import spelled
from auxbench.spec.networks import HEAD

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
    "device",
)
CONTENDED = 0.1  # share of the time that a run's threads waited for a core, from which it is marked


def frame(records: Iterable[Mapping[str, Any]] | pandas.DataFrame) -> pandas.DataFrame:
    """One row per run with flat columns; what a run does not have is missing.

    Rows with the same `problem` are comparable: same data, tasks, backbone, recipe and protocol.
    `value` is the deployed network's primary score on the test split, and NaN for a run that
    failed. `draw` is the draw of the data that a seed made, if it did. `stale` says why a run is not of
    the present code, if so. Of several records of a run,
    the last one counts. A frame is given back as it is, so that what is made of records can be made
    of a frame too.

    >>> frame([]).columns[:3].tolist()
    ['id', 'problem', 'dataset']
    """
    import pandas

    if isinstance(records, pandas.DataFrame):
        return records
    rows = {record["id"]: _row(record) for record in records}
    result = pandas.DataFrame(list(rows.values()), columns=list(COLUMNS))
    types = {"seed": "int64", "pretrained": "bool", **dict.fromkeys(NUMBERS, "float64")}
    return result.astype(types)


def problem_of(run: Mapping[str, Any]) -> str:
    """The problem of a run in one line; equal lines mean comparable runs.

    What the recipe has other than its budget, and another protocol than today's, is spelled out.

    >>> problem_of({"dataset": "rooms", "primary": "depth", "auxiliaries": ["normals"],
    ...     "backbone": "resnet18", "pretrained": False, "protocol": "1",
    ...     "recipe": BUDGETS["demo"].with_changes(steps=50).to_json()})
    'rooms depth with normals; resnet18; budget demo* (steps 50)'
    """
    auxiliaries = ", ".join(run["auxiliaries"])
    recipe = dict(run["recipe"])
    budget = recipe["budget"]
    tier = BUDGETS.get(budget.rstrip("*"), Recipe(budget, "", 0, 0, 0)).to_json()
    changes = [
        f"{key.replace('_', ' ')} {spelled(recipe[key]) if key in recipe else 'unknown'}"
        for key in sorted({*tier, *recipe} - {"budget"})
        if key not in tier or key not in recipe or recipe[key] != tier[key]
    ]
    parts = [
        f"{run['dataset']} {run['primary']}" + (f" with {auxiliaries}" if auxiliaries else ""),
        network_of(run),
        f"budget {budget}" + (f" ({', '.join(changes)})" if changes else ""),
    ]
    if run["protocol"] != PROTOCOL:
        parts.append(f"protocol {run['protocol']}")
    return "; ".join(parts)


def network_of(run: Mapping[str, Any]) -> str:
    """The backbone of a run, what it starts from and its head, unless that is the default.

    >>> network_of({"backbone": "resnet18", "pretrained": True, "head": "deeplab"})
    'resnet18 pretrained with head deeplab'
    """
    start = " pretrained" if run["pretrained"] else ""
    if digest := run.get("weights"):
        start = f" from weights {digest[:12]}"
    head = f" with head {run['head']}" if run.get("head", HEAD) != HEAD else ""
    return f"{run['backbone']}{start}{head}"


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
        "stale": stale(record),
        "data": _data(record),
        "draw": (record.get("provenance") or {}).get("draw"),
        "device": surroundings.get("device_name"),
    }


def _data(record: Mapping[str, Any]) -> str:
    """The fingerprint of a run's data; empty where it is unknown."""
    known = record.get("provenance") or {}
    return json.dumps(known["data"], sort_keys=True) if known.get("data") else ""


def _times(training: Mapping[str, Any], threads: int | None) -> dict[str, Any]:
    """The seconds of a run, and whether the machine was busy, as far as it is known."""
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
