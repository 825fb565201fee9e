"""Taps: the elements along an axis of a picture that make up one of a view, and their weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

BLOCK = 32  # columns of a view that are computed in one product


def taps(places: Floats, length: int, small: int) -> tuple[Whole, Floats]:
    """The elements of an axis, and their weights, both [n, k], that are seen at n places of it.

    An axis of another `length` is first shrunk to `small` elements, with antialiasing; the weights
    of shrinking and of interpolating are multiplied.

    >>> elements, weights = taps(np.array([0.4, 1.5]), 3, 3)
    >>> elements.tolist(), weights.round(3).tolist()
    ([[0, 1], [1, 2]], [[1.0, 0.0], [1.0, 0.0]])
    """
    at = (places * (small / length) - 0.5).clip(0, small - 1)
    low = np.floor(at).astype(np.int64)
    high, share = np.minimum(low + 1, small - 1), (at - low)[:, None]
    if small == length:
        return np.stack([low, high], 1), np.concatenate([1 - share, share], 1)
    start, weights = _shrinking(length, small)
    apart = (start[high] - start[low])[:, None]
    steps, each = np.arange(weights.shape[1]), np.arange(len(at))[:, None]
    both = np.zeros((len(at), len(steps) + int(apart.max())))
    both[each, steps] += weights[low] * (1 - share)
    both[each, steps + apart] += weights[high] * share
    elements = start[low][:, None] + np.arange(both.shape[1])
    return elements.clip(max=length - 1), both


class RowTaps:
    """The taps of rows, [n, k]: `elements`, counted from the row `first`, and `weights`.

    `last` is the row after the last one that is read.
    """

    def __init__(self, elements: Whole, weights: Floats, dtype: torch.dtype) -> None:
        self.first = int(elements.min())
        self.last = int(elements.max()) + 1
        self.elements = torch.from_numpy(elements - self.first)
        self.weights = torch.from_numpy(weights).to(dtype)


class ColumnTaps:
    """The taps of columns: a call turns rows, cut from column `first` to `last`, into those seen.

    If the places are `mirrored`, so must be these rows. Blocks of columns side by side are seen in
    about equal steps, so their weights are small matrices, and rows are multiplied with all of them
    at once. The rows need `wide` columns, of which those beyond the last one are 0.
    """

    def __init__(
        self, elements: Whole, weights: Floats, mirrored: bool, dtype: torch.dtype
    ) -> None:
        self.first = int(elements.min())
        self.last = int(elements.max()) + 1
        elements = self.last - 1 - elements if mirrored else elements - self.first
        self.count = len(elements)
        size = min(BLOCK, self.count)
        block, inside = np.divmod(np.arange(self.count), size)
        starts = np.arange(0, self.count, size)
        low = elements[starts].min(1)
        high = elements[np.minimum(starts + size, self.count) - 1].max(1)
        numbers = np.arange(len(starts))
        self.step = int((low[1:] // numbers[1:]).min()) if len(starts) > 1 else 0
        early = self.step * numbers  # never later than the first element of a block
        few = int((high - early).max()) + 1
        self.wide = max(int(early[-1]) + few, self.last - self.first)
        table = np.zeros((len(starts), few, size))
        elements = elements - early[block][:, None]
        for element, weight in zip(elements.T, weights.T, strict=True):
            table[block, element, inside] += weight
        self.table = torch.from_numpy(table).to(dtype)

    def __call__(self, rows: Tensor, shift: float, out: Tensor) -> None:
        """Put the columns that are seen, [m, n], of contiguous rows [m, wide] into `out`.

        A number is added to all of them.
        """
        blocks, few, size = self.table.shape
        parts = rows.as_strided((blocks, len(rows), few), (self.step, self.wide, 1))
        found = torch.bmm(parts, self.table).transpose(0, 1)
        if blocks * size == self.count:
            torch.add(found, shift, out=out.view(len(rows), blocks, size))
        else:
            torch.add(found.reshape(len(rows), -1)[:, : self.count], shift, out=out)


@lru_cache(maxsize=1024)  # kilobytes each
def _shrinking(length: int, small: int) -> tuple[Whole, Floats]:
    """The first elements [small] that make up those of a shrunk axis, and all weights [small, k].

    The weights are read off from what torch makes of unit vectors.
    """
    units = torch.eye(length, dtype=torch.float64)[None, None]
    matrix = functional.interpolate(units, (small, length), mode="bilinear", antialias=True)[0, 0]
    start = (matrix != 0).int().argmax(1)
    count = int((matrix != 0).sum(1).max())
    elements = start[:, None] + torch.arange(count)
    weights = matrix.gather(1, elements.clamp(max=length - 1))
    return start.numpy(), torch.where(elements < length, weights, 0).numpy()
