"""OL-AUX: auxiliary weights that rise while an auxiliary's gradient agrees with the primary's.

Every `horizon` steps, the weight of auxiliary a moves by `beta` eta times the sum, over these
steps, of the inner products of its gradient with the primary's. It is kept at 0 or above. Here eta
is the network's learning rate, and the primary keeps weight 1. The inner products are accumulated
over the horizon; nothing is unrolled. The official experiments also take logarithms of the losses
and smooth the gradients, which belongs to their reinforcement-learning setting and is left out.

Known flaws: inner products depend on the scale of both losses, so no single `beta` suits all.
Public copies use cosines with a beta that hardly moves the weights, leave out the clipping at 0, or
count steps in such a way that the weights never change at all.

@inproceedings{lin2019olaux,
  author = {Lin, X. and Baweja, H. and Kantor, G. and Held, D.},
  title = {{Adaptive Auxiliary Task Weighting for Reinforcement Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2019},
  url = {https://papers.nips.cc/paper/2019/hash/0e900ad84f63618452210ab8baae0218-Abstract.html},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Balancer, Signals
from auxbench.spec.marks import Count, Help, Positive, Tune


@METHODS.register
class OLAux(Balancer):
    """Online learning of auxiliary weights from the agreement of gradients.

    >>> rows = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
    >>> balancer = OLAux(["a", "b"], torch.Generator(), beta=1.0, horizon=1)
    >>> balancer.weights(Signals.of([1.0, 1.0], rows, learning_rate=0.1)).tolist()
    [1.0, 1.0]
    >>> [round(w, 3) for w in balancer.current.tolist()]
    [1.0, 0.8]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        beta: Annotated[
            Positive,
            Tune(0.5, 50, log=True),
            Help("Rate of the weights, which is multiplied by the network's learning rate."),
        ] = 5.0,
        horizon: Annotated[
            Count, Help("Steps over which inner products are summed before the weights move.")
        ] = 5,
    ) -> None:
        super().__init__(tasks, rng)
        self.beta = beta
        self.horizon = horizon
        self.current: Tensor
        self.gain: Tensor
        self.seen: Tensor
        self.register_buffer("current", torch.ones(len(tasks), dtype=torch.float64))
        self.register_buffer("gain", torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("seen", torch.tensor(0))

    def weights(self, signals: Signals) -> Tensor:
        weights = self.current.clone()
        self.gain += self.beta * signals.learning_rate * signals.inner
        self.seen += 1
        if self.seen == self.horizon:
            self.current[1:] = (self.current + self.gain)[1:].clamp(min=0)
            self.gain.zero_()
            self.seen.zero_()
        return weights
