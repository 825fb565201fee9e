"""A plan as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from auxbench.execute.progress import duration
from auxbench.report.table import Column, Table
from auxbench.stats.frame import network_of

if TYPE_CHECKING:
    from auxbench.plan import Cell

COLUMNS = (
    Column("dataset", "data set"),
    Column("primary", "primary"),
    Column("auxiliaries", "auxiliaries"),
    Column("backbone", "backbone"),
    Column("budget", "budget"),
    Column("method", "method"),
    Column("done", "done"),
    Column("missing", "missing"),
    Column("stale", "of them stale"),
    Column("forward", "forward / run"),
    Column("backward", "backward / run"),
    Column("partial", "partial / run", shown=False),
    Column("product", "forward-mode / run", shown=False),
    Column("seconds", "s / run", 0),
    Column("impossible", "impossible"),
)


def table(cells: Sequence[Cell], jobs: int) -> Table:
    """One row per method and problem; the time is for so many runs at once."""
    rows = [
        {
            "dataset": cell.run.dataset,
            "primary": cell.run.primary,
            "auxiliaries": ", ".join(cell.run.auxiliaries),
            "backbone": network_of(cell.run.to_json()),
            "budget": cell.run.recipe.budget,
            "method": cell.run.method,
            "done": cell.done,
            "missing": 0 if cell.impossible else cell.missing,
            "stale": cell.stale,
            "forward": cell.forward or None,
            "backward": cell.backward or None,
            "partial": cell.partial,
            "product": cell.product,
            "seconds": cell.seconds,
            "impossible": cell.impossible,
        }
        for cell in cells
    ]
    empty = {key for key in ("stale", "impossible") if not any(row[key] for row in rows)}
    columns = tuple(replace(c, shown=c.shown and c.key not in empty) for c in COLUMNS)
    missing = sum(int(row["missing"] or 0) for row in rows)
    seconds = sum(cell.missing * (cell.seconds or 0) for cell in cells if not cell.impossible)
    stale = sum(cell.stale for cell in cells)
    notes = (
        f"{sum(cell.done for cell in cells)} runs are done, {missing} are missing: about "
        f"{duration(seconds / jobs)} of training with {jobs} at a time, evaluation not included.",
        *(["Stale runs were recorded by other code or data than there are now."] * (stale > 0)),
    )
    return Table("", columns, rows, notes)
