"""Samples that lie in memory as arrays, one row per sample, and what turns rows into a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.data.dataset import Batch, Indices, Samples

Rows = dict[str, npt.NDArray[Any]]
Finish = Callable[[Rows, np.random.Generator | None], Batch]

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB in [0, 1]: what pre-trained backbones expect
STD = (0.229, 0.224, 0.225)


class ArraySamples(Samples):
    """A split held as arrays [N, ...] by name, in whatever compact form suits them.

    `finish(rows, rng)` gets copies of the chosen rows of every array and makes the batch: it
    augments with draws from `rng` (not at all when `rng` is None), decodes and normalises.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], finish: Finish) -> None:
        if len({len(array) for array in arrays.values()}) != 1:
            lengths = {name: len(array) for name, array in arrays.items()}
            raise ValueError(f"arrays of one split must be equally long, not {lengths}")
        self.arrays = dict(arrays)
        self.finish = finish

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        return self.finish({name: array[indices] for name, array in self.arrays.items()}, rng)


def normalised(images: npt.NDArray[np.uint8]) -> Tensor:
    """Network inputs, float32 [B, 3, H, W], from bytes: RGB [B, H, W, 3] or grey [B, H, W].

    >>> normalised(np.zeros((2, 8, 8), np.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """
    pixels = torch.from_numpy(np.ascontiguousarray(images)).float() / 255
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return ((pixels - mean) / std).contiguous()
