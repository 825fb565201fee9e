"""RLW: random loss weights, drawn again on every batch.

The weights are T softmax(z) with z standard normal. Their mean is that of equal weighting, and a
method that does not beat them has shown little.

Known flaws: it learns nothing and changes only the noise of the steps. Some public versions let the
weights sum to 1 instead of T, which divides the learning rate by T.

@article{lin2022rlw,
  author = {Lin, B. and Ye, F. and Zhang, Y. and Tsang, I. W.},
  title = {{Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning}},
  journal = {Transactions on Machine Learning Research (TMLR)},
  year = {2022},
  url = {https://arxiv.org/abs/2111.10603},
}
"""

from __future__ import annotations

import torch
from torch import Tensor

from auxbench import METHODS, Signals

from ._losses import LossBalancer


@METHODS.register
class RLW(LossBalancer):
    """Random weights that sum to the number of tasks.

    >>> balancer = RLW(["a", "b"], torch.Generator().manual_seed(0))
    >>> round(balancer.weights(Signals.of([1.0, 2.0], torch.eye(2))).sum().item(), 6)
    2.0
    """

    family = "loss weighting"

    def rule(self, signals: Signals) -> Tensor:
        tasks = len(self.tasks)
        draws = torch.randn(tasks, generator=self.rng, dtype=torch.float64)
        return tasks * torch.softmax(draws, dim=0)
