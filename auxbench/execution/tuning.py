"""Tuning: the same number of trials for every method, judged on validation alone.

The first trial of every method has its own and the budget's defaults; the others are points in the
space of the entry, chosen by a sampler. A trial is trained with seeds that no final run has (where
a seed draws the data, also on other data), and the trial with the best mean validation score is
selected. Test scores play no part. Trials are runs: recorded, resumed and reused like any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from auxbench.errors import UsageError
from auxbench.execution.executor import carry_out
from auxbench.execution.resources import Resources
from auxbench.execution.sampling import Point, Sampler
from auxbench.execution.sampling import sampler as sampler_of
from auxbench.execution.study import Study
from auxbench.records.hardware import hardware
from auxbench.records.ledger import Ledger, Trial, Tuning
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.problem import problem_of
from auxbench.spec.run import Run
from auxbench.spec.space import Space
from auxbench.spec.study import MOST, Words

FIRST_SEED = 10_000  # of tuning; far from the seeds of final runs


def tune(
    methods: Words,
    dataset: Words,
    results: str | Path,
    *,
    trials: int = 8,
    tuning_seeds: int = 2,
    halving: bool = False,
    sampler: str = "sobol",
    resources: Resources,
    quiet: bool = False,
    **words: Any,
) -> tuple[list[Tuning], Study]:
    """Tune every method on every problem, and return the tunings and the final study.

    With `halving`, trials get their seeds one after the other, and the worse half is dropped before
    the next; every seed is a full run, which is fair to methods that start slowly. `sampler` is
    'sobol', or 'tpe' by optuna. The final study trains the selected entries; `words` describe it.
    Errors: `UsageError` as for studies.
    """
    ledger = Ledger(results)
    wanted = Study.of(methods, dataset, **words)
    chosen, searches = searches_of(wanted, trials, tuning_seeds, halving, sampler)
    seeds = searches[0].seeds

    def train(seeds: Sequence[int]) -> None:
        runs = [run for seed in seeds for one in searches for run in one.runs(seed, halving)]
        carry_out_trials(runs, searches, ledger, resources, quiet)

    for count in chosen.rounds(trials - 1):
        for one in searches:
            one.extend(chosen, count)
        for some in ([seed] for seed in seeds) if halving else [seeds]:
            train(some)
    tunings = [one.tuning(sampler) for one in searches]
    for tuning in tunings:
        ledger.append(tuning)
    best = {one.cell: tuning.selected for one, tuning in zip(searches, tunings, strict=True)}
    return tunings, final_of(wanted, best)


def final_of(wanted: Study, best: Mapping[Run, str]) -> Study:
    """The study with the entry that was selected for each of its cells, by the cell's run."""
    final = [replace(run, method=best[replace(run, seed=FIRST_SEED)]) for run in wanted.runs]
    return Study(tuple(dict.fromkeys(final)))


def searches_of(
    wanted: Study, trials: int, tuning_seeds: int, halving: bool, sampler: str
) -> tuple[Sampler, list[Search]]:
    """The sampler, and a search for every method on every problem, which has its defaults only.

    Errors: `UsageError` for numbers, samplers and seeds that do not fit.
    """
    for name, count in (("trials", trials), ("tuning_seeds", tuning_seeds)):
        if count < 1:
            raise UsageError(f"{name} is {count}; ask for at least 1.")
        if count > MOST:
            raise UsageError(f"{name} is {count}; ask for at most {MOST:,}.")
    chosen = sampler_of(sampler)
    if halving and len(list(chosen.rounds(trials))) > 1:
        raise UsageError(
            f"sampler '{sampler}' needs the score of every trial, but halving drops trials; leave "
            "one of them out."
        )
    cells = dict.fromkeys(replace(run, seed=FIRST_SEED) for run in wanted.runs)
    seeds = range(FIRST_SEED, FIRST_SEED + tuning_seeds)
    if taken := sorted({run.seed for run in wanted.runs} & set(seeds)):
        raise UsageError(f"seed {taken[0]} is reserved for tuning; choose smaller seeds.")
    return chosen, [Search(cell, seeds) for cell in cells]


def half(trials: int) -> int:
    """The number of trials that halving keeps.

    >>> [half(trials) for trials in (8, 5, 1)]
    [4, 3, 1]
    """
    return math.ceil(trials / 2)


def carry_out_trials(
    runs: Sequence[Run],
    searches: Sequence[Search],
    ledger: Ledger,
    resources: Resources,
    quiet: bool = False,
) -> None:
    """Carry out the missing ones of these trials, and tell the searches all that is recorded."""
    lean = replace(resources, keep_weights=False)
    carry_out(Study(tuple(dict.fromkeys(runs))), ledger.trials, lean, quiet=quiet)
    records = {record["id"]: record for record in ledger.trials.runs()}
    for one in searches:
        one.records = records


class Search:
    """The trials of one method on one problem: their entries, their points and their scores.

    `cell` is the method's run with defaults, `records` the records of runs so far, by id.
    """

    def __init__(self, cell: Run, seeds: Sequence[int]) -> None:
        self.cell, self.seeds = cell, seeds
        self.records: dict[str, dict[str, Any]] = {}
        self.entries = [cell.method]
        auxiliaries = [Choice.parse(text).name for text in cell.auxiliaries]
        self.tasks = [Choice.parse(cell.primary).name, *auxiliaries]
        self.space = Space.of(Method.parse(cell.method), auxiliaries)
        self.points: list[tuple[Point, str]] = []  # of all entries but the defaults

    def extend(self, sampler: Sampler, count: int) -> None:
        """Add the sampler's next points; a method without options has none."""
        if not self.space.dimensions:
            return
        sign = self.sign
        known: list[tuple[Point, float | None]] = []
        for point, entry in self.points:
            score = self.trial(entry).score
            known.append((point, None if score is None else sign * score))
        for point in sampler.next(len(self.space.dimensions), known, count):
            method = Method.parse(str(self.space.entry(point)), self.tasks)
            self.points.append((point, str(method.within(self.cell.recipe))))
        self.entries = list(dict.fromkeys([self.cell.method, *(entry for _, entry in self.points)]))

    def runs(self, seed: int, halving: bool) -> list[Run]:
        """The runs of a seed: those of all entries or, with halving, of the remaining ones."""
        entries = self.left(seed) if halving else self.entries
        return [replace(self.cell, method=entry, seed=seed) for entry in entries]

    def left(self, seed: int) -> list[str]:
        """The entries that halving keeps for a seed: the better half after the seeds before it."""
        earlier = [one for one in self.seeds if one < seed]
        if not earlier:
            return self.entries
        before = self.left(earlier[-1])
        done = sorted((self.trial(entry, earlier) for entry in before), key=self._key)
        return [trial.entry for trial in done[: half(len(done))]]

    def trial(self, entry: str, seeds: Sequence[int] | None = None) -> Trial:
        """An entry with its score over some seeds, by default all of them."""
        runs = [replace(self.cell, method=entry, seed=seed) for seed in seeds or self.seeds]
        found = [self.records[run.id] for run in runs if run.id in self.records]
        scores = [validation(record) for record in found]
        known = [score for score in scores if score is not None]
        return Trial(
            entry,
            fmean(known) if known and len(known) == len(scores) else None,
            len(found),
            sum((record["training"] or {}).get("seconds", 0.0) for record in found),
            sum((record["training"] or {}).get("flops", 0.0) for record in found),
            tuple(sorted({hardware(one["environment"]) for one in found if one["training"]})),
        )

    def tuning(self, sampler: str) -> Tuning:
        """The trials, and the best one among those that have all seeds."""
        done = [self.trial(entry) for entry in self.entries]
        full = [trial for trial in done if trial.seeds == len(self.seeds)]
        direction = "down" if self.sign > 0 else "up"
        problem = problem_of(self.cell.to_json())
        selected = min(full, key=self._key).entry
        return Tuning(problem, self.cell.method, selected, direction, tuple(done), sampler)

    @property
    def sign(self) -> int:
        """1 if small scores are better, -1 if large ones are or no run has finished."""
        problem = problem_of(self.cell.to_json())
        known = (
            record["primary"]["direction"]
            for record in self.records.values()
            if record["primary"] and problem_of(record["run"]) == problem
        )
        return -1 if next(known, "up") == "up" else 1

    def _key(self, trial: Trial) -> float:
        """The sort key of trials, the best first and failed ones last."""
        return math.inf if trial.score is None else self.sign * trial.score


def validation(record: dict[str, Any]) -> float | None:
    """The validation score of the state that a run selected, or None if it failed."""
    if record["status"] != "done":
        return None
    step = record["selected"]["step"]
    score = next(look for look in record["curve"] if look["step"] == step)["scores"][0]
    return None if score["value"] is None else float(score["value"])
