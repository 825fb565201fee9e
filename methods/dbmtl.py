"""DB-MTL: logarithms of the losses, and averaged gradients of the length of the largest one.

Loss scale is taken out by descending on log L, gradient scale by bringing every task's moving
average of grad log L to the largest norm among them; their sum is the step. `beta` is the memory of
the averages, which start at zero without a correction as in the published code, so the first steps
are short; beta=0 uses the gradients of the batch. The averages hold a copy of the shared gradients
per task. Private parameters follow the gradient of log L.

Source: B. Lin, W. Jiang, F. Ye, Y. Zhang, P. Chen, Y.-C. Chen, S. Liu, J. T. Kwok, "Dual-Balancing
for Multi-Task Learning", 2023, https://arxiv.org/abs/2308.12029
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from auxbench.balancer import Balancer
from auxbench.errors import UsageError
from auxbench.gradients import Row, Signals
from auxbench.registry import METHODS

FLOOR = 1e-8


@METHODS.register
class DBMTL(Balancer):
    """Dual balancing; a single task is left as it is.

    >>> balancer = DBMTL(["a", "b"], torch.Generator(), beta=0.0)
    >>> rows = balancer.edit([(torch.tensor([2.0, 0.0]),), (torch.tensor([0.0, 0.5]),)])
    >>> [row[0].tolist() for row in rows]
    [[2.0, 0.0], [0.0, 2.0]]
    """

    family = "gradient"
    reads = frozenset({"rows"})
    scales_private = True
    edits = True

    def __init__(self, tasks: Sequence[str], rng: torch.Generator, *, beta: float = 0.9) -> None:
        super().__init__(tasks, rng)
        if not 0 <= beta < 1:
            raise UsageError(f"option 'beta' of 'dbmtl' is {beta:g}; give 0 or more, below 1.")
        self.beta = beta
        self.means: list[list[Tensor | None]] = []

    def weights(self, signals: Signals) -> Tensor:
        losses = signals.losses
        return 1 / losses.clamp(min=FLOOR) if len(losses) > 1 else torch.ones_like(losses)

    def edit(self, rows: Sequence[Row]) -> Sequence[Row]:
        if len(rows) == 1:
            return rows
        fits = [[g is None for g in row] for row in rows]
        if [[m is None for m in mean] for mean in self.means] != fits:
            self.means = [[None if g is None else torch.zeros_like(g) for g in r] for r in rows]
        for mean, row in zip(self.means, rows, strict=True):
            for average, gradient in zip(mean, row, strict=True):
                if average is not None and gradient is not None:
                    average.mul_(self.beta).add_(gradient.to(average), alpha=1 - self.beta)
        norms = torch.stack([_norm(mean) for mean in self.means])
        factors = torch.where(norms > 0, norms.max() / torch.where(norms > 0, norms, 1.0), 0.0)
        return [
            tuple(None if m is None else m * factor for m in mean)
            for mean, factor in zip(self.means, factors.tolist(), strict=True)
        ]

    def extra(self) -> dict[str, Any]:
        return {"means": self.means}

    def load_extra(self, state: dict[str, Any]) -> None:
        self.means = state["means"]


def _norm(row: Sequence[Tensor | None]) -> Tensor:
    squares = [g.double().square().sum().cpu() for g in row if g is not None]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros((), dtype=torch.float64)
