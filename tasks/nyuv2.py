"""NYU Depth v2: photographs of rooms with 40 or 13 classes, depth, normals, edges, scene types.

The data are not part of auxbench: the user gets them in one of four layouts, and
`auxbench data prepare nyuv2 --source DIR` converts them once into fast local files. The tasks
depend on the layout:

| layout | what it is | tasks, besides edges and keypoints |
|---|---|---|
| mtan | .npy files at 288 x 384 | segmentation13, depth, normals |
| official | the authors' .mat file | segmentation40, segmentation13, depth, scene |
| nddr | PNG files of NDDR-CNN and Aux-NAS | segmentation40, segmentation13, normals |
| adashare | the same with depth | segmentation40, segmentation13, depth, normals |

'official' also has normals if Eigen's folder normals_gt is beside the file. Edges are computed from
the pictures by Taskonomy's formulas. So are keypoints, but only on request, since they take longer
than all the rest: `auxbench data prepare nyuv2:keypoints=yes --source DIR`. Depth is in metres;
normals are unit vectors with x right, y down and z forward.

The test split is the official one of 654 frames. There is no official validation split and the
literature selects on the test split; here validation uses the last 8 of every 50 training frames,
so that few pairs of neighbouring frames, which show the same room, are split between the two sets.

Sources: Silberman, Hoiem, Kohli and Fergus, Indoor Segmentation and Support Inference from RGBD
Images, ECCV 2012, https://doi.org/10.1007/978-3-642-33715-4_54; Gupta, Arbeláez and Malik,
Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images, CVPR 2013,
https://doi.org/10.1109/CVPR.2013.79 (40 classes); Couprie, Farabet, Najman and LeCun, Indoor
Semantic Segmentation using Depth Information, ICLR 2013, https://arxiv.org/abs/1301.3572 (13
classes); Zamir, Sax, Shen, Guibas, Malik and Savarese, Taskonomy, CVPR 2018,
https://arxiv.org/abs/1804.08328 (edges, keypoints); Liu, Johns and Davison, End-to-End Multi-Task
Learning with Attention, CVPR 2019, https://arxiv.org/abs/1803.10704 (augmentation)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Annotated, Literal

import numpy as np

from auxbench import DATASETS, Batch, Dataset
from auxbench.data.arrays import Rows
from auxbench.data.augment import decoded_and_augmented
from auxbench.data.dataset import Indices, Task, named
from auxbench.data.kinds import Classes, Depth, Label, Map, Normals
from auxbench.data.prepared.dataset import PreparedDataset
from auxbench.data.prepared.decode import chosen
from auxbench.data.prepared.form import NORMAL, RESPONSE
from auxbench.data.splits import last_of_blocks
from auxbench.data.views import AUXNAS, MTAN, PLAIN
from auxbench.errors import UsageError
from auxbench.spec.marks import Help, Place

from ._layouts.encode import KEYPOINT, depth_steps, parse_size
from ._layouts.nyuv2 import LAYOUTS
from ._layouts.nyuv2_classes import NAMES13, NAMES40, SCENES, THIRTEEN
from ._rooms.scenes import DEPTH as ROOMS_DEPTH
from ._rooms.scenes import EDGES as ROOMS_EDGES
from ._rooms.scenes import KEYPOINTS as ROOMS_KEYPOINTS
from ._rooms.scenes import NORMALS as ROOMS_NORMALS
from ._rooms.store import draw

EDGE_RANGE = 0.08  # responses from here on give a target of 1, as in Taskonomy's own training
KEYPOINT_RANGE = 0.005
AUGMENTATIONS = {"mtan": MTAN, "auxnas": AUXNAS, "none": PLAIN}

TASKS: Mapping[str, Task] = named(
    {
        "segmentation13": Classes(NAMES13),
        "segmentation40": Classes(NAMES40),
        "depth": Depth(),
        "normals": Normals(raw=True),
        "edges": Map(full=EDGE_RANGE),
        "keypoints": Map(full=KEYPOINT_RANGE * KEYPOINT / RESPONSE),
        "scene": Label(SCENES, top=5),
    }
)


def _lacking(layout: str, name: str) -> str:
    others = [one.name for one in LAYOUTS if name in one.tasks and one.name != layout]
    return (
        f"task '{name}' is not in the layout '{layout}' of 'nyuv2'; "
        f"choose nyuv2:layout={' or '.join(others)}, which has it."
        if others
        else f"task '{name}' was not prepared; auxbench data prepare nyuv2:{name}=yes --source DIR "
        "computes it, and says how to use it."
    )


@DATASETS.register
class Nyuv2(PreparedDataset):
    """NYU Depth v2 from one `layout`, prepared by `auxbench data prepare nyuv2 --source DIR`.

    `data` is the prepared folder: a name in the cache folder (by default nyuv2-mtan for the layout
    mtan, and so on) or a path. Pictures are squares of full height, scaled to `side` x `side`
    pixels: at a random place in training and in the middle otherwise; `size` (such as 288x384)
    takes the whole picture instead. `augment` is the augmentation in training: the scales 1, 1.2,
    1.5 and the mirroring of MTAN, or the zoom, mirroring and rotation of Aux-NAS, or none.

    Prepared pictures are never enlarged unless `enlarge` is set.

    Errors: `UsageError` for data that are not prepared, an invalid size, and a task that the layout
    lacks.
    """

    licence = "none stated; for research, not to be passed on"
    name = "nyuv2"
    views = True
    layouts = "auxbench.tasks._layouts.nyuv2"
    tasks: Mapping[str, Task] = TASKS
    primary = "segmentation13"
    auxiliaries: tuple[str, ...] = ("depth", "normals")

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
            Help("Height x width of the complete picture, such as 288x384, in place of a square."),
        ] = "",
        layout: Annotated[
            Literal["mtan", "official", "nddr", "adashare"],
            Help("Layout that the data were prepared from."),
        ] = "mtan",
        data: Annotated[
            Place,
            Help("Prepared folder, a name in the cache folder or a path; by default nyuv2-LAYOUT."),
        ] = "",
        enlarge: Annotated[bool, Help("Whether prepared pictures may be enlarged.")] = False,
        augment: Annotated[
            Literal["mtan", "auxnas", "none"], Help("Augmentation in training.")
        ] = "mtan",
    ) -> None:
        if not 8 <= side <= 480:
            raise UsageError(f"side '{side}' of 'nyuv2' is not possible; choose 8 to 480.")
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

    def offered(self) -> tuple[str, ...]:
        """The tasks of the layout that were prepared, or can be as long as nothing is."""
        (layout,) = (one for one in LAYOUTS if one.name == self.layout)
        names = (*layout.tasks, "edges", "keypoints")
        try:
            held = {"segmentation13", *self.opened().card["arrays"]}
        except UsageError:
            held = {*names} - ({"normals"} if layout.name == "official" else set())
        return tuple(name for name in names if name in held)

    def rows(self, split: str, count: int) -> Indices:
        rows = np.arange(count)
        if split == "test":
            return rows
        held = last_of_blocks(count)
        if not (~held).any():
            raise UsageError(
                f"split 'train' of 'nyuv2' has {count} frames, too few to validate on some; "
                "prepare more."
            )
        chosen_rows: Indices = rows[held == (split == "validation")]
        return chosen_rows

    def arrays(self) -> frozenset[str]:
        # the 13 classes are not stored where they follow from the 40
        return frozenset({"image", "segmentation40", *self.tasks})

    @staticmethod
    def drawn(split: str, count: int, side: int) -> Rows:
        return _drawn(split, count, side)

    def finish(self, rows: Rows, rng: np.random.Generator | None) -> Batch:
        derived = {"segmentation13": lambda rows: chosen(rows["segmentation40"], THIRTEEN)}
        if "segmentation13" in rows:
            derived.clear()
        return decoded_and_augmented(rows, derived, self.tasks, self.size, self.protocol, rng)


@cache
def _drawn(split: str, count: int, side: int) -> Rows:
    scenes = draw(split, 0, count, side + side // 4)
    forty = np.array([*(int(np.flatnonzero(number == THIRTEEN)[0]) for number in range(13)), -1])
    rows = {
        "image": np.ascontiguousarray(scenes["image"].transpose(0, 3, 1, 2)),
        "segmentation40": forty[scenes["segmentation"]].astype(np.int8),
        "depth": depth_steps(scenes["depth"] / ROOMS_DEPTH),
        "normals": np.rint(scenes["normals"] / (ROOMS_NORMALS / NORMAL)).astype(np.int8),
        "edges": (scenes["edges"] / (ROOMS_EDGES / RESPONSE)).astype(np.uint16),
        "keypoints": (scenes["keypoints"] / (ROOMS_KEYPOINTS / KEYPOINT)).astype(np.uint16),
        "scene": scenes["scene"].astype(np.int8),
    }
    for array in rows.values():
        array.flags.writeable = False  # all tiny data sets of a process share them
    return rows
