"""Auxiliary tasks share one weight, which falls as the primary's loss does.

An example of a method in a package of its own: the weight of every auxiliary is `share` times the
primary's loss, and at most 1.

@misc{author2026sunny,
  author = {Author, A.},
  title = {{A Rule for an Example}},
  year = {2026},
  url = {https://example.org/put-a-link},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import Balancer, Signals
from auxbench.spec.marks import Help, NonNegative


class Rule(Balancer):
    """Weights from the primary's loss.

    >>> rule = Rule(["a", "b"], torch.Generator())
    >>> rule.weights(Signals.of([0.5, 3.0], torch.eye(2))).tolist()
    [1.0, 0.25]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        share: Annotated[NonNegative, Help("Weight of an auxiliary per unit of loss.")] = 0.5,
    ) -> None:
        super().__init__(tasks, rng)
        self.share = share

    def weights(self, signals: Signals) -> Tensor:
        weights = (self.share * signals.losses[:1]).clamp(max=1).expand_as(signals.losses).clone()
        weights[0] = 1.0
        return weights
