"""Batches to check data sets with: their digests, and predictions that are perfect or random."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from auxbench.data.dataset import Batch, Dataset, Samples, Task


def everything(data: Dataset, split: str) -> Batch:
    """All samples of a split."""
    samples: Samples = data.samples(split)
    return samples.batch(np.arange(len(samples)), None)


def digest(batch: Batch) -> str:
    """A digest of the inputs and targets of a batch."""
    parts = [batch.inputs, *(batch.targets[key] for key in sorted(batch.targets))]
    text = b"".join(part.contiguous().numpy().tobytes() for part in parts)
    return hashlib.sha256(text).hexdigest()


def guess(task: Task, batch: Batch) -> Tensor:
    """A random prediction for a batch, always the same."""
    size = batch.inputs.shape[-2:] if task.dense else ()
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(batch), task.outputs, *size, generator=generator)


def perfect(task: Task, batch: Batch) -> Tensor:
    """The prediction that agrees with the labels of a batch."""
    target = batch.targets[task.name]
    if target.is_floating_point():
        return target.nan_to_num().reshape(guess(task, batch).shape)
    hot = torch.nn.functional.one_hot(target.clamp(min=0), task.outputs)
    return 20.0 * hot.movedim(-1, 1).float()


def without_labels(task: Task, prediction: Tensor, target: Tensor) -> Tensor:
    """The same target with no label in it, as `Batch` defines it."""
    if not target.is_floating_point():
        return torch.full_like(target, -1)
    empty = torch.zeros_like(target)
    if task.losses(prediction, empty).counts.sum() > 0:
        empty = torch.full_like(target, torch.nan)
    return empty
