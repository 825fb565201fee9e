"""Layers for vectors with shortcuts around them."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from auxbench.spec.marks import Bounds, Help


class Net(nn.Module):
    """A backbone for vectors: its constructor asks for their length, `features`."""

    def __init__(
        self,
        features: int,
        *,
        width: Annotated[int, Bounds(1, 4096), Help("Units of every layer.")] = 32,
        depth: Annotated[int, Bounds(1, 100), Help("Number of blocks.")] = 3,
    ) -> None:
        super().__init__()
        self.stem = nn.Linear(features, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))


class Block(nn.Module):
    """A layer and a shortcut: [B, width] -> [B, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, rows: Tensor) -> Tensor:
        output: Tensor = rows + self.inner(rows)
        return output
