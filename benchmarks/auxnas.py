"""Time an iteration of Aux-NAS beside the scheme of its released code, on the same supernet.

The released code takes, by turns, a step of the links and a step of the weights, and passes the
whole supernet forwards and backwards for both. ResNet-18 branches, 96 x 96 pixels, batch 32, one
auxiliary as there:

    python benchmarks/auxnas.py --json benchmarks/auxnas.json

Seconds are those of the processor, since the ratio is what counts and machines are busy.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import click
import steps
import timing
import torch
from torch import nn
from torch.nn.functional import l1_loss

from auxbench.cost.training import Meter
from auxbench.execution.environment import environment
from auxbench.spec.method import Method
from auxbench.training.learner import start

LIMIT = 0.75
CLOSES = 0.6  # the share of a run after which all links into the primary are closed at the latest
TASKS = 2


class Released:
    """The released iteration: two full passes, one optimiser for the links, one for the rest."""

    def __init__(self, tasks: int) -> None:
        here = steps.builder(tasks)
        learner = start(Method.parse("auxnas"), here, steps.RECIPE, Meter(flops=False))
        self.supernet: Any = learner.architecture.train()
        links = list(self.supernet.logits.values())
        known = set(map(id, links))
        weights = [p for p in self.supernet.parameters() if id(p) not in known]
        self.by_links = torch.optim.Adam(links, 1e-2)
        self.by_weights = torch.optim.Adam(weights, 1e-4)
        data = steps.batch(tasks)
        self.inputs, self.targets = data.inputs, data.targets
        cross = nn.CrossEntropyLoss(ignore_index=-1)
        self.criteria = {task.name: cross if task.kind.classes else l1_loss for task in here.tasks}

    def losses(self) -> list[torch.Tensor]:
        """A scalar per task."""
        predictions = self.supernet(self.inputs)
        return [
            criterion(predictions[name], self.targets[name])
            for name, criterion in self.criteria.items()
        ]

    def __call__(self) -> None:
        """A step of the links, then one of the weights."""
        incoming = [part for name, part in self.supernet.logits.items() if name.startswith("a2p")]
        for optimizer in (self.by_links, self.by_weights):
            optimizer.zero_grad()
            total = sum(self.losses(), start=torch.zeros(()))
            if optimizer is self.by_links:
                total = total + sum(part.sigmoid().mean() for part in incoming)
            total.backward()
            optimizer.step()


def ours(tasks: int, progress: float) -> steps.Ours:
    """Our iteration at that point of a run."""
    made = steps.Ours("auxnas", tasks)
    made.meter.flops = False
    made.learner.context.progress = progress
    return made


def measure(tasks: int, rounds: int) -> dict[str, float]:
    """Median seconds of the iterations, which take turns."""
    parties = {
        "released": Released(tasks),
        "links open": ours(tasks, 0.0),
        "links closed": ours(tasks, 0.8),
    }
    seconds: dict[str, list[float]] = {name: [] for name in parties}
    for turn in range(timing.WARM_UP + rounds):
        for name, party in parties.items():
            begun = time.process_time()
            party()
            if turn >= timing.WARM_UP:
                seconds[name].append(time.process_time() - begun)
    return {name: round(statistics.median(values), 4) for name, values in seconds.items()}


def ratios(seconds: dict[str, float]) -> dict[str, float]:
    """Ours through the released: with open links, with closed ones, and over a run.

    >>> ratios({"released": 2.0, "links open": 1.6, "links closed": 1.2})
    {'links open': 0.8, 'links closed': 0.6, 'run': 0.72}
    """
    found = {name: seconds[name] / seconds["released"] for name in ("links open", "links closed")}
    run = CLOSES * found["links open"] + (1 - CLOSES) * found["links closed"]
    return {name: round(value, 3) for name, value in {**found, "run": run}.items()}


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--tasks", default=TASKS, show_default=True, help="Number of tasks.")
@click.option("--rounds", default=16, show_default=True, help="Iterations of each.")
def main(target: Path | None, tasks: int, rounds: int) -> None:
    """Print the ratios, and write all numbers as JSON."""
    seconds = measure(tasks, rounds)
    result = {
        "tasks": tasks,
        "rounds": rounds,
        "cpu seconds": seconds,
        "ours / released": ratios(seconds),
        "limit": LIMIT,
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    click.echo(json.dumps(result["ours / released"]))
    if target:
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
