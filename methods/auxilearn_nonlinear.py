"""AuxiLearn, non-linear: a small monotone network combines the losses of every sample.

The training loss is L_p + mean_n h(l_1n, ..., l_Tn), where h has one hidden layer of `hidden`
softplus units and non-negative weights, so that no loss is ever rewarded for rising. The descent
weights each sample loss by the derivative of this training loss. Every `every` steps, h descends on
the primary's held-out loss by implicit differentiation, as in the linear variant. It starts at
random, with slopes between 0 and 8 whose mean rises from 1 to 2 with the losses. Only the descent
weights samples: the search of `auxnas` uses plain losses.

Known flaws: those of the linear variant, and since h sees losses rather than samples, it cannot
tell a hard sample from a mislabelled one. The released example does not run as printed, and its
losses have to be stacked, which lets every loss reach every parameter.

@inproceedings{navon2021auxilearn,
  author = {Navon, A. and Achituve, I. and Maron, H. and Chechik, G. and Fetaya, E.},
  title = {{Auxiliary Learning by Implicit Differentiation}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2021},
  url = {https://arxiv.org/abs/2007.02693},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import softplus

from auxbench import METHODS
from auxbench.data.dataset import SampleLosses
from auxbench.spec.marks import Count, Help

from ._heldout.heldout import Alpha, Every, ImplicitDifferentiation, Rate, Terms


@METHODS.register
class AuxiLearnNonlinear(ImplicitDifferentiation):
    """A learned combination of every sample's losses; the weights per task are all 1.

    >>> from auxbench.data.dataset import SampleLosses
    >>> losses = [SampleLosses(torch.tensor([1.0, 2.0]), torch.ones(2)) for _ in range(2)]
    >>> balancer = AuxiLearnNonlinear(["a", "b"], torch.Generator().manual_seed(0))
    >>> slopes = balancer.slopes(losses)
    >>> tuple(slopes.shape), bool((slopes > 0).all())
    ((2, 2), True)
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        hidden: Annotated[Count, Help("Hidden units of the network that combines the losses.")] = 3,
        every: Every = None,
        terms: Terms = 3,
        alpha: Alpha = 1e-4,
        rate: Rate = None,
    ) -> None:
        # The mean slope in every loss is 1 at losses of 0 and 2 at large losses: this is the plain
        # sum or twice that, with the primary added once more. Each task has its own draws.
        inner = 2 * torch.rand(hidden, len(tasks), generator=rng)
        outer = 2 * torch.rand(hidden, generator=rng) * 2 / hidden
        learned = [inner, torch.zeros(hidden), outer]
        super().__init__(tasks, rng, learned, every=every, terms=terms, alpha=alpha, rate=rate)

    def weigh_samples(self, losses: Sequence[SampleLosses]) -> Sequence[SampleLosses]:
        if len(losses) == 1:
            return losses
        with torch.enable_grad():
            factors = self.factors(losses, self.slopes(losses)).detach()
        return [loss.weighed(factor) for loss, factor in zip(losses, factors, strict=True)]

    def combine(self, each: Tensor, learned: Sequence[Tensor]) -> Tensor:
        """The value of h for every sample, [B], from its losses [B, T]."""
        inner, bias, outer = (part.to(each) for part in learned)
        return softplus(each @ inner.T + bias) @ outer

    def slopes(self, losses: Sequence[SampleLosses]) -> Tensor:
        """The derivatives [B, T] of h with respect to every sample's losses, with a graph."""
        each = torch.stack([loss.each().detach() for loss in losses], dim=1).requires_grad_()
        (slopes,) = torch.autograd.grad(
            self.combine(each, list(self.learned)).sum(), each, create_graph=True
        )
        return slopes

    def factors(self, losses: Sequence[SampleLosses], slopes: Tensor) -> Tensor:
        """Return factors [T, B] for the samples' losses such that their means have h's gradient.

        A batch loss is a mean over valid elements, while h is averaged over samples, so the factors
        compensate for labels that a sample lacks.
        """
        counts = torch.stack([loss.counts for loss in losses])
        shares = counts.sum(dim=1, keepdim=True) / (counts.clamp(min=1) * counts.shape[1])
        factors = slopes.T * shares
        return torch.cat([1 + factors[:1], factors[1:]])

    def total(self, losses: Sequence[SampleLosses]) -> Tensor:
        each = torch.stack([loss.each() for loss in losses], dim=1)
        learned = [part.detach() for part in self.learned]
        return losses[0].mean() + self.combine(each, learned).mean()

    def learn(self, losses: Sequence[SampleLosses], rises: Sequence[SampleLosses]) -> None:
        factors = self.factors(losses, self.slopes(losses))
        weighed = [rise.weighed(f).mean() for rise, f in zip(rises, factors, strict=True)]
        value = -sum(weighed[1:], start=weighed[0])
        self.descend(torch.autograd.grad(value, list(self.learned), materialize_grads=True))
        with torch.no_grad():
            for weights in (self.learned[0], self.learned[2]):
                weights.clamp_(min=0)
