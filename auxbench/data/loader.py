"""Loaders: endless shuffled batches of a split, whose whole state is two numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from auxbench.data.dataset import Batch, Indices, Samples
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError


class Loader(Iterator[Batch]):
    """Endless shuffled batches of some samples; its whole state is (epoch, position).

    Every epoch has a fresh order of all samples that depends on the random streams, the purpose and
    the epoch alone; those that `indices` does not name are left out, so streams of one purpose
    agree in the order of what they share. Batches have one size, so that each batch after a sample
    that is left out begins one sample later in the order, and such epochs are shorter. Augmentation
    is drawn by batches. With `part` 0 or 1 the stream yields that half of every epoch's order, so
    two streams of one purpose halve the samples again in every epoch and never share one within it.
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
        """The position of the stream."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
