"""Measure the peak memory of a step of every method, in live tensors, by torch.profiler.

ResNet-18 branches, 32 x 32 pixels, batch 4, three tasks: a network whose gradients outweigh its
features. Checkpointing saves features and is measured on 64 x 64 pixels, batch 16:

    python benchmarks/memory.py --json benchmarks/memory.json --page benchmarks/README.md
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import steps
from torch.profiler import ProfilerActivity, profile, record_function

from auxbench.execution.environment import environment
from auxbench.spec.grammar import split_list

TASKS = 3
GRADIENTS, FEATURES = (32, 4), (64, 16)  # side and batch of what outweighs the other
SAVING = (("pcgrad", GRADIENTS), ("hps", FEATURES), ("pcgrad", FEATURES), (steps.CHAIN, FEATURES))
CHUNKS = 8
FIRST, LAST = "<!-- memory -->\n", "<!-- /memory -->"
MARK = "the last step"


def peak(make: Callable[[], Callable[[], object]], warm_up: int = 1) -> dict[str, float]:
    """Megabytes of live tensors before a step and at its peak, without the batch.

    Everything that `make` builds counts, such as copies of the network and states of optimisers.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step = make()
        for _ in range(warm_up):
            step()
        with record_function(MARK):
            step()
    events = profiler.profiler.kineto_results.events()
    start = next(event.start_ns() for event in events if event.name() == MARK)
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    live, before, highest = 0, 0, 0
    for moment, change in sorted(changes, key=lambda pair: pair[0]):
        live += change
        before = live if moment < start else before
        highest = highest if moment < start else max(highest, live)
    return {"before": round(before / 1e6, 1), "peak": round(highest / 1e6, 1)}


def of(method: str, size: tuple[int, int], **changes: Any) -> dict[str, float]:
    """The memory of a method on images and batches of that size, where what recurs is done."""
    steps.SIDE, steps.BATCH = size
    steps.batch.cache_clear()
    steps.batch(TASKS)  # made here, so that it does not count
    name = steps.recurring(method) or method
    return peak(partial(steps.Ours, name, TASKS, replace(steps.RECIPE, **changes)))


def gradient() -> float:
    """Megabytes of one task's gradient on the shared parameters."""
    steps.SIDE, steps.BATCH = GRADIENTS
    here = steps.builder(TASKS)
    shared = here.backbone(here.tasks[0]).parameters()
    return round(sum(4 * parameter.numel() for parameter in shared) / 1e6, 1)


def limit(method: str) -> float | None:
    """The gradients beyond the plain sum's memory that a rule on the Gramian may take."""
    return 1.1 * TASKS if steps.limit(method, TASKS) == 2.4 else None


def gradients(result: Mapping[str, Any], method: str) -> float:
    """A method's peak beyond the plain sum's, in gradients on the shared parameters.

    >>> methods = {"hps": {"peak": 100.0}, "pcgrad": {"peak": 230.0}}
    >>> gradients({"methods": methods, "gradient": 50.0}, "pcgrad")
    2.6
    """
    peaks = result["methods"]
    return round((peaks[method]["peak"] - peaks["hps"]["peak"]) / result["gradient"], 2)


def table(result: Mapping[str, Any]) -> str:
    """The Markdown of a result: all methods by their peak, and what options save."""
    lines = ["| method | before a step, MB | peak, MB | gradients more than the plain sum |"]
    lines.append("|:--|--:|--:|--:|")
    for method, found in sorted(result["methods"].items(), key=lambda pair: pair[1]["peak"]):
        more, bar = gradients(result, method), result["limits"].get(method)
        cell = f"{more:.2f}" if bar is None else f"{more:.2f} (≤ {bar:.1f})"
        cell = f"**{more:.2f} (> {bar:.1f})**" if bar is not None and more > bar else cell
        lines.append(f"| `{method}` | {found['before']:.0f} | {found['peak']:.0f} | {cell} |")
    lines += ["", "| peak, MB | by default | `--chunks 8` | `--checkpointing` | both |"]
    lines.append("|:--|--:|--:|--:|--:|")
    for name, sizes in result["saving"].items():
        cells = " | ".join(f"{value:.0f}" for value in sizes.values())
        lines.append(f"| {name} | {cells} |")
    machine = result["environment"]
    lines += [
        "",
        f"torch {machine['packages']['torch']}, one gradient {result['gradient']:.0f} MB.",
    ]
    return "\n".join([*lines, ""])


def saving() -> dict[str, dict[str, float]]:
    """The peaks of some methods with the options that save memory."""
    options: tuple[dict[str, Any], ...] = (
        {},
        {"chunks": CHUNKS},
        {"checkpointing": True},
        {"chunks": CHUNKS, "checkpointing": True},
    )
    found = {}
    for method, size in SAVING:
        peaks = {json.dumps(o): of(method, size, **o)["peak"] for o in options}
        found[f"`{method}`, {size[0]} pixels, batch {size[1]}"] = peaks
        click.echo(f"{method}: {peaks}", err=True)
    return found


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--page", type=click.Path(path_type=Path), help="Whose table to replace.")
@click.option("--methods", help="All, and auxnas+pcgrad, by default.")
def main(target: Path | None, page: Path | None, methods: str | None) -> None:
    """Print the table, and write it into the page and all numbers as JSON."""
    names = (
        split_list(methods)
        if methods
        else [*steps.balancers(), *steps.architectures(), steps.CHAIN]
    )
    peaks = {}
    for method in ["hps", *names]:
        peaks[method] = of(method, GRADIENTS)
        click.echo(f"{method}: {peaks[method]}", err=True)
    result = {
        "tasks": TASKS,
        "gradient": gradient(),
        "methods": peaks,
        "limits": {method: round(bar, 1) for method in peaks if (bar := limit(method))},
        "saving": saving(),
        "environment": environment(),
    }
    steps.publish(result, table(result), target, page, FIRST, LAST)


if __name__ == "__main__":
    main()
