"""IMTL-L: loss weights that bring all weighted losses to the same size.

The exponents s start at 0 and descend on the sum of exp(s_i) L_i - s_i together with the network,
so that every exp(s_i) L_i approaches 1; the weights are exp(s_i). Here s has its own Adam with
learning rate `rate`, unaffected by the network's learning rate and weight decay. A single task
keeps weight 1. In the updates of s, a loss counts as at least 1e-8, so that the exponent of a task
without labels cannot diverge.

Known flaws: it is uncertainty weighting with s = -log variance and twice the weights, and the
weights of both become proportional to 1 / L. A widespread public version offers it only together
with the gradient half.

@inproceedings{liu2021imtlg,
  author = {Liu, L. and Li, Y. and Kuang, Z. and Xue, J.-H. and Chen, Y. and Yang, W. and Liao,
    Q. and Zhang, W.},
  title = {{Towards Impartial Multi-task Learning}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2021},
  url = {https://openreview.net/forum?id=IMPnRXEWpvr},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Signals
from auxbench.spec.marks import Help, Positive, Tune

from ._losses import LearnedLosses, bounded


@METHODS.register
class IMTLL(LearnedLosses):
    """Impartial learning by losses.

    >>> signals = Signals.of([1.0, 2.0], torch.eye(2))
    >>> balancer = IMTLL(["a", "b"], torch.Generator())
    >>> balancer.weights(signals).tolist(), [round(s, 3) for s in balancer.current.tolist()]
    ([1.0, 1.0], [0.0, -0.025])
    """

    family = "loss weighting"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        rate: Annotated[
            Positive, Tune(0.005, 0.1, log=True), Help("Learning rate of the exponents' Adam.")
        ] = 0.025,
    ) -> None:
        super().__init__(tasks, rng, rate=rate)

    def rule(self, signals: Signals) -> Tensor:
        weights = torch.exp(self.current.detach())
        self.learn(weights * bounded(signals.losses) - 1)
        return weights
