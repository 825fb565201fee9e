"""Print two Markdown tables on the role of luck in tuning on `toy`.

    auxbench run --config results/toy-tuning/study.toml
    python benchmarks/chance.py

The first table is of the useless task. There two of the eight trials, each a learning rate with a
weight decay, are the best for almost every method. In `results/toy-tuning` seven methods are
trained with both. How often the mean validation score of a few seeds is better at the higher rate
is counted over all such sets of seeds, and what tuning chose by its first two seeds and by all
eight is read off the trials of `results/toy`.

The second table has what tuning loses by its choice, over all tunings of `results/toy` and orders
of their eight seeds: the first two or four choose a trial, or halving over four, and the last four
say how much worse its validation score is than the best one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import pandas
from validation import validated

import auxbench
from auxbench.execution.tuning import half
from auxbench.records.ledger import Ledger, Tuning
from auxbench.stats.paired import interval

RESULTS = Path(__file__).resolve().parents[1] / "results"
PROBLEM = "toy primary with useless; mlp; budget demo"
PAIRS = {"0.0072": ":lr=0.00721:weight_decay=0.00074", "0.0147": ":lr=0.0147:weight_decay=0.11"}
CONTROL = "single"
SEEDS = (2, 4, 8)
TRIALS, FIRST, MARGIN = 8, 4, 0.02  # of `toy`, and the seeds of eight that choose a trial
Gain = tuple[float, float, float]
Values = npt.NDArray[np.float64]


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
    runs = auxbench.load(RESULTS / "toy-tuning").runs
    scores = runs.pivot(index="seed", columns="method", values="value")
    seen = validated(RESULTS / "toy-tuning")[PROBLEM]
    tried = {tuned.method: scored for tuned, scored in tunings() if tuned.problem == PROBLEM}
    low, high = PAIRS.values()
    entries = [name.removesuffix(low) for name in map(str, scores) if name.endswith(low)]
    for entry in sorted(entries, key=lambda name: name != CONTROL):
        gains = []
        for pair in PAIRS.values():
            ours, control = scores[entry + pair], scores[CONTROL + pair]
            gains.append(interval((ours if entry == CONTROL else control - ours).tolist()))
        ahead = (seen[entry + low] - seen[entry + high]).to_numpy()
        trials = tried[entry.partition(":")[0]]
        chosen = [rate(str(trials[:count].mean().idxmin())) for count in (SEEDS[0], SEEDS[-1])]
        yield Row(entry, gains, [share(ahead, count) for count in SEEDS], chosen)


def tunings() -> Iterator[tuple[Tuning, pandas.DataFrame]]:
    """The tunings of `results/toy`, with the validation scores of their trials as `validated`."""
    scores = validated(RESULTS / "toy" / "trials")
    for tuning in Ledger(RESULTS / "toy").tunings():
        entries = [trial.entry for trial in tuning.trials]
        yield tuning, scores[tuning.problem][entries]


def rate(entry: str) -> str:
    """The learning rate of an entry that has one of the pairs."""
    return next((rate for rate, pair in PAIRS.items() if entry.endswith(pair)), "another")


def share(ahead: Values, count: int) -> float:
    """The share of all sets of `count` values that have a positive mean.

    >>> share(np.array([3.0, 1.0, -2.0]), 2)
    0.6666666666666666
    """
    sums = ahead[np.array(list(combinations(range(len(ahead)), count)))].sum(1)
    return float((sums > 0).mean())


def losses() -> dict[str, tuple[int, Values]]:
    """By the way of tuning, its number of runs, and what every choice loses in validation rmse."""
    ways = ("2 seeds", "4 seeds", "4 seeds, halving")
    lost: dict[str, list[Values]] = {way: [] for way in ways}
    for _, scored in tunings():
        for way, values in zip(ways, _lost(scored.to_numpy()), strict=True):
            lost[way].append(values)
    runs = dict(zip(ways, (2 * TRIALS, 4 * TRIALS, halved(TRIALS, 4)), strict=True))
    return {way: (runs[way], np.concatenate(lost[way])) for way in ways}


def halved(trials: int, seeds: int) -> int:
    """The runs of a tuning with halving.

    >>> halved(8, 4)
    15
    """
    left = [trials]
    for _ in range(seeds - 1):
        left.append(half(left[-1]))
    return sum(left)


def _lost(scores: Values) -> Iterator[Values]:
    """The losses of each way of tuning, by the order of seeds; `scores` is [8 seeds, 8 trials]."""
    tuning = np.array(list(permutations(range(2 * FIRST), FIRST)))  # [orders, 4]
    others = np.array([sorted({*range(2 * FIRST)} - {*order}) for order in tuning.tolist()])
    lost = scores[others].mean(1)
    lost -= lost.min(1, keepdims=True)
    seen = scores[tuning]  # [orders, 4, trials]
    for means in (seen[:, :2].mean(1), seen.mean(1), _halving(seen)):
        yield np.take_along_axis(lost, means.argmin(1)[:, None], 1)[:, 0]


def _halving(seen: Values) -> Values:
    """Mean scores [orders, trials] after the last seed, infinite for trials that were dropped."""
    dropped, left = np.zeros((len(seen), TRIALS), bool), TRIALS
    for count in range(1, FIRST + 1):
        means = np.where(dropped, np.inf, seen[:, :count].mean(1))
        left = half(left)
        dropped |= means.argsort(1).argsort(1) >= left
    return means


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


def luck() -> str:
    """The Markdown of what tuning loses."""
    lines = [
        f"| tuning by {TRIALS} trials | runs | loss in rmse | more than {MARGIN} |",
        "|---|--:|--:|--:|",
    ]
    for way, (runs, lost) in losses().items():
        often = 100 * (lost > MARGIN).mean()
        lines.append(f"| {way} | {runs} | {lost.mean():.4f} | {often:.0f} % |")
    return "\n".join(lines)


@click.command()
def main() -> None:
    """Print the tables of `results/README.md`."""
    click.echo(f"{table()}\n\n{luck()}")


if __name__ == "__main__":
    main()
