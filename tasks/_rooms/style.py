"""Styles: the woods, cloths and paints that the furniture of one room shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .surfaces import Colour, Materials, dye, hue

Rng = np.random.Generator
CLOTHS = ("weave", "weave", "stripes", "plaid", "dots", "diamonds", "plain")


@dataclass
class Style:
    """The materials that one room's furniture shares, and the means to draw more."""

    rng: Rng
    materials: Materials
    tones: tuple[Colour, Colour]
    wood: int
    dark: int
    metal: int
    cloth: int
    doors: int

    @classmethod
    def of(cls, rng: Rng, materials: Materials) -> Style:
        """Draw a style."""
        a, b = timber(rng)
        white = rng.random() < 0.25
        if white:
            a = b = (0.88, 0.87, 0.84)
        wood = materials.add("wood", a, b, seed=seed(rng), gloss=rng.uniform(0.05, 0.5))
        shade = rng.uniform(0.08, 0.3)
        dark = materials.add("plain", (shade, shade, shade * 1.05), gloss=0.3)
        grey = rng.uniform(0.45, 0.75)
        metal = materials.add("plain", (grey, grey, grey), gloss=0.9)
        tall = rng.random() < 0.5
        doors = materials.add(
            "panels",
            a,
            b,
            scale=2,
            extra=1 if tall else float(rng.integers(2, 5)),
            seed=seed(rng),
            gloss=0.2,
        )
        style = cls(rng, materials, (a, b), wood, dark, metal, 0, doors)
        style.cloth = style.fabric()
        return style

    def fabric(self, saturation: float = 1.0) -> int:
        """A new cloth: plain, striped, checked, dotted or woven."""
        rng = self.rng
        a = dye(rng, saturation)
        light = rng.uniform(0.55, 1.25)
        b = (min(a[0] * light + 0.08, 1), min(a[1] * light + 0.08, 1), min(a[2] * light + 0.08, 1))
        if rng.random() < 0.3:
            b = dye(rng, 0.7)
        texture = CLOTHS[rng.integers(len(CLOTHS))]
        scale = rng.uniform(0.12, 0.35) if texture != "weave" else rng.uniform(0.2, 0.6)
        return self.materials.add(texture, a, b, scale=scale, seed=seed(rng))

    def paint(self, saturation: float = 1.0) -> int:
        """A new plain colour."""
        rng = self.rng
        colour = dye(rng, saturation)
        return self.materials.add("plain", colour, seed=seed(rng), gloss=rng.uniform(0, 0.8))

    def frame(self) -> int:
        """Wood, dark or metal, for legs and frames."""
        return (self.wood, self.wood, self.dark, self.metal)[self.rng.integers(4)]

    def one_in(self, n: float) -> bool:
        """True once in n draws on average."""
        return bool(self.rng.random() * n < 1)


def seed(rng: Rng) -> int:
    """A pattern number for a texture."""
    return int(rng.integers(4096))


def timber(rng: Rng) -> tuple[Colour, Colour]:
    """A light and a dark tone of one wood, from birch to wenge."""
    h, s, v = rng.uniform(0.055, 0.105), rng.uniform(0.3, 0.65), rng.uniform(0.3, 0.85)
    return hue(h, s, v), hue(h - 0.01, min(s + 0.1, 1), v * rng.uniform(0.5, 0.8))
