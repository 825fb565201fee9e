r"""SLGrad: every sample of every task is weighted by how well its gradient serves the primary.

The weight of a sample's loss is the inner product of its gradient with that of the primary's
held-out loss, or 0 if the product is negative. All weights of a batch, over tasks and samples, sum
to 1. One forward-mode pass along the held-out gradient gives all products. A batch on which no
sample serves the primary leaves the network unchanged. The weights apply only to the batch of the
descent: the search of `auxnas`, which reads other samples, uses plain losses.

Known flaws: on a small held-out set, the products follow its noise, and the weights exclude hard
samples as well as mislabelled ones. The released code computes one backward pass per sample and
does not undo its trial step, so that it takes two steps per batch.

@misc{gregoire2023slgrad,
  author = {Gr{\'e}goire, E. and Chaudhary, H. and Verboven, S.},
  title = {{Sample-Level Weighting for Multi-Task Learning with Auxiliary Tasks}},
  eprint = {2306.04519},
  archiveprefix = {arXiv},
  year = {2023},
  url = {https://arxiv.org/abs/2306.04519},
}
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from auxbench import METHODS, Balancer, Batch, Context, Phase
from auxbench.data.dataset import SampleLosses
from auxbench.training.phase import Scalars

from ._heldout.heldout import BilevelStep, primary_gradient


@METHODS.register
class SLGrad(Balancer):
    """Sample weights by agreement with the primary; all task weights are 1.

    >>> from auxbench.data.dataset import SampleLosses
    >>> balancer = SLGrad(["a", "b"], torch.Generator())
    >>> rises = [torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])]
    >>> balancer.learn([SampleLosses(rise, torch.ones(2)) for rise in rises])
    >>> balancer.shares.tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """

    family = "auxiliary"

    def __init__(self, tasks: Sequence[str], rng: torch.Generator) -> None:
        super().__init__(tasks, rng)
        # The shares for the batch that the descent is about to read.
        self.shares = torch.ones(len(tasks), 1) / len(tasks)

    def learn(self, rises: Sequence[SampleLosses]) -> None:
        """Set the shares [T, B] by how fast sample losses rise along the held-out gradient."""
        agreement = torch.stack([rise.each() for rise in rises]).clamp(min=0)
        total = agreement.sum()
        self.shares = agreement / total if total > 0 else torch.zeros_like(agreement)

    def weigh_samples(self, losses: Sequence[SampleLosses]) -> Sequence[SampleLosses]:
        if len(losses) == 1:
            return losses
        # A batch loss divides by the valid elements of the batch, a sample's loss by its own.
        return [
            loss.weighed(share * loss.counts.sum() / loss.counts.clamp(min=1))
            for loss, share in zip(losses, self.shares, strict=True)
        ]

    def before(self, context: Context) -> list[Phase]:
        return [Weighing("weighing", context, self)]


class Weighing(BilevelStep):
    """Set the shares of a batch's samples before the descent reads the batch."""

    def __init__(self, name: str, context: Context, balancer: SLGrad) -> None:
        super().__init__(name, context)
        self.balancer = balancer

    def revise(self, seen: Batch, unseen: Batch) -> Scalars:
        goal = primary_gradient(self.objective, unseen, self.parameters)
        self.balancer.learn(self.objective.jvp(seen, goal))
        return {}
