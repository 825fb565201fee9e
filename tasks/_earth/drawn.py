"""A small drawn planet in the form of the real blocks, for tests that have no maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from .blocks import INNER, Arrays
from .kinds import LANDCOVER
from .maps import NONE, coast

EVERGREEN = 2
SNOW = 15


def drawn(count: int, seed: int = 60) -> Arrays:
    """Blocks with continents, climates by warmth, and landcover by climate and chance."""
    rng = np.random.default_rng(seed)
    blocks = [_block(rng) for _ in range(count)]
    return {name: np.stack([block[name] for block in blocks]) for name in blocks[0]}


def _block(rng: np.random.Generator) -> Arrays:
    height, warmth, wetness = (_noise(rng, smooth) for smooth in (12, 24, 6))
    land = height > -0.6
    climate = np.digitize(warmth - 0.3 * height, (-1.5, -0.5, 0.3, 1.2))[..., None]
    first = np.array([SNOW, 4, 9, 13, EVERGREEN])[climate[..., 0]]
    landcover = np.where(land, (first - 1 + (wetness > 0.5)) % (len(LANDCOVER) - 1) + 1, 0)
    relief = np.digitize(height, (-0.2, 0.2, 0.7, 1.2, 2.0))
    slope = np.gradient(height, axis=1) - np.gradient(height, axis=0)
    light = (140 + 300 * slope).clip(0, NONE - 1)
    colours = np.array(list(LANDCOVER.values()))[landcover] * (0.6 + light[..., None] / 500)
    noisy = colours + rng.normal(0, 4, colours.shape)
    return {
        "picture": noisy.clip(0, 255).astype(np.uint8).transpose(2, 0, 1),
        "landcover": landcover.astype(np.int8),
        "climate": np.where(land, 4 - climate[..., 0], -1).astype(np.int8),
        "relief": np.where(land, relief, -1).astype(np.int8),
        "shading": np.where(land, light, NONE).astype(np.uint8),
        "coast": coast(land),
    }


def _noise(rng: np.random.Generator, smooth: float) -> npt.NDArray[np.float64]:
    """Smooth noise [INNER, INNER] of mean 0 and deviation 1."""
    noise = gaussian_filter(rng.normal(size=(INNER, INNER)), smooth, mode="wrap")
    scaled: npt.NDArray[np.float64] = (noise - noise.mean()) / noise.std()
    return scaled
