"""The objective: from a batch to the losses of all tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, SampleLosses, Task
from auxbench.networks.recomputation import recomputed
from auxbench.training.group import group
from auxbench.training.jvp import Named, jvp


class Objective:
    """A function from a batch to T separate scalar losses, primary first.

    `network` maps inputs to {task: prediction}; passes are reported to `meter`. If several
    processes train together, each runs the network on its part of a batch and gets the losses of
    all samples. With `checkpointing`, backward passes compute the blocks of backbones again, except
    where parameters are replaced, which includes several processes and `jvp`.
    """

    def __init__(
        self,
        network: nn.Module,
        tasks: Sequence[Task],
        meter: Meter,
        *,
        checkpointing: bool = False,
    ) -> None:
        self.network = network
        self.tasks = tuple(tasks)
        self.meter = meter
        self.checkpointing = checkpointing
        self.group = group()

    def __call__(self, batch: Batch) -> list[Tensor]:
        """The losses on a batch, as scalars; BatchNorm's running statistics do not change."""
        return [losses.mean() for losses in self.samples(batch)]

    def samples(
        self,
        batch: Batch,
        parameters: Named | None = None,
        *,
        update_statistics: bool = False,
    ) -> list[SampleLosses]:
        """Every task's losses on the samples of a batch.

        `parameters` replace the network's parameters of the same names. BatchNorm's running
        statistics change only with `update_statistics`.
        """
        self.meter.forward(len(batch))
        part = self.group.part(batch)
        parameters = self.group.copies(self.network, parameters)
        frozen = nullcontext() if update_statistics else frozen_batchnorm_stats(self.network)
        with frozen, self.group.apart(part, batch):
            if parameters is None:
                with recomputed(self.network) if self.checkpointing else nullcontext():
                    predictions = self.network(part.inputs)
            else:
                predictions = functional_call(self.network, dict(parameters), (part.inputs,))
        return self.group.whole(self._losses(predictions, part), len(batch))

    def jvp(self, batch: Batch, direction: Named) -> list[SampleLosses]:
        """The derivative of every loss along `direction`, a vector given by parameter names.

        One forward-mode pass gives the inner products of the direction with the gradients of all
        tasks and all samples; reverse mode would need one backward pass for each of them.
        """
        self.meter.jvp(len(batch))
        counts: list[Tensor] = []
        part = self.group.part(batch)

        def sums(parameters: Named) -> list[Tensor]:
            predictions = functional_call(self.network, dict(parameters), (part.inputs,))
            losses = self._losses(predictions, part)
            counts.extend(loss.counts.detach() for loss in losses)
            return [loss.sums for loss in losses]

        with frozen_batchnorm_stats(self.network), self.group.apart(part, batch):
            _, derivatives = jvp(sums, dict(self.network.named_parameters()), direction)
        losses = list(map(SampleLosses, derivatives, counts))
        return self.group.whole(losses, len(batch))

    def _losses(self, predictions: Mapping[str, Tensor], batch: Batch) -> list[SampleLosses]:
        return [
            task.losses(predictions[task.name], batch.targets[task.name]) for task in self.tasks
        ]


@contextmanager
def frozen_batchnorm_stats(module: nn.Module) -> Iterator[None]:
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
