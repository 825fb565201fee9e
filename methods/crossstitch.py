"""Cross-stitch networks: one network per task, with features linearly mixed between networks.

At each mixing point, the feature of task i becomes the sum of A_ij x_j over all tasks j. A has one
number per pair of tasks, or one per pair and channel (`per`). The mixing points are the ends of
stages or all blocks (`links`). A starts with `own` on the diagonal and the rest spread evenly. The
paper trains the mixing units at 100 to 1000 times the network's learning rate and starts from
trained single-task networks; here both follow the recipe that all methods share.

Known flaws: the deployed network needs all branches, so inference costs as much as T networks. A
widespread public version starts A at ones, so that activations grow with the number of tasks, and
declares all branches shared.

@inproceedings{misra2016crossstitch,
  author = {Misra, I. and Shrivastava, A. and Gupta, A. and Hebert, M.},
  title = {{Cross-stitch Networks for Multi-task Learning}},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2016},
  url = {https://arxiv.org/abs/1604.03539},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor, nn
from torch.nn import Parameter

from auxbench import METHODS, Builder
from auxbench.networks.backbone import Backbone
from auxbench.spec.marks import Help, Share, Tune

from ._fused import FusedBranches, shares
from ._linked.links import Level

Grain = Literal["pair", "channel"]


class Stitch(nn.Module):
    """A row of A: a weighted sum of T features of equal shape."""

    def __init__(self, start: Tensor, channels: int, channel_dim: int, per: Grain) -> None:
        super().__init__()
        shape = {"pair": (), "channel": (channels, 1, 1) if channel_dim == 1 else (channels,)}[per]
        lines = start.view(-1, *(1 for _ in shape))
        self.weight = Parameter(lines.expand(-1, *shape).clone())

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The weighted sum over the tasks; its shape is that of each feature."""
        weights: tuple[Tensor, ...] = self.weight.unbind()
        terms = [weight * x for weight, x in zip(weights, features, strict=True)]
        return sum(terms[1:], start=terms[0])


@METHODS.register
class CrossStitch(FusedBranches):
    """Stitched branches; forward: images [B, 3, H, W] -> {task: prediction}."""

    def __init__(
        self,
        builder: Builder,
        *,
        links: Annotated[
            Level, Help("Where the branches are fused: at every block, or at the ends of stages.")
        ] = "stage",
        per: Annotated[
            Grain,
            Help(
                "Numbers by which features are mixed: one per pair of tasks, or one per"
                " pair and channel."
            ),
        ] = "pair",
        own: Annotated[
            Share,
            Tune(0.5, 0.95),
            Help(
                "Share of its own feature that a task starts with; the others share the"
                " rest evenly."
            ),
        ] = 0.9,
    ) -> None:
        self.per = per
        self.own = own
        super().__init__(builder, links=links)

    def unit(self, trunk: Backbone, block: int, own: int) -> nn.Module:
        start = shares(len(self.tasks), own, self.own)
        return Stitch(start, trunk.channels[block], trunk.channel_dim, self.per)
