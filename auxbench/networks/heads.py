"""Heads: modules that turn the maps at the ends of a backbone's stages into a prediction.

Long because the four heads share their parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn
from torch.nn.functional import interpolate

from auxbench.errors import UsageError, suggestion
from auxbench.networks.backbone import Backbone
from auxbench.spec.grammar import Choice
from auxbench.spec.marks import Bounds, Count, Help
from auxbench.spec.networks import HEAD

__all__ = ["HEADS", "DeepLabHead", "DptHead", "FpnHead", "LargeFovHead", "VectorHead"]
__all__ += ["head", "resolve"]

_FINEST = 4  # pixels per cell; finer maps would take most of a head's time and add little


class VectorHead(nn.Module):
    """Global average pooling of the last stage and a linear layer: a vector [B, outputs].

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
        """Predict [B, outputs] in single precision, without activation, from maps [B, C, h, w]."""
        prediction: Tensor = self.linear(features[-1].mean(dim=(2, 3)))
        return prediction.float()


class FpnHead(nn.Module):
    """The fused maps of all stages: a map [B, outputs, H, W] of the images' size.

    A 1x1 convolution projects every map to `width` channels, and the map is upsampled to the finest
    one; their sum goes through a 3x3 convolution, batch normalisation and ReLU, and a 1x1
    convolution gives the outputs, which are upsampled to the images' size. Upsampling is bilinear.
    Maps whose cells are narrower than 4 pixels are left out, unless there are no others.

    Source, but with one convolution at the finest level instead of a chain of them per level:
    Kirillov, Girshick, He, Dollár, Panoptic Feature Pyramid Networks, CVPR 2019,
    https://arxiv.org/abs/1901.02446.

    >>> import torch
    >>> head = FpnHead(channels=[8, 16], reductions=[4, 8], outputs=3)
    >>> tuple(head([torch.zeros(2, 8, 4, 4), torch.zeros(2, 16, 2, 2)], (16, 16)).shape)
    (2, 3, 16, 16)
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        outputs: int,
        *,
        width: Annotated[Count, Help("Channels to which every stage is projected.")] = 64,
    ) -> None:
        """Take channels and pixels per cell of every stage, and the channels of the prediction."""
        super().__init__()
        self.levels = _coarse(reductions)
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


class _LastStageHead(nn.Module):
    """The base of heads that apply `layers` to the last stage only, and upsample the outputs."""

    layers: nn.Module

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Maps [B, C, h, w] of all stages -> [B, outputs, *size] in single precision."""
        return _enlarged(self.layers(features[-1]).float(), size)


class DeepLabHead(_LastStageHead):
    """Parallel atrous convolutions on the last stage: a map [B, outputs, H, W] of the images' size.

    A 1x1 convolution, three 3x3 convolutions with dilation rates 1 : 2 : 3, the first of which
    reaches `reach` pixels, and global average pooling, with 256 channels each, are concatenated; a
    3x3 and a 1x1 convolution follow, and the outputs are upsampled. 96 pixels give the paper's
    rates: 12, 24 and 36 for cells of 8 pixels, as in `resnet50:output_stride=8`, and half for 16.

    Source: Chen, Papandreou, Schroff, Adam, Rethinking Atrous Convolution for Semantic Image
    Segmentation, 2017, https://arxiv.org/abs/1706.05587, as torchvision has it.

    >>> import torch
    >>> head = DeepLabHead(channels=[8, 16], reductions=[4, 8], outputs=3)
    >>> tuple(head([torch.zeros(2, 8, 4, 4), torch.zeros(2, 16, 2, 2)], (16, 16)).shape)
    (2, 3, 16, 16)
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        outputs: int,
        *,
        reach: Annotated[
            Count,
            Help("Pixels that the first dilated convolution reaches; the others reach further."),
        ] = 96,
    ) -> None:
        """Take channels and pixels per cell of every stage, and the channels of the prediction."""
        super().__init__()
        from torchvision.models.segmentation import deeplabv3

        rate = max(1, round(reach / reductions[-1]))
        rates = (rate, 2 * rate, 3 * rate)
        self.layers = deeplabv3.DeepLabHead(channels[-1], outputs, rates)


class LargeFovHead(_LastStageHead):
    """One atrous convolution with a wide view on the last stage: a map [B, outputs, H, W].

    It has max pooling over 3x3 cells, a 3x3 convolution dilated so that it reaches `reach` pixels,
    and a 1x1 convolution, both with 1,024 channels, batch normalisation, ReLU and dropout, then a
    1x1 convolution to the outputs, which are upsampled to the images' size. 96 pixels give the
    paper's dilation of 12 for cells of 8 pixels, as in `vgg16:output_stride=8`. Batch normalisation
    is not in the paper, but in the code that Aux-NAS is derived from.

    Source: Chen, Papandreou, Kokkinos, Murphy, Yuille, Semantic Image Segmentation with Deep
    Convolutional Nets and Fully Connected CRFs, ICLR 2015, https://arxiv.org/abs/1412.7062.

    >>> import torch
    >>> head = LargeFovHead(channels=[8, 16], reductions=[4, 8], outputs=3)
    >>> tuple(head([torch.zeros(2, 8, 4, 4), torch.zeros(2, 16, 2, 2)], (16, 16)).shape)
    (2, 3, 16, 16)
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        outputs: int,
        *,
        reach: Annotated[Count, Help("Pixels that the dilated convolution reaches.")] = 96,
    ) -> None:
        """Take channels and pixels per cell of every stage, and the channels of the prediction."""
        super().__init__()
        rate, wide = max(1, round(reach / reductions[-1])), 1_024
        self.layers = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(channels[-1], wide, 3, padding=rate, dilation=rate, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Conv2d(wide, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Conv2d(wide, outputs, 1),
        )


class DptHead(nn.Module):
    """All stages, refined from the coarsest to the finest: a map [B, outputs, H, W].

    Every map is projected to `width` channels. If all stages have cells of the same width, as in a
    ViT, the maps are resized to a pyramid: cells of the last map become twice as wide, those of the
    maps before it keep their width, or become a half or a quarter as wide. From the coarsest map
    on, the result so far is upsampled and added to the next finer map, with up to two residual
    units per level. Two 3x3 and a 1x1 convolution give the outputs at the images' size.

    Source: Ranftl, Bochkovskiy, Koltun, Vision Transformers for Dense Prediction, ICCV 2021,
    https://arxiv.org/abs/2103.13413. Class tokens are ignored, which is one of its three variants,
    and all tasks use its last layers for depth. The published code of Aux-NAS has width 192.

    >>> import torch
    >>> head = DptHead(channels=[8, 8], reductions=[16, 16], outputs=3, width=16)
    >>> tuple(head([torch.zeros(2, 8, 4, 4)] * 2, (64, 64)).shape)
    (2, 3, 64, 64)
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        outputs: int,
        *,
        width: Annotated[int, Bounds(2), Help("Channels to which every stage is projected.")] = 256,
    ) -> None:
        """Take channels and pixels per cell of every stage, and the channels of the prediction."""
        super().__init__()
        self.levels = _coarse(reductions)
        flat = len({reductions[level] for level in self.levels}) == 1
        self.laterals = nn.ModuleList()
        for place, level in enumerate(reversed(self.levels)):  # the coarsest first
            layers: list[nn.Module] = [nn.Conv2d(channels[level], width, kernel_size=1)]
            if flat:
                layers.append(_resized(width, place))
            layers.append(nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False))
            self.laterals.append(nn.Sequential(*layers))
        self.joins = nn.ModuleList(_Residual(width) for _ in self.levels[1:])
        self.refines = nn.ModuleList(
            nn.Sequential(_Residual(width), nn.Conv2d(width, width, 1)) for _ in self.levels
        )
        self.before = nn.Conv2d(width, width // 2, kernel_size=3, padding=1)
        self.predict = nn.Sequential(
            nn.Conv2d(width // 2, 32, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, outputs, kernel_size=1),
        )

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Maps [B, C, h, w] of all stages -> [B, outputs, *size] in single precision."""
        chosen = (features[level] for level in reversed(self.levels))
        maps = [lateral(one) for lateral, one in zip(self.laterals, chosen, strict=True)]
        total = self.refines[0](maps[0])
        for one, join, refine in zip(maps[1:], self.joins, self.refines[1:], strict=True):
            total = refine(_enlarged(total, one.shape[-2:]) + join(one))
        prediction: Tensor = self.predict(_enlarged(self.before(total), size))
        return prediction.float()


class _Residual(nn.Module):
    """A residual unit: twice ReLU, 3x3 convolution and batch normalisation, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                layer
                for _ in range(2)
                for layer in (
                    nn.ReLU(),
                    nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                )
            )
        )

    def forward(self, feature: Tensor) -> Tensor:
        total: Tensor = feature + self.layers(feature)
        return total


def _resized(width: int, place: int) -> nn.Module:
    """A layer that resizes cells to twice the width at `place` 0, then 1, 1/2, 1/4, ... times."""
    if place == 0:
        return nn.Conv2d(width, width, kernel_size=3, stride=2, padding=1)
    factor = 2 ** (place - 1)
    return nn.ConvTranspose2d(width, width, kernel_size=factor, stride=factor)


HEADS: dict[str, type[nn.Module]] = {
    "fpn": FpnHead,
    "deeplab": DeepLabHead,
    "largefov": LargeFovHead,
    "dpt": DptHead,
}


def resolve(text: str) -> str:
    """A head's canonical text, as in `deeplab:reach=48`; errors: `UsageError`.

    >>> resolve("dpt:width=256")
    'dpt'
    """
    choice = _choice(text)
    return str(choice.canonical(HEADS[choice.name]))


def head(dense: bool, backbone: Backbone, outputs: int, text: str = HEAD) -> nn.Module:
    """A new head for a backbone; `text` names the head for `dense` tasks, which predict maps.

    Errors: `UsageError` for a dense task on a backbone for vectors, and for unknown heads and
    options.

    >>> from auxbench.networks.backbone import build
    >>> type(head(False, build("test_resnet", 32), outputs=2)).__name__
    'VectorHead'
    """
    channels = [backbone.channels[end] for end in backbone.ends]
    if not dense:
        return VectorHead(channels, outputs)
    if backbone.features:
        raise UsageError("a dense task needs images, and the data are vectors; choose other tasks.")
    choice = _choice(text)
    maker = HEADS[choice.name]
    return maker(channels, backbone.reductions, outputs, **choice.values(maker))


def _choice(text: str) -> Choice:
    choice = Choice.parse(text)
    if choice.name not in HEADS:
        raise UsageError(f"no head is called '{choice.name}'; {suggestion(choice.name, HEADS)}")
    return choice


def _coarse(reductions: Sequence[int]) -> list[int]:
    """The stages whose maps are coarse enough to be used, or all stages if none are."""
    coarse = [stage for stage, pixels in enumerate(reductions) if pixels >= _FINEST]
    return coarse or list(range(len(reductions)))


def _enlarged(feature: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(feature.shape[-2:]) == tuple(size):
        return feature
    return interpolate(feature, size=tuple(size), mode="bilinear", align_corners=False)
