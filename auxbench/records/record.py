"""Records: everything known about a finished run, as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auxbench.spec.run import Run

FINAL = frozenset({"done", "diverged", "skipped"})  # another attempt would end the same way

SCHEMA = 2
"""The version of the record layout that this release writes, and the newest that it reads."""


def record(run: Run, status: str, reason: str = "", **parts: Any) -> dict[str, Any]:
    """A record of a run: its specification, how it ended, and its results."""
    empty: dict[str, Any] = {
        "primary": None,
        "scores": [],
        "curve": [],
        "selected": None,
        "training": None,
        "inference": None,
        "environment": None,
        "provenance": None,
    }
    head = {"schema": SCHEMA, "id": run.id, "run": run.to_json()}
    return {**head, "status": status, "reason": reason, **empty, **parts}


def upgrade(record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a record of an earlier schema to the current one; current records are unchanged.

    Values that earlier releases did not measure become None. Early records of schema 1 counted
    evaluation in the training seconds, and recorded the peak memory of the process on a CPU.
    """
    new = dict(record)
    if new.get("schema", SCHEMA) == SCHEMA:
        return new
    new["schema"] = SCHEMA
    new.setdefault("provenance", None)
    if new["provenance"]:
        new["provenance"] = _renamed(new["provenance"], {"places": "data_options"})
    if new.get("selected"):
        names = {
            "primary_before_cut": "score_with_auxiliaries",
            "primary_after_cut": "score_deployed",
            "traces_at_the_end": "final_traces",
        }
        new["selected"] = {"dropped_strength": None, **_renamed(new["selected"], names)}
    if new.get("training"):
        new["training"] = _training(new["training"])
    return new


def _training(old: Mapping[str, Any]) -> dict[str, Any]:
    jvp = {"product": "jvp"}
    phases = {
        name: {"jvp": 0, **_renamed(phase, jvp)} for name, phase in old.get("phases", {}).items()
    }
    unknown = {"jvp": 0, "cpu_seconds": None, "waiting_seconds": None}
    new = {**unknown, **_renamed(old, jvp), "phases": phases}
    if "evaluation_seconds" not in new:
        new["evaluation_seconds"] = phases.get("evaluate", {}).get("seconds", 0.0)
        new["seconds"] -= new["evaluation_seconds"]
    if new.pop("memory_kind", "") == "rss":
        new["peak_memory_bytes"] = None
    return new


def _renamed(old: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in old.items()}
