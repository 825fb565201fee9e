"""Time steps in half precision, compiled, and both, against the same loop written by hand.

The loop by hand is the plain sum of three tasks in single precision with channels first, as
somebody would write it. Everybody takes turns, and a ratio is the median over rounds:

    python benchmarks/arithmetic.py --json benchmarks/arithmetic.json --page benchmarks/README.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import steps
import timing
import torch
from timing import Clock, Step, cell

from auxbench.errors import UsageError
from auxbench.execution.environment import environment
from auxbench.spec.grammar import split_list

TASKS = 3
METHODS = {"hps": "plain sum", "pcgrad": "`pcgrad`"}
NETWORKS = {  # name -> image side and batch
    "resnet18": (96, 32),
    "test_resnet": (64, 16),
    "vit_tiny_patch16_224": (224, 4),
}
LIMITS = {"hps": 0.60, "pcgrad": 1.25}  # of half precision, as a ratio to the loop by hand
COMPILED_LIMIT = 0.85  # of a compiled step, as a ratio to the step that is not
WARM_UP = 2  # the first step is counted by the meter, the second may compile
SINGLE, COMPILED, BOTH = "fp32", "compiled", "{} compiled"
FIRST, LAST = "<!-- arithmetic -->\n", "<!-- /arithmetic -->"


def ways(precision: str, compiled: bool) -> dict[str, dict[str, Any]]:
    """The ways to compute a step, by their names, as changes of a recipe.

    >>> list(ways("bf16", True)), list(ways("bf16", False))
    (['fp32', 'bf16', 'compiled', 'bf16 compiled'], ['fp32', 'bf16'])
    """
    found: dict[str, dict[str, Any]] = {SINGLE: {}, precision: {"precision": precision}}
    if compiled:
        found[COMPILED] = {"compiled": True}
        found[BOTH.format(precision)] = {"precision": precision, "compiled": True}
    return found


def contest(
    network: str, arrangements: Mapping[str, dict[str, Any]], rounds: int, clock: Clock
) -> dict[str, Any]:
    """The ratios of all ways on one network, and what could not be built.

    Keys: ratios {method: {way: to the loop by hand}}, compiled {method: {way: to the same way
    without compilation}}, seconds of the loop by hand, and refused {way: why}.
    """
    steps.BACKBONE, (steps.SIDE, steps.BATCH) = network, NETWORKS[network]
    steps.batch.cache_clear()
    parties: dict[str, Step] = {"by hand": steps.bare(TASKS)}
    refused = {}
    for method in METHODS:
        for way, changes in arrangements.items():
            try:
                made = steps.Ours(method, TASKS, replace(steps.RECIPE, **changes))
            except UsageError as error:
                refused[way] = str(error)
            else:
                parties[f"{method}, {way}"] = made
    seconds = timing.measure(parties, rounds, clock, WARM_UP)
    result: dict[str, Any] = {"ratios": {}, "compiled": {}}
    for method in METHODS:
        own = {way: seconds[key] for way in arrangements if (key := f"{method}, {way}") in seconds}
        by_hand = seconds["by hand"]
        result["ratios"][method] = {way: timing.by_round(own[way], by_hand) for way in own}
        result["compiled"][method] = {
            way: timing.by_round(own[way], own[uncompiled(way)])
            for way in own
            if uncompiled(way) != way
        }
    return {**result, "seconds by hand": round(sorted(by_hand)[len(by_hand) // 2], 4)} | (
        {"refused": refused} if refused else {}
    )


def uncompiled(way: str) -> str:
    """The same way without compilation.

    >>> uncompiled("bf16 compiled"), uncompiled("compiled"), uncompiled("fp32")
    ('bf16', 'fp32', 'fp32')
    """
    return way.removesuffix(COMPILED).strip() or SINGLE


def bar(method: str, way: str) -> float | None:
    """The ratio to the loop by hand that a way has to stay below, if it has such a bar.

    >>> bar("hps", "bf16"), bar("pcgrad", "bf16 compiled"), bar("hps", "compiled")
    (0.6, 1.25, None)
    """
    return None if uncompiled(way) == SINGLE else LIMITS[method]


def table(result: Mapping[str, Any]) -> str:
    """The Markdown of a result: networks and methods by rows, ways by columns."""
    named = list(ways(result["precision"], result["compile"]))
    compiled = [way for way in named if uncompiled(way) != way]
    head = [f"{way} / by hand" for way in named]
    head += [f"{way} / {uncompiled(way)}" for way in compiled]
    lines = [f"| network | step | {' | '.join(head)} |", "|:--|:--|" + "--:|" * len(head)]
    for network, found in result["networks"].items():
        side, batch = NETWORKS[network]
        for method, words in METHODS.items():
            ratios, pays = found["ratios"][method], found["compiled"][method]
            cells = [cell(ratios.get(way), bar(method, way)) for way in named]
            cells += [cell(pays.get(way), COMPILED_LIMIT) for way in compiled]
            place = f"`{network}`, {side} px, batch {batch}"
            lines.append(f"| {place} | {words} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_notes(result), ""])


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    machine = result["environment"]
    yield (
        f"Medians of {result['rounds']} rounds of {result['clock']}, "
        f"{timing.brackets(result['rounds'])}; {timing.loads(result['load'])}, on "
        f"{machine['processor']} with {result['threads']} threads, torch "
        f"{machine['packages']['torch']}, at commit {(machine['commit'] or '?')[:7]}."
    )
    for network, found in result["networks"].items():
        for way, why in found.get("refused", {}).items():
            yield f"Without {way} on `{network}`: {why}"


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--page", type=click.Path(path_type=Path), help="Whose table to replace.")
@click.option("--networks", default=",".join(NETWORKS), show_default=True, help="Backbones.")
@click.option("--rounds", default=16, show_default=True, help="Steps of everybody.")
@click.option(
    "--precision",
    type=click.Choice(["bf16", "fp16"]),
    default="bf16",
    show_default=True,
    help="The half precision.",
)
@click.option("--compile/--no-compile", "compiled", default=True, help="Compile as well.")
@click.option("--threads", type=int, help="Threads of torch; its own choice by default.")
@click.option("--cpu", is_flag=True, help="Count seconds of the processor, for busy machines.")
def main(
    target: Path | None,
    page: Path | None,
    networks: str,
    rounds: int,
    precision: str,
    compiled: bool,
    threads: int | None,
    cpu: bool,
) -> None:
    """Print the table, and write it into the page and all numbers as JSON."""
    if threads:
        torch.set_num_threads(threads)
    before, (counted, clock) = timing.load(), timing.clock_of(cpu)
    found = {}
    for network in split_list(networks):
        if network not in NETWORKS:
            raise click.BadParameter(
                f"'{network}' is none of {', '.join(NETWORKS)}.", param_hint="--networks"
            )
        found[network] = contest(network, ways(precision, compiled), rounds, clock)
        click.echo(f"{network}: {found[network]['ratios']}", err=True)
    result = {
        "tasks": TASKS,
        "precision": precision,
        "compile": compiled,
        "networks": found,
        "limits": {"half / by hand": LIMITS, "compiled / not": COMPILED_LIMIT},
        "rounds": rounds,
        "clock": counted,
        "load": {"before": before, "after": timing.load()},
        "threads": torch.get_num_threads(),
        "environment": environment(),
    }
    steps.publish(result, table(result), target, page, FIRST, LAST)


if __name__ == "__main__":
    main()
