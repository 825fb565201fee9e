"""Solid shapes: boxes, ellipsoids and frusta in metres, built as parts and joined into one table.

In the world, x and z lie in the floor and y points up. A part is given by the middle of its
underside and by its full width (x), height (y) and depth (z), the way one would describe furniture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]  # single precision nearly everywhere
Whole = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

CLASSES = (
    "bed",
    "books",
    "ceiling",
    "chair",
    "floor",
    "furniture",
    "objects",
    "picture",
    "sofa",
    "table",
    "tv",
    "wall",
    "window",
)
BED, BOOKS, CEILING, CHAIR, FLOOR, FURNITURE, OBJECTS, PICTURE, SOFA, TABLE, TV, WALL, WINDOW = (
    range(13)
)
BOX, ELLIPSOID, FRUSTUM, SHELL = range(4)
NEAR = 0.1  # metres; nothing closer is seen
_TINY = np.float32(1e-9)  # avoids a division by zero for rays that run along a face


def turn(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Floats:
    """The rotation [3, 3] about z by roll, then about x by pitch, then about y by yaw (radians).

    >>> turn(math.pi / 2)[:, 2].round(3).tolist()  # a front (+z) turned to +x
    [1.0, 0.0, 0.0]
    """
    c, s = math.cos(yaw), math.sin(yaw)
    matrix = np.array(((c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)))
    if pitch:
        c, s = math.cos(pitch), math.sin(pitch)
        matrix = matrix @ np.array(((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)))
    if roll:
        c, s = math.cos(roll), math.sin(roll)
        matrix = matrix @ np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))
    return matrix.astype(np.float32)


@dataclass
class Part:
    """One solid in the frame of its item; `taper` is top radius over bottom radius (frusta)."""

    kind: int
    centre: Floats
    rotation: Floats
    half: tuple[float, float, float]
    label: int
    material: int
    taper: float = 1.0
    casts: bool = True


@dataclass
class Parts:
    """A list of solids in one local frame whose front is +z."""

    solids: list[Part] = field(default_factory=list)

    def box(
        self,
        at: tuple[float, float, float],
        size: tuple[float, float, float],
        label: int,
        material: int,
        *,
        rotation: Floats | None = None,
        casts: bool = True,
    ) -> None:
        """Add a box; with a rotation it turns about the middle of its underside."""
        self._add(BOX, at, size, label, material, rotation, 1.0, casts)

    def ball(
        self,
        at: tuple[float, float, float],
        size: tuple[float, float, float],
        label: int,
        material: int,
        *,
        rotation: Floats | None = None,
        casts: bool = True,
    ) -> None:
        """Add an ellipsoid that stands on `at`."""
        self._add(ELLIPSOID, at, size, label, material, rotation, 1.0, casts)

    def tube(
        self,
        at: tuple[float, float, float],
        radius: float,
        height: float,
        label: int,
        material: int,
        *,
        top: float | None = None,
        rotation: Floats | None = None,
        casts: bool = True,
    ) -> None:
        """Add an upright cylinder, or a frustum when the `top` radius differs."""
        taper = 1.0 if top is None else top / radius
        size = (2 * radius, height, 2 * radius)
        self._add(FRUSTUM, at, size, label, material, rotation, taper, casts)

    def put(self, other: Parts, at: tuple[float, float, float], yaw: float = 0.0) -> None:
        """Add all solids of another item, turned and moved."""
        rotation, origin = turn(yaw), np.array(at, np.float32)
        for part in other.solids:
            self.solids.append(
                Part(
                    part.kind,
                    rotation @ part.centre + origin,
                    rotation @ part.rotation,
                    part.half,
                    part.label,
                    part.material,
                    part.taper,
                    part.casts,
                )
            )

    def extent(self) -> tuple[float, float, float, float, float]:
        """The bounding box on the floor and the top: x0, x1, z0, z1, y1."""
        reach = np.array([np.abs(part.rotation) @ np.array(part.half) for part in self.solids])
        centre = np.array([part.centre for part in self.solids])
        low, high = (centre - reach).min(0), (centre + reach).max(0)
        return float(low[0]), float(high[0]), float(low[2]), float(high[2]), float(high[1])

    def _add(
        self,
        kind: int,
        at: tuple[float, float, float],
        size: tuple[float, float, float],
        label: int,
        material: int,
        rotation: Floats | None,
        taper: float,
        casts: bool,
    ) -> None:
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        rotation = _UPRIGHT if rotation is None else rotation
        centre = np.array(at, np.float32) + rotation[:, 1] * np.float32(half[1])
        self.solids.append(Part(kind, centre, rotation, half, label, material, taper, casts))


_UPRIGHT = np.eye(3, dtype=np.float32)


@dataclass(frozen=True)
class Solids:
    """N solids as arrays; the first six are the walls of the room (`SHELL`: -x, x, -y, y, -z, z).

    `rotation` [N, 3, 3] maps local to world axes, `half` [N, 3] are half sizes, `radius` [N] is
    that of the bounding sphere. `room` [3] are the half sizes of the room.
    """

    kind: Whole
    centre: Floats
    rotation: Floats
    half: Floats
    taper: Floats
    label: Whole
    material: Whole
    casts: Mask
    radius: Floats
    room: Floats

    @classmethod
    def of(
        cls, size: tuple[float, float, float], surfaces: tuple[tuple[int, int], ...], parts: Parts
    ) -> Solids:
        """A room [0, w] x [0, h] x [0, d] with (label, material) for its six sides, and parts."""
        solids = parts.solids
        room = (np.array(size) / 2).astype(np.float32)
        shell = len(surfaces)
        half = np.array([room] * shell + [np.array(p.half) for p in solids], np.float32)
        kind = np.array([SHELL] * shell + [p.kind for p in solids])
        taper = np.array([1.0] * shell + [p.taper for p in solids], np.float32)
        # the wider end of a frustum counts; for the others the corner does
        bound = half.copy()
        bound[:, (0, 2)] *= np.maximum(taper, 1.0)[:, None]
        radius = np.sqrt((bound * bound).sum(1))
        rounds = kind == ELLIPSOID
        radius[rounds] = bound[rounds].max(1)
        return cls(
            kind,
            np.array([room] * shell + [p.centre for p in solids], np.float32),
            np.array([_UPRIGHT] * shell + [p.rotation for p in solids], np.float32),
            half,
            taper,
            np.array([label for label, _ in surfaces] + [p.label for p in solids]),
            np.array([material for _, material in surfaces] + [p.material for p in solids]),
            np.array([False] * shell + [p.casts for p in solids]),
            radius.astype(np.float32),
            room,
        )


def entry(kind: int, half: Floats, taper: float, origin: Floats, d: Floats) -> Floats:
    """Return the distances at which rays enter a solid; infinity where they miss it.

    `origin` [3] or [3, ...] and `d` [3, ...] are in the solid's frame; the result [...] is in
    lengths of `d`. A ray that starts inside gets a negative number.
    """
    if kind == BOX:
        inverse = 1.0 / (d + _TINY)
        shift = origin * inverse
        reach = _column(half, d) * np.abs(inverse)
        near = -shift - reach
        far = reach - shift
        first = np.maximum(np.maximum(near[0], near[1]), near[2])
        last = np.minimum(np.minimum(far[0], far[1]), far[2])
        return np.where(first <= last, first, np.float32(np.inf))
    if kind == ELLIPSOID:
        o, v = origin / _column(half, origin), d / _column(half, d)
        a = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
        b = o[0] * v[0] + o[1] * v[1] + o[2] * v[2]
        c = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1.0
        inside = b * b - a * c
        t = (-b - np.sqrt(np.maximum(inside, 0.0))) / a
        return np.where(inside > 0, t, np.float32(np.inf)).astype(np.float32)
    return _enter_frustum(half, taper, origin, d)


def _enter_frustum(half: Floats, taper: float, o: Floats, d: Floats) -> Floats:
    bottom, high = float(half[0]), float(half[1])
    middle, slope = bottom * (1 + taper) / 2, bottom * (taper - 1) / (2 * high)
    wide = middle + slope * o[1]
    grow = slope * d[1]
    a = d[0] * d[0] + d[2] * d[2] - grow * grow + _TINY
    b = o[0] * d[0] + o[2] * d[2] - wide * grow
    c = o[0] * o[0] + o[2] * o[2] - wide * wide
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0.0))
    best = np.full(d.shape[1:], np.inf, np.float32)
    # both roots: the mantle of a frustum may be entered at either, depending on its slope
    for t in ((-b - root) / a, (-b + root) / a):
        y = o[1] + t * d[1]
        fits = (inside > 0) & (np.abs(y) <= high) & (t < best) & (t > 0)
        best = np.where(fits, t, best)
    for cap, limit in ((-high, bottom), (high, bottom * taper)):
        t = (cap - o[1]) / (d[1] + _TINY)
        x, z = o[0] + t * d[0], o[2] + t * d[2]
        fits = (x * x + z * z <= limit * limit) & (t < best) & (t > 0)
        best = np.where(fits, t, best)
    return best.astype(np.float32)


def _column(half: Floats, like: Floats) -> Floats:
    return half.reshape((3,) + (1,) * (like.ndim - 1))
