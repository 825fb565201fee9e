"""Phases: what happens in one iteration, one after the other, and the objective they all read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm

from auxbench.cost.training import Meter
from auxbench.problem import Batch

if TYPE_CHECKING:
    from auxbench.architecture import Architecture

Scalars = dict[str, float]


class Objective:
    """Batch -> T separate loss scalars, primary first.

    `progress` in [0, 1] is how much of the stage is done. `weights` [T] are the ones by which the
    loss weighting of the last descent multiplied the losses; a phase that minimises a total of
    its own uses them, so that weighing reaches it too.
    """

    def __init__(self, architecture: Architecture, meter: Meter) -> None:
        self.architecture = architecture
        self.meter = meter
        self.progress = 0.0
        self.weights = torch.ones(len(architecture.tasks), dtype=torch.float64)

    def __call__(self, batch: Batch, *, statistics: bool = False) -> list[Tensor]:
        """The losses of a batch; BatchNorm's running statistics move only with `statistics`."""
        self.meter.forward(len(batch))
        if statistics:
            predictions = self.architecture(batch.inputs)
        else:
            with still(self.architecture):
                predictions = self.architecture(batch.inputs)
        return [
            task.batch_loss(predictions[task.name], batch.targets[task.name])
            for task in self.architecture.tasks
        ]

    def state_dict(self) -> dict[str, Any]:
        """The weights; the progress follows from the step."""
        return {"weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.weights = state["weights"]


class Phase(ABC):
    """A part of every iteration, such as the descent on the weights or the search of the links.

    `splits` names the batches that `step` reads; `claimed` are the parameters that it owns, and
    the descent owns every parameter that no other phase claims.
    """

    name: str
    splits: tuple[str, ...]

    @property
    @abstractmethod
    def claimed(self) -> Sequence[Parameter]:
        """The parameters that this phase changes."""

    @abstractmethod
    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        """Do the phase's part of one iteration and say what is worth logging."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the phase carries from step to step."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""


@contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of every BatchNorm inside `module` as they are.

    Batches are still normalised by their own statistics in training mode.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
    kept = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm, tracked in zip(norms, kept, strict=True):
            norm.track_running_stats = tracked
