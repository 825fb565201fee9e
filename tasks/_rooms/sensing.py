"""Missing labels: the pixels that an annotator or a depth sensor would have left out."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .shapes import BOOKS, OBJECTS, PICTURE, TV, WINDOW, Floats, Mask, Whole
from .style import Rng


def unlabelled(labels: Whole, number: Whole, rng: Rng) -> Mask:
    """Mark the pixels [H, W] that a human annotator would have left without a class.

    `labels` are the classes and `number` the solids of the pixels. Some small things are missing,
    as are slivers along some class borders and, in half of the pictures, a band at one side.
    """
    side = len(labels)
    missed = rng.random(int(number.max()) + 1) < 0.04
    small = (labels == OBJECTS) | (labels == BOOKS) | (labels == PICTURE)
    empty: Mask = small & missed[number]
    border = np.zeros_like(empty)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    border[:, 1:] |= across
    border[1:] |= down
    empty |= border & _blobs(side, 0.3, rng)
    if rng.random() < 0.5:
        band = 1 + int(rng.integers(max(side // 24, 1)))
        turned = np.rot90(empty, int(rng.integers(4)))
        turned[:band] = True
    return empty


def unmeasured(depth: Floats, labels: Whole, slant: Floats, rng: Rng) -> tuple[Mask, Mask]:
    """Mark the pixels without depth, and without normals, of a structured-light sensor, [H, W].

    `slant` is the cosine between normal and ray. Depth is missing on patches of glass and screens,
    on surfaces at a grazing angle, in the sensor's shadow beside things in front, and in a few
    blobs anywhere. Normals are also missing next to these, since they come from neighbours.
    """
    side = len(depth)
    glass = (labels == WINDOW) | (labels == TV)
    empty = glass & _blobs(side, 0.3, rng)
    empty |= _blobs(side, 0.02, rng)
    empty |= slant < 0.09
    shadow = max(side // 64, 1)
    jump = depth[:, shadow:] - depth[:, :-shadow] > 0.25 * depth[:, :-shadow]
    empty[:, shadow:] |= jump & (rng.random() < 0.7)
    wider: Mask = ndimage.binary_dilation(empty)
    return empty, wider


def _blobs(side: int, share: float, rng: Rng) -> Mask:
    """Smooth spots that cover about `share` of a square."""
    rough = rng.standard_normal((side, side), dtype=np.float32)
    smooth = ndimage.gaussian_filter(rough, side / 24, mode="wrap")
    spots: Mask = smooth > np.quantile(smooth, 1 - share * rng.uniform(0.2, 1.8))
    return spots
