"""Signals: everything a balancer may know about a batch, computed only on demand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from auxbench.errors import UsageError

Row = tuple[Tensor | None, ...]


class Signals:
    """Everything a balancer may know about a batch, after the balancers before it in the chain.

    Each member is computed when it is read, at the cost that its docstring states. `earlier` [T]
    are factors of the losses from before the gradients were last edited, and `scale` [T] those
    since then. `learning_rate` is the network's current one, or None if it is not known. `read`
    collects the names of the members that have been read.
    """

    def __init__(
        self,
        source: Source,
        earlier: Tensor,
        *,
        learning_rate: float | None = 0.0,
        scale: Tensor | None = None,
        read: set[str] | None = None,
    ) -> None:
        self._source = source
        self._earlier = earlier
        self._scale = torch.ones_like(earlier) if scale is None else scale
        self._learning_rate = learning_rate
        self.read = set[str]() if read is None else read

    @classmethod
    def of(cls, losses: Sequence[float], rows: Tensor, learning_rate: float = 0.0) -> Signals:
        """Signals from given gradients, rows [T, N]; each row also stands for the last layer.

        >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
        >>> signals.gramian.tolist()
        [[4.0, -2.0], [-2.0, 2.0]]
        """
        given = Given(torch.tensor(losses, dtype=torch.float64), rows.detach())
        return cls(given, torch.ones_like(given.values), learning_rate=learning_rate)

    @property
    def learning_rate(self) -> float:
        """The network's current learning rate; errors: `UsageError` if it is not known."""
        if self._learning_rate is None:
            raise UsageError(
                "a rule reads the network's learning rate, which is not known; give it as "
                "backward(..., learning_rate=...)."
            )
        return self._learning_rate

    @property
    def losses(self) -> Tensor:
        """The T task losses, primary first: float64, on the CPU, detached; free.

        On a GPU, reading them waits for the forward pass.
        """
        self.read.add("losses")
        return self._source.values * self._earlier * self._scale

    @property
    def scale(self) -> Tensor:
        """The factors by which the balancers before this one have multiplied the losses [T]."""
        self.read.add("losses")
        return self._earlier * self._scale

    @property
    def gramian(self) -> Tensor:
        """Inner products of the tasks' gradients on the shared parameters [T, T]; T backwards."""
        self.read.add("gramian")
        return self._source.gramian * self._scale[:, None] * self._scale

    @property
    def inner(self) -> Tensor:
        """Inner products of the primary's gradient with every task's [T]: the Gramian's row 0.

        T backwards; with four tasks or more, one backward and one forward-mode pass.
        """
        self.read.add("inner")
        return self._source.inner * self._scale[0] * self._scale

    @property
    def norms(self) -> Tensor:
        """Norms of the tasks' gradients on one layer, a measure of pace [T]; T partial backwards.

        It is the last layer that the tasks share, unless the architecture names one per task.
        """
        self.read.add("norms")
        return self._source.norms * self._scale.abs()

    @property
    def rows(self) -> list[Row]:
        """The tasks' gradients on the shared parameters, a row of tensors per task; T backwards.

        None marks a parameter that the task does not reach.
        """
        self.read.add("rows")
        pairs = zip(self._source.shared_rows, self._scale.tolist(), strict=True)
        return [tuple(None if g is None else g * factor for g in row) for row, factor in pairs]

    @property
    def sum_length(self) -> float:
        """The length of the sum of the tasks' gradients on the shared parameters; T backwards.

        It is computed from the batch's original gradients, before any balancer changes them.
        """
        self.read.add("sum_length")
        return self._source.sum_length

    def scaled(self, weights: Tensor) -> Signals:
        """The signals for the next balancer, with task i's loss multiplied by `weights[i]`."""
        return Signals(
            self._source,
            self._earlier,
            learning_rate=self._learning_rate,
            scale=self._scale * weights,
            read=self.read,
        )


class Source(Protocol):
    """A source of signals: the gradients of a batch, before any balancer."""

    @property
    def values(self) -> Tensor: ...
    @property
    def gramian(self) -> Tensor: ...
    @property
    def inner(self) -> Tensor: ...
    @property
    def norms(self) -> Tensor: ...
    @property
    def shared_rows(self) -> Sequence[Row]: ...
    @property
    def sum_length(self) -> float: ...


class Given:
    """A source of signals: losses [T], and rows [T, N] in which all parameters are shared."""

    def __init__(self, losses: Tensor, rows: Tensor) -> None:
        self.values = losses
        exact = rows.double()
        self.gramian = exact @ exact.T
        self.inner = self.gramian[0]
        self.norms = self.gramian.diagonal().sqrt()
        self.shared_rows: list[Row] = [(row,) for row in rows]
        self.sum_length = math.sqrt(max(self.gramian.sum().item(), 0.0))
