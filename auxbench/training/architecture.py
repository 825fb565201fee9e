"""Architectures: how the tasks share a network in training, and which part of it is deployed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import Parameter

from auxbench.data.dataset import Batch, Task
from auxbench.errors import UsageError
from auxbench.networks.builder import Builder
from auxbench.spec.budget import BUDGETS, Recipe
from auxbench.training.context import Context
from auxbench.training.phase import Phase


class Architecture(nn.Module, ABC):
    """The network for all tasks, as it is trained.

    A subclass lives in one file in `methods/` and is registered under the file's name; its options
    are the keyword-only parameters of the constructor. `split` is the data that the descent reads:
    'train', 'train/first' when another phase of the architecture reads the other half, or
    'train/kept' to leave out the held-out samples. `fixed` holds recipe values that a published
    configuration prescribes.
    """

    role: ClassVar[str] = "architecture"
    family: ClassVar[str] = "architecture"
    fixed: ClassVar[Mapping[str, Any]] = {}
    split: str = "train"
    trained: tuple[Task, ...]

    def __init__(self, builder: Builder) -> None:
        super().__init__()
        self.trained = builder.tasks

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that are trained, primary first; by default all tasks of the problem."""
        return self.trained

    @property
    def primary(self) -> Task:
        """The task whose score counts."""
        return self.tasks[0]

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The prediction for every trained task, by task name."""

    @abstractmethod
    def deploy(self) -> nn.Module:
        """The network for the primary alone; it shares its parameters with this one."""

    def relabel(self, batch: Batch) -> Batch:
        """A newly drawn training batch, with generated labels added."""
        return batch

    def balanced(self) -> Iterable[Parameter] | None:
        """The parameters on which gradients are balanced, where at least two losses reach them.

        None means all of these. Other parameters are treated as private, as heads are.
        """
        return None

    def paced(self) -> Sequence[Iterable[Parameter]] | None:
        """The parameters, per task, whose last weight has the gradient norm that measures its pace.

        None means the last weight that all tasks share.
        """
        return None

    def phases(self, context: Context) -> list[Phase]:
        """Phases that run before the descent, such as an architecture search."""
        return []

    @property
    def warm_up(self) -> int:
        """Training steps before those of the budget; their cost is recorded separately."""
        return 0

    def enter(self, stage: str) -> None:
        """Prepare for the stage 'warm-up' or 'train'."""

    def structure(self) -> int:
        """A number that changes whenever a step's graph does, such as when a link is removed."""
        return 0

    def dropped_strength(self) -> float:
        """The strength of the strongest connection into the primary that `deploy` drops.

        It is in [0, 1]; 0 means that the deployed network predicts exactly as in training.
        """
        return 0.0

    def traces(self) -> Mapping[str, Any]:
        """State of the architecture to store in the record, JSON-able; empty by default."""
        return {}

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe that the descent follows: the entry's, with the `fixed` values applied.

        Errors: `UsageError` for an entry that sets one of these to another value.
        """
        tier = BUDGETS.get(recipe.budget.rstrip("*"), recipe)
        for key, value in self.fixed.items():
            asked = getattr(recipe, key)
            if asked not in (value, getattr(tier, key)):
                name = type(self).__module__.rpartition(".")[2].replace("_", "-")
                raise UsageError(
                    f"{key} is {asked}, and method '{name}' fixes it at "
                    f"{value}; leave it out, or take another method."
                )
        return replace(recipe, **self.fixed)
