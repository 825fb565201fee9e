"""Axes: ticks whose labels have room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from auxbench.report.figure.text import SMALL, number, width
from auxbench.report.tables import si

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

GAP = 7.0  # between labels
STEPS = (1, 1.5, 2, 3, 5, 7)


Ticks = tuple[list[float], list[str]]


def ticks(
    low: float, high: float, room: float, way: str = "x", signed: bool = False, most: int = 7
) -> Ticks:
    """The values and labels of as many ticks as fit `room` points, side by side or upright."""
    values: list[float] = []
    texts: list[str] = []
    for count in range(most, 0, -1):
        values, digits = round_numbers(low, high, count)
        texts = [number(value, digits, signed) for value in values]
        needed = GAP + (widest(texts) if way == "x" else SMALL)
        if len(values) < 2 or needed * (high - low) <= room * (values[1] - values[0]):
            break
    return values, texts


def linear(axes: Axes, found: Ticks, way: str = "x") -> None:
    """Put ticks on the axis `way`."""
    _put(axes.xaxis if way == "x" else axes.yaxis, *found)


def widest(texts: Sequence[str]) -> float:
    """The width of the widest label."""
    return max((width(text, SMALL) for text in texts), default=0.0)


def logarithmic(axes: Axes, room: float, times: bool) -> None:
    """Ticks on a logarithmic x axis, as multiples if `times`."""
    from matplotlib.ticker import NullLocator

    low, high = sorted(axes.get_xlim())
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [step * 10.0**power for power in powers for step in STEPS]
    values = [value for value in values if low <= value <= high]
    if len(values) < 2:
        values = [value for value in round_numbers(low, high, 3)[0] if value > 0]
    span = math.log10(high / low)
    while len(values) > 1:
        texts = [f"{value:.3g} ×" if times else si(value) for value in values]
        wide = max(width(text, SMALL) for text in texts) + GAP
        nearest = min(math.log10(b / a) for a, b in pairwise(values))
        if nearest * room / span >= wide:
            break
        values = values[:1] + values[2::2] if len(values) > 2 else values[:1]
    _put(axes.xaxis, values, [f"{value:.3g} ×" if times else si(value) for value in values])
    axes.xaxis.set_minor_locator(NullLocator())


def round_numbers(low: float, high: float, count: int) -> tuple[list[float], int]:
    """About `count` round numbers between two, and the decimals that they need.

    >>> round_numbers(-0.31, 0.9, 5)
    ([-0.2, 0.0, 0.2, 0.4, 0.6, 0.8], 1)
    """
    rough = (high - low or 1.0) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / rough)))
    digits = min(8, max(0, -math.floor(math.log10(step) + 1e-9)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, digits) + 0.0 for k in range(first, last + 1)], digits


def _put(axis: Axis, values: Sequence[float], texts: Sequence[str]) -> None:
    axis.set_ticks(list(values), labels=list(texts))
