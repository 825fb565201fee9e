"""Measure whole processes that conclude: boards of up to 100,000 records, comparisons, `calibrate`.

python benchmarks/boards.py --json benchmarks/boards.json

The first board of a folder has no index of the records yet; everything after it has.

The records are those of `results/toy`, and valid copies of them with other scores: as if trained by
more steps, each of which is a problem of its own (shape `problems`), or from more seeds on the same
problems (shape `seeds`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from auxbench.records.line import encode
from auxbench.records.store import Store
from auxbench.spec.run import identity

TOY = Path(__file__).parents[1] / "results" / "toy"
SPREAD = 0.01  # standard deviation of the copies' scores around the published one, as a share
FOLDERS = (("problems", 10_000), ("problems", 50_000), ("problems", 100_000), ("seeds", 100_000))
BOARDS = {
    "leaderboard without an index": "leaderboard --format json",
    "leaderboard --format json": "leaderboard --format json",
    "leaderboard": "leaderboard",
}
OTHERS = {name: name for name in ("compare --control single", "compare --control single --matrix")}


def copies(records: list[dict[str, Any]], count: int, shape: str) -> Iterator[dict[str, Any]]:
    """At least `count` records of the same size, all of different runs."""
    rng = np.random.default_rng(0)
    seeds = 1 + max(record["run"]["seed"] for record in records)
    for number in range(-(-count // len(records))):
        for record in records:
            words = {
                **record["run"],
                "method": re.sub(r":[^+]*", "", record["run"]["method"]),  # as if by default
            }
            if shape == "problems":
                recipe = words["recipe"]
                words["recipe"] = {**recipe, "steps": recipe["steps"] + number}
            else:
                words["seed"] += seeds * number
            factor = 1 + SPREAD * rng.standard_normal() if number else 1.0
            scores = [
                {**score, "value": score["value"] and score["value"] * factor}
                for score in record["scores"]
            ]
            primary = record["primary"]
            if primary is not None:
                primary = {**primary, "value": primary["value"] and primary["value"] * factor}
            yield {
                **record,
                "id": identity(words),
                "run": words,
                "primary": primary,
                "scores": scores,
            }


def measured(words: str) -> dict[str, float]:
    """Run one process of auxbench; its seconds, those of its cores, and its largest memory."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "auxbench", *words.split()], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"auxbench {words} failed")
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_megabytes": round(used.ru_maxrss / 1024),
    }


def told(name: str, words: str) -> dict[str, float]:
    """Measure a process and print the result."""
    found = measured(words)
    click.echo(f"  {name:36}" + "".join(f"{value:9.2f}" for value in found.values()))
    return found


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--largest", default=100_000, show_default=True, help="Records, at most.")
def main(target: Path | None, largest: int) -> None:
    """Print seconds, CPU seconds and peak megabytes of each command, and write them as JSON."""
    published = Store(TOY).records()
    folders = []
    for shape, count in FOLDERS:
        if count > largest:
            continue
        with TemporaryDirectory() as folder:
            file, made = Path(folder, "records.jsonl"), 0
            with file.open("wb") as stream:
                for record in copies(published, count, shape):
                    stream.write(encode(record) + b"\n")
                    made += 1
            megabytes = file.stat().st_size / 10**6
            click.echo(f"{made} records, {megabytes:.0f} MB, more {shape}")
            commands = BOARDS if folders else BOARDS | OTHERS
            times = {
                name: told(name, f"{words} --results {folder}") for name, words in commands.items()
            }
            index = Path(folder, ".index.npz").stat().st_size / 10**6
        sizes = {"records": made, "megabytes": round(megabytes), "index_megabytes": round(index, 1)}
        folders.append({"more": shape, **sizes, "commands": times})
    result = {"folders": folders, "calibrate": told("calibrate", "calibrate")}
    if target:
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
