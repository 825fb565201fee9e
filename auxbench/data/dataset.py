"""Problems: a data set with one primary task and some auxiliary tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from auxbench.errors import UsageError, suggestion
from auxbench.grammar import Choice, options_of
from auxbench.losses import MISSING, cross_entropy
from auxbench.metrics import Metric
from auxbench.registry import DATASETS as DATASETS  # data sets take it from here
from auxbench.streams import Streams

Indices = npt.NDArray[np.int64]
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


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
    """What is predicted, how far off a prediction is, and how it is scored.

    `outputs` is the number of channels that a head must give: maps [B, outputs, H, W] when
    `dense`, vectors [B, outputs] otherwise. `loss(prediction, target)` returns the sum over valid
    elements and their count for every sample, both [B]. The first metric is the headline. `names`
    are those of the classes, for people, as far as they are known.
    """

    name: str
    outputs: int
    dense: bool
    loss: Loss
    metrics: tuple[Callable[[], Metric], ...]
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """The number of classes that the labels name, 0 where they are no classes."""
        return self.outputs if self.loss is cross_entropy else 0

    @property
    def missing(self) -> float:
        """What a target holds where there is no label."""
        return MISSING.get(self.loss, float("nan"))

    def losses(self, prediction: Tensor, target: Tensor) -> SampleLosses:
        """The loss on every sample of a batch."""
        return SampleLosses(*self.loss(prediction, target))

    def batch_loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean loss over the valid elements of a batch, a scalar; 0 when there are none."""
        return self.losses(prediction, target).mean()


def dose(*, labelled: float = 1.0, noise: float = 0.0) -> Dose:
    """How a task is labelled, as its options say: `depth:labelled=0.1:noise=0.2`."""
    for option, value, low in (("labelled", labelled, "above 0"), ("noise", noise, "0 or more")):
        if not (0 <= value <= 1) or (low == "above 0" and value == 0):
            raise UsageError(f"option '{option}' of a task is {value}; give {low} and at most 1.")
    return Dose(labelled, noise)


def _dose(choice: Choice) -> Dose:
    values: dict[str, Any] = choice.values(dose)
    return dose(**values)


@dataclass(frozen=True)
class Dose:
    """How a task is labelled in training: the share of labelled samples, and of wrong labels."""

    labelled: float = 1.0
    noise: float = 0.0


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

    Options are keyword-only parameters of the constructor; one called `side` is set to the
    budget's image side unless the user sets it. `size` is (height, width) of the images that come
    out, in pixels. A data set of vectors has no size: it sets `features`, how many numbers an input
    has, and names a backbone for vectors. `backbone` is what is used unless the user names another.
    A subclass in `tasks/` is registered under its file's name. Constructing one must be cheap:
    data are touched in `prepare` and `samples` only.
    """

    licence: ClassVar[str]
    extra: ClassVar[str] = ""
    backbone: ClassVar[str] = "resnet18"
    size: tuple[int, int] = (0, 0)
    features: int = 0
    tasks: Mapping[str, Task]
    primary: str
    auxiliaries: tuple[str, ...]

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
        """What tells the data that are read from others, where code and options do not.

        For records, JSON-able: digests of files, counts, versions of packages that bring them.
        Errors: `UsageError` for data that are not there.
        """
        return {}

    def narrow(self, tasks: Sequence[Task]) -> None:
        """Have these tasks only, since decoding the labels of others takes time for nothing."""
        self.tasks = {task.name: task for task in tasks}


def make_dataset(text: str, side: int) -> Dataset:
    """The data set that `text` describes in the grammar, at the budget's image side.

    Errors: `UsageError` for unknown names and options.
    """
    choice = Choice.parse(text)
    maker = DATASETS[choice.name]
    values = choice.values(maker)
    if "side" in options_of(maker):
        values.setdefault("side", side)
    return maker(**values)


@dataclass(frozen=True)
class Problem:
    """A data set with the primary task first and the chosen auxiliary tasks after it.

    >>> from auxbench.problem import DATASETS, Problem
    >>> problem = Problem.of(DATASETS["rooms"].tiny(), "depth", ["normals"])
    >>> [task.name for task in problem.tasks]
    ['depth', 'normals']
    """

    dataset: Dataset
    primary: Task
    auxiliaries: tuple[Task, ...]
    doses: Mapping[str, Dose] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        primary: str | None = None,
        auxiliaries: Sequence[str] | None = None,
    ) -> Problem:
        """The problem by task names; without them the data set's own choice.

        Options may follow a name, as in `depth:labelled=0.1` (see `dose`). Errors: `UsageError`
        for an unknown task, for one that is named twice, and for unknown options.
        """
        choices = [Choice.parse(primary or dataset.primary)]
        first = choices[0].name
        if auxiliaries is None:
            default = (dataset.primary, *dataset.auxiliaries)
            auxiliaries = [name for name in default if name != first]
        choices += map(Choice.parse, auxiliaries)
        names = [choice.name for choice in choices]
        for place, name in enumerate(names):
            if name not in dataset.tasks:
                raise UsageError(f"no task is called '{name}'; {suggestion(name, dataset.tasks)}")
            if place and name == first:
                raise UsageError(f"task '{first}' is both primary and auxiliary; name it once.")
            if place and names.count(name) > 1:
                raise UsageError(f"auxiliary task '{name}' is named twice; name it once.")
        doses = {choice.name: _dose(choice) for choice in choices}
        tasks = dataset.tasks
        return cls(
            dataset,
            tasks[first],
            tuple(tasks[name] for name in names[1:]),
            {name: given for name, given in doses.items() if given != Dose()},
        )

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks; the primary is row 0 everywhere."""
        return (self.primary, *self.auxiliaries)

    def spelled(self, task: Task) -> str:
        """The task's name with its options, as `of` reads it."""
        given = self.doses.get(task.name, Dose())
        options = {key: str(value) for key, value in asdict(given).items()}
        return str(Choice(task.name, options).canonical(dose))

    def training(self, streams: Streams) -> Samples:
        """The training samples, labelled as the problem says."""
        from auxbench.labels import Dosed

        samples = self.dataset.samples("train")
        return Dosed(samples, self.tasks, self.doses, streams) if self.doses else samples


class Stream(Iterator[Batch]):
    """Endless shuffled batches of some samples; its whole state is (epoch, position).

    Every epoch has a fresh order of all samples that depends on the random streams, the purpose and
    the epoch alone; those that `indices` does not name are left out, so streams of one purpose
    agree in the order of what they share. Batches have one size, so that each batch after a sample
    that is left out begins one sample later in the order, and such epochs are shorter. Augmentation
    is drawn by batches. With `part` 0 or 1 the stream yields that half of every epoch's order, so
    two streams of one purpose halve the samples anew in every epoch and never share one within it.
    """

    def __init__(
        self,
        samples: Samples,
        indices: Indices,
        size: int,
        streams: Streams,
        purpose: tuple[str, ...] = (),
        part: int | None = None,
    ) -> None:
        self.samples = samples
        self.indices = indices
        self.kept = np.zeros(len(samples), dtype=np.bool_)
        self.kept[indices] = True
        self.streams = streams
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
        draws = self.streams.numpy("order", *self.purpose, self.epoch)
        order = draws.permutation(len(self.samples))
        order = order[self.kept[order]]
        start = self.position + (self.part or 0) * self.share
        rng = self.streams.numpy("augment", *self.purpose, self.epoch, start)
        self.position += self.size
        return self.samples.batch(order[start : start + self.size], rng)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
