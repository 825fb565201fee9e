"""Aux-NAS against the tuned single-task network that is trained for as long: table in Markdown.

    auxbench tune --config results/qm9/study.toml \
        --methods single --steps 12500 --results results/longer
    python benchmarks/longer.py

A board gives all methods the same steps. The runs in `results/longer` give the single-task network
the FLOPs of training that Aux-NAS takes there, tuned by as many trials and with the same seeds.
They join their board as one more method, and are compared with Aux-NAS as `auxbench compare` would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pandas

import auxbench
from auxbench.report.comparison import compare
from auxbench.report.difference import Difference

RESULTS = Path(__file__).resolve().parents[1] / "results"
BOARDS = ("toy", "qm9", "qm9-labels", "earth", "earth-climate", "multifashion", "rooms")
METHOD = "auxnas"
LONGER = "single, longer"
SAME = ["dataset", "primary", "auxiliaries", "backbone"]


@dataclass(frozen=True)
class Row:
    """A problem: mean scores of three methods, their FLOPs over the first's, and the difference."""

    problem: str
    scores: tuple[float, ...]
    flops: tuple[float, ...]
    difference: Difference


def rows() -> list[Row]:
    """Every problem with longer runs, in the order of the boards. Errors: `UsageError`."""
    runs = pandas.concat(list(_joined()), ignore_index=True)
    found = {one.where["problem"]: one for one in compare(runs, [METHOD], LONGER).differences}
    made = []
    for problem, difference in found.items():
        there = runs[runs["problem"] == problem]
        each = [there[there["method"] == name] for name in ("single", METHOD, LONGER)]
        flops = [one["train_flops"].mean() for one in each]
        made.append(
            Row(
                _name(there.iloc[0]),
                tuple(one["value"].mean() for one in each),
                tuple(one / flops[0] for one in flops),
                difference,
            )
        )
    return made


def _joined() -> Iterator[pandas.DataFrame]:
    """The runs of every problem that has longer ones, with these as one more method."""
    longer = auxbench.load(RESULTS / "longer").runs
    for name in BOARDS:
        for key, there in auxbench.load(RESULTS / name).runs.groupby(SAME, sort=False):
            more = longer[(longer[SAME] == list(key)).all(axis=1)]
            if more.empty:
                continue
            problem, single = there["problem"].iloc[0], there[there["method"] == "single"]
            pairs = single.merge(more, on=["seed", "tuning"])
            if not len(pairs) == len(single) == len(more):
                raise click.UsageError(
                    f"the longer runs of '{problem}' have other seeds or trials than its board; "
                    "tune them like it."
                )
            yield there
            yield more.assign(method=LONGER, problem=problem)


def _name(run: pandas.Series[str]) -> str:
    alone = "" if "," in run["auxiliaries"] else f" with {run['auxiliaries']}"
    return f"{run['dataset']} {run['primary']}{alone}"


def table() -> str:
    """The Markdown of all rows with their verdicts."""
    lines = [
        f"| | `single` | `{METHOD}` | `single`, longer | gain of `{METHOD}` over it | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for row in rows():
        gain = row.difference.result
        cells = (
            row.problem,
            *(f"{s:#.3g} ({cost:.1f}x)" for s, cost in zip(row.scores, row.flops, strict=True)),
            f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
            row.difference.verdict,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
def main() -> None:
    """Print the table of `results/README.md`."""
    click.echo(table())


if __name__ == "__main__":
    main()
