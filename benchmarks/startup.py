"""Time whole processes of the light commands, which must not import torch.

python benchmarks/startup.py --json benchmarks/startup.json
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

LIMITS = {"--help": 0.3}
COMMANDS = ("--help", "list methods", "list datasets")


def seconds(command: str) -> float:
    """Time one process of `auxbench command`."""
    start = time.perf_counter()
    words = [sys.executable, "-m", "auxbench", *command.split()]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


@click.command()
@click.option("--json", "target", type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--rounds", default=11, show_default=True, help="Processes per command.")
def main(target: Path | None, rounds: int) -> None:
    """Print the median seconds of each command, and write them as JSON."""
    medians = {
        command: round(statistics.median(seconds(command) for _ in range(rounds)), 3)
        for command in COMMANDS
    }
    for command, value in medians.items():
        limit = f"   limit {LIMITS[command]}" if command in LIMITS else ""
        click.echo(f"auxbench {command:16} {value:.3f} s{limit}")
    if target:
        result = {"seconds": medians, "limits": LIMITS, "rounds": rounds}
        target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
