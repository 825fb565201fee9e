"""Heads: what turns the maps at the ends of a backbone's stages into a prediction."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

from auxbench.backbone import Backbone
from auxbench.errors import UsageError

__all__ = ["DenseHead", "VectorHead", "head"]

_FINEST = 4  # pixels per cell: finer maps cost most of the time of a head and add little


class VectorHead(nn.Module):
    """The mean of the last stage over the image and a linear layer: a vector [B, outputs].

    >>> import torch
    >>> head = VectorHead(channels=[8, 16], outputs=3)
    >>> tuple(head([torch.zeros(2, 8, 4, 4), torch.zeros(2, 16, 2, 2)], (16, 16)).shape)
    (2, 3)
    """

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        """Take the channels of every stage and the length of the vector."""
        super().__init__()
        self.linear = nn.Linear(channels[-1], outputs)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Maps [B, C, h, w] of all stages -> [B, outputs] in single precision; no activation."""
        prediction: Tensor = self.linear(features[-1].mean(dim=(2, 3)))
        return prediction.float()


class DenseHead(nn.Module):
    """The maps of all stages, brought together: a map [B, outputs, H, W] of the images' size.

    Every map is led through a 1x1 convolution to `width` channels and enlarged to the finest;
    their sum passes a 3x3 convolution, batch normalisation and ReLU, and a 1x1 convolution gives
    the outputs, which are enlarged to the images' size. Enlarging is bilinear. Maps whose cells
    are narrower than 4 pixels are left out, unless there are no others.

    Source, with one convolution at the finest level in place of a chain of them per level:
    Kirillov, Girshick, He, Dollár, Panoptic Feature Pyramid Networks, CVPR 2019,
    https://arxiv.org/abs/1901.02446.

    >>> import torch
    >>> head = DenseHead(channels=[8, 16], reductions=[4, 8], outputs=3)
    >>> tuple(head([torch.zeros(2, 8, 4, 4), torch.zeros(2, 16, 2, 2)], (16, 16)).shape)
    (2, 3, 16, 16)
    """

    def __init__(
        self, channels: Sequence[int], reductions: Sequence[int], outputs: int, width: int = 64
    ) -> None:
        """Take channels and pixels per cell of every stage, and the channels of the prediction."""
        super().__init__()
        coarse = [stage for stage, pixels in enumerate(reductions) if pixels >= _FINEST]
        self.levels = coarse or list(range(len(channels)))
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels[level], width, kernel_size=1) for level in self.levels
        )
        self.fuse = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.predict = nn.Conv2d(width, outputs, kernel_size=1)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Maps [B, C, h, w] of all stages -> [B, outputs, *size] in single precision."""
        maps = [
            lateral(features[level])
            for level, lateral in zip(self.levels, self.laterals, strict=True)
        ]
        total = maps[0]
        for coarser in maps[1:]:
            total = total + _enlarged(coarser, total.shape[-2:])
        prediction: Tensor = self.predict(self.fuse(total))
        return _enlarged(prediction.float(), size)


def head(dense: bool, backbone: Backbone, outputs: int) -> DenseHead | VectorHead:
    """A fresh head on a backbone, for maps if `dense` and for vectors otherwise.

    Errors: `UsageError` for a map on a backbone whose inputs are vectors, which have no places.

    >>> from auxbench.backbone import build
    >>> type(head(False, build("test_resnet", 32), outputs=2)).__name__
    'VectorHead'
    """
    channels = [backbone.channels[end] for end in backbone.ends]
    if dense:
        if backbone.features:
            raise UsageError(
                "a dense task needs images, and the data are vectors; choose other tasks."
            )
        return DenseHead(channels, backbone.reductions, outputs)
    return VectorHead(channels, outputs)


def _enlarged(feature: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(feature.shape[-2:]) == tuple(size):
        return feature
    return interpolate(feature, size=tuple(size), mode="bilinear", align_corners=False)
