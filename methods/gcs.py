"""GCS: an auxiliary counts on a batch only if its gradient points the primary's way.

The weight of an auxiliary is 1 where the cosine of its gradient with the primary's, over all
shared parameters, is positive, and 0 otherwise; with `weighted` it is the cosine itself. The
primary has weight 1. An auxiliary's private parameters always get their full own gradient, as in
most public code.

Known flaws: gradients of many parameters are nearly orthogonal, so the weighted variant is close to
single-task training, and the gate decides by the sign of noise. Public versions take the cosine on
the last tensor of a block every 20 steps, or sum it over layers of gradients that were never reset
between tasks.

Source: Y. Du, W. M. Czarnecki, S. M. Jayakumar, M. Farajtabar, R. Pascanu, B. Lakshminarayanan,
"Adapting Auxiliary Losses Using Gradient Similarity", arXiv 2018, https://arxiv.org/abs/1812.02224
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from auxbench import METHODS, Signals

from ._gradient import Norm, NormedBalancer


@METHODS.register
class GCS(NormedBalancer):
    """Gradient cosine similarity, as a gate or as a weight.

    * `weighted`: Whether an auxiliary's weight is its cosine with the primary, rather than 1 where
      that is positive.

    >>> signals = Signals.of([1.0, 1.0], torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    >>> GCS(["a", "b"], torch.Generator()).weights(signals).tolist()
    [1.0, 1.0]
    >>> weighted = GCS(["a", "b"], torch.Generator(), weighted=True).weights(signals)
    >>> [round(w, 6) for w in weighted.tolist()]
    [1.0, 0.707107]
    """

    family = "auxiliary"
    asymmetric = True
    reads = frozenset({"inner"})  # as a gate; cosines and lengths take the whole Gramian

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        weighted: bool = False,
        norm: Norm = "native",
    ) -> None:
        super().__init__(tasks, rng, norm=norm)
        self.weighted = weighted
        if weighted or norm != "native":
            self.reads = frozenset({"gramian"})

    def weights(self, signals: Signals) -> Tensor:
        if "inner" in self.reads:
            gate = (signals.inner > 0).double()
            gate[0] = 1.0
            return gate
        gramian = signals.gramian
        lengths = gramian.diagonal().clamp(min=0).sqrt()
        products = lengths[0] * lengths
        cosines = torch.where(products > 0, gramian[0] / products, 0.0).clamp(min=0, max=1)
        weights = cosines if self.weighted else (cosines > 0).double()
        weights[0] = 1.0
        return self.normed(weights, gramian)
