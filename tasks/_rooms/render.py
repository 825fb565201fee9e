"""The ray caster: a pinhole camera, exact depth and normals, and a lit picture of solid shapes.

Camera axes are x right, y down, z forward. Rays have z = 1, so the distance travelled along one
is its z-depth in metres.

Long because every kind of solid needs its own formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .shapes import ELLIPSOID, FRUSTUM, NEAR, SHELL, Floats, Mask, Solids, Whole, entry
from .surfaces import colours

_CORNERS = np.array(
    [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32
)  # [8, 3]
_EDGES = np.array(
    [(i, j) for i in range(8) for j in range(i + 1, 8) if bin(i ^ j).count("1") == 1]
).T  # [2, 12] pairs of corners


TILE = 16  # rays along the edge of a tile, at most
SLACK = 2e-3  # radians, far above all rounding


@dataclass(frozen=True)
class Camera:
    """A pinhole at `position` [3]; rows of `axes` [3, 3] are right, down and forward in the world.

    The image plane at z = 1 spans [-reach, reach] in x and y: `reach` is tan(field of view / 2).
    """

    position: Floats
    axes: Floats
    reach: float

    @classmethod
    def towards(
        cls, position: tuple[float, float, float], target: tuple[float, float, float], reach: float
    ) -> Camera:
        """A level camera that looks at a point."""
        here = np.array(position, np.float64)
        forward = np.array(target) - here
        forward /= np.linalg.norm(forward)
        right = np.array((forward[2], 0.0, -forward[0]))
        right /= np.linalg.norm(right)
        down = np.cross(right, forward)
        axes = np.stack((right, down, forward)).astype(np.float32)
        return cls(here.astype(np.float32), axes, reach)

    def grid(self, count: int) -> Floats:
        """The image-plane coordinates [count] of the centres of equal cells along one axis."""
        cells = (np.arange(count, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / count)
        return (cells - 1) * np.float32(self.reach)


@dataclass(frozen=True)
class Light:
    """The light sources of a room; all strengths are linear.

    `lamp` [3] is a point light of some `size` (its shadows get a small penumbra); `sun` [3] is the
    direction towards the sun, seen through the `panes` [K], the numbers of solids that are windows.
    """

    lamp: Floats
    power: float
    tint: Floats
    size: float
    ambient: Floats
    sun: Floats
    sunlight: Floats
    panes: Whole


def visible(solids: Solids, camera: Camera, count: int) -> tuple[Floats, Whole]:
    """The z-depth and the number of the solid seen by count x count rays, both [count, count]."""
    grid = camera.grid(count)
    d = _rays(camera.axes.T, grid, grid)
    best, index = _walls(solids, camera, d)
    to_local = solids.rotation.transpose(0, 2, 1)
    origins = np.einsum("nij,nj->ni", to_local, camera.position - solids.centre)
    frames = np.einsum("nij,jk->nik", to_local, camera.axes.T)
    for n, (top, bottom, left, right) in _rectangles(solids, camera, count):
        d = _rays(frames[n], grid[left:right], grid[top:bottom])
        origin = origins[n].reshape(3, 1, 1)
        t = entry(int(solids.kind[n]), solids.half[n], float(solids.taper[n]), origin, d)
        window = best[top:bottom, left:right]
        closer = (t < window) & (t > NEAR)
        np.copyto(window, t, where=closer)
        np.copyto(index[top:bottom, left:right], n, where=closer)
    return best, index


@dataclass(frozen=True)
class Hits:
    """The hits of n rays: world `point` [3, n], `normal` [3, n], and the place on the surface."""

    point: Floats
    normal: Floats
    uv: Floats
    st: Floats
    local: Floats
    long: Whole


def surface(solids: Solids, camera: Camera, depth: Floats, index: Whole) -> Hits:
    """Positions and normals [.., n] of the rays of `visible`, n = count * count."""
    count = depth.shape[0]
    grid = camera.grid(count)
    d = _rays(camera.axes.T, grid, grid).reshape(3, -1)
    n = index.ravel()
    point = d * depth.ravel() + camera.position[:, None]
    rotation = _each(solids.rotation.reshape(-1, 9), n).reshape(3, 3, -1)
    half = _each(solids.half, n)
    away = point - _each(solids.centre, n)
    local = _turned_back(rotation, away)
    ray = _turned_back(rotation, d)
    start = local - ray * depth.ravel()
    normal = _box_normal(start, ray, half)
    kinds = solids.kind[n]
    shell = np.flatnonzero(kinds == SHELL)
    normal[:, shell] = 0
    normal[n[shell] >> 1, shell] = 1.0 - 2.0 * (n[shell] & 1)
    balls = np.flatnonzero(kinds == ELLIPSOID)
    normal[:, balls] = local[:, balls] / half[:, balls] ** 2
    tubes = np.flatnonzero(kinds == FRUSTUM)
    normal[:, tubes] = _tube_normal(local[:, tubes], half[:, tubes], solids.taper[n[tubes]])
    normal /= np.sqrt((normal * normal).sum(0))
    # texture coordinates: the point projected along the main axis of its normal
    across = np.abs(normal[0]) > 0.6
    flat = np.abs(normal[1]) > 0.6
    u = np.where(across, local[2], local[0])
    v = np.where(flat, local[2], local[1])
    s = np.where(across, local[2] / half[2], local[0] / half[0])
    t = np.where(flat, local[2] / half[2], local[1] / half[1])
    long = solids.half.argmax(1)[n]
    world = np.einsum("ijn,jn->in", rotation, normal)
    return Hits(point, world, np.stack((u, v)), np.stack((s, t)), local, long)


def normals(solids: Solids, camera: Camera, depth: Floats, index: Whole) -> Floats:
    """Unit normals [3, count, count] in camera axes; they face the camera."""
    world = surface(solids, camera, depth, index).normal
    return (camera.axes @ world).reshape(3, *depth.shape)


def picture(solids: Solids, materials: Floats, light: Light, camera: Camera, side: int) -> Floats:
    """The linear colours [side, side, 3] of the scene, each pixel the mean of 2 x 2 rays."""
    count = 2 * side
    depth, index = visible(solids, camera, count)
    hits = surface(solids, camera, depth, index)
    number = index.ravel()
    rows = _each(materials, solids.material[number])
    albedo = colours(rows, hits.uv, hits.st, hits.local, hits.long)
    point, normal = hits.point, hits.normal

    # four lamp positions, one for each ray of a pixel: a penumbra at no extra cost
    corner = (np.arange(count)[:, None] & 1) * 2 + (np.arange(count) & 1)
    spread = np.array(((-1, 0, -0.4), (1, 0, -0.6), (0.5, 0, 1), (-0.6, 0, 0.8)), np.float32).T
    lamp = light.lamp[:, None] + spread[:, corner.ravel()] * np.float32(light.size)
    way = lamp - point
    far = np.sqrt((way * way).sum(0))
    way /= far
    facing = np.maximum((way * normal).sum(0), 0.0)
    lit = facing > 0
    _shade(solids, light, point, way, far, lit)
    strength = np.where(lit, light.power / (1.0 + 0.35 * far * far), np.float32(0.0))

    occlusion = _corners(solids, point)
    shade = light.ambient[:, None] * ((0.86 + 0.14 * normal[1]) * occlusion)
    shade += light.tint[:, None] * (strength * facing)
    if len(light.panes):
        sunny, share = _sun(solids, light, point, normal)
        shade[:, sunny] += light.sunlight[:, None] * share
    colour = albedo * shade

    view = camera.position[:, None] - point
    view /= np.sqrt((view * view).sum(0))
    middle = way + view
    middle /= np.sqrt((middle * middle).sum(0))
    shine = np.maximum((middle * normal).sum(0), 0.0) ** np.float32(40.0)
    colour += light.tint[:, None] * (rows[10] * shine * strength * 0.8)
    colour += albedo * rows[11]
    mean: Floats = colour.reshape(3, side, 2, side, 2).mean((2, 4))
    return mean.transpose(1, 2, 0)


def _rays(axes: Floats, x: Floats, y: Floats) -> Floats:
    """Directions [3, len(y), len(x)] = axes @ (x, y, 1)."""
    rows = axes[:, 1, None] * y + axes[:, 2, None]
    return (axes[:, 0, None] * x)[:, None, :] + rows[:, :, None]


def _walls(solids: Solids, camera: Camera, d: Floats) -> tuple[Floats, Whole]:
    """The room itself: where rays leave it."""
    away = d > 0
    room = solids.room.reshape(3, 1, 1)
    here = camera.position.reshape(3, 1, 1)
    t = (np.where(away, 2 * room, 0) - here) / np.where(d == 0, np.float32(1e-9), d)
    axis = t.argmin(0)
    index = 2 * axis + np.take_along_axis(away, axis[None], 0)[0]
    return t.min(0).astype(np.float32), index


def _rectangles(
    solids: Solids, camera: Camera, count: int
) -> list[tuple[int, tuple[int, int, int, int]]]:
    """The solids in view with bounds (top, bottom, left, right) of their pixels."""
    wide = solids.half.copy()
    wide[:, (0, 2)] *= np.maximum(solids.taper, 1.0)[:, None]
    corners = np.einsum("nij,cj,nj->nci", solids.rotation, _CORNERS, wide)
    corners += (solids.centre - camera.position)[:, None, :]
    corners = corners @ camera.axes.T  # [N, 8, 3] in camera axes
    first, second = corners[:, _EDGES[0]], corners[:, _EDGES[1]]
    z0, z1 = first[:, :, 2], second[:, :, 2]
    crosses = (z0 < NEAR) != (z1 < NEAR)
    share = np.where(crosses, (NEAR - z0) / np.where(crosses, z1 - z0, 1), 0)
    cuts = first + share[:, :, None] * (second - first)
    points = np.concatenate((corners, cuts), 1)
    valid = np.concatenate((corners[:, :, 2] >= NEAR, crosses), 1)
    plane = points[:, :, :2] / np.where(valid, points[:, :, 2], 1)[:, :, None]
    cells = (plane / camera.reach + 1) * (count / 2)
    low = np.where(valid[:, :, None], cells, np.inf).min(1)
    high = np.where(valid[:, :, None], cells, -np.inf).max(1)
    low = np.clip(np.floor(low), 0, count)
    high = np.clip(np.ceil(high), 0, count)
    seen = valid.any(1) & (low < high).all(1) & (solids.kind != SHELL)
    return [
        (n, (int(low[n, 1]), int(high[n, 1]), int(low[n, 0]), int(high[n, 0])))
        for n in np.flatnonzero(seen).tolist()
    ]


def _each(table: Floats, number: Whole) -> Floats:
    """The rows [N, k] of a table as columns [k, n], one for every number, contiguous."""
    return np.ascontiguousarray(table.T).take(number, 1)


def _turned_back(rotation: Floats, vectors: Floats) -> Floats:
    """World vectors [3, n] in local frames, given rotations [3, 3, n] from local to world."""
    return np.stack(
        [
            rotation[0, k] * vectors[0] + rotation[1, k] * vectors[1] + rotation[2, k] * vectors[2]
            for k in range(3)
        ]
    )


def _box_normal(start: Floats, ray: Floats, half: Floats) -> Floats:
    """Normals of the sides through which rays enter: those whose planes they cross last."""
    safe = np.where(ray == 0, np.float32(1e-9), ray)
    near = -start / safe - half / np.abs(safe)
    axis = near.argmax(0)
    normal = np.zeros_like(ray)
    columns = np.arange(ray.shape[1])
    normal[axis, columns] = -np.sign(safe[axis, columns])
    return normal


def _tube_normal(local: Floats, half: Floats, taper: Floats) -> Floats:
    radius = half[0] * (1 + taper + (taper - 1) * local[1] / half[1]) / 2
    distance = np.sqrt(local[0] ** 2 + local[2] ** 2)
    cap = (half[1] - np.abs(local[1])) < np.abs(radius - distance)
    slope = half[0] * (taper - 1) / (2 * half[1])
    mantle = np.stack((local[0], -slope * distance, local[2]))
    lid = np.stack((np.zeros_like(slope), np.sign(local[1]), np.zeros_like(slope)))
    return np.where(cap, lid, mantle)


def _shade(
    solids: Solids, light: Light, point: Floats, way: Floats, far: Floats, lit: Mask
) -> None:
    """Clear `lit` [n] where a solid stands between a point and its lamp."""
    from_lamp = point - light.lamp[:, None]
    distance = np.sqrt((from_lamp * from_lamp).sum(0)) + np.float32(1e-6)
    from_lamp /= distance
    tiles = Tiles(from_lamp, distance, math.isqrt(point.shape[1]))
    for n in np.flatnonzero(solids.casts).tolist():
        to = solids.centre[n] - light.lamp
        off = math.sqrt(float(to @ to))
        radius = float(solids.radius[n]) + light.size * 1.3
        if off <= radius:
            chosen = np.flatnonzero(lit)
        else:
            # only rays inside the cone that holds the solid's bounding sphere can be blocked
            limit = math.sqrt(1 - (radius / off) ** 2)
            to /= np.float32(off)
            chosen = tiles.inside(to, limit, off - radius)
            chosen = np.sort(chosen[lit[chosen]])
        if len(chosen):
            lit[chosen] = ~_blocked(solids, n, point[:, chosen], way[:, chosen], far[chosen])


class Tiles:
    """Square tiles of the rays of a picture, each with a cone that holds its directions.

    `directions` [3, n] are unit vectors from the lamp to what the rays hit, `distance` [n] away.
    """

    def __init__(self, directions: Floats, distance: Floats, count: int) -> None:
        edge = next(edge for edge in range(TILE, 0, -1) if count % edge == 0)
        grid = np.arange(count * count).reshape(count // edge, edge, count // edge, edge)
        self.rays = grid.transpose(0, 2, 1, 3).reshape(-1, edge * edge)
        self.directions = directions[:, self.rays]
        self.distance = distance[self.rays]
        middle = self.directions.mean(2)
        middle /= np.sqrt((middle * middle).sum(0)) + np.float32(1e-6)
        least = np.einsum("ct,ctk->tk", middle, self.directions).min(1)
        self.middle = middle
        self.wide = np.arccos(np.clip(least, -1, 1)) + SLACK
        self.farthest = self.distance.max(1)

    def inside(self, to: Floats, limit: float, least: float) -> Whole:
        """The rays at most an angle with the cosine `limit` from `to` [3], and beyond a distance.

        Most tiles are seen to hold none at once.
        """
        apart = np.arccos(np.clip(to @ self.middle, -1, 1))
        some = np.flatnonzero((apart < self.wide + math.acos(limit)) & (self.farthest > least))
        x, y, z = self.directions[:, some]
        cosine = to[0] * x + to[1] * y + to[2] * z
        rays: Whole = self.rays[some][(cosine > limit) & (self.distance[some] > least)]
        return rays


def _blocked(solids: Solids, n: int, point: Floats, way: Floats, far: Floats) -> Mask:
    turned = solids.rotation[n].T
    origin = turned @ (point - solids.centre[n][:, None])
    t = entry(int(solids.kind[n]), solids.half[n], float(solids.taper[n]), origin, turned @ way)
    return (t > 2e-3) & (t < far)


def _corners(solids: Solids, point: Floats) -> Floats:
    """The share of ambient light [n] that remains near walls, floor and ceiling."""
    left = np.ones(point.shape[1], np.float32)
    for axis in range(3):
        size = 2 * float(solids.room[axis])
        inside = np.minimum(point[axis], size - point[axis])
        left *= 1 - np.float32(0.28) / (1 + np.float32(6.0) * np.maximum(inside, 0.0))
    return left * np.float32(1.28)


def _sun(solids: Solids, light: Light, point: Floats, normal: Floats) -> tuple[Whole, Floats]:
    """Points that the sun reaches through a window: their numbers and the cosine there."""
    facing = light.sun @ normal
    open_to = np.zeros(point.shape[1], np.bool_)
    for pane in light.panes.tolist():
        half = solids.half[pane]
        turned = solids.rotation[pane].T
        start = turned @ (point - solids.centre[pane][:, None])
        ray = turned @ light.sun
        if abs(float(ray[2])) < 0.05:
            continue
        t = -start[2] / ray[2]
        fits = np.abs(start[0] + t * ray[0]) < half[0]
        fits &= np.abs(start[1] + t * ray[1]) < half[1]
        open_to |= fits & (t > 0.02)
    sunny = np.flatnonzero(open_to & (facing > 0))
    lit = np.ones(len(sunny), np.bool_)
    way = np.repeat(light.sun[:, None], len(sunny), 1)
    far = np.full(len(sunny), 30.0, np.float32)
    places = point[:, sunny]
    across = np.linalg.svd(light.sun[None].astype(np.float64))[2][1:].astype(np.float32)
    plane = across @ places  # as the sun sees the points
    for n in np.flatnonzero(solids.casts).tolist():
        if not lit.any():
            break
        # only rays that pass the solid's bounding sphere can be blocked
        away = plane - (across @ solids.centre[n])[:, None]
        reach = np.float32(1.001) * solids.radius[n] + np.float32(1e-3)
        chosen = np.flatnonzero(lit & (away[0] * away[0] + away[1] * away[1] < reach * reach))
        if len(chosen):
            lit[chosen] = ~_blocked(solids, n, places[:, chosen], way[:, chosen], far[chosen])
    return sunny[lit], facing[sunny[lit]]
