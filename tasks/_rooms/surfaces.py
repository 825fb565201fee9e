"""Surfaces: what solids are made of; procedural textures in metres, evaluated where rays hit.

Long because there are twenty textures, each with its own formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import fft

from .shapes import Floats, Whole

Colour = tuple[float, float, float]
PERIOD = 128  # voxels of the noise volume along each axis


@lru_cache(maxsize=1)
def _volume() -> npt.NDArray[np.uint8]:
    """A periodic cube of 1/f noise, 0..255, with the same values for every scene and process."""
    rng = np.random.default_rng(20)
    white = rng.standard_normal((PERIOD, PERIOD, PERIOD), dtype=np.float32)
    waves = fft.rfftn(white)
    axis = np.fft.fftfreq(PERIOD).astype(np.float32) * PERIOD
    half = axis[: PERIOD // 2 + 1]
    squares = axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2
    waves *= np.maximum(squares, 4.0) ** np.float32(-1.15)
    values = fft.irfftn(waves, s=white.shape).ravel()
    values = (values - values.mean()) / values.std()
    volume: npt.NDArray[np.uint8] = np.clip(values * 56 + 127.5, 0, 255).astype(np.uint8)
    return volume


@lru_cache(maxsize=1)
def _table() -> Floats:
    return np.random.default_rng(21).random(4096, dtype=np.float32)


@lru_cache(maxsize=1)
def _dyes() -> Floats:
    """Colours [256, 3] of book spines, pictures and screens."""
    rng = np.random.default_rng(22)
    return np.array([dye(rng) for _ in range(256)], np.float32)


def hue(h: float, saturation: float, value: float) -> Colour:
    """Red, green and blue in [0, 1] of a hue in [0, 1), a saturation and a value.

    >>> hue(0.0, 1.0, 1.0)
    (1.0, 0.0, 0.0)
    """
    red, green, blue = (
        value * (1 - saturation * min(max(2 - abs((h * 6 - shift) % 6 - 3), 0.0), 1.0))
        for shift in (0, 2, 4)
    )
    return (red, green, blue)


def dye(rng: np.random.Generator, strength: float = 1.0) -> Colour:
    """A colour that is common in rooms: mostly warm or grey-blue, seldom vivid."""
    kind = rng.random()
    if kind < 0.2:  # nearly grey
        return hue(rng.random(), rng.uniform(0, 0.12), rng.uniform(0.15, 0.95))
    if kind < 0.55:  # sand, brown, brick, ochre
        return hue(
            rng.uniform(-0.02, 0.14), strength * rng.uniform(0.2, 0.75), rng.uniform(0.3, 0.9)
        )
    if kind < 0.75:  # grey-blue to navy
        return hue(
            rng.uniform(0.52, 0.66), strength * rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.85)
        )
    if kind < 0.87:  # olive to fir
        return hue(
            rng.uniform(0.2, 0.42), strength * rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.75)
        )
    return hue(rng.random(), strength * rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.95))


@dataclass
class Places:
    """The places at which n rays hit surfaces of one texture.

    `u`, `v` run along the face in metres (v upwards on walls), `s`, `t` are the same in [-1, 1],
    `p` [3, n] is the point in the solid's frame, `long` the solid's longest axis; `a`, `b` [3, n]
    are the two colours, `scale`, `extra` and `seed` the texture's parameters.
    """

    u: Floats
    v: Floats
    s: Floats
    t: Floats
    p: Floats
    long: Whole
    a: Floats
    b: Floats
    scale: Floats
    extra: Floats
    seed: Whole

    def noise(self, metres: float | Floats, stretch: float = 1.0) -> Floats:
        """1/f noise in [0, 1] that repeats after `metres`, stretched along the longest axis."""
        q = self.p * (np.float32(PERIOD) / np.asarray(metres, np.float32))
        if stretch != 1.0:
            for axis in range(3):
                q[axis] = np.where(self.long == axis, q[axis] / np.float32(stretch), q[axis])
        i = np.floor(q).astype(np.int64)
        i += self.seed * np.array(((37,), (71,), (19,)))
        i &= PERIOD - 1
        values = _volume().take((i[0] * PERIOD + i[1]) * PERIOD + i[2])
        share: Floats = values.astype(np.float32) / 255
        return share

    def random(self, i: Floats | Whole, j: Floats | Whole | int = 0) -> Floats:
        """A random number in [0, 1) for every cell (i, j)."""
        cell = np.floor(i).astype(np.int64) * 157 + np.floor(j).astype(np.int64) * 911
        return _table().take((cell + self.seed * 57) & 4095)

    def blend(self, mix: Floats) -> Floats:
        """Colours [3, n] between `a` (0) and `b` (1)."""
        return self.a + (self.b - self.a) * mix

    def dye(self, i: Floats | Whole, j: Floats | Whole | int = 0) -> Floats:
        """A colour [3, n] of the common palette for every cell (i, j)."""
        return _dyes().take((self.random(i, j) * 256).astype(np.int64), 0).T


def _part(x: Floats) -> Floats:
    return x - np.floor(x)


def _odd(x: Floats) -> Floats:
    """1 in the odd unit intervals, else 0."""
    return (np.floor(x).astype(np.int64) & 1).astype(np.float32)


def _plain(at: Places) -> Floats:
    return at.a * (0.95 + 0.1 * at.noise(3.0))


def _wood(at: Places) -> Floats:
    rings = _part(at.noise(1.6, 10.0) * 5)
    return at.blend(0.6 * np.abs(2 * rings - 1) + 0.4 * at.noise(0.25, 12.0))


def _planks(at: Places) -> Floats:
    across = at.v / at.scale
    along = at.u / (at.scale * at.extra) + at.random(across)
    tone = at.random(along, across)
    gap = (_part(across) < 0.06) | (_part(along) < 0.06 / at.extra)
    grain = at.noise(0.5, 9.0)
    return at.blend(0.55 * tone + 0.45 * grain) * np.where(gap, np.float32(0.55), np.float32(1))


def _tiles(at: Places) -> Floats:
    i, j = at.u / at.scale, at.v / at.scale
    odd = _odd(np.floor(i) + np.floor(j))
    grout = (_part(i) < at.extra) | (_part(j) < at.extra)
    tone = 0.9 + 0.12 * at.random(i, j) + 0.1 * (at.noise(0.8) - 0.5)
    return at.blend(odd) * np.where(grout, np.float32(0.7), tone)


def _stripes(at: Places) -> Floats:
    wave = np.abs(2 * _part(at.u / at.scale) - 1)
    return at.blend(np.clip((wave - 0.5) * 8 + 0.5, 0, 1)) * (0.96 + 0.08 * at.noise(1.5))


def _weave(at: Places) -> Floats:
    return at.blend(0.5 * at.noise(at.scale) + 0.5 * at.noise(0.18))


def _bricks(at: Places) -> Floats:
    row = at.v / at.scale
    i = at.u / (at.scale * at.extra) + _odd(row) / 2
    mortar = (_part(row) < 0.12) | (_part(i) < 0.12 / at.extra)
    tone = 0.75 + 0.3 * at.random(i, row) + 0.2 * at.noise(0.4)
    return np.where(mortar, at.b, at.a * tone)


def _spines(at: Places) -> Floats:
    wide = at.scale * (0.75 + 0.5 * at.random(at.u / (at.scale * 5)))
    i = at.u / wide
    edge = np.abs(_part(i) - 0.5) > 0.42
    title = (np.abs(at.t - 0.3) < 0.14) & (at.random(i, 7) > 0.45)
    colour = np.where(title, np.float32(0.85), at.dye(i, 3))
    return colour * np.where(edge, np.float32(0.45), np.float32(1))


def _painting(at: Places) -> Floats:
    ridge = at.noise(0.9) - 0.6 + 0.25 * np.sin(at.s * 5 + at.seed)
    sky = at.dye(at.seed, 1) * 0.4 + 0.45 + 0.15 * at.t
    land = at.dye(at.seed, 2) * (0.7 + 0.5 * at.noise(0.3))
    cells = at.dye(np.floor(at.s * 1.5 + 9), np.floor(at.t * 1.5 + at.seed % 5))
    face = (at.s / 0.45) ** 2 + ((at.t + 0.1) / 0.65) ** 2 < 1
    figure = np.where(face, at.dye(at.seed, 4), at.dye(at.seed, 5) * (0.7 + 0.3 * at.t))
    what = at.seed % 3
    inner = np.where(
        what == 0, np.where(at.t * 0.7 > ridge, sky, land), np.where(what == 1, cells, figure)
    )
    mat = np.maximum(np.abs(at.s), np.abs(at.t)) > at.extra
    return np.where(mat, at.b, inner)


def _view(at: Places) -> Floats:
    trees = at.t * 0.8 + 0.35 < (at.noise(1.2) - 0.5) * 1.2
    sky = at.a + (1 - at.a) * np.clip(0.5 - 0.5 * at.t, 0, 1) + 0.15 * (at.noise(2.5) - 0.5)
    return np.where(trees, at.b * (0.5 + at.noise(0.4)), sky)


def _leaf(at: Places) -> Floats:
    i, j = (at.s + 1) / 2 * at.scale, (at.t + 1) / 2 * at.extra
    border = np.maximum(np.abs(2 * _part(i) - 1), np.abs(2 * _part(j) - 1))
    tone = np.where(border > 0.94, 0.45, np.where((border > 0.72) & (border < 0.8), 0.75, 1.0))
    return at.blend(0.6 * at.noise(0.7, 6.0) + 0.4 * at.noise(0.2, 8.0)) * tone.astype(np.float32)


def _panels(at: Places) -> Floats:
    i, j = (at.s + 1) / 2 * at.scale, (at.t + 1) / 2 * at.extra
    handle = (np.abs(_part(j) - 0.66) < 0.05) & (np.abs(_part(i) - 0.5) < 0.09)
    return np.where(handle, np.float32(0.18), _leaf(at))


def _screen(at: Places) -> Floats:
    on = at.seed % 3 > 0
    block = np.where(at.t > 0.7, at.b, at.dye(np.floor(at.s * 1.5 + 4), at.seed))
    lit = np.where(at.random(at.s * 6 + 20, at.t * 9 + 30) > 0.7, block, at.a)
    frame = np.maximum(np.abs(at.s), np.abs(at.t)) > 0.93
    dark = 0.03 + 0.05 * np.clip(at.s + at.t, 0, 1)
    return np.where(frame, np.float32(0.03), np.where(on, lit, dark)).astype(np.float32)


def _dots(at: Places) -> Floats:
    i, j = at.u / at.scale, at.v / at.scale
    j = j + _odd(i) / 2
    x, y = _part(i) - 0.5, _part(j) - 0.5
    return at.blend((x * x + y * y < 0.07).astype(np.float32)) * (0.94 + 0.12 * at.noise(0.6))


def _plaid(at: Places) -> Floats:
    across = (_part(at.u / at.scale) < 0.4).astype(np.float32)
    down = (_part(at.v / at.scale) < 0.4).astype(np.float32)
    thin = (_part(at.u / at.scale + 0.3) < 0.08) | (_part(at.v / at.scale + 0.3) < 0.08)
    return at.blend(0.5 * across + 0.5 * down) * np.where(thin, np.float32(1.2), np.float32(0.95))


def _leaves(at: Places) -> Floats:
    return at.blend(np.clip((at.noise(0.5) - 0.5) * 2.5 + 0.5, 0, 1)) * (
        0.55 + 0.75 * at.noise(0.22)
    )


def _rug(at: Places) -> Floats:
    edge = np.maximum(np.abs(at.s), np.abs(at.t))
    rings = _part(np.sqrt(at.s**2 + at.t**2) * at.scale + 0.1 * at.noise(0.5)) < 0.5
    border = (edge > 0.86) | ((edge > 0.7) & (edge < 0.76))
    mix = np.where(border, 1.0, np.where(edge > 0.76, 0.25, rings * 0.55))
    return at.blend(mix.astype(np.float32)) * (0.8 + 0.35 * at.noise(0.2))


def _diamonds(at: Places) -> Floats:
    i, j = (at.u + at.v) / at.scale, (at.u - at.v) / at.scale
    odd = _odd(np.floor(i) + np.floor(j))
    return at.blend(0.15 + 0.7 * odd) * (0.92 + 0.16 * at.noise(0.4))


def _marble(at: Places) -> Floats:
    vein = np.abs(at.noise(1.8) - 0.5)
    return at.blend(np.clip(1 - vein * 14, 0, 1)) * (0.92 + 0.14 * at.noise(0.5))


def _folds(at: Places) -> Floats:
    wave = np.sin(at.u * (2 * np.pi / at.scale) + 3 * at.noise(1.2))
    return at.blend(0.5 + 0.5 * wave) * (0.85 + 0.15 * wave)


TEXTURES: dict[str, Callable[[Places], Floats]] = {
    "plain": _plain,
    "wood": _wood,
    "planks": _planks,
    "tiles": _tiles,
    "stripes": _stripes,
    "weave": _weave,
    "bricks": _bricks,
    "spines": _spines,
    "painting": _painting,
    "view": _view,
    "leaf": _leaf,
    "panels": _panels,
    "screen": _screen,
    "dots": _dots,
    "plaid": _plaid,
    "leaves": _leaves,
    "rug": _rug,
    "diamonds": _diamonds,
    "marble": _marble,
    "folds": _folds,
}
_CODES = {name: code for code, name in enumerate(TEXTURES)}
_FUNCTIONS = tuple(TEXTURES.values())


@dataclass
class Materials:
    """The materials of a scene, one row each."""

    rows: list[tuple[float, ...]] = field(default_factory=list)

    def add(
        self,
        texture: str,
        a: Colour,
        b: Colour | None = None,
        *,
        scale: float = 1.0,
        extra: float = 1.0,
        seed: int = 0,
        gloss: float = 0.0,
        glow: float = 0.0,
    ) -> int:
        """Add a material and return its number.

        `gloss` in [0, 1] is the strength of highlights, `glow` the light that it emits.
        """
        b = a if b is None else b
        self.rows.append((_CODES[texture], seed, *a, *b, scale, extra, gloss, glow))
        return len(self.rows) - 1

    def table(self) -> Floats:
        """All rows [M, 12]: texture, seed, a (3), b (3), scale, extra, gloss, glow."""
        return np.array(self.rows, np.float32)


def colours(rows: Floats, uv: Floats, st: Floats, point: Floats, long: Whole) -> Floats:
    """Linear colours [3, n] of n hits, given each hit's row [12, n] of the material table."""
    codes = rows[0].astype(np.int64)
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order], prepend=-1, append=-1))
    result = np.empty((3, len(codes)), np.float32)
    for start, stop in pairwise(bounds.tolist()):
        chosen = order[start:stop]
        row = rows[:, chosen]
        places = Places(
            uv[0, chosen],
            uv[1, chosen],
            st[0, chosen],
            st[1, chosen],
            point[:, chosen],
            long[chosen],
            row[2:5],
            row[5:8],
            row[8],
            row[9],
            row[1].astype(np.int64),
        )
        result[:, chosen] = _FUNCTIONS[codes[chosen[0]]](places)
    return np.square(np.clip(result, 0.0, 1.2))  # a gamma of 2, undone when the picture is taken
