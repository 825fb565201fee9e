"""Problems: a data set with one primary task and some auxiliary tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from auxbench.data.kinds import Kind
from auxbench.spec.grammar import Choice, options_of
from auxbench.spec.marks import Bounds, Help
from auxbench.spec.registry import DATASETS as DATASETS

Indices = npt.NDArray[np.int64]

Draw = Annotated[
    int | None, Bounds(0), Help("Number of the draw of the data; by default the seed of the run.")
]
"""The option `draw` of a data set that is generated, or split without an official split."""


@dataclass(frozen=True)
class Batch:
    """Some samples: images [B, 3, H, W] or vectors [B, F], and per task a target of first axis B.

    A label that a sample lacks is a masked value of its target (-1 for a class, 0 for a depth,
    the zero vector for a normal, NaN for any other number), never a missing entry.
    """

    inputs: Tensor
    targets: Mapping[str, Tensor]

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def to(self, device: str) -> Batch:
        """The same batch on another device."""
        moved = {name: target.to(device) for name, target in self.targets.items()}
        return Batch(self.inputs.to(device), moved)


class SampleLosses(NamedTuple):
    """A task's loss on every sample of a batch: sums over valid elements, and their counts, [B]."""

    sums: Tensor
    counts: Tensor

    def mean(self) -> Tensor:
        """The mean over the valid elements of the batch, a scalar; 0 when there are none."""
        return self.sums.sum() / self.counts.sum().clamp(min=1)

    def each(self) -> Tensor:
        """The mean over the valid elements of every sample, [B]; 0 where there are none."""
        return self.sums / self.counts.clamp(min=1)

    def weighed(self, weights: Tensor) -> SampleLosses:
        """The same losses when every sample has a weight, [B]."""
        return SampleLosses(self.sums * weights, self.counts)


@dataclass(frozen=True)
class Task:
    """A kind of prediction under the name that it has in a data set."""

    name: str
    kind: Kind

    @property
    def outputs(self) -> int:
        """The number of channels that a head must give."""
        return self.kind.outputs

    @property
    def dense(self) -> bool:
        """True if the task predicts maps."""
        return self.kind.dense

    def losses(self, prediction: Tensor, target: Tensor) -> SampleLosses:
        """The loss on every sample of a batch."""
        return SampleLosses(*self.kind.loss(prediction, target))


def named(kinds: Mapping[str, Kind]) -> dict[str, Task]:
    """The tasks of a data set, a kind under every name."""
    return {name: Task(name, kind) for name, kind in kinds.items()}


class Samples(ABC):
    """One split of a data set, read by index.

    `labelled` are the samples that carry a label, for tasks of which not all do.
    """

    labelled: Mapping[str, Indices] = {}

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    @abstractmethod
    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        """The samples at `indices`, augmented with draws from `rng`, or as they are without."""


class Dataset(ABC):
    """A data set: tasks, and samples for the splits train, validation and test.

    Options are keyword-only parameters of the constructor; one called `side` is set to the budget's
    image side unless the user sets it, and one called `draw` to the run's seed, so that every seed
    has data of its own. `size` is (height, width) of the images that come out, in pixels. A data
    set of vectors has no size: it sets `features`, how many numbers an input has, and names a
    backbone for vectors. `backbone` is what is used unless the user names another. A subclass in
    `tasks/` is registered under its file's name. Constructing one must be cheap: data are touched
    in `prepare` and `samples` only.
    """

    licence: ClassVar[str]
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
        """A variant of some sixteen samples that needs no data, for tests and estimates."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the data ready for `samples`; a second call finds the work done."""

    @property
    def frame(self) -> tuple[int, int] | None:
        """Height and width of the whole pictures, where `size` may show a part of them only."""
        return None

    def first(self, count: int) -> Dataset:
        """The same data set for who needs the first `count` samples of its splits only.

        One that draws its samples draws no more than these.
        """
        return self

    @abstractmethod
    def samples(self, split: str) -> Samples:
        """The samples of 'train', 'validation' or 'test'; no sample is in two of them."""

    def identity(self) -> dict[str, Any]:
        """The fingerprint of data from disk, which code and options do not determine.

        For records, JSON-able: digests of files, counts, versions of packages that bring them.
        Errors: `UsageError` for data that are not there.
        """
        return {}

    def narrow(self, tasks: Sequence[Task]) -> None:
        """Have these tasks only, since decoding the labels of others takes time for nothing."""
        self.tasks = {task.name: task for task in tasks}


def make_dataset(text: str, side: int, draw: int | None = None) -> Dataset:
    """The data set that `text` describes in the grammar, at the budget's image side.

    `draw` is the draw of the data, for a data set that has more than one, unless the text says it.
    Errors: `UsageError` for unknown names and options.
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
    """A data set whose samples a function makes: nothing lies on the disk.

    For tiny variants. It has the tasks, the size and the features of another one.
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
