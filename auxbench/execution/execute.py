"""One run: built, trained or resumed from its checkpoint, tested, and recorded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from auxbench.cost.inference import inference
from auxbench.cost.training import Meter
from auxbench.data.dataset import Dataset, make_dataset
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.data.workers import NONE, Workers
from auxbench.errors import AuxbenchError, Diverged, Stopped, reason
from auxbench.execution import weights
from auxbench.execution.environment import environment
from auxbench.execution.predictions import keep
from auxbench.networks import backbone
from auxbench.networks.builder import Builder, placed
from auxbench.networks.pretrained import kept
from auxbench.records import provenance
from auxbench.records.record import record
from auxbench.spec.grammar import Choice
from auxbench.spec.method import Method
from auxbench.spec.run import Run
from auxbench.training import checkpoint
from auxbench.training.architecture import Architecture
from auxbench.training.evaluate import evaluate
from auxbench.training.group import group
from auxbench.training.learner import start
from auxbench.training.loop import Training, deployed, in_training

SAVE_EVERY = 20.0  # seconds between checkpoints
TELL_EVERY = 0.2  # seconds between two reports of a step

Report = Callable[[dict[str, Any]], None]


def provenance_of(run: Run) -> dict[str, Any]:
    """The code and the data that a run would use now.

    Keys: code (see `provenance.code`), data (see `Dataset.identity`), draw (of the data, None if
    they are fixed) and data_options, the names of the options that give the location of the data.
    Errors: `UsageError` for missing data.
    """

    method, dataset = Method.parse(run.method), Choice.parse(run.dataset)
    parts = tuple(choice.name for choice in (method.architecture, *method.balancers))
    return {
        "code": provenance.code(parts, dataset.name, Choice.parse(run.backbone).name),
        "data": make_dataset(run.located, run.recipe.side, run.draw).identity(),
        "draw": run.draw,
        "data_options": list(Choice.parse(run.located).options.keys() - dataset.options.keys()),
    }


def begin(
    run: Run, device: str = "cpu", dataset: Dataset | None = None, workers: Workers = NONE
) -> Training:
    """The training of a run, ready for its first step; the data must have been prepared.

    `dataset` replaces the run's own data set, for estimates. The `workers` prepare batches ahead.
    """

    dataset = dataset or make_dataset(run.located, run.recipe.side, run.draw)
    problem = Problem.of(dataset, run.primary, run.auxiliaries)
    dataset.narrow(problem.tasks)
    builder, meter = builder_of(run, problem), Meter(device, add=group().add)
    learner = start(Method.parse(run.method), builder, run.recipe, meter, device)
    return Training(learner, problem, run.recipe, builder, meter, device, workers)


def builder_of(run: Run, problem: Problem) -> Builder:
    """The builder of a run's networks."""

    dataset, initial = problem.dataset, kept(run.weights) if run.weights else run.pretrained
    seeds = Seeds(f"{run.dataset} {problem.primary.name}", run.seed, run.protocol)

    def make_backbone() -> backbone.Backbone:
        return backbone.build(run.backbone, dataset.size, initial, dataset.features)

    return Builder(problem.tasks, make_backbone, seeds, run.head)


def execute(
    run: Run,
    folder: Path,
    device: str = "cpu",
    report: Report = print,
    stopping: Callable[[], bool] = lambda: False,
    count: int = 0,
    predictions: int = 0,
    keep_weights: bool = False,
) -> dict[str, Any]:
    """Carry out a run, starting from its checkpoint in `folder` if there is one; return its record.

    `report` is called with progress events. When `stopping` returns True, the run is saved after
    the current step and `Stopped` is raised. A loss that becomes non-finite also gives a record;
    any other failure is raised. If several processes train together, all call this, and only the
    first reads and writes the checkpoint. `count` workers prepare batches ahead, which changes no
    result. `predictions` is the number of test samples whose predictions are kept in `folder`. With
    `keep_weights`, the weights of the deployed network are kept there, too.
    """

    surroundings, made_by, together = environment(device), provenance_of(run), group()
    if together.size > 1:
        surroundings["world"] = together.size
    workers = Workers(count)
    training = begin(run, device, workers=workers)
    file = folder / "state"
    belongs = {
        "id": run.id,
        "code": made_by["code"],
        "data": made_by["data"],
        "threads": surroundings["threads"],
        "world": together.size,
        "packages": surroundings["packages"],
    }

    def save() -> None:
        if together.rank == 0:
            checkpoint.save(file, {"belongs": belongs, "training": training.state_dict()})

    saved_state, refused = together.first(lambda: checkpoint.load_own(file, belongs))
    if refused:
        report({"event": "said", "text": refused})
    if saved_state is not None:
        training.load_state_dict(saved_state["training"])
    if run.recipe.compiled and (failed := training.compile()):
        report({"event": "said", "text": f"{run.label} is not compiled: {failed}"})
    saved, told = time.monotonic(), -math.inf  # the first step is told, so that bars move at once

    def after_step(training: Training) -> bool:
        nonlocal saved, told
        now = time.monotonic()
        if together.add(int(stopping())):  # all stop after the same step
            return False
        if now - saved > SAVE_EVERY:
            save()
            saved = now
        if now - told > TELL_EVERY or training.step == training.steps:
            report({"event": "step", "step": training.step, "steps": training.steps})
            told = now
        return True

    try:
        training.run(after_step)
        save()
        if training.step < training.steps:
            raise Stopped(f"stopped after step {training.step} of {training.steps}")
        results = conclude(training, run, device)
        if predictions:
            failed = together.first(lambda: _kept(training, run, folder, device, predictions))
            if failed:
                report({"event": "said", "text": failed})
        if together.rank == 0:
            if keep_weights:
                weights.save(folder, training.learner.architecture.deploy(), run)
            else:
                weights.remove(folder)  # of an earlier record
    except Diverged as error:
        return record(
            run,
            "diverged",
            str(error),
            curve=training.curve,
            training=training.meter.summary(),
            environment=surroundings,
            provenance=made_by,
        )
    finally:
        workers.close()
    return record(run, "done", **results, environment=surroundings, provenance=made_by)


def _kept(training: Training, run: Run, folder: Path, device: str, count: int) -> str:
    """Keep predictions; return why that failed, if it did, since the record is worth more."""
    try:
        keep(training, run.id, folder, device, count)
    except OSError as error:
        return f"its predictions are not kept: {reason(error)}"
    return ""


def conclude(training: Training, run: Run, device: str) -> dict[str, Any]:
    """Test the selected state once, and measure its cost in deployment."""

    architecture = training.learner.architecture
    final = dict(architecture.traces())
    architecture.load_state_dict(training.selected["state"])
    test = training.problem.dataset.samples("test")
    networks = {"deployed": deployed(architecture), "training": in_training(architecture)}
    scores = evaluate(networks, test, "test", run.recipe.batch, device, training.workers)
    if scores[0].value is None:
        raise AuxbenchError(
            f"there is no score of '{run.primary}', as where no test sample has a label of it; "
            "choose another primary task, or label some."
        )

    example = test.batch(np.arange(1), None).to(device).inputs
    single = placed(training.builder.network(architecture.primary), device)
    in_training_score = next(score for score in scores if score.network == "training")
    return {
        "primary": {**scores[0].to_json(), "margin": training.problem.margin},
        "scores": [score.to_json() for score in scores],
        "curve": training.curve,
        "selected": {
            "step": training.selected["step"],
            "score_with_auxiliaries": in_training_score.value,
            "score_deployed": scores[0].value,
            "dropped_strength": architecture.dropped_strength(),
            "traces": dict(architecture.traces()),
            "final_traces": final,
        },
        "training": {
            **training.meter.summary(),
            "parameters": training.learner.parameters,
        },
        "inference": group().first(lambda: _inference(architecture, example, single)),
    }


def _inference(architecture: Architecture, example: Tensor, single: nn.Module) -> dict[str, Any]:
    """The cost of the deployed network, or why it is not known: the scores are worth more."""
    try:
        return inference(architecture.deploy(), example, single)
    except Exception as error:  # of a network that is not ours
        return {"why": f"it could not be measured ({type(error).__name__}: {reason(error)})"}
