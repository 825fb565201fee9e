"""Architectures: how the tasks share a network in training, and what is left of it to deploy."""

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
    """The network of all tasks in training.

    A subclass in `methods/` is one file and is registered under its file's name; its options are
    keyword-only parameters of the constructor. `split` is what the descent reads: 'train',
    'train/first' when a phase of the architecture's own reads the other half, or 'train/kept' to go
    without the held-out samples. `fixed` holds values of the recipe that a published configuration
    prescribes.
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
        """The tasks that are trained, primary first; all of the problem's unless it says so."""
        return self.trained

    @property
    def primary(self) -> Task:
        """The task that counts."""
        return self.tasks[0]

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The prediction of every trained task, by its name."""

    @abstractmethod
    def deploy(self) -> nn.Module:
        """The network for the primary alone, on the very same parameters."""

    def relabel(self, batch: Batch) -> Batch:
        """A training batch as it is drawn, with made-up labels added."""
        return batch

    def balanced(self) -> Iterable[Parameter] | None:
        """The parameters on which gradients are balanced, of those that at least two losses reach.

        None stands for all of these. What is left out keeps its gradient, as a head does.
        """
        return None

    def paced(self) -> Sequence[Iterable[Parameter]] | None:
        """For every task the parameters whose last weight tells, by its gradient, the task's pace.

        None stands for the last weight that the tasks share, one and the same for all.
        """
        return None

    def phases(self, context: Context) -> list[Phase]:
        """Phases before the descent, such as a search."""
        return []

    @property
    def warm_up(self) -> int:
        """Steps of training before the first one of the budget; their cost is recorded apart."""
        return 0

    def enter(self, stage: str) -> None:
        """Get ready for the stage 'warm-up' or 'train'."""

    def structure(self) -> int:
        """A number that changes when the graph of a step does, such as when a link leaves it."""
        return 0

    def dropped_strength(self) -> float:
        """The strength of the strongest connection into the primary that `deploy` drops.

        From 0, which says that the deployed network predicts as it did in training, to 1.
        """
        return 0.0

    def traces(self) -> Mapping[str, Any]:
        """The structure's own state for the record, as JSON; nothing by default."""
        return {}

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe that the descent follows: the entry's, with the values that are `fixed`.

        Errors: `UsageError` for an entry that sets one of these otherwise.
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
