"""Gains over the single-task network on all boards: `docs/figures/boards.svg`.

    python benchmarks/gains.py

It is `auxbench plot heat` over several boards, with the verdicts of each: comparisons are corrected
within a board, and those that were declared for it by themselves, as on its `matrix.md`. Of
`results merge` and one plot, the verdicts would be corrected for all boards together.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

import auxbench
from auxbench.records.declared import Declared
from auxbench.report.difference import shortened
from auxbench.report.figure.content import Content, Place, content
from auxbench.report.figure.gallery import points_of, sheets, write
from auxbench.report.figure.sheet import drawing, marks

ROOT = Path(__file__).resolve().parents[1]
BOARDS = ("toy", "qm9", "qm9-labels", "earth", "earth-climate", "multifashion", "rooms", "elpv")
METHODS = (
    *("nashmtl", "cagrad", "pcgrad", "hps", "uw", "gradnorm", "olaux", "gcs", "static"),
    *("auxnas", "auxnas+pcgrad", "auxnas+gradnorm", "auxnas+olaux"),
    *("noise-aux", "auxnas+noise-aux"),
)

MOST_DIGITS = 3


def board(name: str) -> Content:
    """A board with the methods that it has, and its own verdicts."""
    folder = ROOT / "results" / name
    runs = auxbench.load(folder).runs
    present = [method for method in METHODS if method in set(runs["method"])]
    return content(runs, {}, present, declared=Declared(folder).pairs())


def together() -> Content:
    """All boards beside one another."""
    every = [board(name) for name in BOARDS]
    places = [_briefer(place) for one in every for place in one.places]
    short = shortened(place.name for place in places)
    return replace(
        every[0],
        chosen=METHODS,
        places=tuple(replace(place, short=short[place.name]) for place in places),
        marks=marks([every[0].control, *METHODS]),
    )


def _briefer(place: Place) -> Place:
    """The same with numbers for which a cell has room."""
    rows = {
        name: {**row, "digits": min(row["digits"], MOST_DIGITS)}
        for name, row in place.compared.items()
    }
    return replace(place, compared=rows)


@click.command()
@click.option("--out", default=str(ROOT / "docs" / "figures" / "boards.svg"), show_default=True)
def main(out: str) -> None:
    """Draw the figure of the README."""
    with drawing():
        for path, _ in write(sheets(together(), ["heat"], points_of("page")), Path(out), "svg"):
            click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
