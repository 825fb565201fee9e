"""Loaders: endless shuffled batches of a split, with two numbers as their whole state."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np

from auxbench.data.dataset import Batch, Indices, Samples
from auxbench.data.seeds import Seeds
from auxbench.data.workers import NONE, Workers
from auxbench.errors import UsageError

Place = tuple[int, int, int, Indices]  # epoch, position after the batch, its start, its samples


class Loader(Iterator[Batch]):
    """Endless shuffled batches of some samples; its whole state is (epoch, position).

    Every epoch has a new order of all samples, which depends only on the seeds, the purpose and the
    epoch. Samples not in `indices` are skipped, so streams with the same purpose have their common
    samples in the same order. All batches have the same size: skipping a sample moves all later
    batches on by one sample, and makes the epoch shorter. Augmentation is drawn per batch. With
    `part` 0 or 1 the stream yields only that half of every epoch's order: two streams with the same
    purpose divide the samples differently in every epoch and never share a sample within it.

    `workers` prepare the next batches, which changes none of them: the state is that of the last
    batch taken, not of the last one prepared.
    """

    def __init__(
        self,
        samples: Samples,
        indices: Indices,
        size: int,
        seeds: Seeds,
        purpose: tuple[str, ...] = (),
        part: int | None = None,
        workers: Workers = NONE,
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
        self.workers = workers
        self.epoch = 0
        self.position = 0
        self.coming: Generator[tuple[int, int, Batch], None, None] | None = None

    def __next__(self) -> Batch:
        if self.coming is None:
            self.coming = self.workers.made(self._made, self._places())
        self.epoch, self.position, batch = next(self.coming)
        return batch

    def _places(self) -> Iterator[Place]:
        """The places of the batches that follow, without end; an epoch's order is drawn once."""
        epoch, position = self.epoch, self.position
        while True:
            if position + self.size > self.share:
                epoch, position = epoch + 1, 0
            order = self.seeds.numpy("order", *self.purpose, epoch).permutation(len(self.samples))
            order = order[self.kept[order]]
            while position + self.size <= self.share:
                start = position + (self.part or 0) * self.share
                position += self.size
                yield epoch, position, start, order[start : start + self.size]

    def _made(self, place: Place) -> tuple[int, int, Batch]:
        epoch, position, start, indices = place
        rng = self.seeds.numpy("augment", *self.purpose, epoch, start)
        return epoch, position, self.samples.batch(indices, rng)

    def rest(self) -> None:
        """Drop the batches that were prepared ahead; `next` prepares them again."""
        if self.coming is not None:
            self.coming.close()
        self.coming = None

    def state_dict(self) -> dict[str, Any]:
        """The epoch and the position of the stream."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.rest()
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
