"""Geometric augmentation of a batch: each picture and all its labels are seen through one view.

Pictures are sampled bilinearly, with antialiasing where they shrink; a label is transformed as its
kind requires (see `auxbench.data.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from auxbench.data.dataset import Batch, Task
from auxbench.data.views import Protocol, Size, View, smooth


def seen(batch: Batch, tasks: Mapping[str, Task], views: list[View]) -> Batch:
    """A batch seen through one view per sample.

    The kinds of the `tasks` determine how their targets are transformed. Maps may have a channel
    axis or lack it. All inputs must have the same size, as must all views.
    """
    inputs = [smooth(image, view) for image, view in zip(batch.inputs, views, strict=True)]
    targets = {}
    for name, target in batch.targets.items():
        kind = tasks[name].kind
        pairs = zip(target, views, strict=True)
        # labels of whole samples are the same in every view
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
    """A batch at `size` (height, width): random views by the protocol, or central without `rng`."""
    height, width = batch.inputs.shape[-2:]
    picture = (height, width)
    if rng is None:
        if picture == size:
            return batch
        views = [View.whole(picture, size)] * len(batch)
    else:
        views = [View.draw(picture, size, protocol, rng) for _ in range(len(batch))]
    return seen(batch, tasks, views)
