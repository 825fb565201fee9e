"""Fusions: how features that arrive over links are combined with a block's own feature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from auxbench.networks.backbone import Backbone
from auxbench.spec.marks import Help

NormName = Literal["none", "batch", "layer"]
ActivationName = Literal["none", "relu", "gelu"]
Norm = Annotated[NormName, Help("Normalisation after every block that links lead to.")]
Activation = Annotated[ActivationName, Help("Activation after every block that links lead to.")]


def fusion(backbone: Backbone, target: int, sources: int) -> nn.Module:
    """A 1x1 convolution without bias that starts at zero, for the sources of a target block."""
    channels = backbone.channels[target]
    # Built on 'meta', so that nothing is drawn from the global random state before zeroing.
    convolution: nn.Conv2d | nn.Linear
    if backbone.channel_dim == 1:
        convolution = nn.Conv2d(sources * channels, channels, 1, bias=False, device="meta")
    else:
        convolution = nn.Linear(sources * channels, channels, bias=False, device="meta")
    convolution.to_empty(device="cpu")
    nn.init.zeros_(convolution.weight)
    return convolution


def gather(sources: Sequence[Tensor], strength: Tensor, channel_dim: int) -> Tensor:
    """The sources, each scaled by the strength of its link, concatenated along the channels."""
    # The strength scales the features and not the convolution, so that its gradient does not need
    # that of the convolution's weights, which a search step must not pay for.
    return torch.cat([c * x for c, x in zip(strength, sources, strict=True)], dim=channel_dim)


class After(nn.Module):
    """Norm and activation of a feature with its channels in dimension `channel_dim`."""

    def __init__(
        self, channels: int, channel_dim: int, norm: NormName, act: ActivationName
    ) -> None:
        super().__init__()
        self.channel_dim = channel_dim
        self.batch = nn.BatchNorm1d(channels, eps=1e-3, momentum=0.05) if norm == "batch" else None
        self.layer = nn.LayerNorm(channels, eps=1e-3) if norm == "layer" else None
        acts: dict[ActivationName, nn.Module] = {"relu": nn.ReLU(), "gelu": nn.GELU()}
        self.act = acts.get(act, nn.Identity())

    def forward(self, feature: Tensor) -> Tensor:
        """The normalised and activated feature, in the same shape."""
        if self.batch is not None:
            lines = feature.movedim(self.channel_dim, 1)
            feature = self.batch(lines.flatten(2)).view_as(lines).movedim(1, self.channel_dim)
        if self.layer is not None:
            lines = feature.movedim(self.channel_dim, -1)
            feature = self.layer(lines).movedim(-1, self.channel_dim)
        result: Tensor = self.act(feature)
        return result


def after_blocks(
    backbone: Backbone, targets: Collection[int], norm: NormName, act: ActivationName
) -> list[nn.Module]:
    """One module per block: norm and activation after targets of links, and otherwise identity."""
    return [
        After(channels, backbone.channel_dim, norm, act) if block in targets else nn.Identity()
        for block, channels in enumerate(backbone.channels)
    ]
