"""Dry runs: short trainings of any method on tiny data, in tenths of a second.

The contract of methods, the page of pairs and the tests all train this way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from auxbench.cost.training import Meter
from auxbench.data.dataset import Dataset
from auxbench.data.problem import Problem
from auxbench.data.seeds import Seeds
from auxbench.networks import backbone
from auxbench.networks.builder import Builder
from auxbench.spec.budget import BUDGETS, PROTOCOL
from auxbench.spec.method import Method
from auxbench.spec.networks import HEAD
from auxbench.spec.registry import DATASETS
from auxbench.training import checkpoint as state
from auxbench.training.learner import start
from auxbench.training.loop import Training

TINY = "rooms"  # the data set of which the tiny variant is used
PRIMARY = "segmentation"
AUXILIARIES = ("depth", "scene")
MORE = ("normals", "edges")  # auxiliaries, for five tasks in all
TASKS = (PRIMARY, *AUXILIARIES, *MORE)
SINGLE = "single"
BACKBONE = "test_resnet"
STEPS = 3


def tiny(name: str = TINY) -> Dataset:
    """The tiny variant of a data set, ready to be read."""
    maker: Any = DATASETS[name]  # a file may have been imported again under the same name
    return _tiny(maker)


@cache
def _tiny(maker: Any) -> Dataset:
    dataset: Dataset = maker.tiny()
    dataset.prepare()
    return dataset


def builder(
    net: str = BACKBONE,
    auxiliaries: tuple[str, ...] = AUXILIARIES,
    seed: int = 0,
    primary: str = PRIMARY,
    dataset: str = TINY,
    head: str = HEAD,
) -> Builder:
    """The builder of an architecture on tiny data."""
    data = tiny(dataset)
    problem = Problem.of(data, primary, auxiliaries)
    streams = Seeds("contract", seed, PROTOCOL)

    def make_backbone() -> backbone.Backbone:
        return backbone.build(net, data.size, features=data.features)

    return Builder(problem.tasks, make_backbone, streams, head)


def training(
    method: str,
    steps: int = STEPS,
    auxiliaries: tuple[str, ...] = AUXILIARIES,
    primary: str = PRIMARY,
    backbone: str = BACKBONE,
    dataset: str = TINY,
    head: str = HEAD,
    flops: bool = True,
    device: str = "cpu",
    **changes: Any,
) -> Training:
    """A training at its first step; `changes` replace values of its recipe.

    Counting FLOPs takes about as long as training; `flops=False` omits it. Errors: `UsageError`
    for a method that cannot be trained here.
    """
    recipe = BUDGETS["demo"].with_changes(steps=steps, batch=4, **changes)
    here = builder(backbone, auxiliaries, primary=primary, dataset=dataset, head=head)
    meter = Meter(device, flops=flops)
    learner = start(Method.parse(method), here, recipe, meter, device)
    problem = Problem.of(tiny(dataset), primary, auxiliaries)
    return Training(learner, problem, recipe, here, meter, device)


def images(count: int = 2) -> Tensor:
    """Random images [count, 3, height, width], always the same."""
    return torch.randn(count, 3, *tiny().size, generator=torch.Generator().manual_seed(0))


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers by name."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def carried(training: Training) -> str:
    """A digest of the whole state of a training except its meter."""
    tree = training.state_dict()
    del tree["meter"]
    return state.digest(tree)
