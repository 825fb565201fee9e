"""A finished run as trackers of experiments know it: parameters, tags, numbers by step, results."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auxbench.stats.loaded import recorded

if TYPE_CHECKING:
    import pandas

MORE = ("operators", "difference", "phases", "latency")  # of costs, which are no numbers


@dataclass(frozen=True)
class ExportedRun:
    """One run: `steps` has its numbers by step and name, `results` those of the whole run.

    Names are paths, such as 'validation/depth/abs', 'loss/depth', 'weight/depth',
    'links/a2p/depth/3' for the fourth block, 'test/deployed/depth/abs', 'training/flops',
    'phases/train/descent/seconds' or 'inference/macs'.
    """

    id: str
    name: str
    problem: str
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]
    steps: Mapping[int, Mapping[str, float]]
    last: int
    results: Mapping[str, float]

    @property
    def done(self) -> bool:
        """Return whether it gave a score."""
        return self.tags["status"] == "done"

    @property
    def path(self) -> str:
        """A relative path for its files, of its problem and its name, unique by its id.

        No text of a record can lead out of a folder.
        """
        problem, name = (
            re.sub(r"[^\w+=-]+", "-", part)[:100].strip("-") for part in (self.problem, self.name)
        )
        return f"{problem}/{name}-{self.id}"


def exported(records: Iterable[Mapping[str, Any]], rows: pandas.DataFrame) -> Iterator[ExportedRun]:
    """The runs of these records that are in a frame, in the frame's order."""
    known = {record["id"]: record for record in records}
    keys = ("id", "problem", "method", "entry", "tuning", "stale")
    for values in zip(*(rows[key].tolist() for key in keys), strict=True):
        row = dict(zip(keys, values, strict=True))
        if record := known.get(row["id"]):
            yield _exported(record, row)


def _exported(record: Mapping[str, Any], row: Mapping[str, str]) -> ExportedRun:
    run, environment = record["run"], record["environment"] or {}
    described = {key: value for key, value in run.items() if key not in ("method", "recipe")}
    found = {key: row[key] for key in ("method", "entry")} | described | run["recipe"]
    facts = {"status": record["status"], "reason": record["reason"]}
    facts |= {"tuning": row["tuning"], "stale": row["stale"]}
    facts |= {key: environment.get(key) for key in ("auxbench", "commit", "device_name", "threads")}
    return ExportedRun(
        record["id"],
        f"{row['method']} seed {run['seed']}",
        row["problem"],
        {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in found.items()},
        {key: str(value) for key, value in facts.items() if value not in (None, "")},
        _steps(record),
        int(run["recipe"].get("steps", 0)),
        {name: float(value) for name, value in _results(record) if _is_number(value)},
    )


def _steps(record: Mapping[str, Any]) -> dict[int, dict[str, float]]:
    """The numbers recorded at every validation, each under a name of its own."""
    every = list(recorded(record))
    lists = {quantity for _, quantity, place, _ in every if place}
    found: dict[int, dict[str, float]] = {}
    for step, quantity, place, value in every:
        name = f"{quantity}/{place}" if quantity in lists else quantity
        if _is_number(value):
            found.setdefault(step, {})[name] = float(value or 0)
    return found


def _results(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for score in record["scores"]:
        words = (score[key] for key in ("split", "network", "task", "metric"))
        yield "/".join(words), score["value"]
    if record["selected"]:
        yield "selected/step", record["selected"].get("step")
    training = record["training"] or {}
    costs = {"training": training, "inference": record["inference"] or {}}
    costs |= {f"phases/{name}": phase for name, phase in training.get("phases", {}).items()}
    for kind, cost in costs.items():
        yield from ((f"{kind}/{key}", value) for key, value in cost.items() if key not in MORE)
    for part in costs["inference"].get("latency", ()):
        for key in ("p50_ms", "p95_ms"):
            yield f"inference/latency/{part['batch']}/{key}", part.get(key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
