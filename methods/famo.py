"""FAMO: weights that let all losses fall at the same relative pace, without T gradients.

With z = softmax(w) and D_i = L_i + 1e-8, the weights are (z_i / D_i) / sum_j (z_j / D_j), which sum
to 1. After the descent, the losses of the same batch are computed again, and the logits w descend
on the paces log D_i - log D_i' with their own Adam, so that the slowest task gains weight. The
second forward pass leaves running statistics unchanged, and its cost is counted. The gradient
clipping of the official experiments belongs to the optimiser and is left out. A loss of 0, as on a
batch without labels, gets weight 0, because it would otherwise take all of the weight, and its
logit gets no gradient from that batch. A single task keeps weight 1.

Known flaws: losses have to be positive, and each step costs a second forward pass. Public versions
disagree on the weight decay of the logits (1e-5 to 1e-2), keep the graph of the first pass alive,
or omit w from checkpoints.

@inproceedings{liu2023famo,
  author = {Liu, B. and Feng, Y. and Stone, P. and Liu, Q.},
  title = {{FAMO: Fast Adaptive Multitask Optimization}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2023},
  url = {https://arxiv.org/abs/2306.03792},
}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from auxbench import METHODS, Batch, Context, Phase, Signals
from auxbench.spec.marks import Help, NonNegative, Positive, Tune
from auxbench.training.phase import Scalars

from ._losses import FLOOR, LearnedLosses, bounded


@METHODS.register
class FAMO(LearnedLosses):
    """Fast adaptive optimisation.

    >>> balancer = FAMO(["a", "b"], torch.Generator())
    >>> weights = balancer.weights(Signals.of([1.0, 2.0], torch.eye(2)))
    >>> balancer.learn(balancer.gradient(torch.tensor([0.5, 1.8], dtype=torch.float64)))
    >>> [round(w, 3) for w in [*weights.tolist(), *balancer.current.tolist()]]
    [0.667, 0.333, -0.025, 0.025]
    """

    family = "loss weighting"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        rate: Annotated[
            Positive, Tune(0.005, 0.1, log=True), Help("Learning rate of the logits' Adam.")
        ] = 0.025,
        decay: Annotated[NonNegative, Help("Weight decay of the logits' Adam.")] = 1e-3,
    ) -> None:
        super().__init__(tasks, rng, rate=rate, decay=decay)
        # The losses and factors of the descent, needed only until the end of the iteration.
        self.first = self.scale = torch.ones(len(tasks), dtype=torch.float64)

    def rule(self, signals: Signals) -> Tensor:
        self.first, self.scale = signals.losses, signals.scale
        share = torch.softmax(self.current.detach(), dim=0) / bounded(self.first + FLOOR)
        share = torch.where(self.first > 0, share, 0.0)
        return share / share.sum() if share.any() else torch.ones_like(share)

    def gradient(self, after: Tensor) -> Tensor:
        """The gradient [T] in the logits, given the losses [T] of the same batch after the step.

        The given losses are unscaled. The factors that earlier balancers in the chain applied to
        the first losses are applied to these here.
        """
        first, second = (bounded(loss + FLOOR) for loss in (self.first, after * self.scale))
        pace = first.log() - second.log()
        share = torch.where(self.first > 0, torch.softmax(self.current.detach(), dim=0), 0.0)
        share = share / share.sum().clamp(min=FLOOR)
        return share * (pace - share @ pace)

    def after(self, context: Context) -> list[Phase]:
        return [Relook(context, self)]


class Relook(Phase):
    """Compute the losses of the descent's batch again, and take one step on the logits.

    The balancer holds all state.
    """

    def __init__(self, context: Context, balancer: FAMO) -> None:
        self.name = "famo"
        self.splits = (context.split,)
        self.objective = context.objective
        self.balancer = balancer

    @property
    def claimed(self) -> Sequence[Parameter]:
        return []  # the logits are not part of the architecture

    def step(self, batches: Mapping[str, Batch]) -> Scalars:
        with torch.no_grad():
            losses = self.objective(batches[self.splits[0]])
        after = torch.stack([loss.double().cpu() for loss in losses])
        self.balancer.learn(self.balancer.gradient(after))
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass
