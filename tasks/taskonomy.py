"""Taskonomy: scanned buildings with the labels of twelve tasks, from geometry and from teachers.

The data are not part of auxbench: the user gets as many domains and buildings as there is room for,
and `auxbench data prepare taskonomy --source DIR` converts them once into fast local files. Every
domain that is present gives a task:

| task | domain | label |
|---|---|---|
| segmentation | segment_semantic | one of 16 objects or background, by a teacher |
| depth, distance | depth_zbuffer, depth_euclidean | metres |
| normals | normal | unit vectors with x right, y down, z forward |
| edges, keypoints | edge_texture, keypoints2d | responses of filters on the picture |
| occlusions, keypoints3d | edge_occlusion, keypoints3d | responses of filters on the geometry |
| reshading | reshading | brightness of the bare surface under another light |
| curvature | principal_curvature | the two principal curvatures, 0 where it is flat |
| object, scene | class_object, class_scene | one of 100 and 63 classes, by teachers |

`depth` is measured along the optical axis, as in NYU v2 and in the literature on this data set;
`distance` is measured from the camera. Beyond 16 m, where scans see out of windows, neither has a
label. The labels of segmentation, object and scene are predictions of networks: scores on them
measure agreement with a teacher. Where the teacher of segmentation was unsure, there is no label.
`targets=soft` trains object and scene on all of the teacher's probabilities, as the authors did;
they are scored against its first choice in any case.

The splits are the official ones, which share no building. Superpixels, whose numbers have no
meaning across pictures, and tasks on pairs of pictures are left out.

Sources: Zamir, Sax, Shen, Guibas, Malik and Savarese, Taskonomy: Disentangling Task Transfer
Learning, CVPR 2018, https://arxiv.org/abs/1804.08328 (tasks, classes, ranges of edges and
keypoints); Standley, Zamir, Chen, Guibas, Malik and Savarese, Which Tasks Should Be Learned
Together in Multi-task Learning?, ICML 2020, https://arxiv.org/abs/1905.07553 (the limit of 16 m,
the mirror); Sun, Panda, Feris and Saenko, AdaShare, NeurIPS 2020,
https://arxiv.org/abs/1911.12423 (losses)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from auxbench import DATASETS, Batch, Dataset
from auxbench.data.arrays import Rows
from auxbench.data.augment import decoded_and_augmented
from auxbench.data.dataset import Indices, Task, named
from auxbench.data.kinds import Classes, Depth, Label, Map, Normals, Probabilities
from auxbench.data.metrics import first_choice
from auxbench.data.prepared.dataset import PreparedDataset
from auxbench.data.prepared.decode import Raw, responses
from auxbench.data.prepared.form import NORMAL, RESPONSE
from auxbench.data.views import PLAIN, Protocol
from auxbench.errors import UsageError
from auxbench.spec.marks import Help, Place

from ._filters import keypoints
from ._layouts.taskonomy import BENT, DOMAINS, FLAT, METRE, UNKNOWN
from ._layouts.taskonomy_classes import OBJECTS, SCENES, SEGMENTS
from ._rooms.scenes import DEPTH as ROOMS_DEPTH
from ._rooms.scenes import EDGES as ROOMS_EDGES
from ._rooms.scenes import KEYPOINTS as ROOMS_KEYPOINTS
from ._rooms.scenes import NORMALS as ROOMS_NORMALS
from ._rooms.store import draw
from ._scale import check_side

FAR = 16.0  # metres

# Responses from here on give a target of 1.
RANGES = {
    "edges": 0.08,
    "occlusions": 0.00625,
    "keypoints": 0.005,
    "keypoints3d": 1.0,
    "reshading": 1.0,
}

# no zoom, which would bring things closer: it scales depths, but not distances
AUGMENTATIONS = {"mirror": Protocol(), "none": PLAIN}


class Response(Map):
    """A filter's response, some elements of which are unknown."""

    def decode(self, stored: Any) -> Tensor:
        return maps(stored, self.full)


class Curvature(Map):
    """Two principal curvatures."""

    def __init__(self) -> None:
        super().__init__(channels=2)

    def decode(self, stored: Any) -> Tensor:
        bent = torch.from_numpy(stored)
        return (bent / FLAT).masked_fill_(bent == BENT, torch.nan)


class FirstChoice(Label):
    """The class that a teacher finds most probable, stored as its probabilities for all classes."""

    def decode(self, stored: Any) -> Tensor:
        return first_choice(Probabilities(self.names).decode(stored))


TASKS: Mapping[str, Task] = named(
    {
        "segmentation": Classes(SEGMENTS),
        "depth": Depth(FAR, METRE),
        "distance": Depth(FAR, METRE),
        "normals": Normals(),
        **{name: Response(full=full) for name, full in RANGES.items()},
        "curvature": Curvature(),
        "object": FirstChoice(OBJECTS, top=5),
        "scene": FirstChoice(SCENES, top=5),
    }
)
SOFT: Mapping[str, Task] = named(
    {"object": Probabilities(OBJECTS, top=5), "scene": Probabilities(SCENES, top=5)}
)


def _lacking(name: str) -> str:
    return (
        f"task '{name}' has no files in what 'taskonomy' was prepared from; get the domain "
        f"'{DOMAINS[name]}' and prepare it again."
    )


@DATASETS.register
class Taskonomy(PreparedDataset):
    """Taskonomy's tree, prepared by `auxbench data prepare taskonomy --source DIR`.

    `data` is the prepared folder: a name in the cache folder (by default taskonomy-official) or a
    path. Pictures have `side` x `side` pixels and are always complete; `augment` says whether
    training mirrors them at random, and `targets` what object and scene are trained on: the
    teacher's first choice (hard) or all its probabilities (soft).

    Prepared pictures are never enlarged unless `enlarge` is set.

    Errors: `UsageError` for data that are not prepared, and a task that the data lack.
    """

    licence = "research terms of Taskonomy and Omnidata: non-commercial research and education only"
    name = "taskonomy"
    larger = "side=N"
    layouts = "auxbench.tasks._layouts.taskonomy"
    tasks: Mapping[str, Task] = TASKS
    primary = "segmentation"
    auxiliaries: tuple[str, ...] = ("depth", "normals")

    def __init__(
        self,
        *,
        side: Annotated[int, Help("Image side in pixels; pictures are always complete.")] = 64,
        layout: Annotated[
            Literal["official"], Help("Layout that the data were prepared from.")
        ] = "official",
        data: Annotated[
            Place,
            Help(
                "Prepared folder, a name in the cache folder or a path; by default "
                "taskonomy-LAYOUT."
            ),
        ] = "",
        enlarge: Annotated[bool, Help("Whether prepared pictures may be enlarged.")] = False,
        augment: Annotated[
            Literal["mirror", "none"], Help("Augmentation in training: mirrored pictures, or none.")
        ] = "mirror",
        targets: Annotated[
            Literal["hard", "soft"],
            Help(
                "Labels of object and scene: the likeliest class (hard), or probabilities (soft)."
            ),
        ] = "hard",
    ) -> None:
        check_side("taskonomy", side)
        super().__init__(
            {**TASKS, **SOFT} if targets == "soft" else TASKS,
            _lacking,
            size=(side, side),
            layout=layout,
            data=data,
            enlarge=enlarge,
            protocol=AUGMENTATIONS[augment],
        )

    @classmethod
    def tiny(cls) -> Dataset:
        return cls(side=32).from_drawn_rooms()

    @property
    def frame(self) -> None:
        """None, since `size` always shows the complete picture."""

    def source(self, split: str) -> str:
        return split

    def rows(self, split: str, count: int) -> Indices:
        return np.arange(count)

    def arrays(self) -> frozenset[str]:
        return frozenset({"image", *self.tasks})

    @staticmethod
    def drawn(split: str, count: int, side: int) -> Rows:
        return _drawn(split, count, side)

    def offered(self) -> Sequence[str]:
        """The tasks of the prepared data; all tasks if nothing is prepared."""
        try:
            return tuple(self.opened().card["arrays"])
        except UsageError:
            return tuple(TASKS)

    def finish(self, rows: Rows, rng: np.random.Generator | None) -> Batch:
        return decoded_and_augmented(rows, {}, self.tasks, self.size, self.protocol, rng)


def maps(steps: Raw, full: float) -> Tensor:
    """Responses, float32 [B, 1, H, W] in [0, 1], from uint16 [B, H, W]; NaN means no label.

    >>> maps(np.array([[[0, 65534, 65535]]], np.uint16), 0.5).tolist()
    [[[[0.0, 1.0, nan]]]]
    """
    unknown = torch.from_numpy(steps == UNKNOWN)[:, None]
    return responses(steps, full).masked_fill_(unknown, torch.nan)


@cache
def _drawn(split: str, count: int, side: int) -> Rows:
    scenes = draw(split, 0, count, side)
    # the class of 17 for each of the rooms' 13: bed, books, chair, objects, sofa, table, tv
    segments = np.array([5, 14, 0, 2, 0, 0, 16, 0, 3, 6, 8, 0, 0, -1], np.int8)
    metres = scenes["depth"] / ROOMS_DEPTH
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    vectors = np.moveaxis(scenes["normals"] / ROOMS_NORMALS, 1, -1)
    lost = (scenes["depth"] == 0) | (np.abs(vectors).sum(-1) == 0)
    jumps = ndimage.morphological_gradient(metres, (1, 3, 3))
    corners = np.stack([keypoints(np.rint(127.5 * (one + 1)).astype(np.uint8)) for one in vectors])
    slopes = np.stack([np.gradient(vectors[..., axis], axis=2 - axis) for axis in (0, 1)], 1)
    bends = np.rint(slopes.clip(-1, 1) * FLAT)
    most = [np.bincount(one[one >= 0]).argmax() for one in scenes["segmentation"]]
    rows = {
        "image": np.ascontiguousarray(scenes["image"].transpose(0, 3, 1, 2)),
        "segmentation": segments[scenes["segmentation"]],
        "depth": np.rint(metres * METRE).astype(np.uint16),
        "distance": np.rint(metres * np.sqrt(1 + x * x + y * y) * METRE).astype(np.uint16),
        "normals": np.rint(scenes["normals"] / (ROOMS_NORMALS / NORMAL)).astype(np.int8),
        "edges": _steps(scenes["edges"] / ROOMS_EDGES),
        "keypoints": _steps(scenes["keypoints"] / ROOMS_KEYPOINTS),
        "occlusions": _steps(RANGES["occlusions"] * jumps, lost),
        "keypoints3d": _steps(corners, lost),
        "reshading": _steps(-vectors[..., 2], lost),
        "curvature": np.where(lost[:, None], BENT, bends).astype(np.int8),
        "object": _likely(most, len(OBJECTS)),
        "scene": _likely(scenes["scene"], len(SCENES)),
    }
    for array in rows.values():
        array.flags.writeable = False  # all tiny data sets of a process share them
    return rows


def _steps(values: Raw, lost: Raw | None = None) -> Raw:
    steps = np.rint(values.clip(0, 1) * RESPONSE).clip(0, UNKNOWN - 1)
    return np.where(False if lost is None else lost, UNKNOWN, steps).astype(np.uint16)


def _likely(chosen: npt.ArrayLike, count: int) -> Raw:
    """Probabilities [N, count], nine tenths for the chosen classes."""
    hot = np.asarray(chosen)[:, None] == np.arange(count)
    return np.where(hot, 0.9, 0.1 / (count - 1)).astype(np.float32)
