"""ConFIG: equal cosines to all gradients, with the sum of their projections as the length.

The cosines are positive, so all losses fall. If the gradients allow no such direction, the
least-squares solution is used, and if that vanishes, all weights are 0. The authors' second
variant, which uses one task per step and keeps momenta, is not implemented.

Known flaws: gradients of insufficient rank allow no equal cosines, only a least-squares compromise.
For nearly orthogonal gradients, the direction is that of IMTL-G, Nash-MTL and Aligned-MTL, and only
the length differs.

@inproceedings{liu2025config,
  author = {Liu, Q. and Chu, M. and Thuerey, N.},
  title = {{ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2025},
  url = {https://arxiv.org/abs/2408.11104},
}
"""

from __future__ import annotations

import numpy as np

from auxbench import METHODS

from ._gradient import GramianBalancer
from ._solvers import Array, equal_projections, inverse_lengths, unit_rows


@METHODS.register
class ConFIG(GramianBalancer):
    """Conflict-free inverse gradients with equal preference for all tasks.

    >>> import torch
    >>> from auxbench import Signals
    >>> rows = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
    >>> weights = ConFIG(["a", "b"], torch.Generator()).weights(Signals.of([1.0, 1.0], rows))
    >>> [round(d, 6) for d in (weights @ rows.double()).tolist()]
    [0.5, 1.207107]
    """

    family = "gradient"

    def direction(self, gramian: Array) -> Array:
        lengths, rows = unit_rows(gramian)
        weights = equal_projections(rows)
        if weights is None:
            return np.zeros(len(gramian))
        combined = weights @ rows
        projections = lengths @ rows @ combined
        return weights * inverse_lengths(lengths) * projections / (combined @ combined)
