"""The sum of the losses' logarithms, whose gradient weights every task by 1 / L_i.

Multiplying a loss by a constant then changes nothing, so the sum is also known as the
scale-invariant baseline; the paper uses it as one. Adding 1e-8 to every loss keeps a loss of 0, as
on a batch without labels, finite. A single task keeps weight 1.

Known flaws: losses have to be positive; public versions give NaN for negative losses, which count
as 0 here. A task that is nearly solved gets a huge weight.

@inproceedings{navon2022nashmtl,
  author = {Navon, A. and Shamsian, A. and Achituve, I. and Maron, H. and Kawaguchi, K. and
    Chechik, G. and Fetaya, E.},
  title = {{Multi-Task Learning as a Bargaining Game}},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2022},
  url = {https://arxiv.org/abs/2202.01017},
}
"""

from __future__ import annotations

from torch import Tensor

from auxbench import METHODS, Signals

from ._losses import FLOOR, LossBalancer


@METHODS.register
class LogSum(LossBalancer):
    """Weights 1 / (L_i + 1e-8).

    >>> import torch
    >>> balancer = LogSum(["a", "b"], torch.Generator())
    >>> [round(w, 3) for w in balancer.weights(Signals.of([2.0, 5.0], torch.eye(2))).tolist()]
    [0.5, 0.2]
    """

    family = "loss weighting"

    def rule(self, signals: Signals) -> Tensor:
        return 1 / (signals.losses.clamp(min=0) + FLOOR)
