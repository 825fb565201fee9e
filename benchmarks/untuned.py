"""Verdicts on auxiliary tasks by the learning rate, and after tuning: `docs/figures/untuned.svg`.

    python benchmarks/untuned.py

Gains of the plain sum of the losses over the single-task network on `toy`, both at the same
learning rate (`results/toy-rates`), or both tuned (`results/toy` and `results/toy-lengths`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pandas

import auxbench
from auxbench.report.figure.gallery import points_of
from auxbench.report.figure.key import Key
from auxbench.report.figure.panel import (
    BELOW,
    DASHES,
    Line,
    Look,
    margin,
    overhang,
    panel,
    span,
)
from auxbench.report.figure.sheet import Sheet, drawing
from auxbench.report.figure.text import SMALL
from auxbench.report.page.look import colours
from auxbench.stats.paired import interval

ROOT = Path(__file__).resolve().parents[1]
AUXILIARIES = ("helpful", "harmful")
LENGTHS = (150, 600, 2000)
RATES = {"3e-4": ":lr=0.0003", "1e-3": "", "3e-3": ":lr=0.003"}
TUNED = "both tuned"
LOOKS = ("c0", "c1", "c2", "ink")
GAP, HEAD, TALL = 12.0, 14.0, 110.0
Gain = tuple[float, float, float]


def gains(auxiliary: str) -> Iterator[tuple[str, list[Gain]]]:
    """Of every line its name, and the gain with its 95 % interval after every number of steps."""
    rates = auxbench.load(ROOT / "results" / "toy-rates").runs
    for rate, option in RATES.items():
        found = [_gain(rates, auxiliary, steps, option) for steps in LENGTHS]
        yield f"both at {rate}", found
    tuned = [auxbench.load(ROOT / "results" / name).runs for name in ("toy", "toy-lengths")]
    every = pandas.concat(tuned, ignore_index=True)
    yield TUNED, [_gain(every, auxiliary, steps, "") for steps in LENGTHS]


def _gain(runs: pandas.DataFrame, auxiliary: str, steps: int, option: str) -> Gain:
    length = "" if steps == LENGTHS[0] else f"* (steps {steps})"
    there = runs[runs["problem"] == f"toy primary with {auxiliary}; mlp; budget demo{length}"]
    single, both = (
        there[there["method"] == f"{name}{option}"].set_index("seed")["value"]
        for name in ("single", "hps")
    )
    return interval((single - both).dropna().tolist())


def table() -> str:
    """The Markdown of the gains with the helpful task."""
    head = " | ".join(f"{steps:,} steps" for steps in LENGTHS)
    lines = [f"| the plain sum, task helpful | {head} |", f"|---|{'--:|' * len(LENGTHS)}"]
    for name, found in gains(AUXILIARIES[0]):
        cells = (f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]" for mean, low, high in found)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(wide: float) -> Sheet:
    """A panel per auxiliary task, with a line per learning rate and one for what is tuned."""
    known = colours()
    panels = {}
    for auxiliary in AUXILIARIES:
        zero = Line("", LENGTHS, [0.0] * len(LENGTHS), Look(known["soft"], {"lw": 0.5}))
        panels[auxiliary] = [zero]
        for at, (name, found) in enumerate(gains(auxiliary)):
            style = {"lw": 1.8, "ls": "-"} if name == TUNED else {"lw": 1.0, "ls": DASHES[at + 1]}
            values, low, high = zip(*found, strict=True)
            look = Look(known[LOOKS[at]], style)
            panels[auxiliary].append(Line(name, LENGTHS, values, look, low, high))
    lines = [line for each in panels.values() for line in each]
    limits, named = span(lines), panels[AUXILIARIES[0]][1:]
    left = margin(limits, TALL) + 12
    room = (wide - left - overhang(lines) - GAP * (len(panels) - 1)) / len(panels)
    key = Key.of([line.label for line in named], wide - left)
    below = HEAD + TALL + BELOW
    sheet = Sheet(wide, below + key.height + 4)
    for at, (auxiliary, each) in enumerate(panels.items()):
        x = left + at * (room + GAP)
        sheet.text(x, HEAD / 2, f"auxiliary task: {auxiliary}")
        panel(sheet, (x, HEAD, room, TALL), each, limits, labels=not at)
    sheet.text(4, HEAD + TALL / 2, "gain in rmse", SMALL, ha="center", rotation=90)

    def sign(at: int, x: float, y: float) -> None:
        look = named[at].look
        sheet.line([x - 7, x + 7], [y, y], color=look.colour, **look.style)

    key.draw(sheet, below + 3, sign, left)
    return sheet


@click.command()
@click.option("--out", default=str(ROOT / "docs" / "figures" / "untuned.svg"), show_default=True)
def main(out: str) -> None:
    """Draw the figure, and print the table of `results/README.md`."""
    click.echo(table())
    with drawing():
        figure(points_of("page")).save(Path(out), Path(out).suffix[1:])


if __name__ == "__main__":
    main()
