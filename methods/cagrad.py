"""CAGrad: the direction near the mean gradient that helps the worst-served task most.

"Near" means inside a ball around the mean gradient whose radius is `c` times the mean gradient's
length. The problem is solved exactly through its dual, and the result has the length that the paper
gives it. A task without a gradient on a batch is also left out of the mean.

Known flaws: the result depends strongly on `c`, which gives the mean gradient at 0 and has to be
tuned. Public versions multiply the result by the number of tasks, divide it by 1 + c^2, or both, so
that one learning rate means different steps, and their solvers have a constant under the root.

@inproceedings{liu2021cagrad,
  author = {Liu, B. and Liu, X. and Jin, X. and Stone, P. and Liu, Q.},
  title = {{Conflict-Averse Gradient Descent for Multi-task Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2021},
  url = {https://arxiv.org/abs/2110.14048},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch

from auxbench import METHODS
from auxbench.spec.marks import Help, ProperShare, Tune

from ._gradient import GramianBalancer
from ._solvers import Array, unit_rows, worst_case_weights


@METHODS.register
class CAGrad(GramianBalancer):
    """Conflict-averse descent.

    >>> from auxbench import Signals
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
        c: Annotated[
            ProperShare,
            Tune(0.1, 0.9),
            Help(
                "Radius of the ball around the mean gradient, relative to its length; 0"
                " gives the mean gradient."
            ),
        ] = 0.5,
    ) -> None:
        super().__init__(tasks, rng)
        self.c = c

    def direction(self, gramian: Array) -> Array:
        lengths, rows = unit_rows(gramian)
        return worst_case_weights(lengths[:, None] * rows, self.c)
