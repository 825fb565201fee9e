"""Status: what is under way in a results folder, how runs ended, and why some failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from auxbench.data.progress import counted, duration
from auxbench.execution.jobs import states
from auxbench.records.claims import FILE, is_abandoned, owner_of, under_way
from auxbench.records.record import FINAL
from auxbench.report.tables import Column, Table
from auxbench.spec.problem import problem_of

RUNNING = (
    Column("id", "run", spare=4),
    Column("problem", "problem"),
    Column("method", "method"),
    Column("seed", "seed"),
    Column("step", "step", spare=2),
    Column("steps", "of", spare=2),
    Column("left", "left", spare=1),
    Column("owner", "carried out by", spare=3),
    Column("dead", "left behind", shown=False),
)
JOBS = (Column("state", "state"), Column("count", "jobs"), Column("example", "example"))
FAILED = (
    Column("status", "status"),
    Column("count", "runs"),
    Column("reason", "reason"),
    Column("methods", "methods"),
    Column("example", "example"),
)


def running(folder: Path) -> Table:
    """One row per claimed run; those of dead processes are marked."""
    rows, dead = [], 0
    for file in sorted(folder.glob(f"runs/*/{FILE}")):
        known, owner = under_way(file.parent), owner_of(file.parent)
        abandoned = is_abandoned(file.parent)
        dead += abandoned
        run: Mapping[str, Any] = known.run if known else {}
        rows.append(
            {
                "id": file.parent.name,
                "problem": problem_of(run) if run else None,
                "method": run.get("method"),
                "seed": run.get("seed"),
                "step": known.step if known and known.steps else None,
                "steps": known.steps if known and known.steps else None,
                "left": None if abandoned else _left(file.parent),
                "owner": f"{owner} (dead)" if abandoned else str(owner or "unknown"),
                "dead": abandoned,
            }
        )
    notes = ["No run is under way."] if not rows else []
    if dead:
        notes.append(
            f"{counted(dead, 'run')} left behind by a dead process; repeat the command that "
            f"started {'it' if dead == 1 else 'them'} to resume from the checkpoint."
        )
    return Table("Under way", RUNNING, rows, tuple(notes))


def queued(folder: Path) -> Table:
    """One row per state of the folder's jobs in the queue of a cluster."""
    found: dict[str, list[str]] = {}
    for name, state in states(folder).items():
        found.setdefault(state, []).append(name)
    rows = [
        {"state": state, "count": len(names), "example": names[0]} for state, names in found.items()
    ]
    return Table("Jobs", JOBS, rows, ("auxbench cancel ends them; they save their runs first.",))


def ended(records: Iterable[Mapping[str, Any]]) -> Table:
    """One row per status and reason of runs without a score, and the count of every status."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    counts: Counter[str] = Counter()
    for record in records:
        counts[record["status"]] += 1
        if record["status"] != "done":
            groups.setdefault((record["status"], str(record["reason"])), []).append(record)
    rows = [
        {
            "status": status,
            "count": len(group),
            "reason": reason,
            "methods": ", ".join(sorted({record["run"]["method"] for record in group})),
            "example": group[0]["id"],
        }
        for (status, reason), group in groups.items()
    ]
    rows.sort(key=lambda row: (row["status"] in FINAL, -int(row["count"])))
    total = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    notes = [f"Recorded: {total}." if total else "Nothing is recorded."]
    if any(row["status"] not in FINAL for row in rows):
        notes.append("auxbench retry repeats runs that were killed or ended in an error.")
    return Table("Without a score", FAILED, rows, tuple(notes))


def _left(folder: Path) -> str | None:
    """The time that is left at the pace of this attempt."""
    known = under_way(folder)
    if known is None or known.step <= known.first:
        return None
    pace = max(time.time() - known.begun, 0.0) / (known.step - known.first)
    return duration(pace * (known.steps - known.step))
