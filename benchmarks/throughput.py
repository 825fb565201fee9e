"""Time whole studies: start-up per run, two jobs against one, Ray, and the bytes that runs leave.

python benchmarks/throughput.py --json benchmarks/throughput.json

The cost of one more run is the difference of two studies of different size, so that what happens
once per command is left out. Studies with one job and two take turns, because the machine drifts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from auxbench.execution.environment import environment
from auxbench.execution.execute import begin
from auxbench.execution.study import Study
from auxbench.records.store import Store
from auxbench.training import checkpoint

FEW, MANY = 8, 40  # runs of one step each
TRAINED = 12  # runs that are trained
STARTING = ("--methods", "single", "--dataset", "toy", "--budget", "demo", "--steps", "1")
TRAINING = ("--methods", "hps", "--dataset", "rooms:train=40:validation=20:test=20")
TRAINING = (*TRAINING, "--backbone", "test_resnet", "--budget", "demo", "--steps", "40")
NETWORKS = (("toy", "mlp", "hps"), ("rooms", "resnet18", "hps"), ("rooms", "resnet18", "auxnas"))
LEAST = 1.7  # throughput of two jobs on two cores, against one


def study(words: tuple[str, ...], seeds: int, *more: str) -> tuple[float, int]:
    """Time one command in an empty results folder; the seconds, and the bytes of its records."""
    with TemporaryDirectory() as folder:
        every = ("run", *words, "--seeds", str(seeds), "--threads", "1", "--results", folder, *more)
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "auxbench", *every],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - start
        statuses = {record["status"] for record in Store(folder).runs()}
        assert statuses == {"done"}, statuses
        return seconds, (Path(folder) / "records.jsonl").stat().st_size


def per_run(*more: str) -> float:
    """The seconds that one more run of a single step takes."""
    (few, _), (many, _) = (study(STARTING, count, "--jobs", "1", *more) for count in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def bytes_of(dataset: str, backbone: str, method: str) -> int:
    """The size of a checkpoint after the first step."""
    (run,) = Study.of(method, dataset, backbone=backbone, seeds=1, budget="demo").runs
    training = begin(run)
    training.run(lambda training: False)
    with TemporaryDirectory() as folder:
        file = checkpoint.save(Path(folder) / "state", {"training": training.state_dict()})
        return file.stat().st_size


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--rounds", default=3, show_default=True, help="Pairs of studies of 1 and 2 jobs.")
@click.option("--ray", is_flag=True, help="Time Ray too, on a cluster of this machine.")
def main(target: Path | None, rounds: int, ray: bool) -> None:
    """Print the figures, and write them as JSON."""
    study(TRAINING, 1)  # draws the rooms
    found: dict[str, Any] = {"start-up per run, seconds": per_run()}
    pairs = []
    for _ in range(rounds):
        (one, size), (two, _) = (study(TRAINING, TRAINED, "--jobs", jobs) for jobs in ("1", "2"))
        pairs.append((one, two))
    found["seconds of 12 runs, 1 job"] = statistics.median(one for one, _ in pairs)
    found["seconds of 12 runs, 2 jobs"] = statistics.median(two for _, two in pairs)
    found["throughput of 2 jobs"] = statistics.median(one / two for one, two in pairs)
    found["bytes per record"] = size / TRAINED
    for network in NETWORKS:
        found[f"bytes of a checkpoint, {' '.join(network)}"] = bytes_of(*network)
    if ray:
        subprocess.run(
            ["ray", "start", "--head", "--port", "6399", "--num-cpus", "2"],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        )
        try:
            words = ("--executor", "ray", "--address", "auto")
            found["Ray, more per run, seconds"] = (
                per_run(*words) - found["start-up per run, seconds"]
            )
        finally:
            subprocess.run([Path(sys.executable).parent / "ray", "stop"], check=True)
    for name, value in found.items():
        limit = f"   at least {LEAST}" if name.startswith("throughput") else ""
        click.echo(f"{name:48} {value:12,.3f}{limit}")
    if target:
        text = json.dumps({"machine": environment("cpu"), **found}, indent=2)
        target.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
