"""Vectors with numbers as targets: samples, the squared error as loss, its root as score."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench import Batch
from auxbench.data.arrays import ArraySamples, Rows
from auxbench.data.dataset import Task
from auxbench.data.losses import single, with_channel
from auxbench.data.metrics import L1Error

Numbers = npt.NDArray[np.float64]

INPUTS = "inputs"  # beside one array per task


class Vectors(ArraySamples):
    """A split of vectors [N, F] and targets [N, outputs] by task, in single precision.

    Nothing is augmented: a table has no symmetries.
    """

    def __init__(self, inputs: Numbers, targets: Mapping[str, Numbers]) -> None:
        arrays = {INPUTS: inputs, **targets}
        super().__init__({k: array.astype(np.float32) for k, array in arrays.items()}, _batch)


def _batch(rows: Rows, rng: np.random.Generator | None) -> Batch:
    tensors = {name: torch.from_numpy(array) for name, array in rows.items()}
    return Batch(tensors.pop(INPUTS), tensors)


def number(name: str, outputs: int = 1) -> Task:
    """A task of predicting so many numbers, [B, outputs]."""
    return Task(name, outputs, False, squared, (RMSE, L1Error))


def squared(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The squared error of vectors [B, C]; NaN is no label.

    >>> target = torch.tensor([[1.0, float("nan")]])
    >>> squared(torch.tensor([[3.0, 3.0]]), target)
    (tensor([4.]), tensor([1.]))
    """
    prediction, target = single(prediction), with_channel(prediction, target)
    valid = ~target.isnan()
    # the mask lies inside the square so that a NaN of the target meets no gradient
    errors = torch.where(valid, prediction - target, 0).square()
    return errors.flatten(1).sum(1), valid.flatten(1).sum(1).to(errors.dtype)


class RMSE(L1Error):
    """The root of the mean squared error over the split; NaN is no label."""

    name = "rmse"

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        errors, valid = super().values(prediction, target)
        return errors.square(), valid

    def compute(self) -> float:
        return math.sqrt(super().compute())
