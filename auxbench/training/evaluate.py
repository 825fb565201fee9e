"""Scores: the performance of networks on a split, metric by metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from auxbench.data.dataset import Batch, Samples, Task
from auxbench.data.metrics import Metric
from auxbench.data.workers import NONE, Workers
from auxbench.training.group import group

Predict = Callable[[Batch], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Score:
    """One metric of one task on one split; `value` is None if the metric is undefined there."""

    task: str
    metric: str
    version: int
    unit: str
    direction: str
    split: str
    network: str
    value: float | None

    def to_json(self) -> dict[str, Any]:
        """The score as stored in a record."""
        return asdict(self)

    def better_than(self, other: Score | None) -> bool:
        """Return whether this score is strictly better; any score is better than none."""
        if self.value is None:
            return False
        if other is None or other.value is None:
            return True
        return self.value > other.value if self.direction == "up" else self.value < other.value


def evaluate(
    networks: Mapping[str, tuple[nn.Module, Predict, Sequence[Task]]],
    samples: Samples,
    split: str,
    size: int,
    device: str = "cpu",
    workers: Workers = NONE,
) -> list[Score]:
    """Read a split once and score several networks on it, each on its own tasks.

    `networks` maps a name to the module, a function from a batch to its predictions, and the tasks
    to score. The `workers` read ahead. Training mode is restored afterwards. If several processes
    train together, the first does this for all.
    """
    return group().first(lambda: _evaluate(networks, samples, split, size, device, workers))


@contextmanager
def evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Have modules in evaluation mode; every part is then as it was before."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _evaluate(
    networks: Mapping[str, tuple[nn.Module, Predict, Sequence[Task]]],
    samples: Samples,
    split: str,
    size: int,
    device: str,
    workers: Workers,
) -> list[Score]:
    scored = [
        (name, predict, task, [metric() for metric in task.kind.metrics])
        for name, (_, predict, tasks) in networks.items()
        for task in tasks
    ]
    with torch.no_grad(), evaluating([module for module, _, _ in networks.values()]):
        places = np.split(np.arange(len(samples)), range(size, len(samples), size))
        for batch in workers.made(lambda place: samples.batch(place, None), places):
            _update(scored, batch.to(device))
    return [
        Score(
            task.name,
            metric.name,
            metric.version,
            metric.unit,
            metric.direction,
            split,
            name,
            _finite(metric.compute()),
        )
        for name, _, task, metrics in scored
        for metric in metrics
    ]


def _update(scored: Sequence[tuple[str, Predict, Task, Sequence[Metric]]], batch: Batch) -> None:
    predictions: dict[str, Mapping[str, Tensor]] = {}
    for name, predict, task, metrics in scored:
        if name not in predictions:
            predictions[name] = predict(batch)
        for metric in metrics:
            metric.update(predictions[name][task.name], batch.targets[task.name])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
