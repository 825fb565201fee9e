"""The context of a training: what the phases of a method share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench.data.dataset import Task
from auxbench.spec.budget import Recipe
from auxbench.training.objective import Objective


@dataclass
class Context:
    """The one object that phases read and that the descent keeps up to date.

    For architectures and balancers, whose own phases are built from it. `network` is the network
    of all `tasks` (primary first), and `deploy()` gives that of the primary alone. `parameters` are
    those that the descent owns, by name, and `split` is what it reads. `progress` in [0, 1] is how
    much of the stage is done. `weights` [T] are the factors by which the latest descent multiplied
    the losses: a phase that minimises a total of its own uses them, so that loss weighting reaches
    it too.
    """

    network: nn.Module
    tasks: tuple[Task, ...]
    deploy: Callable[[], nn.Module]
    objective: Objective
    recipe: Recipe
    split: str = "train"
    balancers: Sequence[nn.Module] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    progress: float = 0.0
    weights: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.weights = torch.ones(len(self.tasks), dtype=torch.float64)

    @property
    def primary(self) -> Task:
        """The task that counts."""
        return self.tasks[0]

    @property
    def learning_rate(self) -> float:
        """The weights' learning rate at this point of its schedule."""
        return self.recipe.rate(self.progress)

    def state_dict(self) -> dict[str, Any]:
        """The weights; the progress follows from the step."""
        return {"weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.weights = state["weights"]
