"""CAGrad: near the mean gradient, the direction that helps the worst-served task most.

"Near" is a ball around the mean gradient whose radius is `c` times its length. The problem is
solved exactly through its dual, not by a general optimiser with a constant under the root. The
result is the paper's; public versions differ, multiplying it by the number of tasks, dividing it
by 1 + c^2, or both.

Source: B. Liu, X. Liu, X. Jin, P. Stone, Q. Liu, "Conflict-Averse Gradient Descent for Multi-task
Learning", NeurIPS 2021, https://arxiv.org/abs/2110.14048
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from auxbench.errors import UsageError
from auxbench.registry import METHODS

from ._gradient import GradientBalancer, Norm
from ._solvers import Array, unit_rows, worst_case_weights


@METHODS.register
class CAGrad(GradientBalancer):
    """Conflict-averse descent with relative radius `c`, from 0 (the mean gradient) to below 1.

    >>> from auxbench.gradients import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> [round(w, 6) for w in CAGrad(["a", "b"], torch.Generator()).weights(signals).tolist()]
    [0.5, 0.75]
    """

    family = "gradient"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        c: float = 0.5,
        norm: Norm = "native",
    ) -> None:
        super().__init__(tasks, rng, norm=norm)
        if not 0 <= c < 1:
            raise UsageError(f"option 'c' of 'cagrad' is {c}; give at least 0 and less than 1.")
        self.c = c

    def direction(self, gramian: Array) -> Array:
        lengths, rows = unit_rows(gramian)
        return worst_case_weights(lengths[:, None] * rows, self.c)
