"""NDDR-CNN: one network per task, with features concatenated and reduced by 1x1 convolutions.

At each fusion point, which is the end of a stage or any block (`links`), the feature of a task is a
1x1 convolution without bias over the features of all tasks, followed by normalisation and
activation (`norm`, `act`). The convolution starts as `own` times the identity on the task's own
feature, with the rest spread evenly over identities on the other features. The paper trains these
layers at 100 times the network's learning rate, starts from trained single-task networks and uses
weight decay; here all methods share one recipe and start from random or ImageNet weights.

Known flaws: the deployed network needs all branches, so inference costs as much as T networks. If
the convolution stays diagonal, it is a cross-stitch unit per channel at the cost of a full matrix.

@inproceedings{gao2019nddr,
  author = {Gao, Y. and Ma, J. and Zhao, M. and Liu, W. and Yuille, A. L.},
  title = {{NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural Discriminative
    Dimensionality Reduction}},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2019},
  url = {https://arxiv.org/abs/1801.08297},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from auxbench import METHODS, Builder
from auxbench.networks.backbone import Backbone
from auxbench.spec.marks import Help, Share, Tune

from ._fused import FusedBranches, shares
from ._linked.fusion import ActivationName, After, NormName
from ._linked.links import Level


class Reduction(nn.Module):
    """T features of equal shape, concatenated and reduced to one feature of that shape."""

    def __init__(
        self,
        start: Tensor,
        channels: int,
        channel_dim: int,
        norm: NormName,
        act: ActivationName,
    ) -> None:
        super().__init__()
        self.channel_dim = channel_dim
        tasks = len(start)
        # Initialised on 'meta', so that nothing is drawn from the global random state.
        self.mix: nn.Conv2d | nn.Linear
        if channel_dim == 1:
            self.mix = nn.Conv2d(tasks * channels, channels, 1, bias=False, device="meta")
        else:
            self.mix = nn.Linear(tasks * channels, channels, bias=False, device="meta")
        self.mix.to_empty(device="cpu")
        with torch.no_grad():
            diagonal = torch.cat([share * torch.eye(channels) for share in start], dim=1)
            self.mix.weight.copy_(diagonal.view_as(self.mix.weight))
        self.after = After(channels, channel_dim, norm, act)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The fused feature; its shape is that of each input feature."""
        mixed: Tensor = self.after(self.mix(torch.cat(list(features), dim=self.channel_dim)))
        return mixed


@METHODS.register
class NDDR(FusedBranches):
    """Branches fused by reductions; forward: images [B, 3, H, W] -> {task: prediction}."""

    def __init__(
        self,
        builder: Builder,
        *,
        links: Annotated[
            Level, Help("Where the branches are fused: at every block, or at the ends of stages.")
        ] = "stage",
        norm: Annotated[NormName, Help("Normalisation after every reduction.")] = "batch",
        act: Annotated[ActivationName, Help("Activation after every reduction.")] = "relu",
        own: Annotated[
            Share,
            Tune(0.5, 0.95),
            Help(
                "Share of its own feature that a task starts with; the others share the"
                " rest evenly."
            ),
        ] = 0.9,
    ) -> None:
        self.norm: NormName = norm
        self.act: ActivationName = act
        self.own = own
        super().__init__(builder, links=links)

    def unit(self, trunk: Backbone, block: int, own: int) -> nn.Module:
        start = shares(len(self.tasks), own, self.own)
        channels = trunk.channels[block]
        return Reduction(start, channels, trunk.channel_dim, self.norm, self.act)
