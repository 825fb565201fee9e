"""Auto-Lambda: task weights that descend on the primary's held-out loss after a look-ahead step.

Before every descent, the network takes a trial step along the weighted gradients of the batch. The
weights then take an Adam step against the derivative of the primary's held-out loss at that point,
which is minus the learning rate times the inner product of the task's gradient with the held-out
one. One forward-mode pass gives the exact product, where the released code takes a finite
difference of two passes. All weights, including the primary's, start at `start`. Unless `rate` is
set, Adam's learning rate lets the weights move by 4 in a run of any length, which is what the
paper's 1e-4 amounts to on NYU v2. The trial step is plain gradient descent; in a chain, it uses the
weights up to and including this rule's own.

Known flaws: the weights are not normalised, so the network's learning rate drifts with them. Here
they are kept at 0 or above, because minimising a negative multiple of a loss is unbounded;
`negative=yes` lifts this, as in the released code. That code also uses reshuffled training data as
held-out data, and its extra passes move BatchNorm's running statistics.

@article{liu2022autolambda,
  author = {Liu, S. and James, S. and Davison, A. J. and Johns, E.},
  title = {{Auto-Lambda: Disentangling Dynamic Task Relationships}},
  journal = {Transactions on Machine Learning Research (TMLR)},
  year = {2022},
  url = {https://arxiv.org/abs/2202.03091},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Batch, Context, Phase, Signals
from auxbench.spec.marks import Help, NonNegative, Tune
from auxbench.training.jvp import gradient
from auxbench.training.phase import Scalars

from ._heldout.heldout import BilevelStep, HeldOut, Rate, means, primary_gradient, weighed_sum


@METHODS.register
class AutoLambda(HeldOut):
    """Weights that are learned by looking one step ahead.

    >>> balancer = AutoLambda(["a", "b"], torch.Generator(), rate=0.05)
    >>> balancer.pace(1)
    >>> balancer.learn(torch.tensor([-0.09, 0.01], dtype=torch.float64))
    >>> [round(w, 3) for w in balancer.weights(Signals.of([1.0, 1.0], torch.eye(2))).tolist()]
    [0.15, 0.05]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        start: Annotated[
            NonNegative,
            Tune(0.03, 1, log=True),
            Help("Weight of every task at the start, of the primary too."),
        ] = 0.1,
        rate: Rate = None,
        negative: Annotated[
            bool, Help("Whether weights may fall below 0, as in the released code.")
        ] = False,
    ) -> None:
        learned = torch.full((len(tasks),), start, dtype=torch.float64)
        super().__init__(tasks, rng, [learned], rate=rate)
        self.negative = negative
        # The factors that earlier balancers in the chain gave the losses in the last descent.
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(len(tasks), dtype=torch.float64))

    def weights(self, signals: Signals) -> Tensor:
        if len(self.tasks) == 1:
            return torch.ones(len(self.tasks), dtype=torch.float64)
        self.scale.copy_(signals.scale)
        return self.numbers.clone()

    def learn(self, hypergradient: Tensor) -> None:
        """Take one step against the hypergradient [T]."""
        self.descend([hypergradient])
        if not self.negative:
            self.numbers.clamp_(min=0)

    def before(self, context: Context) -> list[Phase]:
        self.pace(context.recipe.steps)
        return [LookAhead("look-ahead", context, self)]


class LookAhead(BilevelStep):
    """A trial step of the network, and a step of the weights by its effect on the primary."""

    def __init__(self, name: str, context: Context, balancer: AutoLambda) -> None:
        super().__init__(name, context)
        self.balancer = balancer

    def revise(self, seen: Batch, unseen: Batch) -> Scalars:
        self.balancer.learn(self.hypergradient(seen, unseen))
        return {}

    def hypergradient(self, seen: Batch, unseen: Batch) -> Tensor:
        """The derivative [T], in the weights, of the primary's held-out loss after a trial step."""
        objective, rate = self.objective, self.context.learning_rate
        weights = self.balancer.numbers * self.balancer.scale
        parameters = self.parameters
        slope = gradient(weighed_sum(weights, objective.samples(seen, parameters)), parameters)
        objective.meter.backward()
        trial = {
            name: value.detach() - rate * slope[name] if name in slope else value
            for name, value in parameters.items()
        }
        ahead = primary_gradient(objective, unseen, trial)
        rises = means(objective.jvp(seen, ahead))
        return -rate * self.balancer.scale * rises
