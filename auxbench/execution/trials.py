"""The trials of a tuning that is planned: how many runs they take, and which of them are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from auxbench.execution.sampling import Sampler
from auxbench.execution.study import Study
from auxbench.execution.tuning import Search, half, searches_of
from auxbench.records.hardware import hardware
from auxbench.records.ledger import Ledger
from auxbench.spec.run import Run

__all__ = ["Trials", "selected", "trials_of"]


@dataclass(frozen=True)
class Trials:
    """The runs that tune one method on one problem, and the mean seconds of those done here.

    `selected` is the entry that they select, once all are done.
    """

    runs: int
    done: int
    seconds: float | None = None
    selected: str = ""


def trials_of(
    study: Study,
    results: Path | str,
    here: str,
    *,
    trials: int = 8,
    tuning_seeds: int = 2,
    halving: bool = False,
    sampler: str = "sobol",
) -> dict[Run, Trials]:
    """The trials of every cell of a study, by its run with the seed 0; nothing is carried out.

    `here` is the hardware whose seconds count. A sampler that learns from scores may propose an
    entry twice, so that its trials are at most these. Errors: `UsageError` as for tuning.
    """
    chosen, searches = searches_of(study, trials, tuning_seeds, halving, sampler)
    ledger = Ledger(results)
    records = {record["id"]: record for record in ledger.trials.runs()}
    found = {}
    for one in searches:
        one.records = records
        wanted, total = _wanted(one, chosen, trials, halving)
        done = Study(tuple(wanted)).split(ledger.trials).done
        ended = [records[run.id] for run in done]
        times = [record["training"]["seconds"] for record in ended if _timed(record, here)]
        complete = len(done) == total
        found[replace(one.cell, seed=0)] = Trials(
            total,
            len(done),
            fmean(times) if times else None,
            one.tuning(sampler).selected if complete else "",
        )
    return found


def selected(study: Study, tuned: Mapping[Run, Trials]) -> tuple[Study, dict[Run, Trials]]:
    """The study and the trials of its cells with the entries that these have selected so far."""
    best = {
        cell: replace(cell, method=trials.selected or cell.method) for cell, trials in tuned.items()
    }
    runs = []
    for run in study.runs:
        cell = replace(run, seed=0)
        runs.append(replace(best.get(cell, cell), seed=run.seed))
    return Study(tuple(runs)), {best[cell]: trials for cell, trials in tuned.items()}


def _wanted(one: Search, chosen: Sampler, trials: int, halving: bool) -> tuple[list[Run], int]:
    """The runs of a search that are known by now, and the number of all of them."""
    for count in chosen.rounds(trials - 1):
        if len(one.entries) > 1 and not _recorded(one, _every(one)):
            entries = trials if one.space.dimensions else 1  # those to come wait for these scores
            break
        one.extend(chosen, count)
    else:
        entries = len(one.entries)
    if not halving:
        return _every(one), entries * len(one.seeds)
    wanted: list[Run] = []
    total = 0
    for seed in one.seeds:
        if _recorded(one, wanted):  # otherwise it is not known which trials are dropped
            wanted += one.runs(seed, halving=True)
        total += entries
        entries = half(entries)
    return wanted, total


def _every(one: Search) -> list[Run]:
    return [run for seed in one.seeds for run in one.runs(seed, halving=False)]


def _recorded(one: Search, runs: Sequence[Run]) -> bool:
    return all(run.id in one.records for run in runs)


def _timed(record: Mapping[str, Any], here: str) -> bool:
    return record["status"] == "done" and hardware(record["environment"]) == here
