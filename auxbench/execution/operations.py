"""Operations: what the passes of a run cost, counted from shapes alone."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from auxbench.cost.flops import Flops
from auxbench.cost.shapes import Shapes
from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch
from auxbench.data.problem import Problem
from auxbench.execution.execute import builder_of
from auxbench.networks.backbone import Backbone
from auxbench.spec.method import Method
from auxbench.spec.registry import METHODS
from auxbench.spec.run import Run
from auxbench.training.architecture import Architecture
from auxbench.training.objective import Objective

Made = dict[tuple[object, ...], Backbone]
Counts = dict[str, int]  # the number of passes, by the names in PASSES

FEW = 2  # samples in the first batch on which a pace is measured; also the smallest batch


class Operations:
    """The operations of passes through an architecture, counted from shapes on the device 'meta'.

    A forward pass takes `forward`, a backward pass from all losses `of_all`, and one from each loss
    alone `of_each`, which is counted when it is first needed. The `shapes` are those of networks
    that were counted before.
    """

    def __init__(
        self, architecture: Architecture, batch: Batch, shapes: Shapes | None = None
    ) -> None:
        self.shapes = shapes or Shapes()
        objective = Objective(architecture, architecture.tasks, Meter(flops=False))
        with self.shapes, Flops() as forward:
            self.losses = objective(architecture.relabel(batch.to("meta")))
        self.forward: int = forward.total
        self.of_all = self._backward(self.losses)

    @cached_property
    def of_each(self) -> list[int]:
        """The operations of a backward pass from each loss alone."""
        return [self._backward([loss]) for loss in self.losses]

    def _backward(self, losses: Sequence[Tensor]) -> int:
        with self.shapes, Flops() as counted:
            torch.autograd.backward(losses, retain_graph=True)
        total: int = counted.total
        return total

    def of(self, passes: Counts) -> int:
        """The operations of some passes; a forward-mode pass costs as much as two forward passes.

        Backward passes beyond one per forward pass belong to steps that take each loss separately.
        """
        forward, backward = passes["forward"], passes["backward"]
        work = (forward + 2 * passes["jvp"]) * self.forward
        if backward <= forward:
            return work + backward * self.of_all
        alone = (backward - forward) / max(1, len(self.of_each) - 1)
        together = max(0, forward - alone)
        return round(work + together * self.of_all + alone * sum(self.of_each))


def few(problem: Problem, samples: int = FEW) -> Batch:
    """A small batch of a problem."""
    return problem.dataset.samples("train").batch(np.arange(samples), None)


def without_numbers(run: Run, problem: Problem, made: Made) -> Architecture:
    """The network of a run on the device 'meta', where tensors have shapes but no values.

    Backbones that have been `made` before are copied, which is faster than making them again.
    """
    method, plain = Method.parse(run.method), builder_of(run, problem)

    def make_backbone() -> Backbone:
        key = run.dataset, run.recipe.side, run.backbone, torch.get_default_device()
        if key not in made:
            made[key] = plain.make_backbone()
        return deepcopy(made[key])

    builder = replace(plain, make_backbone=make_backbone)
    maker = METHODS[method.architecture.name]
    options = method.architecture.values(maker)
    try:
        with torch.device("meta"):
            architecture = maker(builder, **options)
    except NotImplementedError:  # its constructor needs actual values
        architecture = maker(builder, **options)
    assert isinstance(architecture, Architecture)
    return architecture.to("meta")
