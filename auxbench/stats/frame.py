"""The frame: one row per run, the form in which records are computed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

PROBLEM = ("dataset", "primary", "auxiliaries", "backbone", "pretrained", "recipe", "protocol")
COLUMNS = (
    "id",
    *PROBLEM,
    "budget",
    "method",
    "seed",
    "status",
    "reason",
    "metric",
    "unit",
    "direction",
    "value",
    "train_seconds",
    "train_flops",
    "forward",
    "backward",
    "partial",
    "examples",
    "peak_memory_bytes",
    "parameters",
    "macs",
    "latency_ms",
    "same_as_single",
)


def frame(records: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """One row per record with flat columns; what a run does not have is missing.

    Rows with equal `PROBLEM` columns are comparable: same data, tasks, backbone, recipe and
    protocol. `value` is the deployed network's primary score on the test split.

    >>> frame([]).columns[:3].tolist()
    ['id', 'dataset', 'primary']
    """
    import pandas

    return pandas.DataFrame([_row(record) for record in records], columns=list(COLUMNS))


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    run = record["run"]
    score = record.get("primary") or {}
    training = record.get("training") or {}
    inference = record.get("inference") or {}
    recipe = run["recipe"]
    return {
        "id": record["id"],
        "dataset": run["dataset"],
        "primary": run["primary"],
        "auxiliaries": ",".join(run["auxiliaries"]),
        "backbone": run["backbone"],
        "pretrained": run["pretrained"],
        "recipe": ", ".join(f"{key} {recipe[key]}" for key in sorted(recipe)),
        "protocol": run["protocol"],
        "budget": recipe["budget"],
        "method": run["method"],
        "seed": run["seed"],
        "status": record["status"],
        "reason": record["reason"],
        **{key: score.get(key) for key in ("metric", "unit", "direction", "value")},
        "train_seconds": training.get("seconds"),
        "train_flops": training.get("flops"),
        **{
            key: training.get(key)
            for key in ("forward", "backward", "partial", "examples", "peak_memory_bytes")
        },
        **{
            key: inference.get(key)
            for key in ("parameters", "macs", "latency_ms", "same_as_single")
        },
    }
