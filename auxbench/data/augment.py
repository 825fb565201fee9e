"""Geometric augmentation of a batch: the picture and all its labels are seen through one view.

The picture is sampled bilinearly, smoothed against aliasing where it shrinks; what becomes of a
label is a matter of its kind (see `auxbench.data.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from auxbench.data.dataset import Batch, Task
from auxbench.data.views import Protocol, Size, View, smooth


def seen(batch: Batch, tasks: Mapping[str, Task], views: list[View]) -> Batch:
    """A batch through one view per sample.

    The kinds of the `tasks` decide what becomes of their targets. Maps may have a channel axis or
    lack it. The inputs must be of one size, as must the views.
    """
    inputs = [smooth(image, view) for image, view in zip(batch.inputs, views, strict=True)]
    targets = {}
    for name, target in batch.targets.items():
        kind = tasks[name].kind
        pairs = zip(target, views, strict=True)
        # what is said of a complete sample holds in every view of it
        targets[name] = (
            torch.stack([kind.seen(value, view) for value, view in pairs]) if kind.dense else target
        )
    return Batch(torch.stack(inputs), targets)


def augmented(
    batch: Batch,
    tasks: Mapping[str, Task],
    size: Size,
    protocol: Protocol,
    rng: np.random.Generator | None,
) -> Batch:
    """A batch at `size` (height, width): randomly by the protocol, or the middle without `rng`."""
    height, width = batch.inputs.shape[-2:]
    picture = (height, width)
    if rng is None:
        if picture == size:
            return batch
        views = [View.whole(picture, size)] * len(batch)
    else:
        views = [View.draw(picture, size, protocol, rng) for _ in range(len(batch))]
    return seen(batch, tasks, views)
