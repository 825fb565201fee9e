"""Plans: what a study would run, what of it is done, what is impossible, and what it would cost.

Passes are counted, exactly: every stage of a run is gone through on tiny data and a tiny network,
up to the point from which its passes recur. Seconds are estimates: those of recorded runs of the
same kind, else the operations of its passes, which are counted without computing them, at the pace
of some of its steps, or of the single-task network where a step takes long, on this machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError
from itertools import pairwise
from math import lcm
from typing import Any

import numpy as np
import torch

from auxbench.cost.flops import Flops
from auxbench.cost.training import PASSES, Meter
from auxbench.data.dataset import Batch, make_dataset
from auxbench.data.problem import Problem
from auxbench.data.progress import bar
from auxbench.errors import UsageError
from auxbench.execution.execute import begin, builder_of
from auxbench.execution.stand_in import StandIn
from auxbench.execution.study import Study
from auxbench.records.store import Store
from auxbench.spec.method import Method
from auxbench.spec.networks import HEAD
from auxbench.spec.registry import METHODS
from auxbench.spec.run import Run
from auxbench.training.architecture import Architecture
from auxbench.training.learner import Stage
from auxbench.training.loop import Training
from auxbench.training.objective import Objective

Counts = dict[str, int]  # of passes, by PASSES

SHORT = 0.5  # seconds of a step that is made to see how long it takes, and of all such steps
FEW = 2  # samples on which the pace of a network is taken, and the smallest batch
WHOLE = "holdout/whole"  # the split of which a step may read everything


@dataclass(frozen=True)
class Cell:
    """One method on one problem and backbone: its runs, and what one of them costs.

    Of the missing runs some are `stale`: recorded by other code or data than there are now. Passes
    are those per run, warm-up included and validation not; `seconds` are None where nothing is
    known, and an estimate unless they are `recorded`. `lacking` says which data are not there.
    """

    run: Run
    done: int
    missing: int
    stale: int = 0
    impossible: str = ""
    lacking: str = ""
    forward: int = 0
    backward: int = 0
    partial: int = 0
    jvp: int = 0
    seconds: float | None = None
    recorded: bool = False


def plan(
    study: Study, store: Store, device: str = "cpu", threads: int = 1, retry: bool = False
) -> list[Cell]:
    """Every cell of the study; the costs of what is not recorded are estimated on this machine.

    `threads` are those that a run will have, so that the time is that of a run.
    """
    torch.set_num_threads(threads)
    records = store.records()
    split = study.split(store, retry)
    keys = dict.fromkeys(replace(run, seed=0) for run in study.runs)
    cells, paces = [], Paces(device)
    with bar("planning", len(keys), unit="cells") as advance:
        for key in keys:
            missing = [run for run in split.missing if replace(run, seed=0) == key]
            done = sum(replace(run, seed=0) == key for run in split.done)
            stale = sum(run.id in split.stale for run in missing)
            cell = Cell(key, done, len(missing), stale, lacking=_lacking(key) if missing else "")
            cells.append(_estimate(cell, records, paces))
            advance(1)
    return cells


def _lacking(run: Run) -> str:
    """Say which data are missing and what to do; empty if none are, or if they are generated."""
    try:
        make_dataset(run.located, run.recipe.side).identity()
    except (UsageError, PackageNotFoundError) as error:
        return str(error)
    return ""


def _estimate(cell: Cell, records: list[dict[str, Any]], paces: Paces) -> Cell:
    same = [r for r in records if r["status"] == "done" and _like(r["run"], cell.run)]
    try:
        rehearsed = rehearse(cell.run, paces)
    except UsageError as error:
        return replace(cell, impossible=str(error))
    if same:
        seconds = [record["training"]["seconds"] for record in same]
        rehearsed |= {"seconds": sum(seconds) / len(seconds), "recorded": True}
    return replace(cell, **rehearsed)


def rehearse(run: Run, paces: Paces | None = None) -> dict[str, Any]:
    """The passes of a run, exactly, and an estimate of its seconds.

    It starts from random weights, since others cost as much and would have to be there. Errors:
    `UsageError` for a method that cannot be trained so.
    """
    run = replace(run, pretrained=False, weights="")
    passes = dict.fromkeys(PASSES, 0)
    training = _miniature(run)
    for stage in training.learner.stages:
        for key, number in counted(training, stage).items():
            passes[key] += number
    return {**passes, "seconds": (paces or Paces("cpu")).seconds(run, passes)}


def _miniature(run: Run) -> Training:
    """The run on tiny data and a network for the same kind of inputs that takes next to no time."""
    stand_in = StandIn(run, tiny=True)
    small = replace(
        run,
        backbone="mlp" if stand_in.features else "test_resnet",
        head=HEAD,
        recipe=replace(run.recipe, batch=FEW),
    )
    training = begin(small, "cpu", stand_in)
    if any(WHOLE in stage.splits for stage in training.learner.stages):
        # What reads all of it makes as many passes as that takes.
        with suppress(UsageError):
            stand_in.count = len(make_dataset(run.located, run.recipe.side).samples("train"))
        training = begin(replace(small, recipe=run.recipe), "cpu", stand_in)
    training.meter = training.learner.objective.meter = Meter(flops=False)
    return training


def counted(training: Training, stage: Stage) -> Counts:
    """The passes of all steps of a stage, of which only those are made that differ from others."""
    total = dict.fromkeys(PASSES, 0)
    for step, times in _telling(training, stage):
        before = training.meter.summary()
        training.iterate(stage, step)
        after = training.meter.summary()
        for key in total:
            total[key] += times * (after[key] - before[key])
    return total


def _telling(training: Training, stage: Stage) -> Iterator[tuple[int, int]]:
    """The steps that have to be made, and how many steps of the run each of them stands for.

    Between turns passes recur. Skipping whole periods there leaves everything that counts its
    iterations in the place of its period where it would have been.
    """
    period = lcm(
        *(phase.period for phase in stage.phases),
        *(balancer.period for balancer in training.learner.balancers),
    )
    turns = {0, *(turn for phase in stage.phases for turn in phase.turns), stage.steps}
    for turn, following in pairwise(sorted(turn for turn in turns if turn <= stage.steps)):
        yield turn, 1
        skipped = max(0, (following - turn - 1) // period - 1)
        last = turn + 1 + (following - turn - 1) - skipped * period
        for step in range(turn + 1, last):
            yield step, 1 + skipped * (step >= last - period)


@dataclass
class Paces:
    """This machine's speed on each network, measured when first read."""

    device: str
    known: dict[tuple[Any, ...], float] = field(default_factory=dict)

    def seconds(self, run: Run, passes: Counts) -> float | None:
        """About how long a run takes; None where its operations cannot be counted beforehand.

        Errors: `UsageError` for a method that cannot be trained on this network.
        """
        problem = Problem.of(StandIn(run), run.primary, run.auxiliaries)
        pace = self.pace(run, problem)
        try:
            costs = operations(_without_numbers(run, problem), _few(problem))
        except (NotImplementedError, RuntimeError):
            return None
        total = costs.of(passes) * run.recipe.batch / FEW
        if pace * total / run.recipe.steps > SHORT:
            return pace * total
        made, seconds = self.made(run)
        return seconds * costs.of(passes) / max(costs.of(made), 1)

    def pace(self, run: Run, problem: Problem) -> float:
        """The seconds that an operation takes in a step of the single-task network.

        Batches grow up to the run's as long as a step is short, since small ones are slower.
        """
        recipe = run.recipe
        key = (run.dataset, problem.primary.name, run.backbone, run.head, recipe.side, recipe.batch)
        if key not in self.known:
            task = problem.primary
            network = builder_of(run, problem).network(task).to(self.device)

            def step(batch: Batch) -> float:
                start = time.perf_counter()
                loss = task.losses(network(batch.inputs), batch.targets[task.name]).mean()
                torch.autograd.backward(loss)
                return time.perf_counter() - start

            samples, batch = FEW, _few(problem).to(self.device)
            with Flops() as flops:
                step(batch)  # which also pays for a start
            seconds = step(batch)
            while samples < recipe.batch and seconds < SHORT / 2:
                samples = min(2 * samples, recipe.batch)
                seconds = step(_few(problem, samples).to(self.device))
            self.known[key] = seconds / samples / max(flops.total / FEW, 1)
        return self.known[key]

    def made(self, run: Run) -> tuple[Counts, float]:
        """The passes of some real steps of a run, and the seconds that they took."""
        training = begin(run, self.device, StandIn(run))
        meter = training.meter = training.learner.objective.meter = Meter(self.device, flops=False)
        stage = training.learner.stages[-1]
        training.iterate(stage, 0)  # which also pays for a start
        before, start = meter.summary(), time.perf_counter()
        for step in range(1, stage.steps):
            training.iterate(stage, step)
            if time.perf_counter() - start > SHORT:
                break
        seconds, after = time.perf_counter() - start, meter.summary()
        return {key: after[key] - before[key] for key in PASSES}, seconds


def _without_numbers(run: Run, problem: Problem) -> Architecture:
    """The network of a run on 'meta', where tensors have shapes and nothing is computed."""
    method, builder = Method.parse(run.method), builder_of(run, problem)
    maker = METHODS[method.architecture.name]
    options = method.architecture.values(maker)
    try:
        with torch.device("meta"):
            architecture = maker(builder, **options)
    except NotImplementedError:  # it starts from numbers
        architecture = maker(builder, **options)
    assert isinstance(architecture, Architecture)
    return architecture.to("meta")


@dataclass(frozen=True)
class Operations:
    """The operations of a forward pass, and of a backward pass of all losses and of each alone."""

    forward: int
    of_all: int
    of_each: list[int]

    def of(self, passes: Counts) -> int:
        """The operations of some passes; a forward-mode product costs as much as two of them.

        Backward passes beyond one for each forward pass come from steps that take every loss alone.
        """
        forward, backward = passes["forward"], passes["backward"]
        alone = max(0, backward - forward) / max(1, len(self.of_each) - 1)
        together = max(0, min(forward, backward) - alone)
        work = (forward + 2 * passes["jvp"]) * self.forward
        return round(work + together * self.of_all + alone * sum(self.of_each))


def operations(architecture: Architecture, batch: Batch) -> Operations:
    """The operations of passes on a batch, counted from shapes on 'meta'."""
    objective = Objective(architecture, architecture.tasks, Meter(flops=False))
    with Flops() as forward:
        losses = objective(architecture.relabel(batch.to("meta")))
    of_each = []
    for given in (losses, *([loss] for loss in losses)):
        with Flops() as backward:
            torch.autograd.backward(given, retain_graph=True)
        of_each.append(backward.total)
    return Operations(forward.total, of_each[0], of_each[1:])


def _few(problem: Problem, samples: int = FEW) -> Batch:
    return problem.dataset.samples("train").batch(np.arange(samples), None)


def _like(spec: Mapping[str, Any], run: Run) -> bool:
    wanted = run.to_json()
    return all(spec.get(key) == value for key, value in wanted.items() if key != "seed")
