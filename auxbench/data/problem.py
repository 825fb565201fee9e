"""Problems: a data set with one primary task and any number of auxiliary tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auxbench.data.dataset import Dataset, Samples, Task
from auxbench.data.label_noise import LabelNoise, NoisyLabels
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError, suggestion
from auxbench.spec.grammar import Choice


@dataclass(frozen=True)
class Problem:
    """A data set with the primary task first and the chosen auxiliary tasks after it.

    >>> from auxbench.spec.registry import DATASETS
    >>> problem = Problem.of(DATASETS["rooms"].tiny(), "depth", ["normals"])
    >>> [task.name for task in problem.tasks]
    ['depth', 'normals']
    """

    dataset: Dataset
    primary: Task
    auxiliaries: tuple[Task, ...]
    label_noise: Mapping[str, LabelNoise] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        primary: str | None = None,
        auxiliaries: Sequence[str] | None = None,
    ) -> Problem:
        """The problem with the named tasks; by default the data set's own choice.

        Options may follow a name, as in `depth:labelled=0.1` (see `label_noise`). Errors:
        `UsageError` for an unknown task, a task that is named twice, and unknown options.
        """
        offered = tuple(dataset.tasks)
        usual = dataset.primary if dataset.primary in offered else offered[0]
        choices = [Choice.parse(primary or usual)]
        first = choices[0].name
        if auxiliaries is None:
            default = (usual, *dataset.auxiliaries)
            auxiliaries = [name for name in default if name != first and name in offered]
        choices += map(Choice.parse, auxiliaries)
        names = [choice.name for choice in choices]
        for place, name in enumerate(names):
            if name not in offered and name not in dataset.tasks:
                raise UsageError(f"no task is called '{name}'; {suggestion(name, dataset.tasks)}")
            if place and name == first:
                raise UsageError(f"task '{first}' is both primary and auxiliary; name it once.")
            if place and names.count(name) > 1:
                raise UsageError(f"auxiliary task '{name}' is named twice; name it once.")
        noise = {choice.name: LabelNoise.parse(choice) for choice in choices}
        tasks = dataset.tasks
        return cls(
            dataset,
            tasks[first],
            tuple(tasks[name] for name in names[1:]),
            {name: given for name, given in noise.items() if given != LabelNoise()},
        )

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks; the primary always has index 0."""
        return (self.primary, *self.auxiliaries)

    @property
    def margin(self) -> float:
        """The difference in the primary score below which methods count as equivalent."""
        return self.dataset.margins.get(self.primary.name, self.primary.kind.margin)

    def spelled(self, task: Task) -> str:
        """The task's name with its options, as `of` reads it."""
        return str(self.label_noise.get(task.name, LabelNoise()).spell(task.name))

    def training(self, seeds: Seeds) -> Samples:
        """The training samples, with the problem's label noise."""
        samples = self.dataset.samples("train")
        if not self.label_noise:
            return samples
        return NoisyLabels(samples, self.tasks, self.label_noise, seeds)
