"""Time whole processes that conclude: boards of many records, comparisons, `calibrate`.

python benchmarks/boards.py --json benchmarks/boards.json
python benchmarks/boards.py --records 100000 --scale --json benchmarks/scale.json

The first board has no index of the records yet; everything after it has.

The records are those of `results/toy`, and copies of them with other scores, all valid: as if
trained by more steps, each of which is a problem of its own, or (`--shape seeds`) from more seeds
on the same problems.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from auxbench.spec.run import identity

TOY = Path(__file__).parents[1] / "results" / "toy"
COMMANDS = (
    "leaderboard",
    "leaderboard ",
    "compare --control single",
    "compare --control single --matrix",
    "calibrate",
)
SPREAD = 0.01  # standard deviation of the copies' scores around the published one, as a share


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
