"""Backbones: networks divided into a stem and a chain of blocks, after which links can attach.

For images they are timm networks, cut into blocks; the outputs are compared with timm's own
features before use, and a network that cannot be cut faithfully is refused. For vectors there is a
perceptron.

Long because it both builds and verifies backbones.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from auxbench.errors import UsageError
from auxbench.networks import mlp
from auxbench.networks.blocks import Cut, Layout, grouped, in_pieces
from auxbench.networks.timm_adapter import ELSE, Size, create, renormalised, short, spelled
from auxbench.spec.grammar import Choice

__all__ = ["Backbone", "build", "resolve"]

# backbones for vectors, which are not timm's
_VECTORS: dict[str, Callable[..., list[nn.Module]]] = {"mlp": mlp.blocks}


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


def build(
    name: str,
    size: int | Size,
    pretrained: bool | Path = False,
    features: int = 0,
    **options: Any,
) -> Backbone:
    """A new backbone by its name: a timm network for images, or `mlp` for vectors.

    `size` is (height, width) of the images in pixels, or one number for square images. With
    `features` above 0 the inputs are vectors of that length, and the backbone is `mlp`. Options may
    follow the name as in `resnet50:output_stride=8`, or be keywords. Initial values are drawn from
    torch's global random state. `pretrained` loads ImageNet weights, or those in a file (see
    `pretrained.py`); inputs are expected to be normalised with ImageNet's mean and standard
    deviation, and are converted if the weights expect others. Parameters that do not affect the
    features (classifiers, final norms) are left out.

    The option `output_stride` (8 or 16) replaces the last strides by dilation, as DeepLab does.
    timm offers it for many networks; for VGG it is implemented here.

    The first time that a timm network is built in a process, the result is compared with timm's own
    features on a small batch. Errors: `UsageError` for an unknown name or option, a backbone that
    does not fit the inputs, a network that is not a chain of blocks, an unsuitable image size, and
    weights that cannot be loaded.

    Sources of timm and of the dilated form: Wightman, PyTorch Image Models, 2019,
    https://github.com/huggingface/pytorch-image-models; Chen, Papandreou, Kokkinos, Murphy,
    Yuille, DeepLab, TPAMI 2018, https://arxiv.org/abs/1606.00915.

    >>> backbone = build("test_convnext", 64)
    >>> backbone.stages, backbone.reductions
    ((1, 2, 4, 2), (4, 8, 16, 32))
    >>> [tuple(feature.shape) for feature in build("test_vit", (32, 64))(torch.zeros(2, 3, 32, 64))]
    [(2, 64, 2, 4), (2, 64, 2, 4), (2, 64, 2, 4), (2, 64, 2, 4)]
    >>> [tuple(feature.shape) for feature in build("mlp", 0, features=10)(torch.zeros(2, 10))]
    [(2, 128, 1, 1), (2, 128, 1, 1), (2, 128, 1, 1)]
    """
    choice = Choice.parse(name)
    _suits(choice.name, features, bool(pretrained))
    if features:
        return _perceptron(choice, features, options)
    size = (size, size) if isinstance(size, int) else size
    given = {key: _value(text) for key, text in choice.options.items()} | options
    net = create(choice.name, size, pretrained, given)
    cut = in_pieces(net, choice.name)
    if cut.patch:
        _in_patches(choice.name, size, cut.patch)
    key = (choice.name, size, repr(sorted(given.items())))
    if key in _PLANS:
        backbone = _assemble(cut, _PLANS[key], size)
    else:
        backbone, _PLANS[key] = _examine(net, cut, choice.name, size)
    if pretrained:
        backbone.stem = renormalised(backbone.stem, net.pretrained_cfg)
    return backbone


def _in_patches(name: str, size: Size, patch: int) -> None:
    for pixels in size:
        if pixels % patch:
            low = pixels // patch * patch
            near = f"{low} or {low + patch}" if low else f"{patch}"
            raise UsageError(
                f"image side {pixels} is not a multiple of the patches of '{name}', which are "
                f"{patch} wide; choose {near}."
            )


def resolve(text: str, features: int = 0, pretrained: bool = False) -> str:
    """A backbone's canonical text, so that different spellings give the same run.

    Errors: `UsageError` for an unknown name, with the most similar one, and for a backbone that
    does not fit the inputs: vectors of length `features`, or images if that is 0.

    >>> resolve("mlp:width=32:depth=3", features=10)
    'mlp:width=32'
    """
    choice = Choice.parse(text)
    _suits(choice.name, features, pretrained)
    if features:
        return str(choice.canonical(_VECTORS[choice.name]))
    return str(Choice(choice.name, dict(sorted(choice.options.items()))))


def _suits(name: str, features: int, pretrained: bool) -> None:
    if name in _VECTORS:
        if not features:
            raise UsageError(f"backbone '{name}' takes vectors, and the data are images; {ELSE}")
        if pretrained:
            raise UsageError(
                f"backbone '{name}' has no pretrained weights; leave out --pretrained."
            )
        return
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, [*_VECTORS, *timm.list_models()], n=1)
        hint = f"did you mean '{close[0]}'?" if close else ELSE
        raise UsageError(f"no backbone is called '{name}'; {hint}")
    if features:
        others = " or ".join(f"'{other}'" for other in _VECTORS)
        raise UsageError(
            f"backbone '{name}' takes images, and the data are vectors; choose {others}."
        )


def _perceptron(choice: Choice, features: int, options: dict[str, Any]) -> Backbone:
    make = _VECTORS[choice.name]
    stages = grouped(make(features, **(choice.values(make) | options)))
    return Backbone(
        mlp.Token(),
        stages,
        channels=[_wide(stage[-1]) for stage in stages],
        reductions=[1] * len(stages),
        layout="NLC",
        prefix=0,
        size=(1, 1),
        features=features,
    )


def _wide(block: nn.Module) -> int:
    return [layer.out_features for layer in block.modules() if isinstance(layer, nn.Linear)][-1]


def _value(text: str) -> bool | int | float | str:
    words = {"yes": True, "no": False}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@dataclass(frozen=True)
class _Plan:
    """The stages: if the finest cut of each is faithful, and its channels and reduction."""

    fine: tuple[bool, ...]
    channels: tuple[int, ...]
    reductions: tuple[int, ...]


_PLANS: dict[tuple[str, Size, str], _Plan] = {}


def _assemble(cut: Cut, plan: _Plan, size: Size) -> Backbone:
    stages = [
        stage.blocks if fine else [stage.whole]
        for stage, fine in zip(cut.stages, plan.fine, strict=True)
    ]
    return Backbone(
        cut.stem(),
        stages,
        channels=plan.channels,
        reductions=plan.reductions,
        layout=cut.layout,
        prefix=cut.prefix,
        size=size,
    )


def _examine(net: Any, cut: Cut, name: str, size: Size) -> tuple[Backbone, _Plan]:
    """Cut each stage as finely as is faithful, and verify that the features equal timm's."""
    with _examination(net) as generator:
        images = torch.randn(2, 3, *size, generator=generator, device="cpu")
        images = images.to(next(net.parameters()).device)
        try:
            features = net(images)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UsageError(
                f"backbone '{name}' cannot take images of side {spelled(size)} ({short(error)}); "
                "choose a larger side or another backbone."
            ) from error
        try:
            plan = _plan(cut, images)
            backbone = _assemble(cut, plan, size)
            pairs = [
                (ours, features[stage.feature])
                for stage, ours in zip(cut.stages, backbone(images), strict=True)
                if stage.feature is not None
            ]
        except (AttributeError, RuntimeError, TypeError, ValueError):  # features are lists, ...
            pairs = []
        if cut.layout == "NHWC":
            pairs = [(ours, theirs.permute(0, 3, 1, 2)) for ours, theirs in pairs]
        if not pairs or not all(_alike(ours, theirs) for ours, theirs in pairs):
            raise UsageError(f"backbone '{name}' cannot be cut into a chain of blocks; {ELSE}")
    return backbone, plan


def _plan(cut: Cut, images: Tensor) -> _Plan:
    fine, channels, reductions = [], [], []
    feature = cut.stem()(images)
    height, reduction = images.shape[2], 1
    for stage in cut.stages:
        outputs = _outputs(stage.blocks, feature.clone())
        [feature] = _outputs([stage.whole], feature)
        fine.append(
            len(outputs) == len(stage.blocks)
            and all(output.shape == feature.shape for output in outputs)
            and _alike(outputs[-1], feature)
        )
        channels.append(feature.shape[1 if cut.layout == "NCHW" else -1])
        if cut.layout != "NLC":
            before, height = height, feature.shape[2 if cut.layout == "NCHW" else 1]
            reduction *= round(before / height)
        reductions.append(cut.patch or reduction)
    return _Plan(tuple(fine), tuple(channels), tuple(reductions))


def _outputs(blocks: Sequence[nn.Module], feature: Tensor) -> list[Tensor]:
    """The outputs of consecutive blocks, up to the first that fails or modifies its input."""
    outputs: list[Tensor] = []
    try:
        for block in blocks:
            given, output = feature.clone(), block(feature)
            if not torch.equal(feature, given):
                break
            outputs.append(output)
            feature = output
    except (AttributeError, RuntimeError, TypeError, ValueError):  # the blocks are not a chain
        pass
    return outputs


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    """Return whether two tensors are equal up to rounding; false if any number is not finite."""
    if ours.shape != theirs.shape:
        return False
    error = (ours - theirs).abs().max()
    return bool(error <= 1e-5 * theirs.abs().max())


@contextmanager
def _examination(net: nn.Module) -> Iterator[torch.Generator]:
    """Evaluate a network without gradients and with every block active; undone afterwards.

    Gains that start at or near 0 (the last norm of a residual branch, layer scales) would hide what
    a block computes, so parameters that start constant are random inside this context.
    """
    generator = torch.Generator().manual_seed(0)
    training = [module for module in net.modules() if module.training]  # cutting removes some
    state = torch.get_rng_state()
    constant = [p for p in net.parameters() if bool((p == p.flatten()[:1]).all())]
    kept = [parameter.detach().clone() for parameter in constant]
    net.eval()
    try:
        with torch.no_grad():
            for parameter in constant:
                values = torch.rand(parameter.shape, generator=generator, device="cpu")
                parameter.copy_(0.1 + 0.8 * values)
            yield generator
    finally:
        with torch.no_grad():
            for parameter, values in zip(constant, kept, strict=True):
                parameter.copy_(values)
        for module in training:
            module.training = True
        torch.set_rng_state(state)
