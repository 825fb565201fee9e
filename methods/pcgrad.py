"""PCGrad: a gradient that conflicts with another task's loses its component along the other.

For every task i, the other tasks j are visited in random order. If the inner product with j's
original gradient is negative, the component along that gradient is removed. The results are summed.
The method needs only inner products, so it runs on the Gramian.

Known flaws: if gradients are nearly orthogonal, there is next to nothing to remove, and the step is
that of the plain sum. Public versions use a fixed order, visit j = i as well, which changes the
result for three or more tasks, or take the mean instead of the sum.

@inproceedings{yu2020pcgrad,
  author = {Yu, T. and Kumar, S. and Gupta, A. and Levine, S. and Hausman, K. and Finn, C.},
  title = {{Gradient Surgery for Multi-Task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2020},
  url = {https://arxiv.org/abs/2001.06782},
}
"""

from __future__ import annotations

import torch
from torch import Tensor

from auxbench import METHODS, GradientBalancer, Signals


@METHODS.register
class PCGrad(GradientBalancer):
    """Projecting conflicting gradients; private parameters keep their own gradient.

    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> PCGrad(["a", "b"], torch.Generator()).weights(signals).tolist()
    [1.5, 2.0]
    """

    family = "gradient"

    def weights(self, signals: Signals) -> Tensor:
        gramian = signals.gramian
        tasks = len(gramian)
        coefficients = torch.eye(tasks, dtype=torch.float64)
        for task, own in enumerate(coefficients):
            for other in torch.randperm(tasks, generator=self.rng).tolist():
                conflict = own @ gramian[other]
                length = gramian[other, other]  # 0 for a task without a gradient
                if other != task and conflict < 0 < length:
                    own[other] -= conflict / length
        return coefficients.sum(dim=0)
