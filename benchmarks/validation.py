"""The scores by which tuning judges runs."""

from __future__ import annotations

from pathlib import Path

import pandas

from auxbench.execution.tuning import validation
from auxbench.records.store import Store
from auxbench.spec.problem import problem_of


def validated(folder: Path) -> dict[str, pandas.DataFrame]:
    """Of every problem in a folder the validation scores, with a row per seed and entries beside.

    They are those of the state that a run selected, which need not be its best ones: an
    architecture may select among the last states only.
    """
    rows = [
        (problem_of(run := record["run"]), run["seed"], run["method"], validation(record))
        for record in Store(folder).runs()
    ]
    every = pandas.DataFrame(rows, columns=["problem", "seed", "entry", "score"])
    return {
        str(problem): there.pivot(index="seed", columns="entry", values="score")
        for problem, there in every.groupby("problem")
    }
