"""PriPCGrad: an auxiliary gradient that conflicts with the primary's loses its part along it.

PCGrad for one task that counts more than the others: the primary's gradient is kept, auxiliaries
do not see each other, and the sum descends the primary at least as fast as its own gradient does.
The paper uses it as a baseline. Unlike in PCGrad there is no order to draw.

Source: J. Jiang, B. Chen, J. Pan, X. Wang, D. Liu, J. Jiang, M. Long, "ForkMerge: Mitigating
Negative Transfer in Auxiliary-Task Learning", NeurIPS 2023, https://arxiv.org/abs/2301.12618
"""

from __future__ import annotations

import numpy as np

from auxbench.registry import METHODS

from ._gradient import GradientBalancer
from ._solvers import Array


@METHODS.register
class PriPCGrad(GradientBalancer):
    """Projecting auxiliary gradients that conflict with the primary's.

    >>> import torch
    >>> from auxbench.gradients import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> PriPCGrad(["a", "b"], torch.Generator()).weights(signals).tolist()
    [1.5, 1.0]
    """

    family = "gradient"

    def direction(self, gramian: Array) -> Array:
        weights = np.ones(len(gramian))
        conflict = np.minimum(gramian[0], 0).sum()
        if conflict < 0:
            weights[0] -= conflict / gramian[0, 0]
        return weights
