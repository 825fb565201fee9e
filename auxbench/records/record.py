"""Records: what is known of a run that has ended, as one JSON object."""

from __future__ import annotations

from typing import Any

from auxbench.spec.run import Run

SCHEMA = 1
"""The version of the records' layout that this release writes, and the newest that it reads."""


def record(run: Run, status: str, reason: str = "", **parts: Any) -> dict[str, Any]:
    """A record of a run: its specification, how it ended, and what is known of it."""
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
