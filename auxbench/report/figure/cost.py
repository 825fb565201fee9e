"""Scores against costs, of training and of inference, with the front of what is worth its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auxbench.report.figure.axis import linear, logarithmic, ticks, widest
from auxbench.report.figure.content import Content, Place, Row, finite
from auxbench.report.figure.key import Key
from auxbench.report.figure.place import Places, leader
from auxbench.report.figure.sheet import Sheet
from auxbench.report.figure.text import SMALL, fold, height, width
from auxbench.report.page.look import colours
from auxbench.report.tables import si

WIDE = 330.0  # points from which on two panels stand side by side
PANEL = 175.0
BELOW = 24.0
MOST = 400.0  # from which on panels do not grow for the sake of labels
GAP = 14.0
EDGE = 12.0  # room for half of the last label of an axis
COSTS = {"train_flops": "training FLOPs", "train_seconds": "training seconds"}
MACS = "MACs of the deployed network"


@dataclass(frozen=True)
class Point:
    """A method in a panel: its cost as a multiple of the control's, and its difference."""

    method: str
    cost: float
    row: Row | None  # none for the control itself
    dominated: bool

    @property
    def difference(self) -> float:
        """The mean difference; 0 for the control."""
        return float(self.row["difference"]) if self.row else 0.0

    def bounds(self) -> tuple[float, float] | None:
        """The interval of the difference."""
        if self.row is None or not finite(self.row["low"]):
            return None
        return float(self.row["low"]), float(self.row["high"])


def points(content: Content, place: Place, cost: str) -> list[Point]:
    """The points of a panel: the methods of known cost, the best first."""
    base = (place.board.get(content.control) or {}).get(cost)
    if not base:
        return []
    front = place.front(cost)
    found = []
    for name in front:
        row = place.compared.get(name)
        if name == content.control or (row and finite(row["difference"])):
            price = place.board[name][cost] / base
            if price > 0:  # a logarithmic axis has no place for what was not counted
                found.append(Point(name, price, row, front[name] is not None))
    return found


def cost(content: Content, place: Place, wide: float, of: str = "train_flops") -> Sheet | None:
    """Differences from the control against costs relative to its; None if nothing was measured."""
    kinds = ((of, COSTS[of]), ("macs", MACS))
    panels = [(title, points(content, place, key)) for key, title in kinds]
    notes = [_note(content, place)]
    busy = [name for name, row in place.board.items() if row["contended"]]
    if busy and of == "train_seconds":
        notes.append(
            f"The machine was busy with other work in runs of {len(busy)} of {len(place.board)} "
            "methods: their seconds do not compare."
        )
    if _alike(panels[1][1]):
        notes.append(_same(place, panels[1][1]))
        panels = panels[:1]
    panels = [panel for panel in panels if len(panel[1]) > 1]
    if not panels:
        return None
    beside = len(panels) > 1 and wide >= WIDE
    room = (wide - GAP) / 2 if beside else wide
    tall = PANEL if len(panels[0][1]) <= 20 else PANEL * 1.35
    every = [point for _, found in panels for point in found]
    front = {p.method for p in every if not p.dominated}
    # A dry run says for which names there is no room: they are numbered, and named in a key.
    numbered: dict[str, int] = {}
    while True:
        dry = Sheet(wide, 2000)
        lost = _draw(dry, content, place, panels, (room, tall), beside, numbered, front)
        if lost <= numbered.keys():
            if not lost or tall > MOST:
                break
            tall *= 1.2
            continue
        order = [name for name in place.board if name in lost or name in numbered]
        numbered = {name: at + 1 for at, name in enumerate(order)}
    if lost:
        notes.append(f"Without a label where there is no room: {', '.join(sorted(lost))}.")
    key = Key.of([*numbered], wide) if numbered else None
    high = (tall + BELOW) * (1 if beside else len(panels))
    sheet = Sheet(wide, high + (key.height + 4 if key else 0), content.noted(*notes))
    _draw(sheet, content, place, panels, (room, tall), beside, numbered, front)
    if key:
        names = [*numbered]

        def sign(at: int, x: float, y: float) -> None:
            sheet.text(x - 1, y, str(at + 1), SMALL, ha="right", color=colours()["soft"])
            sheet.mark(x + 4, y, content.marks[names[at]], size=3.4, hollow=names[at] not in front)

        key.draw(sheet, high + 4, sign)
    return sheet


def _draw(
    sheet: Sheet,
    content: Content,
    place: Place,
    panels: Sequence[tuple[str, list[Point]]],
    size: tuple[float, float],
    beside: bool,
    numbered: dict[str, int],
    front: set[str],
) -> set[str]:
    """Draw the panels; returns the methods whose labels have no room."""
    lost: set[str] = set()
    for at, (title, found) in enumerate(panels):
        corner = (at * (size[0] + GAP), 0.0) if beside else (0.0, at * (size[1] + BELOW))
        lost |= _panel(sheet, content, place, title, found, (*corner, *size), numbered)
    return lost


def _panel(
    sheet: Sheet,
    content: Content,
    place: Place,
    title: str,
    found: Sequence[Point],
    box: tuple[float, float, float, float],
    numbered: dict[str, int],
) -> set[str]:
    x0, y0, wide, tall = box
    known = colours()
    low, high = _span([v for p in found for v in (p.difference, *(p.bounds() or ()))], 0.06)
    up = ticks(low, high, tall, "y", signed=True, most=6)
    left, top = 14 + widest(up[1]), 3.0
    axes = sheet.axes(x0 + left, y0 + top, wide - left - EDGE, tall - top)
    axes.set_ylim(low, high)
    linear(axes, up, "y")
    axes.set_xscale("log")
    logs = _span([math.log10(p.cost) for p in found], 0.06, least=0.2)
    axes.set_xlim(10 ** logs[0], 10 ** (logs[1] + 0.08 * (logs[1] - logs[0])))
    logarithmic(axes, wide - left - EDGE, times=True)
    axes.grid(color=known["line"], lw=0.4)
    axes.set_axisbelow(True)
    if place.margin:
        axes.axhspan(-place.margin, place.margin, color=known["band"], lw=0, zorder=0)
    axes.axhline(0, color=known["faint"], lw=0.7, zorder=1)
    sheet.text(x0 + left + (wide - left) / 2, y0 + tall + 18, f"{title}, relative to "
               f"{content.control}", SMALL, ha="center")  # fmt: skip
    sheet.text(x0 + 4, y0 + tall / 2, f"difference in {place.score}", SMALL, ha="center",
               rotation=90)  # fmt: skip
    first, last = (math.log10(v) for v in axes.get_xlim())

    def at(cost: float, value: float) -> tuple[float, float]:
        across = (math.log10(cost) - first) / (last - first) * (wide - left - EDGE)
        down = (high - value) / (high - low) * (tall - top)
        return x0 + left + across, y0 + top + down

    places = Places((x0 + left + 1, y0, x0 + wide, y0 + tall - 1))
    zero = at(1, 0)[1]
    places.soft.append((x0, zero - 0.5, x0 + wide, zero + 0.5))
    for point in found:
        mark = content.marks[point.method]
        x, y = at(point.cost, point.difference)
        places.taken.append((x - 3, y - 3, x + 3, y + 3))
        if bounds := point.bounds():
            axes.plot([point.cost] * 2, bounds, color=mark.colour, lw=0.8, zorder=2,
                      alpha=0.4 if point.dominated else 0.8)  # fmt: skip
            places.soft.append((x - 1, at(1, bounds[1])[1], x + 1, at(1, bounds[0])[1]))
        style = mark.style(4.4, hollow=point.dominated)
        style |= {"ls": "none", "label": point.method, "zorder": 3}
        axes.plot([point.cost], [point.difference], **style)
    lost = set()
    # The control and the front are labelled first, while there is room.
    order = {p.method: (p.row is not None, p.dominated, p.method in numbered) for p in found}
    for point in sorted(found, key=lambda point: order[point.method]):
        x, y = at(point.cost, point.difference)
        number = numbered.get(point.method)
        lines = [str(number)] if number else fold(point.method, 0.4 * wide, SMALL)
        size = max(width(line, SMALL) for line in lines) + 2, height(len(lines), SMALL)
        spot = places.find(x, y, *size)
        if spot is None:
            lost.add(point.method)
            continue
        (a, b, c, d), led = spot
        if led:
            sheet.line([x, leader(x, y, spot[0])[0]], [y, leader(x, y, spot[0])[1]],
                       color=known["faint"], lw=0.4)  # fmt: skip
        ink = known["soft"] if point.dominated else known["ink"]
        sheet.text((a + c) / 2, (b + d) / 2, "\n".join(lines), SMALL, ha="center", color=ink)
    return lost


def _span(values: Sequence[float], pad: float, least: float = 0.0) -> tuple[float, float]:
    """The ends of an axis with some room on both sides."""
    low, high = min(values), max(values)
    room = max(high - low, least) or 1.0
    return low - pad * room, high + pad * room


def _alike(found: Sequence[Point]) -> bool:
    """Return whether all deploy a network of the same cost."""
    return len(found) > 1 and len({point.cost for point in found}) == 1


def _same(place: Place, found: Sequence[Point]) -> str:
    row: Any = place.board[found[0].method]
    return (
        f"All {len(found)} methods deploy a network of the same cost: {si(row['parameters'])} "
        f"parameters and {si(row['macs'])} MACs per sample."
    )


def _note(content: Content, place: Place) -> str:
    band = f"; in the shaded band (±{place.margin:g}) it does not matter" if place.margin else ""
    return (
        f"On {place.short}. Mean difference from {content.control} with its 95 % interval, "
        f"positive where the method is better{band}. A mark is hollow only if a method that costs "
        "no more is told apart from it as better; filled marks are on the front."
    )
