"""Label noise: which training samples have a label for a task, and how many labels are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.data.dataset import Batch, Indices, Samples, Task
from auxbench.data.seeds import Seeds
from auxbench.errors import UsageError
from auxbench.spec.grammar import Choice


def label_noise(*, labelled: float = 1.0, noise: float = 0.0) -> LabelNoise:
    """Read the options of a task, as in `depth:labelled=0.1:noise=0.2`."""
    for option, value, low in (("labelled", labelled, "above 0"), ("noise", noise, "0 or more")):
        if not (0 <= value <= 1) or (low == "above 0" and value == 0):
            raise UsageError(f"option '{option}' of a task is {value}; give {low} and at most 1.")
    return LabelNoise(labelled, noise)


@dataclass(frozen=True)
class LabelNoise:
    """The fraction of training samples that are labelled, and the fraction of wrong labels."""

    labelled: float = 1.0
    noise: float = 0.0

    @classmethod
    def parse(cls, choice: Choice) -> LabelNoise:
        """Read a task's options."""
        values: dict[str, Any] = choice.values(label_noise)
        return label_noise(**values)

    def spell(self, task: str) -> Choice:
        """The task with its options, as `parse` reads them."""
        options = {key: str(value) for key, value in asdict(self).items()}
        return Choice(task, options).canonical(label_noise)


class NoisyLabels(Samples):
    """Training samples with missing and wrong labels for some tasks.

    Which samples are affected depends only on the seeds and the task, so every method sees the same
    labels, and a smaller share is a subset of a larger one. Wrong labels are exchanged among the
    wrongly labelled samples, so that the distribution of labels does not change.
    """

    def __init__(
        self,
        samples: Samples,
        tasks: Sequence[Task],
        label_noise: Mapping[str, LabelNoise],
        seeds: Seeds,
    ) -> None:
        self.samples = samples
        self.missing = {task.name: task.kind.missing for task in tasks if task.name in label_noise}
        self.labelled: dict[str, Indices] = {}
        self.source: dict[str, Indices] = {}
        for name in self.missing:
            order = seeds.numpy("labelled", name).permutation(len(samples)).astype(np.int64)
            kept = order[: math.ceil(label_noise[name].labelled * len(order) - 1e-9)]
            wrong = kept[: round(label_noise[name].noise * len(kept))]
            self.labelled[name] = np.sort(kept)
            self.source[name] = np.arange(len(samples), dtype=np.int64)
            self.source[name][wrong] = np.roll(wrong, 1)

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Indices, rng: np.random.Generator | None) -> Batch:
        batch = self.samples.batch(indices, rng)
        targets = dict(batch.targets)
        for name, missing in self.missing.items():
            sources = self.source[name][indices]
            wrong = np.flatnonzero(sources != indices)
            if len(wrong):
                others = self.samples.batch(sources[wrong], rng).targets[name]
                targets[name] = targets[name].clone()
                targets[name][torch.from_numpy(wrong)] = others
            known = np.isin(indices, self.labelled[name])
            targets[name] = _where(known, targets[name], missing)
        return Batch(batch.inputs, targets)


def _where(known: npt.NDArray[np.bool_], target: Tensor, missing: float) -> Tensor:
    keep = torch.from_numpy(known).reshape(-1, *(1 for _ in target.shape[1:]))
    return torch.where(keep, target, torch.full_like(target, missing))
