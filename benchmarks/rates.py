"""Print a Markdown table of three methods at three learning rates on `earth`, climate first.

    auxbench run --config results/earth-climate-rates/study.toml
    python benchmarks/rates.py

Three of the four trials of `results/earth-climate` are trained on the ten seeds of that board. The
table has the gain over the single-task network at the same learning rate, how many pairs of these
seeds would choose each rate without halving, and the rate that tuning chose for the board. A trial
has more than a learning rate: weight decay changes with it, and for Aux-NAS the strength of its
penalty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import click
import pandas
from validation import validated

import auxbench
from auxbench.records.ledger import Ledger
from auxbench.stats.paired import interval

RESULTS = Path(__file__).resolve().parents[1] / "results"
LOWER, HIGHER = ":lr=0.00173:weight_decay=0.00548", ":lr=0.00721:weight_decay=0.00074"
# The entries of every method, by learning rate; the control comes first.
TRIED = {
    "single": {"0.001": "single", "0.0017": f"single{LOWER}", "0.0072": f"single{HIGHER}"},
    "hps": {"0.001": "hps", "0.0017": f"hps{LOWER}", "0.0072": f"hps{HIGHER}"},
    "auxnas": {
        "0.001": "auxnas",
        "0.0017": f"auxnas{LOWER}",
        "0.0072": f"auxnas:l1=31.6{HIGHER}",
    },
}
Gain = tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    """A method and its gains over the control at the same learning rates, which are in `TRIED`.

    The control has its scores in the place of gains. `pairs` are the numbers of pairs of seeds that
    would choose each rate, and `chosen` is the one that tuning chose for the board.
    """

    method: str
    gains: list[Gain]
    pairs: list[int]
    chosen: str


def rows() -> Iterator[Row]:
    """Every method, the control first."""
    folder = RESULTS / "earth-climate-rates"
    scores = auxbench.load(folder).runs.pivot(index="seed", columns="method", values="value")
    (seen,) = validated(folder).values()
    selected = {one.method: one.selected for one in Ledger(RESULTS / "earth-climate").tunings()}
    control, *_ = TRIED
    for method, entries in TRIED.items():
        gains = []
        for rate, entry in entries.items():
            other = 0.0 if method == control else scores[TRIED[control][rate]]
            gains.append(interval((scores[entry] - other).tolist()))
        (chosen,) = [rate for rate, entry in entries.items() if entry == selected[method]]
        yield Row(method, gains, choices(seen[[*entries.values()]]), chosen)


def choices(scores: pandas.DataFrame) -> list[int]:
    """The number of pairs of rows in which each column has the highest mean.

    >>> choices(pandas.DataFrame({"a": [1.0, 2.0, 9.0], "b": [2.0, 3.0, 4.0]}))
    [2, 1]
    """
    pairs = combinations(scores.index, 2)
    means = (scores.loc[list(pair)].mean(skipna=False) for pair in pairs)  # a failure drops a trial
    found = Counter(mean.idxmax() for mean in means)
    return [found[column] for column in scores]


def table() -> str:
    """The Markdown of all rows."""
    control, *_ = TRIED
    rates = list(TRIED[control])
    lines = [
        f"| | {' | '.join(f'both at {rate}' for rate in rates)} "
        "| chosen by how many pairs of seeds | chosen |",
        f"|---|{'--:|' * (len(rates) + 2)}",
    ]
    for row in rows():
        form = ".1f" if row.method == control else "+.1f"
        cells = (f"{mean:{form}} [{low:{form}}, {high:{form}}]" for mean, low, high in row.gains)
        name = f"`{row.method}`" + (", its mean IoU" if row.method == control else "")
        pairs = ", ".join(str(count) for count in row.pairs)
        lines.append(f"| {name} | {' | '.join(cells)} | {pairs} | {row.chosen} |")
    return "\n".join(lines)


@click.command()
def main() -> None:
    """Print the table of `results/README.md`."""
    click.echo(table())


if __name__ == "__main__":
    main()
