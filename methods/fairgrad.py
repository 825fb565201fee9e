"""FairGrad: alpha-fair gains, from the largest sum (alpha 0) to the best worst case (infinity).

With G the Gramian, the weights solve G w = w^(-1/alpha); alpha = 1 is Nash-MTL. The authors solve
this by general least squares. Here, damped Newton steps find the solution to full precision for
`alpha` from 0.1 to 10 and gradients whose lengths differ by up to six orders of magnitude. The
combined gradient is clipped to the length `max_norm`, as in the authors' code. If the gradients
cancel, no finite solution exists and all weights are 0.

Known flaws: as in Nash-MTL, there is no solution if some convex combination of the gradients
vanishes. The authors' code multiplies the gradient by the number of tasks before clipping it; a
public version neither multiplies nor clips, and weights the heads as well.

@inproceedings{ban2024fairgrad,
  author = {Ban, H. and Ji, K.},
  title = {{Fair Resource Allocation in Multi-Task Learning}},
  booktitle = {International Conference on Machine Learning (ICML)},
  year = {2024},
  url = {https://arxiv.org/abs/2402.15638},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch

from auxbench import METHODS
from auxbench.spec.marks import Bounds, Help, Positive, Tune

from ._gradient import GramianBalancer
from ._solvers import Array, bargain


@METHODS.register
class FairGrad(GramianBalancer):
    """Alpha-fair gains, computed on every batch.

    >>> from auxbench import Signals
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
        alpha: Annotated[
            float,
            Bounds(0.1, 10),
            Tune(0.5, 4, log=True),
            Help(
                "Degree of fairness: towards 0 the sum of gains counts, 1 is Nash-MTL, "
                "and the higher, the more the worst-served task counts."
            ),
        ] = 2.0,
        max_norm: Annotated[
            Positive | None,
            Help(
                "Greatest length of the combined gradient, to which a longer one is "
                "clipped; none does not clip."
            ),
        ] = 1.0,
    ) -> None:
        super().__init__(tasks, rng)
        self.alpha = alpha
        self.degree = -alpha / (1 + alpha)
        self.limit = max_norm

    def direction(self, gramian: Array) -> Array:
        return bargain(gramian, np.ones(len(gramian)), power=1 / self.alpha)
