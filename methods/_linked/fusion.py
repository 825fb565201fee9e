"""Fusions: how the features that arrive over links are joined to a block's own."""

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
    # Initialised on 'meta', so that the zeros cost no draw from the global random state.
    convolution: nn.Conv2d | nn.Linear
    if backbone.channel_dim == 1:
        convolution = nn.Conv2d(sources * channels, channels, 1, bias=False, device="meta")
    else:
        convolution = nn.Linear(sources * channels, channels, bias=False, device="meta")
    convolution.to_empty(device="cpu")
    nn.init.zeros_(convolution.weight)
    return convolution


def gather(sources: Sequence[Tensor], strength: Tensor, channel_dim: int) -> Tensor:
    """The sources, each times the strength of its link, concatenated along their channels."""
    # The strength scales the features and not the convolution: its gradient then needs none of
    # the convolution's weights, which a search step must not pay for.
    return torch.cat([c * x for c, x in zip(strength, sources, strict=True)], dim=channel_dim)


class After(nn.Module):
    """Norm and activation on a feature whose channels lie on `channel_dim`."""

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
        """The feature, normalised over its channels and activated; the shape stays."""
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
    """One module per block, which does something behind the targets of links."""
    return [
        After(channels, backbone.channel_dim, norm, act) if block in targets else nn.Identity()
        for block, channels in enumerate(backbone.channels)
    ]
