"""Tuning: the same number of trials for every method, judged on validation alone.

The first trial of every method is the method as it is, by the budget's defaults; the others are
points of a Sobol sequence in the space of the entry, which agree between methods in the dimensions
that these share. A trial is trained with some seeds that no final run has, on data of their own
where a seed draws the data, and the best mean validation score is selected. Test scores play no
part in it. Trials are runs: recorded, resumed and reused like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from auxbench.errors import UsageError
from auxbench.execution.local import carry_out
from auxbench.execution.study import Study
from auxbench.records.ledger import Ledger, Trial, Tuning
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.problem import problem_of
from auxbench.spec.run import Run
from auxbench.spec.space import Space
from auxbench.spec.study import Words

FIRST_SEED = 10_000  # of tuning, far from those of final runs


def tune(
    methods: Words,
    dataset: Words,
    results: str | Path,
    *,
    trials: int = 8,
    tuning_seeds: int = 2,
    halving: bool = False,
    device: str = "auto",
    jobs: int | None = None,
    threads: int | None = None,
    quiet: bool = False,
    **words: Any,
) -> tuple[list[Tuning], Study]:
    """Tune every method on every problem, and return what was found and the study of the winners.

    With `halving` the trials get their seeds one after the other, and the worse half is dropped
    before each: a full run each time, which is fair to methods that start slowly. The words are
    those of a study. Errors: `UsageError` as for studies.
    """
    for name, count in (("trials", trials), ("tuning_seeds", tuning_seeds)):
        if count < 1:
            raise UsageError(f"{name} is {count}; ask for at least 1.")
    ledger = Ledger(results)
    wanted = Study.of(methods, dataset, **words)
    cells = list(dict.fromkeys(replace(run, seed=FIRST_SEED) for run in wanted.runs))
    entries = {cell: _entries(cell, trials) for cell in cells}
    seeds = range(FIRST_SEED, FIRST_SEED + tuning_seeds)
    for rung in ([seed] for seed in seeds) if halving else [list(seeds)]:
        runs = [
            replace(cell, method=entry, seed=seed)
            for seed in rung
            for cell in cells
            for entry in entries[cell]
        ]
        carry_out(
            Study(tuple(runs)),
            ledger.trials,
            device=device,
            jobs=jobs,
            threads=threads,
            quiet=quiet,
        )
        records = {record["id"]: record for record in ledger.trials.records()}
        if halving and rung[-1] != seeds[-1]:
            for cell in cells:
                direction = _direction(cell, records)
                done = [
                    _trial(cell, entry, seeds[: rung[-1] - FIRST_SEED + 1], records)
                    for entry in entries[cell]
                ]
                done.sort(key=_order(direction))
                entries[cell] = [trial.entry for trial in done[: max(1, math.ceil(len(done) / 2))]]
    tunings = []
    for cell in cells:
        done = [_trial(cell, entry, seeds, records) for entry in _entries(cell, trials)]
        direction = _direction(cell, records)
        full = [trial for trial in done if trial.seeds == len(seeds)]
        selected = min(full, key=_order(direction)).entry
        problem = problem_of(cell.to_json())
        tuning = Tuning(problem, cell.method, selected, direction, tuple(done))
        ledger.append(tuning)
        tunings.append(tuning)
    best = {cell: tuning.selected for cell, tuning in zip(cells, tunings, strict=True)}
    final = [replace(run, method=best[replace(run, seed=FIRST_SEED)]) for run in wanted.runs]
    return tunings, Study(tuple(dict.fromkeys(final)))


def _entries(cell: Run, trials: int) -> list[str]:
    """The entries that are tried for a method: itself, and points of its space."""
    from scipy.stats import qmc

    method = Method.parse(cell.method)
    auxiliaries = [Choice.parse(text).name for text in cell.auxiliaries]
    space = Space.of(method, auxiliaries)
    if not space.dimensions:
        return [cell.method]
    count = 2 ** math.ceil(math.log2(max(trials, 2)))
    points = qmc.Sobol(len(space.dimensions), scramble=False).random(count)[1:trials]
    tasks = [Choice.parse(cell.primary).name, *auxiliaries]
    made = [
        str(Method.parse(str(space.entry(point.tolist())), tasks).within(cell.recipe))
        for point in points
    ]
    return list(dict.fromkeys([cell.method, *made]))


def _trial(
    cell: Run, entry: str, seeds: Sequence[int], records: dict[str, dict[str, Any]]
) -> Trial:
    runs = [replace(cell, method=entry, seed=seed) for seed in seeds]
    found = [records[run.id] for run in runs if run.id in records]
    scores = [_validation(record) for record in found]
    known = [score for score in scores if score is not None]
    return Trial(
        entry,
        fmean(known) if known and len(known) == len(scores) else None,
        len(found),
        sum((record["training"] or {}).get("seconds", 0.0) for record in found),
        sum((record["training"] or {}).get("flops", 0.0) for record in found),
    )


def _validation(record: dict[str, Any]) -> float | None:
    """The validation score of the selected state."""
    if record["status"] != "done":
        return None
    step = record["selected"]["step"]
    score = next(look for look in record["curve"] if look["step"] == step)["scores"][0]
    return None if score["value"] is None else float(score["value"])


def _direction(cell: Run, records: dict[str, dict[str, Any]]) -> str:
    """Return the direction of a problem's primary score, 'up' if no run has finished."""
    problem = problem_of(cell.to_json())
    known = (
        record["primary"]["direction"]
        for record in records.values()
        if record["primary"] and problem_of(record["run"]) == problem
    )
    return next(known, "up")


def _order(direction: str) -> Callable[[Trial], float]:
    """The sort key of trials, the best first and failed ones last."""
    sign = -1 if direction == "up" else 1
    return lambda trial: math.inf if trial.score is None else sign * trial.score
