"""The group of processes that train one run together, each on its own part of every batch.

Outside the objective every process holds the same values: batches, losses of all samples,
parameters, gradients and weights. Only between a batch and the losses of its samples does a process
work on its part. The functions that cross this border have derivatives of every order, so that
gradients are those of the whole batch wherever they are taken, and a method's author need not know
about processes. A single process is `ALONE`, whose methods do nothing.

The graph of a step must be the same in all processes: it may depend on the parameters, but not on
the samples, or the processes would wait for different things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from auxbench.data.dataset import Batch, SampleLosses
from auxbench.errors import AuxbenchError
from auxbench.training.batch_norm import GlobalStatistics
from auxbench.training.exchange import Copy, Part, Whole
from auxbench.training.signals import Row

Named = Mapping[str, Tensor]
Value = TypeVar("Value")
Number = TypeVar("Number", int, float)


class Group:
    """One process that trains by itself, and the interface of several."""

    rank = 0
    size = 1

    def part(self, batch: Batch) -> Batch:
        """This process's part of a batch."""
        return batch

    def whole(self, losses: list[SampleLosses], count: int) -> list[SampleLosses]:
        """The losses on all `count` samples of a batch, from those on this process's part."""
        return losses

    def copies(self, network: nn.Module, parameters: Named | None) -> Named | None:
        """The parameters with which a network runs on a part, so that gradients are the whole's.

        `parameters` replace those of the network; None means that it runs with its own.
        """
        return parameters

    def apart(self, part: Batch, batch: Batch) -> AbstractContextManager[object]:
        """A context in which the network runs on a part of a batch."""
        return nullcontext()

    def unsummed(self) -> AbstractContextManager[object]:
        """A context in which gradients of `copies` are this process's share; for `sum` later."""
        return nullcontext()

    def sum(self, row: Row) -> Row:
        """The sums of tensors over all processes, in one message; None stays None."""
        return row

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the `.grad` of parameters over all processes."""

    def largest(self, values: Tensor) -> Tensor:
        """The largest of each number over all processes."""
        return values

    def share(self, items: list[Value]) -> list[Value]:
        """This process's share of some work that all could do."""
        return items

    def add(self, number: Number) -> Number:
        """The sum of a number over all processes."""
        return number

    def first(self, make: Callable[[], Value]) -> Value:
        """The result of `make` in the first process, for all; the others do not call it."""
        return make()


class Processes(Group):
    """The processes that torch.distributed has joined.

    BatchNorm normalises by the statistics of the whole batch. Dropout draws in each process for
    itself, so it drops other units than one process would.
    """

    def __init__(self) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def part(self, batch: Batch) -> Batch:
        targets = {name: self._part(target) for name, target in batch.targets.items()}
        return Batch(self._part(batch.inputs), targets)

    def _part(self, values: Tensor) -> Tensor:
        start, stop = self._bounds(len(values))
        part: Tensor = Part.apply(values, start, stop)
        return part

    def _bounds(self, count: int) -> tuple[int, int]:
        if count < self.size:
            raise AuxbenchError(
                f"a batch of {count} samples cannot be divided among {self.size} processes; "
                f"start at most {count}."
            )
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def whole(self, losses: list[SampleLosses], count: int) -> list[SampleLosses]:
        start, stop = self._bounds(count)
        own = [part for pair in losses for part in pair]
        columns = own[0].new_zeros(len(own), count + 1, dtype=torch.float64)
        for column, part in zip(columns, own, strict=True):
            column[start:stop] = part.detach()
            column[count] = part.requires_grad
        distributed.all_reduce(columns)
        if not set(columns[:, count].tolist()) <= {0.0, float(self.size)}:
            raise AuxbenchError(
                "a loss has a gradient in some processes only; let every loss depend on the "
                "prediction, with torch.where where labels are missing."
            )
        values = columns[:, :count]
        found = [
            Whole.apply(part, start, count, column.to(part.dtype))
            for column, part in zip(values, own, strict=True)
        ]
        return [SampleLosses(*pair) for pair in zip(found[::2], found[1::2], strict=True)]

    def copies(self, network: nn.Module, parameters: Named | None) -> Named:
        named = {**dict(network.named_parameters()), **(parameters or {})}
        return {name: Copy.apply(value) for name, value in named.items()}

    @contextmanager
    def apart(self, part: Batch, batch: Batch) -> Iterator[None]:
        gpus = [part.inputs.device] if part.inputs.is_cuda else []
        seed = int(torch.randint(2**62, ()))  # the same everywhere, as is all that follows
        with torch.random.fork_rng(gpus), GlobalStatistics(len(part), len(batch)):
            torch.manual_seed(seed + self.rank)
            yield

    @contextmanager
    def unsummed(self) -> Iterator[None]:
        Copy.summed = False
        try:
            yield
        finally:
            Copy.summed = True

    def sum(self, row: Row) -> Row:
        return _summed(row)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        sums = self.sum(tuple(parameter.grad for parameter in parameters))
        for parameter, gradient in zip(parameters, sums, strict=True):
            parameter.grad = gradient

    def share(self, items: list[Value]) -> list[Value]:
        return items[self.rank :: self.size]

    def add(self, number: Number) -> Number:
        exact = torch.float64 if isinstance(number, float) else torch.int64
        total = torch.tensor(number, dtype=exact)
        distributed.all_reduce(total)
        return type(number)(total.item())

    def first(self, make: Callable[[], Value]) -> Value:
        box: list[Any] = [make() if self.rank == 0 else None]
        distributed.broadcast_object_list(box)
        value: Value = box[0]
        return value


class Replicas(Group):
    """The processes of a loop of one's own, each with its own batch; gradients are averaged."""

    def __init__(self) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def sum(self, row: Row) -> Row:
        """The averages of tensors over all processes."""
        return _summed(row, self.size)

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Average the `.grad` of parameters over all processes."""
        means = self.sum(tuple(parameter.grad for parameter in parameters))
        for parameter, gradient in zip(parameters, means, strict=True):
            parameter.grad = gradient

    def largest(self, values: Tensor) -> Tensor:
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return values


def _summed(row: Row, size: int = 1) -> Row:
    """The sums of tensors over all processes, divided by `size`; None stays None."""
    found = [part for part in row if part is not None]
    if not found:
        return row
    together = torch.cat([part.reshape(-1) for part in found])
    distributed.all_reduce(together)
    sums = iter(
        torch.split(together if size == 1 else together / size, [part.numel() for part in found])
    )
    return tuple(None if part is None else next(sums).view_as(part).to(part) for part in row)


ALONE = Group()


def group() -> Group:
    """The group of this process."""
    return Processes() if _several() else ALONE


def replicas() -> Group:
    """The group of this process in a loop of one's own."""
    return Replicas() if _several() else ALONE


def _several() -> bool:
    joined = distributed.is_available() and distributed.is_initialized()
    return joined and distributed.get_world_size() > 1
