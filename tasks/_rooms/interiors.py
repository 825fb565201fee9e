"""Interiors: what stands in a room, depending on its use."""

from __future__ import annotations

import math

from . import furniture as furniture
from . import objects as objects
from .plan import Plan
from .shapes import FLOOR, OBJECTS, Parts
from .style import seed
from .surfaces import dye


def bedroom(plan: Plan) -> None:
    """A bed with nightstands, a wardrobe, a chest, now and then a desk."""
    rng, style = plan.rng, plan.style
    bed = furniture.bed(style)
    wall = plan.somewhere(bed, tries=40)
    if wall >= 0:
        x0, x1, z0, z1 = plan.taken[-1]
        low, high = (x0, x1) if wall < 2 else (z0, z1)
        for edge, way in ((low, -1), (high, 1)):
            if style.one_in(1.4):
                plan.stand(furniture.nightstand(style), wall, edge + way * 0.34, side=0.02)
        if style.one_in(2.2):
            x, z = plan.at_wall(wall, (low + high) / 2, 1.9)
            _rug(plan, x, z)
    if style.one_in(1.4):
        size = (rng.uniform(0.9, 1.9), 0.58, rng.uniform(1.8, 2.1))
        plan.somewhere(furniture.cabinet(style, *size))
    if style.one_in(1.5):
        chest = furniture.cabinet(style, rng.uniform(0.7, 1.3), 0.45, rng.uniform(0.7, 1.0))
        top = chest.extent()[4]
        if style.one_in(3):
            chest.put(objects.television(style), (0, top, -0.02))
        else:
            objects.clutter(style, chest, 0.7, 0.3, top, int(rng.integers(1, 4)))
        plan.somewhere(chest)
    if style.one_in(2):
        plan.somewhere(furniture.chair(style), gap=0.1)
    if style.one_in(3):
        plan.somewhere(_workplace(plan))
    if style.one_in(2.5):
        plan.somewhere(objects.plant(style, rng.uniform(0.6, 1.4)), gap=0.05)
    if style.one_in(5):
        plan.somewhere(furniture.sofa(style, 1))


def living(plan: Plan) -> None:
    """Sofas around a low table, a television, armchairs, plants and lamps."""
    rng, style = plan.rng, plan.style
    group = furniture.sofa(style)
    wide = rng.uniform(0.7, 1.2)
    low = furniture.table(style, wide, rng.uniform(0.5, 0.65), rng.uniform(0.36, 0.46))
    objects.clutter(style, low, wide * 0.7, 0.4, low.extent()[4], int(rng.integers(1, 4)))
    if style.one_in(1.2):
        group.put(low, (rng.uniform(-0.2, 0.2), 0.0, rng.uniform(1.0, 1.25)))
    wall = plan.somewhere(group, tries=40)
    if wall >= 0:
        x0, x1, z0, z1 = plan.taken[-1]
        middle = (x0 + x1) / 2 if wall < 2 else (z0 + z1) / 2
        if style.one_in(1.6):
            x, z = plan.at_wall(wall, middle, 1.35)
            _rug(plan, x, z)
        board = furniture.cabinet(style, rng.uniform(1.2, 1.9), 0.42, rng.uniform(0.4, 0.6))
        if style.one_in(1.25):
            board.put(objects.television(style), (0, board.extent()[4], 0.0))
            opposite = wall ^ 1
            if not plan.stand(board, opposite, middle):
                plan.somewhere(board)
    if style.one_in(2):
        plan.somewhere(furniture.sofa(style))
    for _ in range(int(rng.integers(0, 3))):
        plan.free(furniture.sofa(style, 1), middle=0.8)
    if style.one_in(1.6):
        plan.somewhere(furniture.shelf(style))
    for _ in range(int(rng.integers(0, 3))):
        plan.somewhere(objects.plant(style, rng.uniform(0.6, 1.6)), gap=0.05)
    if style.one_in(1.6):
        plan.somewhere(objects.lamp(style, rng.uniform(1.4, 1.75)), gap=0.05)


def office(plan: Plan) -> None:
    """Desks with screens and swivel chairs, cabinets, a whiteboard."""
    rng, style = plan.rng, plan.style
    for k in range(int(rng.integers(2, 5))):
        if k % 2 and style.one_in(2):
            plan.free(_workplace(plan, swivel=True), middle=0.5)
        else:
            plan.somewhere(_workplace(plan, swivel=True), gap=0.05)
    for _ in range(int(rng.integers(1, 4))):
        high = rng.choice((0.75, 1.3, 1.9)) + rng.uniform(-0.1, 0.1)
        item = furniture.cabinet(style, rng.uniform(0.5, 1.2), 0.45, high)
        if high < 1.4:
            objects.clutter(style, item, 0.5, 0.3, item.extent()[4], int(rng.integers(0, 4)))
        plan.somewhere(item)
    if style.one_in(2.5):
        plan.somewhere(furniture.shelf(style))
    if style.one_in(2):
        board = Parts()
        size = (rng.uniform(1.0, 1.8), rng.uniform(0.8, 1.0), 0.02)
        sheet = style.materials.add("plain", (0.95, 0.95, 0.96), gloss=0.6)
        board.box((0, 0, 0.015), size, OBJECTS, sheet)
        board.box((0, -0.02, 0.05), (size[0] * 0.6, 0.02, 0.08), OBJECTS, style.metal)
        plan.anywhere(board, 0.9, 1.1)
    for _ in range(int(rng.integers(0, 3))):
        plan.free(furniture.swivel(style), middle=0.9)
    if style.one_in(2):
        plan.somewhere(objects.plant(style, rng.uniform(0.7, 1.6)), gap=0.05)


def dining(plan: Plan) -> None:
    """A table with chairs around it, sideboards, plants."""
    rng, style = plan.rng, plan.style
    wide, deep = rng.uniform(1.0, 2.0), rng.uniform(0.8, 1.0)
    group = furniture.table(style, wide, deep, rng.uniform(0.72, 0.78))
    top = group.extent()[4]
    objects.clutter(style, group, wide * 0.6, deep * 0.5, top, int(rng.integers(1, 5)))
    each = max(1, round(wide / 0.7))
    kind = furniture.chair(style)
    for way in (-1, 1):
        for k in range(each):
            if style.one_in(8):
                continue
            x = ((k + 0.5) / each - 0.5) * wide + rng.uniform(-0.05, 0.05)
            z = way * (deep / 2 + rng.uniform(0.05, 0.3))
            group.put(kind, (x, 0.0, z), (0 if way < 0 else math.pi) + rng.uniform(-0.3, 0.3))
        if style.one_in(2):
            group.put(kind, (way * (wide / 2 + 0.2), 0.0, 0.0), -way * math.pi / 2)
    x, z = plan.wide * rng.uniform(0.42, 0.58), plan.deep * rng.uniform(0.42, 0.58)
    if style.one_in(2):
        _rug(plan, x, z)
    quarter = math.pi / 2 if plan.deep > plan.wide else 0.0
    if not plan.lay(group, x, z, quarter):
        plan.lay(group, plan.wide / 2, plan.deep / 2, quarter)
    for _ in range(int(rng.integers(1, 3))):
        item = furniture.cabinet(style, rng.uniform(0.9, 1.7), 0.42, rng.uniform(0.75, 1.0))
        objects.clutter(style, item, 0.9, 0.25, item.extent()[4], int(rng.integers(1, 5)))
        plan.somewhere(item)
    if style.one_in(2):
        size = (rng.uniform(0.8, 1.2), 0.42, rng.uniform(1.7, 2.0))
        plan.somewhere(furniture.cabinet(style, *size))
    for _ in range(int(rng.integers(0, 3))):
        plan.somewhere(furniture.chair(style), gap=0.08)
    for _ in range(int(rng.integers(0, 3))):
        plan.somewhere(objects.plant(style, rng.uniform(0.6, 1.5)), gap=0.05)


def study(plan: Plan) -> None:
    """A desk among bookcases, an armchair, a rug and a lamp."""
    rng, style = plan.rng, plan.style
    plan.somewhere(_workplace(plan), tries=30)
    for _ in range(int(rng.integers(2, 6))):
        plan.somewhere(furniture.shelf(style), tries=20)
    if style.one_in(1.4):
        plan.free(furniture.sofa(style, 1), middle=0.9)
    if style.one_in(3):
        plan.somewhere(furniture.sofa(style, 2))
    if style.one_in(1.5):
        _rug(plan, plan.wide * rng.uniform(0.4, 0.6), plan.deep * rng.uniform(0.4, 0.6))
    if style.one_in(1.5):
        plan.somewhere(objects.lamp(style, rng.uniform(1.4, 1.75)), gap=0.05)
    if style.one_in(2):
        small = furniture.table(style, 0.5, 0.5, rng.uniform(0.45, 0.6))
        small.put(objects.pile(style), (0, small.extent()[4], 0))
        plan.free(small)
    if style.one_in(2):
        plan.somewhere(objects.plant(style, rng.uniform(0.6, 1.5)), gap=0.05)


def litter(plan: Plan) -> None:
    """Put things on the floor."""
    for _ in range(int(plan.rng.integers(0, 4))):
        small = plan.style.one_in(1.5)
        thing = objects.trinket(plan.style, 0.34) if small else objects.pile(plan.style)
        plan.free(thing, tries=4)


def _workplace(plan: Plan, swivel: bool = False) -> Parts:
    """A desk with a chair in front of it."""
    group = furniture.desk(plan.style)
    office = swivel or plan.style.one_in(2)
    seat = furniture.swivel(plan.style) if office else furniture.chair(plan.style)
    at = (plan.rng.uniform(-0.25, 0.25), 0.0, plan.rng.uniform(0.5, 0.8))
    group.put(seat, at, math.pi + plan.rng.uniform(-0.7, 0.7))
    return group


def _rug(plan: Plan, x: float, z: float) -> None:
    rng, style = plan.rng, plan.style
    a, b = dye(rng), dye(rng, 0.7)
    rug = Parts()
    if style.one_in(3):
        cloth = style.materials.add("rug", a, b, scale=rng.uniform(2, 5), seed=seed(rng))
        rug.tube((0, 0, 0), rng.uniform(0.7, 1.1), 0.012, FLOOR, cloth, casts=False)
    else:
        texture = ("rug", "rug", "stripes", "plaid", "diamonds")[rng.integers(5)]
        scale = rng.uniform(2, 5) if texture == "rug" else rng.uniform(0.2, 0.5)
        cloth = style.materials.add(texture, a, b, scale=scale, seed=seed(rng))
        size = (rng.uniform(1.3, 2.2), 0.012, rng.uniform(0.9, 1.5))
        rug.box((0, 0, 0), size, FLOOR, cloth, casts=False)
    x = min(max(x, 0.9), plan.wide - 0.9)
    z = min(max(z, 0.9), plan.deep - 0.9)
    yaw = rng.integers(2) * math.pi / 2 + rng.uniform(-0.15, 0.15)
    plan.parts.put(rug, (x, 0.0, z), float(yaw))
