"""ARML: auxiliary weights that make the weighted auxiliary gradients sum to the primary's.

On one batch in `every`, the weights take a step with learning rate `rate` down
|g_p - sum alpha_a g_a|^2, whose derivative needs only the Gramian. They are then projected onto
non-negative values that sum to the number of auxiliaries. The weights multiply the losses, so they
also scale the gradients of the auxiliaries' private parameters. The primary keeps weight 1. The
optional noise on the model's steps is left out; it is off in the authors' code as well.

Known flaws: a step of the weights is proportional to squared gradient lengths, so no single rate
suits all losses. The authors' code skips the model's step on the batches that the weights learn
from, drops the last tensors from the gradients, and clamps the weights after normalising their sum,
which undoes the normalisation. A copy in the code of ForkMerge neither projects nor clamps.

@inproceedings{shi2020arml,
  author = {Shi, B. and Hoffman, J. and Saenko, K. and Darrell, T. and Xu, H.},
  title = {{Auxiliary Task Reweighting for Minimum-data Learning}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2020},
  url = {https://arxiv.org/abs/2010.08244},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Balancer, Signals
from auxbench.spec.marks import Count, Help, Positive, Tune


@METHODS.register
class ARML(Balancer):
    """Auxiliary reweighting.

    >>> rows = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 1.0]])
    >>> balancer = ARML(["a", "b", "c"], torch.Generator())
    >>> balancer.weights(Signals.of([1.0, 1.0, 1.0], rows)).tolist()
    [1.0, 1.0, 1.0]
    >>> [round(w, 6) for w in balancer.current.tolist()]
    [1.0, 1.1, 0.9]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        every: Annotated[
            Count,
            Help(
                "Batches from one learning step of the weights to the next; only those "
                "cost T backward passes."
            ),
        ] = 20,
        rate: Annotated[
            Positive, Tune(0.005, 0.5, log=True), Help("Learning rate of the weights.")
        ] = 0.05,
    ) -> None:
        super().__init__(tasks, rng)
        self.every = every
        self.rate = rate
        self.current: Tensor
        self.seen: Tensor
        self.register_buffer("current", torch.ones(len(tasks), dtype=torch.float64))
        self.register_buffer("seen", torch.tensor(0))

    @property
    def period(self) -> int:
        return self.every

    def weights(self, signals: Signals) -> Tensor:
        weights = self.current.clone()
        if self.seen % self.every == 0:
            gramian = signals.gramian
            slope = 2 * (gramian[1:, 1:] @ self.current[1:] - gramian[1:, 0])
            if slope.isfinite().all():
                self.current[1:] = onto_simplex(self.current[1:] - self.rate * slope)
        self.seen += 1
        return weights


def onto_simplex(point: Tensor) -> Tensor:
    """The closest point [K] with non-negative entries that sum to K.

    >>> onto_simplex(torch.tensor([5.0, 1.0])).tolist()
    [2.0, 0.0]
    """
    if not len(point):
        return point
    point = point - point.max()  # the result is the same, and large values would absorb the sum
    ordered = point.sort(descending=True).values
    counts = torch.arange(1, len(point) + 1, dtype=point.dtype)
    shifts = (len(point) - ordered.cumsum(dim=0)) / counts
    shift = shifts[ordered + shifts > 0][-1]
    return (point + shift).clamp(min=0)
