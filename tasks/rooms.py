"""Drawn rooms with exact labels for six tasks, made by auxbench itself: nothing to download.

Furnished bedrooms, living rooms, offices, dining rooms and studies are drawn by a ray caster, with
textures, shadows, sunlight and sensor noise. Segmentation has the 13 classes of NYU Depth v2 in
their usual order, depth is in metres, normals are unit vectors with x right, y down and z forward,
edges and keypoints are computed from the picture as Taskonomy does, and the scene is the use of
the room. Some labels are missing on purpose, as in measured data: about 5 % of the segmentation,
4 % of the depth and 8 % of the normals.

The scenes are drawn on all cores when they are first needed (about 35 per second and core at 64
pixels) and kept in the cache folder.

Sources: for the classes, Silberman, Hoiem, Kohli and Fergus, Indoor Segmentation and Support
Inference from RGBD Images, ECCV 2012, https://doi.org/10.1007/978-3-642-33715-4_54, in the
grouping of Couprie, Farabet, Najman and LeCun, Indoor Semantic Segmentation using Depth
Information, ICLR 2013, https://arxiv.org/abs/1301.3572; for edges and keypoints, Zamir, Sax, Shen,
Guibas, Malik and Savarese, Taskonomy: Disentangling Task Transfer Learning, CVPR 2018,
https://arxiv.org/abs/1804.08328
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated

import numpy as np
import torch

from auxbench import DATASETS, Batch, Dataset, Samples
from auxbench.data.arrays import ArraySamples, Rows, normalised
from auxbench.data.dataset import Draw, InMemory, Task, named
from auxbench.data.kinds import Classes, Depth, Label, Map, Normals
from auxbench.data.prepared.cache import root
from auxbench.errors import UsageError
from auxbench.spec.marks import Help

from ._rooms.room import SCENES
from ._rooms.scenes import DEPTH, EDGES, KEYPOINTS, NORMALS, SPLITS
from ._rooms.shapes import CLASSES
from ._rooms.store import Store, draw

EDGE_RANGE = 0.2  # responses from here on give a target of 1; about one in a hundred is larger
KEYPOINT_RANGE = 0.01
SIDES = (16, 512)


@DATASETS.register
class Rooms(Dataset):
    """Drawn rooms of `side` x `side` pixels, with a chosen number of them in each split.

    Every seed draws its own. A scene depends only on the draw, its split, its number and the
    version of the generator, so a larger split begins with the scenes of a smaller one. Training
    mirrors half of the samples.

    Errors: `UsageError` for a side outside 16..512, an empty split, and a cache folder that cannot
    hold the data.
    """

    licence = "Apache-2.0 (drawn by auxbench)"
    tasks: Mapping[str, Task] = named(
        {
            "segmentation": Classes(CLASSES),
            "depth": Depth(),
            "normals": Normals(),
            "edges": Map(),
            "keypoints": Map(),
            "scene": Label(SCENES),
        }
    )
    primary = "segmentation"
    auxiliaries = ("depth", "normals")

    def __init__(
        self,
        *,
        side: Annotated[int, Help("Image side in pixels.")] = 64,
        train: Annotated[int, Help("Number of training scenes.")] = 600,
        validation: Annotated[int, Help("Number of validation scenes.")] = 200,
        test: Annotated[int, Help("Number of test scenes.")] = 400,
        draw: Draw = None,
    ) -> None:
        if not SIDES[0] <= side <= SIDES[1]:
            raise UsageError(
                f"side '{side}' of 'rooms' is not possible; choose {SIDES[0]} to {SIDES[1]}."
            )
        self.side = side
        self.draw = draw or 0
        self.size = (side, side)
        self.counts = dict(zip(SPLITS, (train, validation, test), strict=True))
        for split, count in self.counts.items():
            if count < 1:
                raise UsageError(f"{split} '{count}' of 'rooms' is too small; choose 1 or more.")

    @classmethod
    def tiny(cls) -> Dataset:
        return cls(side=32, train=8, validation=4, test=4).drawn()

    def prepare(self) -> None:
        folder = root()
        try:
            Store(folder, self.side, self.counts, self.draw).prepare()
        except OSError as error:
            raise UsageError(
                f"cache folder '{folder}' cannot hold the data set 'rooms' ({error.strerror}); "
                "make room or set AUXBENCH_CACHE to another folder."
            ) from None

    def first(self, count: int) -> Dataset:
        fewer = {split: min(count, own) for split, own in self.counts.items()}
        return type(self)(side=self.side, draw=self.draw, **fewer).drawn()

    def drawn(self) -> Dataset:
        """The same scenes, drawn in memory when they are read."""

        def samples(split: str) -> Samples:
            return ArraySamples(
                _drawn_once(split, self.counts[split], self.side, self.draw), _batch
            )

        return InMemory(self, samples)

    def samples(self, split: str) -> Samples:
        self.prepare()
        return ArraySamples(Store(root(), self.side, self.counts, self.draw).open(split), _batch)


@cache
def _drawn_once(split: str, count: int, side: int, number: int) -> Rows:
    rows = draw(split, 0, count, side, number)
    for array in rows.values():
        array.flags.writeable = False  # all tiny data sets of a process share them
    return rows


def _batch(rows: Rows, rng: np.random.Generator | None) -> Batch:
    images, labels = rows["image"], {name: rows[name] for name in Rooms.tasks}
    if rng is not None:
        mirrored = rng.random(len(images)) < 0.5
        images[mirrored] = images[mirrored, :, ::-1]
        for name, task in Rooms.tasks.items():
            if task.dense:
                labels[name][mirrored] = task.kind.mirrored(labels[name][mirrored])
    edges = np.minimum(labels["edges"] / np.float32(EDGES * EDGE_RANGE), 1)
    keypoints = np.minimum(labels["keypoints"] / np.float32(KEYPOINTS * KEYPOINT_RANGE), 1)
    targets = {
        "segmentation": labels["segmentation"].astype(np.int64),
        "depth": labels["depth"][:, None] / np.float32(DEPTH),
        "normals": labels["normals"] / np.float32(NORMALS),
        "edges": edges[:, None],
        "keypoints": keypoints[:, None],
        "scene": labels["scene"],
    }
    return Batch(
        normalised(images), {name: torch.from_numpy(array) for name, array in targets.items()}
    )
