"""Panels over time: lines with bands against training steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auxbench.report.figure.axis import linear, ticks, widest
from auxbench.report.figure.content import finite
from auxbench.report.figure.sheet import Mark, Sheet
from auxbench.report.figure.text import SMALL, width
from auxbench.report.page.look import colours

Values = Sequence[float | None]
Span = tuple[float, float]
BELOW = 22.0  # points for the ticks and the title of the axis of steps
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))


@dataclass(frozen=True)
class Look:
    """The colour of a line and its settings in matplotlib."""

    colour: str
    style: Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of a panel: values at steps, perhaps with a band and marks, and how it looks."""

    label: str
    steps: Sequence[int]
    values: Values
    look: Look
    low: Values | None = None
    high: Values | None = None
    mark: Mark | None = None

    def known(self, values: Values) -> tuple[list[int], list[float]]:
        """The steps at which there are values, and these."""
        pairs = [(s, float(v)) for s, v in zip(self.steps, values, strict=True) if v is not None]
        return [step for step, _ in pairs], [value for _, value in pairs]


def span(lines: Sequence[Line]) -> Span:
    """The ends of the values of some lines and their bands."""
    every = [
        float(value)
        for line in lines
        for values in (line.values, line.low or (), line.high or ())
        for value in values
        if value is not None and finite(value)
    ]
    low, high = (min(every), max(every)) if every else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def margin(limits: Span, tall: float) -> float:
    """The width of the labels of a vertical axis, which stand left of it."""
    return widest(ticks(*limits, tall, "y", most=5)[1]) + 6


def overhang(lines: Sequence[Line]) -> float:
    """The width by which the label of the last step stands out to the right of a panel."""
    last = max(step for line in lines for step in line.steps)
    return width(f"{last:,.0f}", SMALL) / 2 + 1


def panel(
    sheet: Sheet,
    box: tuple[float, float, float, float],
    lines: Sequence[Line],
    limits: Span,
    *,
    title: bool = True,
    labels: bool = True,
) -> None:
    """Draw lines in a box of left, top, width and height, which is that of the axes alone.

    Below it stand the ticks, and the title of the axis if `title`; without `labels` the vertical
    axis has none, since its neighbour's hold.
    """
    left, top, wide, tall = box
    known = colours()
    axes = sheet.axes(*box)
    pad = 0.03 * (limits[1] - limits[0])
    axes.set_ylim(limits[0] - pad, limits[1] + pad)
    steps = [step for line in lines for step in line.steps]
    first, last = min(steps), max(steps)
    axes.set_xlim(first, last if last > first else first + 1)
    values, texts = ticks(*limits, tall, "y", most=5)
    linear(axes, (values, texts if labels else [""] * len(texts)), "y")
    values, texts = ticks(first, max(last, first + 1), wide, most=6)
    linear(axes, (values, [f"{value:,.0f}" for value in values]))
    axes.grid(color=known["line"], lw=0.4)
    axes.set_axisbelow(True)
    for line in lines:
        if line.low and line.high:
            xs, lows = line.known(line.low)
            if len(xs) == len(line.steps):
                highs = line.known(line.high)[1]
                axes.fill_between(xs, lows, highs, color=line.look.colour, alpha=0.13, lw=0)
        xs, ys = line.known(line.values)
        style = {"lw": 1.1, "clip_on": False, **line.look.style}
        style |= line.mark.style(3.0, edge=0.4) if line.mark else {}
        axes.plot(xs, ys, label=line.label, color=line.look.colour, **style)
    if title:
        sheet.text(left + wide / 2, top + tall + 18, "training step", SMALL, ha="center")
