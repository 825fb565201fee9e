"""The descent: the phase that every method has, one optimiser step on the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench.balancer import Balancer
from auxbench.budget import Recipe
from auxbench.errors import Diverged
from auxbench.gradients import Gradients
from auxbench.phase import Objective, Phase, Scalars
from auxbench.problem import Batch

Optimizers = Callable[[Sequence[Parameter], Recipe], torch.optim.Optimizer]

OPTIMIZERS: dict[str, Optimizers] = {
    "adam": lambda parameters, recipe: torch.optim.Adam(parameters, recipe.learning_rate),
    "adamw": lambda parameters, recipe: torch.optim.AdamW(
        parameters, recipe.learning_rate, weight_decay=recipe.weight_decay
    ),
    "sgd": lambda parameters, recipe: torch.optim.SGD(
        parameters, recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
    ),
}

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: 0.5 + 0.5 * math.cos(math.pi * progress),
    "poly": lambda progress: (1 - progress) ** 0.9,
}


class Descent(Phase):
    """One step of the weights along the chain's combination of the tasks' gradients."""

    def __init__(
        self,
        objective: Objective,
        balancers: Sequence[Balancer],
        parameters: Sequence[Parameter],
        recipe: Recipe,
        split: str = "train",
    ) -> None:
        self.name = "descent"
        self.splits = (split,)
        self.objective = objective
        self.balancers = balancers
        self.parameters = parameters
        self.recipe = recipe
        self.optimizer = OPTIMIZERS[recipe.optimizer](parameters, recipe)

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.parameters

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        rate = self._set_learning_rate()
        losses = self.objective(batches[self.splits[0]], statistics=True)
        gradients = Gradients(losses, self.parameters, rate)
        signals = first = gradients.signals
        self._refuse_non_finite(first.losses)

        shared = private = torch.ones_like(first.losses)
        for balancer in self.balancers:
            weights = balancer.weights(signals)
            signals = signals.scaled(weights)
            shared = shared * weights
            private = private * weights if balancer.scales_private else private
            if balancer.edits:
                signals = gradients.edit(shared, signals, balancer.edit)
                shared = torch.ones_like(shared)

        self.optimizer.zero_grad()
        gradients.write(shared, private)
        self.optimizer.step()

        self.objective.weights = private
        self.objective.meter.backward(gradients.passes.full, gradients.passes.partial)
        return self._scalars(first.losses, shared)

    def _set_learning_rate(self) -> float:
        progress, warm_up = self.objective.progress, self.recipe.warm_up
        factor = SCHEDULES[self.recipe.schedule](progress)
        if progress < warm_up:
            factor *= (progress + 0.01) / (warm_up + 0.01)
        rate = self.recipe.learning_rate * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _refuse_non_finite(self, losses: Tensor) -> None:
        for task, loss in zip(self.objective.architecture.tasks, losses.tolist(), strict=True):
            if not math.isfinite(loss):
                raise Diverged(
                    f"the loss of task '{task.name}' became {loss} "
                    f"at {self.objective.progress:.0%} of the stage."
                )

    def _scalars(self, losses: Tensor, weights: Tensor) -> Scalars:
        names = [task.name for task in self.objective.architecture.tasks]
        return {
            **{f"loss/{name}": v for name, v in zip(names, losses.tolist(), strict=True)},
            **{f"weight/{name}": v for name, v in zip(names, weights.tolist(), strict=True)},
        }

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(dict(state["optimizer"]))
