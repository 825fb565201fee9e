"""FairGrad: alpha-fair gains for all tasks, from the sum (alpha 0) to the worst-served (infinity).

With G the Gramian, the weights solve G w = w^(-1/alpha); alpha = 1 is Nash-MTL. The authors solve
it by general least squares, here damped Newton steps find the solution to full precision. The
combined gradient is clipped to the length `max_norm`, as in the authors' code, but is not
multiplied by the number of tasks before; other versions do neither and weigh the heads. Where the
gradients cancel, no finite solution exists and weights are 0.

Source: H. Ban, K. Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024,
https://arxiv.org/abs/2402.15638
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from auxbench.errors import UsageError
from auxbench.registry import METHODS

from ._gradient import GradientBalancer, Norm, positive
from ._solvers import Array, bargain


@METHODS.register
class FairGrad(GradientBalancer):
    """Fairness of degree `alpha`, computed on every batch.

    >>> from auxbench.gradients import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> balancer = FairGrad(["a", "b"], torch.Generator(), alpha=2.0, max_norm=None)
    >>> [round(w, 6) for w in balancer.weights(signals).tolist()]
    [0.942321, 1.369568]
    """

    family = "gradient"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        alpha: float = 2.0,
        max_norm: float | None = 1.0,
        norm: Norm = "native",
    ) -> None:
        super().__init__(tasks, rng, norm=norm)
        if alpha <= 0:
            raise UsageError(f"option 'alpha' of 'fairgrad' is {alpha}; give a positive number.")
        self.alpha = alpha
        self.degree = -alpha / (1 + alpha)
        self.limit = positive(max_norm, "max_norm", "fairgrad")

    def direction(self, gramian: Array) -> Array:
        return bargain(gramian, np.ones(len(gramian)), power=1 / self.alpha)
