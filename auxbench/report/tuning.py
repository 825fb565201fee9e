"""Tunings as a table: what was tried for every method, what was selected, and what that cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from auxbench.records.ledger import Tuning
from auxbench.report.tables import Column, Table

COLUMNS = (
    Column("problem", "problem", spare=1),
    Column("method", "method"),
    Column("selected", "selected"),
    Column("score", "validation score", 4),
    Column("default", "with defaults", 4, spare=2),
    Column("trials", "trials", spare=3),
    Column("failed", "failed"),
    Column("seeds", "seeds", spare=4),
    Column("seconds", "tuning s", 1, spare=5),
    Column("flops", "tuning FLOPs", si=True, spare=6),
)


def table(tunings: Sequence[Tuning]) -> Table:
    """One row per method and problem, in the order of tuning."""
    rows = []
    classes = [{name for trial in one.trials for name in trial.hardware} for one in tunings]
    counts = Counter(name for names in classes for name in names)
    shown = max(counts, key=counts.__getitem__, default="")
    for tuning, names in zip(tunings, classes, strict=True):
        scores = {trial.entry: trial.score for trial in tuning.trials}
        rows.append(
            {
                "problem": tuning.problem,
                "method": tuning.method,
                "selected": tuning.selected,
                "score": scores[tuning.selected],
                "default": scores[tuning.method],
                "trials": len(tuning.trials),
                "failed": sum(score is None for score in scores.values()),
                "seeds": max(trial.seeds for trial in tuning.trials),
                "seconds": tuning.seconds if names <= {shown} else None,
                "flops": sum(trial.flops for trial in tuning.trials),
            }
        )
    sizes = {len(tuning.trials) for tuning in tunings} - {1}  # 1 trial: a method without options
    same = "Every method" if len(sizes) <= 1 else "Not every method"
    notes = [
        f"{same} had the same number of trials, the first with defaults. A trial is judged by its "
        "mean validation score over seeds that no final run has, and not by test scores."
    ]
    if len({(row["problem"], row["method"]) for row in rows}) < len(rows):
        notes.append("Some methods were tuned more than once: the last tuning of each counts.")
    if len(counts) > 1:
        others = ", ".join(sorted(counts.keys() - {shown}))
        notes.append(f"Seconds are those of tunings on {shown} alone, not on {others}.")
    return Table("", COLUMNS, rows, tuple(notes))
