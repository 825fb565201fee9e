"""Critical-difference diagrams: the mean ranks of methods, and those not told apart."""

from __future__ import annotations

from auxbench.errors import UsageError
from auxbench.report.diagram import Standing, standing
from auxbench.report.figure.axis import linear, ticks
from auxbench.report.figure.content import Content
from auxbench.report.figure.sheet import Sheet
from auxbench.report.figure.text import SMALL, fold, height, number, width
from auxbench.report.page.look import colours

BAR = 5.0  # points between the bars of groups
TOP = 14.0  # the critical difference, and its name
BELOW = 22.0


def ranks(content: Content, wide: float) -> Sheet:
    """The diagram of the methods that are recorded on every problem, the best first.

    Errors: `UsageError` where it could not show anything, as in `compare --diagram`.
    """
    if content.comparison is None:
        raise UsageError(content.missing)
    known = standing(content.comparison.problems)
    names = [fold(name, 0.36 * wide) for name in known.names]
    left = 12 + max(width(line) for lines in names for line in lines) + 8
    right = 10 + BAR * len(known.groups)
    rows = [max(10.5, height(len(lines)) + 2.5) for lines in names]
    tall = sum(rows)
    sheet = Sheet(wide, TOP + tall + BELOW, content.noted(known.note("bar")))
    room = wide - left - right
    axes = sheet.axes(left, TOP, room, tall)
    axes.set_ylim(tall, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(1 - 0.02 * known.largest, 1 + 1.02 * known.largest)
    linear(axes, ticks(*axes.get_xlim(), room))
    axes.grid(axis="x", color=colours()["line"], lw=0.4)
    axes.set_axisbelow(True)
    sheet.text(left + room / 2, TOP + tall + 17, "mean rank (1 is best)", SMALL, ha="center")
    _difference(sheet, known, left, room)
    middles = [sum(rows[:at]) + rows[at] / 2 for at in range(len(rows))]
    for name, rank, lines, middle in zip(known.names, known.ranks, names, middles, strict=True):
        mark = content.marks[name]
        axes.plot([1, rank], [middle] * 2, color=colours()["rule"], lw=0.6, zorder=1)
        axes.plot([rank], [middle], ls="none", zorder=2, label=name, **mark.style(4.6))
        sheet.text(6, TOP + middle, "\n".join(lines), ha="left")
    for at, group in enumerate(known.groups):
        x = wide - right + 8 + BAR * at
        ends = [TOP + middles[min(group)] - 3, TOP + middles[max(group)] + 3]
        sheet.line([x, x], ends, color=colours()["ink"], lw=1.6)
    return sheet


def _difference(sheet: Sheet, known: Standing, left: float, room: float) -> None:
    """A bar as long as the critical difference, with its name."""
    scale = room / (1.04 * known.largest)
    start = left + 0.02 * known.largest * scale
    end, ink = start + known.apart * scale, colours()["ink"]
    sheet.line([start, end], [10, 10], color=ink, lw=1.2)
    for x in (start, end):
        sheet.line([x, x], [8, 12], color=ink, lw=0.8)
    sheet.text(start, 4, f"critical difference {number(known.apart, 2)}", SMALL, ha="left")
