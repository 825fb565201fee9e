"""Plans: which runs of a study are done, missing or impossible, and what they would cost.

Passes are counted exactly: every stage of a run is executed on tiny data and a tiny network, up to
the point where its passes repeat. Seconds are those of such runs on the same hardware, or else
estimates: the operations of the passes, counted from shapes alone, at this machine's pace, which is
measured on some of its steps, or on the single-task network if a step takes long.
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

import torch

from auxbench.cost.flops import Flops
from auxbench.cost.shapes import Shapes
from auxbench.cost.training import PASSES, Meter
from auxbench.data.dataset import Batch, make_dataset
from auxbench.data.problem import Problem
from auxbench.data.progress import bar
from auxbench.errors import UsageError
from auxbench.execution.environment import environment
from auxbench.execution.execute import begin, builder_of
from auxbench.execution.operations import (
    FEW,
    Counts,
    Made,
    Operations,
    few,
    without_numbers,
)
from auxbench.execution.stand_in import StandIn
from auxbench.execution.study import WEIGHTLESS, Study
from auxbench.execution.trials import Trials, selected, trials_of
from auxbench.networks.builder import placed
from auxbench.records.hardware import hardware
from auxbench.records.store import Store
from auxbench.spec.method import Method
from auxbench.spec.networks import HEAD
from auxbench.spec.run import Run
from auxbench.training.learner import Stage
from auxbench.training.loop import Training

SHORT = 0.5  # seconds; longer steps are not run for timing, and timing stops after this time
LONG = 1.0  # seconds of a step from which on its time is taken at once
WHOLE = "holdout/whole"  # the split of which one step may read all samples


@dataclass(frozen=True)
class Cell:
    """One method on one problem and backbone: the state of its runs, and the cost of one run.

    Some of the missing runs are `stale`: recorded with code or data that have changed since. Passes
    are per run, including the warm-up but not validation; `seconds` are None if unknown, and an
    estimate unless they are `recorded`. `lacking` says which data are missing. `trials` are the
    runs that tune the method first, if it is tuned.
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
    trials: Trials | None = None


def plan(
    study: Study,
    store: Store,
    device: str = "cpu",
    threads: int = 1,
    retry: bool = False,
    keep: bool = False,
    tuning: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """Every cell of the study, for runs with this number of threads on this machine.

    `retry` and `keep` count recorded runs as missing, as `Study.split` says. With `tuning`, the
    words of `trials_of`, the study is tuned first: what is tuned completely has the entry that was
    selected, and all runs of the others are missing, since their entry is not known yet.
    """
    torch.set_num_threads(threads)
    here = hardware(environment(device))  # seconds of other machines say nothing about this one
    records = [one for one in store.runs() if hardware(one["environment"]) == here]
    tuned = {} if tuning is None else trials_of(study, store.folder, here, **tuning)
    study, tuned = selected(study, tuned)
    split = study.split(store, retry, keep)
    keys = dict.fromkeys(replace(run, seed=0) for run in study.runs)
    cells, paces = [], Paces(device)
    with bar("planning", len(keys), unit="cell") as advance:
        for key in keys:
            missing = [run for run in split.missing if _of(run, key)]
            done = sum(_of(run, key) for run in split.done)
            stale = sum(split.stale.get(run.id, WEIGHTLESS) != WEIGHTLESS for run in missing)
            trials = tuned.get(key)
            if trials and not trials.selected:
                missing, done, stale = [run for run in study.runs if _of(run, key)], 0, 0
            lacking = _lacking(key) if missing else ""
            cell = Cell(key, done, len(missing), stale, lacking=lacking, trials=trials)
            cells.append(_estimate(cell, records, paces))
            advance(1)
    return cells


def _of(run: Run, key: Run) -> bool:
    return replace(run, seed=0) == key


def _lacking(run: Run) -> str:
    """Say which data are missing and what to do; empty if they are present or generated."""
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
    """The exact number of passes of a run, and an estimate of its seconds.

    It uses random weights, which cost the same as pretrained ones and are always available. Errors:
    `UsageError` for a method that cannot be trained on this problem.
    """
    run = replace(run, pretrained=False, weights="")
    passes = dict.fromkeys(PASSES, 0)
    training = _miniature(run)
    for stage in training.learner.stages:
        for key, number in counted(training, stage).items():
            passes[key] += number
    return {**passes, "seconds": (paces or Paces("cpu")).seconds(run, passes)}


def _miniature(run: Run) -> Training:
    """The run on tiny data, with a tiny network for the same kind of inputs."""
    stand_in = StandIn(run, tiny=True)
    small = replace(
        run,
        backbone="mlp" if stand_in.features else "test_resnet",
        head=HEAD,
        recipe=replace(run.recipe, batch=FEW),
    )
    training = begin(small, "cpu", stand_in)
    if any(WHOLE in stage.splits for stage in training.learner.stages):
        # A step that reads all held-out samples makes more passes the more there are.
        with suppress(UsageError):
            stand_in.count = len(make_dataset(run.located, run.recipe.side).samples("train"))
        training = begin(replace(small, recipe=run.recipe), "cpu", stand_in)
    training.meter = training.learner.objective.meter = Meter(flops=False)
    return training


def counted(training: Training, stage: Stage) -> Counts:
    """The passes of all steps of a stage, of which only the distinct ones are executed."""
    total = dict.fromkeys(PASSES, 0)
    for step, times in _telling(training, stage):
        before = training.meter.summary()
        training.iterate(stage, step)
        after = training.meter.summary()
        for key in total:
            total[key] += times * (after[key] - before[key])
    return total


def _telling(training: Training, stage: Stage) -> Iterator[tuple[int, int]]:
    """The steps that must be executed, and how many steps of the run each of them represents.

    Between turns passes repeat periodically. Only whole periods are skipped there, so that every
    iteration counter keeps its phase.
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
    """This machine's speed on each network, measured when first needed."""

    device: str
    known: dict[tuple[Any, ...], float] = field(default_factory=dict)
    counted: dict[Run, Operations] = field(default_factory=dict)
    made_before: Made = field(default_factory=dict)
    shapes: Shapes = field(default_factory=Shapes)

    def seconds(self, run: Run, passes: Counts) -> float | None:
        """The estimated seconds of a run; None if its operations cannot be counted in advance.

        Errors: `UsageError` for a method that cannot be trained on this network.
        """
        problem = Problem.of(StandIn(run), run.primary, run.auxiliaries)
        pace = self.pace(run, problem)
        try:
            costs = self.operations(run, problem)
        except (NotImplementedError, RuntimeError):
            return None
        total = costs.of(passes) * run.recipe.batch / FEW
        if pace * total / run.recipe.steps > SHORT:
            return pace * total
        made, seconds = self.made(run)
        return seconds * costs.of(passes) / max(costs.of(made), 1)

    def operations(self, run: Run, problem: Problem) -> Operations:
        """The operations of a run's network, which is the same under all balancers."""
        network = replace(run, method=str(Method.parse(run.method).architecture), seed=0)
        if network not in self.counted:
            self.counted[network] = Operations(
                without_numbers(run, problem, self.made_before), few(problem), self.shapes
            )
        return self.counted[network]

    def pace(self, run: Run, problem: Problem) -> float:
        """The seconds per operation in a step of the single-task network.

        Batches grow up to the run's size while steps are short, since small batches are slower. On
        a busy machine a step is short by the processor's time, or warming up and small batches
        would be taken for the network's pace; how busy it is counts in the end, over all steps.
        """
        recipe = run.recipe
        key = (run.dataset, problem.primary.name, run.backbone, run.head, recipe.side, recipe.batch)
        if key not in self.known:
            task = problem.primary
            network = placed(builder_of(run, problem).network(task), self.device)
            clock = time.thread_time if self.device == "cpu" else time.perf_counter
            begun, free = time.perf_counter(), clock()

            def step(batch: Batch) -> float:
                start = clock()
                loss = task.losses(network(batch.inputs), batch.targets[task.name]).mean()
                torch.autograd.backward(loss)
                return clock() - start

            samples, batch = FEW, few(problem).to(self.device)
            with Flops() as flops:
                seconds = step(batch)
            if seconds < LONG:  # of which warming up may be a large part
                seconds = step(batch)
            while samples < recipe.batch and seconds < SHORT / 2:
                samples = min(2 * samples, recipe.batch)
                seconds = step(few(problem, samples).to(self.device))
            waited = max(1.0, (time.perf_counter() - begun) / max(clock() - free, 1e-9))
            self.known[key] = waited * seconds / samples / max(flops.total / FEW, 1)
        return self.known[key]

    def made(self, run: Run) -> tuple[Counts, float]:
        """The passes of some real steps of a run, and the seconds that these took."""
        training = begin(run, self.device, StandIn(run))
        meter = training.meter = training.learner.objective.meter = Meter(self.device, flops=False)
        stage = training.learner.stages[-1]
        training.iterate(stage, 0)  # a warm-up, which is not timed
        before, start = meter.summary(), time.perf_counter()
        for step in range(1, stage.steps):
            training.iterate(stage, step)
            if time.perf_counter() - start > SHORT:
                break
        seconds, after = time.perf_counter() - start, meter.summary()
        return {key: after[key] - before[key] for key in PASSES}, seconds


def _like(spec: Mapping[str, Any], run: Run) -> bool:
    return all(spec.get(key) == value for key, value in run.to_json().items() if key != "seed")
