"""Geometric augmentation of a batch: each picture and all its labels are seen through one view.

Pictures are sampled bilinearly, with antialiasing where they shrink; a label is transformed as its
kind requires (see `auxbench.data.kinds`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from auxbench.data.arrays import Rows
from auxbench.data.dataset import Batch, Task
from auxbench.data.prepared.decode import recycled
from auxbench.data.views import Protocol, Size, View, smooth


def seen(batch: Batch, tasks: Mapping[str, Task], views: Sequence[View]) -> Batch:
    """A batch seen through one view per sample.

    The kinds of the `tasks` determine how their targets are transformed. Maps may have a channel
    axis or lack it. All inputs must have the same size, as must all views.
    """
    return _seen(lambda index: (batch, index), tasks, views)


def augmented(
    batch: Batch,
    tasks: Mapping[str, Task],
    size: Size,
    protocol: Protocol,
    rng: np.random.Generator | None,
) -> Batch:
    """A batch at `size` (height, width): random views by the protocol, or central without `rng`."""
    height, width = batch.inputs.shape[-2:]
    views = _views((height, width), len(batch), size, protocol, rng)
    return batch if views is None else seen(batch, tasks, views)


def decoded_and_augmented(
    rows: Rows,
    decode: Callable[[Rows], Batch],
    tasks: Mapping[str, Task],
    size: Size,
    protocol: Protocol,
    rng: np.random.Generator | None,
) -> Batch:
    """The batch that `augmented` makes of the decoded `rows`, whose pictures are called 'image'.

    Each sample is decoded just before it is seen, so a batch of whole pictures is never in memory.
    """
    images = rows["image"]
    height, width = images[0].shape[-2:]
    views = _views((height, width), len(images), size, protocol, rng)
    if views is None:
        return decode(rows)

    def sample(index: int) -> tuple[Batch, int]:
        return decode({name: array[index : index + 1] for name, array in rows.items()}), 0

    return _seen(sample, tasks, views)


def _views(
    picture: Size, count: int, size: Size, protocol: Protocol, rng: np.random.Generator | None
) -> list[View] | None:
    """A view for every sample; None if all are seen as they are."""
    if rng is not None:
        return [View.draw(picture, size, protocol, rng) for _ in range(count)]
    return None if picture == size else [View.whole(picture, size)] * count


def _seen(
    sample: Callable[[int], tuple[Batch, int]], tasks: Mapping[str, Task], views: Sequence[View]
) -> Batch:
    """Samples, each the row of a batch, seen one by one: their data stay in the processor's cache.

    Labels of whole samples are the same in every view.
    """
    inputs: Tensor | None = None
    targets: dict[str, Tensor] = {}
    for index, view in enumerate(views):
        batch, row = sample(index)
        inputs = _put(inputs, smooth(batch.inputs[row], view), index, len(views))
        for name, target in batch.targets.items():
            kind = tasks[name].kind
            label = kind.seen(target[row], view) if kind.dense else target[row]
            targets[name] = _put(targets.get(name), label, index, len(views))
    assert inputs is not None
    return Batch(inputs, targets)


def _put(batch: Tensor | None, sample: Tensor, index: int, count: int) -> Tensor:
    """A batch of `count` samples with one of them put in; the first one shapes it."""
    if batch is None:
        batch = recycled((count, *sample.shape), sample)
    batch[index] = sample
    return batch
