"""Cityscapes: street scenes with 19 or 7 classes, disparity, depth and instance boundaries.

The data are not part of auxbench: the user registers with the authors to get them, or has MTAN's
version, and `auxbench data prepare cityscapes --source DIR` converts them once into fast local
files. The tasks depend on the layout:

| layout | what it is | tasks |
|---|---|---|
| official | leftImg8bit, gtFine, disparity, camera | all |
| mtan | .npy files at 128 x 256 or 256 x 512 | segmentation7, disparity, and maybe segmentation19 |

`disparity` is what the multi-task literature calls depth here: the number in the authors' 16-bit
file divided by 65535, as in MTAN's files. It is 0.996 at 255 pixels, larger where things are
closer, and 0 where there is none. `depth` is in metres, up to 80 m: baseline times focal length of
the frame's own camera, divided by disparity. Beyond that, an error of one pixel is an error of tens
of metres. When training zooms in by s, everything is s times closer, so depth is divided by s and
disparity multiplied by s.

`segmentation7` has the categories of the ids (flat, construction, object, nature, sky, human,
vehicle). With `categories=evaluated`, ids that the 19 classes leave out, such as parking and
caravan, have no label; which of the two MTAN's own labels follow is not documented.

`boundaries` says where single persons, riders and vehicles end, as two classes, elsewhere and
boundary. Boundary pixels are few, so mIoU is the main metric.

The test split is the official validation split of 500 frames, since the labels of the official
test split are secret. For validation, whole cities are kept out of training: Bochum, Tübingen, Ulm
and Zürich, 457 of 2975 frames. The layout mtan does not say which city a frame is from; there, and
where these cities are missing or the only ones, validation uses the last 8 of every 50 frames.

Sources: Cordts, Omran, Ramos, Rehfeld, Enzweiler, Benenson, Franke, Roth and Schiele, The
Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016,
https://arxiv.org/abs/1604.01685; Liu, Johns and Davison, End-to-End Multi-Task Learning with
Attention, CVPR 2019, https://arxiv.org/abs/1803.10704 (layout, 7 classes, inverse depth)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auxbench import DATASETS, Batch, Dataset
from auxbench.data.arrays import Rows
from auxbench.data.augment import decoded_and_augmented
from auxbench.data.dataset import Indices, Task, named
from auxbench.data.kinds import Classes, Depth, Disparity
from auxbench.data.metrics import BalancedAccuracy, MeanIoU
from auxbench.data.prepared.dataset import PreparedDataset
from auxbench.data.prepared.decode import Raw, chosen
from auxbench.data.splits import last_of_blocks
from auxbench.data.views import MTAN, PLAIN
from auxbench.errors import UsageError
from auxbench.spec.marks import Help, Place

from ._layouts.cityscapes import FULL, LAYOUTS, NAMES7, NAMES19, NINETEEN, PIXEL, SEVEN, boundaries
from ._layouts.encode import parse_size
from ._rooms.scenes import DEPTH as ROOMS_DEPTH
from ._rooms.store import draw

FAR = 80.0  # metres, as is customary for streets
VALIDATION = ("bochum", "tubingen", "ulm", "zurich")
AUGMENTATIONS = {"mtan": MTAN, "none": PLAIN}

TASKS: Mapping[str, Task] = named(
    {
        "segmentation7": Classes(NAMES7),
        "segmentation19": Classes(NAMES19),
        "disparity": Disparity(FULL),
        "depth": Depth(FAR),
        "boundaries": Classes(
            ("elsewhere", "boundary"), (partial(MeanIoU, 2), partial(BalancedAccuracy, 2))
        ),
    }
)

# Sets of arrays of the prepared form; a task can be made from any one of its sets.
NEEDS: Mapping[str, tuple[frozenset[str], ...]] = {
    "segmentation7": (frozenset({"ids"}), frozenset({"segmentation7"})),
    "segmentation19": (frozenset({"ids"}), frozenset({"segmentation19"})),
    "disparity": (frozenset({"disparity"}),),
    "depth": (frozenset({"disparity", "camera"}),),
    "boundaries": (frozenset({"boundaries"}),),
}


def _lacking(layout: str, name: str) -> str:
    layouts = {one.name: one.tasks for one in LAYOUTS}
    if name in layouts[layout]:
        return (
            f"task '{name}' has no files in what 'cityscapes' was prepared from; prepare "
            "it from a folder in which auxbench data check finds them."
        )
    others = " or ".join(one for one, tasks in layouts.items() if name in tasks)
    hint = ", or the task 'disparity'" if name == "depth" else ""
    return (
        f"task '{name}' is not in the layout '{layout}' of 'cityscapes'; "
        f"choose cityscapes:layout={others}, which has it{hint}."
    )


@DATASETS.register
class Cityscapes(PreparedDataset):
    """Cityscapes from one `layout`, prepared by `auxbench data prepare cityscapes --source DIR`.

    `data` is the prepared folder: a name in the cache folder (by default cityscapes-official for
    the layout official, and so on) or a path. Pictures are squares of full height, scaled to `side`
    x `side` pixels: at a random place in training and in the middle otherwise; `size` (such as
    128x256, which the literature uses) takes the whole picture instead. `augment` is the
    augmentation in training: the scales 1, 1.2, 1.5 and the mirroring of MTAN, or none.
    `categories` says whether all ids have one of the 7 classes or only those among the 19.

    Prepared pictures are never enlarged unless `enlarge` is set.

    Errors: `UsageError` for data that are not prepared, an invalid size, and a task that the data
    lack.
    """

    licence = "non-commercial research and teaching only, after registration; not to be passed on"
    name = "cityscapes"
    layouts = "auxbench.tasks._layouts.cityscapes"
    tasks: Mapping[str, Task] = TASKS
    primary = "segmentation7"
    auxiliaries: tuple[str, ...] = ("disparity",)

    def __init__(
        self,
        *,
        side: Annotated[
            int,
            Help(
                "Image side in pixels: a random square at full height in training, else"
                " the middle one."
            ),
        ] = 64,
        size: Annotated[
            str,
            Help("Height x width of the complete picture, such as 128x256, in place of a square."),
        ] = "",
        layout: Annotated[
            Literal["official", "mtan"], Help("Layout that the data were prepared from.")
        ] = "official",
        data: Annotated[
            Place,
            Help(
                "Prepared folder, a name in the cache folder or a path; by default "
                "cityscapes-LAYOUT."
            ),
        ] = "",
        enlarge: Annotated[bool, Help("Whether prepared pictures may be enlarged.")] = False,
        augment: Annotated[Literal["mtan", "none"], Help("Augmentation in training.")] = "mtan",
        categories: Annotated[
            Literal["all", "evaluated"],
            Help("Ids that have one of the 7 classes: all, or only those among the 19 classes."),
        ] = "all",
    ) -> None:
        if not 8 <= side <= 1024:
            raise UsageError(f"side '{side}' of 'cityscapes' is not possible; choose 8 to 1024.")
        if layout == "mtan" and categories != "all":
            raise UsageError(
                f"categories '{categories}' of 'cityscapes' needs label ids, which the layout "
                "'mtan' lacks; choose cityscapes:layout=official."
            )
        self.seven = SEVEN if categories == "all" else np.where(NINETEEN < 0, -1, SEVEN)
        super().__init__(
            TASKS,
            partial(_lacking, layout),
            size=parse_size(size) if size else (side, side),
            layout=layout,
            data=data,
            enlarge=enlarge,
            protocol=AUGMENTATIONS[augment],
        )

    @classmethod
    def tiny(cls) -> Dataset:
        return cls(side=32).from_drawn_rooms()

    def rows(self, split: str, count: int) -> Indices:
        rows = np.arange(count)
        if split == "test":
            return rows
        held = held_out(count, self.opened().card["facts"].get("cities", ()))
        if held.all() or not held.any():
            raise UsageError(
                f"split 'train' of 'cityscapes' has {count} frames, too few to validate on "
                "some; prepare more."
            )
        chosen_rows: Indices = rows[held == (split == "validation")]
        return chosen_rows

    @staticmethod
    def drawn(split: str, count: int, side: int) -> Rows:
        return _drawn(split, count, side)

    def offered(self) -> tuple[str, ...]:
        """The tasks of the prepared data; all that the layout can have if nothing is prepared."""
        try:
            arrays = self.opened().card["arrays"].keys()
        except UsageError:
            return next(one.tasks for one in LAYOUTS if one.name == self.layout)
        return tuple(
            name for name, ways in NEEDS.items() if any(needed <= arrays for needed in ways)
        )

    def finish(self, rows: Rows, rng: np.random.Generator | None) -> Batch:
        derived = {"depth": lambda rows: metres(rows["disparity"], rows["camera"])}
        if "ids" in rows:
            derived["segmentation7"] = lambda rows: chosen(rows["ids"], self.seven)
            derived["segmentation19"] = lambda rows: chosen(rows["ids"], NINETEEN)
        return decoded_and_augmented(rows, derived, self.tasks, self.size, self.protocol, rng)


def metres(steps: Raw, camera: Raw) -> Tensor:
    """Depths, float32 [B, 1, H, W], from steps of disparity [B, H, W] and cameras [B].

    They are 0, which means no label, where there is no disparity and beyond `FAR`.

    >>> metres(np.array([[[0, 1, 2561]]], np.uint16), np.array([470.0], np.float32)).tolist()
    [[[[0.0, 0.0, 47.0]]]]
    """
    pixels = (torch.from_numpy(steps.astype(np.float32)) - 1) / PIXEL
    depth = torch.from_numpy(camera)[:, None, None] / pixels
    return torch.where((depth > 0) & (depth <= FAR), depth, 0)[:, None]


def held_out(count: int, cities: Sequence[tuple[str, int]]) -> npt.NDArray[np.bool_]:
    """Mark the training frames that are used for validation; `cities` are (name, frames), in order.

    >>> held_out(4, [("aachen", 3), ("ulm", 1)]).tolist()
    [False, False, False, True]
    """
    held = np.repeat([city in VALIDATION for city, _ in cities], [size for _, size in cities])
    if held.any() and not held.all():
        return held
    return last_of_blocks(count)


@cache
def _drawn(split: str, count: int, side: int) -> Rows:
    scenes = draw(split, 0, count, side + side // 4)
    # an id for each of the rooms' 13 classes; the last is for pixels without a class
    known = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 23, 24, 26, 33, 0])
    ids = known[scenes["segmentation"]]
    camera = np.full(count, 470.0, np.float32)
    far = 10 * scenes["depth"] / ROOMS_DEPTH
    pixels = camera[:, None, None] / np.maximum(far, 4.0)
    instances = np.where(ids >= 24, ids * 1000, ids)
    rows = {
        "image": np.ascontiguousarray(scenes["image"].transpose(0, 3, 1, 2)),
        "ids": ids.astype(np.int8),
        "boundaries": np.stack([boundaries(one) for one in instances]),
        "disparity": np.where(far > 0, np.rint(pixels * PIXEL) + 1, 0).astype(np.uint16),
        "camera": camera,
    }
    for array in rows.values():
        array.flags.writeable = False  # all tiny data sets of a process share them
    return rows
