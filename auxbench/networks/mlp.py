"""The multilayer perceptron: the blocks of the backbone for vector inputs."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from auxbench.spec.marks import Bounds, Help

__all__ = ["Token", "blocks"]


class Token(nn.Module):
    """Vectors [B, F] as sequences of one token, [B, 1, F], for the first block.

    Channels are then on the last axis as in a transformer, so that everything that can attach to a
    transformer can also attach to a perceptron.
    """

    def forward(self, vectors: Tensor) -> Tensor:
        """The same values with an additional axis."""
        return vectors.unsqueeze(1)


def blocks(
    features: int,
    *,
    depth: Annotated[int, Bounds(1, 1000), Help("Number of hidden layers.")] = 3,
    width: Annotated[int, Bounds(1, 100_000), Help("Units of every hidden layer.")] = 128,
) -> list[nn.Module]:
    """The hidden layers of a perceptron: `depth` linear layers with ReLU and `width` units each.

    They map [B, 1, features] to [B, 1, width]. The keyword arguments are the options of the
    backbone, as in `mlp:depth=4:width=128`; initial values are torch's defaults, drawn from its
    global random state.

    >>> [block[0].in_features for block in blocks(10, depth=3, width=32)]
    [10, 32, 32]
    """
    sizes = [features] + [width] * (depth - 1)
    return [nn.Sequential(nn.Linear(size, width), nn.ReLU()) for size in sizes]
