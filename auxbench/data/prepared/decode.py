"""Decoding: from the compact types of the prepared form to the tensors of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.data.prepared.form import DEPTH, NORMAL, RESPONSE

Raw = npt.NDArray[Any]
Raws = npt.NDArray[Any] | list[npt.NDArray[Any]]  # one array of all samples, or one per sample

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB in [0, 1], which pretrained backbones expect
STD = (0.229, 0.224, 0.225)
SCALES = [(1 / (255 * std), -mean / std) for mean, std in zip(MEAN, STD, strict=True)]
KEPT = 4  # free memory blocks of one size that are kept for the next batches


def pictures(images: Raws) -> Tensor:
    """Network inputs, float32 [B, 3, H, W], from planar RGB bytes [B, 3, H, W].

    >>> pictures(np.zeros((2, 3, 8, 8), np.uint8)).shape
    torch.Size([2, 3, 8, 8])
    """
    result = _result(images, np.float32)
    for image, target in zip(images, result, strict=True):
        for plane, into, (factor, shift) in zip(image, target, SCALES, strict=True):
            # plane by plane, so that each is still in the processor's cache when it is scaled
            into.copy_(torch.from_numpy(plane)).mul_(factor).add_(shift)
    return result


def classes(labels: Raws) -> Tensor:
    """Classes, int64 [B, ...], from int8 with -1 for no label."""
    result = _result(labels, np.int64)
    for label, target in zip(labels, result, strict=True):
        target.copy_(torch.from_numpy(np.asarray(label)))
    return result


def chosen(labels: Raws, mapping: npt.NDArray[np.int64]) -> Tensor:
    """Classes of a coarser scheme, int64, given by `mapping[class]`; -1 stays -1.

    >>> chosen(np.array([1, -1], np.int8), np.array([5, 7])).tolist()
    [7, -1]
    """
    with_none = np.append(mapping, -1)  # index -1 is the last one
    return torch.from_numpy(with_none[np.asarray(labels)])


def depths(steps: Raws, per_metre: float = DEPTH) -> Tensor:
    """Depths in metres, float32 [B, 1, H, W], from uint16 [B, H, W]; 0 means no label."""
    return _each(steps, lambda depth: depth.mul_(1 / per_metre)).unsqueeze(1)


def normals(components: Raws) -> Tensor:
    """Normals, float32 [B, 3, H, W], from int8; their length is 1 within a hundredth, or zero."""
    return _each(components, lambda normal: normal.mul_(1 / NORMAL))


def responses(steps: Raws, full: float) -> Tensor:
    """Responses of a filter, float32 [B, 1, H, W] in [0, 1], from uint16 [B, H, W].

    Responses of `full` and above become 1, so that a few large ones do not dominate a target.
    """
    scale = 1 / (RESPONSE * full)
    return _each(steps, lambda map_: map_.mul_(scale).clamp_(max=1)).unsqueeze(1)


def _each(values: Raws, scale: Callable[[Tensor], object]) -> Tensor:
    """The values [B, H, W] or [B, C, H, W] as float32, scaled plane by plane."""
    result = _result(values, np.float32)
    for value, target in zip(values, result, strict=True):
        shape = (-1, *target.shape[-2:])
        planes = torch.from_numpy(value).reshape(shape)
        for plane, into in zip(planes, target.reshape(shape), strict=True):
            scale(into.copy_(plane))  # while the plane is in the processor's cache
    return result


def _result(values: Raws, dtype: npt.DTypeLike) -> Tensor:
    """An uninitialised tensor for the decoded values."""
    return torch.from_numpy(_memory((len(values), *values[0].shape), dtype))


def recycled(shape: Sequence[int], like: Tensor) -> Tensor:
    """An uninitialised tensor of the type of another one, in recycled memory if some is free."""
    count = int(np.prod(shape, dtype=np.int64)) * like.element_size()
    return torch.from_numpy(_memory((count,), np.uint8)).view(like.dtype).view(*shape)


class _Lease:
    """A block of memory that returns to its pool when no array in it is referenced any more."""

    def __init__(self, block: npt.NDArray[np.uint8], pool: list[npt.NDArray[np.uint8]]) -> None:
        self.block = block
        self.pool = pool
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        if len(self.pool) < KEPT:
            self.pool.append(self.block)


_POOLS: dict[int, list[npt.NDArray[np.uint8]]] = {}


def _memory(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Raw:
    """An uninitialised array, in recycled memory if some is free.

    Getting new memory pages from the system takes longer than all decoding.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    pool = _POOLS.setdefault(size, [])
    try:
        block = pool.pop()
    except IndexError:
        block = np.empty(size, np.uint8)
    return np.asarray(_Lease(block, pool)).view(kind).reshape(shape)
