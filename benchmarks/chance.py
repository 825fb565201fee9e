"""What tuning on two seeds leaves to chance, on `toy` with the useless task: table in Markdown.

    auxbench run --config results/toy-tuning/study.toml
    python benchmarks/chance.py

Two of the eight trials, each a learning rate with a weight decay, are the best for almost every
method. In `results/toy-tuning` seven methods are trained with both. How often the mean validation
score of a few seeds is better at the higher rate is counted over all such sets of seeds, and what
tuning chose by its first two seeds and by all eight is read off the trials of `results/toy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import pandas

import auxbench
from auxbench.stats.loaded import Loaded
from auxbench.stats.paired import interval

RESULTS = Path(__file__).resolve().parents[1] / "results"
PROBLEM = "toy primary with useless; mlp; budget demo"
PAIRS = {"0.0072": ":lr=0.00721:weight_decay=0.00074", "0.0147": ":lr=0.0147:weight_decay=0.11"}
CONTROL = "single"
VALIDATION = "validation/primary/rmse"
SEEDS = (2, 4, 8)
Gain = tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    """An entry, its gains over the control at either rate, and what tuning makes of the two.

    The control has its scores in the place of gains. `shares` are those of sets of 2, 4 and 8 seeds
    that would choose the higher rate, `chosen` the learning rates that 2 and 8 seeds did choose.
    """

    entry: str
    gains: list[Gain]
    shares: list[float]
    chosen: list[str]


def rows() -> Iterator[Row]:
    """Every entry, the control first."""
    loaded = auxbench.load(RESULTS / "toy-tuning")
    scores = loaded.runs.pivot(index="seed", columns="method", values="value")
    best, trials = validated(loaded), validated(auxbench.load(RESULTS / "toy" / "trials"))
    low, high = PAIRS.values()
    entries = [name.removesuffix(low) for name in map(str, scores) if name.endswith(low)]
    for entry in sorted(entries, key=lambda name: name != CONTROL):
        ours = [scores[entry + pair] for pair in PAIRS.values()]
        base = [0.0 if entry == CONTROL else scores[CONTROL + pair] for pair in PAIRS.values()]
        sign = 1 if entry == CONTROL else -1
        gains = [interval((b + sign * o).tolist()) for b, o in zip(base, ours, strict=True)]
        ahead = (best[entry + low] - best[entry + high]).to_numpy()
        tried = trials[[name for name in trials if plain(str(name)) == plain(entry)]]
        found = [rate(str(tried[:count].mean().idxmin())) for count in (SEEDS[0], SEEDS[-1])]
        yield Row(entry, gains, [share(ahead, count) for count in SEEDS], found)


def validated(loaded: Loaded) -> pandas.DataFrame:
    """The best validation scores of `PROBLEM` with a row per seed and a column per entry."""
    curves = loaded.curves[loaded.curves["quantity"] == VALIDATION]
    curves = curves[curves["id"].isin(loaded.runs["id"][loaded.runs["problem"] == PROBLEM])]
    return curves.groupby(["seed", "method"])["value"].min().unstack()


def plain(entry: str) -> str:
    """The method of an entry, without its options."""
    return re.sub(r":[^+]*", "", entry)


def rate(entry: str) -> str:
    """The learning rate of an entry, to four places; 0.0010 is the default."""
    found = re.search(r":lr=([\d.e-]+)", entry)
    return f"{float(found[1]) if found else 0.001:.4f}"


def share(ahead: npt.NDArray[np.float64], count: int) -> float:
    """The share of all sets of `count` values that have a positive mean.

    >>> share(np.array([3.0, 1.0, -2.0]), 2)
    0.6666666666666666
    """
    sums = ahead[np.array(list(combinations(range(len(ahead)), count)))].sum(1)
    return float((sums > 0).mean())


def table() -> str:
    """The Markdown of all rows."""
    lines = [
        f"| | {' | '.join(f'both at {rate}' for rate in PAIRS)} "
        f"| {', '.join(str(count) for count in SEEDS)} seeds are right "
        f"| chosen by {SEEDS[0]}, {SEEDS[-1]} |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows():
        form = ".3f" if row.entry == CONTROL else "+.3f"
        cells = (f"{mean:{form}} [{low:{form}}, {high:{form}}]" for mean, low, high in row.gains)
        name = f"`{row.entry}`" + (", its rmse" if row.entry == CONTROL else "")
        right = ", ".join(f"{100 * one:.0f}" for one in row.shares)
        lines.append(f"| {name} | {' | '.join(cells)} | {right} % | {', '.join(row.chosen)} |")
    return "\n".join(lines)


@click.command()
def main() -> None:
    """Print the table of `results/README.md`."""
    click.echo(table())


if __name__ == "__main__":
    main()
