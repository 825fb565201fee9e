"""Forks: several states of one method, trained side by side on the same batches.

The forks share one set of objects and take turns using it. A fork owns everything that its training
changes: the network with its running statistics, what a search or another balancer has learned,
optimiser states and random number generators. Training a fork is therefore bit-identical to
training the rest of the method with the fork's weights, and all its passes are counted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import lcm
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench import Balancer, Batch, Context, Phase, Signals
from auxbench.data.seeds import RNGState
from auxbench.training.phase import LazyBatches, Scalars

Values = dict[str, Tensor]


class Forked(Balancer):
    """A rule that trains one fork per weighting of the tasks."""

    def __init__(self, tasks: Sequence[str], rng: torch.Generator) -> None:
        super().__init__(tasks, rng)
        # The weights of the fork whose turn it is.
        self.current = torch.ones(len(tasks), dtype=torch.float64)

    def weights(self, signals: Signals) -> Tensor:
        return self.current

    @abstractmethod
    def around(self, context: Context, phases: Sequence[Phase]) -> Forks:
        """Replace all phases with the forks."""


@dataclass
class Fork:
    """One state of the training with its own task weights [T].

    `values` is the state of the network, and `rest` that of phases and balancers.
    """

    weights: Tensor
    values: Values
    rest: dict[str, Any]


class Forks(Phase):
    """Run all phases of every fork on the same batches, one fork after another.

    `weightings` are the task weights [T] of the forks. All forks start from the state of the
    network at the first iteration.
    """

    def __init__(
        self,
        context: Context,
        phases: Sequence[Phase],
        balancer: Forked,
        weightings: Sequence[Sequence[float]],
    ) -> None:
        self.name = "descent"
        self.splits: tuple[str, ...] = tuple(
            dict.fromkeys(split for phase in phases for split in phase.splits)
        )
        self.period = lcm(*(phase.period for phase in phases))
        self.context = context
        self.phases = phases
        self.balancer = balancer
        self.weightings = weightings
        self.forks: list[Fork] = []

    @property
    def claimed(self) -> Sequence[Parameter]:
        return [parameter for phase in self.phases for parameter in phase.claimed]

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        if not self.forks:
            self.branch(self.weightings, self.values(), self.rest())
        scalars: Scalars = {}
        state = RNGState(self.context.objective.meter.device)
        for fork in self.forks:
            self.load(fork.values)
            self.load_rest(fork.rest)
            self.balancer.current = fork.weights
            own = batches.again() if isinstance(batches, LazyBatches) else batches
            with state.replay():  # as if this fork were the only one
                for phase in self.phases:
                    scalars |= phase.step(own)
            fork.values, fork.rest = self.values(), self.rest()
        return scalars

    @abstractmethod
    def proposals(self) -> list[list[float]]:
        """The shares of the forks, for every mixture that may be selected."""

    def candidates(self) -> Iterator[Scalars]:
        names = [task.name for task in self.context.tasks]
        for shares in self.proposals():
            self.load(self.mixture(shares))
            weights = torch.stack([fork.weights for fork in self.forks])
            mean = (torch.tensor(shares, dtype=torch.float64) @ weights).tolist()
            yield {f"mixture/{name}": value for name, value in zip(names, mean, strict=True)}

    def branch(
        self, weightings: Sequence[Sequence[float]], values: Values, rest: dict[str, Any]
    ) -> None:
        """Start new forks from one state."""
        self.forks = [
            Fork(torch.tensor(weights).double(), deepcopy(values), deepcopy(rest))
            for weights in weightings
        ]

    def values(self) -> Values:
        """A copy of the network's parameters and buffers."""
        return {name: value.detach().clone() for name, value in self._places().items()}

    def load(self, values: Values) -> None:
        """Load a state into the network."""
        with torch.no_grad():
            for name, place in self._places().items():
                place.copy_(values[name])

    def rest(self) -> dict[str, Any]:
        """Return the state of phases and balancers.

        The optimisers of phases adopt the tensors that they load, so these are handed over and
        not copied. Balancers copy what they load, so a copy of their state is returned.
        """
        return {
            "phases": [phase.state_dict() for phase in self.phases],
            "balancers": [deepcopy(own.state_dict()) for own in self.context.balancers],
            "context": self.context.state_dict(),
        }

    def load_rest(self, rest: Mapping[str, Any]) -> None:
        """Load a state into phases and balancers."""
        for phase, saved in zip(self.phases, rest["phases"], strict=True):
            phase.load_state_dict(saved)
        for own, saved in zip(self.context.balancers, rest["balancers"], strict=True):
            own.load_state_dict(saved)
        self.context.load_state_dict(rest["context"])

    def mixture(self, shares: Sequence[float]) -> Values:
        """Average the forks' networks with shares that sum to 1."""
        values: Values = mixed([fork.values for fork in self.forks], shares)
        return values

    def _places(self) -> Values:
        network = self.context.network
        return {**dict(network.named_parameters()), **dict(network.named_buffers())}

    def state_dict(self) -> dict[str, Any]:
        return {
            "forks": [
                {"weights": fork.weights, "values": fork.values, "rest": fork.rest}
                for fork in self.forks
            ]
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.forks = [
            Fork(saved["weights"], saved["values"], saved["rest"]) for saved in state["forks"]
        ]


def mixed(states: Sequence[Any], shares: Sequence[float]) -> Any:
    """Average the floating-point tensors of trees with the same structure.

    Anything else, such as a counter or an RNG state, is taken from the tree with the largest share.

    >>> mixed([{"a": torch.ones(1), "n": 1}, {"a": torch.zeros(1), "n": 2}], [0.25, 0.75])
    {'a': tensor([0.2500]), 'n': 2}
    """
    pairs = [(state, share) for state, share in zip(states, shares, strict=True) if share]
    return _mixed(sorted(pairs, key=lambda pair: -pair[1]))


def _mixed(pairs: Sequence[tuple[Any, float]]) -> Any:
    first = pairs[0][0]
    if isinstance(first, Tensor) and first.is_floating_point():
        if all(torch.equal(first, part) for part, _ in pairs[1:]):
            return first  # avoids rounding, for example of a step count
        return sum((share * part for part, share in pairs), start=torch.zeros_like(first))
    if isinstance(first, Mapping):
        return {key: _mixed([(part[key], share) for part, share in pairs]) for key in first}
    if isinstance(first, (list, tuple)):
        columns = zip(*(part for part, _ in pairs), strict=True)
        shares = [share for _, share in pairs]
        return [_mixed(list(zip(column, shares, strict=True))) for column in columns]
    return first
