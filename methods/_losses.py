"""Base classes for rules that weight tasks by their loss values alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench import Balancer, Signals

FLOOR, CEILING = 1e-8, 1e30


def bounded(losses: Tensor) -> Tensor:
    """The losses, clamped so that their logarithms, inverses and ratios are finite.

    >>> bounded(torch.tensor([0.0, 2.0, torch.inf], dtype=torch.float64)).tolist()
    [1e-08, 2.0, 1e+30]
    """
    return losses.clamp(FLOOR, CEILING)


class LossBalancer(Balancer):
    """A rule that needs no gradients, for two or more tasks; a single task keeps weight 1."""

    family = "loss weighting"

    def weights(self, signals: Signals) -> Tensor:
        if len(self.tasks) == 1:
            return torch.ones(len(self.tasks), dtype=torch.float64)
        return self.rule(signals)

    @abstractmethod
    def rule(self, signals: Signals) -> Tensor:
        """The weights [T] of two or more tasks."""


class LearnedLosses(LossBalancer):
    """A rule with one learned number per task, which starts at 0 and is updated by its own Adam."""

    def __init__(
        self, tasks: Sequence[str], rng: torch.Generator, *, rate: float, decay: float = 0.0
    ) -> None:
        super().__init__(tasks, rng)
        self.current = Parameter(torch.zeros(len(tasks), dtype=torch.float64))
        self.optimizer = torch.optim.Adam([self.current], rate, weight_decay=decay)

    def learn(self, gradient: Tensor) -> None:
        """Update the learned numbers by one step against `gradient` [T]."""
        self.current.grad = gradient
        self.optimizer.step()

    def extra(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_extra(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
