"""The objective: from a batch to the losses of all tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from auxbench.cost.training import Meter
from auxbench.data.dataset import Batch, SampleLosses, Task
from auxbench.networks.recomputation import recomputed
from auxbench.training.compiled import Compiled
from auxbench.training.group import group
from auxbench.training.jvp import Named, jvp
from auxbench.training.precision import SINGLE, Precision


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
        precision: Precision = SINGLE,
        *,
        checkpointing: bool = False,
    ) -> None:
        self.network = network
        self.tasks = tuple(tasks)
        self.meter = meter
        self.precision = precision
        self.checkpointing = checkpointing
        self.group = group()
        self.compiled: Compiled | None = None

    def __call__(self, batch: Batch) -> list[Tensor]:
        """The losses on a batch, as scalars; BatchNorm's running statistics do not change."""
        return [losses.mean() for losses in self.samples(batch)]

    def samples(
        self,
        batch: Batch,
        parameters: Named | None = None,
        *,
        descent: bool = False,
    ) -> list[SampleLosses]:
        """Every task's losses on the samples of a batch.

        `parameters` replace the network's parameters of the same names. `descent` marks the pass
        that the weights' gradients are taken from: only this pass changes BatchNorm's running
        statistics, and it alone may be in a precision that needs its losses scaled.
        """
        self.meter.forward(len(batch))
        part = self.group.part(batch)
        parameters = self.group.copies(self.network, parameters)
        frozen = nullcontext() if descent else frozen_batchnorm_stats(self.network)
        half = self.precision.autocast(scaled=descent)
        compiled = self._compiled() if descent and parameters is None else nullcontext()
        with frozen, half, compiled, self.group.apart(part, batch):
            if parameters is None:
                with recomputed(self.network) if self.checkpointing else nullcontext():
                    predictions = self.network(part.inputs)
            else:
                predictions = functional_call(self.network, dict(parameters), (part.inputs,))
            losses = self._losses(predictions, part)
        return self.group.whole(losses, len(batch))

    def _compiled(self) -> AbstractContextManager[object]:
        """A context for a pass by compiled parts; the meter sees operations only in others."""
        if self.compiled is None or self.meter.counting:
            return nullcontext()
        return self.compiled.used()

    def jvp(self, batch: Batch, direction: Named) -> list[SampleLosses]:
        """The derivative of every loss along `direction`, a vector given by parameter names.

        One forward-mode pass, in single precision, gives the inner products of the direction with
        the gradients of all tasks and all samples; reverse mode would need one backward pass for
        each of them.
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
