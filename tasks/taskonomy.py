"""Taskonomy: scanned buildings with the labels of twelve tasks, from geometry and from teachers.

The data are not part of auxbench: the user gets as many domains and buildings as there is room for,
and `auxbench data prepare taskonomy --source DIR` makes fast local files of them once. There is a
task for every domain that was there:

| task | domain | label |
|---|---|---|
| segmentation | segment_semantic | one of 16 things or background, by a teacher |
| depth, distance | depth_zbuffer, depth_euclidean | metres |
| normals | normal | unit vectors with x right, y down, z forward |
| edges, keypoints | edge_texture, keypoints2d | responses of filters on the picture |
| occlusions, keypoints3d | edge_occlusion, keypoints3d | responses of filters on the geometry |
| reshading | reshading | brightness of the bare surface under another light |
| curvature | principal_curvature | the two principal curvatures, 0 where it is flat |
| object, scene | class_object, class_scene | one of 100 and 63 classes, by teachers |

`depth` is measured along the optical axis, as in NYU v2 and in the literature on this data set;
`distance` is measured from the camera. Beyond 16 m, where scans see out of windows, neither has a
label. Segmentation, object and scene are what networks said: scores on them are agreement with a
teacher. Where the teacher of segmentation was unsure there is no label. `targets=soft` trains
object and scene on all of the teacher's probabilities, as the authors did; they are scored against
its first choice in any case.

Training, validation and test are the official ones, of different buildings. The superpixels, which
are numbers without a meaning across pictures, and tasks on pairs of pictures are left out.

Sources: Zamir, Sax, Shen, Guibas, Malik and Savarese, Taskonomy: Disentangling Task Transfer
Learning, CVPR 2018, https://arxiv.org/abs/1804.08328 (tasks, classes, ranges of edges and
keypoints); Standley, Zamir, Chen, Guibas, Malik and Savarese, Which Tasks Should Be Learned
Together in Multi-task Learning?, ICML 2020, https://arxiv.org/abs/1905.07553 (the limit of 16 m,
the mirror); Sun, Panda, Feris and Saenko, AdaShare, NeurIPS 2020,
https://arxiv.org/abs/1911.12423 (losses)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from auxbench import DATASETS, Batch, Dataset, Samples
from auxbench.data.arrays import Rows
from auxbench.data.augment import PLAIN, Kind, Protocol, augmented
from auxbench.data.dataset import Task
from auxbench.data.losses import IGNORE, cross_entropy, depth_l1, l1, normals_cosine, single
from auxbench.data.metrics import (
    Accuracy,
    Delta125,
    DepthAbs,
    DepthRel,
    DepthRMSE,
    L1Error,
    MeanIoU,
    NormalsMean,
    NormalsMedian,
    NormalsRMSE,
    PixelAccuracy,
    TopK,
    Within,
)
from auxbench.data.prepared.form import NORMAL, RESPONSE, Prepared, place
from auxbench.data.prepared.samples import (
    Offered,
    PreparedSamples,
    classes,
    depths,
    normals,
    pictures,
    refuse_enlarging,
    responses,
)
from auxbench.errors import UsageError
from auxbench.spec.grammar import Help, Place

from ._filters import keypoints
from ._layouts.encode import Raw
from ._layouts.taskonomy import BENT, DOMAINS, FLAT, METRE, OBJECTS, SCENES, SEGMENTS, UNKNOWN
from ._rooms.scenes import DEPTH as ROOMS_DEPTH
from ._rooms.scenes import EDGES as ROOMS_EDGES
from ._rooms.scenes import KEYPOINTS as ROOMS_KEYPOINTS
from ._rooms.scenes import NORMALS as ROOMS_NORMALS
from ._rooms.store import draw
from ._scale import check_side

FAR = 16.0  # metres

# Responses from here on are targets of 1.
RANGES = {
    "edges": 0.08,
    "occlusions": 0.00625,
    "keypoints": 0.005,
    "keypoints3d": 1.0,
    "reshading": 1.0,
}

KINDS: Mapping[str, Kind] = {
    "segmentation": "classes",
    "depth": "depth",
    "distance": "depth",
    "normals": "normals",
    **dict.fromkeys((*RANGES, "curvature"), "map"),
    "object": "label",
    "scene": "label",
}
# no zoom: it would bring things closer, and distances do not follow it as depths do
AUGMENTATIONS = {"mirror": Protocol(), "none": PLAIN}


def soft_cross_entropy(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of softmax scores [B, C] to probabilities [B, C], in nats; NaN is no label.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015,
    https://arxiv.org/abs/1503.02531

    >>> target = torch.tensor([[0.5, 0.5], [float("nan")] * 2])
    >>> sums, counts = soft_cross_entropy(torch.zeros(2, 2), target)
    >>> sums.exp().tolist(), counts.tolist()
    ([2.0, 1.0], [1.0, 0.0])
    """
    valid = ~target.isnan().any(1)
    goal = torch.where(valid[:, None], target, 0)
    losses = -(goal * single(prediction).log_softmax(1)).sum(1)
    return torch.where(valid, losses, 0), valid.to(losses.dtype)


class SoftAccuracy(Accuracy):
    """The share of samples whose highest score is that of the teacher's most probable class."""

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return super().values(prediction, _first_choice(target))


class SoftTopK(TopK):
    """The share of samples whose `k` highest scores hold the teacher's most probable class."""

    def values(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return super().values(prediction, _first_choice(target))


def _first_choice(chances: Tensor) -> Tensor:
    """The most probable class, int64 [B], by probabilities [B, C]; -1 for NaN."""
    known = ~chances.isnan().any(1)
    return torch.where(known, chances.nan_to_num().argmax(1), IGNORE)


_DELTAS = (Delta125, partial(Delta125, 2), partial(Delta125, 3))
_ANGLES = (NormalsMean, NormalsMedian, NormalsRMSE)
_WITHIN = (partial(Within, 11.25), partial(Within, 22.5), partial(Within, 30))
_SEGMENTS = (partial(MeanIoU, len(SEGMENTS)), partial(PixelAccuracy, len(SEGMENTS)))
_RANKS = (Accuracy, partial(TopK, 5))
_SOFT_RANKS = (SoftAccuracy, partial(SoftTopK, 5))

TASKS: Mapping[str, Task] = {
    "segmentation": Task("segmentation", len(SEGMENTS), True, cross_entropy, _SEGMENTS, SEGMENTS),
    **{
        name: Task(name, 1, True, depth_l1, (DepthAbs, DepthRel, DepthRMSE, *_DELTAS))
        for name in ("depth", "distance")
    },
    "normals": Task("normals", 3, True, normals_cosine, (*_ANGLES, *_WITHIN)),
    **{name: Task(name, 1, True, l1, (L1Error,)) for name in RANGES},
    "curvature": Task("curvature", 2, True, l1, (L1Error,)),
    "object": Task("object", len(OBJECTS), False, cross_entropy, _RANKS, OBJECTS),
    "scene": Task("scene", len(SCENES), False, cross_entropy, _RANKS, SCENES),
}
SOFT: Mapping[str, Task] = {
    name: replace(TASKS[name], loss=soft_cross_entropy, metrics=_SOFT_RANKS)
    for name in ("object", "scene")
}


def _lacking(name: str) -> str:
    return (
        f"task '{name}' has no files in what 'taskonomy' was prepared from; get the domain "
        f"'{DOMAINS[name]}' and prepare it again."
    )


@DATASETS.register
class Taskonomy(Dataset):
    """Taskonomy's tree, prepared by `auxbench data prepare taskonomy --source DIR`.

    `data` is the prepared folder: a name in the cache folder (by default taskonomy-official) or a
    path. Pictures have `side` x `side` pixels and are always seen whole; `augment` is what training
    does, the mirror or nothing. `targets` says what object and scene are trained on: the teacher's
    first choice (hard) or all its probabilities (soft).

    Prepared pictures are never enlarged unless `enlarge` says so.

    Errors: `UsageError` for data that are not prepared, and a task that the data lack.
    """

    licence = "research terms of Taskonomy and Omnidata: non-commercial research and education only"
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
        self.size = (side, side)
        self.layout = layout
        self.enlarge = enlarge
        self.data = data or f"taskonomy-{layout}"
        self.protocol = AUGMENTATIONS[augment]
        self.soft = targets == "soft"
        names = self._names()
        self.tasks = Offered({**TASKS, **SOFT} if self.soft else TASKS, names, _lacking)
        self.primary = next(iter(self.tasks), Taskonomy.primary)
        self.auxiliaries = tuple(name for name in Taskonomy.auxiliaries if name in names)

    @classmethod
    def tiny(cls) -> Dataset:
        return _Tiny(side=32)

    def prepare(self) -> None:
        for split in ("train", "validation", "test"):
            self.samples(split)

    def samples(self, split: str) -> Samples:
        prepared, names = self.opened(), frozenset({"image", *self.tasks})
        if not self.enlarge:
            refuse_enlarging(prepared, self.size, "side=N")
        return PreparedSamples(prepared.arrays(split, names), self._finish)

    def identity(self) -> dict[str, Any]:
        return self.opened().identity

    def opened(self) -> Prepared:
        """The prepared form; errors: `UsageError` if it is not there."""
        return Prepared.open(place(self.data), "taskonomy", self.layout)

    def _names(self) -> Sequence[str]:
        """The tasks of what is prepared; all as long as nothing is."""
        try:
            return tuple(self.opened().card["arrays"])
        except UsageError:
            return tuple(TASKS)

    def _finish(self, rows: Rows, rng: np.random.Generator | None) -> Batch:
        targets = {name: self._target(name, rows[name]) for name in self.tasks}
        batch = Batch(pictures(rows["image"]), targets)
        return augmented(batch, KINDS, self.size, self.protocol, rng)

    def _target(self, name: str, values: Raw) -> Tensor:
        """The target of a task, decoded from its array of the prepared form."""
        if name in RANGES:
            return maps(values, RANGES[name])
        if name in ("depth", "distance"):
            metres = depths(values, METRE)
            return metres.masked_fill_(metres > FAR, 0)
        if name == "normals":
            return normals(values)
        if name == "curvature":
            bent = torch.from_numpy(values)
            return (bent / FLAT).masked_fill_(bent == BENT, torch.nan)
        if name in SOFT:
            chances = torch.from_numpy(values)
            chances = torch.where(chances.any(1, keepdim=True), chances, torch.nan)
            return chances if self.soft else _first_choice(chances)
        return classes(values)


def maps(steps: Raw, full: float) -> Tensor:
    """Responses, float32 [B, 1, H, W] in [0, 1], from uint16 [B, H, W]; NaN is no label.

    >>> maps(np.array([[[0, 65534, 65535]]], np.uint16), 0.5).tolist()
    [[[[0.0, 1.0, nan]]]]
    """
    unknown = torch.from_numpy(steps == UNKNOWN)[:, None]
    return responses(steps, full).masked_fill_(unknown, torch.nan)


class _Tiny(Taskonomy):
    """A few scenes drawn as for 'rooms', with all tasks."""

    def __init__(self, *, side: int) -> None:
        super().__init__(side=side)
        self.tasks = TASKS
        self.primary, self.auxiliaries = Taskonomy.primary, Taskonomy.auxiliaries

    def prepare(self) -> None:
        """Nothing to do: the scenes are drawn when they are read."""

    def samples(self, split: str) -> Samples:
        return PreparedSamples(
            _drawn(split, 8 if split == "train" else 4, self.size[0]), self._finish
        )


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
    """Probabilities [N, count] of nine tenths for the chosen classes."""
    hot = np.asarray(chosen)[:, None] == np.arange(count)
    return np.where(hot, 0.9, 0.1 / (count - 1)).astype(np.float32)
