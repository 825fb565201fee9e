"""Compare scores in half precision with those in single, run by run, in a folder of results.

    auxbench run --methods single,hps,pcgrad,auxnas --dataset qm9 --seeds 10 --results FOLDER
    auxbench run ... --precision bf16 --results FOLDER
    python benchmarks/precision.py FOLDER

Runs are paired that differ in nothing but their precision. A method is equivalent if the difference
is significantly smaller than the margin of the primary metric, after Holm's correction.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from auxbench.records.store import Store
from auxbench.stats.decision import evidence, verdicts
from auxbench.stats.multiplicity import holm
from auxbench.stats.paired import interval

Scores = dict[str, dict[str, float]]  # by everything but the precision, then by precision


def pairs(folder: Path) -> dict[tuple[str, str, str], list[tuple[float, float, float]]]:
    """Score in single precision, in half, and the margin, by problem, method and precision."""
    scores: dict[str, dict[str, Any]] = defaultdict(dict)
    for record in Store(folder).runs():
        if record["status"] != "done":
            continue
        recipe = dict(record["run"]["recipe"])
        precision = recipe.pop("precision", "fp32")
        del recipe["budget"]
        scores[json.dumps({**record["run"], "recipe": recipe}, sort_keys=True)][precision] = record
    found = defaultdict(list)
    for by_precision in scores.values():
        single = by_precision.pop("fp32", None)
        for precision, record in by_precision.items() if single else ():
            sign = 1 if record["primary"]["direction"] == "up" else -1
            run = record["run"]
            key = (f"{run['dataset']} {run['primary']}", run["method"], precision)
            values = (single["primary"]["value"], record["primary"]["value"])
            found[key].append((*(sign * value for value in values), record["primary"]["margin"]))
    return found


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
def main(folder: Path) -> None:
    """Print a table in Markdown."""
    rows = pairs(folder)
    whole = {key: np.array(values) for key, values in rows.items() if len(values) > 1}
    if not whole:
        raise click.UsageError(f"'{folder}' holds no two pairs of runs; run more seeds.")
    tests = {
        key: evidence(
            (values[:, 1] - values[:, 0])[None],
            others=len({method for _, method, _ in whole}),
            margin=float(values[0, 2]),
            scale=np.abs(values[:, :2]).max(),
        )
        for key, values in whole.items()
    }
    p, p_equivalent = (
        np.array(holm([float(getattr(test, name)[0]) for test in tests.values()]))
        for name in ("p", "p_equivalent")
    )
    means = np.array([float(test.mean[0]) for test in tests.values()])
    found = verdicts(means, p, p_equivalent)
    click.echo("| problem | method | precision | pairs | difference | 95 % interval | margin | |")
    click.echo("|---|---|---|--:|--:|--:|--:|---|")
    for (key, values), verdict in zip(whole.items(), found, strict=True):
        mean, low, high = interval((values[:, 1] - values[:, 0]).tolist())
        cells = (*key, str(len(values)), f"{mean:+.4f}", f"[{low:+.4f}, {high:+.4f}]")
        click.echo(f"| {' | '.join(cells)} | {values[0, 2]:g} | {verdict} |")


if __name__ == "__main__":
    main()
