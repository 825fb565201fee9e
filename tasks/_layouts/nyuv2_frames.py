"""Frames of NYU v2: what all its layouts share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from auxbench.data.prepared.form import DEPTH, NORMAL, RESPONSE
from auxbench.data.prepared.layout import Array, Finding, Layout, Rows
from auxbench.errors import UsageError

from .encode import (
    KEYPOINT,
    Box,
    Raw,
    depth_steps,
    filtered,
    parse_size,
    picked,
    read_image,
    unreadable,
)
from .nyuv2_classes import FORTY, NAMES13, NAMES40, SCENES

FRAME = (480, 640)
CUT: Box = (48, 41, 468, 601)  # sides of 3:4 within the 45..471 x 41..601 that have depth
FRAMES = 1449
SPLITS = {"train": 795, "test": 654}
WORDS = {"train": "training", "test": "testing"}  # what NDDR-CNN and Aux-NAS call the splits
NORMAL_ORDER = "rfu"  # right, forward, up: the axes of red, green and blue
VOID = 255
LICENCE = "none stated; for research, not to be passed on"
SITE = "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"


class Nyuv2Layout(Layout):
    """The base of the layouts of NYU Depth v2: size, crop, and the arrays by task."""

    dataset = "nyuv2"
    licence = LICENCE
    official = SPLITS
    tasks: ClassVar[tuple[str, ...]]  # that the layout has labels for, besides edges and keypoints

    def __init__(self, folder: Path, *, size: str = "288x384", keypoints: bool = False) -> None:
        super().__init__(folder)
        self.size = parse_size(size)
        self.keypoints = keypoints

    def arrays(self) -> Mapping[str, Array]:
        size = self.size
        towards = "x right, y down, z forward; zero means no label"
        known = {
            "image": Array("uint8", (3, *size), "planar RGB"),
            "segmentation40": Array("int8", size, "class of 40, -1 means no label", 0, 39, -1),
            "segmentation13": Array("int8", size, "class of 13, -1 means no label", 0, 12, -1),
            "depth": Array("uint16", size, f"metres = value / {DEPTH}; 0 means no label"),
            "normals": Array("int8", (3, *size), f"value / {NORMAL}, {towards}", -NORMAL, NORMAL),
            "edges": Array("uint16", size, f"response = value / {RESPONSE}"),
            "keypoints": Array("uint16", size, f"response = value / {KEYPOINT}"),
            "scene": Array("int8", (), "scene type, -1 means no label", 0, len(SCENES) - 1, -1),
        }
        names = ("image", *self.labels(), "edges", *(["keypoints"] * self.keypoints))
        # the 13 classes follow from the 40 at no cost, so they are not stored as well
        names = tuple(n for n in names if n != "segmentation13" or "segmentation40" not in names)
        return {name: known[name] for name in known if name in names}

    def labels(self) -> tuple[str, ...]:
        """The tasks whose labels come from files of this folder."""
        return self.tasks

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"segmentation13": NAMES13, "scene": SCENES}
        if "segmentation40" in self.arrays():
            facts["segmentation40"] = NAMES40
        return facts

    def read(self, split: str, index: int) -> Rows:
        raw = self.raw(split, index)
        rows: Rows = {"image": raw["image"]}
        try:
            for name in self.arrays().keys() & raw.keys() - {"image"}:
                rows[name] = self.encoded(name, raw[name])
        except ValueError as error:
            raise UsageError(
                f"sample '{self.key(split, index)}' in '{self.folder}' is wrong ({error}); "
                "get it again."
            ) from None
        return {**rows, **filtered(raw["image"], self.arrays())}

    def encoded(self, name: str, value: Raw) -> Raw:
        """A label, cut and scaled, in the type of the prepared form."""
        return depth_steps(value) if name == "depth" else value

    @abstractmethod
    def raw(self, split: str, index: int) -> Rows:
        """The picture, planar, and the labels of a sample, cut and scaled."""


class Frames(Nyuv2Layout):
    """The base of the layouts of full frames of 480 x 640 pixels."""

    def __init__(
        self,
        folder: Path,
        *,
        size: str = "288x384",
        keypoints: bool = False,
        crop: bool = True,
    ) -> None:
        super().__init__(folder, size=size, keypoints=keypoints)
        self.box = CUT if crop else None
        self.splits = self.find_splits()

    @abstractmethod
    def find_splits(self) -> dict[str, list[int]]:
        """The numbers of the frames of every split, counted from 0."""

    def counts(self) -> Mapping[str, int]:
        return {split: len(frames) for split, frames in self.splits.items()}

    def key(self, split: str, index: int) -> str:
        return f"frame {self.splits[split][index]:04d}"

    def findings(self) -> Iterator[Finding]:
        both = set(self.splits["train"]) & set(self.splits["test"])
        if both:
            yield Finding("splits", "wrong", f"frame {min(both)} is in train and test")
        else:
            yield Finding("splits", "ok", "no frame is in two of them")

    def fitted(self, labels: Raw) -> Raw:
        """A label map of a whole frame, cut and scaled."""
        return picked(labels, self.size, self.box)


def forty(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """The classes 0..39 of labels 1..894; -1 for the label 0, which means none.

    Errors: `UsageError` for a label that does not exist.
    """
    if labels.min() < 0 or labels.max() >= len(FORTY):
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise UsageError(
            f"label '{worst}' of layout 'official' is not in 0..{len(FORTY) - 1}; "
            "get nyu_depth_v2_labeled.mat again."
        )
    return FORTY[labels]


def decoded_normals(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Vectors [H, W, 3] from 8-bit colours; (127, 127, 127) becomes almost zero, as it should."""
    return colours.astype(np.float32) / np.float32(127.5) - 1


def frame_image(path: Path, *modes: str) -> Raw:
    """The pixels of a whole frame; errors: `UsageError` for a picture that is not one."""
    pixels = read_image(path, *modes)
    if pixels.shape[:2] != FRAME:
        raise UsageError(
            f"picture '{path}' is {pixels.shape[0]} x {pixels.shape[1]} pixels, not "
            f"{FRAME[0]} x {FRAME[1]}; get it again."
        )
    return pixels


def read_splits(path: Path) -> dict[str, list[int]]:
    """The frames of the official splits, counted from 0, from the authors' splits.mat.

    Errors: `UsageError` for a file that is missing or not what it should be.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise UsageError(f"file '{path}' is missing; get splits.mat from {SITE}.")
    try:
        content = loadmat(path)
        numbers = {
            split: np.ravel(content[key]).astype(np.int64) - 1  # MATLAB counts from 1
            for split, key in (("train", "trainNdxs"), ("test", "testNdxs"))
        }
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, MatReadError) as error:
        raise unreadable(path, error) from None
    for split, frames in numbers.items():
        if frames.size and not 0 <= frames.min() <= frames.max() < FRAMES:
            raise UsageError(
                f"file '{path}' names a frame outside 1..{FRAMES} for '{split}'; get it again."
            )
    return {split: [int(frame) for frame in frames] for split, frames in numbers.items()}


def _number(file: str, source: Path) -> int:
    """The number of a frame from the name of one of its files."""
    stem = file.replace("\\", "/").rpartition("/")[2].partition(".")[0]
    if not stem.isdecimal() or int(stem) >= FRAMES:
        raise UsageError(f"file '{source}' names '{file}', which is not a frame; get it again.")
    return int(stem)
