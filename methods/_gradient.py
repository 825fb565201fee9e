"""Gradient methods: rules that combine the tasks' gradients on the shared parameters."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from auxbench import Balancer, Signals
from auxbench.training.gradients import Row

from ._solvers import NOISE, Array, cancels

Norm = Literal["native", "sum"]


class NormedBalancer(Balancer):
    """A rule whose combined gradient on shared parameters has a length of its own, or the sum's.

    Where gradients are nearly orthogonal, many rules give one direction at lengths that differ by
    a factor of hundreds, so that comparing them at one learning rate compares learning rates. With
    norm=sum the combined gradient is as long as the plain sum of the tasks' gradients: zero where
    that is zero, and left alone where the rule's own direction is zero.

    * `norm`: Length of the combined gradient: the rule's own (native), or that of the plain sum of
      the tasks' gradients (sum).
    """

    def __init__(
        self, tasks: Sequence[str], rng: torch.Generator, *, norm: Norm = "native"
    ) -> None:
        super().__init__(tasks, rng)
        self.norm = norm

    def normed(self, weights: Tensor, gramian: Tensor) -> Tensor:
        """The weights [T] of gradients with this Gramian, at the chosen length."""
        if self.norm == "native" or not gramian.isfinite().all():
            return weights
        return torch.from_numpy(as_long_as_sum(gramian.numpy(), weights.numpy()))

    def normed_rows(self, edited: Sequence[Row], rows: Sequence[Row]) -> Sequence[Row]:
        """The edited rows at the chosen length, `rows` being those that the plain sum is of."""
        if self.norm == "native":
            return edited
        factor = length_ratio(rows, edited)
        return [tuple(None if g is None else g * factor for g in row) for row in edited]


class GradientBalancer(NormedBalancer):
    """A rule that sees the Gramian alone; private parameters keep their own gradient.

    A task without a gradient on a batch, as where it has no labels there, is left out: it gets
    weight 0, and the others get the weights that they would have without it. A task that remains
    alone has weight 1. If no task has a gradient, or one is not finite, all weights are 1.
    `limit` is the greatest length that a rule lets its combined gradient have of its own accord.
    """

    reads = frozenset({"gramian"})
    # A Gramian that is s times as large gives weights that are s^degree times as large.
    degree: float = 0.0

    def __init__(
        self, tasks: Sequence[str], rng: torch.Generator, *, norm: Norm = "native"
    ) -> None:
        super().__init__(tasks, rng, norm=norm)
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
        """The weights of tasks that all have a gradient."""
        scale = float(gramian.diagonal().max())
        unit = (gramian / scale).numpy()
        weights = self.direction(unit)
        if self.norm == "sum":
            weights = as_long_as_sum(unit, weights)
        else:
            factor = scale**self.degree
            if self.limit is not None:
                squared = max(float(weights @ unit @ weights), 0.0)
                length = squared**0.5 * scale ** (self.degree + 0.5)
                factor *= self.limit / max(length, self.limit)
            weights = weights * factor
        return torch.from_numpy(weights)


def with_gradient(gramian: Tensor) -> Tensor:
    """Which tasks have a gradient other than zero: [T], boolean.

    >>> with_gradient(torch.tensor([[4.0, 0.0], [0.0, 0.0]])).tolist()
    [True, False]
    """
    squares = gramian.diagonal()
    return squares / squares.max() > 0  # what is lost beside the largest is zero, too


def as_long_as_sum(gramian: Array, weights: Array) -> Array:
    """The same direction at the length of the plain sum of the gradients.

    >>> as_long_as_sum(np.eye(2), np.array([3.0, 0.0])).round(6).tolist()
    [1.414214, 0.0]
    """
    if cancels(gramian, weights):
        return weights
    ratio = max(float(gramian.sum()), 0.0) / float(weights @ gramian @ weights)
    return np.asarray(weights * ratio**0.5)


def length_ratio(rows: Sequence[Row], others: Sequence[Row]) -> float:
    """How many times longer the sum of some rows is than that of others; 1 where the latter is 0.

    >>> length_ratio([(torch.tensor([3.0, 4.0]),)], [(torch.tensor([0.0, 2.0]),), (None,)])
    2.5
    """
    length, other = _sum_length(rows), _sum_length(others)
    together = sum(_sum_length([row]) for row in others)
    if other <= NOISE * together:
        return 1.0
    return length / other if math.isfinite(length / other) else 1.0


def _sum_length(rows: Sequence[Row]) -> float:
    columns = ([g for g in column if g is not None] for column in zip(*rows, strict=True))
    totals = [torch.stack(column).sum(dim=0).double() for column in columns if column]
    squares = [total.square().sum() for total in totals]
    return math.sqrt(float(torch.stack(squares).sum())) if squares else 0.0
