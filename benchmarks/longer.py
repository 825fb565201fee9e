"""Aux-NAS against the tuned single-task network that is trained for as long: table in Markdown.

    auxbench tune --config results/qm9/study.toml \
        --methods single --steps 12500 --results results/longer
    python benchmarks/longer.py

A board gives all methods the same steps. The runs in `results/longer` give the single-task network
the FLOPs of training that Aux-NAS takes there, tuned by as many trials and with the same seeds,
which are paired. The verdicts are those of one family of comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pandas

import auxbench
from auxbench.stats import Claim, decide, paired

RESULTS = Path(__file__).resolve().parents[1] / "results"
BOARDS = ("toy", "qm9", "qm9-labels", "earth")
METHOD = "auxnas"
SAME = ["dataset", "primary", "auxiliaries", "backbone"]


@dataclass(frozen=True)
class Row:
    """A problem with the mean scores of three entries, and their FLOPs over those of the first."""

    problem: str
    scores: tuple[float, ...]
    flops: tuple[float, ...]
    claim: Claim


def rows() -> Iterator[Row]:
    """Every problem with longer runs, in the order of the boards."""
    longer = auxbench.load(RESULTS / "longer").runs
    boards = (auxbench.load(RESULTS / name).runs for name in BOARDS)
    board = pandas.concat(boards, ignore_index=True)
    for key, there in board.groupby(SAME, sort=False):
        more = longer[(longer[SAME] == list(key)).all(axis=1)]
        if more.empty:
            continue
        single, ours = (there[there["method"] == name] for name in ("single", METHOD))
        flops = [each["train_flops"].mean() for each in (single, ours, more)]
        pairs = paired(_by_seed(ours), _by_seed(more), more["direction"].iloc[0])
        others = there["method"].nunique() - 1
        yield Row(
            _name(*map(str, key)),
            tuple(each["value"].mean() for each in (single, ours, more)),
            tuple(each / flops[0] for each in flops),
            Claim(pairs, others=others, margin=more["margin"].iloc[0]),
        )


def _name(dataset: str, primary: str, auxiliaries: str, _: str) -> str:
    return f"{dataset} {primary}" + ("" if "," in auxiliaries else f" with {auxiliaries}")


def _by_seed(runs: pandas.DataFrame) -> dict[int, float]:
    return {
        int(seed): float(value) for seed, value in zip(runs["seed"], runs["value"], strict=True)
    }


def table() -> str:
    """The Markdown of all rows with their verdicts."""
    found = list(rows())
    lines = [
        f"| | `single` | `{METHOD}` | `single`, longer | gain of `{METHOD}` over it | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for row, decision in zip(found, decide([row.claim for row in found]), strict=True):
        pairs = row.claim.result
        cells = (
            row.problem,
            *(f"{s:#.3g} ({cost:.1f}x)" for s, cost in zip(row.scores, row.flops, strict=True)),
            f"{pairs.difference:+.3f} [{pairs.low:+.3f}, {pairs.high:+.3f}]",
            decision.verdict,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
def main() -> None:
    """Print the table of `results/README.md`."""
    click.echo(table())


if __name__ == "__main__":
    main()
