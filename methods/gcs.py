"""GCS: an auxiliary counts on a batch only if its gradient agrees with the primary's.

An auxiliary has weight 1 if the cosine between its gradient and the primary's, over all shared
parameters, is positive, and weight 0 otherwise. With `weighted`, a positive cosine is itself the
weight. The primary has weight 1. An auxiliary's private parameters always get their own full
gradient, as in most public code.

Known flaws: gradients of many parameters are nearly orthogonal, so the weighted variant is close to
single-task training, and the gate is decided by the sign of noise. Public versions compute the
cosine on the last tensor of a block every 20 steps, or sum it over layers of gradients that were
never reset between tasks.

@misc{du2018gcs,
  author = {Du, Y. and Czarnecki, W. M. and Jayakumar, S. M. and Farajtabar, M. and Pascanu, R.
    and Lakshminarayanan, B.},
  title = {{Adapting Auxiliary Losses Using Gradient Similarity}},
  eprint = {1812.02224},
  archiveprefix = {arXiv},
  year = {2018},
  url = {https://arxiv.org/abs/1812.02224},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, GradientBalancer, Signals
from auxbench.spec.marks import Help


@METHODS.register
class GCS(GradientBalancer):
    """Gradient cosine similarity, as a gate or as a weight.

    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    >>> GCS(["a", "b"], torch.Generator()).weights(signals).tolist()
    [1.0, 1.0]
    >>> weighted = GCS(["a", "b"], torch.Generator(), weighted=True).weights(signals)
    >>> [round(w, 6) for w in weighted.tolist()]
    [1.0, 0.707107]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        weighted: Annotated[
            bool,
            Help(
                "Whether an auxiliary's weight is its cosine with the primary, rather "
                "than 1 where that is positive."
            ),
        ] = False,
    ) -> None:
        super().__init__(tasks, rng)
        self.weighted = weighted

    def weights(self, signals: Signals) -> Tensor:
        if self.weighted:
            gramian = signals.gramian
            lengths = gramian.diagonal().clamp(min=0).sqrt()
            products = lengths[0] * lengths
            weights = torch.where(products > 0, gramian[0] / products, 0.0).clamp(min=0, max=1)
        else:
            weights = (signals.inner > 0).double()
        weights[0] = 1.0
        return weights
