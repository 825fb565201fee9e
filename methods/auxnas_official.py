"""Aux-NAS as released: links into the primary start at 0.001, and learning rates are fixed.

The published code differs from the paper's text, so the two are registered separately. Here the
search uses Adam at 1e-2, and the l1 penalty rises to 1000 between 50 and 80 % of the run,
regardless of the run's length and the scale of the losses. The network weights are trained by Adam
at 1e-4 without weight decay. Both learning rates decay as (1 - t)^0.9, as in
https://github.com/ethanygao/Aux-NAS. The release also starts from single-task training (`warmup`),
trains with batches of 20, and weights its two losses 20 to 1, which here is
`auxnas-official+static:normals=20`.

Known flaws: in a short run, its fixed learning rates leave links open that deployment drops, and
the rate of the network weights is meant for pretrained branches. Links into the primary start
almost closed, so the auxiliaries hardly influence it unless the search opens them.

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
