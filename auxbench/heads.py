"""Heads: what turns the features of a backbone into the prediction of a task."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from auxbench.backbone import Backbone

WIDTH = 64
FINEST = 4  # stages at a finer stride cost more than they give


def head(dense: bool, backbone: Backbone, outputs: int) -> nn.Module:
    """The head that suits a task: a map of `outputs` channels, or a vector of that length."""
    return DenseHead(backbone, outputs) if dense else VectorHead(backbone, outputs)


class VectorHead(nn.Module):
    """Global average pooling of the last stage and a linear map; features -> [B, outputs]."""

    def __init__(self, backbone: Backbone, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(backbone.channels[-1], outputs)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        prediction: Tensor = self.linear(features[-1].mean(dim=(2, 3)))
        return prediction


class DenseHead(nn.Module):
    """Every stage projected to one width, summed at the finest stride from 4 on, and refined.

    Features -> [B, outputs, *size]. A light form of the semantic branch of panoptic FPN.

    Source: A. Kirillov, R. Girshick, K. He, P. Dollár, "Panoptic Feature Pyramid Networks", CVPR
    2019, https://arxiv.org/abs/1901.02446
    """

    def __init__(self, backbone: Backbone, outputs: int) -> None:
        super().__init__()
        strides = backbone.reductions
        used = [i for i, stride in enumerate(strides) if stride >= FINEST] or [len(strides) - 1]
        self.used = tuple(used)
        channels = [backbone.channels[backbone.ends[i]] for i in used]
        self.laterals = nn.ModuleList([nn.Conv2d(count, WIDTH, 1) for count in channels])
        self.refine = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()
        )
        self.predict = nn.Conv2d(WIDTH, outputs, 1)

    def forward(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        maps = [
            lateral(features[stage])
            for lateral, stage in zip(self.laterals, self.used, strict=True)
        ]
        total = maps[0]
        for smaller in maps[1:]:
            total = total + _resized(smaller, total.shape[-2:])
        prediction: Tensor = self.predict(self.refine(total))
        return _resized(prediction, torch.Size(size))


def _resized(image: Tensor, size: torch.Size) -> Tensor:
    if image.shape[-2:] == size:
        return image
    return interpolate(image, tuple(size), mode="bilinear", align_corners=False)
