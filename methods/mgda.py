"""MGDA: the shortest convex combination of the gradients, which no task objects to.

Its negative descends all losses at once, or is zero where none can fall without another rising.
A task without a gradient, as on a batch without labels for it, is left out: with it the shortest
combination would always be zero. The active set is found exactly, and the heads keep their own
gradient.

Known flaws: it follows the smallest gradient and starves the tasks of large ones. The original
solver keeps weights off 0 and 1 and fails on gradients longer than 1e4, other public versions stop
Frank-Wolfe early or multiply by the number of tasks, and the original weighs the heads too.

@inproceedings{sener2018mgda,
  author = {Sener, O. and Koltun, V.},
  title = {{Multi-Task Learning as Multi-Objective Optimization}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2018},
  url = {https://arxiv.org/abs/1810.04650},
}
"""

from __future__ import annotations

from auxbench import METHODS

from ._gradient import GramianBalancer
from ._solvers import Array, simplex_minimum, unit_rows


@METHODS.register
class MGDA(GramianBalancer):
    """The multiple-gradient descent algorithm on the shared parameters, without normalisation.

    >>> import torch
    >>> from auxbench import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> [round(w, 6) for w in MGDA(["a", "b"], torch.Generator()).weights(signals).tolist()]
    [0.4, 0.6]
    """

    family = "gradient"

    def direction(self, gramian: Array) -> Array:
        lengths, rows = unit_rows(gramian)
        return simplex_minimum(lengths[:, None] * rows)
