"""Forks: several states of one network that are trained side by side on the same batches.

They share the architecture and take turns in it; every one has parameters, running statistics and
an optimiser of its own, and pays for its own passes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from auxbench.balancer import Balancer
from auxbench.descent import OPTIMIZERS, Descent
from auxbench.gradients import Signals
from auxbench.phase import Phase, Scalars
from auxbench.problem import Batch

Values = dict[str, Tensor]


class Forked(Balancer):
    """A rule that trains one fork for each of several weightings of the tasks."""

    asymmetric = True
    scales_private = True
    forks = True

    def __init__(self, tasks: Sequence[str], rng: torch.Generator) -> None:
        super().__init__(tasks, rng)
        # Of the fork that takes its turn.
        self.current = torch.ones(len(tasks), dtype=torch.float64)

    def weights(self, signals: Signals) -> Tensor:
        return self.current

    @abstractmethod
    def around(self, descent: Descent) -> Forks:
        """The forks in the place of the descent."""


@dataclass
class Fork:
    """One state of the network, trained with the weights [T] of its own."""

    weights: Tensor
    values: Values
    optimizer: Optimizer


class Forks(Phase):
    """A descent of every fork on the same batch, one after the other.

    `weightings` are the weights [T] of the forks, which start from the network as it is.
    """

    def __init__(
        self, descent: Descent, balancer: Forked, weightings: Sequence[Sequence[float]]
    ) -> None:
        self.name = descent.name
        self.splits: tuple[str, ...] = descent.splits
        self.descent = descent
        self.balancer = balancer
        self.forks = self.branch(weightings, self.values(), descent.optimizer)

    @property
    def claimed(self) -> Sequence[Parameter]:
        return self.descent.claimed

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        scalars: Scalars = {}
        for fork in self.forks:
            self.load(fork.values)
            self.balancer.current = fork.weights
            self.descent.optimizer = fork.optimizer
            scalars |= self.descent.step(batches)
            fork.values = self.values()
        return scalars

    @abstractmethod
    def proposals(self) -> list[list[float]]:
        """The shares of the forks in every mixture that may be selected."""

    def candidates(self) -> Iterator[Scalars]:
        names = [task.name for task in self.descent.objective.architecture.tasks]
        for shares in self.proposals():
            self.load(self.mixture(shares))
            weights = torch.stack([fork.weights for fork in self.forks])
            mean = (torch.tensor(shares, dtype=torch.float64) @ weights).tolist()
            yield {f"mixture/{name}": value for name, value in zip(names, mean, strict=True)}

    def branch(
        self, weightings: Sequence[Sequence[float]], values: Values, optimizer: Optimizer
    ) -> list[Fork]:
        """Fresh forks that go on from one state of the network and its optimiser."""
        return [self.fork(torch.tensor(w).double(), values, optimizer) for w in weightings]

    def fork(self, weights: Tensor, values: Values, optimizer: Optimizer) -> Fork:
        """A fork that goes on from there."""
        descent = self.descent
        own = OPTIMIZERS[descent.recipe.optimizer](descent.parameters, descent.recipe)
        own.load_state_dict(deepcopy(optimizer.state_dict()))  # it keeps what it is given
        return Fork(weights, {name: value.clone() for name, value in values.items()}, own)

    def values(self) -> Values:
        """A copy of what the forks do not share: the descent's parameters, and the buffers."""
        return {name: value.detach().clone() for name, value in self._places().items()}

    def load(self, values: Values) -> None:
        """Put the network into a state."""
        with torch.no_grad():
            for name, place in self._places().items():
                place.copy_(values[name])

    def mixture(self, shares: Sequence[float]) -> Values:
        """The forks' states, averaged by shares that sum to 1."""
        return _mixed([fork.values for fork in self.forks], shares)

    def _places(self) -> Values:
        descent = self.descent
        parameters = dict[str, Tensor](zip(descent.names, descent.parameters, strict=True))
        return parameters | dict(descent.objective.architecture.named_buffers())

    def state_dict(self) -> dict[str, Any]:
        return {
            "forks": [
                {
                    "weights": fork.weights,
                    "values": fork.values,
                    "optimizer": fork.optimizer.state_dict(),
                }
                for fork in self.forks
            ]
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.forks = []
        for saved in state["forks"]:
            fork = self.fork(saved["weights"], saved["values"], self.descent.optimizer)
            fork.optimizer.load_state_dict(saved["optimizer"])
            self.forks.append(fork)


def mixed_optimizer(forks: Sequence[Fork], shares: Sequence[float]) -> dict[str, Any]:
    """The state of an optimiser whose moments are the forks', averaged by shares."""
    states = [fork.optimizer.state_dict() for fork in forks]
    moments = {
        key: _mixed([state["state"][key] for state in states], shares) for key in states[0]["state"]
    }
    return {**states[0], "state": moments}


def _mixed(states: Sequence[Mapping[str, Any]], shares: Sequence[float]) -> dict[str, Any]:
    """Averages of floating-point tensors; anything else, such as a count, is the first's."""
    result = dict[str, Any]()
    for name, first in states[0].items():
        if isinstance(first, Tensor) and first.is_floating_point():
            result[name] = sum(
                (share * state[name] for share, state in zip(shares, states, strict=True)),
                start=torch.zeros_like(first),
            )
        else:
            result[name] = first
    return result
