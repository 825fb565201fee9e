"""Samples stored in memory as arrays, one row per sample, and their conversion to batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.data.dataset import Batch, Indices, Samples
from auxbench.data.prepared.decode import MEAN, STD

Rows = dict[str, npt.NDArray[Any]]
Finish = Callable[[Rows, np.random.Generator | None], Batch]


class ArraySamples(Samples):
    """A split stored as named arrays [N, ...], each in a compact form.

    `finish(rows, rng)` takes copies of the chosen rows of every array and makes the batch: it
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


INPUTS = "inputs"  # the name of the input array, next to one array per task


class Vectors(ArraySamples):
    """A split of vectors [N, F] and targets [N, outputs] by task, in single precision.

    There is no augmentation, since tabular data have no symmetries.
    """

    def __init__(
        self, inputs: npt.NDArray[np.float64], targets: Mapping[str, npt.NDArray[np.float64]]
    ) -> None:
        arrays = {INPUTS: inputs, **targets}
        super().__init__({k: array.astype(np.float32) for k, array in arrays.items()}, _vectors)


def _vectors(rows: Rows, rng: np.random.Generator | None) -> Batch:
    tensors = {name: torch.from_numpy(array) for name, array in rows.items()}
    return Batch(tensors.pop(INPUTS), tensors)
