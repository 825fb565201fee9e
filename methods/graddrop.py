"""GradDrop: every coordinate keeps the gradients of one sign, drawn with that sign's probability.

For each coordinate of the shared parameters, P = (1 + sum g / sum |g|) / 2 is the purity of the
positive sign. If a uniform draw is below P, the positive parts of all tasks are kept and the
negative ones dropped; otherwise the reverse. In expectation, the result is the plain sum. `leak` is
the share of every gradient that always passes. The paper masks the gradients of a shared
representation, after multiplying by its signs. Like most public versions, this one masks the
gradients of the shared parameters, so that it also works if tasks share no single representation.

Known flaws: since its expectation is the plain sum, all that it adds is noise, and it needs the
individual gradients, T copies of the shared ones. One public version draws one sign for a whole
tensor, and another restores the norm of the sum.

@inproceedings{chen2020graddrop,
  author = {Chen, Z. and Ngiam, J. and Huang, Y. and Luong, T. and Kretzschmar, H. and Chai, Y.
    and Anguelov, D.},
  title = {{Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year = {2020},
  url = {https://arxiv.org/abs/2010.06808},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, GradientBalancer
from auxbench.spec.marks import Help, Share, Tune
from auxbench.training.signals import Row


@METHODS.register
class GradDrop(GradientBalancer):
    """Gradient sign dropout on the shared parameters; private ones keep their own gradient.

    >>> balancer = GradDrop(["a", "b"], torch.Generator().manual_seed(0))
    >>> rows = balancer.edit([(torch.tensor([2.0, 0.0]),), (torch.tensor([-1.0, 1.0]),)])
    >>> sum(row[0] for row in rows).tolist()
    [2.0, 1.0]
    """

    family = "gradient"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        leak: Annotated[
            Share, Tune(0, 1), Help("Share of every gradient that always passes.")
        ] = 0.0,
    ) -> None:
        super().__init__(tasks, rng)
        self.leak = leak

    def edit(self, rows: Sequence[Row]) -> Sequence[Row]:
        draws = self._draws(next((g.device for row in rows for g in row if g is not None), None))
        columns = [self._masked(column, draws) for column in zip(*rows, strict=True)]
        return list(zip(*columns, strict=True))

    def _draws(self, device: torch.device | None) -> torch.Generator:
        """The generator of this batch's draws; a GPU draws its own, since there are millions."""
        if device is None or device.type == "cpu":
            return self.rng
        (seed,) = torch.randint(2**62, (1,), generator=self.rng).tolist()
        return torch.Generator(device).manual_seed(seed)

    def _masked(
        self, column: Sequence[Tensor | None], draws: torch.Generator
    ) -> list[Tensor | None]:
        gradients = torch.stack([g for g in column if g is not None])
        total, length = gradients.sum(dim=0), gradients.abs().sum(dim=0)
        purity = 0.5 * (1 + total / torch.where(length > 0, length, 1.0))
        draw = torch.rand(purity.shape, generator=draws, device=draws.device)
        positive = draw < purity
        kept: list[Tensor | None] = []
        for gradient in column:
            if gradient is None:
                kept.append(None)
                continue
            mask = (positive == (gradient > 0)).to(gradient.dtype)
            kept.append(gradient * (self.leak + (1 - self.leak) * mask))
        return kept
