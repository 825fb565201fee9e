"""AuxiNash: a Nash bargain between the tasks' gradients, with powers learned on held-out data.

The weights a solve G a = p / a, where G is the Gramian of the shared gradients and the powers p sum
to T. The powers start at 1, where the rule is Nash-MTL. Every `every` steps, they descend on the
primary's held-out loss. The derivative of this loss with respect to the weights is AuxiLearn's,
-v' H^-1 g_i, and that of the weights with respect to the powers is
(G + diag(p / a^2))^-1 diag(1 / a), at the Gramian of the last descent. Powers stay above 1e-4. They
are updated by Adam; unless `rate` is set, its learning rate lets them move by 4 in a run of any
length.

As in the released code, the weights also multiply the gradients of private parameters, including
the heads. This version differs in two ways. A combined gradient longer than `max_norm` is shortened
by shrinking all weights, which also shortens the heads' steps, whereas the release clips only the
shared gradients. The products with v are taken over all trained parameters, as in the paper,
whereas the release leaves out the heads.

Known flaws: there is no bargain if some convex combination of the gradients vanishes; all weights
are then 0. The released code combines the weights of a rescaled Gramian with the original Gramian,
so that its derivatives in the powers have the wrong direction, and its command-line options do not
reach the method.

@inproceedings{shamsian2023auxinash,
  author = {Shamsian, A. and Navon, A. and Glazer, N. and Kawaguchi, K. and Chechik, G. and
    Fetaya, E.},
  title = {{Auxiliary Learning as an Asymmetric Bargaining Game}},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2023},
  url = {https://arxiv.org/abs/2301.13501},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Signals
from auxbench.data.dataset import SampleLosses
from auxbench.spec.marks import Help, Positive

from ._gradient import GramianBalancer, with_gradient
from ._heldout.heldout import Alpha, Every, ImplicitDifferentiation, Rate, Terms, means, weighed_sum
from ._solvers import Array, bargain

LEAST = 1e-4


@METHODS.register
class AuxiNash(ImplicitDifferentiation):
    """The asymmetric Nash bargain.

    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> balancer = AuxiNash(["a", "b"], torch.Generator(), max_norm=None)
    >>> _ = balancer.numbers.copy_(torch.tensor([1.5, 0.5]))
    >>> [round(w, 6) for w in balancer.weights(signals).tolist()]
    [0.977609, 1.188039]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        every: Every = None,
        terms: Terms = 3,
        alpha: Alpha = 1e-4,
        rate: Rate = None,
        max_norm: Annotated[
            Positive | None,
            Help(
                "Greatest length of the combined gradient, to which all weights are "
                "shrunk, those of the heads too; none does not limit it."
            ),
        ] = 1.0,
    ) -> None:
        powers = torch.ones(len(tasks), dtype=torch.float64)
        super().__init__(tasks, rng, [powers], every=every, terms=terms, alpha=alpha, rate=rate)
        self.bargain = Bargain(tasks, rng)
        self.bargain.limit = max_norm
        # The state of the last descent; `scale` comes from earlier balancers in the chain.
        self.gramian: Tensor
        self.current: Tensor
        self.scale: Tensor
        self.register_buffer("gramian", torch.zeros(len(tasks), len(tasks), dtype=torch.float64))
        self.register_buffer("current", torch.ones(len(tasks), dtype=torch.float64))
        self.register_buffer("scale", torch.ones(len(tasks), dtype=torch.float64))

    def weights(self, signals: Signals) -> Tensor:
        self.bargain.shares = self.numbers[with_gradient(signals.gramian)].numpy()
        weights = self.bargain.weights(signals)
        self.gramian.copy_(signals.gramian)
        self.current.copy_(weights)
        self.scale.copy_(signals.scale)
        return weights

    def total(self, losses: Sequence[SampleLosses]) -> Tensor:
        return weighed_sum(self.current * self.scale, losses)

    def learn(self, losses: Sequence[SampleLosses], rises: Sequence[SampleLosses]) -> None:
        powers = self.numbers
        slope = weights_by_powers(self.gramian, powers, self.current)
        self.descend([-((self.scale * means(rises)) @ slope)])
        powers.clamp_(min=LEAST)
        powers.mul_(len(self.tasks) / powers.sum())


def weights_by_powers(gramian: Tensor, powers: Tensor, weights: Tensor) -> Tensor:
    """The derivatives [T, T] of the weights [T] in the powers [T]; 0 if there is no bargain.

    The weights may be any positive multiple of the bargain's solution, where a'Ga = sum p.

    >>> gramian = torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> powers = torch.ones(2, dtype=torch.float64)
    >>> weights_by_powers(gramian, powers, torch.tensor([0.5, 1.0], dtype=torch.float64)).tolist()
    [[0.25, 0.0], [0.0, 0.5]]
    """
    squared = weights @ gramian @ weights / powers.sum()
    if not ((weights > 0).all() and squared > 0):
        return torch.zeros_like(gramian)
    own = weights / squared.sqrt()
    curvature = gramian + torch.diag(powers / own**2)
    slope: Tensor = torch.linalg.solve(curvature, torch.diag(1 / own))
    return squared.sqrt() * slope


class Bargain(GramianBalancer):
    """The bargain between the tasks that have a gradient, with powers `shares`."""

    degree = -0.5
    shares: Array

    def direction(self, gramian: Array) -> Array:
        return bargain(gramian, self.shares)
