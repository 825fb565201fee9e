"""Pooled samples: inputs and labels of a split as small tables, for a look before training.

Pictures and maps are averaged over a coarse grid of cells, so that thousands of them fit in memory
and a statistic of seconds can be computed on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, one_hot

from auxbench.data.dataset import Dataset, Task

Numbers = npt.NDArray[np.float64]

GRID = 4  # cells along each side of a map
THUMB = 16  # pixels along each side of a thumbnail
CHUNK = 64  # samples read at a time


@dataclass(frozen=True)
class Labels:
    """The labels of a task on N samples: [N, cells, C], NaN where there is none.

    A task of whole samples has one cell. Classes are shares of each class in a cell, which are 0
    or 1 for whole samples; `classes` is their number, and 0 for numbers. `known` is the share of
    the elements of each cell that have a label, [N, cells].
    """

    values: Numbers
    known: Numbers
    classes: int
    names: tuple[str, ...] = ()

    @property
    def dense(self) -> bool:
        """True if the labels are maps."""
        return bool(self.values.shape[1] > 1)


@dataclass(frozen=True)
class Pooled:
    """Samples of one split: their `rows` in it, inputs [N, F], cells [N, cells, K] and labels.

    Of pictures, `inputs` is a thumbnail, [N, 3 THUMB THUMB], and `cells` has the mean and the
    spread of each channel and the mean gradient in every cell of the grid; of vectors, `inputs` has
    their numbers and `cells` is empty.
    """

    rows: npt.NDArray[np.int64]
    inputs: Numbers
    cells: Numbers
    labels: Mapping[str, Labels]

    def __len__(self) -> int:
        return len(self.rows)


def pooled(dataset: Dataset, split: str, most: int, tasks: Sequence[Task]) -> Pooled:
    """At most `most` samples of a split, drawn at random, with the labels of some tasks.

    The data must have been prepared; samples are not augmented.

    >>> from auxbench.spec.registry import DATASETS
    >>> data = DATASETS["rooms"].tiny()
    >>> found = pooled(data, "train", 100, list(data.tasks.values()))
    >>> found.inputs.shape[1], found.labels["depth"].values.shape[1:]
    (768, (16, 1))
    """
    samples = dataset.samples(split)
    rng = np.random.default_rng(len(samples))
    rows = np.sort(rng.permutation(len(samples))[:most]).astype(np.int64)
    inputs, cells = list[Tensor](), list[Tensor]()
    values: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    known: dict[str, list[Tensor]] = {task.name: [] for task in tasks}
    for start in range(0, len(rows), CHUNK):
        batch = samples.batch(rows[start : start + CHUNK], None)
        thumb, summary = _inputs(batch.inputs)
        inputs.append(thumb)
        cells.append(summary)
        for task in tasks:
            value, marks = _labels(task, batch.targets[task.name])
            values[task.name].append(value)
            known[task.name].append(marks)
    return Pooled(
        rows,
        _joined(inputs),
        _joined(cells),
        {
            task.name: Labels(
                _joined(values[task.name]),
                _joined(known[task.name]),
                task.kind.classes if not _chances(task) else 0,
                task.kind.names,
            )
            for task in tasks
        },
    )


def _joined(parts: Sequence[Tensor]) -> Numbers:
    joined: Numbers = torch.cat(list(parts)).double().numpy()
    return joined


def _inputs(inputs: Tensor) -> tuple[Tensor, Tensor]:
    if inputs.ndim == 2:
        return inputs, inputs.new_zeros((len(inputs), 0, 0))
    inputs = inputs.float().contiguous()
    mean = adaptive_avg_pool2d(inputs, GRID)
    spread = (adaptive_avg_pool2d(inputs**2, GRID) - mean**2).clamp(min=0).sqrt()
    right, down = torch.zeros_like(inputs), torch.zeros_like(inputs)
    right[..., :-1] = inputs.diff(dim=-1).abs()
    down[..., :-1, :] = inputs.diff(dim=-2).abs()
    edges = adaptive_avg_pool2d((right + down).mean(1, keepdim=True), GRID)
    summary = torch.cat([mean, spread, edges], 1).flatten(2).transpose(1, 2)
    return adaptive_avg_pool2d(inputs, THUMB).flatten(1), summary


def _chances(task: Task) -> bool:
    """True for labels that are numbers although they have classes, such as a teacher's."""
    return bool(task.kind.classes) and bool(np.isnan(task.kind.missing))


def _labels(task: Task, target: Tensor) -> tuple[Tensor, Tensor]:
    """The labels of a batch, [B, cells, C], and the shares of their elements that are known."""
    missing = task.kind.missing
    if task.kind.classes and not _chances(task):
        marks = target != int(missing)
        flat = one_hot(target.long().clamp(min=0), task.kind.classes).float()
        flat = flat.movedim(-1, 1) if task.dense else flat
    else:
        flat = target.float().reshape(len(target), -1, *target.shape[2:])
        valid = flat.isfinite()
        # a vector that is missing is missing as a whole
        marks = valid.all(1) if np.isnan(missing) else (valid & (flat != missing)).any(1)
    if not task.dense:
        flat = flat.flatten(1)[:, None]
        return flat.masked_fill(~marks.reshape(len(flat), 1, 1), float("nan")), marks[:, None]
    whole = marks[:, None].float()
    shares = adaptive_avg_pool2d(whole, GRID)
    sums = adaptive_avg_pool2d(flat.masked_fill(~marks[:, None], 0), GRID)
    means = (sums / shares).flatten(2).transpose(1, 2)  # NaN in a cell without a label
    return means, shares.flatten(1)
