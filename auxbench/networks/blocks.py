"""Cuts: timm networks divided into a stem and stages, each as separate blocks and as a whole.

Each timm family has one of three cutters. A cut is only a proposal: `image` verifies that the
pieces, applied in order, compute the same as the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from timm.models._features import FeatureGetterNet, FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from auxbench.errors import UsageError
from auxbench.networks.stages import Layout, grouped
from auxbench.spec.networks import ELSE

__all__ = ["CUTTERS", "Cut", "Stage", "in_pieces"]


@dataclass(frozen=True)
class Stage:
    """A stage, finely cut and as one block; `feature` is its index among timm's features."""

    blocks: list[nn.Module]
    whole: nn.Module
    feature: int | None


@dataclass(frozen=True)
class Cut:
    """A network in pieces; after `stem()` is called, the original network can no longer run."""

    stem: Callable[[], nn.Module]
    stages: list[Stage]
    layout: Layout = "NCHW"
    prefix: int = 0
    patch: int = 0


def in_pieces(net: nn.Module, name: str) -> Cut:
    """Cut a network with the cutter of its family; errors: `UsageError` if there is none."""
    inner = net.model if isinstance(net, FeatureGetterNet) else net
    for kind, cutter in CUTTERS.items():
        if isinstance(inner, kind):
            return cutter(net)
    raise UsageError(
        f"backbone '{name}' is a {type(inner).__name__}, which has no chain of blocks; {ELSE}"
    )


def _chain(net: Any) -> Cut:
    """Cut a list of modules, some of which end a stage: ResNet, VGG, ConvNeXt, Swin, ..."""
    plain = not any(True for module in net.values() for _ in module.children())  # VGG: only layers
    stem: list[nn.Module] = []
    stages: list[Stage] = []
    waiting: list[nn.Module] = []
    place = -1
    for name, module in net.items():
        waiting.append(module)
        if name not in net.return_layers:
            continue
        place += 1
        if place == 0 and not plain and net.feature_info.reduction()[0] < 4:
            continue  # a feature before the first stage belongs to the stem
        if not any(True for part in waiting for _ in part.parameters()):
            continue  # pooling alone starts the next stage, and is dropped if none follows
        if plain:
            stages.append(Stage(_layers(waiting), _sequence(waiting), place))
        else:
            *before, main = waiting
            if not stages:
                stem, before = before, []
            stages.append(_stage(before, main, place))
        waiting = []
    return Cut(lambda: _sequence(stem), stages, layout=net.output_fmt.value)


def _efficientnet(net: Any) -> Cut:
    """Cut a stem of single layers and groups of blocks: EfficientNet, MobileNet and relatives."""
    places = {info["stage"] - 1: at for at, info in enumerate(net.feature_info.get_dicts())}
    stages = [_stage([], group, places.get(number)) for number, group in enumerate(net.blocks)]
    stem = [module for name, module in net.named_children() if name != "blocks"]
    return Cut(lambda: _sequence(stem), stages)


def _tokens(net: Any) -> Cut:
    """Cut a chain of equal blocks on tokens: ViT and DeiT."""
    groups = grouped(list(net.model.blocks))
    net.out_indices = [end - 1 for end in accumulate(map(len, groups))]
    stages = [Stage(group, nn.Sequential(*group), stage) for stage, group in enumerate(groups)]
    return Cut(
        lambda: _Embedding(net.model),
        stages,
        layout="NLC",
        prefix=net.model.num_prefix_tokens,
        patch=net.model.patch_embed.feat_ratio(),
    )


CUTTERS: dict[type, Callable[[Any], Cut]] = {
    FeatureListNet: _chain,
    EfficientNetFeatures: _efficientnet,
    MobileNetV3Features: _efficientnet,
    VisionTransformer: _tokens,
}


class _Embedding(nn.Module):
    """The stem of a transformer: from images to tokens with position embeddings."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        for name, _ in list(model.named_children()):
            if name not in ("patch_embed", "pos_drop", "patch_drop", "norm_pre"):
                setattr(model, name, nn.Identity())
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        model = self.model
        tokens: Tensor = model.norm_pre(
            model.patch_drop(model._pos_embed(model.patch_embed(images)))
        )
        return tokens


def _stage(before: list[nn.Module], main: nn.Module, feature: int | None) -> Stage:
    """A stage that ends in `main`, whose parts may be blocks; `before` joins the first block."""
    whole = _sequence([*before, main])
    inner = dict(main.named_children())
    if "blocks" in inner:  # with a downsampling before them, as in ConvNeXt and Swin
        names = list(inner)
        at = names.index("blocks")
        parts = list(inner["blocks"].children())
        before = [*before, *(inner[name] for name in names[:at])]
        behind = [inner[name] for name in names[at + 1 :]]
    else:
        parts, behind = list(inner.values()), []
    if not parts or not all(map(_is_block, parts)):
        return Stage([whole], whole, feature)
    before = [part for part in before if not isinstance(part, nn.Identity)]
    behind = [part for part in behind if not isinstance(part, nn.Identity)]
    parts[0] = _sequence([*before, parts[0]])
    parts[-1] = _sequence([parts[-1], *behind])
    return Stage(parts, whole, feature)


def _is_block(module: nn.Module) -> bool:
    composed = any(True for _ in module.children())
    return composed and any(parameter.ndim > 1 for parameter in module.parameters())


def _layers(modules: list[nn.Module]) -> list[nn.Module]:
    """Single layers in groups with one convolution each; every further convolution starts one."""
    groups: list[list[nn.Module]] = [[]]
    for module in modules:
        if isinstance(module, nn.Conv2d) and any(isinstance(m, nn.Conv2d) for m in groups[-1]):
            groups.append([])
        groups[-1].append(module)
    return [_sequence(group) for group in groups]


def _sequence(modules: Sequence[nn.Module]) -> nn.Module:
    if len(modules) == 1:
        return modules[0]
    return nn.Sequential(*modules) if modules else nn.Identity()
