"""Task kinds of `earth`: classes in the colours that maps give them, and greys stored as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auxbench.data.colours import NONE, Bytes, Labels, Legend, palette
from auxbench.data.kinds import Classes, Map

from . import maps
from .relief import BANDS

Colours = Mapping[str, tuple[int, int, int]]

LANDCOVER: Colours = {
    "water": (60, 110, 170),
    "evergreen needleleaf": (5, 69, 10),
    "evergreen broadleaf": (8, 106, 16),
    "deciduous needleleaf": (84, 167, 8),
    "deciduous broadleaf": (120, 210, 3),
    "mixed forest": (0, 153, 0),
    "closed shrubland": (198, 176, 68),
    "open shrubland": (220, 209, 89),
    "woody savanna": (218, 222, 72),
    "savanna": (251, 255, 19),
    "grassland": (182, 255, 5),
    "wetland": (39, 255, 135),
    "cropland": (194, 79, 68),
    "urban": (120, 0, 120),
    "cropland mosaic": (255, 109, 76),
    "snow and ice": (105, 255, 248),
    "barren": (249, 234, 200),
}
CLIMATE: Colours = {
    "A tropical": (0, 110, 220),
    "B arid": (230, 130, 40),
    "C temperate": (90, 170, 60),
    "D continental": (130, 90, 180),
    "E polar": (190, 215, 225),
}
RELIEF: Colours = dict(
    zip(
        BANDS,
        (
            (70, 140, 85),
            (165, 195, 120),
            (235, 220, 160),
            (205, 160, 95),
            (140, 90, 50),
            (245, 245, 245),
        ),
        strict=True,
    )
)
COAST: Colours = {"no coast": (225, 225, 215), "coast": (20, 60, 120)}


class MapClasses(Classes):
    """Classes for every pixel, by name, each with its colour."""

    def __init__(self, colours: Colours) -> None:
        super().__init__(tuple(colours))
        self.colours = np.array([*colours.values(), NONE], np.uint8)

    def paint(self, target: Labels) -> Bytes:
        painted: Bytes = self.colours[target.astype(np.int64)]
        return painted

    def legend(self, targets: Labels) -> Legend:
        usual = map(tuple, palette(self.classes).tolist())
        ours = dict(zip(usual, map(tuple, self.colours.tolist()), strict=True))
        return [(ours[colour or ()], words) for colour, words in super().legend(targets)]


class Grey(Map):
    """A map of greys from 0 to 1, stored as bytes; `maps.NONE` is no label."""

    def decode(self, stored: Any) -> Tensor:
        greys = torch.from_numpy(np.ascontiguousarray(stored))[:, None]
        return (greys / (maps.NONE - 1)).masked_fill(greys == maps.NONE, torch.nan)
