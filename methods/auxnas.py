"""Aux-NAS: branches with searched links both ways, of which those into the primary die out.

Features and gradients of the auxiliaries help the primary while the search lasts; the l1 penalty
on the auxiliary-to-primary links closes them, so that the deployed network is the primary branch
alone. With `norm=batch:act=relu`, as in the paper's equations, one norm and activation per block
stays on it; the default has none, as in the released configuration, and deploys the single-task
network exactly.

The search starts with every link at 0.5, and its rate and ramp are scaled to the length of the run
so that the links do close in a short one. `warmup` trains the single-task branches for so many
steps before; that cost is recorded apart. The published code starts elsewhere and keeps fixed
rates: that is `auxnas-official`.

Source: Y. Gao et al., "Aux-NAS: Exploiting Auxiliary Labels with Negligibly Extra
Inference Cost", ICLR 2024, https://arxiv.org/abs/2405.05695
"""

from __future__ import annotations

from auxbench.architecture import Site
from auxbench.registry import METHODS

from ._links import ActivationName, Level, NormName
from ._search import Schedule, SearchedBranches


@METHODS.register
class AuxNAS(SearchedBranches):
    """Searched links; forward: images [B, 3, H, W] -> {task: prediction}."""

    family = "architecture"

    def __init__(
        self,
        site: Site,
        *,
        links: Level = "block",
        norm: NormName = "none",
        act: ActivationName = "none",
        l1: float = 100.0,
        lr: float = 0.01,
        warmup: int = 0,
    ) -> None:
        start = {"p2a": 0.5, "a2p": 0.5}
        super().__init__(site, links=links, norm=norm, act=act, start=start, warmup=warmup)
        self.l1 = l1
        self.lr = lr

    def schedule(self, steps: int) -> Schedule:
        return Schedule.scaled(steps, self.lr, self.l1)
