"""Aux-NAS: branches with searched links both ways, of which those into the primary die out.

Features and gradients of the auxiliaries help the primary while the search lasts; the l1 penalty
on the auxiliary-to-primary links, `l1` at its height, closes them, so that the deployed network is
the primary branch alone. With `norm=batch:act=relu`, as in the paper's equations, one norm and
activation per block stays on it; the default has none, as in the released configuration, and
deploys the single-task network exactly.

The search starts with every link at 0.5, and its rate, at least `lr`, and its ramp are scaled to
the length of the run so that the links do close in a short one. `warmup` trains the single-task
branches for so many steps before; that cost is recorded apart. The published code starts elsewhere
and keeps fixed rates: that is `auxnas-official`.

Known flaws: the search doubles the passes and halves the data that the weights see in an epoch,
and a link that is still open at the end is cut all the same. The released fusion fails on the maps
of convolutional networks, its option for how fusions into the primary are initialised has no
effect, and its checkpoints are chosen on the test split.

Source: Y. Gao, W. Zhang, W. Luo, L. Ma, J.-G. Yu, G.-S. Xia, J. Ma, "Aux-NAS: Exploiting Auxiliary
Labels with Negligibly Extra Inference Cost", ICLR 2024, https://arxiv.org/abs/2405.05695
"""

from __future__ import annotations

from auxbench.architecture import Site
from auxbench.grammar import CountOrZero, NonNegative, Positive
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
        l1: NonNegative = 100.0,
        lr: Positive = 0.01,
        warmup: CountOrZero = 0,
    ) -> None:
        start = {"p2a": 0.5, "a2p": 0.5}
        super().__init__(site, links=links, norm=norm, act=act, start=start, warmup=warmup)
        self.l1 = l1
        self.lr = lr

    def schedule(self, steps: int) -> Schedule:
        return Schedule.scaled(steps, self.lr, self.l1)
