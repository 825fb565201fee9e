"""Base classes for rules that learn from the primary's loss on held-out data.

The held-out samples are taken from the training data, so validation and test data are never read.
Networks run in training mode, but their running statistics are frozen.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from auxbench import Balancer, Batch, Context, Phase
from auxbench.data.dataset import SampleLosses
from auxbench.spec.marks import Count, CountOrZero, Help, Positive
from auxbench.training.jvp import dot, gradient, plain_attention
from auxbench.training.objective import Objective
from auxbench.training.phase import Scalars

HELD_OUT = "holdout"
TRAVEL = 4.0  # Auto-Lambda's 1e-4 times the 40,000 steps of its NYU v2 experiments
REVISIONS, LONGEST = 200, 25

Direction = dict[str, Tensor]

Rate = Annotated[
    Positive | None,
    Help(
        "Learning rate of the Adam that learns on held-out data; by default 4 divided by the "
        "number of its steps in the run."
    ),
]
Every = Annotated[
    Count | None,
    Help(
        "Training steps from one learning step to the next; by default a 200th of the run, and at "
        "most 25."
    ),
]
Terms = Annotated[
    CountOrZero,
    Help(
        "Terms of Neumann's series for the inverse Hessian after the first; each costs two "
        "backward passes."
    ),
]
Alpha = Annotated[
    Positive,
    Help(
        "Rate of that series, which converges where the Hessian's eigenvalues lie between 0 and "
        "2 / alpha."
    ),
]


class BilevelStep(Phase):
    """A phase before the descent that updates a balancer every `every` iterations.

    It reads the batch that the descent will read next, and a held-out batch.
    """

    def __init__(self, name: str, context: Context, every: int = 1) -> None:
        self.name = name
        self.splits = (context.split, HELD_OUT)
        self.context = context
        self.period = every
        self.waited = 0

    @property
    def claimed(self) -> Sequence[Parameter]:
        return []  # what is learned is not part of the architecture

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        self.waited += 1
        if self.waited < self.period:
            return {}
        self.waited = 0
        return self.revise(batches[self.context.split], batches[HELD_OUT])

    @abstractmethod
    def revise(self, seen: Batch, unseen: Batch) -> Scalars:
        """Learn from a training batch and a held-out one; return what to log."""

    def state_dict(self) -> dict[str, Any]:
        return {"waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.waited = int(state["waited"])

    @property
    def objective(self) -> Objective:
        """The objective of the descent."""
        return self.context.objective

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters that the descent owns, by name."""
        return dict(self.context.parameters)


def primary_gradient(objective: Objective, batch: Batch, at: Mapping[str, Tensor]) -> Direction:
    """The gradient of the primary's loss on a batch, with the parameters set to `at`."""
    point = {name: value.detach().requires_grad_() for name, value in at.items()}
    loss = objective.samples(batch, point)[0].mean()
    objective.meter.backward()
    return gradient(loss, point)


def means(losses: Sequence[SampleLosses]) -> Tensor:
    """The batch losses of all tasks: [T], float64, on the CPU."""
    return torch.stack([loss.mean().detach().double().cpu() for loss in losses])


def weighed_sum(weights: Tensor, losses: Sequence[SampleLosses]) -> Tensor:
    """The weighted sum of the batch losses, with weights [T]: a scalar with a graph."""
    pairs = zip(weights.tolist(), losses, strict=True)
    terms: list[Tensor] = [weight * loss.mean() for weight, loss in pairs]
    return sum(terms[1:], start=terms[0])


def inverse_hessian_product(
    loss: Tensor, parameters: Mapping[str, Tensor], vector: Direction, terms: int, rate: float
) -> Direction:
    """Approximate H^-1 v for the Hessian H of a scalar `loss` in its parameters.

    The result is `rate` times the sum of (I - rate H)^j v for j up to `terms`, which converges to
    H^-1 v if all eigenvalues of H lie between 0 and 2 / rate.

    Source: J. Lorraine, P. Vicol, D. Duvenaud, "Optimizing Millions of Hyperparameters by Implicit
    Differentiation", AISTATS 2020, https://arxiv.org/abs/1911.02590

    >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
    >>> v = {"x": torch.tensor([1.0, 0.0])}
    >>> inverse_hessian_product((x**2).sum(), {"x": x}, v, terms=100, rate=0.25)["x"]
    tensor([0.5000, 0.0000])
    """
    slope = gradient(loss, parameters, again=True)
    reached = [parameters[name] for name in slope]
    power = {name: vector.get(name, torch.zeros_like(part)) for name, part in slope.items()}
    total = dict(power)
    for _ in range(terms):
        curved = torch.autograd.grad(
            dot(slope, power), reached, retain_graph=True, materialize_grads=True
        )
        power = {
            name: part - rate * bent
            for (name, part), bent in zip(power.items(), curved, strict=True)
        }
        total = {name: total[name] + part for name, part in power.items()}
    return {name: rate * part for name, part in total.items()}


class HeldOut(Balancer):
    """A rule that learns on held-out data with its own Adam.

    Published learning rates are meant for runs of many thousands of steps. By default, the rate is
    scaled so that the learned values can move by `TRAVEL` over a run of any length, as they can at
    the published rates.

    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        learned: Sequence[Tensor],
        *,
        rate: float | None,
    ) -> None:
        super().__init__(tasks, rng)
        self.rate = rate
        self.learned = nn.ParameterList(learned)
        self.optimizer = torch.optim.Adam(self.learned)

    @property
    def numbers(self) -> Tensor:
        """Return the learned values, which must be one tensor, without their graph."""
        (learned,) = self.learned
        value: Tensor = learned.detach()
        return value

    def pace(self, revisions: int) -> None:
        """Set the learning rate for this number of learning steps."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate or TRAVEL / revisions

    def descend(self, gradients: Sequence[Tensor]) -> None:
        """Take one optimiser step along the negative gradients."""
        for parameter, part in zip(self.learned, gradients, strict=True):
            parameter.grad = part
        self.optimizer.step()

    def extra(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_extra(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])


class ImplicitDifferentiation(HeldOut):
    """A rule that learns from the implicit hypergradient of the primary's held-out loss."""

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        learned: Sequence[Tensor],
        *,
        every: int | None,
        terms: int,
        alpha: float,
        rate: float | None,
    ) -> None:
        super().__init__(tasks, rng, learned, rate=rate)
        self.every, self.terms, self.alpha = every, terms, alpha

    def before(self, context: Context) -> list[Phase]:
        steps = context.recipe.steps
        every = self.every or min(LONGEST, max(1, steps // REVISIONS))
        self.pace(max(1, steps // every))
        return [ImplicitStep("hypergradient", context, self, every)]

    @abstractmethod
    def total(self, losses: Sequence[SampleLosses]) -> Tensor:
        """The training loss that the weights minimise, a scalar with a graph."""

    @abstractmethod
    def learn(self, losses: Sequence[SampleLosses], rises: Sequence[SampleLosses]) -> None:
        """Take one step, given the losses' derivatives along the inverse-Hessian direction."""


class ImplicitStep(BilevelStep):
    """One step of a balancer against its implicit hypergradient.

    At convergence, raising the weight of a loss with gradient g moves the network by -H^-1 g, where
    H is the Hessian of the training loss. The primary's held-out loss, with gradient v, changes by
    the inner product of v with that move. One product with H^-1 is enough for all losses: these
    changes are minus the derivatives of the losses along H^-1 v.
    """

    def __init__(
        self, name: str, context: Context, balancer: ImplicitDifferentiation, every: int
    ) -> None:
        super().__init__(name, context, every)
        self.balancer = balancer

    def revise(self, seen: Batch, unseen: Batch) -> Scalars:
        objective, parameters = self.objective, self.parameters
        vector = primary_gradient(objective, unseen, parameters)
        with plain_attention():
            losses = objective.samples(seen, parameters)
            direction = inverse_hessian_product(
                self.balancer.total(losses),
                parameters,
                vector,
                self.balancer.terms,
                self.balancer.alpha,
            )
        # A product with the Hessian backpropagates through the backward pass as well.
        objective.meter.backward(1 + 2 * self.balancer.terms)
        detached = [SampleLosses(loss.sums.detach(), loss.counts) for loss in losses]
        self.balancer.learn(detached, objective.jvp(seen, direction))
        return {}
