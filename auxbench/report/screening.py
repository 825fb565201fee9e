"""Screening: what the trials of an unfinished advice have shown, which decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auxbench.records.advice import Candidate
from auxbench.records.ledger import Trial
from auxbench.report.tables import Column, Table

COLUMNS = (
    Column("method", "method"),
    Column("auxiliaries", "auxiliaries"),
    Column("trials", "trials begun", spare=1),
    Column("runs", "runs", spare=2),
    Column("score", "best validation score", 4),
    Column("entry", "of", spare=3),
)


def screening(trials: Mapping[Candidate, Sequence[Trial]], down: bool) -> Table:
    """A row per candidate with its best trial so far; `down` if smaller scores are better.

    A trial counts by its mean over the seeds that it has had, be they fewer than planned.

    >>> had = [Trial("hps", 0.9, 2, 3.0, 1e9), Trial("hps:lr=0.01", 0.8, 1, 3.0, 1e9)]
    >>> table = screening({("hps", ("depth",)): had, ("uw", ("depth",)): []}, down=False)
    >>> [(row["method"], row["runs"], row["score"]) for row in table.rows]
    [('hps', 3, 0.9), ('uw', 0, None)]
    """
    rows = []
    for (method, auxiliaries), had in trials.items():
        scored = {trial.score: trial.entry for trial in had if trial.score is not None}
        best = (min if down else max)(scored, default=None)
        rows.append(
            {
                "method": method,
                "auxiliaries": ", ".join(auxiliaries),
                "trials": len(had),
                "runs": sum(trial.seeds for trial in had),
                "score": best,
                "entry": "" if best is None else scored[best],
            }
        )
    note = (
        "These are validation scores of trials: they say nothing of a method on new seeds, so no "
        "auxiliary and no method is advised. Until more is known, train the primary alone."
    )
    return Table("What was measured in the time given", COLUMNS, rows, (note,))
