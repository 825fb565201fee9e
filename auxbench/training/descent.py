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
from auxbench.gradients import Gradients, Row, Slopes
from auxbench.phase import Objective, Phase, Scalars
from auxbench.problem import Batch, SampleLosses
from auxbench.streams import Draws

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


class Descent(Phase):
    """One step of the weights along the chain's combination of the tasks' gradients.

    `split` is what it reads, `parameters` are those that it owns, and `learning_rate` is the one
    of the present moment.
    """

    def __init__(
        self,
        objective: Objective,
        balancers: Sequence[Balancer],
        parameters: Sequence[Parameter],
        recipe: Recipe,
        split: str = "train",
    ) -> None:
        self.name = "descent"
        self.split = split
        self.splits = (split,)
        self.objective = objective
        self.balancers = balancers
        self.parameters = parameters
        self.recipe = recipe
        self.optimizer = OPTIMIZERS[recipe.optimizer](parameters, recipe)
        known = {id(p): name for name, p in objective.architecture.named_parameters()}
        self.names = [known[id(parameter)] for parameter in parameters]
        balanced, paced = objective.architecture.balanced(), objective.architecture.paced()
        self.balanced = None if balanced is None else frozenset(map(id, balanced))
        self.paced = None if paced is None else [frozenset(map(id, own)) for own in paced]
        reads = frozenset[str]().union(*(balancer.reads for balancer in balancers))
        weighed = any(balancer.reweighs for balancer in balancers)
        # Where rows are needed anyway, or samples have weights, agreement comes from the rows.
        self.by_product = "agreement" in reads and not (weighed or reads & {"gramian", "rows"})

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.parameters

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        batch = batches[self.split]
        slopes = self._slopes(batch) if self.by_product else None
        losses: Sequence[SampleLosses] = self.objective.samples(batch, statistics=True)
        for balancer in self.balancers:
            losses = balancer.reweigh(losses)
        means = [loss.mean() for loss in losses]
        gradients = Gradients(
            means,
            self.parameters,
            self.learning_rate,
            slopes,
            self.recipe.chunks,
            self.balanced,
            self.paced,
        )
        signals = first = gradients.signals
        self._refuse_non_finite(first.losses)

        # `overall` is what is logged: an edit takes up the weights before it
        shared = private = overall = torch.ones_like(first.losses)
        for balancer in self.balancers:
            weights = balancer.weights(signals)
            signals = signals.scaled(weights)
            shared, overall = shared * weights, overall * weights
            private = private * weights if balancer.scales_private else private
            if balancer.edits:
                signals = gradients.edit(shared, signals, balancer.edit)
                shared = torch.ones_like(shared)

        self.optimizer.zero_grad()
        gradients.write(shared, private)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.step()

        self.objective.weights = private
        self.objective.meter.backward(gradients.passes.full, gradients.passes.partial)
        return self._scalars(first.losses, overall)

    @property
    def learning_rate(self) -> float:
        """The recipe's rate at this point of its schedule."""
        return self.recipe.rate(self.objective.progress)

    def _slopes(self, batch: Batch) -> Slopes:
        """What gives the inner products [T] of a vector with every task's gradient on a batch.

        The network that is differentiated is the one of the next pass: it drops the same units.
        """
        draws = Draws(self.objective.meter.device)

        def slopes(vector: Row) -> Tensor:
            named = zip(self.names, vector, strict=True)
            direction = {name: part for name, part in named if part is not None}
            with draws.again():
                losses = self.objective.slopes(batch, direction)
            return torch.stack([loss.mean() for loss in losses]).double().cpu()

        return slopes

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
