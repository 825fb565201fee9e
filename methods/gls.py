"""GLS: the geometric mean of the losses, whose gradient gives the weights GLS / (T L_i).

The mean is computed from logarithms, since the product itself overflows. A task without labels on a
batch has a loss of 0, which would set the mean to 0 and stop all other tasks, so it is left out of
the mean. A single task keeps weight 1.

Known flaws: a loss that is nearly 0 takes almost all of the weight from the others. Public versions
multiply the losses, which overflows for many tasks, and one computes the right gradient but reports
other weights.

@inproceedings{chennupati2019gls,
  author = {Chennupati, S. and Sistu, G. and Yogamani, S. and Rawashdeh, S. A.},
  title = {{MultiNet++: Multi-Loader Feature Aggregation and Geometric Loss Strategy for
    Multi-Task Learning}},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops (CVPR
    Workshops)},
  year = {2019},
  url = {https://arxiv.org/abs/1904.08492},
}
"""

from __future__ import annotations

import torch
from torch import Tensor

from auxbench import METHODS, Signals

from ._losses import LossBalancer, bounded


@METHODS.register
class GLS(LossBalancer):
    """The derivatives of (L_1 ... L_T)^(1/T).

    >>> balancer = GLS(["a", "b"], torch.Generator())
    >>> [round(w, 6) for w in balancer.weights(Signals.of([1.0, 4.0], torch.eye(2))).tolist()]
    [1.0, 0.25]
    """

    family = "loss weighting"

    def rule(self, signals: Signals) -> Tensor:
        present = signals.losses > 0
        if not present.any():
            return torch.ones(len(self.tasks), dtype=torch.float64)
        logs = bounded(signals.losses).log()
        weights = torch.exp(logs[present].mean() - logs) / present.sum()
        return torch.where(present, weights, 0.0)
