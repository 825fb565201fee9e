"""PriPCGrad: auxiliary gradients that conflict with the primary's lose their component along it.

This is PCGrad for one task that matters more than the others. The primary's gradient is kept,
auxiliaries are not compared with each other, and the sum descends the primary at least as fast as
its own gradient does. The paper uses it as a baseline. Unlike PCGrad, it needs no random order.

Known flaws: an auxiliary that does not conflict passes unchanged, however large or useless it is.
The method has no paper of its own.

@inproceedings{jiang2023forkmerge,
  author = {Jiang, J. and Chen, B. and Pan, J. and Wang, X. and Liu, D. and Jiang, J. and Long,
    M.},
  title = {{ForkMerge: Mitigating Negative Transfer in Auxiliary-Task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2023},
  url = {https://arxiv.org/abs/2301.12618},
}
"""

from __future__ import annotations

import torch
from torch import Tensor

from auxbench import METHODS, GradientBalancer, Signals


@METHODS.register
class PriPCGrad(GradientBalancer):
    """Projecting auxiliary gradients that conflict with the primary's.

    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> PriPCGrad(["a", "b"], torch.Generator()).weights(signals).tolist()
    [1.5, 1.0]
    """

    family = "gradient"

    def weights(self, signals: Signals) -> Tensor:
        products = signals.inner
        weights = torch.ones_like(products)
        conflict = products.clamp(max=0).sum()
        if conflict < 0 and products.isfinite().all() and products[0] > 0:
            weights[0] -= conflict / products[0]
        return weights
