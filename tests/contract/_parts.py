"""What the contract tests share: the registered parts, and a small training of any method."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from auxbench import backbone
from auxbench.architecture import Architecture, Site
from auxbench.balancer import Balancer
from auxbench.budget import BUDGETS
from auxbench.cost.training import Meter
from auxbench.method import Method
from auxbench.problem import DATASETS, Dataset, Problem
from auxbench.registry import METHODS
from auxbench.streams import Streams
from auxbench.train import Training

ARCHITECTURES = [name for name in METHODS.names() if issubclass(METHODS[name], Architecture)]
BALANCERS = [name for name in METHODS.names() if issubclass(METHODS[name], Balancer)]
TASKS = ("segmentation", ("depth", "scene"))
SIDE = 32


@cache
def rooms() -> Dataset:
    dataset = DATASETS["rooms"].tiny()
    dataset.prepare()
    return dataset


def site(
    name: str = "test_resnet",
    auxiliaries: tuple[str, ...] = TASKS[1],
    seed: int = 0,
    primary: str = TASKS[0],
) -> Site:
    problem = Problem.of(rooms(), primary, auxiliaries)
    side = rooms().side
    streams = Streams("contract", seed, "1")
    return Site(problem.tasks, lambda: backbone.build(name, side), streams)


def training(
    method: str,
    steps: int = 3,
    auxiliaries: tuple[str, ...] = TASKS[1],
    primary: str = TASKS[0],
    backbone: str = "test_resnet",
    **changes: Any,
) -> Training:
    recipe = BUDGETS["demo"].with_changes(steps=steps, batch=4, **changes)
    here, meter = site(backbone, auxiliaries, primary=primary), Meter()
    learner = Method.parse(method).start(here, recipe, meter)
    problem = Problem.of(rooms(), primary, auxiliaries)
    return Training(learner, problem, recipe, here, meter)


def weights_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
