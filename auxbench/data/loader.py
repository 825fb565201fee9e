"""Loaders: endless shuffled batches of a split, with two numbers as their whole state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from auxbench.data.dataset import Batch, Indices, Samples
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError


class Loader(Iterator[Batch]):
    """Endless shuffled batches of some samples; its whole state is (epoch, position).

    Every epoch has a new order of all samples, which depends only on the seeds, the purpose and the
    epoch. Samples not in `indices` are skipped, so streams with the same purpose have their common
    samples in the same order. All batches have the same size: skipping a sample moves all later
    batches on by one sample, and makes the epoch shorter. Augmentation is drawn per batch. With
    `part` 0 or 1 the stream yields only that half of every epoch's order: two streams with the same
    purpose divide the samples differently in every epoch and never share a sample within it.
    """

    def __init__(
        self,
        samples: Samples,
        indices: Indices,
        size: int,
        seeds: Seeds,
        purpose: tuple[str, ...] = (),
        part: int | None = None,
    ) -> None:
        self.samples = samples
        self.indices = indices
        self.kept = np.zeros(len(samples), dtype=np.bool_)
        self.kept[indices] = True
        self.seeds = seeds
        self.purpose = purpose
        self.part = part
        shares = 1 if part is None else 2
        if len(indices) < shares:
            raise UsageError(f"a split of {len(indices)} samples is too small; use a larger one.")
        self.share = len(indices) // shares
        self.size = min(size, self.share)
        self.epoch = 0
        self.position = 0

    def __next__(self) -> Batch:
        if self.position + self.size > self.share:
            self.epoch, self.position = self.epoch + 1, 0
        draws = self.seeds.numpy("order", *self.purpose, self.epoch)
        order = draws.permutation(len(self.samples))
        order = order[self.kept[order]]
        start = self.position + (self.part or 0) * self.share
        rng = self.seeds.numpy("augment", *self.purpose, self.epoch, start)
        self.position += self.size
        return self.samples.batch(order[start : start + self.size], rng)

    def state_dict(self) -> dict[str, Any]:
        """The epoch and the position of the stream."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
