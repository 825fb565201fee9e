"""Aux-G: an auxiliary branch that reads the primary's features through fixed links.

All links lead from the primary to the auxiliaries, at full strength, so the primary branch has no
fusion. `links` sets where the links are; `norm` and `act` set what follows a block of an auxiliary
branch. The auxiliary losses reach the primary's weights through the links, and the deployed network
is exactly the single-task network.

Known flaws: auxiliaries help only through their gradients, since the primary receives none of their
features, and training pays for one branch per task. The released code cannot run this variant,
because its entry point calls a function that does not exist.

@inproceedings{gao2024auxnas,
  author = {Gao, Y. and Zhang, W. and Luo, W. and Ma, L. and Yu, J.-G. and Xia, G.-S. and Ma, J.},
  title = {{Aux-NAS: Exploiting Auxiliary Labels with Negligibly Extra Inference Cost}},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year = {2024},
  url = {https://arxiv.org/abs/2405.05695},
}
"""

from __future__ import annotations

import torch

from auxbench import METHODS, Builder
from auxbench.data.dataset import Task

from ._linked.branches import LinkedBranches
from ._linked.fusion import Activation, Norm
from ._linked.links import Connectivity, Direction, Links


@METHODS.register
class AuxG(LinkedBranches):
    """Branches with primary-to-auxiliary links of strength 1; norm and act on auxiliaries only."""

    def __init__(
        self,
        builder: Builder,
        *,
        links: Links = "block",
        norm: Norm = "none",
        act: Activation = "none",
    ) -> None:
        super().__init__(builder, directions=["p2a"], links=links, norm=norm, act=act)
        self.full: torch.Tensor
        self.register_buffer("full", torch.ones(()), persistent=False)

    def connectivity(self, direction: Direction, task: Task) -> Connectivity:
        return [self.full.expand(len(sources)) for sources in self.pairs.values()]
