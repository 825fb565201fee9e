"""Time a whole run beside the same run written by hand, on the same samples, in turns.

A run of auxbench has steps, validation, a checkpoint, the test, counts of operations, the cost of
its prediction and its record; the one by hand trains, validates as often with the same metrics,
keeps the best state and tests it once. By hand network and batches have channels first, as torch
has them by itself, and once more channels last, as in auxbench: what is left between these two runs
is what auxbench does besides. Plain sum of three tasks:

    python benchmarks/whole_run.py --json benchmarks/whole_run.json --page benchmarks/README.md
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import steps
import timing
import torch
from timing import cell
from torch import Tensor, nn
from torch.nn import functional

from auxbench.data.dataset import Samples, Task, make_dataset
from auxbench.data.metrics import Metric
from auxbench.data.problem import Problem
from auxbench.execution.environment import environment
from auxbench.execution.execute import builder_of, execute
from auxbench.spec.budget import BUDGETS
from auxbench.spec.run import Run

LIMIT = 1.05
RUN = Run(
    dataset="rooms:test=50:train=200:validation=50",
    primary="segmentation",
    auxiliaries=("depth", "normals"),
    backbone="test_resnet",
    pretrained=False,
    method="hps",
    recipe=BUDGETS["demo"],
    seed=0,
)
FIRST_LAYOUT, LAST_LAYOUT = torch.contiguous_format, torch.channels_last
HAND, LIKE, OURS = "by hand", "by hand, channels last", "auxbench"
FIRST, LAST = "<!-- whole run -->\n", "<!-- /whole run -->"


def through_auxbench(run: Run) -> dict[str, Any]:
    """The run as auxbench carries it out, in this process; its record."""
    with tempfile.TemporaryDirectory() as folder:
        return execute(run, Path(folder), report=lambda event: None)


class ByHand(nn.Module):
    """The same network as somebody would write it: a shared trunk and a head per task."""

    def __init__(self, run: Run, problem: Problem, layout: torch.memory_format) -> None:
        super().__init__()
        self.layout = layout
        here = builder_of(run, problem)
        network = here.network(problem.primary)
        self.trunk = network.backbone
        heads = [here.head(task, network.backbone) for task in problem.auxiliaries]
        self.heads = nn.ModuleList([network.head, *heads])
        self.to(memory_format=layout)

    def forward(self, images: Tensor, tasks: int | None = None) -> list[Tensor]:
        """The predictions for the first tasks, or for all."""
        features = self.trunk(images.contiguous(memory_format=self.layout))
        return [head(features, images.shape[-2:]) for head in list(self.heads)[:tasks]]


def segmentation_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean cross-entropy of the pixels with a class."""
    return functional.cross_entropy(prediction, target, ignore_index=-1)


def depth_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean absolute error of the pixels with a depth."""
    known = target > 0
    return ((prediction - target).abs() * known).sum() / known.sum()


def normals_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """One minus the mean cosine of the pixels with a normal."""
    known = (target != 0).any(1)
    cosine = functional.cosine_similarity(prediction, target, dim=1)
    return ((1 - cosine) * known).sum() / known.sum()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "segmentation": segmentation_loss,
    "depth": depth_loss,
    "normals": normals_loss,
}


def by_hand(run: Run, layout: torch.memory_format = FIRST_LAYOUT) -> dict[str, Any]:
    """The run as somebody would write it; the scores on the test split and the selected step."""
    recipe = run.recipe
    problem = Problem.of(
        make_dataset(run.located, recipe.side, run.draw), run.primary, run.auxiliaries
    )
    names = [task.name for task in problem.tasks]
    network = ByHand(run, problem, layout)
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    train, validation = (problem.dataset.samples(split) for split in ("train", "validation"))
    rng = np.random.default_rng(run.seed)
    batches = drawn(len(train), recipe.batch, rng)
    every = recipe.steps // recipe.evaluations
    best, selected, state = -np.inf, 0, dict[str, Tensor]()
    for step in range(recipe.steps):
        network.train()
        batch = train.batch(next(batches), rng)
        predictions = network(batch.inputs)
        losses = [
            LOSSES[name](guess, batch.targets[name])
            for name, guess in zip(names, predictions, strict=True)
        ]
        total = sum(losses[1:], start=losses[0])
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step / recipe.steps)
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        if not np.isfinite(total.item()):
            raise ArithmeticError(f"the loss became {total.item()} in step {step}")
        optimizer.step()
        if (step + 1) % every == 0:
            score = scores(network, validation, problem.tasks[:1], recipe.batch)[names[0]][0]
            if score > best:  # the headline of segmentation is better the higher it is
                best, selected = score, step + 1
                state = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(state)
    test = scores(network, problem.dataset.samples("test"), problem.tasks, recipe.batch)
    return {"scores": test, "step": selected}


def drawn(count: int, size: int, rng: np.random.Generator) -> Iterator[Any]:
    """Indices of batches, in another order in every epoch, without end."""
    while True:
        order = rng.permutation(count)
        yield from (order[first : first + size] for first in range(0, count - size + 1, size))


def scores(
    network: ByHand, samples: Samples, tasks: Sequence[Task], size: int
) -> dict[str, list[float]]:
    """The metrics of every task on a split."""
    metrics: dict[str, list[Metric]] = {
        task.name: [metric() for metric in task.kind.metrics] for task in tasks
    }
    network.eval()
    with torch.no_grad():
        for first in range(0, len(samples), size):
            batch = samples.batch(np.arange(first, min(first + size, len(samples))), None)
            predictions = network(batch.inputs, len(tasks))
            for task, guess in zip(tasks, predictions, strict=True):
                for metric in metrics[task.name]:
                    metric.update(guess, batch.targets[task.name])
    return {name: [metric.compute() for metric in found] for name, found in metrics.items()}


def table(result: Mapping[str, Any]) -> str:
    """The Markdown of a result."""
    recipe, machine = result["run"]["recipe"], result["environment"]
    names = list(result["seconds"])
    cells = [f"{statistics.median(values):.2f}" for values in result["seconds"].values()]
    cells += [cell(result["ratios"][name], LIMIT) for name in (HAND, LIKE)]
    return "\n".join(
        [
            f"| seconds of a run | {' | '.join(names)} | {OURS} / {HAND} | {OURS} / {LIKE} |",
            "|:--|--:|--:|--:|--:|--:|",
            f"| `{result['run']['backbone']}`, {recipe['side']} px, batch {recipe['batch']}, "
            f"{recipe['steps']} steps | {' | '.join(cells)} |",
            "",
            f"Medians of {result['rounds']} rounds of {result['clock']}, "
            f"{timing.brackets(result['rounds'])}; {timing.loads(result['load'])}, on "
            f"{machine['processor']} with {result['threads']} threads, torch "
            f"{machine['packages']['torch']}, at commit {(machine['commit'] or '?')[:7]}.",
            "",
        ]
    )


def profiled(run: Run) -> None:
    """Print where the time of a run goes, and of the one by hand."""
    for carried_out in (partial(by_hand, layout=LAST_LAYOUT), through_auxbench):
        profile = cProfile.Profile()
        profile.runcall(carried_out, run)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--page", type=click.Path(path_type=Path), help="Whose table to replace.")
@click.option("--rounds", default=9, show_default=True, help="Runs of everybody.")
@click.option("--steps", "length", default=RUN.recipe.steps, show_default=True, help="Of a run.")
@click.option("--cpu", is_flag=True, help="Count seconds of the processor, for busy machines.")
@click.option("--profile", is_flag=True, help="Print where the time goes instead.")
def main(
    target: Path | None, page: Path | None, rounds: int, length: int, cpu: bool, profile: bool
) -> None:
    """Print the table, and write it into the page and all numbers as JSON."""
    run = replace(RUN, recipe=RUN.recipe.with_changes(steps=length))
    make_dataset(run.located, run.recipe.side, run.draw).prepare()
    parties = {
        HAND: partial(by_hand, run),
        LIKE: partial(by_hand, run, LAST_LAYOUT),
        OURS: partial(through_auxbench, run),
    }
    if profile:
        timing.measure(parties, 0)
        profiled(run)
        return
    before, (counted, clock) = timing.load(), timing.clock_of(cpu)
    seconds = timing.measure(parties, rounds, clock)
    result = {
        "run": run.to_json(),
        "seconds": {name: [round(s, 3) for s in values] for name, values in seconds.items()},
        "ratios": {name: timing.by_round(seconds[OURS], seconds[name]) for name in (HAND, LIKE)},
        "limit": LIMIT,
        "rounds": rounds,
        "clock": counted,
        "load": {"before": before, "after": timing.load()},
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    steps.publish(result, table(result), target, page, FIRST, LAST)


if __name__ == "__main__":
    main()
