"""Blocks of 15 degrees, the tiles in them, and the splits: one planet, whose neighbours are alike.

A block keeps the inner 192 of its 225 pixels in each direction, so that tiles of two blocks are at
least 33 pixels (2.2 degrees) apart. Blocks with little land are left out, and so are such tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from auxbench.data.dataset import Indices

SIDE = 225  # pixels of 4 arc minutes in 15 degrees
INNER = 192
BLOCK_LAND, TILE_LAND = 0.15, 0.1  # the least share of land
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
GOLDEN = 0.6180339887498949

Arrays = dict[str, npt.NDArray[Any]]


class Tiles(NamedTuple):
    """Tiles of a grid: their blocks and the rows and columns of their top left pixels, each [N]."""

    blocks: Indices
    tops: Indices
    lefts: Indices


def places(land: npt.NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """The inner pixels of all blocks with enough land, from north to south.

    >>> len(places(np.ones((SIDE, 3 * SIDE), bool)))
    3
    """
    height, width = land.shape
    margin = (SIDE - INNER) // 2
    return [
        (slice(top + margin, top + margin + INNER), slice(left + margin, left + margin + INNER))
        for top in range(0, height, SIDE)
        for left in range(0, width, SIDE)
        if land[top : top + SIDE, left : left + SIDE].mean() > BLOCK_LAND
    ]


def cut(maps: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    """The blocks of all layers [H, W, ...], stacked: [N, INNER, INNER, ...].

    Land is what the landcover does not call water.
    """
    chosen = places(maps["landcover"] > 0)
    return {name: np.stack([values[place] for place in chosen]) for name, values in maps.items()}


def tiles(landcover: npt.NDArray[np.int8], blocks: Indices, side: int) -> Tiles:
    """The tiles of `side` pixels with enough land in some blocks, on a grid amid each block.

    >>> tiles(np.ones((2, INNER, INNER), np.int8), np.array([1]), 96).tops.tolist()
    [0, 0, 96, 96]
    """
    across = INNER // side
    starts = (INNER - across * side) // 2 + side * np.arange(across)
    found = [
        (block, top, left)
        for block in blocks.tolist()
        for top in starts.tolist()
        for left in starts.tolist()
        if (landcover[block, top : top + side, left : left + side] > 0).mean() >= TILE_LAND
    ]
    return Tiles(*np.array(found, np.int64).reshape(-1, 3).T)


def split(climate: npt.NDArray[np.int8], draw: int) -> dict[str, Indices]:
    """The blocks of each split, drawn at random so that each has its share of the main climates.

    Blocks are sorted by their commonest climate, then at random, and dealt in that order by a
    sequence that fills every stretch of it evenly.
    """
    rng = np.random.default_rng([2019, draw])
    counts = [np.bincount(block[block >= 0], minlength=1) for block in climate]
    main = np.array([count.argmax() for count in counts])
    order = np.lexsort((rng.random(len(main)), main))
    place = np.empty(len(main))
    place[order] = (rng.random() + GOLDEN * np.arange(len(main))) % 1
    ends = np.cumsum(list(SHARES.values()))[:-1]
    part = np.searchsorted(ends, place, side="right")
    return {name: np.flatnonzero(part == number) for number, name in enumerate(SHARES)}
