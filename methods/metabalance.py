"""MetaBalance: auxiliary gradients are scaled towards the primary's magnitude, tensor by tensor.

Let m be a moving average, with decay `beta`, of the norm of a task's gradient in one tensor. An
auxiliary gradient is multiplied by r m_primary / m_auxiliary + 1 - r, and the primary's is left
unchanged. A zero gradient stays zero.

Known flaws: only magnitudes are balanced, so an auxiliary that opposes the primary does so at the
primary's own magnitude. Public code attaches its averages to the parameters, where checkpoints miss
them, divides by zero norms, and skips all later tensors after a missing gradient.

@inproceedings{he2022metabalance,
  author = {He, Y. and Feng, X. and Cheng, C. and Ji, G. and Guo, Y. and Caverlee, J.},
  title = {{MetaBalance: Improving Multi-Task Recommendations via Adapting Gradient Magnitudes
    of Auxiliary Tasks}},
  booktitle = {ACM Web Conference (WWW)},
  year = {2022},
  url = {https://arxiv.org/abs/2203.06801},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from auxbench import METHODS, GradientBalancer
from auxbench.spec.marks import Help, ProperShare, Share, Tune
from auxbench.training.signals import Row


@METHODS.register
class MetaBalance(GradientBalancer):
    """Auxiliary gradients relaxed towards the primary's magnitude.

    >>> balancer = MetaBalance(["a", "b"], torch.Generator())
    >>> rows = balancer.edit([(torch.tensor([3.0, 4.0]),), (torch.tensor([0.0, 1.0]),)])
    >>> [round(value, 3) for value in rows[1][0].tolist()]
    [0.0, 3.8]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        r: Annotated[
            Share,
            Tune(0, 1),
            Help(
                "Share by which an auxiliary's gradient takes the primary's magnitude; "
                "0 leaves it as it is."
            ),
        ] = 0.7,
        beta: Annotated[
            ProperShare, Help("Memory of the moving averages of the magnitudes.")
        ] = 0.9,
    ) -> None:
        super().__init__(tasks, rng)
        self.r = r
        self.beta = beta
        self.means = torch.zeros(len(tasks), 0, dtype=torch.float64)

    def edit(self, rows: Sequence[Row]) -> Sequence[Row]:
        device = next((g.device for row in rows for g in row if g is not None), None)
        parts = [_norm(g, device) for row in rows for g in row]
        norms = torch.stack(parts).cpu().reshape(len(rows), -1)  # a GPU is waited for once
        if self.means.shape != norms.shape:
            self.means = torch.zeros_like(norms)
        self.means = self.beta * self.means + (1 - self.beta) * norms
        # A task that has had no gradient in a tensor has nothing to scale there.
        ratios = self.means[0] / torch.where(self.means > 0, self.means, torch.inf)
        factors = torch.where(self.means > 0, self.r * ratios + 1 - self.r, 1.0)
        factors[0] = 1.0
        # The primary sets no magnitude for shared parameters in which it has no gradient.
        factors[:, [g is None for g in rows[0]]] = 1.0
        return [
            tuple(None if g is None else g * f for g, f in zip(row, line, strict=True))
            for row, line in zip(rows, factors.tolist(), strict=True)
        ]

    def extra(self) -> dict[str, Any]:
        return {"means": self.means}

    def load_extra(self, state: dict[str, Any]) -> None:
        self.means = state["means"]


def _norm(gradient: Tensor | None, device: torch.device | None) -> Tensor:
    if gradient is None:
        return torch.zeros((), dtype=torch.float64, device=device)
    norm: Tensor = gradient.norm()
    return norm.double()
