"""The layouts of Cityscapes on the user's disk, read by `auxbench data` without torch.

Both are converted to pictures of `size`, by default 128x256: an eighth of the camera's resolution,
without distortion. Labels are taken from the nearest pixel, never averaged.

Disparities keep the values of the files: steps of 1/256 pixel in pictures 2048 pixels wide, counted
from 1. Resizing does not change them. The .npy files hold the same steps, divided by 65535.

Instance boundaries are found at the prepared size: a pixel is on one if a neighbour above, below,
left or right belongs to something else and one of the two is a single person, rider or vehicle.
Where the annotators marked only a group, or nothing at all, boundaries are unknown, both there and
where an instance touches such an area.

Sources: Cordts, Omran, Ramos and others, The Cityscapes Dataset for Semantic Urban Scene
Understanding, CVPR 2016, https://arxiv.org/abs/1604.01685, and the tables of its code,
https://github.com/mcordts/cityscapesScripts; for the .npy files, Liu, Johns and Davison,
End-to-End Multi-Task Learning with Attention, CVPR 2019, https://arxiv.org/abs/1803.10704

Long because the two layouts share labels and their encoding.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from auxbench.data.prepared.layout import Array, Finding, Layout, Rows
from auxbench.errors import UsageError

from .encode import Raw, parse_size, picked, picture, read_array, read_image, unreadable

FRAME = (1024, 2048)
LICENCE = "non-commercial research and teaching only, after registration; not to be passed on"
SITE = "https://www.cityscapes-dataset.com"
SPLITS = {"train": 2975, "test": 500}
FOLDERS = {"train": "train", "test": "val"}  # the labels of the official test split are secret

FULL = 65535  # disparity steps that the .npy files store as 1
PIXEL = 256  # steps per pixel of disparity
SINGLE = 1000  # instance numbers begin here: 1000 times the id, plus a count

# fmt: off
NAMES19 = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
    "motorcycle", "bicycle",
)
NAMES7 = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")

_TRAINED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# fmt: on

IDS = 34
UNDRAWN = 3  # ids up to this one are not objects: unlabelled, the own car, the picture's border
THINGS = 24  # objects with ids from here on are annotated one by one

NINETEEN = np.full(IDS, -1)  # the class of 19 by id; -1 if not evaluated
NINETEEN[list(_TRAINED)] = np.arange(len(_TRAINED))
SEVEN = np.repeat(np.arange(-1, 7), (7, 4, 6, 4, 2, 1, 2, 8))  # the class of 7 by id


class CityscapesLayout(Layout):
    """The base of the layouts of Cityscapes: the size, and the arrays by name."""

    dataset = "cityscapes"
    licence = LICENCE
    official = SPLITS
    tasks: ClassVar[tuple[str, ...]]  # all that the layout can have

    def __init__(self, folder: Path, *, size: str = "128x256") -> None:
        super().__init__(folder)
        self.size = parse_size(size)

    def arrays(self) -> Mapping[str, Array]:
        size = self.size
        steps = f"disparity in 1/{PIXEL} pixel of 2048, and 1 more; 0 means no label"
        known = {
            "image": Array("uint8", (3, *size), "planar RGB"),
            "ids": Array("int8", size, "label id", 0, IDS - 1),
            "segmentation19": Array("int8", size, "class of 19, -1 means no label", 0, 18, -1),
            "segmentation7": Array("int8", size, "class of 7, -1 means no label", 0, 6, -1),
            "boundaries": Array("int8", size, "1 on a boundary, -1 means no label", 0, 1, -1),
            "disparity": Array("uint16", size, steps),
            "camera": Array("float32", (), "baseline times focal length, metre pixels", 0),
        }
        names = {"image", *self.parts()}
        return {name: array for name, array in known.items() if name in names}

    def facts(self) -> dict[str, Any]:
        return {"segmentation19": NAMES19, "segmentation7": NAMES7}

    @abstractmethod
    def parts(self) -> tuple[str, ...]:
        """The arrays, apart from the image, for which there are files."""


class Official(CityscapesLayout):
    """The authors' own tree, with disparities and cameras if the user has unpacked them."""

    name = "official"
    summary = "leftImg8bit and gtFine of the authors, with disparity and camera"
    expects = "the folders leftImg8bit and gtFine, and disparity and camera"
    source = (
        "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, for disparity and depth also "
        "disparity_trainvaltest.zip and camera_trainvaltest.zip, unpacked into one folder, from "
        f"{SITE} (after registration)"
    )
    tasks = ("segmentation19", "segmentation7", "disparity", "depth", "boundaries")

    @classmethod
    def recognise(cls, folder: Path) -> bool:
        return all((folder / name).is_dir() for name in ("leftImg8bit", "gtFine"))

    @cached_property
    def frames(self) -> dict[str, list[tuple[str, str]]]:
        """The city and the name of every frame, in alphabetical order."""
        end = "_leftImg8bit.png"
        return {
            split: sorted(
                (path.parent.name, path.name.removesuffix(end))
                for path in (self.folder / "leftImg8bit" / name).glob(f"*/*{end}")
            )
            for split, name in FOLDERS.items()
        }

    @cached_property
    def has(self) -> dict[str, bool]:
        """Return whether the optional folders exist."""
        disparity = (self.folder / "disparity").is_dir()
        return {
            "disparity": disparity,
            "camera": disparity and (self.folder / "camera").is_dir(),
        }

    def counts(self) -> Mapping[str, int]:
        return {split: len(frames) for split, frames in self.frames.items()}

    def parts(self) -> tuple[str, ...]:
        return ("ids", "boundaries", *(part for part, there in self.has.items() if there))

    def facts(self) -> dict[str, Any]:
        cities = [
            (city, sum(1 for _ in frames))
            for city, frames in groupby(self.frames["train"], lambda frame: frame[0])
        ]
        return {**super().facts(), "cities": cities}

    def key(self, split: str, index: int) -> str:
        return f"{FOLDERS[split]}/{'/'.join(self.frames[split][index])}"

    def findings(self) -> Iterator[Finding]:
        for part, lost in (("disparity", "tasks disparity and depth"), ("camera", "task depth")):
            if not self.has[part]:
                yield Finding(part, "note", f"no folder {part}, so no {lost}")
        kinds = ["gtFine_labelIds.png", "gtFine_instanceIds.png"]
        kinds += [f"{part}.{'json' if part == 'camera' else 'png'}" for part in self.has]
        for kind in kinds:
            if not self.has.get(kind.partition(".")[0], True):
                continue
            every = [
                self.path(split, index, kind)
                for split, frames in self.frames.items()
                for index in range(len(frames))
            ]
            missing = [path for path in every if not path.is_file()]
            if missing:
                said = f"{len(missing)} of {len(every)} are missing, the first is {missing[0].name}"
                yield Finding(kind, "wrong", said)
            else:
                yield Finding(kind, "ok", f"{len(every)} files")

    def path(self, split: str, index: int, kind: str) -> Path:
        """The file of a frame whose name ends in `kind`, which begins with its folder's name."""
        city, frame = self.frames[split][index]
        top = kind.partition(".")[0].partition("_")[0]
        return self.folder / top / FOLDERS[split] / city / f"{frame}_{kind}"

    def read(self, split: str, index: int) -> Rows:
        rgb = _frame(self.path(split, index, "leftImg8bit.png"), "RGB")
        path = self.path(split, index, "gtFine_labelIds.png")
        ids = picked(_frame(path, "L"), self.size)
        if ids.max() >= IDS:
            raise UsageError(
                f"picture '{path}' holds the id '{ids.max()}', which is not in 0..{IDS - 1}; "
                "get gtFine again."
            )
        path = self.path(split, index, "gtFine_instanceIds.png")
        instances = picked(_frame(path, "I;16"), self.size)
        wrong = np.where(instances < SINGLE, instances, instances // SINGLE) >= IDS
        if wrong.any():
            raise UsageError(
                f"picture '{path}' holds the number '{instances[wrong][0]}', whose id is not in "
                f"0..{IDS - 1}; get gtFine again."
            )
        rows: Rows = {
            "image": picture(rgb, self.size),
            "ids": ids.astype(np.int8),
            "boundaries": boundaries(instances),
        }
        if self.has["disparity"]:
            steps = _frame(self.path(split, index, "disparity.png"), "I;16")
            rows["disparity"] = picked(steps, self.size).astype(np.uint16)
        if self.has["camera"]:
            rows["camera"] = read_camera(self.path(split, index, "camera.json"))
        return rows


class Mtan(CityscapesLayout):
    """The arrays of MTAN, which most code in the field reads: 7 classes and disparity.

    Its `depth` is the disparity, which its README calls inverse depth; without cameras it cannot
    be converted to metres. The larger version also has 19 classes, in `label_19`.
    """

    name = "mtan"
    summary = ".npy files of MTAN at 128 x 256 or 256 x 512 pixels, as LibMTL and others read them"
    expects = "train and val, each with image, label (or label_7, label_19) and depth"
    source = (
        "cityscapes2.zip (128x256) or cityscapes.zip (256x512) by the links in "
        "https://github.com/lorenmt/mtan"
    )
    tasks = ("segmentation7", "segmentation19", "disparity")
    shapes: ClassVar[tuple[tuple[int, int], ...]] = ((128, 256), (256, 512))
    folders: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "segmentation7": ("label_7", "label"),
        "segmentation19": ("label_19",),
        "disparity": ("depth",),
    }

    @classmethod
    def recognise(cls, folder: Path) -> bool:
        if (folder / "train" / "normal").is_dir():  # this is NYU v2
            return False
        found = cls._found(folder)
        return len(found) > 1 and "disparity" in found and _has(folder, "image")

    @classmethod
    def _found(cls, folder: Path) -> dict[str, str]:
        """The folder of every array that is present."""
        there = {
            name: next((one for one in known if _has(folder, one)), "")
            for name, known in cls.folders.items()
        }
        return {name: one for name, one in there.items() if one}

    @cached_property
    def places(self) -> dict[str, str]:
        """The name of the folder of every array."""
        return self._found(self.folder)

    @cached_property
    def _counts(self) -> dict[str, int]:
        return {split: self._count(split, "image") for split in FOLDERS}

    def counts(self) -> Mapping[str, int]:
        return self._counts

    def parts(self) -> tuple[str, ...]:
        return tuple(self.places)

    def key(self, split: str, index: int) -> str:
        return f"{FOLDERS[split]}/*/{index}.npy"

    def findings(self) -> Iterator[Finding]:
        for split, name in FOLDERS.items():
            for part in self.places.values():
                if (found := self._count(split, part)) != self._counts[split]:
                    said = f"{found} files, but {self._counts[split]} images"
                    yield Finding(f"{name}/{part}", "wrong", said)
        lacking = ", ".join(name for name in self.folders if name not in self.places)
        if lacking:
            yield Finding("labels", "note", f"no folder of {lacking}, so no such task")

    def read(self, split: str, index: int) -> Rows:
        path = self._path(split, "image", index)
        image = _within(path, read_array(path, *((*shape, 3) for shape in self.shapes)))
        shape = image.shape[:2]
        rows: Rows = {"image": picture(np.rint(image * 255).astype(np.uint8), self.size)}
        for name, part in self.places.items():
            path = self._path(split, part, index)
            if name == "disparity":
                array = _within(path, read_array(path, (*shape, 1), shape)).reshape(shape)
                value = np.rint(array * FULL).astype(np.uint16)
            else:
                classes = len(NAMES7 if name == "segmentation7" else NAMES19)
                value = _classes(path, read_array(path, shape, integers=True), classes)
            rows[name] = picked(value, self.size)
        return rows

    def _path(self, split: str, part: str, index: int) -> Path:
        return self.folder / FOLDERS[split] / part / f"{index}.npy"

    def _count(self, split: str, part: str) -> int:
        return sum(1 for _ in (self.folder / FOLDERS[split] / part).glob("*.npy"))


LAYOUTS = (Official, Mtan)


def boundaries(instances: Raw) -> npt.NDArray[np.int8]:
    """Find boundaries in a map of instance numbers: 1 on a boundary, 0 elsewhere, -1 unknown.

    >>> boundaries(np.array([[7, 7, 26000, 26000, 26001, 24, 7]])).tolist()
    [[0, 1, 1, 1, 1, -1, 0]]
    """
    numbers = instances.astype(np.int64)
    single = numbers >= SINGLE
    unknown = (numbers <= UNDRAWN) | ((numbers >= THINGS) & ~single)
    sure, doubtful = np.zeros_like(single), unknown.copy()
    for here, there in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differ = (numbers[here] != numbers[there]) & (single[here] | single[there])
        either = unknown[here] | unknown[there]
        for side in (here, there):
            sure[side] |= differ & ~either
            doubtful[side] |= differ & either
    return np.where(sure, 1, np.where(doubtful, -1, 0)).astype(np.int8)


def read_camera(path: Path) -> npt.NDArray[np.float32]:
    """The baseline in metres times the focal length in pixels: depth times disparity.

    Errors: `UsageError` for a file that is missing or lacks one of them.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        product = float(content["extrinsic"]["baseline"]) * float(content["intrinsic"]["fx"])
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, KeyError, TypeError):
        product = math.nan
    if not 0 < product < math.inf:
        raise UsageError(
            f"file '{path}' does not say the baseline and fx of a camera; get camera again."
        )
    return np.array(product, np.float32)


def _frame(path: Path, mode: str) -> Raw:
    """The pixels of a whole frame."""
    pixels = read_image(path, mode)
    if pixels.shape[:2] != FRAME:
        raise UsageError(
            f"picture '{path}' is {pixels.shape[0]} x {pixels.shape[1]} pixels, not "
            f"{FRAME[0]} x {FRAME[1]}; get it again."
        )
    return pixels


def _has(folder: Path, part: str) -> bool:
    return all((folder / split / part).is_dir() for split in FOLDERS.values())


def _within(path: Path, array: Raw) -> Raw:
    """The array, clipped to [0, 1]; only the overshoot of an interpolation may lie outside."""
    if not (array.min() >= -0.01 and array.max() <= 1.01):
        raise UsageError(
            f"array '{path}' has values from {array.min():g} to {array.max():g}, not 0 to 1; "
            "get that file again."
        )
    return array.clip(0, 1)


def _classes(path: Path, array: Raw, count: int) -> npt.NDArray[np.int8]:
    if not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise UsageError(f"labels '{path}' are not whole numbers; get that file again.")
    if array.min() < -1 or array.max() >= count:
        worst = array.min() if array.min() < -1 else array.max()
        raise UsageError(
            f"labels '{path}' hold the class '{worst:g}', which is not in -1..{count - 1}; "
            "get that file again."
        )
    return array.astype(np.int8)
