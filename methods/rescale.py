"""Rescale: the combined gradient, scaled to the length of the plain sum of the tasks' gradients.

This part goes last in a chain, as in `pcgrad+rescale`. For nearly orthogonal gradients, many rules
give the same direction with lengths that differ by a factor of hundreds, so that comparing them at
one learning rate compares learning rates. With this part, every rule's combined gradient on the
shared parameters is as long as that of `sum` on the same batch. It is zero if the sum is zero, and
left alone if the rule's own direction is zero. Private parameters keep their gradients.

Known flaws: the length may be intended by the rule, such as a short step when tasks disagree.

@inproceedings{kurin2022sum,
  author = {Kurin, V. and De Palma, A. and Kostrikov, I. and Whiteson, S. and Kumar, M. P.},
  title = {{In Defense of the Unitary Scalarization for Deep Multi-Task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2022},
  url = {https://arxiv.org/abs/2201.04122},
}
"""

from __future__ import annotations

import math

from torch import Tensor

from auxbench import METHODS, GradientBalancer, Signals

from ._solvers import cancels


@METHODS.register
class Rescale(GradientBalancer):
    """One factor for all tasks.

    >>> import torch
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    >>> balancer = Rescale(["a", "b"], torch.Generator())
    >>> halved = signals.scaled(torch.tensor([0.5, 0.5]))
    >>> balancer.weights(halved).tolist()
    [2.0, 2.0]
    """

    family = "gradient"

    def weights(self, signals: Signals) -> Tensor:
        ones = super().weights(signals)
        gramian, length = signals.gramian, signals.sum_length
        if cancels(gramian.numpy(), ones.numpy()) or not gramian.isfinite().all():
            return ones
        ratio = length / math.sqrt(gramian.sum().item())
        return ones * ratio if math.isfinite(ratio) else ones
