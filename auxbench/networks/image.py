"""Backbones for images: timm networks, cut into blocks.

The outputs are compared with timm's own features before use, and a network that cannot be cut
faithfully is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from auxbench.errors import UsageError
from auxbench.networks.blocks import Cut, in_pieces
from auxbench.networks.examination import alike, examination, outputs
from auxbench.networks.stages import Backbone, Size
from auxbench.networks.timm_adapter import create, renormalised, short, spelled
from auxbench.spec.grammar import Choice
from auxbench.spec.networks import ELSE

__all__ = ["image_backbone"]


def image_backbone(
    choice: Choice, size: Size, pretrained: bool | Path, options: Mapping[str, Any]
) -> Backbone:
    """A new timm network in blocks for images of a size; see `backbone.build`."""
    given = {key: _value(text) for key, text in choice.options.items()} | dict(options)
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
    with examination(net) as generator:
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
        if not pairs or not all(alike(ours, theirs) for ours, theirs in pairs):
            raise UsageError(f"backbone '{name}' cannot be cut into a chain of blocks; {ELSE}")
    return backbone, plan


def _plan(cut: Cut, images: Tensor) -> _Plan:
    fine, channels, reductions = [], [], []
    feature = cut.stem()(images)
    height, reduction = images.shape[2], 1
    for stage in cut.stages:
        found = outputs(stage.blocks, feature.clone())
        [feature] = outputs([stage.whole], feature)
        fine.append(
            len(found) == len(stage.blocks)
            and all(output.shape == feature.shape for output in found)
            and alike(found[-1], feature)
        )
        channels.append(feature.shape[1 if cut.layout == "NCHW" else -1])
        if cut.layout != "NLC":
            before, height = height, feature.shape[2 if cut.layout == "NCHW" else 1]
            reduction *= round(before / height)
        reductions.append(cut.patch or reduction)
    return _Plan(tuple(fine), tuple(channels), tuple(reductions))
