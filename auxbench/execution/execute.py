"""Runs: (problem, backbone, method, recipe, seed), frozen and hashed, and what each gives."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auxbench.budget import PROTOCOL, Recipe
from auxbench.catalogue import HEAD
from auxbench.environment import environment
from auxbench.errors import Diverged, Stopped
from auxbench.grammar import Choice
from auxbench.store import SCHEMA

if TYPE_CHECKING:
    from auxbench.architecture import Site
    from auxbench.problem import Dataset, Problem
    from auxbench.train import Training

SAVE_EVERY = 20.0  # seconds between checkpoints

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Run:
    """All that decides a number. Texts are canonical, so one thing has one id.

    `primary` and `auxiliaries` are task names, `weights` is the SHA-256 of a file, and the rest is
    in the grammar of the command line. `where` are the options that say where the data lie, which
    decide no number and are kept out of the run's identity and its record.
    """

    dataset: str
    primary: str
    auxiliaries: tuple[str, ...]
    backbone: str
    pretrained: bool
    method: str
    recipe: Recipe
    seed: int
    protocol: str = PROTOCOL
    head: str = HEAD
    weights: str = ""
    where: str = field(default="", compare=False)

    def to_json(self) -> dict[str, Any]:
        """The specification as a record holds it; heads and weights only if they are chosen."""
        chosen = {"head": self.head} if self.head != HEAD else {}
        chosen |= {"weights": self.weights} if self.weights else {}
        return {
            "protocol": self.protocol,
            "dataset": self.dataset,
            "primary": self.primary,
            "auxiliaries": list(self.auxiliaries),
            "backbone": self.backbone,
            "pretrained": self.pretrained,
            "method": self.method,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            **chosen,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Run:
        """The run that `to_json` wrote."""
        recipe = Recipe.from_json(values["recipe"])
        auxiliaries = tuple(values["auxiliaries"])
        return cls(**{**values, "recipe": recipe, "auxiliaries": auxiliaries})

    @property
    def located(self) -> str:
        """The data set and where its data lie."""
        return self.dataset + self.where

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the specification's hash."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def label(self) -> str:
        """What a person calls the run."""
        return f"{self.method} seed {self.seed}"


def record(run: Run, status: str, reason: str = "", **parts: Any) -> dict[str, Any]:
    """A record of a run: its specification, how it ended, and what is known of it."""
    empty: dict[str, Any] = {
        "primary": None,
        "scores": [],
        "curve": [],
        "selected": None,
        "training": None,
        "inference": None,
        "environment": None,
        "provenance": None,
    }
    head = {"schema": SCHEMA, "id": run.id, "run": run.to_json()}
    return {**head, "status": status, "reason": reason, **empty, **parts}


def provenance_of(run: Run) -> dict[str, Any]:
    """The code and the data by which a run would be made now.

    Keys: code (see `provenance.code`), data (see `Dataset.identity`) and places, the names of the
    options that say where the data lie. Errors: `UsageError` for data that are not there.
    """
    from auxbench import provenance
    from auxbench.method import Method
    from auxbench.problem import make_dataset

    method, dataset = Method.parse(run.method), Choice.parse(run.dataset)
    parts = tuple(choice.name for choice in (method.architecture, *method.balancers))
    return {
        "code": provenance.code(parts, dataset.name),
        "data": make_dataset(run.located, run.recipe.side).identity(),
        "places": list(Choice.parse(run.located).options.keys() - dataset.options.keys()),
    }


def begin(run: Run, device: str = "cpu", dataset: Dataset | None = None) -> Training:
    """The training of a run at its first step, on data that have been prepared.

    `dataset` stands in for the run's own, for rehearsals.
    """
    from auxbench.cost.training import Meter
    from auxbench.method import Method
    from auxbench.problem import Problem, make_dataset
    from auxbench.train import Training

    dataset = dataset or make_dataset(run.located, run.recipe.side)
    problem = Problem.of(dataset, run.primary, run.auxiliaries)
    dataset.narrow(problem.tasks)
    site, meter = site_of(run, problem), Meter(device)
    learner = Method.parse(run.method).start(site, run.recipe, meter, device)
    return Training(learner, problem, run.recipe, site, meter, device)


def site_of(run: Run, problem: Problem) -> Site:
    """What the networks of a run are built from."""
    from auxbench import backbone
    from auxbench.architecture import Site
    from auxbench.streams import Streams
    from auxbench.weights import kept

    dataset, start = problem.dataset, kept(run.weights) if run.weights else run.pretrained
    streams = Streams(f"{run.dataset} {problem.primary.name}", run.seed, run.protocol)

    def make_backbone() -> backbone.Backbone:
        return backbone.build(run.backbone, dataset.size, start, dataset.features)

    return Site(problem.tasks, make_backbone, streams, run.head)


def execute(
    run: Run,
    folder: Path,
    device: str = "cpu",
    report: Report = print,
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Carry a run to its end, from its checkpoint in `folder` if there is one, and record it.

    `report` is told how far the run is. When `stopping` says so, the run is saved after the step
    it is in and `Stopped` is raised. A loss that stops being finite ends in a record too; any other
    failure is raised.
    """
    from auxbench import state

    surroundings, made_by = environment(device), provenance_of(run)
    training = begin(run, device)
    checkpoint = folder / "state"
    belongs = {
        "id": run.id,
        "code": made_by["code"],
        "data": made_by["data"],
        "threads": surroundings["threads"],
        "packages": surroundings["packages"],
    }

    def save() -> None:
        state.save(checkpoint, {"belongs": belongs, "training": training.state_dict()})

    kept, refused = state.load_own(checkpoint, belongs)
    if refused:
        report({"event": "said", "text": refused})
    if kept is not None:
        training.load_state_dict(kept["training"])
    saved = told = time.monotonic()

    def after_step(training: Training) -> bool:
        nonlocal saved, told
        now = time.monotonic()
        if stopping():
            return False
        if now - saved > SAVE_EVERY:
            save()
            saved = now
        if now - told > 0.5:
            report({"event": "step", "step": training.step, "steps": training.steps})
            told = now
        return True

    try:
        training.run(after_step)
        save()
        if training.step < training.steps:
            raise Stopped(f"stopped after step {training.step} of {training.steps}")
        results = conclude(training, run, device)
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
    return record(run, "done", **results, environment=surroundings, provenance=made_by)


def conclude(training: Training, run: Run, device: str) -> dict[str, Any]:
    """Test the selected state, once, and count what it costs to deploy."""
    import numpy as np

    from auxbench.cost.inference import inference
    from auxbench.evaluate import evaluate
    from auxbench.train import deployed, in_training

    architecture = training.learner.architecture
    final = dict(architecture.traces())
    architecture.load_state_dict(training.selected["state"])
    test = training.problem.dataset.samples("test")
    networks = {"deployed": deployed(architecture), "training": in_training(architecture)}
    scores = evaluate(networks, test, "test", run.recipe.batch, device)

    example = test.batch(np.arange(1), None).to(device).inputs
    single = training.site.network(architecture.primary).to(device)
    before_cut = next(score for score in scores if score.network == "training")
    return {
        "primary": scores[0].to_json(),
        "scores": [score.to_json() for score in scores],
        "curve": training.curve,
        "selected": {
            "step": training.selected["step"],
            "primary_before_cut": before_cut.value,
            "primary_after_cut": scores[0].value,
            "dropped_strength": architecture.dropped_strength(),
            "traces": dict(architecture.traces()),
            "traces_at_the_end": final,
        },
        "training": training.meter.summary(),
        "inference": inference(architecture.deploy(), example, single),
    }
