"""Furniture: each function draws one piece of random size and kind as a list of solids.

A piece stands on y = 0 around the origin, its front towards +z and its back towards -z.
"""

from __future__ import annotations

import math

import numpy as np

from .objects import books, clutter, lamp, monitor, pile, plant, trinket
from .shapes import BED, CHAIR, FURNITURE, OBJECTS, SOFA, TABLE, Parts, turn
from .style import Style, seed
from .surfaces import dye


def bed(style: Style) -> Parts:
    """A bed with headboard, duvet and pillows; its head is at the back."""
    rng, parts = style.rng, Parts()
    wide, long = rng.choice((0.95, 1.4, 1.7)) + rng.uniform(0, 0.15), rng.uniform(1.9, 2.15)
    high = rng.uniform(0.22, 0.32)
    sheet = style.materials.add("weave", (0.92, 0.91, 0.88), (0.8, 0.8, 0.8), scale=0.4)
    duvet, frame = style.fabric(0.6), style.frame()
    parts.box((0, 0.06, 0), (wide, high, long), BED, frame)
    parts.box((0, high, 0.02), (wide - 0.06, 0.2, long - 0.08), BED, sheet)
    cover = rng.uniform(0.6, 0.8) * long
    parts.box((0, high - 0.1, (long - cover) / 2 + 0.03), (wide + 0.04, 0.36, cover), BED, duvet)
    if style.one_in(1.5):
        fold = style.fabric(0.5)
        parts.box((0, high - 0.08, long / 2 - cover + 0.14), (wide + 0.06, 0.37, 0.3), BED, fold)
    if style.one_in(1.3):
        board = style.fabric() if style.one_in(2.5) else frame
        parts.box((0, 0, -long / 2 - 0.03), (wide + 0.1, rng.uniform(0.8, 1.25), 0.07), BED, board)
    if style.one_in(3):
        parts.box((0, 0, long / 2 + 0.03), (wide + 0.04, rng.uniform(0.45, 0.7), 0.06), BED, frame)
    count = 1 if wide < 1.2 else 2
    for k in range(count):
        x = (k - (count - 1) / 2) * wide * 0.48
        lean = turn(rng.uniform(-0.2, 0.2), -rng.uniform(0.2, 0.5))
        parts.ball(
            (x, high + 0.14, -long / 2 + 0.24),
            (min(wide * 0.46, 0.66), 0.2, 0.42),
            OBJECTS,
            sheet if style.one_in(2) else style.fabric(0.5),
            rotation=lean,
        )
    return parts


def sofa(style: Style, seats: int | None = None) -> Parts:
    """A sofa or, with one seat, an armchair of the same kind (which counts as a chair)."""
    rng, parts = style.rng, Parts()
    seats = int(rng.integers(2, 4)) if seats is None else seats
    label = CHAIR if seats == 1 else SOFA
    wide, deep = seats * rng.uniform(0.58, 0.72), rng.uniform(0.75, 0.95)
    low, seat, back = rng.uniform(0.06, 0.16), rng.uniform(0.36, 0.46), rng.uniform(0.7, 0.95)
    cloth, arm = style.fabric(), rng.uniform(0.12, 0.22)
    other = style.fabric() if style.one_in(4) else cloth
    parts.box((0, low, 0.04), (wide, seat - low - 0.1, deep - 0.08), label, cloth)
    lean = turn(0, -rng.uniform(0.08, 0.2))
    for k in range(seats):
        x = (k - (seats - 1) / 2) * wide / seats
        each = wide / seats - 0.015
        parts.box((x, seat - 0.1, 0.1), (each, 0.13, deep - 0.24), label, other)
        parts.box(
            (x, seat, -deep / 2 + 0.22), (each, back - seat - 0.04, 0.16), label, other,
            rotation=lean,
        )  # fmt: skip
    parts.box((0, low, -deep / 2 + 0.07), (wide, back - low, 0.14), label, cloth)
    tall = seat + rng.uniform(0.1, 0.22)
    rounded = style.one_in(2)
    for x in (-1, 1):
        at = x * (wide + arm) / 2
        parts.box((at, low, 0), (arm, tall - low, deep), label, cloth)
        if rounded:
            parts.tube(
                (at, tall, -deep / 2), arm * 0.6, deep, label, cloth, rotation=turn(0, math.pi / 2)
            )
        for z in (-1, 1):
            parts.box((at, 0, z * (deep / 2 - 0.06)), (0.05, low, 0.05), label, style.dark)
    for _ in range(int(rng.integers(0, seats + 1))):
        x = rng.uniform(-0.45, 0.45) * wide
        tilt = turn(rng.uniform(-0.5, 0.5), -0.35, rng.uniform(-0.4, 0.4))
        parts.ball(
            (x, seat + 0.02, -deep / 2 + 0.4), (0.42, 0.38, 0.15), OBJECTS, style.fabric(0.9),
            rotation=tilt,
        )  # fmt: skip
    return parts


def chair(style: Style) -> Parts:
    """A chair with square or round legs and a solid or slatted back, or a stool."""
    rng, parts = style.rng, Parts()
    wide, deep = rng.uniform(0.4, 0.48), rng.uniform(0.4, 0.48)
    seat, back = rng.uniform(0.43, 0.48), rng.uniform(0.8, 1.0)
    frame = style.frame()
    cover = style.cloth if style.one_in(2) else frame
    leg = rng.uniform(0.03, 0.05)
    parts.box((0, seat - 0.05, 0), (wide, 0.06, deep), CHAIR, cover)
    kind = rng.integers(4)
    for x in (-1, 1):
        for z in (-1, 1):
            at = (x * (wide - leg) / 2, 0, z * (deep - leg) / 2)
            if kind == 0:
                parts.tube(at, leg * 0.35, seat - 0.05, CHAIR, frame, top=leg * 0.6)
            else:
                parts.box(at, (leg, seat - 0.05, leg), CHAIR, frame)
    if kind == 3 and style.one_in(4):
        return parts
    lean = turn(0, -rng.uniform(0.05, 0.2))
    edge = -deep / 2 + leg / 2
    if kind in (0, 1):
        parts.box((0, seat, edge), (wide, back - seat, 0.04), CHAIR, cover, rotation=lean)
    else:
        for x in (-1, 1):
            post = (x * (wide - leg) / 2, seat, edge)
            parts.box(post, (leg, back - seat, leg), CHAIR, frame, rotation=lean)
        slats = int(rng.integers(2, 4))
        for k in range(slats):
            y = (back - seat) * (k + 0.7) / slats
            place = np.array((0, seat, edge)) + lean[:, 1] * y
            parts.box(
                (float(place[0]), float(place[1]), float(place[2])),
                (wide - leg, (back - seat) * 0.45 / slats, 0.03), CHAIR, cover, rotation=lean,
            )  # fmt: skip
    return parts


def swivel(style: Style) -> Parts:
    """An office chair on five feet."""
    rng, parts = style.rng, Parts()
    cloth = style.cloth if style.one_in(2) else style.dark
    seat = rng.uniform(0.43, 0.52)
    for k in range(5):
        foot = turn(k * 2 * math.pi / 5 + 0.3)
        middle = foot[:, 2] * 0.15
        parts.box(
            (float(middle[0]), 0.04, float(middle[2])), (0.05, 0.05, 0.3), CHAIR, style.dark,
            rotation=foot,
        )  # fmt: skip
    parts.tube((0, 0.06, 0), 0.035, seat - 0.1, CHAIR, style.metal)
    parts.box((0, seat - 0.06, 0), (0.48, 0.09, 0.46), CHAIR, cloth)
    lean = turn(0, -rng.uniform(0.05, 0.25))
    parts.box((0, seat + 0.1, -0.24), (0.43, rng.uniform(0.4, 0.65), 0.07), CHAIR, cloth,
              rotation=lean)  # fmt: skip
    parts.box((0, seat - 0.05, -0.23), (0.06, 0.25, 0.05), CHAIR, style.dark)
    if style.one_in(2):
        for x in (-0.26, 0.26):
            parts.box((x, seat + 0.16, -0.02), (0.06, 0.04, 0.28), CHAIR, style.dark)
            parts.box((x, seat - 0.02, -0.06), (0.04, 0.18, 0.05), CHAIR, style.dark)
    return parts


def table(style: Style, wide: float, deep: float, high: float) -> Parts:
    """A table with four legs, a pedestal under a round top, or two side panels."""
    rng, parts = style.rng, Parts()
    kind, leg, frame = rng.integers(4), rng.uniform(0.05, 0.09), style.frame()
    top = style.wood
    if style.one_in(10):
        top = style.materials.add("marble", (0.88, 0.87, 0.85), (0.5, 0.5, 0.53), gloss=0.8)
    if kind == 0 and wide < 1.7 * deep:
        radius = (wide + deep) / 4
        parts.tube((0, high - 0.04, 0), radius, 0.04, TABLE, top)
        parts.tube((0, 0.03, 0), 0.08, high - 0.07, TABLE, frame, top=0.05)
        parts.tube((0, 0, 0), radius * 0.55, 0.04, TABLE, frame)
        return parts
    parts.box((0, high - 0.045, 0), (wide, 0.045, deep), TABLE, top)
    if kind == 1:
        for x in (-1, 1):
            panel = (x * (wide / 2 - 0.06), 0, 0)
            parts.box(panel, (0.05, high - 0.045, deep * 0.85), TABLE, frame)
        return parts
    for x in (-1, 1):
        for z in (-1, 1):
            at = (x * (wide / 2 - leg), 0, z * (deep / 2 - leg))
            if kind == 2:
                parts.tube(at, leg * 0.35, high - 0.045, TABLE, frame, top=leg * 0.6)
            else:
                parts.box(at, (leg, high - 0.045, leg), TABLE, frame)
    if style.one_in(2):
        parts.box((0, high - 0.13, 0), (wide - 3 * leg, 0.085, deep - 3 * leg), TABLE, frame)
    return parts


def desk(style: Style) -> Parts:
    """A desk with things on it: screens, books, a lamp, papers, trinkets."""
    rng = style.rng
    wide, deep, high = rng.uniform(1.1, 1.7), rng.uniform(0.6, 0.8), rng.uniform(0.71, 0.77)
    parts = table(style, wide, deep, high) if style.one_in(1.6) else Parts()
    if not parts.solids:
        parts.box((0, high - 0.04, 0), (wide, 0.04, deep), TABLE, style.wood)
        side = 1 if style.one_in(2) else -1
        parts.box((side * (wide / 2 - 0.22), 0, 0), (0.4, high - 0.04, deep - 0.08), TABLE,
                  style.doors)  # fmt: skip
        parts.box((-side * (wide / 2 - 0.04), 0, 0), (0.05, high - 0.04, deep - 0.08), TABLE,
                  style.wood)  # fmt: skip
        parts.box((0, high - 0.5, -deep / 2 + 0.06), (wide - 0.1, 0.42, 0.03), TABLE, style.wood)
    screens = int(rng.choice((0, 1, 1, 2)))
    for k in range(screens):
        x = (k - (screens - 1) / 2) * 0.62 + rng.uniform(-0.1, 0.1) * wide
        parts.put(monitor(style), (x, high, -deep / 2 + 0.2), rng.uniform(-0.25, 0.25))
        paper = style.materials.add("tiles", (0.2, 0.2, 0.22), scale=0.05, extra=0.2)
        parts.box((x, high, 0.1), (0.42, 0.025, 0.15), OBJECTS, paper)
    clutter(style, parts, wide, deep, high, int(rng.integers(1, 6)))
    return parts


def shelf(style: Style) -> Parts:
    """A bookcase with three to six boards full of books and things."""
    rng, parts = style.rng, Parts()
    wide, deep = rng.uniform(0.7, 1.5), rng.uniform(0.26, 0.34)
    boards = int(rng.integers(3, 7))
    step = rng.uniform(0.3, 0.38)
    high = boards * step + 0.06
    for x in (-1, 1):
        parts.box((x * (wide / 2 - 0.015), 0, 0), (0.03, high, deep), FURNITURE, style.wood)
    if style.one_in(1.5):
        parts.box((0, 0, -deep / 2 + 0.008), (wide - 0.04, high, 0.016), FURNITURE, style.wood)
    for k in range(boards + 1):
        y = 0.03 + k * step
        parts.box((0, y - 0.025, 0), (wide - 0.04, 0.03, deep - 0.01), FURNITURE, style.wood)
        if k == boards:
            break
        what = rng.random()
        if what < 0.68:
            row = rng.uniform(0.55, 0.98) * (wide - 0.1)
            shift = rng.uniform(-0.5, 0.5) * (wide - 0.1 - row)
            parts.put(books(style, row, step - 0.05), (shift, y + 0.005, rng.uniform(-0.03, 0.02)))
        if what > 0.5:
            for _ in range(int(rng.integers(1, 3))):
                along = rng.uniform(-0.4, 0.4) * wide
                parts.put(trinket(style, step * 0.8), (along, y + 0.005, 0.04))
    return parts


def cabinet(style: Style, wide: float, deep: float, high: float) -> Parts:
    """A cupboard, chest of drawers, sideboard or wardrobe, depending on its size."""
    parts = Parts()
    foot = 0.0 if style.one_in(2) else 0.08
    columns = max(1, round(wide / style.rng.uniform(0.4, 0.6)))
    rows = 1 if high > 1.4 else max(1, round(high / style.rng.uniform(0.22, 0.7)))
    a, b = style.tones
    if style.one_in(4):
        a = b = dye(style.rng, 0.8)
    doors = style.materials.add(
        "panels", a, b, scale=columns, extra=rows, seed=seed(style.rng), gloss=0.25
    )
    plain = style.materials.add("wood", a, b, seed=seed(style.rng), gloss=0.25)
    parts.box((0, foot, -0.02), (wide, high - foot - 0.03, deep - 0.04), FURNITURE, plain)
    parts.box((0, foot + 0.02, deep / 2 - 0.04), (wide - 0.03, high - foot - 0.06, 0.04),
              FURNITURE, doors)  # fmt: skip
    parts.box((0, high - 0.035, 0), (wide + 0.03, 0.035, deep + 0.02), FURNITURE, plain)
    if foot:
        for x in (-1, 1):
            for z in (-1, 1):
                at = (x * (wide / 2 - 0.06), 0, z * (deep / 2 - 0.07))
                parts.box(at, (0.05, foot, 0.05), FURNITURE, style.dark)
    return parts


def nightstand(style: Style) -> Parts:
    """A small chest with a lamp, a pile of books or a plant on it."""
    rng = style.rng
    wide, high = rng.uniform(0.38, 0.52), rng.uniform(0.45, 0.6)
    parts = cabinet(style, wide, 0.4, high)
    what = rng.random()
    if what < 0.6:
        parts.put(lamp(style, rng.uniform(0.3, 0.45)), (0, high, -0.03))
    elif what < 0.85:
        parts.put(pile(style), (0, high, 0))
    else:
        parts.put(plant(style, 0.4), (0, high, 0))
    return parts
