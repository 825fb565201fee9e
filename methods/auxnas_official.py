"""Aux-NAS in its released configuration: links into the primary start at 0.001, rates are fixed.

Where the published code differs from the paper's text the two are registered apart. Here the search
runs Adam at 1e-2 and the l1 penalty reaches 1000 between 50 and 80 % of the run, whatever its
length and whatever the size of the losses, and the weights are trained by Adam at 1e-4 without
weight decay, both decaying as (1 - t)^0.9, as in https://github.com/ethanygao/Aux-NAS. The release
also starts from single-task training (`warmup`) and weighs its two losses 20 to 1, which is
`auxnas-official+static:normals=20` here; it trains with batches of 20.

Known flaws: in a short run its fixed rates leave links open that deployment drops, and the rate of
the weights belongs to pretrained branches. Links into the primary start all but closed, so that the
auxiliaries hardly reach it unless the search opens them.

@inproceedings{gao2024auxnas,
  author = {Gao, Y. and Zhang, W. and Luo, W. and Ma, L. and Yu, J.-G. and Xia, G.-S. and Ma, J.},
  title = {{Aux-NAS: Exploiting Auxiliary Labels with Negligibly Extra Inference Cost}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2024},
  url = {https://arxiv.org/abs/2405.05695},
}
"""

from __future__ import annotations

from types import MappingProxyType

from auxbench import METHODS, Builder, Context, Phase

from ._linked.fusion import Activation, Norm
from ._linked.links import Direction, Links
from ._linked.searched import SearchedBranches, WarmUp
from .auxnas import Schedule, Search


@METHODS.register
class AuxNASOfficial(SearchedBranches):
    """Searched links with the released schedules and learning rates."""

    fixed = MappingProxyType(
        {
            "optimizer": "adam",
            "learning_rate": 1e-4,
            "weight_decay": 0.0,
            "schedule": "poly",
            "warm_up": 0.0,
        }
    )

    def __init__(
        self,
        builder: Builder,
        *,
        links: Links = "block",
        norm: Norm = "none",
        act: Activation = "none",
        warmup: WarmUp = 0,
    ) -> None:
        start: dict[Direction, float] = {"p2a": 0.5, "a2p": 0.001}
        super().__init__(builder, start=start, links=links, norm=norm, act=act, warmup=warmup)

    def phases(self, context: Context) -> list[Phase]:
        schedule = Schedule(0.01, (0.9, 0.999), 1000.0, ramp=(0.5, 0.8))
        return [Search(context, self, schedule)] if self.logits else []
