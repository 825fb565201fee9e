"""DB-MTL: logarithms of the losses, and averaged gradients scaled to the largest norm among them.

Loss scales are removed by descending on log L. Gradient scales are removed by scaling every task's
moving average of grad log L to the largest norm among them; the step is the sum of the scaled
averages. `beta` is the decay of the moving averages; beta=0 uses the gradients of the batch.
Private parameters follow the gradient of log L.

Known flaws: the averages hold a copy of the shared gradients per task. Since they start at zero
without bias correction, both in the published code and here, the first steps are too short by the
factor 1 - beta. Since only shared gradients are balanced, heads and backbone learn at different
speeds.

@misc{lin2023dbmtl,
  author = {Lin, B. and Jiang, W. and Ye, F. and Zhang, Y. and Chen, P. and Chen, Y.-C. and Liu,
    S. and Kwok, J. T.},
  title = {{Dual-Balancing for Multi-Task Learning}},
  eprint = {2308.12029},
  archiveprefix = {arXiv},
  year = {2023},
  url = {https://arxiv.org/abs/2308.12029},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from auxbench import METHODS, Balancer, Signals
from auxbench.spec.marks import Help, ProperShare, Tune
from auxbench.training.signals import Row

FLOOR = 1e-8


@METHODS.register
class DBMTL(Balancer):
    """Dual balancing; a single task is left unchanged.

    >>> balancer = DBMTL(["a", "b"], torch.Generator(), beta=0.0)
    >>> rows = balancer.edit([(torch.tensor([2.0, 0.0]),), (torch.tensor([0.0, 0.5]),)])
    >>> [row[0].tolist() for row in rows]
    [[2.0, 0.0], [0.0, 2.0]]
    """

    family = "gradient"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        beta: Annotated[
            ProperShare,
            Tune(0.5, 0.99),
            Help("Memory of the gradients' moving averages; 0 takes the gradients of the batch."),
        ] = 0.9,
    ) -> None:
        super().__init__(tasks, rng)
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
        self.means = [  # a checkpoint restores them on the CPU
            [m if m is None or g is None else m.to(g) for m, g in zip(mean, row, strict=True)]
            for mean, row in zip(self.means, rows, strict=True)
        ]
        for mean, row in zip(self.means, rows, strict=True):
            for average, gradient in zip(mean, row, strict=True):
                if average is not None and gradient is not None:
                    average.mul_(self.beta).add_(gradient, alpha=1 - self.beta)
        norms = _norms(self.means)
        factors = torch.where(norms > 0, norms.max() / torch.where(norms > 0, norms, 1.0), 0.0)
        return [
            tuple(None if m is None else m * factor for m in mean)
            for mean, factor in zip(self.means, factors.tolist(), strict=True)
        ]

    def extra(self) -> dict[str, Any]:
        return {"means": self.means}

    def load_extra(self, state: dict[str, Any]) -> None:
        self.means = state["means"]


def _norms(rows: Sequence[Sequence[Tensor | None]]) -> Tensor:
    """The lengths of rows: [T], float64, on the CPU; a GPU is waited for once."""
    device = next((g.device for row in rows for g in row if g is not None), None)
    zero = torch.zeros((), dtype=torch.float64, device=device)
    sums = [[g.double().square().sum() for g in row if g is not None] for row in rows]
    return torch.stack([torch.stack(row or [zero]).sum().sqrt() for row in sums]).cpu()
