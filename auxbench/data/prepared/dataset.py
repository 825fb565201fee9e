"""Data sets that are read from the prepared form, as NYU v2, Cityscapes and Taskonomy are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

import numpy as np

from auxbench.data.arrays import Rows
from auxbench.data.dataset import Batch, Dataset, Indices, InMemory, Samples, Task
from auxbench.data.prepared.form import Prepared, place
from auxbench.data.prepared.samples import Offered, PreparedSamples, refuse_enlarging
from auxbench.data.views import Protocol


class PreparedDataset(Dataset):
    """A data set that `auxbench data prepare` has converted.

    A subclass defines its `name`, the conversion option that makes larger pictures (`larger`), the
    tasks that its data have, the rows of every split, and how rows are decoded and augmented.
    """

    name: ClassVar[str]
    layouts: ClassVar[str]
    larger: ClassVar[str] = "size=HxW"
    views: ClassVar[bool] = False  # whether `finish` gets single samples (see `PreparedSamples`)

    def __init__(
        self,
        tasks: Mapping[str, Task],
        lacking: Callable[[str], str],
        *,
        size: tuple[int, int],
        layout: str,
        data: str,
        enlarge: bool,
        protocol: Protocol,
    ) -> None:
        self.size = size
        self.layout = layout
        self.enlarge = enlarge
        self.data = data or f"{self.name}-{layout}"
        self.protocol = protocol
        self.known = tasks
        self.tasks = Offered(tasks, self.offered, lacking)

    @abstractmethod
    def offered(self) -> Collection[str]:
        """The tasks in the prepared data, or all that the layout allows if nothing is prepared."""

    @abstractmethod
    def finish(self, rows: Rows, rng: np.random.Generator | None) -> Batch:
        """Decode and augment the rows of some samples."""

    @staticmethod
    @abstractmethod
    def drawn(split: str, count: int, side: int) -> Rows:
        """Rows of the prepared form made from generated rooms, for the tiny variant."""

    def source(self, split: str) -> str:
        """The prepared split that contains the samples of a split."""
        return "test" if split == "test" else "train"

    @abstractmethod
    def rows(self, split: str, count: int) -> Indices:
        """The rows of a split among the `count` rows of its source; errors: `UsageError`."""

    def arrays(self) -> frozenset[str] | None:
        """The names of the arrays to read; None for all."""
        return None

    def from_drawn_rooms(self) -> Dataset:
        """The same data set with a few generated rooms as data: its tiny variant."""
        self.tasks = self.known

        def samples(split: str) -> Samples:
            rows = self.drawn(split, 8 if split == "train" else 4, self.size[0])
            return PreparedSamples(rows, self.finish)

        return InMemory(self, samples)

    def prepare(self) -> None:
        for split in ("train", "validation", "test"):
            self.samples(split)

    def samples(self, split: str) -> Samples:
        prepared, source = self.opened(), self.source(split)
        if not self.enlarge:
            refuse_enlarging(prepared, self.size, self.larger)
        rows = self.rows(split, prepared.counts[source])
        arrays = prepared.arrays(source, self.arrays())
        return PreparedSamples(arrays, self.finish, rows, self.views)

    def identity(self) -> dict[str, Any]:
        return self.opened().identity

    @property
    def frame(self) -> tuple[int, int] | None:
        height, width = self.opened().card["arrays"]["image"]["shape"][-2:]
        return height, width

    def opened(self) -> Prepared:
        """The opened prepared form; errors: `UsageError` if it is missing."""
        return Prepared.open(place(self.data), self.name, self.layout)
