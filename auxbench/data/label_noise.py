"""Labels: which training samples carry a task's label, and how many of the labels are wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench.problem import Batch, Dose, Indices, Samples, Task
from auxbench.streams import Streams


class Dosed(Samples):
    """Training samples of which only some carry a task's label, and some of these a wrong one.

    Which ones they are depends on the random streams and the task alone, so every method meets the
    same ones, and a smaller share is part of a larger one. A wrong label is that of another of the
    wrongly labelled samples, so that all labels together stay what they were.
    """

    def __init__(
        self,
        samples: Samples,
        tasks: Sequence[Task],
        doses: Mapping[str, Dose],
        streams: Streams,
    ) -> None:
        self.samples = samples
        self.missing = {task.name: task.missing for task in tasks if task.name in doses}
        self.labelled: dict[str, Indices] = {}
        self.source: dict[str, Indices] = {}
        for name in self.missing:
            order = streams.numpy("labelled", name).permutation(len(samples)).astype(np.int64)
            kept = order[: math.ceil(doses[name].labelled * len(order) - 1e-9)]
            wrong = kept[: round(doses[name].noise * len(kept))]
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
