"""Scenes: pictures of generated rooms with exact labels, as compact arrays.

A scene is determined by its draw, its split and its number alone: neither the number of scenes nor
the process that draws it changes a bit of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._filters import edges, keypoints
from .render import normals, picture, visible
from .room import room
from .sensing import unlabelled, unmeasured
from .shapes import Floats
from .style import Rng

VERSION = 1  # of the generator; raise it with any change that alters a pixel or a label
SPLITS = ("train", "validation", "test")
IGNORE = -1

# values are stored as integers: what stands for 1 in each array
DEPTH = 1000
NORMALS = 32767
EDGES = 65535
KEYPOINTS = 65535 * 16

Scene = dict[str, npt.NDArray[Any]]


def layout(side: int) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    """The arrays of a scene: the type and shape of each.

    `image` is RGB. `segmentation` holds indices into `CLASSES`, -1 for none; `depth` millimetres
    along the optical axis, 0 for none; `normals` components in 1/32767 with x right, y down and
    z forward, the zero vector for none; `edges` 1/65535 of a response in [0, 1]; `keypoints`
    1/16 of that; `scene` an index into `SCENES`. Rounding is thus at most 0.5 mm of depth and 0.002
    degrees of a normal.
    """
    return {
        "image": (np.uint8, (side, side, 3)),
        "segmentation": (np.int8, (side, side)),
        "depth": (np.uint16, (side, side)),
        "normals": (np.int16, (3, side, side)),
        "edges": (np.uint16, (side, side)),
        "keypoints": (np.uint16, (side, side)),
        "scene": (np.int64, ()),
    }


def scene(split: str, index: int, side: int, draw: int = 0) -> Scene:
    """The scene with that number in a split of a draw, at `side` x `side` pixels.

    Its arrays are those of `layout`. Depth, normals and segmentation are exact at the pixels'
    centres, the picture is the mean of 2 x 2 rays per pixel, and edges and keypoints are computed
    from the picture.

    >>> scene("train", 0, 16)["image"].shape
    (16, 16, 3)
    """
    rng = np.random.default_rng([VERSION, SPLITS.index(split), index, draw])
    made = room(rng)
    light = picture(made.solids, made.materials, made.light, made.camera, side)
    image = _developed(light, rng)
    depth, number = visible(made.solids, made.camera, side)
    normal = normals(made.solids, made.camera, depth, number)
    labels = made.solids.label[number]
    no_depth, no_normal = unmeasured(depth, labels, _slant(normal, made.camera.grid(side)), rng)
    return {
        "image": image,
        "segmentation": np.where(unlabelled(labels, number, rng), IGNORE, labels).astype(np.int8),
        "depth": np.where(no_depth, 0, np.rint(depth * DEPTH)).astype(np.uint16),
        "normals": np.where(no_normal, 0, np.rint(normal * NORMALS)).astype(np.int16),
        "edges": np.rint(edges(image) * EDGES).astype(np.uint16),
        "keypoints": np.rint(np.minimum(keypoints(image) * KEYPOINTS, 65535)).astype(np.uint16),
        "scene": np.array(made.scene, np.int64),
    }


def _slant(normal: Floats, grid: Floats) -> Floats:
    """The cosine [side, side] between the normals and the direction to the camera."""
    ray = np.stack((*np.meshgrid(grid, grid), np.ones((len(grid), len(grid)), np.float32)))
    cosine: Floats = -(normal * ray).sum(0) / np.sqrt((ray * ray).sum(0))
    return cosine


def _developed(light: Floats, rng: Rng) -> npt.NDArray[np.uint8]:
    """The picture that a camera with random exposure, white balance and grain takes."""
    side = len(light)
    balance = rng.uniform(0.93, 1.07, 3).astype(np.float32)
    exposure = rng.uniform(0.36, 0.66) / max(float(np.median(light)), 1e-3)
    place = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    vignette = 1 - np.float32(rng.uniform(0, 0.12)) * (place[:, None] ** 2 + place**2)
    exposed = light * (balance * np.float32(exposure)) * vignette[:, :, None]
    tone = np.sqrt(1 - np.exp(-exposed))
    grain = rng.standard_normal(tone.shape, dtype=np.float32)
    tone += grain * np.float32(rng.uniform(0.006, 0.022))
    image: npt.NDArray[np.uint8] = np.rint(np.clip(tone, 0, 1) * 255).astype(np.uint8)
    return image
