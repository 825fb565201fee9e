"""Height bands, decoded from the colours of the ETOPO1 picture with its hill shading divided out.

The picture shows heights by the colours of GMT's table `globe`, darkened towards black on slopes
that face away from the light and lightened towards white on those that face it. A colour is
compared with every colour of the table in every shade, where shades far from that of a plain cost
something; the median of 5 x 5 pixels removes what JPEG and steep slopes leave.

In the picture the colours stand for 0.7 of the heights in the table, as the heights of airports
show. The bands end where the colours of the table have their corners, where they are told apart
best: between 1,400 and 3,500 m the colours are too much alike to say more.

Sources: Amante and Eakins, ETOPO1 1 Arc-Minute Global Relief Model, NOAA Technical Memorandum
NESDIS NGDC-24, 2009, https://doi.org/10.7289/V5C8276M; of the colours, L. M. Anderson's table
`globe` in the Generic Mapping Tools.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, label, maximum_filter, median_filter
from scipy.spatial import cKDTree

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

BANDS = (
    "below 140 m",
    "140 to 350 m",
    "350 to 700 m",
    "700 to 1,400 m",
    "1,400 to 3,500 m",
    "above 3,500 m",
)
EDGES = (200, 500, 1000, 2000, 5000)  # the upper ends of the bands in metres of the table
WINDOW = 5  # pixels of the median; half of it is how far the sea spoils the colours of the land
# the height in metres and its colour
TABLE = np.array(
    [
        (0, 51, 102, 0),
        (100, 51, 204, 102),
        (200, 187, 228, 146),
        (500, 255, 220, 185),
        (1000, 243, 202, 137),
        (1500, 230, 184, 88),
        (2000, 217, 166, 39),
        (2500, 168, 154, 31),
        (3000, 164, 144, 25),
        (3500, 162, 134, 19),
        (4000, 159, 123, 13),
        (4500, 156, 113, 7),
        (5000, 153, 102, 0),
        (5500, 162, 89, 89),
        (6000, 178, 118, 118),
        (6500, 183, 147, 147),
        (7000, 194, 176, 176),
        (7500, 204, 204, 204),
        (8000, 229, 229, 229),
    ],
    np.float64,
)
STEPS = 10  # colours between two rows of the table
SHADES = np.concatenate([np.linspace(-0.8, 0, 41), np.linspace(0.02, 0.6, 30)])
PLAIN = -0.08  # the shade of level ground: the commonest one
COST = 40.0  # of a shade that differs from it by 1, in steps of colour
LEVELS = 64  # of each channel, at which colours are looked up


def bands(picture: Bytes, land: Mask) -> npt.NDArray[np.int8]:
    """The height band of every pixel of an RGB picture [H, W, 3].

    There is none (-1) at sea, within 2 pixels of it, and in patches of the highest band amid
    lowland.

    >>> green = np.full((9, 9, 3), (51, 153, 51), np.uint8)  # the colour of 50 m in the table
    >>> bands(green, np.ones((9, 9), bool)).max()
    np.int8(0)
    """
    step = 256 // LEVELS
    red, green, blue = np.moveaxis(picture // step, -1, 0)
    found = median_filter(_table()[red, green, blue], WINDOW)
    near_sea = binary_dilation(~land, np.ones((WINDOW, WINDOW), bool))
    return np.where(near_sea | _floating(found, ~near_sea), np.int8(-1), found)


def _floating(found: npt.NDArray[np.int8], known: Mask) -> Mask:
    """Mark patches of the highest band that mostly border on others than the one below it.

    Steep slopes are grey in the picture, as the highest land is.
    """
    highest = len(BANDS) - 1
    patches, count = label((found == highest) & known, np.ones((3, 3)))
    ring = np.where((found < highest) & known, maximum_filter(patches, 3), 0)
    numbers = np.arange(count + 1)
    below = np.bincount(ring[found == highest - 1], minlength=count + 1)
    floating = 2 * below < np.bincount(ring.ravel(), minlength=count + 1)
    return np.isin(patches, numbers[floating & (numbers > 0)])


def shaded(colours: npt.NDArray[Any], shade: float) -> npt.NDArray[np.float64]:
    """Colours [..., 3] in a shade from -1 (black) over 0 (as they are) to 1 (white)."""
    plain = np.asarray(colours, np.float64)
    return plain * (1 + shade) if shade <= 0 else plain + (255 - plain) * shade


@cache
def _table() -> npt.NDArray[np.int8]:
    """The band of every colour, [LEVELS, LEVELS, LEVELS]."""
    rows = np.linspace(0, len(TABLE) - 1, STEPS * (len(TABLE) - 1) + 1)
    heights, *channels = (np.interp(rows, np.arange(len(TABLE)), column) for column in TABLE.T)
    colours = np.stack(channels, 1)
    known = [np.c_[shaded(colours, s), np.full(len(rows), COST * s)] for s in SHADES]
    axis = (np.arange(LEVELS) + 0.5) * 256 / LEVELS
    asked = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    _, nearest = cKDTree(np.concatenate(known)).query(
        np.c_[asked, np.full(len(asked), COST * PLAIN)]
    )
    found: npt.NDArray[np.int8] = np.digitize(heights, EDGES).astype(np.int8)[nearest % len(rows)]
    return found.reshape(LEVELS, LEVELS, LEVELS)
