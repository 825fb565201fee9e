"""UPGrad: the mean of the gradients, after each is projected so that it conflicts with no task.

The mean conflicts with no task either. Here the projections are exact, and a task without a
gradient on a batch is left out of the mean.

Known flaws: for two tasks it is half of PCGrad's sum, and for nearly orthogonal gradients it is the
plain mean, at 1 / T of the sum's length. The public version adds a small multiple of the identity
to the Gramian, which changes the result by about as much.

@misc{quinton2024upgrad,
  author = {Quinton, P. and Rey, V.},
  title = {{Jacobian Descent for Multi-Objective Optimization}},
  eprint = {2406.16232},
  archiveprefix = {arXiv},
  year = {2024},
  url = {https://arxiv.org/abs/2406.16232},
}
"""

from __future__ import annotations

import numpy as np

from auxbench import METHODS

from ._gradient import GramianBalancer
from ._solvers import Array, dual_cone_weights, inverse_lengths, unit_rows


@METHODS.register
class UPGrad(GramianBalancer):
    """Unconflicting projection of gradients, with equal preference for all tasks.

    >>> import torch
    >>> from auxbench import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> [round(w, 6) for w in UPGrad(["a", "b"], torch.Generator()).weights(signals).tolist()]
    [0.75, 1.0]
    """

    family = "gradient"

    def direction(self, gramian: Array) -> Array:
        lengths, rows = unit_rows(gramian)
        projected = [length * dual_cone_weights(rows, i) for i, length in enumerate(lengths)]
        return np.asarray(np.mean(projected, axis=0) * inverse_lengths(lengths))
