"""Backbones for images: timm networks, cut into blocks.

The outputs are compared with timm's own features before use, and a network that cannot be cut
faithfully is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auxbench.errors import UsageError
from auxbench.networks.blocks import Cut, in_pieces
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
