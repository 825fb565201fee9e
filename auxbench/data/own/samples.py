"""Samples of own data: pictures as bytes or vectors, and targets, stored row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.data.arrays import INPUTS
from auxbench.data.dataset import Batch, Dataset, Indices, InMemory, Samples, Task
from auxbench.data.kinds import Kind
from auxbench.data.own.labels import is_number, labelled, of_classes
from auxbench.data.own.pictures import Array, Bytes
from auxbench.data.prepared import decode
from auxbench.data.views import View, smooth

COUNTS = {"train": 8, "validation": 4, "test": 4}  # of a small variant
SIDE = 32


class OwnSamples(Samples):
    """Some rows of arrays [N, ...], which may be mapped into memory.

    The array `inputs` has pictures [N, C, H, W] as bytes or vectors [N, F], and there is one array
    of targets per task. With `mirror`, half of the training pictures are mirrored, with their maps.
    `scales` has the mean and the deviation, [1, F], of the arrays to be standardised.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        rows: Indices,
        tasks: Mapping[str, Task],
        mirror: bool = True,
        scales: Mapping[str, tuple[Array, Array]] | None = None,
        known: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    ) -> None:
        self.arrays = {name: arrays[name] for name in (INPUTS, *tasks)}
        self.rows = rows
        self.tasks = dict(tasks)
        self.mirror = mirror
        self.scales = dict(scales or {})
        marks = {
            name: known[name][rows] if known else labelled(task.kind, self.arrays[name][rows])
            for name, task in tasks.items()
        }
        self.labelled = {n: np.flatnonzero(mark) for n, mark in marks.items() if not mark.all()}

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        rows = self.rows[indices]
        found = {name: np.array(array[rows]) for name, array in self.arrays.items()}
        inputs = found.pop(INPUTS)
        if inputs.ndim == 4 and self.mirror and rng is not None:
            mirrored = rng.random(len(rows)) < 0.5
            inputs[mirrored] = inputs[mirrored, ..., ::-1]
            for name, task in self.tasks.items():
                if task.dense:
                    found[name][mirrored] = task.kind.mirrored(found[name][mirrored])
        targets = {name: self._target(name, found[name]) for name in self.tasks}
        if inputs.ndim == 2:
            return Batch(torch.from_numpy(self._scaled(INPUTS, inputs)), targets)
        return Batch(decode.pictures(np.repeat(inputs, 3 // inputs.shape[1], axis=1)), targets)

    def _target(self, name: str, values: Array) -> Tensor:
        if of_classes(self.tasks[name].kind):
            return decode.classes(values)
        return torch.from_numpy(self._scaled(name, values))

    def _scaled(self, name: str, values: Array) -> Array:
        if name in self.scales:
            mean, deviation = self.scales[name]
            values = (values - mean) / deviation
        return np.asarray(values, np.float32)


def scales_of(
    arrays: Mapping[str, Array], rows: Indices, tasks: Mapping[str, Task]
) -> dict[str, tuple[Array, Array]]:
    """The mean and deviation over some rows of input vectors and of tasks that are numbers.

    Missing labels are left out. The deviation of a constant is 1, so that nothing is divided by 0.
    """
    names = [name for name, task in tasks.items() if is_number(task.kind)]
    names += [INPUTS] if arrays[INPUTS].ndim == 2 else []
    found = {}
    for name in names:
        values = arrays[name][rows].astype(np.float64)
        known = ~np.isnan(values)
        count = known.sum(0, keepdims=True).clip(min=1)
        mean: Array = np.where(known, values, 0).sum(0, keepdims=True) / count
        squares = np.where(known, values - mean, 0) ** 2
        deviation = np.sqrt(squares.sum(0, keepdims=True) / count)
        least, most = (np.where(known, values, end) for end in (np.inf, -np.inf))
        varies = most.max(0, keepdims=True) > least.min(0, keepdims=True)
        found[name] = mean, np.where(varies, deviation, 1)
    return found


def told(scales: Mapping[str, tuple[Array, Array]]) -> dict[str, dict[str, list[float]]]:
    """Means and deviations as lists, JSON-able."""
    return {
        name: {"mean": mean.reshape(-1).tolist(), "deviation": deviation.reshape(-1).tolist()}
        for name, (mean, deviation) in scales.items()
    }


def fitted(picture: Bytes, side: int) -> tuple[Bytes, View]:
    """A picture [C, H, W] at `side` x `side` pixels, and the view through which it is seen.

    The view is the largest square in the middle of the picture.
    """
    height, width = picture.shape[-2:]
    view = View.whole((height, width), (side, side))
    if (height, width) == (side, side):
        return picture, view
    out = torch.empty(len(picture), side, side)
    smooth(torch.from_numpy(np.require(picture, requirements=("C", "W"))), view, out=out)
    return out.round().clamp(0, 255).byte().numpy(), view


def fitted_map(kind: Kind, target: Array, view: View) -> Array:
    """The target of one sample, a map, seen through the view of its picture."""
    if target.shape[-2:] == view.size:
        return target
    seen: Array = kind.seen(
        torch.from_numpy(np.require(target, requirements=("C", "W"))), view
    ).numpy()
    return seen


def small(like: Dataset) -> Dataset:
    """Sixteen drawn samples with the tasks of a data set and inputs of its form."""
    made = InMemory(like, lambda split: _drawn(like.tasks, like.features, split))
    made.size = (0, 0) if like.features else (SIDE, SIDE)
    return made


def _drawn(tasks: Mapping[str, Task], features: int, split: str) -> Samples:
    count = COUNTS[split]
    rng = np.random.default_rng([1729, list(COUNTS).index(split)])
    arrays: dict[str, Array] = {
        INPUTS: rng.standard_normal((count, features)).astype(np.float32)
        if features
        else rng.integers(0, 256, (count, 3, SIDE, SIDE)).astype(np.uint8)
    }
    for number, (name, task) in enumerate(tasks.items()):
        own = np.random.default_rng([1729, count, number, list(COUNTS).index(split)])
        arrays[name] = _labels(task.kind, count, own)
    return OwnSamples(arrays, np.arange(count), tasks)


def _labels(kind: Kind, count: int, rng: np.random.Generator) -> Array:
    size: tuple[int, ...] = (SIDE, SIDE) if kind.dense else ()
    if of_classes(kind):
        return rng.integers(0, kind.classes, (count, *size)).astype(np.int64)
    values: npt.NDArray[Any] = rng.random((count, kind.outputs, *size)).astype(np.float32)
    if kind.classes:  # probabilities
        chances: Array = values / values.sum(1, keepdims=True)
        return chances
    given: Array = kind.given(torch.from_numpy(values + 0.1)).numpy()
    return given
