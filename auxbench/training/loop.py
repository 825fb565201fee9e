"""The training loop, the same for every method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, Samples, Task
from auxbench.data.problem import Problem
from auxbench.data.splits import open_loaders
from auxbench.data.workers import NONE, Workers
from auxbench.networks.builder import Builder
from auxbench.spec.budget import Recipe
from auxbench.training.architecture import Architecture
from auxbench.training.compiled import Compiled
from auxbench.training.evaluate import Predict, Score, evaluate
from auxbench.training.learner import Learner, Stage
from auxbench.training.phase import LazyBatches, Scalars


class Training:
    """A run in progress: the learner, its batch streams, and the results so far.

    Its `state_dict` determines the rest of the run: a run that is stopped after any step and loaded
    into a fresh `Training` gives bit-identical results.
    """

    def __init__(
        self,
        learner: Learner,
        problem: Problem,
        recipe: Recipe,
        builder: Builder,
        meter: Meter,
        device: str = "cpu",
        workers: Workers = NONE,
    ) -> None:
        self.learner = learner
        self.problem = problem
        self.recipe = recipe
        self.builder = builder
        self.seeds = builder.seeds
        self.meter = meter
        self.device = device
        self.workers = workers
        self.step = 0
        self.steps = sum(stage.steps for stage in learner.stages)
        self.curve: list[dict[str, Any]] = []
        self.best: Score | None = None
        self.selected: dict[str, Any] = {}
        self.batches = {
            stage.name: open_loaders(
                problem, stage.name, stage.splits, recipe.batch, builder.seeds, workers
            )
            for stage in learner.stages
        }
        self.validation: Samples = problem.dataset.samples("validation")

    def compile(self) -> str:
        """Compile the network for the training batches; return what failed, if anything did."""
        samples = self.problem.dataset.samples("train")
        indices = np.arange(min(self.recipe.batch, len(samples)))
        objective = self.learner.objective
        compiled = Compiled(self.learner.architecture, objective.precision)
        compiled.prepare(samples.batch(indices, None).to(self.device).inputs, self.seeds)
        self.meter.compile_seconds += compiled.seconds
        objective.compiled = compiled
        return compiled.failed

    def run(self, after_step: Callable[[Training], bool] = lambda training: True) -> None:
        """Train to the end, or until `after_step` returns False."""
        first = 0
        for stage in self.learner.stages:
            for step in range(self.step - first, stage.steps):
                scalars = self.iterate(stage, step)
                self.step += 1
                if stage is self.learner.stages[-1] and self.due(step):
                    self.validate(step, scalars)
                if not after_step(self):
                    return
            first += stage.steps
            for loader in self.batches[stage.name].values():
                loader.rest()

    def iterate(self, stage: Stage, step: int) -> Scalars:
        """Run one iteration: the stage's phases in order, on one batch per split."""
        architecture, scalars = self.learner.architecture, Scalars()
        architecture.train()
        architecture.enter(stage.name)
        self.learner.context.progress = step / stage.steps
        with self.seeds.seeded("dropout", stage.name, step):
            batches = LazyBatches(self.batches[stage.name], self.prepare)
            for phase in stage.phases:
                name, structure = f"{stage.name}/{phase.name}", architecture.structure()
                with self.meter.phase(name, structure=structure):
                    scalars |= phase.step(batches)
        return scalars

    def prepare(self, batch: Batch) -> Batch:
        """The batch as the phases see it: on the device, and relabelled."""
        return self.learner.relabel(batch.to(self.device))

    def due(self, step: int) -> bool:
        """Return whether to validate after this step: `evaluations` times, at even intervals."""
        done, steps = step + 1, self.recipe.steps
        count = min(self.recipe.evaluations, steps)
        return done * count // steps > step * count // steps

    def validate(self, step: int, scalars: Scalars) -> None:
        """Score the deployed network on validation, and keep its state if it is now preferred."""
        architecture = self.learner.architecture
        headline: Score | None = None
        look: dict[str, Any] = {}
        for which in self.learner.descent.candidates():
            with self.meter.phase("evaluate", training=False):
                networks = {"deployed": deployed(architecture)}
                scores = evaluate(
                    networks,
                    self.validation,
                    "validation",
                    self.recipe.batch,
                    self.device,
                    self.workers,
                )
            if look and not scores[0].better_than(headline):
                continue
            headline = scores[0]
            look = {
                "step": step + 1,
                "scores": [score.to_json() for score in scores],
                "scalars": {name: float(v) for name, v in (scalars | which).items()},
                "traces": dict(architecture.traces()),
            }
            whole = architecture.dropped_strength() == 0
            if self.prefers(headline, whole):
                self.best = headline
                state = {key: value.clone() for key, value in architecture.state_dict().items()}
                self.selected = {"step": step + 1, "whole": whole, "state": state}
        self.curve.append(look)

    def prefers(self, score: Score, whole: bool) -> bool:
        """Return whether a new state is preferred to the one selected so far.

        `whole` means that deployment cuts no connection that the primary depends on. Such a state
        is always preferred to others, because the deployed network must be the one trained.
        """
        if self.recipe.selection == "last" or not self.selected:
            return True
        if whole != self.selected["whole"]:
            return whole
        return score.better_than(self.best)

    def state_dict(self) -> dict[str, Any]:
        """The whole state of the run."""
        return {
            "step": self.step,
            "curve": self.curve,
            "best": None if self.best is None else self.best.to_json(),
            "selected": self.selected,
            "learner": self.learner.state_dict(),
            "meter": self.meter.state_dict(),
            "batches": {
                stage: {split: stream.state_dict() for split, stream in streams.items()}
                for stage, streams in self.batches.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.step = int(state["step"])
        self.curve = list(state["curve"])
        self.best = None if state["best"] is None else Score(**state["best"])
        self.selected = dict(state["selected"])
        self.learner.load_state_dict(state["learner"])
        self.meter.load_state_dict(state["meter"])
        for stage, streams in self.batches.items():
            for split, stream in streams.items():
                stream.load_state_dict(state["batches"][stage][split])


def deployed(architecture: Architecture) -> tuple[nn.Module, Predict, tuple[Task, ...]]:
    """The deployed network, for the primary alone, in the form that `evaluate` takes."""
    network, primary = architecture.deploy(), architecture.primary
    return network, lambda batch: {primary.name: network(batch.inputs)}, (primary,)


def in_training(architecture: Architecture) -> tuple[nn.Module, Predict, tuple[Task, ...]]:
    """The network for all tasks, in the form that `evaluate` takes."""
    return architecture, lambda batch: architecture(batch.inputs), architecture.tasks
