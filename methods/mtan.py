"""MTAN: one shared trunk, from which every task selects features by its own attention masks.

At the end of every stage, a task multiplies the backbone's map by a mask in [0, 1]. The mask is
computed from that map and the task's own masked map of the previous stage, with `reduction` times
fewer channels inside. The task's head reads the masked maps. This simplifies the paper, where masks
compare two layers within a stage. Here they use only the ends of stages, which every backbone has,
and the earlier map is resized by interpolation instead of max pooling. The attention of a task
costs a few convolutions, not a trunk.

Known flaws: the deployed network keeps the primary's attention, so inference costs more than with
the single-task network. In a widespread public version, the attention modules on a plain ResNet get
no gradient at all once a method asks for one gradient per task.

@inproceedings{liu2019mtan,
  author = {Liu, S. and Johns, E. and Davison, A. J.},
  title = {{End-to-End Multi-Task Learning with Attention}},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2019},
  url = {https://arxiv.org/abs/1803.10704},
}
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from torch import Tensor, cat, nn
from torch.nn.functional import interpolate

from auxbench import METHODS, Architecture, Builder, Network
from auxbench.networks.backbone import Backbone
from auxbench.spec.marks import Count, Help


class Attention(nn.Module):
    """The masks of one task; maps [B, C, h, w] of all stages -> the masked maps."""

    def __init__(self, channels: Sequence[int], reduction: int) -> None:
        """Take the channels of every stage; masks are computed with `reduction` times fewer."""
        super().__init__()
        incoming = [0, *channels[1:]]
        self.masks = nn.ModuleList(
            nn.Sequential(
                *_layer(wide + extra, max(1, wide // reduction), 1, nn.ReLU()),
                *_layer(max(1, wide // reduction), wide, 1, nn.Sigmoid()),
            )
            for wide, extra in zip(channels, incoming, strict=True)
        )
        self.carries = nn.ModuleList(
            nn.Sequential(*_layer(before, wide, 3, nn.ReLU()))
            for before, wide in pairwise(channels)
        )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps times their masks; the shapes are unchanged."""
        masked = [self.masks[0](maps[0]) * maps[0]]
        for feature, mask, carry in zip(maps[1:], self.masks[1:], self.carries, strict=True):
            earlier = carry(masked[-1])
            size = feature.shape[-2:]
            if earlier.shape[-2:] != size:
                earlier = interpolate(earlier, size=size, mode="bilinear", align_corners=False)
            masked.append(mask(cat([feature, earlier], dim=1)) * feature)
        return masked


class AttendedNetwork(nn.Module):
    """Backbone, attention and head of one task; images -> prediction."""

    def __init__(self, network: Network, attention: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.attention = attention

    def forward(self, images: Tensor) -> Tensor:
        """The prediction for a batch of images [B, 3, H, W]."""
        return self.network.predict(self.attention(self.network.backbone(images)), images)


@METHODS.register
class MTAN(Architecture):
    """A backbone with per-task attention; forward: images [B, 3, H, W] -> {task: prediction}."""

    def __init__(
        self,
        builder: Builder,
        *,
        reduction: Annotated[
            Count,
            Help(
                "Factor by which an attention mask has fewer channels inside than the "
                "feature that it masks."
            ),
        ] = 4,
    ) -> None:
        super().__init__(builder)
        self.network = builder.network(self.primary)
        trunk = self.network.backbone
        self.heads = nn.ModuleDict(
            {task.name: builder.head(task, trunk) for task in self.tasks[1:]}
        )
        self.attentions = nn.ModuleDict()
        if self.heads:
            for task in self.tasks:
                with builder.seeds.seeded("attention", task.name):
                    self.attentions[task.name] = Attention(_channels(trunk), reduction)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps, size = self.network.backbone(images), tuple(images.shape[-2:])
        seen = {name: attention(maps) for name, attention in self.attentions.items()}
        name = self.primary.name
        predictions = {name: self.network.predict(seen.get(name, maps), images)}
        for name, head in self.heads.items():
            predictions[name] = head(seen[name], size)
        return predictions

    def deploy(self) -> nn.Module:
        if not self.attentions:
            return self.network
        return AttendedNetwork(self.network, self.attentions[self.primary.name])


def _channels(trunk: Backbone) -> list[int]:
    return [trunk.channels[end] for end in trunk.ends]


def _layer(channels: int, outputs: int, size: int, act: nn.Module) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, outputs, size, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), act]
