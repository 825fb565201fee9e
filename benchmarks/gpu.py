"""Time steps on a GPU: methods against the plain sum, precisions, compilation, graphs, and memory.

    python benchmarks/gpu.py --json benchmarks/gpu.json --page benchmarks/README.md

Everybody takes turns in blocks of steps, after which the GPU is waited for: within a block, the
program may run ahead of the GPU as in training. With `--libmtl DIR` LibMTL's steps stand beside.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import arithmetic
import click
import libmtl
import steps
import timing
import torch
from throughput import study
from timing import Step, cell

from auxbench.errors import UsageError
from auxbench.execution.environment import environment
from auxbench.spec.grammar import split_list

TASKS, BLOCK, ROUNDS, TOGETHER = 3, 4, 6, 6
NETWORKS = {  # name -> image side and batch
    "resnet18": (96, 32),
    "resnet50": (224, 64),
    "vit_small_patch16_224": (224, 64),
}
METHODS = (
    *("uw", "gradnorm", "famo", "pcgrad", "cagrad", "nashmtl", "upgrad", "graddrop"),
    *("olaux", "pcgrad:every=10", "auxnas", "auxnas+pcgrad"),
)
WAYS = ("hps", "pcgrad")
JOBS, RUNS = (1, 2, 4), 8  # runs at once on one GPU, and in all
SMALL = ("--methods", "hps", "--dataset", "rooms:train=64:validation=32:test=32", "--workers", "0")
SMALL = (*SMALL, "--backbone", "test_resnet", "--budget", "demo", "--steps", "300")
FIRST, LAST = "<!-- gpu -->\n", "<!-- /gpu -->"


def clock() -> float:
    """Seconds after all work on the GPU is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(parties: Mapping[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds per step of everybody, by rounds of a block each."""

    def block(step: Step) -> None:
        for _ in range(BLOCK):
            step()

    blocks = {name: partial(block, step) for name, step in parties.items()}
    found = timing.measure(blocks, rounds, clock)
    return {name: [each / BLOCK for each in seconds] for name, seconds in found.items()}


def graphed() -> Step:
    """The plain sum by hand, captured once as a CUDA graph and replayed."""
    hand = steps.Hand(TASKS)
    for group in hand.optimizer.param_groups:
        group["capturable"] = True

    def once() -> None:
        hand.optimizer.zero_grad(set_to_none=True)
        losses = hand.losses(hand.features())
        sum(losses[1:], start=losses[0]).backward()
        hand.optimizer.step()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            once()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        once()
    return graph.replay


def unread() -> Step:
    """The plain sum by hand, which never reads its loss."""
    hand = steps.Hand(TASKS)

    def step() -> None:
        losses = hand.losses(hand.features())
        hand.optimizer.zero_grad()
        sum(losses[1:], start=losses[0]).backward()
        hand.optimizer.step()

    return step


@contextmanager
def on(network: str) -> Iterator[None]:
    """Let all steps that are made inside be of this network."""
    steps.BACKBONE, (steps.SIDE, steps.BATCH) = network, NETWORKS[network]
    steps.batch.cache_clear()
    yield
    torch.cuda.empty_cache()


def waits(step: Step) -> int:
    """The operations of one step, once warm, that wait for the GPU."""
    step()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(each.message) for each in caught)


def peak(make: Callable[[], Step]) -> float:
    """The peak of the GPU's memory in GB over some steps of somebody who is alone on it."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step = make()
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    return round((torch.cuda.max_memory_allocated() - before) / 1e9, 3)


def methods(names: list[str], rounds: int, checkout: Path | None) -> dict[str, Any]:
    """Ratios of methods and their peers to the plain sum, waits, and peaks of memory."""
    result: dict[str, Any] = {"ratios": {}, "waits": {}, "GB": {}, "refused": {}}
    plain: dict[str, list[float]] = {"by hand": [], "plain sum": []}
    for first in range(0, len(names), TOGETHER):
        group = steps.Group.of(names[first : first + TOGETHER], TASKS, checkout)
        seconds = measure(group.steps, rounds)
        result["ratios"] |= steps.summary(group, seconds)
        result["refused"] |= group.refused
        for name, step in group.steps.items():
            if name.endswith(", ours") or name == "plain sum":
                result["waits"][name.removesuffix(", ours")] = waits(step)
        plain["by hand"] += seconds["bare loop"]
        plain["plain sum"] += seconds["plain sum"]
    result["plain sum / by hand"] = timing.by_round(plain["plain sum"], plain["by hand"])
    result["milliseconds by hand"] = round(1e3 * statistics.median(plain["by hand"]), 3)
    for name in ("hps", *names):
        result["GB"][name] = peak(partial(steps.Ours, name, TASKS))
    return result


def ways(rounds: int, compiled: bool) -> dict[str, Any]:
    """Ratios of precisions and a CUDA graph, or of compiled steps, to the plain sum by hand."""
    parties: dict[str, Step] = {"by hand": steps.bare(TASKS)}
    refused: dict[str, str] = {}
    if not compiled:
        parties["by hand, unread"] = unread()
        try:
            parties["by hand, CUDA graph"] = graphed()
        except RuntimeError as error:
            refused["by hand, CUDA graph"] = str(error).splitlines()[0]
    changes: dict[str, dict[str, Any]] = {"fp16": {"precision": "fp16"}} if not compiled else {}
    changes |= arithmetic.ways("bf16", compiled=compiled)
    for method in WAYS[:1] if compiled else WAYS:
        for way, change in changes.items():
            try:
                made = steps.Ours(method, TASKS, replace(steps.RECIPE, **change))
            except UsageError as error:
                refused[f"{method}, {way}"] = str(error)
            else:
                parties[f"{method}, {way}"] = made
    seconds = measure(parties, rounds)
    by_hand = seconds.pop("by hand")
    ratios = {name: timing.by_round(each, by_hand) for name, each in seconds.items()}
    return {"ratios": ratios, "refused": refused}


def sharing() -> dict[str, float]:
    """Runs a minute where one GPU carries out several small runs at once."""
    found = {}
    for jobs in JOBS:
        seconds, _ = study(SMALL, RUNS, "--jobs", str(jobs), "--device", "cuda")
        found[str(jobs)] = round(60 * RUNS / seconds, 1)
        click.echo(f"{jobs} runs at once: {found[str(jobs)]} a minute", err=True)
    return found


def table(result: Mapping[str, Any]) -> str:
    """The Markdown of a result."""
    networks: dict[str, Any] = result["networks"]
    columns = ["ours / plain sum", "TorchJD / plain sum", "LibMTL / plain sum", "waits"]
    columns += ["GB"] if any(found["GB"] for found in networks.values()) else []
    head = "".join(f" `{n}`: {columns[0]} | {' | '.join(columns[1:])} |" for n in networks)
    lines = [f"| method |{head}", "|:--|" + "--:|" * len(columns) * len(networks)]
    plain = (cell(found["plain sum / by hand"]) for found in networks.values())
    rest = " |" * len(columns)
    lines.append("| plain sum / the same loop by hand |" + "".join(f" {p}{rest}" for p in plain))
    for name in ("hps", *result["methods"]):
        row = []
        for found in networks.values():
            ratios = found["ratios"].get(name, {})
            row += [cell(ratios.get(whose)) for whose in ("ours", "torchjd", "libmtl")]
            row.append(str(found["waits"].get("plain sum" if name == "hps" else name, "")))
            row += [f"{found['GB'][name]:.2f}"] if name in found["GB"] else columns[4:] and [""]
        lines.append(f"| `{name}` | " + " | ".join(row) + " |")
    lines += ["", "| a step / the plain sum by hand |" + "".join(f" `{n}` |" for n in networks)]
    lines.append("|:--|" + "--:|" * len(networks))
    named = dict.fromkeys(way for found in networks.values() for way in found["ways"]["ratios"])
    for way in named:
        row = [cell(found["ways"]["ratios"].get(way)) for found in networks.values()]
        lines.append(f"| {way.replace('hps', 'plain sum')} | " + " | ".join(row) + " |")
    if result["runs a minute"]:
        lines += ["", "| small runs at once on one GPU | runs a minute |", "|--:|--:|"]
        lines += [f"| {jobs} | {rate:g} |" for jobs, rate in result["runs a minute"].items()]
    return "\n".join([*lines, "", *_notes(result), ""])


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    machine = result["environment"]
    shapes = ", ".join(
        f"{name} at {{0}} px in batches of {{1}} ({found['milliseconds by hand']:g} ms a step by "
        "hand)".format(*NETWORKS[name])
        for name, found in result["networks"].items()
    )
    yield (
        f"Three tasks; {shapes}. Medians of {result['rounds']} rounds of {BLOCK} steps, "
        f"{timing.brackets(result['rounds'])}, on {machine['device_name']}, "
        f"torch {machine['packages']['torch']}, "
        f"at commit {(machine['commit'] or '?')[:7]}."
    )
    for network, found in result["networks"].items():
        for what, why in (found["refused"] | found["ways"]["refused"]).items():
            yield f"Without {what} on `{network}`: {why}"


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--page", type=click.Path(path_type=Path), help="Whose table to replace.")
@click.option("--networks", default=",".join(NETWORKS), show_default=True, help="Backbones.")
@click.option("--methods", "names", default=",".join(METHODS), show_default=True, help="Methods.")
@click.option("--rounds", default=ROUNDS, show_default=True, help="Blocks of everybody.")
@click.option("--jobs/--no-jobs", default=True, help="Time several runs at once as well.")
@click.option("--compile/--no-compile", "compiled", default=True, help="Compile as well.")
@click.option("--device", default="cuda", show_default=True, help="The GPU.")
@click.option("--libmtl", "checkout", type=click.Path(path_type=Path), help="LibMTL's folder.")
def main(
    target: Path | None,
    page: Path | None,
    networks: str,
    names: str,
    rounds: int,
    jobs: bool,
    compiled: bool,
    device: str,
    checkout: Path | None,
) -> None:
    """Print the tables, and write them into the page and all numbers as JSON."""
    if not torch.cuda.is_available():
        click.echo("Error: there is no GPU here, which this benchmark is about.", err=True)
        sys.exit(2)
    if checkout:
        libmtl.checked(checkout)
    warnings.filterwarnings("ignore", module=r"(cvxpy|torchjd)\b")
    steps.DEVICE = device
    result: dict[str, Any] = {
        "methods": split_list(names),
        "networks": {},
        "rounds": rounds,
        "runs a minute": {},
        "environment": environment(device),
    }

    def keep() -> None:  # what is known, in case the rest does not come to an end
        steps.publish(result, table(result), target, page, FIRST, LAST)

    for network in split_list(networks):
        with on(network):
            found = methods(result["methods"], rounds, checkout)
            result["networks"][network] = {**found, "ways": ways(rounds, compiled=False)}
        keep()
    if jobs:
        result["runs a minute"] = sharing()
        keep()
    for network in split_list(networks) if compiled else ():
        with on(network):
            made = ways(rounds, compiled=True)
        for what in ("ratios", "refused"):
            result["networks"][network]["ways"][what] |= made[what]
        keep()


if __name__ == "__main__":
    main()
