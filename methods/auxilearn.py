"""AuxiLearn, linear: auxiliary weights learned by implicit differentiation on held-out data.

The training loss is L_p + sum_a w_a L_a with non-negative weights that start at 1. Every `every`
steps, the weights descend on the primary's held-out loss as if the network had converged. The
derivative is -v' H^-1 g_a, where v is the primary's held-out gradient, H is the Hessian of the
training loss, and H^-1 is approximated by `terms` terms of Neumann's series with rate `alpha`. The
weights are updated by Adam. Unless `rate` is set, its learning rate lets them move by 4 in a run of
any length; the paper's rate is meant for the hypergradients of the released code, which are too
long by a factor of 1 / alpha.

Known flaws: with the paper's alpha of 1e-4 and 3 terms, the inverse Hessian is almost a multiple of
the identity, so the rule is a one-step approximation at the cost of second derivatives. The
released code omits the last factor alpha, which its clipping hides. The copy in the code of
AuxiNash also passes the weights to the network's optimiser, where they follow the training loss.

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

import torch
from torch import Tensor

from auxbench import METHODS, Signals
from auxbench.data.dataset import SampleLosses

from ._heldout.heldout import Alpha, Every, ImplicitDifferentiation, Rate, Terms, means, weighed_sum


@METHODS.register
class AuxiLearn(ImplicitDifferentiation):
    """Auxiliary weights by implicit differentiation; the primary has weight 1.

    >>> from auxbench.data.dataset import SampleLosses
    >>> balancer = AuxiLearn(["a", "b"], torch.Generator(), rate=0.1)
    >>> balancer.pace(1)
    >>> rises = [SampleLosses(torch.tensor([r]), torch.ones(1)) for r in (2.0, -1.0)]
    >>> balancer.learn(rises, rises)
    >>> [round(w, 3) for w in balancer.weights(Signals.of([1.0, 1.0], torch.eye(2))).tolist()]
    [1.0, 0.9]
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
    ) -> None:
        learned = torch.ones(len(tasks) - 1, dtype=torch.float64)
        super().__init__(tasks, rng, [learned], every=every, terms=terms, alpha=alpha, rate=rate)
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(len(tasks), dtype=torch.float64))

    @property
    def current(self) -> Tensor:
        """The weights of all tasks: [T]."""
        return torch.cat([torch.ones(1, dtype=torch.float64), self.numbers])

    def weights(self, signals: Signals) -> Tensor:
        self.scale.copy_(signals.scale)
        return self.current

    def total(self, losses: Sequence[SampleLosses]) -> Tensor:
        return weighed_sum(self.current * self.scale, losses)

    def learn(self, losses: Sequence[SampleLosses], rises: Sequence[SampleLosses]) -> None:
        self.descend([-(self.scale * means(rises))[1:]])
        self.numbers.clamp_(min=0)
