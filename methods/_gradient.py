"""Rules that combine the tasks' gradients using only their Gramian."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from auxbench import GradientBalancer, Signals

from ._solvers import Array


class GramianBalancer(GradientBalancer):
    """A rule that reads only the Gramian; private parameters keep their own gradients.

    A task without a gradient on a batch, for example because labels are missing, is left out: it
    gets weight 0, and the others get the weights that they would have without it. A single
    remaining task has weight 1. If no task has a gradient, or any gradient is not finite, all
    weights are 1. `limit` is the length to which the rule itself clips its combined gradient.
    """

    # Scaling the Gramian by s scales the weights by s^degree.
    degree: float = 0.0

    def __init__(self, tasks: Sequence[str], rng: torch.Generator) -> None:
        super().__init__(tasks, rng)
        self.limit: float | None = None

    @abstractmethod
    def direction(self, gramian: Array) -> Array:
        """The weights [T] for a Gramian [T, T] whose diagonal is positive and at most 1."""

    def weights(self, signals: Signals) -> Tensor:
        gramian = signals.gramian
        present = with_gradient(gramian)
        if not present.any() or not gramian.isfinite().all():
            return torch.ones(len(gramian), dtype=torch.float64)
        weights = present.double()
        if present.sum() > 1:
            weights[present] = self._together(gramian[present][:, present])
        return weights

    def _together(self, gramian: Tensor) -> Tensor:
        """The weights for tasks that all have a gradient."""
        scale = float(gramian.diagonal().max())
        unit = (gramian / scale).numpy()
        weights = self.direction(unit)
        factor = scale**self.degree
        if self.limit is not None:
            squared = max(float(weights @ unit @ weights), 0.0)
            length = squared**0.5 * scale ** (self.degree + 0.5)
            factor *= self.limit / max(length, self.limit)
        return torch.from_numpy(weights * factor)


def with_gradient(gramian: Tensor) -> Tensor:
    """Mark the tasks whose gradient is not zero: [T], boolean.

    >>> with_gradient(torch.tensor([[4.0, 0.0], [0.0, 0.0]])).tolist()
    [True, False]
    """
    squares = gramian.diagonal()
    return squares / squares.max() > 0  # underflow relative to the largest is zero too
