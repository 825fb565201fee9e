"""Time whole processes that conclude: a board of 10,000 records, its comparisons, `calibrate`.

python benchmarks/boards.py --json benchmarks/boards.json

The first board has no index of the records yet; everything after it has.

The records are those of `results/toy`, and copies of them as if trained by more steps, each of
which is a problem of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from auxbench.records.store import Store
from auxbench.spec.run import Run

TOY = Path(__file__).parents[1] / "results" / "toy"
COMMANDS = (
    "leaderboard --results {}",
    "leaderboard --results {} ",
    "compare --control single --results {}",
    "compare --control single --matrix --results {}",
    "calibrate",
)


def copies(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """At least `count` records of the same size, all of different runs."""
    found: list[dict[str, Any]] = []
    for number in range(-(-count // len(records))):
        for record in records:
            recipe = record["run"]["recipe"]
            words = {
                **record["run"],
                "method": re.sub(r":[^+]*", "", record["run"]["method"]),  # as if by default
                "recipe": {**recipe, "steps": recipe["steps"] + number},
            }
            found.append({**record, "id": Run.from_json(words).id, "run": words})
    return found


def seconds(command: str) -> float:
    """Time one process of `auxbench command`."""
    start = time.perf_counter()
    words = [sys.executable, "-m", "auxbench", *command.split()]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--records", "count", default=10_000, show_default=True, help="Records, at least.")
def main(target: Path | None, count: int) -> None:
    """Print the seconds of each command, and write them as JSON."""
    with TemporaryDirectory() as folder:
        found = copies(Store(TOY).records(), count)
        lines = "".join(json.dumps(record) + "\n" for record in found)
        Path(folder, "records.jsonl").write_text(lines, encoding="utf-8")
        times = {}
        for command in COMMANDS:
            name = command.replace("--results {}", "").rstrip()
            name += " without an index" if name in COMMANDS[0] and not times else ""
            times[name] = round(seconds(command.format(folder)), 1)
            click.echo(f"auxbench {name:36} {times[name]:6.1f} s")
    if target:
        result = {"records": len(found), "megabytes": len(lines) // 10**6, "seconds": times}
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
