"""Time a step of balancers against the plain sum, and the plain sum against a bare PyTorch loop.

Three tasks, ResNet-18 trunk, 96 x 96 pixels, batch 32. Rounds are interleaved so that drift of the
machine falls on all alike, and ratios are of medians. Usage:

    python benchmarks/steps.py --json benchmarks/steps.json
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import torch
from torch import nn

from auxbench import backbone
from auxbench.architecture import Site
from auxbench.balancer import Balancer
from auxbench.budget import BUDGETS, Recipe
from auxbench.cost.training import Meter
from auxbench.environment import environment
from auxbench.grammar import split_list
from auxbench.losses import cross_entropy, l1
from auxbench.method import Method
from auxbench.metrics import Accuracy
from auxbench.problem import Batch, Task
from auxbench.registry import METHODS
from auxbench.streams import Streams

SIDE, BATCH = 96, 32
TASKS = (
    Task("segmentation", 13, True, cross_entropy, (Accuracy,)),
    Task("edges", 1, True, l1, (Accuracy,)),
    Task("scene", 5, False, cross_entropy, (Accuracy,)),
)


def _reads(name: str) -> frozenset[str]:
    return getattr(METHODS[name], "reads", frozenset())


LIMITS = {
    "hps / bare loop": 1.03,
    "gradnorm / hps": 1.2,
    **dict.fromkeys((f"{name} / hps" for name in ("uw", "dwa", "rlw")), 1.05),
    **dict.fromkeys(
        (f"{name} / hps" for name in METHODS.names() if "gramian" in _reads(name)), 2.4
    ),
}

BALANCERS = [
    name
    for name in METHODS.names()
    if issubclass(METHODS[name], Balancer) and not METHODS[name].identity
]

Step = Callable[[], object]


def batch() -> Batch:
    """One synthetic batch, the same for everybody."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randint, generator=generator)
    return Batch(
        torch.randn(BATCH, 3, SIDE, SIDE, generator=generator),
        {
            "segmentation": draw(0, 13, (BATCH, SIDE, SIDE)),
            "edges": torch.rand(BATCH, 1, SIDE, SIDE, generator=generator),
            "scene": draw(0, 5, (BATCH,)),
        },
    )


def site(tasks: tuple[Task, ...] = TASKS) -> Site:
    """Where every contestant is built: the same trunk from the same random streams."""
    return Site(tasks, lambda: backbone.build("resnet18", SIDE), Streams("steps", 0, "1"))


def auxbench_step(method: str, recipe: Recipe) -> Step:
    """A whole iteration's phases of a method on the given batch."""
    learner = Method.parse(method).start(site(), recipe, meter := Meter())
    learner.architecture.train()
    (stage,) = learner.stages
    batches = dict.fromkeys(stage.splits, batch())

    def step() -> None:
        for phase in stage.phases:
            with meter.phase(phase.name):
                phase.step(batches)

    return step


def bare_step(recipe: Recipe) -> Step:
    """What somebody would write by hand for the plain sum, on the same modules."""
    here = site()
    network = here.network(TASKS[0])
    heads = nn.ModuleList([here.head(task, network.backbone) for task in TASKS[1:]])
    parameters = [*network.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    data = batch()
    cross, size = nn.CrossEntropyLoss(ignore_index=-1), (SIDE, SIDE)

    def step() -> None:
        features = network.backbone(data.inputs)
        loss = cross(network.head(features, size), data.targets["segmentation"])
        loss = loss + nn.functional.l1_loss(heads[0](features, size), data.targets["edges"])
        loss = loss + cross(heads[1](features, size), data.targets["scene"])
        optimizer.zero_grad()
        loss.backward()
        loss.item()
        optimizer.step()

    return step


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds per step of everybody, round by round, after two steps to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
    return seconds


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--methods", default=",".join([*BALANCERS, "auxnas", "auxnas+pcgrad"]))
@click.option("--rounds", default=15, show_default=True, help="Interleaved rounds.")
@click.option("--threads", type=int, help="Threads of torch; its own choice by default.")
def main(target: Path | None, methods: str, rounds: int, threads: int | None) -> None:
    """Print the ratios, and write them as JSON."""
    if threads:
        torch.set_num_threads(threads)
    recipe = BUDGETS["standard"]
    contestants = {
        "bare loop": bare_step(recipe),
        "hps": auxbench_step("hps", recipe),
        **{name: auxbench_step(name, recipe) for name in split_list(methods)},
    }
    seconds = measure(contestants, rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {f"{name} / hps": medians[name] / medians["hps"] for name in medians if name != "hps"}
    ratios["hps / bare loop"] = medians["hps"] / medians["bare loop"]
    del ratios["bare loop / hps"]
    result = {
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "limits": LIMITS,
        "seconds": {name: round(value, 4) for name, value in medians.items()},
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    for name, value in result["ratios"].items():
        limit = f"   limit {LIMITS[name]}" if name in LIMITS else ""
        click.echo(f"{name:24} {value:.3f}{limit}")
    if target:
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
