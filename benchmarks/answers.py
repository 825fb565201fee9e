"""Which methods are worth their cost, who is better than whom, and where Aux-NAS gains: tables.

    python benchmarks/answers.py

The first table counts the problems on which a method is worth its training FLOPs: it is on the
front of score against cost unless one that costs no more is told apart from it as better, as in
`auxbench plot cost`. It gives FLOPs as the geometric mean of their ratios to the single-task
network's. The second table counts the verdicts of `auxbench compare --control CONTROL`, and the
third has those of Aux-NAS problem by problem, with its training FLOPs. All are Markdown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import geometric_mean

import click
import pandas

import auxbench
from auxbench.records.declared import Declared
from auxbench.report.comparison import compare
from auxbench.report.difference import Difference
from auxbench.report.figure.content import content

RESULTS = Path(__file__).resolve().parents[1] / "results"
BOARDS = ("earth", "earth-climate", "elpv", "multifashion", "qm9", "qm9-labels", "rooms", "toy")
COST = "train_flops"
CONTROL, METHOD = "single", "auxnas"
PAIRS = (
    *(("hps", "single"), ("static", "single"), ("static", "hps")),
    *(("auxnas", "single"), ("auxnas", "hps"), ("auxnas", "static")),
    *(("auxnas+gradnorm", "auxnas"), ("auxnas+noise-aux", "auxnas")),
    *(("auxnas+olaux", "auxnas"), ("auxnas+pcgrad", "auxnas")),
)
VERDICTS = ("better", "equivalent", "worse", "undecided")
Count = tuple[int, int]


@cache
def boards() -> dict[str, pandas.DataFrame]:
    """The runs of the boards, by their folders in `results`."""
    return {name: auxbench.load(RESULTS / name).runs for name in BOARDS}


@dataclass
class Worth:
    """On how many problems of each board a method is on the front, and its relative FLOPs."""

    counts: dict[str, Count] = field(default_factory=dict)
    factors: list[float] = field(default_factory=list)

    def add(self, board: str, on: bool, factor: float) -> None:
        """Count one more problem of a board."""
        before, every = self.counts.get(board, (0, 0))
        self.counts[board] = before + on, every + 1
        self.factors.append(factor)

    @property
    def total(self) -> Count:
        """The counts of all boards together."""
        each = self.counts.values()
        return sum(on for on, _ in each), sum(every for _, every in each)

    @property
    def factor(self) -> float:
        """The geometric mean of the factors."""
        return geometric_mean(self.factors)


def fronts() -> dict[str, Worth]:
    """The worth of every method, those that are on the front most often first."""
    found: dict[str, Worth] = defaultdict(Worth)
    for name, runs in boards().items():
        for place in content(runs, {}).places:
            single = place.board[CONTROL][COST]
            for method, better in place.front(COST).items():
                found[method].add(name, better is None, place.board[method][COST] / single)
    return dict(sorted(found.items(), key=lambda one: (-one[1].total[0], one[1].factor)))


def differences() -> list[Difference]:
    """The differences of all pairs on all problems."""
    found: list[Difference] = []
    for name, runs in boards().items():
        declared, present = Declared(RESULTS / name).pairs(), set(runs["method"])
        for control in dict.fromkeys(control for _, control in PAIRS):
            methods = [one for one, other in PAIRS if other == control and one in present]
            found += compare(runs, methods, control, declared=declared).differences
    return found


def verdicts(every: Iterable[Difference]) -> dict[tuple[str, str], Counter[str]]:
    """The number of problems with each verdict, by entry and control."""
    found: dict[tuple[str, str], Counter[str]] = {pair: Counter() for pair in PAIRS}
    for difference in every:
        found[difference.method, difference.control][difference.verdict] += 1
    return found


def gains(every: Iterable[Difference]) -> Iterator[list[str]]:
    """Of every problem the cells of a row: gains of Aux-NAS over its controls, and its cost."""
    found: dict[str, dict[str, Difference]] = defaultdict(dict)
    for one in every:
        if one.method == METHOD:
            found[one.where["problem"]][one.control] = one
    flops = pandas.concat(boards().values()).groupby(["problem", "method"])[COST].mean()
    for problem, told in found.items():
        where = told[CONTROL].where
        alone = "" if "," in where["auxiliaries"] else f" with {where['auxiliaries']}"
        yield [
            f"{where['dataset']} {where['primary']}{alone}",
            f"{where['metric']} {where['unit']}".strip(),
            *map(_gain, told.values()),
            f"{flops[problem, METHOD] / flops[problem, CONTROL]:.1f}x",
        ]


def _gain(one: Difference) -> str:
    form = f"+.{one.digits}f"
    verdict = "" if one.verdict == "undecided" else f" {one.verdict}"
    gain = one.result
    return f"{gain.difference:{form}}{verdict} [{gain.low:{form}}, {gain.high:{form}}]"


def tables() -> Iterator[str]:
    """The Markdown of all tables."""
    names, every = list(boards()), differences()
    yield _table(
        ["on the front", *(f"`{name}`" for name in names), "together", "FLOPs"],
        (
            [
                f"`{method}`",
                *(_of(there.counts.get(name)) for name in names),
                _of(there.total),
                f"{there.factor:.1f}x",
            ]
            for method, there in fronts().items()
        ),
    )
    yield _table(
        ["", *VERDICTS],
        (
            [f"`{method}` against `{control}`", *(str(there[verdict]) for verdict in VERDICTS)]
            for (method, control), there in verdicts(every).items()
        ),
    )
    controls = [control for method, control in PAIRS if method == METHOD]
    yield _table(
        [f"gain of `{METHOD}`", "in", *(f"over `{name}`" for name in controls), "FLOPs"],
        gains(every),
    )


def _of(count: Count | None) -> str:
    return f"{count[0]} of {count[1]}" if count else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], f"|---|{'--:|' * (len(head) - 1)}", *lines[1:]])


@click.command()
def main() -> None:
    """Print the tables of `results/README.md`."""
    click.echo("\n\n".join(tables()))


if __name__ == "__main__":
    main()
