"""Plans: what a study would run, what of it is done, what is impossible, and what it would cost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from auxbench.bar import bar
from auxbench.cost.training import PASSES
from auxbench.errors import UsageError
from auxbench.grammar import Choice
from auxbench.problem import DATASETS, Batch, Dataset, Indices, Samples, make_dataset
from auxbench.runs import Run, begin
from auxbench.store import Store
from auxbench.study import Study


@dataclass(frozen=True)
class Cell:
    """One method on one problem and backbone: its runs, and what one of them costs.

    Of the missing runs some are `stale`: recorded by other code or data than there are now. Passes
    are those per run, warm-up included and validation not; `seconds` are those of recorded runs
    where there are any and otherwise of a rehearsed step times the steps.
    """

    run: Run
    done: int
    missing: int
    stale: int = 0
    impossible: str = ""
    forward: int = 0
    backward: int = 0
    partial: int = 0
    product: int = 0
    seconds: float | None = None


def plan(
    study: Study, store: Store, device: str = "cpu", threads: int = 1, retry: bool = False
) -> list[Cell]:
    """Every cell of the study; what is not recorded is rehearsed for two steps on synthetic data.

    `threads` are those that a run will have, so that the time is that of a run.
    """
    torch.set_num_threads(threads)
    records = store.records()
    done, missing, stale = study.split(store, retry)
    cells = []
    keys = dict.fromkeys(replace(run, seed=0) for run in study.runs)
    with bar("planning", len(keys), unit="cells") as advance:
        for key in keys:
            finished, open_ = (
                sum(replace(other, seed=0) == key for other in part) for part in (done, missing)
            )
            outdated = sum(replace(run, seed=0) == key and run.id in stale for run in missing)
            cells.append(_estimate(Cell(key, finished, open_, outdated), records, device))
            advance(1)
    return cells


def _estimate(cell: Cell, records: list[dict[str, Any]], device: str) -> Cell:
    same = [r for r in records if r["status"] == "done" and _like(r["run"], cell.run)]
    if same:
        training = same[-1]["training"]
        passes = {key: training.get(key, 0) for key in PASSES}
        seconds = [record["training"]["seconds"] for record in same]
        return replace(cell, **passes, seconds=sum(seconds) / len(seconds))
    try:
        return replace(cell, **rehearse(cell.run, device))
    except UsageError as error:
        return replace(cell, impossible=str(error))


def rehearse(run: Run, device: str = "cpu") -> dict[str, Any]:
    """Passes and seconds of a run, from a few steps of every stage on a tiny variant of its data.

    A stage is rehearsed once to warm up, and then until every phase has done its work once. It
    starts from random weights, since others cost as much and would have to be there.
    """
    run = replace(run, pretrained=False, weights="")
    training = begin(run, device, Stretched(run))
    total: dict[str, Any] = {**dict.fromkeys(PASSES, 0), "seconds": 0.0}
    for stage in training.learner.stages:
        period = max(phase.period for phase in stage.phases)
        training.iterate(stage, 0)
        before = _passes(training.meter.summary())
        start = time.perf_counter()
        for step in range(1, 1 + period):
            training.iterate(stage, step)
        total["seconds"] += (time.perf_counter() - start) * stage.steps / period
        after = _passes(training.meter.summary())
        for key in before:
            total[key] += (after[key] - before[key]) * stage.steps // period
    return total


class Stretched(Dataset):
    """The tiny variant of a run's data set at the size of the real one, for rehearsals."""

    licence = "synthetic"

    def __init__(self, run: Run) -> None:
        real = make_dataset(run.dataset, run.recipe.side)
        self.inner = DATASETS[Choice.parse(run.dataset).name].tiny()
        self.size = real.size
        self.features = real.features
        self.tasks = self.inner.tasks
        self.primary = self.inner.primary
        self.auxiliaries = self.inner.auxiliaries
        self.count = 2 * run.recipe.batch

    @classmethod
    def tiny(cls) -> Dataset:
        raise NotImplementedError("a stand-in has no variant of its own")

    def prepare(self) -> None:
        self.inner.prepare()

    def samples(self, split: str) -> Samples:
        self.inner.prepare()
        return _Repeated(self.inner.samples(split), self.count, self.size, self.features)


class _Repeated(Samples):
    def __init__(self, inner: Samples, count: int, size: tuple[int, int], features: int) -> None:
        self.inner = inner
        self.count = count
        self.size = size
        self.features = features

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        batch = self.inner.batch(indices % len(self.inner), rng)
        if self.features:
            columns = torch.arange(self.features) % batch.inputs.shape[1]
            return Batch(batch.inputs[:, columns], batch.targets)
        shape = batch.inputs.shape[-2:]
        targets = {
            name: _stretch(target, self.size) if target.shape[-2:] == shape else target
            for name, target in batch.targets.items()
        }
        return Batch(_stretch(batch.inputs, self.size), targets)


def _stretch(image: Tensor, size: tuple[int, int]) -> Tensor:
    flat = image.reshape(len(image), -1, *image.shape[-2:]).to(torch.float32)
    return interpolate(flat, size).reshape(*image.shape[:-2], *size).to(image.dtype)


def _passes(summary: Mapping[str, Any]) -> dict[str, int]:
    return {key: summary[key] for key in PASSES}


def _like(spec: Mapping[str, Any], run: Run) -> bool:
    wanted = run.to_json()
    return all(spec.get(key) == value for key, value in wanted.items() if key != "seed")
