"""Gradient methods: rules that combine the tasks' gradients on the shared parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from auxbench.balancer import Balancer
from auxbench.errors import UsageError
from auxbench.gradients import Signals

from ._solvers import Array, cancels

Norm = Literal["native", "sum"]


class GradientBalancer(Balancer):
    """A rule that sees the Gramian alone; private parameters keep their own gradient.

    Where gradients are nearly orthogonal, many rules give one direction at lengths that differ by
    a factor of hundreds, so that comparing them at one learning rate compares learning rates. With
    norm=sum the combined gradient is as long as the plain sum of the tasks' gradients: zero where
    that is zero, and left alone where the rule's own direction is zero.

    `limit` is the greatest length that a rule lets its combined gradient have of its own accord.
    One task has weight 1. If all gradients are zero or one is not finite, all weights are 1.
    """

    reads = frozenset({"gramian"})
    # A Gramian that is s times as large gives weights that are s^degree times as large.
    degree: float = 0.0

    def __init__(
        self, tasks: Sequence[str], rng: torch.Generator, *, norm: Norm = "native"
    ) -> None:
        super().__init__(tasks, rng)
        self.norm = norm
        self.limit: float | None = None

    @abstractmethod
    def direction(self, gramian: Array) -> Array:
        """The weights [T] for a Gramian [T, T] whose largest diagonal entry is 1."""

    def weights(self, signals: Signals) -> Tensor:
        gramian = signals.gramian
        scale = float(gramian.diagonal().max())
        if len(gramian) == 1 or scale == 0 or not gramian.isfinite().all():
            return torch.ones(len(gramian), dtype=torch.float64)
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


def as_long_as_sum(gramian: Array, weights: Array) -> Array:
    """The same direction at the length of the plain sum of the gradients.

    >>> as_long_as_sum(np.eye(2), np.array([3.0, 0.0])).round(6).tolist()
    [1.414214, 0.0]
    """
    if cancels(gramian, weights):
        return weights
    ratio = max(float(gramian.sum()), 0.0) / float(weights @ gramian @ weights)
    return np.asarray(weights * ratio**0.5)


def positive(value: float | None, option: str, method: str) -> float | None:
    """The value of an option that is positive or none; errors: `UsageError`.

    >>> positive(1.0, "max_norm", "nashmtl")
    1.0
    """
    if value is not None and value <= 0:
        raise UsageError(f"option '{option}' of '{method}' is {value}; give a positive number.")
    return value
