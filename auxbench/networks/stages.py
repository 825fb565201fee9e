"""Stages: a network divided into a stem and a chain of blocks, after which links can attach."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Literal

from torch import Tensor, nn

__all__ = ["Backbone", "Layout", "Size", "grouped"]

Size = tuple[int, int]
Layout = Literal["NCHW", "NHWC", "NLC"]

_DEALT_STAGES = 4  # the number of stages that a chain of equal blocks is divided into


class Backbone(nn.Module):
    """A network cut into blocks, from images [B, 3, H, W] to one map [B, C, h, w] per stage.

    Architectures that connect several networks use the parts: `stem` computes the first feature
    of the images, `blocks` are applied one after the other, and `as_map` turns the feature at the
    end of a stage into a map. Within a stage all features have the same shape. `stages` holds the
    number of blocks per stage, `channels` the output channels of every block, and `reductions` the
    width in pixels of a cell in every stage's map. The channel axis is `channel_dim`: 1 for maps
    [B, C, h, w], -1 for tokens [B, N, C] and for maps [B, h, w, C].

    `features` is 0 for images. Otherwise the inputs are vectors [B, features]: a feature is then
    one token, [B, 1, C], and a map is one cell, [B, C, 1, 1].

    >>> import torch
    >>> from auxbench.networks.backbone import build
    >>> backbone = build("test_resnet", 64)
    >>> [tuple(feature.shape) for feature in backbone(torch.zeros(2, 3, 64, 64))]
    [(2, 32, 16, 16), (2, 48, 8, 8), (2, 192, 4, 4), (2, 96, 2, 2)]
    >>> feature = backbone.stem(torch.zeros(2, 3, 64, 64))
    >>> tuple(backbone.blocks[0](feature).shape)
    (2, 32, 16, 16)
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Sequence[Sequence[nn.Module]],
        *,
        channels: Sequence[int],
        reductions: Sequence[int],
        layout: Layout,
        prefix: int,
        size: Size,
        features: int = 0,
    ) -> None:
        """Use these parts; `channels` is per stage, `prefix` counts class and register tokens."""
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(block for stage in stages for block in stage)
        self.stages = tuple(len(stage) for stage in stages)
        self.channels = tuple(
            wide for wide, size in zip(channels, self.stages, strict=True) for _ in range(size)
        )
        self.reductions = tuple(reductions)
        self.ends = tuple(total - 1 for total in accumulate(self.stages))
        self.channel_dim = 1 if layout == "NCHW" else -1
        self.features = features
        self._layout: Layout = layout
        self._prefix = prefix
        self._size = size

    def stage_of(self, block: int) -> int:
        """The index of the stage that contains a block.

        >>> from auxbench.networks.backbone import build
        >>> backbone = build("test_vit", 32)
        >>> backbone.stages, [backbone.stage_of(block) for block in range(6)]
        ((2, 2, 1, 1), [0, 0, 1, 1, 2, 3])
        """
        return bisect_left(self.ends, block)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The map at the end of every stage."""
        return self.forward_with_hook(images, lambda block, feature: feature)

    def forward_with_hook(
        self, images: Tensor, after: Callable[[int, Tensor], Tensor]
    ) -> list[Tensor]:
        """`forward`, with `after(block, feature)` in place of the output of every block."""
        maps: list[Tensor] = []
        feature = self.stem(images)
        for number, block in enumerate(self.blocks):
            feature = after(number, block(feature))
            if number in self.ends:
                maps.append(self.as_map(feature, len(maps)))
        return maps

    def as_map(self, feature: Tensor, stage: int) -> Tensor:
        """A feature of a stage as a map [B, C, h, w], without class and register tokens."""
        if self._layout == "NHWC":
            return feature.permute(0, 3, 1, 2)
        if self._layout == "NLC":
            cells = [pixels // self.reductions[stage] for pixels in self._size]
            patches = feature[:, self._prefix :]
            return patches.transpose(1, 2).reshape(patches.shape[0], -1, *cells)
        # A view, so that no map is computed from another one and the heads can be passed alone.
        return feature.view_as(feature)


def grouped(blocks: list[nn.Module]) -> list[list[nn.Module]]:
    """Blocks in up to four groups of equal length; the first groups may be one block longer."""
    count = min(_DEALT_STAGES, len(blocks))
    short, longer = divmod(len(blocks), count)
    sizes = [short + (stage < longer) for stage in range(count)]
    ends = list(accumulate(sizes))
    return [blocks[end - size : end] for end, size in zip(ends, sizes, strict=True)]
