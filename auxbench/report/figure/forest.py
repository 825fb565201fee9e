"""Forest plots: paired differences from the control, with every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auxbench.report.figure.axis import linear, ticks
from auxbench.report.figure.content import Content, Place, finite
from auxbench.report.figure.sheet import Sheet
from auxbench.report.figure.text import SMALL, fold, height, number, width
from auxbench.report.figure.wording import SIGNS, judged
from auxbench.report.page.look import colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 330.0  # points from which on numbers stand beside the names
EDGE = 9.0
BELOW = 22.0  # ticks and the title of the axis


def forest(content: Content, place: Place, wide: float) -> Sheet | None:
    """The differences on one problem, the best first; None if there are none."""
    found = [row for row in place.compared.values() if finite(row["difference"])]
    if not found:
        return None
    found.sort(key=lambda row: -row["difference"])
    numbers = wide >= WIDE
    most = (0.3 if numbers else 0.38) * wide
    names = [fold(row["method"], most) for row in found]
    left = 12 + max(width(line) for lines in names for line in lines) + EDGE
    words = [_words(row) for row in found]
    right = EDGE + max(width(row["verdict"], SMALL) for row in found) + 8
    right = right + max(width(text, SMALL) for text in words) if numbers else EDGE + 9
    rows = [max(10.5, height(len(lines)) + 2.5) for lines in names]
    tall = sum(rows)
    sheet = Sheet(wide, tall + BELOW + 2, judged(content, _notes(place, numbers)))
    axes = sheet.axes(left, 2, wide - left - right, tall)
    low, high = _limits(found, place.margin)
    axes.set_xlim(low, high)
    axes.set_ylim(tall, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if place.margin:
        axes.axvspan(-place.margin, place.margin, color=colours()["band"], lw=0, zorder=0)
    linear(axes, ticks(low, high, wide - left - right, signed=True))
    axes.grid(axis="x", color=colours()["line"], lw=0.4, zorder=0)
    axes.set_axisbelow(True)
    axes.axvline(0, color=colours()["faint"], lw=0.7, zorder=1)
    title = f"difference in {place.score}, positive is better"
    sheet.text((left + wide - right) / 2, tall + 18, title, SMALL, ha="center")
    top = 0.0
    for row, lines, text, tall_row in zip(found, names, words, rows, strict=True):
        middle = top + tall_row / 2
        _row(axes, content, row, middle, tall_row)
        sheet.mark(6, middle + 2, content.marks[row["method"]], size=3.6)
        sheet.text(12, middle + 2, "\n".join(lines))
        verdict, colour = row["verdict"], colours()[row["verdict"]]
        x = wide - right + EDGE
        if numbers:
            sheet.text(x, middle + 2, verdict, SMALL, color=colour)
            sheet.text(wide - 1, middle + 2, text, SMALL, ha="right", color=colours()["soft"])
        elif SIGNS[verdict]:
            sheet.text(x, middle + 2, SIGNS[verdict], SMALL, color=colour, ha="center")
        top += tall_row
    return sheet


def _row(axes: Axes, content: Content, row: Mapping[str, Any], middle: float, tall: float) -> None:
    """The seeds, the interval and the mean of one difference."""
    method, mark = row["method"], content.marks[row["method"]]
    low, high = axes.get_xlim()
    inside = [
        (value, middle + ((k * 7) % 11 / 10 - 0.5) * 0.55 * min(tall, 12.0))
        for k, value in enumerate(row["differences"])
        if value is not None and low <= value <= high
    ]
    if inside:
        xs, ys = zip(*inside, strict=True)
        axes.plot(xs, ys, "o", ms=1.7, mfc=mark.colour, mec="none", alpha=0.45, zorder=2)
    for end, shape in ((low, "<"), (high, ">")):
        if any(v is not None and (v < low if end == low else v > high) for v in row["differences"]):
            axes.plot([end], [middle], shape, ms=2.6, mfc=mark.colour, mec="none", clip_on=False)
    decided = row["verdict"] != "undecided"
    if finite(row["low"]):
        ends = (row["low"], row["high"])
        axes.plot(ends, (middle, middle), color=mark.colour, lw=1.5 if decided else 0.8, zorder=3)
    style = mark.style(4.6, hollow=not decided)
    axes.plot([row["difference"]], [middle], ls="none", zorder=4, label=method, **style)


def _limits(found: Sequence[Mapping[str, Any]], margin: float) -> tuple[float, float]:
    """The ends of the axis: all intervals and nearly all seeds; arrows say where others are."""
    ends = [row[key] for row in found for key in ("low", "high", "difference")]
    ends = [value for value in ends if finite(value)]
    seeds = sorted(v for row in found for v in row["differences"] if finite(v))
    if seeds:
        ends += [seeds[round(q * (len(seeds) - 1))] for q in (0.03, 0.97)]
    low, high = min(0.0, -margin, *ends), max(0.0, margin, *ends)
    pad = (high - low or 1.0) * 0.03
    return low - pad, high + pad


def _words(row: Mapping[str, Any]) -> str:
    digits = row["digits"]
    text = number(row["difference"], digits, signed=True)
    if not finite(row["low"]):
        return text
    low, high = (number(row[key], digits, signed=True) for key in ("low", "high"))
    return f"{text} [{low}, {high}]"


def _notes(place: Place, numbers: bool) -> str:
    text = f"On {place.short}. Dots are seeds, marks are mean differences with 95 % intervals"
    if place.margin:
        text += f"; in the shaded band (±{place.margin:g}) a difference does not matter"
    return f"{text}. Hollow marks are undecided." + (
        "" if numbers else " ▲ better, ▼ worse, = equivalent."
    )
