"""Aux-NAS: branches with searched links both ways, of which those into the primary die out.

Features and gradients of the auxiliaries help the primary while the search lasts; an l1 penalty
closes the auxiliary-to-primary links, so that the deployed network is the primary branch alone.
With `norm=batch:act=relu`, as in the paper's equations, one norm and activation per block stays on
it; the default has none, as in the released configuration, and deploys the single-task network
exactly.

`l1` is the penalty's height, for the sum over the auxiliaries of the mean strength of their links,
in units of the mean weighed loss: neither the number of auxiliaries nor the size of the losses
decides how fast links close. While it is ramped up, between 30 and 60 % of the run, a ceiling on
these strengths falls to 0, because links that the losses hold open would otherwise be dropped while
the primary depends on them. The paper has the penalty alone.

`lr` is the search's learning rate; none sets it to 80 / steps and at least 0.01, fast enough for a
run of any length. `directions=p2a` searches links from the primary to the auxiliaries only, from
the start: the ablation without the auxiliaries' features. The search starts with every link at 0.5.
`warmup` trains the single-task branches for so many steps before; that cost is recorded apart. The
published code starts elsewhere, and its penalty and rates are fixed: that is `auxnas-official`.

Known flaws: the search doubles the passes and halves the data that the weights see in an epoch. A
link that is still open at the end is dropped all the same, which the record and the boards say. The
released fusion fails on the maps of convolutional networks, its option for how fusions into the
primary are initialised has no effect, and its checkpoints are chosen on the test split.

Source: Y. Gao, W. Zhang, W. Luo, L. Ma, J.-G. Yu, G.-S. Xia, J. Ma, "Aux-NAS: Exploiting Auxiliary
Labels with Negligibly Extra Inference Cost", ICLR 2024, https://arxiv.org/abs/2405.05695
"""

from __future__ import annotations

from typing import Literal

from auxbench import METHODS, Builder
from auxbench.spec.grammar import CountOrZero, NonNegative, Positive

from ._linked.branches import ActivationName, Direction, Level, NormName
from ._linked.search import Schedule, SearchedBranches


@METHODS.register
class AuxNAS(SearchedBranches):
    """Searched links; forward: images [B, 3, H, W] -> {task: prediction}.

    * `directions`: Directions in which links are searched: both, or only from the primary to the
      auxiliaries (p2a).
    * `l1`: Height of the penalty on links into the primary, per auxiliary, in units of the mean
      weighed loss.
    * `lr`: Learning rate of the search; by default 80 / steps and at least 0.01.
    """

    def __init__(
        self,
        builder: Builder,
        *,
        links: Level = "block",
        norm: NormName = "none",
        act: ActivationName = "none",
        directions: Literal["both", "p2a"] = "both",
        l1: NonNegative = 100.0,
        lr: Positive | None = None,
        warmup: CountOrZero = 0,
    ) -> None:
        searched: tuple[Direction, ...] = ("p2a",) if directions == "p2a" else ("p2a", "a2p")
        start = dict.fromkeys(searched, 0.5)
        super().__init__(builder, start=start, links=links, norm=norm, act=act, warmup=warmup)
        self.l1 = l1
        self.lr = lr

    def schedule(self, steps: int) -> Schedule:
        return Schedule.scaled(steps, self.lr, self.l1)
