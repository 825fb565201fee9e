"""Objects: the small things of a room, from screens and books to lamps and plants.

Each function draws one thing of random size and kind, which stands on y = 0 around the origin with
its front towards +z.
"""

from __future__ import annotations

import math

from .shapes import BOOKS, OBJECTS, TV, Parts, turn
from .style import Style, seed
from .surfaces import hue


def monitor(style: Style) -> Parts:
    """A computer screen on a foot."""
    rng, parts = style.rng, Parts()
    wide, tall = rng.uniform(0.48, 0.62), rng.uniform(0.3, 0.38)
    parts.tube((0, 0, 0), 0.11, 0.015, TV, style.dark)
    parts.box((0, 0.01, -0.03), (0.05, 0.16, 0.03), TV, style.dark)
    parts.box((0, 0.11, 0), (wide, tall, 0.035), TV, _screen(style), rotation=turn(0, -0.06))
    return parts


def television(style: Style) -> Parts:
    """A television set that stands on a foot."""
    rng, parts = style.rng, Parts()
    wide = rng.uniform(0.8, 1.35)
    parts.box((0, 0.06, 0), (wide, wide * 0.58, 0.05), TV, _screen(style))
    parts.box((0, 0, 0), (wide * 0.4, 0.07, 0.2), TV, style.dark)
    return parts


def _screen(style: Style) -> int:
    lit = hue(style.rng.uniform(0.5, 0.7), style.rng.uniform(0.1, 0.7), style.rng.uniform(0.5, 0.9))
    return style.materials.add("screen", lit, seed=seed(style.rng), gloss=0.9, glow=0.35)


def books(style: Style, wide: float, tall: float) -> Parts:
    """A row of upright books of about that width, in two or three runs of different heights."""
    rng, parts = style.rng, Parts()
    x = -wide / 2
    while x < wide / 2 - 0.06:
        run = min(rng.uniform(0.14, 0.4), wide / 2 - x)
        spines = style.materials.add(
            "spines", (0.5, 0.4, 0.3), scale=rng.uniform(0.03, 0.055), seed=seed(rng)
        )
        size = (run, tall * rng.uniform(0.62, 0.95), rng.uniform(0.15, 0.2))
        parts.box((x + run / 2, 0, 0), size, BOOKS, spines)
        x += run + (rng.uniform(0.05, 0.2) if style.one_in(4) else 0.004)
    return parts


def pile(style: Style) -> Parts:
    """A few books lying on top of each other."""
    parts, y = Parts(), 0.0
    for _ in range(int(style.rng.integers(1, 5))):
        size = (style.rng.uniform(0.2, 0.3), style.rng.uniform(0.025, 0.05), 0.2)
        yaw = turn(style.rng.uniform(-0.5, 0.5))
        parts.box((0, y, 0), size, BOOKS, style.paint(), rotation=yaw)
        y += size[1]
    return parts


def lamp(style: Style, high: float) -> Parts:
    """A lamp with a conical shade: a table lamp, or a floor lamp if it is high."""
    rng, parts = style.rng, Parts()
    wide = 0.1 + 0.05 * high
    glow = rng.choice((0.0, 0.9))
    shade = style.materials.add(
        "plain", hue(rng.uniform(0.06, 0.16), rng.uniform(0.05, 0.4), 0.95), glow=glow
    )
    drop = 0.16 + 0.06 * high
    parts.tube((0, 0, 0), wide * 0.8, 0.03, OBJECTS, style.dark)
    if high < 0.6 and style.one_in(2):
        parts.ball((0, 0.01, 0), (0.16, high - drop, 0.16), OBJECTS, style.paint())
    parts.tube((0, 0.02, 0), 0.014, high - drop, OBJECTS, style.metal)
    parts.tube((0, high - drop, 0), wide * 1.15, drop, OBJECTS, shade, top=wide * 0.6,
               casts=False)  # fmt: skip
    return parts


def plant(style: Style, high: float) -> Parts:
    """A pot with leaves."""
    rng, parts = style.rng, Parts()
    pot = min(0.09 + 0.1 * high, 0.3 * high)
    h = rng.uniform(0.2, 0.4)
    leaves = style.materials.add(
        "leaves", hue(h, 0.75, rng.uniform(0.15, 0.4)), hue(h - 0.04, 0.6, 0.65), seed=seed(rng)
    )
    parts.tube((0, 0, 0), pot * 0.7, pot * 1.5, OBJECTS, style.paint(0.5), top=pot)
    parts.tube((0, pot * 1.4, 0), 0.018, high * 0.5, OBJECTS, style.wood)
    tall = style.one_in(2.5)
    for _ in range(int(rng.integers(3, 8))):
        a, far = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.16 * high)
        y = rng.uniform(pot * 1.4, high * 0.72)
        slim = 0.09 if tall else rng.uniform(0.22, 0.4)
        size = (slim * high, rng.uniform(0.22, 0.5) * high, slim * high)
        parts.ball(
            (far * math.sin(a), y, far * math.cos(a)), size, OBJECTS, leaves,
            rotation=turn(a, rng.uniform(0, 0.7)),
        )  # fmt: skip
    return parts


def trinket(style: Style, high: float) -> Parts:
    """A vase, ball, box, bottle, bowl or small plant, at most `high` tall."""
    rng, parts = style.rng, Parts()
    size, what = rng.uniform(0.4, 0.95) * min(high, 0.34), rng.integers(6)
    paint = style.paint(1.0)
    if what == 0:
        parts.tube((0, 0, 0), size * 0.22, size * 0.5, OBJECTS, paint, top=size * 0.4)
        parts.tube((0, size * 0.5, 0), size * 0.4, size * 0.5, OBJECTS, paint, top=size * 0.14)
    elif what == 1:
        parts.ball((0, 0, 0), (size * 0.7, size * 0.7, size * 0.7), OBJECTS, paint)
    elif what == 2:
        yaw = turn(rng.uniform(0, 1.5))
        parts.box((0, 0, 0), (size * 0.9, size * 0.6, size * 0.6), OBJECTS, paint, rotation=yaw)
    elif what == 3:
        parts.tube((0, 0, 0), size * 0.16, size * 0.65, OBJECTS, paint)
        parts.tube((0, size * 0.65, 0), size * 0.12, size * 0.35, OBJECTS, paint, top=size * 0.06)
    elif what == 4:
        parts.tube((0, 0, 0), size * 0.3, size * 0.3, OBJECTS, paint, top=size * 0.6)
    else:
        parts.put(plant(style, size), (0, 0, 0))
    return parts


def clutter(style: Style, parts: Parts, wide: float, deep: float, high: float, count: int) -> None:
    """Put things on a surface of that size and height."""
    rng = style.rng
    for _ in range(count):
        at = (rng.uniform(-0.42, 0.42) * wide, high, rng.uniform(-0.35, 0.35) * deep)
        what = rng.random()
        if what < 0.3:
            parts.put(pile(style), at, rng.uniform(-0.6, 0.6))
        elif what < 0.4:
            parts.put(lamp(style, rng.uniform(0.3, 0.5)), at)
        elif what < 0.5:
            sheet = style.materials.add("weave", (0.95, 0.95, 0.93), (0.8, 0.8, 0.8), scale=0.1)
            parts.box(at, (0.21, 0.006, 0.3), OBJECTS, sheet, rotation=turn(rng.uniform(-1, 1)))
        elif what < 0.62:
            parts.box(at, (0.34, 0.02, 0.24), OBJECTS, style.dark)
            back = (at[0], at[1] + 0.01, at[2] - 0.12)
            parts.box(back, (0.34, 0.22, 0.012), OBJECTS, _screen(style), rotation=turn(0, -0.3))
        else:
            parts.put(trinket(style, 0.35), at, rng.uniform(0, 3))
