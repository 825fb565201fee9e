"""Nash-MTL: the bargaining solution between the tasks, each of which values its own descent.

With G the Gramian, the weights solve G a = 1 / a, so that every task gets the same relative gain
regardless of its gradient's length. Damped Newton steps find the solution to full precision. The
combined gradient is clipped to the length `max_norm`, as in the authors' code. Since its own length
is the square root of the number of tasks, clipping makes it constant; max_norm=none turns this off.
The heads keep their own gradients. If the gradients cancel, there is no finite solution and all
weights are 0.

Known flaws: the length of the step is fixed and says nothing about the gradients, and there is no
solution if a convex combination of them vanishes. The authors' solver often stops early, the more
often the more tasks there are, and fails silently when a row of G sums to zero. The authors'
weights multiply the heads too.

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

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch

from auxbench import METHODS
from auxbench.spec.marks import Help, Positive, Tune

from ._gradient import GramianBalancer
from ._solvers import Array, bargain


@METHODS.register
class NashMTL(GramianBalancer):
    """The Nash bargaining solution, computed on every batch.

    >>> from auxbench import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> balancer = NashMTL(["a", "b"], torch.Generator(), max_norm=None)
    >>> [round(w, 6) for w in balancer.weights(signals).tolist()]
    [0.92388, 1.306563]
    """

    family = "gradient"
    degree = -0.5

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        max_norm: Annotated[
            Positive | None,
            Tune(0.3, 3, log=True),
            Help(
                "Greatest length of the combined gradient, to which a longer one is "
                "clipped; none does not clip."
            ),
        ] = 1.0,
    ) -> None:
        super().__init__(tasks, rng)
        self.limit = max_norm

    def direction(self, gramian: Array) -> Array:
        return bargain(gramian, np.ones(len(gramian)))
