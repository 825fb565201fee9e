"""Data sets: their tasks, samples and batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.data.kinds import Kind
from auxbench.spec.grammar import Choice, options_of
from auxbench.spec.marks import Bounds, Help
from auxbench.spec.registry import DATASETS as DATASETS

Indices = npt.NDArray[np.int64]

Draw = Annotated[
    int | None, Bounds(0), Help("Number of the data's random draw; by default the run's seed.")
]
"""The option `draw` of a data set that is generated or has no official split."""


@dataclass(frozen=True)
class Batch:
    """A batch: images [B, 3, H, W] or vectors [B, F], and one target per task with first axis B.

    A missing label is a special value in the target (-1 for a class, 0 for a depth, the zero vector
    for a normal, NaN for any other number), never a missing entry.
    """

    inputs: Tensor
    targets: Mapping[str, Tensor]

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def to(self, device: str) -> Batch:
        """The same batch on another device, its images stored with channels last."""
        moved = {name: _sent(target, device) for name, target in self.targets.items()}
        inputs = _sent(self.inputs, device)
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return Batch(inputs, moved)


def _sent(values: Tensor, device: str) -> Tensor:
    """The values on a device; from pinned memory, so that nothing waits for a GPU's copy."""
    if values.is_cpu and device.startswith("cuda"):
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


class SampleLosses(NamedTuple):
    """A task's loss on each sample of a batch: sums over valid elements, and their counts, [B]."""

    sums: Tensor
    counts: Tensor

    def mean(self) -> Tensor:
        """The mean over the valid elements of the batch, a scalar; 0 when there are none."""
        return self.sums.sum() / self.counts.sum().clamp(min=1)

    def each(self) -> Tensor:
        """The mean over the valid elements of each sample, [B]; 0 where there are none."""
        return self.sums / self.counts.clamp(min=1)

    def weighed(self, weights: Tensor) -> SampleLosses:
        """The same losses with each sample multiplied by its weight, [B]."""
        return SampleLosses(self.sums * weights, self.counts)


@dataclass(frozen=True)
class Task:
    """A task of a data set: its name and its kind of prediction."""

    name: str
    kind: Kind

    @property
    def outputs(self) -> int:
        """The number of output channels that a head needs."""
        return self.kind.outputs

    @property
    def dense(self) -> bool:
        """True if the task predicts maps."""
        return self.kind.dense

    def losses(self, prediction: Tensor, target: Tensor) -> SampleLosses:
        """The loss on each sample of a batch."""
        return SampleLosses(*self.kind.loss(prediction, target))


def named(kinds: Mapping[str, Kind]) -> dict[str, Task]:
    """The tasks of a data set, from its kinds by name."""
    return {name: Task(name, kind) for name, kind in kinds.items()}


class Samples(ABC):
    """One split of a data set, read by index.

    `labelled` gives the indices of the labelled samples, for tasks with labels on only some.
    """

    labelled: Mapping[str, Indices] = {}

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    @abstractmethod
    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        """The samples at `indices`, augmented with draws from `rng`, or unaugmented without it.

        Several threads may call it at once (`--workers`), so it must not keep state between calls.
        """


class Dataset(ABC):
    """A data set: tasks, and samples for the splits train, validation and test.

    Options are keyword-only parameters of the constructor; one called `side` defaults to the
    budget's image side, and one called `draw` to the run's seed, so that every seed has its own
    data. `size` is the (height, width) of the output images in pixels. A data set of vectors has no
    size: it sets `features`, the length of an input vector, and names a backbone for vectors.
    `backbone` is the default backbone. A subclass in `tasks/` is registered under its file's name.
    Construction must be cheap: only `prepare` and `samples` access the data.
    """

    licence: str
    extra: ClassVar[str] = ""
    backbone: str = "resnet18"
    size: tuple[int, int] = (0, 0)
    features: int = 0
    tasks: Mapping[str, Task]
    primary: str
    auxiliaries: tuple[str, ...]
    margins: Mapping[str, float] = {}

    @classmethod
    @abstractmethod
    def tiny(cls) -> Dataset:
        """A variant with about sixteen samples that needs no files, for tests and estimates."""

    def small(self) -> Dataset:
        """A variant with about sixteen samples that has this one's tasks, for estimates.

        It is the tiny one, unless the tasks depend on the data.
        """
        return type(self).tiny()

    @abstractmethod
    def prepare(self) -> None:
        """Make the data ready for `samples`; calling it again does nothing."""

    @property
    def frame(self) -> tuple[int, int] | None:
        """Height and width of the full pictures, if `size` may show only a part of them."""
        return None

    def first(self, count: int) -> Dataset:
        """The same data set for callers that need only the first `count` samples of each split.

        A data set that generates its samples generates only these.
        """
        return self

    @abstractmethod
    def samples(self, split: str) -> Samples:
        """The samples of 'train', 'validation' or 'test', which are disjoint."""

    def identity(self) -> dict[str, Any]:
        """A fingerprint of data on disk, which code and options do not determine.

        For records; JSON-able: digests of files, counts, versions of the packages that contain
        them. Errors: `UsageError` for missing data.
        """
        return {}

    def scaling(self) -> dict[str, dict[str, list[float]]]:
        """Mean and deviation by which numbers were standardised, of tasks and of 'inputs'.

        For users of a deployed network; empty if all is in its own unit or the file says otherwise.
        """
        return {}

    def narrow(self, tasks: Sequence[Task]) -> None:
        """Keep only these tasks, to save the time of decoding labels that are not used."""
        self.tasks = {task.name: task for task in tasks}


def make_dataset(text: str, side: int, draw: int | None = None) -> Dataset:
    """The data set that `text` describes in the grammar, at the budget's image side.

    `draw` is the default draw of a data set that has several. Errors: `UsageError` for unknown
    names and options.
    """
    choice = Choice.parse(text)
    maker = DATASETS[choice.name]
    values, options = choice.values(maker), options_of(maker)
    if "side" in options:
        values.setdefault("side", side)
    if "draw" in options:
        values.setdefault("draw", draw)
    dataset: Dataset = maker(**values)
    return dataset


class InMemory(Dataset):
    """A data set whose samples are made by a function, not read from disk.

    For tiny variants. It has the tasks, the size and the features of another data set.
    """

    licence = "synthetic"

    def __init__(self, like: Dataset, make: Callable[[str], Samples]) -> None:
        self.tasks = like.tasks
        self.primary, self.auxiliaries = like.primary, like.auxiliaries
        self.size, self.features, self.backbone = like.size, like.features, like.backbone
        self.make = make

    @classmethod
    def tiny(cls) -> Dataset:
        raise TypeError("a data set in memory is not part of a registry")

    def prepare(self) -> None:
        """Nothing to do."""

    def samples(self, split: str) -> Samples:
        return self.make(split)
