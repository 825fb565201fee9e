"""Stages: the layout of their features, and a chain of blocks divided into them."""

from __future__ import annotations

from itertools import accumulate
from typing import Literal

from torch import nn

Size = tuple[int, int]
Layout = Literal["NCHW", "NHWC", "NLC"]

_DEALT_STAGES = 4  # the number of stages that a chain of equal blocks is divided into


def grouped(blocks: list[nn.Module]) -> list[list[nn.Module]]:
    """Blocks in up to four groups of equal length; the first groups may be one block longer."""
    count = min(_DEALT_STAGES, len(blocks))
    short, longer = divmod(len(blocks), count)
    sizes = [short + (stage < longer) for stage in range(count)]
    ends = list(accumulate(sizes))
    return [blocks[end - size : end] for end, size in zip(ends, sizes, strict=True)]
