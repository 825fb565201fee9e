"""Aligned-MTL: the gradients are turned into an orthogonal system of equal lengths, then summed.

All principal components of the Gramian are brought to one scale (`scale`): that of the smallest
non-zero one, as published, or their median or root mean square. The median of an even number is the
lower middle one. As in the authors' code, all task preferences are 1. The paper's cheaper variant,
which works on a shared representation, is not implemented.

Known flaws: with the smallest component as the scale, the step shrinks as the gradients become more
alike, and for nearly orthogonal gradients the rule differs from other equalising rules only in the
length of its step. Public versions divide by the number of tasks, or call a routine that PyTorch no
longer has.

@inproceedings{senushkin2023alignedmtl,
  author = {Senushkin, D. and Patakin, N. and Kuznetsov, A. and Konushin, A.},
  title = {{Independent Component Alignment for Multi-Task Learning}},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2023},
  url = {https://arxiv.org/abs/2305.19000},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch

from auxbench import METHODS
from auxbench.spec.marks import Help

from ._gradient import GramianBalancer
from ._solvers import Array, rank, unit_rows

ROUNDING = float(np.finfo(np.float64).eps)


@METHODS.register
class AlignedMTL(GramianBalancer):
    """Alignment of the gradients' principal components.

    >>> from auxbench import Signals
    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[2.0, 0.0], [-1.0, 1.0]]))
    >>> [round(w, 6) for w in AlignedMTL(["a", "b"], torch.Generator()).weights(signals).tolist()]
    [0.82918, 1.105573]
    """

    family = "gradient"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        scale: Annotated[
            Literal["min", "median", "rmse"],
            Help(
                "Length that all principal components get: their smallest, their "
                "median, or their root mean square."
            ),
        ] = "min",
    ) -> None:
        super().__init__(tasks, rng)
        self.scale = scale

    def direction(self, gramian: Array) -> Array:
        _, rows = unit_rows(gramian)
        eigenvalues, vectors = np.linalg.eigh(gramian)
        # A short gradient is not noise of a long one: its precision is relative to its own length.
        first = max(
            len(gramian) - rank(rows),
            int(np.searchsorted(eigenvalues, ROUNDING * len(gramian) * eigenvalues[-1])),
        )
        eigenvalues, vectors = eigenvalues[first:], vectors[:, first:]
        common = {
            "min": eigenvalues[0],
            "median": eigenvalues[(len(eigenvalues) - 1) // 2],
            "rmse": eigenvalues.mean(),
        }[self.scale]
        weights: Array = vectors @ (np.sqrt(common / eigenvalues) * vectors.sum(axis=0))
        return weights
