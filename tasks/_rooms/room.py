"""Rooms: walls with doors, windows and pictures, furniture that fits the room's use, a camera.

Long because walls, doors, windows, furniture and camera are drawn in one fixed order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import objects as objects
from .interiors import bedroom, dining, litter, living, office, study
from .plan import YAWS, Plan
from .render import Camera, Light
from .shapes import (
    CEILING,
    FLOOR,
    FURNITURE,
    OBJECTS,
    PICTURE,
    WALL,
    WINDOW,
    Floats,
    Parts,
    Solids,
    turn,
)
from .style import Rng, Style, seed, timber
from .surfaces import Materials, dye, hue

USES = {"bedroom": bedroom, "living": living, "office": office, "dining": dining, "study": study}
SCENES = tuple(USES)


@dataclass(frozen=True)
class Room:
    """A finished room: its solids and what they are made of, its light, and a camera in it."""

    scene: int
    solids: Solids
    materials: Floats
    light: Light
    camera: Camera


def room(rng: Rng) -> Room:
    """Draw a room of any of the five scene classes."""
    scene = int(rng.integers(len(SCENES)))
    materials = Materials()
    style = Style.of(rng, materials)
    wide, deep, high = rng.uniform(3.3, 5.6), rng.uniform(3.3, 5.6), rng.uniform(2.4, 2.9)
    plan = Plan(rng, style, wide, deep, high)
    surfaces = _surfaces(plan, scene)
    if style.one_in(4):
        _pillar(plan, surfaces[0][1])
    _doors(plan)
    _windows(plan)
    USES[SCENES[scene]](plan)
    litter(plan)
    _walls_filled(plan, scene)
    lamp = _ceiling(plan, scene)
    solids = Solids.of((wide, high, deep), surfaces, plan.parts)
    light = _light(plan, lamp)
    return Room(scene, solids, materials.table(), light, _camera(plan))


def _surfaces(plan: Plan, scene: int) -> tuple[tuple[int, int], ...]:
    """(label, material) of the six sides of the room: -x, x, -y, y, -z, z."""
    rng, add = plan.rng, plan.style.materials.add
    walls = [_wallpaper(plan)] * 4
    if plan.style.one_in(2.5):
        walls[int(rng.integers(4))] = _wallpaper(plan, accent=True)
    a, b = timber(rng)
    what = rng.random()
    if what < 0.42:
        plank = rng.uniform(0.09, 0.2)
        floor = add("planks", a, b, scale=plank, extra=rng.uniform(4, 9), seed=seed(rng),
                    gloss=rng.uniform(0, 0.35))  # fmt: skip
    elif what < 0.65:
        light = hue(rng.random(), rng.uniform(0, 0.25), rng.uniform(0.6, 0.95))
        dark = dye(rng, 0.6)
        floor = add("tiles", light, dark if plan.style.one_in(2) else light,
                    scale=rng.uniform(0.25, 0.55), extra=0.05, seed=seed(rng),
                    gloss=rng.uniform(0, 0.5))  # fmt: skip
    elif what < 0.9:
        pile = dye(rng, 0.6)
        worn = (pile[0] * 0.75, pile[1] * 0.75, pile[2] * 0.75)
        floor = add("weave", pile, worn, scale=rng.uniform(0.3, 1.5),
                    seed=seed(rng))  # fmt: skip
    else:
        floor = add("marble", (0.8, 0.79, 0.76), (0.63, 0.61, 0.58), seed=seed(rng), gloss=0.5)
    white = rng.uniform(0.85, 0.97)
    kind = "plain"
    if scene == 2 and plan.style.one_in(1.7):
        kind = "tiles"
    elif plan.style.one_in(8):
        kind = "planks"
    tint = (white, white, white * 0.97)
    ceiling = add(kind, tint, scale=0.6 if kind == "tiles" else 0.12, extra=0.06, seed=seed(rng))
    return (
        (WALL, walls[0]),
        (WALL, walls[1]),
        (FLOOR, floor),
        (CEILING, ceiling),
        (WALL, walls[2]),
        (WALL, walls[3]),
    )


def _wallpaper(plan: Plan, accent: bool = False) -> int:
    rng, add = plan.rng, plan.style.materials.add
    h = rng.uniform(0.02, 0.18) if plan.style.one_in(1.7) else rng.random()
    s = rng.uniform(0.15, 0.5) if accent else rng.uniform(0.0, 0.2)
    v = rng.uniform(0.4, 0.9) if accent else rng.uniform(0.72, 0.95)
    a, b = hue(h, s, v), hue(h, s * 1.2, v * rng.uniform(0.86, 0.95))
    what = rng.random() * (0.75 if accent else 1.6)
    if what < 0.12:
        brick = hue(rng.uniform(0.01, 0.06), rng.uniform(0.3, 0.6), rng.uniform(0.5, 0.75))
        brick = brick if accent else (v, v, v)
        return add("bricks", brick, (0.8, 0.78, 0.75), scale=0.08, extra=2.6, seed=seed(rng))
    if what < 0.26:
        return add("stripes", a, b, scale=rng.uniform(0.12, 0.3), seed=seed(rng))
    if what < 0.36:
        return add("dots", a, b, scale=rng.uniform(0.14, 0.3), seed=seed(rng))
    if what < 0.46:
        return add("diamonds", a, b, scale=rng.uniform(0.2, 0.4), seed=seed(rng))
    if what < 0.54:
        return add("planks", *timber(rng), scale=0.14, extra=12.0, seed=seed(rng))
    return add("plain", a, seed=seed(rng))


def _pillar(plan: Plan, paper: int) -> None:
    """A chimney breast, or a corner that is cut out of the room."""
    rng, pillar = plan.rng, Parts()
    wide, deep = rng.uniform(0.5, 1.4), rng.uniform(0.3, 0.9)
    pillar.box((0, 0, deep / 2), (wide, plan.high, deep), WALL, paper)
    wall = int(rng.integers(4))
    ends = (wide / 2, plan.length(wall) - wide / 2)
    along = ends[rng.integers(2)] if plan.style.one_in(1.6) else rng.uniform(*ends)
    x, z = plan.at_wall(wall, along, 0.0)
    plan.parts.put(pillar, (x, 0.0, z), YAWS[wall])
    x, z = plan.at_wall(wall, along, deep / 2)
    across = wide if wall < 2 else deep
    plan.taken.append((x - across / 2, x + across / 2, z - (wide + deep - across) / 2,
                       z + (wide + deep - across) / 2))  # fmt: skip
    plan.hung.append((wall, (along - wide / 2, along + wide / 2, 0.0, plan.high)))


def _doors(plan: Plan) -> None:
    """A door on some wall, with room to open it, and skirting boards along all walls."""
    rng, add = plan.rng, plan.style.materials.add
    white = rng.uniform(0.8, 0.95)
    board = add("plain", (white, white, white)) if plan.style.one_in(1.5) else plan.style.wood
    tall = rng.uniform(0.06, 0.11)
    for wall in range(4):
        strip = Parts()
        strip.box((0, 0, 0.007), (plan.length(wall), tall, 0.014), WALL, board)
        x, z = plan.at_wall(wall, plan.length(wall) / 2, 0.0)
        plan.parts.put(strip, (x, 0.0, z), YAWS[wall])
    door, colour = Parts(), plan.style.tones[0]
    if plan.style.one_in(2):
        colour = (0.9, 0.9, 0.87)
    panes = (float(rng.integers(1, 3)), float(rng.integers(1, 4)))
    leaf = add("leaf", colour, colour, scale=panes[0], extra=panes[1], seed=seed(rng), gloss=0.1)
    door.box((0, 0, 0.02), (0.84, 2.02, 0.03), WALL, leaf)
    door.ball((0.36, 0.98, 0.06), (0.06, 0.06, 0.06), WALL, plan.style.metal)
    for x in (-0.45, 0.45):
        door.box((x, 0, 0.02), (0.07, 2.06, 0.05), WALL, board)
    door.box((0, 2.02, 0.02), (0.97, 0.07, 0.05), WALL, board)
    wall = int(rng.integers(4))
    along = rng.uniform(0.6, plan.length(wall) - 0.6)
    if plan.hang(door, wall, along, 0.0):
        x, z = plan.at_wall(wall, along, 0.35)
        plan.taken.append((x - 0.35, x + 0.35, z - 0.35, z + 0.35))


def _windows(plan: Plan) -> None:
    """Up to five windows on one or two walls, with mullions, curtains or blinds."""
    rng, add = plan.rng, plan.style.materials.add
    white = rng.uniform(0.8, 0.95)
    frame = add("plain", (white, white, white)) if plan.style.one_in(1.4) else plan.style.wood
    bright = rng.uniform(0.7, 2.4)
    view = add(
        "view",
        hue(rng.uniform(0.52, 0.62), rng.uniform(0.1, 0.5), 0.98),
        hue(rng.uniform(0.2, 0.4), 0.45, 0.5),
        seed=seed(rng),
        glow=bright,
        gloss=0.3,
    )
    wide, tall = rng.uniform(0.7, 1.6), rng.uniform(0.9, 1.4)
    low = rng.uniform(0.75, 1.0)
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    cover = rng.random()
    curtain = add(
        "folds",
        dye(rng, 0.8),
        hue(rng.uniform(0.02, 0.18), rng.uniform(0.05, 0.3), rng.uniform(0.6, 0.95)),
        scale=0.16,
        seed=seed(rng),
    )
    walls = rng.permutation(4)
    for _ in range(int(rng.integers(2, 6))):
        wall = int(walls[0 if rng.random() < 0.65 else 1])
        window = Parts()
        window.box((0, 0.03, 0.012), (wide, tall - 0.06, 0.016), WINDOW, view, casts=False)
        for k in range(columns + 1):
            x = (k / columns - 0.5) * wide
            thick = 0.07 if k in (0, columns) else 0.035
            window.box((x, 0, 0.025), (thick, tall, 0.05), WINDOW, frame)
        for k in range(rows + 1):
            thick = 0.07 if k in (0, rows) else 0.035
            window.box((0, k / rows * (tall - 0.06), 0.025), (wide, thick, 0.045), WINDOW, frame)
        window.box((0, -0.04, 0.06), (wide + 0.14, 0.04, 0.12), WINDOW, frame)
        if cover < 0.45:
            drop = low - 0.05 if cover < 0.3 else 0.15
            for x in (-1, 1):
                at = (x * (wide / 2 + 0.08), -drop, 0.1)
                size = (rng.uniform(0.2, 0.4), tall + drop + 0.12, 0.07)
                window.box(at, size, WINDOW, curtain)
            window.box((0, tall + 0.1, 0.1), (wide + 0.7, 0.03, 0.03), WINDOW, plan.style.metal)
        elif cover < 0.6:
            part = rng.uniform(0.15, 0.6) * tall
            window.box((0, tall - part, 0.06), (wide, part, 0.02), WINDOW, curtain)
        for _ in range(6):
            along = rng.uniform(0.5, plan.length(wall) - 0.5)
            if plan.hang(window, wall, along, low, 0.1):
                plan.panes.append((len(plan.parts.solids) - len(window.solids), wall))
                break


def _walls_filled(plan: Plan, scene: int) -> None:
    """Pictures, mirrors, clocks and hanging shelves where the walls are still empty."""
    rng, style = plan.rng, plan.style
    tops = [(wall, spot) for wall, spot in plan.hung]
    for x0, x1, z0, z1 in plan.taken:
        near = (z0 < 0.2, z1 > plan.deep - 0.2, x0 < 0.2, x1 > plan.wide - 0.2)
        for wall in np.flatnonzero(near).tolist():
            low, high = (x0, x1) if wall < 2 else (z0, z1)
            tall = max(
                (2 * s[2] for s in plan.sights if x0 <= s[0] <= x1 and z0 <= s[1] <= z1),
                default=0.0,
            )
            tops.append((wall, (low, high, 0.0, min(tall, 2.2))))
    plan.hung = tops
    for _ in range(int(rng.integers(2, 8))):
        plan.anywhere(_picture(style), 1.2, 1.6)
    if style.one_in(3):
        clock = Parts()
        dial = style.materials.add("rug", (0.95, 0.95, 0.93), (0.15, 0.15, 0.2), scale=1.0)
        upright = turn(0, math.pi / 2)
        clock.tube((0, 0.15, 0), 0.15, 0.04, OBJECTS, dial, rotation=upright)
        plan.anywhere(clock, 1.6, 1.9)
    if style.one_in(3):
        board = Parts()
        wide = rng.uniform(0.6, 1.2)
        board.box((0, 0, 0.1), (wide, 0.025, 0.2), FURNITURE, style.wood)
        board.put(objects.books(style, wide * rng.uniform(0.4, 0.9), 0.27), (0, 0.025, 0.1))
        plan.anywhere(board, 1.3, 1.6)
    if scene in (0, 1) and style.one_in(4):
        mirror = Parts()
        glass = style.materials.add("view", (0.7, 0.75, 0.8), (0.5, 0.5, 0.5), gloss=1.0)
        size = (rng.uniform(0.4, 0.7), rng.uniform(0.7, 1.3), 0.02)
        mirror.box((0, 0, 0.015), (size[0] + 0.08, size[1] + 0.08, 0.02), OBJECTS, style.frame())
        mirror.box((0, 0.04, 0.02), size, OBJECTS, glass)
        plan.anywhere(mirror, 0.7, 1.0)
    if scene in (1, 3) and style.one_in(5):
        plan.anywhere(objects.television(style), 1.1, 1.3)


def _picture(style: Style) -> Parts:
    rng, parts = style.rng, Parts()
    wide, tall = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.75)
    frame = style.frame() if style.one_in(1.5) else style.paint()
    mat = style.materials.add(
        "painting",
        (0.9, 0.9, 0.9),
        (0.95, 0.94, 0.9),
        extra=0.8 if style.one_in(2.5) else 1.1,
        seed=seed(rng),
        gloss=rng.uniform(0, 0.4),
    )
    parts.box((0, 0, 0.012), (wide + 0.07, tall + 0.07, 0.024), PICTURE, frame)
    parts.box((0, 0.035, 0.018), (wide, tall, 0.02), PICTURE, mat)
    return parts


def _ceiling(plan: Plan, scene: int) -> tuple[float, float, float]:
    """Add lamps and beams, and return the place of the main lamp."""
    rng, style = plan.rng, plan.style
    x, z = plan.wide * rng.uniform(0.3, 0.7), plan.deep * rng.uniform(0.3, 0.7)
    drop = 0.12
    warm = hue(rng.uniform(0.08, 0.15), rng.uniform(0.0, 0.25), 0.98)
    glow = style.materials.add("plain", warm, glow=1.6)
    fixture = Parts()
    if scene == 2:
        panel = Parts()
        panel.box((0, -0.03, 0), (1.2, 0.03, 0.3), OBJECTS, glow, casts=False)
        for k in (-1, 1):
            fixture.put(panel, (k * plan.wide * 0.22, 0.0, 0.0))
    elif style.one_in(2):
        drop = rng.uniform(0.5, 0.95) if scene == 3 else rng.uniform(0.25, 0.45)
        fixture.tube((0, -drop + 0.1, 0), 0.01, drop - 0.1, OBJECTS, style.dark, casts=False)
        if style.one_in(2):
            fixture.ball((0, -drop - 0.1, 0), (0.3, 0.28, 0.3), OBJECTS, glow, casts=False)
        else:
            shade = style.paint()
            fixture.tube((0, -drop - 0.1, 0), 0.2, 0.2, OBJECTS, shade, top=0.06, casts=False)
            fixture.ball((0, -drop - 0.14, 0), (0.14, 0.1, 0.14), OBJECTS, glow, casts=False)
    else:
        fixture.tube((0, -0.07, 0), 0.17, 0.07, OBJECTS, glow, top=0.2, casts=False)
    plan.parts.put(fixture, (x, plan.high, z))
    if style.one_in(9):
        for k in range(1, 4):
            at = (plan.wide / 2, plan.high - 0.14, plan.deep * k / 4)
            plan.parts.box(at, (plan.wide, 0.14, 0.12), CEILING, style.wood, casts=False)
    return x, plan.high - drop - 0.12, z


def _light(plan: Plan, lamp: tuple[float, float, float]) -> Light:
    rng = plan.rng
    warm = hue(rng.uniform(0.06, 0.14), rng.uniform(0.0, 0.22), 1.0)
    cool = hue(rng.uniform(0.55, 0.66), rng.uniform(0.0, 0.18), 1.0)
    first = 6  # solids of the room itself come before its parts
    panes: list[int] = []
    sun = np.array((0.0, 1.0, 0.0), np.float32)
    if plan.panes and plan.style.one_in(1.6):
        wall = plan.panes[0][1]
        panes = [first + number for number, where in plan.panes if where == wall]
        side, up = rng.uniform(-0.8, 0.8), rng.uniform(0.35, 1.0)
        inward = turn(YAWS[wall])
        sun = (inward @ np.array((side, up, -1.0))).astype(np.float32)
        sun /= np.float32(np.linalg.norm(sun))
    return Light(
        np.array(lamp, np.float32),
        rng.uniform(0.9, 2.2),
        np.array(warm, np.float32),
        rng.uniform(0.02, 0.12),
        np.array(cool, np.float32) * np.float32(rng.uniform(0.16, 0.42)),
        sun,
        np.array((1.0, 0.93, 0.8), np.float32) * np.float32(rng.uniform(0.8, 1.8)),
        np.array(panes, np.int64),
    )


def _camera(plan: Plan) -> Camera:
    """The camera that sees most, of 24 random ones."""
    rng = plan.rng
    best, chosen = -math.inf, None
    sights = np.array(plan.sights)
    for _ in range(24):
        x = rng.uniform(0.25, plan.wide - 0.25)
        z = rng.uniform(0.25, plan.deep - 0.25)
        eye = rng.uniform(1.15, 1.75)
        look = sights[rng.integers(len(sights))]
        share = rng.uniform(0.2, 0.7)
        aim = (
            share * float(look[0]) + (1 - share) * plan.wide / 2,
            min(rng.uniform(0.5, 1.25), eye - 0.1),
            share * float(look[1]) + (1 - share) * plan.deep / 2,
        )
        reach = math.tan(math.radians(rng.uniform(54, 74)) / 2)
        worth = rng.uniform(0, 0.8)
        if math.hypot(aim[0] - x, aim[2] - z) < 0.8:
            continue
        if any(
            x0 - 0.3 < x < x1 + 0.3 and z0 - 0.3 < z < z1 + 0.3 for x0, x1, z0, z1 in plan.taken
        ):
            worth -= 3.0
        camera = Camera.towards((x, eye, z), aim, reach)
        away = np.stack((sights[:, 0] - x, sights[:, 2] - eye, sights[:, 1] - z), 1)
        seen = away @ camera.axes.T
        ahead = seen[:, 2] > 0.3
        safe = np.where(ahead, seen[:, 2], 1.0)
        inside = ahead & (np.abs(seen[:, :2]) < 0.95 * reach * safe[:, None]).all(1)
        worth += float((inside * np.minimum(sights[:, 3] / safe, 0.7)).sum())
        if worth > best:
            best, chosen = worth, camera
    if chosen is None:
        chosen = Camera.towards((0.4, 1.6, 0.4), (plan.wide / 2, 0.8, plan.deep / 2), 0.65)
    return chosen
