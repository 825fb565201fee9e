"""The columns of runs: what boards read of each record, without keeping the records."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from auxbench.records.hardware import hardware
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
    "training_parameters",
    "latency_p95_ms",
    "latency_8_ms",
    "latency_8_p95_ms",
    "latency_32_ms",
    "latency_32_p95_ms",
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
    "compared",
    "contended",
    "stale",
    "data",
    "draw",
    "code",
    "torch",
    "commit",
    "dirty",
    "device",
    "hardware",
)
LATER = ("entry", "tuning", "tuning_flops", "stale")  # what depends on a ledger and on today's code
FIXED = (*(key for key in COLUMNS if key not in LATER), "traced")
PLAIN = {
    **dict.fromkeys((*NUMBERS, "metric_version", "draw"), "d"),
    "seed": "q",
    "pretrained": "b",
    "traced": "b",
}  # columns that are arrays of numbers, and their type codes; all others hold texts and flags
TYPES = {"d": np.float64, "q": np.int64, "b": np.bool_}
CONTENDED = 0.1  # share of time waiting for a core above which a run is marked


class Columns:
    """The columns of runs, gathered record by record; a text that recurs is kept once."""

    def __init__(self) -> None:
        self._plain: dict[str, array[Any]] = {key: array(code) for key, code in PLAIN.items()}
        self._codes = {key: array("i") for key in FIXED if key not in PLAIN}
        self._values: dict[str, dict[Any, int]] = {key: {} for key in self._codes}
        self._count = 0

    def add(self, record: Mapping[str, Any]) -> int:
        """Note what boards read of a record; return its place."""
        row = _row(record)
        for key, numbers in self._plain.items():
            value = row[key]
            numbers.append(float("nan") if value is None else value)
        for key, codes in self._codes.items():
            known = self._values[key]
            codes.append(known.setdefault(row[key], len(known)))
        self._count += 1
        return self._count - 1

    def frame(self, places: Iterable[int]) -> pandas.DataFrame:
        """One row per place, in this order."""
        wanted = np.fromiter(places, dtype=np.intp)
        found: dict[str, npt.NDArray[Any]] = {}
        for key in FIXED:
            if key in PLAIN:
                kind = np.dtype(PLAIN[key])
                numbers = np.frombuffer(self._plain[key], dtype=kind)[wanted]
                found[key] = numbers.astype(TYPES[PLAIN[key]])
            else:
                codes = np.frombuffer(self._codes[key], dtype=np.intc)
                found[key] = decoded(list(self._values[key]), codes[wanted])
        return table(found)


def columns_of(records: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """The columns that never change once a run is recorded, one row per run."""
    columns = Columns()
    places = {record["id"]: columns.add(record) for record in records}
    return columns.frame(places.values())


def decoded(values: list[Any], codes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values of some codes, as an array of objects; None for code -1."""
    distinct = np.empty(len(values) + 1, dtype=object)
    distinct[:-1], distinct[-1] = values, None
    found: npt.NDArray[Any] = distinct[codes]
    return found


def table(columns: Mapping[str, npt.NDArray[Any]]) -> pandas.DataFrame:
    """A frame of arrays, whose texts stay Python objects, which are looked up faster."""
    import pandas

    return pandas.DataFrame(
        {key: pandas.Series(column, dtype=column.dtype) for key, column in columns.items()}
    )


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
        **_latencies(inference),
        "training_parameters": training.get("parameters"),
        "compared": (inference.get("graph") or {}).get("compared"),
        "dropped_strength": (record.get("selected") or {}).get("dropped_strength"),
        "traced": record.get("provenance") is not None,
        "data": _data(record),
        "draw": (record.get("provenance") or {}).get("draw"),
        "code": json.dumps((record.get("provenance") or {}).get("code") or {}, sort_keys=True),
        "torch": (surroundings.get("packages") or {}).get("torch"),
        "commit": surroundings.get("commit"),
        "dirty": surroundings.get("dirty"),
        "device": surroundings.get("device_name"),
        "hardware": hardware(surroundings),
    }


def _data(record: Mapping[str, Any]) -> str:
    """The fingerprint of a run's data; empty where it is unknown."""
    known = record.get("provenance") or {}
    return json.dumps(known["data"], sort_keys=True) if known.get("data") else ""


def _latencies(inference: Mapping[str, Any]) -> dict[str, Any]:
    """The percentiles of a pass at several batch sizes; None where it was not measured."""
    known = {part["batch"]: part for part in inference.get("latency", ())}
    return {
        "latency_p95_ms": known.get(1, {}).get("p95_ms"),
        **{
            f"latency_{batch}{ending}_ms": known.get(batch, {}).get(f"p{share}_ms")
            for batch in (8, 32)
            for share, ending in ((50, ""), (95, "_p95"))
        },
    }


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
