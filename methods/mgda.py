"""MGDA: the shortest convex combination of the gradients, which conflicts with no task.

Its negative descends all losses at once, or is zero if no loss can fall without another rising. A
task without a gradient, as on a batch without its labels, is left out, because the shortest
combination would otherwise always be zero. The active set is found exactly, and heads keep their
own gradients.

Known flaws: it follows the smallest gradient and neglects the tasks with large ones. The original
solver keeps weights away from 0 and 1 and fails on gradients longer than 1e4, and the original code
weights the heads too. Other public versions stop Frank-Wolfe early or multiply by the number of
tasks.

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
