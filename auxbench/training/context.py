"""The training context: what the phases of a method share."""

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

    Architectures and balancers build their own phases from it. `network` is the network for all
    `tasks` (primary first), and `deploy()` returns that for the primary alone. `parameters` are
    those that the descent owns, by name, and `split` is the data that it reads. `progress` in
    [0, 1] is the finished fraction of the stage. `weights` [T] are the factors by which the latest
    descent step multiplied the losses: a phase that minimises its own total loss applies them too,
    so that loss weighting also affects that phase.
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
        """The task whose score counts."""
        return self.tasks[0]

    @property
    def learning_rate(self) -> float:
        """The weights' learning rate at this point of its schedule."""
        return self.recipe.rate(self.progress)

    def state_dict(self) -> dict[str, Any]:
        """The loss weights; the progress is recomputed from the step."""
        return {"weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.weights = state["weights"]
