"""IMTL-G: the combination whose projections onto all tasks' unit gradients are equal.

The weights sum to 1. If every such combination is zero, all weights are 0. A pseudo-inverse handles
parallel gradients, and heads keep their own gradients.

Known flaws: weights may be negative. If the gradients point in nearly opposite directions, the
combination increases the primary's loss; the paper allows this, and so does this version. Public
versions invert a matrix that is singular for parallel gradients, weight the heads as well, or offer
no way to leave out the loss-balancing half.

@inproceedings{liu2021imtlg,
  author = {Liu, L. and Li, Y. and Kuang, Z. and Xue, J.-H. and Chen, Y. and Yang, W. and Liao,
    Q. and Zhang, W.},
  title = {{Towards Impartial Multi-task Learning}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2021},
  url = {https://openreview.net/forum?id=IMPnRXEWpvr},
}
"""

from __future__ import annotations

import numpy as np

from auxbench import METHODS

from ._gradient import GramianBalancer
from ._solvers import Array, equal_projections, inverse_lengths, unit_rows


@METHODS.register
class IMTLG(GramianBalancer):
    """Impartial gradients, without the paper's loss-balancing half.

    >>> import torch
    >>> from auxbench import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> [round(w, 6) for w in IMTLG(["a", "b"], torch.Generator()).weights(signals).tolist()]
    [0.414214, 0.585786]
    """

    family = "gradient"

    def direction(self, gramian: Array) -> Array:
        lengths, rows = unit_rows(gramian)
        weights = equal_projections(rows)
        if weights is None:
            return np.zeros(len(gramian))
        weights = weights * inverse_lengths(lengths)
        total = weights.sum()
        # Weights that cancel cannot be made to sum to 1.
        if abs(total) <= 1e-12 * np.abs(weights).sum():
            return np.zeros(len(gramian))
        return np.asarray(weights / total)
