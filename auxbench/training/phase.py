"""Phases: what happens in one iteration, one after the other, and the objective they all read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm

from auxbench.cost.training import Meter
from auxbench.derivatives import Named, along
from auxbench.problem import Batch, SampleLosses

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

    def __call__(self, batch: Batch) -> list[Tensor]:
        """The losses of a batch, as scalars; BatchNorm's running statistics do not move."""
        return [losses.mean() for losses in self.samples(batch)]

    def samples(
        self,
        batch: Batch,
        parameters: Named | None = None,
        *,
        statistics: bool = False,
    ) -> list[SampleLosses]:
        """Every task's losses on the samples of a batch.

        `parameters` stand in for the architecture's own of the same names. BatchNorm's running
        statistics move only with `statistics`.
        """
        self.meter.forward(len(batch))
        with nullcontext() if statistics else still(self.architecture):
            if parameters is None:
                predictions = self.architecture(batch.inputs)
            else:
                predictions = functional_call(self.architecture, dict(parameters), (batch.inputs,))
        return self._losses(predictions, batch)

    def slopes(self, batch: Batch, direction: Named) -> list[SampleLosses]:
        """How fast every loss rises when the parameters move along `direction`, by their names.

        One forward-mode product gives the inner products of the direction with the gradients of
        all tasks, and of all samples, for which reverse mode needs a backward pass each.
        """
        self.meter.product(len(batch))
        counts: list[Tensor] = []

        def sums(parameters: Named) -> list[Tensor]:
            predictions = functional_call(self.architecture, dict(parameters), (batch.inputs,))
            losses = self._losses(predictions, batch)
            counts.extend(loss.counts.detach() for loss in losses)
            return [loss.sums for loss in losses]

        with still(self.architecture):
            _, rises = along(sums, dict(self.architecture.named_parameters()), direction)
        return [SampleLosses(rise, count) for rise, count in zip(rises, counts, strict=True)]

    def _losses(self, predictions: Mapping[str, Tensor], batch: Batch) -> list[SampleLosses]:
        return [
            task.losses(predictions[task.name], batch.targets[task.name])
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

    `splits` names the batches that `step` may read, each of which is drawn when it is first read;
    `claimed` are the parameters that it owns, and the descent owns every parameter that no other
    phase claims.

    The passes that it makes recur after `period` iterations, but for the iterations in `turns`,
    after each of which they may be others: plans count a run from these.
    """

    name: str
    splits: tuple[str, ...]
    period: int = 1
    turns: Collection[int] = ()

    @property
    @abstractmethod
    def claimed(self) -> Sequence[Parameter]:
        """The parameters that this phase changes."""

    @abstractmethod
    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        """Do the phase's part of one iteration and say what is worth logging."""

    def candidates(self) -> Iterator[Scalars]:
        """Put the network into each state that may be selected, and say what it is.

        There is one such state, the one that it is in, unless a phase trains several.
        """
        yield {}

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the phase carries from step to step."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""


class Drawn(Mapping[str, Batch]):
    """The batches of one iteration, each drawn from its stream and prepared when first read."""

    def __init__(
        self,
        streams: Mapping[str, Iterator[Batch]],
        prepare: Callable[[Batch], Batch],
        raw: dict[str, Batch] | None = None,
    ) -> None:
        self.streams = streams
        self.prepare = prepare
        self.raw = {} if raw is None else raw
        self.prepared: dict[str, Batch] = {}

    def __getitem__(self, split: str) -> Batch:
        if split not in self.prepared:
            if split not in self.raw:
                self.raw[split] = next(self.streams[split])
            self.prepared[split] = self.prepare(self.raw[split])
        return self.prepared[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.streams)

    def __len__(self) -> int:
        return len(self.streams)

    def again(self) -> Drawn:
        """The same batches, to be prepared once more."""
        return Drawn(self.streams, self.prepare, self.raw)


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
