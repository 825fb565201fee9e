"""Geometric augmentation of a batch: each picture and all its labels are seen through one view.

Pictures are sampled bilinearly, with antialiasing where they shrink; a label is transformed as its
kind requires (see `auxbench.data.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from auxbench.data.arrays import Rows
from auxbench.data.dataset import Batch, Task
from auxbench.data.prepared.decode import SCALES, pictures, recycled
from auxbench.data.prepared.samples import Derived, decoded
from auxbench.data.views import Protocol, Size, View, smooth


def seen(batch: Batch, tasks: Mapping[str, Task], views: Sequence[View]) -> Batch:
    """A batch seen through one view per sample.

    The kinds of the `tasks` determine how their targets are transformed. Maps may have a channel
    axis or lack it. All inputs must have the same size, as must all views. Labels of
    whole samples are the same in every view.
    """
    inputs: Tensor | None = None
    targets: dict[str, Tensor] = {}
    for index, view in enumerate(views):  # one by one: their data stay in the processor's cache
        inputs = _put(inputs, smooth(batch.inputs[index], view), index, len(views))
        for name, target in batch.targets.items():
            kind = tasks[name].kind
            label = kind.seen(target[index], view) if kind.dense else target[index]
            targets[name] = _put(targets.get(name), label, index, len(views))
    assert inputs is not None
    return Batch(inputs, targets)


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
    derived: Derived,
    tasks: Mapping[str, Task],
    size: Size,
    protocol: Protocol,
    rng: np.random.Generator | None,
) -> Batch:
    """The batch that `augmented` makes of decoded rows, whose pictures are called 'image'.

    Of every stored array only what a view shows is decoded, and whole pictures are never in memory.
    The tasks in `derived` are computed from other arrays.
    """
    images = rows["image"]
    height, width = images[0].shape[-2:]
    views = _views((height, width), len(images), size, protocol, rng)
    if views is None:
        return Batch(pictures(images), decoded(tasks, rows, derived))
    inputs = recycled((len(images), 3, *size), torch.empty(0))
    for image, view, target in zip(images, views, inputs, strict=True):
        smooth(torch.from_numpy(image), view, out=target, scales=SCALES)
    targets: dict[str, Tensor] = {}
    for name, task in tasks.items():
        kind = task.kind
        if not kind.dense:
            targets |= decoded({name: task}, rows, derived)
        elif name not in derived:
            targets[name] = kind.stored_seen(rows[name], views)
        else:
            for index, view in enumerate(views):
                one = {array: values[index : index + 1] for array, values in rows.items()}
                label = kind.seen(derived[name](one)[0], view)
                targets[name] = _put(targets.get(name), label, index, len(views))
    return Batch(inputs, targets)


def _views(
    picture: Size, count: int, size: Size, protocol: Protocol, rng: np.random.Generator | None
) -> list[View] | None:
    """A view for every sample; None if all are seen as they are."""
    if rng is not None:
        return [View.draw(picture, size, protocol, rng) for _ in range(count)]
    return None if picture == size else [View.whole(picture, size)] * count


def _put(batch: Tensor | None, sample: Tensor, index: int, count: int) -> Tensor:
    """A batch of `count` samples with one of them put in; the first one shapes it."""
    if batch is None:
        batch = recycled((count, *sample.shape), sample)
    batch[index] = sample
    return batch
