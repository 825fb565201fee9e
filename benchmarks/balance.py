"""Time `auxbench.Balance` in a loop written by hand, beside TorchJD and LibMTL in the same loop.

ResNet-18 trunk, 96 x 96 pixels, batch 32, as in steps.py. Everybody has the same modules, data,
losses and optimiser, and all take turns step by step; a ratio is that to the plain sum by hand of
the same round. Ours is timed twice: as torch lays a network out by itself, and with channels last,
as a run does:

    python benchmarks/balance.py --libmtl DIR --json benchmarks/balance.json \\
        --page benchmarks/README.md
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import libmtl
import torch
from steps import DEVICE, Hand, Ours, bare, publish, torchjd, torchjd_version
from timing import Step, brackets, by_round, cell, clock_of, load, loads, measure

from auxbench import Balance
from auxbench.execution.environment import environment
from auxbench.spec.grammar import split_list

METHODS = "uw,gradnorm,pcgrad,cagrad,graddrop"
FIRST, LAST = "<!-- balance -->\n", "<!-- /balance -->"
COLUMNS = {
    "library": "`auxbench.Balance`",
    "channels last": "`auxbench.Balance`, channels last",
    "run": "a run",
    "TorchJD": "TorchJD",
    "LibMTL": "LibMTL",
}


def library(method: str, tasks: int, layout: torch.memory_format = torch.contiguous_format) -> Step:
    """A step as the page of the documentation has it."""
    hand = Hand(tasks, layout=layout)
    parameters = [*hand.trunk.parameters(), *hand.heads.parameters()]
    names = [f"task{number}" for number in range(tasks)]
    balance = Balance(method, names)

    def step() -> None:
        losses = hand.losses(hand.features())
        balance.backward(dict(zip(names, losses, strict=True)), parameters)
        hand.optimizer.step()

    return step


def table(result: Mapping[str, Any]) -> str:
    """The Markdown of a result."""
    lines = [f"| method | {' | '.join(COLUMNS.values())} |", f"|:--|{'--:|' * len(COLUMNS)}"]
    for method, ratios in result["ratios"].items():
        cells = (cell(ratios.get(name)) for name in COLUMNS)
        lines.append(f"| `{method}` | {' | '.join(cells)} |")
    machine = result["environment"]
    peers = f"TorchJD {result['torchjd'] or 'not installed'}"
    peers += f", LibMTL {result['libmtl']}" if result.get("libmtl") else ""
    note = (
        f"{result['tasks']} tasks, medians of {result['rounds']} rounds of {result['clock']}, "
        f"{brackets(result['rounds'])}; {loads(result)}, on {machine['processor']} with "
        f"{machine['threads']} threads, torch {machine['packages']['torch']}, {peers}, at commit "
        f"{(machine['commit'] or '?')[:7]}."
    )
    return "\n".join([*lines, "", note, ""])


@click.command()
@click.option("--methods", default=METHODS, show_default=True)
@click.option("--tasks", default=3, show_default=True)
@click.option("--rounds", default=16, show_default=True)
@click.option("--cpu/--wall", default=True, help="Seconds of the processor, or of the clock.")
@click.option("--libmtl", "checkout", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "target", type=click.Path(path_type=Path))
@click.option("--page", type=click.Path(path_type=Path), help="Whose table to replace.")
def main(
    methods: str,
    tasks: int,
    rounds: int,
    cpu: bool,
    checkout: Path | None,
    target: Path | None,
    page: Path | None,
) -> None:
    """Print the ratios to the plain sum by hand, and write them down."""
    torch.set_num_threads(1)
    words, clock = clock_of(cpu)
    before, ratios = load(), dict[str, dict[str, Any]]()
    for method in split_list(methods):
        steps = {
            "hand": bare(tasks),
            "library": library(method, tasks),
            "channels last": library(method, tasks, torch.channels_last),
            "run": Ours(method, tasks),
        }
        if peer := torchjd(method, tasks):
            steps["TorchJD"] = peer
        if checkout and (peer := libmtl.step(method, tasks, checkout, Hand, DEVICE)):
            steps["LibMTL"] = peer
        seconds = measure(steps, rounds, clock)
        ratios[method] = {
            name: by_round(values, seconds["hand"]) for name, values in seconds.items()
        }
        shown = (f"{name} {cell(ratio)}" for name, ratio in ratios[method].items())
        click.echo(f"{method}: {', '.join(shown)}")
    result = {
        "ratios": ratios,
        "tasks": tasks,
        "rounds": rounds,
        "clock": words,
        "cores": os.cpu_count(),
        "before": before,
        "after": load(),
        "torchjd": torchjd_version(),
        "libmtl": libmtl.version(checkout) if checkout else None,
        "environment": environment(DEVICE),
    }
    publish(result, table(result), target, page, FIRST, LAST)


if __name__ == "__main__":
    main()
