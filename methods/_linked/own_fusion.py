"""Fusions between features of different sizes, for networks of one's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn import functional as F

from auxbench.errors import UsageError

from .fusion import gather


class OwnFusion(nn.Module):
    """A linear map of channels, without bias, that starts at zero; maps are resized before it.

    `sources` counts the channels of all sources, and `target` is the shape of a feature that the
    links lead to, with its channels in `channel_dim`; the weight is on the device of `like` and of
    its type.
    """

    def __init__(self, sources: int, target: Sequence[int], channel_dim: int, like: Tensor) -> None:
        super().__init__()
        self.dims = len(target)
        self.channel_dim = channel_dim
        self.channels = sources, target[channel_dim]
        kernel = [1] * (self.dims - 2) if channel_dim == 1 else []
        weight = torch.zeros(target[channel_dim], sources, *kernel)
        self.weight = Parameter(weight.to(like.device, like.dtype))

    def forward(self, sources: Sequence[Tensor], strength: Tensor, target: Tensor) -> Tensor:
        """What the links from `sources` add to the feature `target`."""
        joined = gather(sources, strength, self.channel_dim)
        found = joined.shape[self.channel_dim], target.shape[self.channel_dim]
        if (joined.ndim, target.ndim, found) != (self.dims, self.dims, self.channels):
            raise UsageError(
                f"links from {self.channels[0]} channels to {self.channels[1]} met features of "
                f"shape {list(joined.shape)} and {list(target.shape)}; give an example like these."
            )
        if not torch.is_autocast_enabled(joined.device.type):
            joined = joined.to(self.weight.dtype)  # a network may have autocast for itself
        if self.channel_dim != 1 or self.dims == 2:
            return F.linear(joined, self.weight).to(target.dtype)
        convolve = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[self.dims]
        return convolve(resized(joined, target.shape[2:]), self.weight).to(target.dtype)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps of another size, by means over areas where they shrink, or else by interpolation.

    >>> resized(torch.tensor([[[1.0, 3.0, 5.0, 7.0]]]), [2]).tolist()
    [[[2.0, 6.0]]]
    """
    old = maps.shape[2:]
    if tuple(old) == tuple(size):
        return maps
    if any(new < before for new, before in zip(size, old, strict=True)):
        return F.interpolate(maps, list(size), mode="area")
    mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[maps.ndim]
    return F.interpolate(maps, list(size), mode=mode, align_corners=False)
