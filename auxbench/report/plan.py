"""A plan as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from auxbench.data.progress import counted, duration
from auxbench.report.tables import Column, Table
from auxbench.spec.problem import network_of

if TYPE_CHECKING:
    from auxbench.execution.plan import Cell

COLUMNS = (
    Column("dataset", "data set", spare=2),
    Column("primary", "primary", spare=3),
    Column("auxiliaries", "auxiliaries", spare=6),
    Column("backbone", "backbone", spare=4),
    Column("budget", "budget", spare=5),
    Column("method", "method"),
    Column("trials", "tuning runs"),
    Column("tried", "of these, done", spare=3),
    Column("trial_seconds", "s / tuning run", 0, spare=2),
    Column("done", "done"),
    Column("missing", "missing"),
    Column("stale", "of these, stale", spare=3),
    Column("forward", "forward / run", spare=2),
    Column("backward", "backward / run", spare=1),
    Column("partial", "partial / run", shown=False),
    Column("jvp", "forward-mode / run", shown=False),
    Column("seconds", "s / run", 0),
    Column("impossible", "impossible"),
    Column("lacking", "data that are not there", shown=False),
)


def table(cells: Sequence[Cell], jobs: int) -> Table:
    """One row per method and problem; the total time is for `jobs` runs at once."""
    rows = [
        {
            "dataset": cell.run.dataset,
            "primary": cell.run.primary,
            "auxiliaries": ", ".join(cell.run.auxiliaries),
            "backbone": network_of(cell.run.to_json()),
            "budget": cell.run.recipe.budget,
            "method": cell.run.method,
            **_trials(cell),
            "done": cell.done,
            "missing": 0 if cell.impossible else cell.missing,
            "lacking": cell.lacking,
            "stale": cell.stale,
            "forward": cell.forward or None,
            "backward": cell.backward or None,
            "partial": cell.partial,
            "jvp": cell.jvp,
            "seconds": cell.seconds,
            "impossible": cell.impossible,
        }
        for cell in cells
    ]
    optional = ("stale", "impossible", "trials", "tried", "trial_seconds")
    empty = {key for key in optional if not any(row[key] for row in rows)}
    columns = tuple(replace(c, shown=c.shown and c.key not in empty) for c in COLUMNS)
    return Table("", columns, rows, tuple(_notes(cells, jobs)))


def _left(cell: Cell) -> int:
    """The tuning runs that are to do."""
    return cell.trials.runs - cell.trials.done if cell.trials else 0


def _trials(cell: Cell) -> dict[str, float | None]:
    """The values of a cell that is tuned first; a trial whose time is unknown takes a run's."""
    trials = cell.trials
    if trials is None:
        return {"trials": None, "tried": None, "trial_seconds": None}
    seconds = cell.seconds if trials.seconds is None else trials.seconds
    count = 0 if cell.impossible else trials.runs
    return {"trials": count, "tried": trials.done, "trial_seconds": seconds}


def _notes(cells: Sequence[Cell], jobs: int) -> Iterator[str]:
    """The runs to do, the time they take, and what has to be prepared first."""
    possible = [cell for cell in cells if not cell.impossible]
    done, missing = sum(cell.done for cell in cells), sum(cell.missing for cell in possible)
    known = [cell for cell in possible if cell.seconds is not None]
    seconds = sum(cell.missing * (cell.seconds or 0.0) for cell in known) / jobs
    without = sum(cell.missing for cell in possible) - sum(cell.missing for cell in known)
    if any(cell.trials for cell in cells):
        tuning = sum(_left(cell) * (_trials(cell)["trial_seconds"] or 0.0) for cell in possible)
        yield (
            f"Tuning takes {counted(sum(map(_left, possible)), 'more run')} before these: about "
            f"{duration(tuning / jobs)} of training with {jobs} at a time. Until a method is "
            "tuned, its runs are counted with its defaults."
        )
    yield (
        f"{counted(done, 'run')} done, {missing} to do: about {duration(seconds)} of training with "
        f"{jobs} at a time, evaluation not included"
        + (f", and {without} runs whose time is unknown." if without else ".")
    )
    if any(cell.missing and not cell.recorded for cell in known):
        yield (
            "Passes are exact. Seconds are estimated on this machine under its current load, "
            "unless a run of the same kind is recorded on this hardware."
        )
    if any(cell.stale for cell in cells):
        yield "Stale runs were recorded with code or data that have changed since."
    for lacking in dict.fromkeys(cell.lacking for cell in possible if cell.lacking):
        count = sum(cell.missing for cell in possible if cell.lacking == lacking)
        yield f"{count} of the runs cannot start yet: {lacking}"
