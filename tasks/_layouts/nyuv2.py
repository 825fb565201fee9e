"""The layouts of NYU Depth v2 on the user's disk; what `auxbench data` reads, without torch.

All become the same prepared form, as far as they have the labels: pictures of `size` (288x384
unless the user says otherwise) from frames of 480 x 640 pixels whose border, where the sensor has
no depth, is cut away to 420 x 560 (`crop=no` keeps it); both have sides of 3:4, so nothing is
squeezed unless `size` has others, as in the released code of Aux-NAS. Normals then stay those of
the scene, as there. Labels are picked, never averaged. The cut is auxbench's choice: the code that
made the widely used .npy files was lost.

Normals become x right, y down, z forward. Their order in the pictures of NDDR-CNN, Aux-NAS and
AdaShare, and in the normals of Eigen from which these were made, is right, forward, up. For the
.npy files it is written nowhere, so it is measured: normals of what a camera sees point towards
it, in the lower part of rooms they point up, and those on the left point right.

Sources: Silberman, Hoiem, Kohli and Fergus, Indoor Segmentation and Support Inference from RGBD
Images, ECCV 2012, https://doi.org/10.1007/978-3-642-33715-4_54; of the normals, Eigen and Fergus,
Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional
Architecture, ICCV 2015, https://arxiv.org/abs/1411.4734; of the layouts, Liu, Johns and Davison
(MTAN), CVPR 2019, https://arxiv.org/abs/1803.10704; Gao et al. (NDDR-CNN), CVPR 2019,
https://arxiv.org/abs/1801.08297; Sun, Panda, Feris and Saenko (AdaShare), NeurIPS 2020,
https://arxiv.org/abs/1911.12423
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
    is_order,
    normal_steps,
    parse_size,
    picked,
    picture,
    read_array,
    read_image,
    unreadable,
)
from .nyuv2_classes import FORTY, NAMES13, NAMES40, SCENES

if TYPE_CHECKING:
    import h5py

FRAME = (480, 640)
CUT: Box = (48, 41, 468, 601)  # sides of 3:4 inside of the 45..471 x 41..601 that have depth
FRAMES = 1449
LICENCE = "none stated; for research, not to be passed on"
SITE = "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html"
NORMAL_ORDER = "rfu"
VOID = 255

SPLITS = {"train": 795, "test": 654}
WORDS = {"train": "training", "test": "testing"}  # of NDDR-CNN and Aux-NAS for the splits


class Nyuv2Layout(Layout):
    """What the layouts of NYU Depth v2 share: size, cut, and the arrays by task."""

    dataset = "nyuv2"
    licence = LICENCE
    official = SPLITS
    tasks: ClassVar[tuple[str, ...]]  # that the layout has labels for, beside edges and keypoints

    def __init__(self, folder: Path, *, size: str = "288x384", keypoints: bool = False) -> None:
        super().__init__(folder)
        self.size = parse_size(size)
        self.keypoints = keypoints

    def arrays(self) -> Mapping[str, Array]:
        size = self.size
        towards = "x right, y down, z forward; zero is no label"
        known = {
            "image": Array("uint8", (3, *size), "planar RGB"),
            "segmentation40": Array("int8", size, "class of 40, -1 is no label", 0, 39, -1),
            "segmentation13": Array("int8", size, "class of 13, -1 is no label", 0, 12, -1),
            "depth": Array("uint16", size, f"metres = value / {DEPTH}; 0 is no label"),
            "normals": Array("int8", (3, *size), f"value / {NORMAL}, {towards}", -NORMAL, NORMAL),
            "edges": Array("uint16", size, f"response = value / {RESPONSE}"),
            "keypoints": Array("uint16", size, f"response = value / {KEYPOINT}"),
            "scene": Array("int8", (), "scene type, -1 is no label", 0, len(SCENES) - 1, -1),
        }
        names = ("image", *self.labels(), "edges", *(["keypoints"] * self.keypoints))
        # 13 classes follow from 40 at no cost, so they are not stored beside them
        names = tuple(n for n in names if n != "segmentation13" or "segmentation40" not in names)
        return {name: known[name] for name in known if name in names}

    def labels(self) -> tuple[str, ...]:
        """The tasks of this folder that come from files."""
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
    """What the layouts share that hold whole frames of 480 x 640 pixels."""

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


class Official(Frames):
    """The authors' own file, with depth that has been filled in where the sensor had none."""

    name = "official"
    summary = "nyu_depth_v2_labeled.mat of the authors, with splits.mat"
    expects = "nyu_depth_v2_labeled.mat and splits.mat"
    source = (
        f"nyu_depth_v2_labeled.mat (2.8 GB) and splits.mat from {SITE}; for normals also the "
        "folder normals_gt (normals, masks) of Eigen and Fergus beside them"
    )
    tasks = ("segmentation40", "segmentation13", "depth", "scene", "normals")

    @classmethod
    def recognise(cls, folder: Path) -> bool:
        return (folder / "nyu_depth_v2_labeled.mat").is_file()

    def labels(self) -> tuple[str, ...]:
        return tuple(name for name in self.tasks if name != "normals" or self.has_normals)

    @property
    def has_normals(self) -> bool:
        """Whether Eigen's normals lie beside the file."""
        return (self.folder / "normals_gt" / "normals").is_dir()

    def find_splits(self) -> dict[str, list[int]]:
        return read_splits(self.folder / "splits.mat")

    @cached_property
    def file(self) -> h5py.File:
        """The opened file, every part of which has been compared with what it should be."""
        path = self.folder / "nyu_depth_v2_labeled.mat"
        try:
            import h5py
        except ImportError:
            raise UsageError(
                "layout 'official' of 'nyuv2' needs the package h5py; "
                "pip install 'auxbench[nyuv2]'."
            ) from None
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise unreadable(path, error) from None
        frames = 1 + max(max(numbers, default=0) for numbers in self.splits.values())
        tall = (FRAME[1], FRAME[0])  # MATLAB counts the first axis fastest, so all are reversed
        for name, shape in (("images", (3, *tall)), ("depths", tall), ("labels", tall)):
            if name not in file:
                raise UsageError(f"file '{path}' lacks '{name}'; get it again.")
            found = file[name].shape
            if found[1:] != shape or found[0] < frames:
                raise UsageError(
                    f"'{name}' in file '{path}' has shape '{found}', not ({FRAMES}, "
                    f"{', '.join(map(str, shape))}); get it again."
                )
        return file

    @cached_property
    def scenes(self) -> list[int]:
        """The scene type of every frame, as a number; -1 where the file has none."""
        path = self.folder / "nyu_depth_v2_labeled.mat"
        if "sceneTypes" not in self.file:
            return [-1] * len(self.file["images"])
        numbers = []
        for reference in np.ravel(self.file["sceneTypes"][()]):
            name = "".join(map(chr, np.ravel(self.file[reference][()])))
            if name not in SCENES:
                raise UsageError(f"file '{path}' has an unknown scene type '{name}'; get it again.")
            numbers.append(SCENES.index(name))
        return numbers

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "depth": "filled in by the authors"}

    def findings(self) -> Iterator[Finding]:
        yield from super().findings()
        if self.has_normals:
            yield Finding("normals", "ok", "normals_gt is there")
        else:
            yield Finding("normals", "note", "no folder normals_gt, hence no task 'normals'")

    def raw(self, split: str, index: int) -> Rows:
        frame = self.splits[split][index]
        path = self.folder / "nyu_depth_v2_labeled.mat"
        try:
            image = self.file["images"][frame].transpose(2, 1, 0)
            depth = self.file["depths"][frame].T
            labels = self.file["labels"][frame].T
        except OSError as error:
            raise unreadable(path, error) from None
        if image.dtype != np.uint8:
            raise UsageError(
                f"'images' in file '{path}' has dtype '{image.dtype}', not uint8; get it again."
            )
        labels = self.fitted(labels.astype(np.int64))
        rows: Rows = {
            "image": picture(image, self.size, self.box),
            "segmentation40": forty(labels),
            "depth": self.fitted(depth.astype(np.float32)),
            "scene": np.array(self.scenes[frame], np.int8),
        }
        if self.has_normals:
            parts, name = self.folder / "normals_gt", f"{frame:04d}.png"
            vectors = decoded_normals(frame_image(parts / "normals" / name, "RGB"))
            if (parts / "masks").is_dir():
                vectors[frame_image(parts / "masks" / name, "L", "1") == 0] = 0
            rows["normals"] = normal_steps(self.fitted(vectors), NORMAL_ORDER)
        return rows


class Nddr(Frames):
    """The pictures that NDDR-CNN and Aux-NAS train on: 40 classes and normals.

    They lie in three ways: as NDDR-CNN ships them, in nyu_train_val beside the folder of the lists;
    with both in one folder; and as Aux-NAS reads them, with a folder for each split.
    """

    name = "nddr"
    summary = "PNG files of NDDR-CNN and Aux-NAS: img, seg, normal_mask"
    expects = (
        "the folders img, seg and normal_mask, by themselves, in nyu_train_val beside list, or in "
        "training and testing"
    )
    source = "the link in https://github.com/ethanygao/NDDR-CNN"
    tasks: ClassVar[tuple[str, ...]] = ("segmentation40", "segmentation13", "normals")
    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(("img", "seg", "normal_mask"), "png")

    @classmethod
    def recognise(cls, folder: Path) -> bool:
        return cls.root(folder) is not None

    @classmethod
    def root(cls, folder: Path) -> Path | None:
        """Where the pictures lie: in this folder or in nyu_train_val, at once or by split."""
        for place in (folder, folder / "nyu_train_val"):
            if cls.holds(place) or all(cls.holds(place / word) for word in WORDS.values()):
                return place
        return None

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """Whether the pictures of all kinds lie in a folder."""
        return all((folder / part).is_dir() for part in cls.parts)

    @cached_property
    def pictures(self) -> Path:
        """Where the pictures lie."""
        return self.root(self.folder) or self.folder

    def find_splits(self) -> dict[str, list[int]]:
        if not self.holds(self.pictures):
            return {split: self._listed(self.pictures / word) for split, word in WORDS.items()}
        beside = (self.folder, self.pictures.parent)
        splits = {}
        for split, word in WORDS.items():
            names = [f"list/{word}_{task}.txt" for task in ("seg", "normal_mask")]
            files = [place / name for place in beside for name in names]
            found = next((file for file in files if file.is_file()), None)
            if found is None:
                break
            lines = found.read_text(encoding="utf-8").split("\n")
            splits[split] = [_number(line.split()[0], found) for line in lines if line.strip()]
        if len(splits) == 2:
            return splits
        official = next((p / "splits.mat" for p in beside if (p / "splits.mat").is_file()), None)
        if official is None:
            raise UsageError(
                f"folder '{self.folder}' does not say which frames are for training; put "
                f"splits.mat of {SITE} into it."
            )
        return read_splits(official)

    def lacking(self, split: str) -> list[Path]:
        frames, parts = range(len(self.splits[split])), self.parts
        paths = [self.file(part, split, index) for part in parts for index in frames]
        return [path for path in paths if not path.is_file()]

    def file(self, part: str, split: str, index: int) -> Path:
        """The file of one kind of a sample."""
        folder = self.pictures if self.holds(self.pictures) else self.pictures / WORDS[split]
        return folder / part / f"{self.key(split, index).split()[1]}.{self.parts[part]}"

    def raw(self, split: str, index: int) -> Rows:
        colours = frame_image(self.file("normal_mask", split, index), "RGB")
        vectors = decoded_normals(colours)
        vectors[(colours == VOID).all(-1)] = 0
        labels = self.file("seg", split, index)
        classes = frame_image(labels, "L").astype(np.int16)
        if ((classes > 39) & (classes != VOID)).any():
            worst = classes[(classes > 39) & (classes != VOID)][0]
            raise UsageError(
                f"picture '{labels}' holds the class '{worst}', which is neither 0..39 nor {VOID}; "
                "get it again."
            )
        image = frame_image(self.file("img", split, index), "RGB")
        return {
            "image": picture(image, self.size, self.box),
            "segmentation40": self.fitted(np.where(classes == VOID, -1, classes).astype(np.int8)),
            "normals": normal_steps(self.fitted(vectors), NORMAL_ORDER),
        }

    def _listed(self, folder: Path) -> list[int]:
        """The frames of which a folder has a file of some kind, in their order."""
        kinds = self.parts.items()
        files = [path for part, kind in kinds for path in (folder / part).glob(f"*.{kind}")]
        return sorted({_number(path.name, path) for path in files})


class AdaShare(Nddr):
    """The files that AdaShare trains on: those of NDDR-CNN, and depth."""

    name = "adashare"
    summary = "PNG files of NDDR-CNN with AdaShare's depth: img, seg, normal_mask, depth"
    expects = "nyu_v2_3task.json and the folders img, seg, normal_mask and depth"
    source = "the link in https://github.com/sunxm2357/AdaShare"
    tasks = ("segmentation40", "segmentation13", "depth", "normals")
    parts: ClassVar[Mapping[str, str]] = {**Nddr.parts, "depth": "npy"}

    def find_splits(self) -> dict[str, list[int]]:
        path = self.folder / "nyu_v2_3task.json"
        if not path.is_file():
            return super().find_splits()
        try:
            modes = json.loads(path.read_text(encoding="utf-8"))
            lists = {split: [str(files[0]) for files in modes[split]] for split in SPLITS}
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise UsageError(
                f"file '{path}' does not list files for 'train' and 'test' "
                f"({type(error).__name__}: {error}); get it again."
            ) from None
        return {split: [_number(file, path) for file in files] for split, files in lists.items()}

    def raw(self, split: str, index: int) -> Rows:
        depth = read_array(self.file("depth", split, index), FRAME, (*FRAME, 1))
        return {**super().raw(split, index), "depth": self.fitted(depth.reshape(FRAME))}


class Mtan(Nyuv2Layout):
    """The arrays of MTAN, which most code of the field reads: 13 classes, depth and normals.

    `axes` is where the three channels of the normals point (letters r, l, u, d, f, b for right,
    left, up, down, forward, backward), if measuring it from the normals themselves fails.
    """

    name = "mtan"
    summary = ".npy files of MTAN at 288 x 384 pixels, as LibMTL, Nash-MTL and others read them"
    expects = "train and val, each with image, label, depth and normal"
    source = "the link in https://github.com/lorenmt/mtan"
    tasks = ("segmentation13", "depth", "normals")
    shape: ClassVar[tuple[int, int]] = (288, 384)
    folders: ClassVar[Mapping[str, str]] = {"train": "train", "test": "val"}

    def __init__(
        self,
        folder: Path,
        *,
        size: str = "288x384",
        keypoints: bool = False,
        axes: str = "auto",
    ) -> None:
        super().__init__(folder, size=size, keypoints=keypoints)
        if axes != "auto" and not is_order(axes):
            raise UsageError(
                f"axes '{axes}' is no axis order; write one letter per channel, such as "
                f"{NORMAL_ORDER} for right, forward, up."
            )
        self.axes = axes

    @classmethod
    def recognise(cls, folder: Path) -> bool:
        parts = ("image", "label", "depth", "normal")
        return all((folder / split / part).is_dir() for split in ("train", "val") for part in parts)

    @cached_property
    def _counts(self) -> dict[str, int]:
        return {
            split: sum(1 for _ in (self.folder / name / "image").glob("*.npy"))
            for split, name in self.folders.items()
        }

    def counts(self) -> Mapping[str, int]:
        return self._counts

    def key(self, split: str, index: int) -> str:
        return f"{self.folders[split]}/*/{index}.npy"

    def findings(self) -> Iterator[Finding]:
        for split, name in self.folders.items():
            for part in ("label", "depth", "normal"):
                found = sum(1 for _ in (self.folder / name / part).glob("*.npy"))
                if found != self._counts[split]:
                    yield Finding(
                        f"{name}/{part}",
                        "wrong",
                        f"{found} files, but {self._counts[split]} images",
                    )
        try:
            yield Finding("axes of normals", "ok", f"{self.order}, by letter and channel")
        except UsageError as error:
            yield Finding("axes of normals", "wrong", str(error))

    def facts(self) -> dict[str, Any]:
        return {**super().facts(), "axes": self.order}

    @cached_property
    def order(self) -> str:
        """Where the channels of the normals point: as the user says, else as up to 32 files say."""
        if self.axes != "auto":
            return self.axes
        count = self._counts["train"]
        chosen = sorted({round(index) for index in np.linspace(0, count - 1, min(32, count))})
        found = measured_order([self._file("train", "normal", index, 3) for index in chosen])
        if not found:
            raise UsageError(
                f"folder '{self.folder}' has normals whose axes cannot be told; say where they "
                f"point: nyuv2:axes={NORMAL_ORDER} is right, forward, up."
            )
        return found

    def raw(self, split: str, index: int) -> Rows:
        image = self._file(split, "image", index, 3)
        if not (image.min() >= -0.01 and image.max() <= 1.01):
            raise UsageError(
                f"image '{self._path(split, 'image', index)}' has values from {image.min():g} to "
                f"{image.max():g}, not 0 to 1; get it again."
            )
        rgb = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
        label = self._file(split, "label", index, 0)
        path = self._path(split, "label", index)
        if not (np.isfinite(label).all() and (label == np.rint(label)).all()):
            raise UsageError(f"labels '{path}' are not whole numbers; get that file again.")
        if label.min() < -1 or label.max() > 12:
            worst = label.min() if label.min() < -1 else label.max()
            raise UsageError(
                f"labels '{path}' hold the class '{worst:g}', which is not in -1..12; "
                "get that file again."
            )
        rows: Rows = {
            "segmentation13": label.astype(np.int8),
            "depth": self._file(split, "depth", index, 1).astype(np.float32),
        }
        normals = picked(self._file(split, "normal", index, 3), self.size)
        return {
            "image": picture(rgb, self.size),
            **{name: picked(value, self.size) for name, value in rows.items()},
            "normals": normal_steps(normals, self.order),
        }

    def _path(self, split: str, part: str, index: int) -> Path:
        return self.folder / self.folders[split] / part / f"{index}.npy"

    def _file(self, split: str, part: str, index: int, channels: int) -> Raw:
        shapes: list[tuple[int, ...]] = [(*self.shape, channels)] if channels else [self.shape]
        if channels == 1:
            shapes.append(self.shape)
        array = read_array(self._path(split, part, index), *shapes, integers=part == "label")
        return array.reshape(self.shape) if channels < 2 else array


LAYOUTS = (Official, Mtan, AdaShare, Nddr)


def forty(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
    """The class of 0..39 of labels 1..894; -1 for the label 0, which is none.

    Errors: `ValueError` for a label that does not exist.
    """
    if labels.min() < 0 or labels.max() >= len(FORTY):
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise UsageError(
            f"label '{worst}' of layout 'official' is not in 0..{len(FORTY) - 1}; "
            "get nyu_depth_v2_labeled.mat again."
        )
    return FORTY[labels]


def decoded_normals(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Vectors [H, W, 3] from 8-bit colours; (127, 127, 127) comes close to zero, as it should."""
    return colours.astype(np.float32) / np.float32(127.5) - 1


def frame_image(path: Path, *modes: str) -> Raw:
    """A picture of a whole frame; errors: `UsageError` for one that is none."""
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


def measured_order(samples: list[Raw]) -> str:
    """The axis order of normals [H, W, 3] of rooms, by what they must look like; "" if unclear.

    The horizontal channel points to the right on the left and to the left on the right, where side
    walls are. Of the other two the one along the view stands out in the upper half, where walls
    are, and has one sign, since a camera sees no backs; the vertical one points up in the lower
    third, where floors and seats are.
    """
    vectors = np.stack(samples).astype(np.float32)
    height, width = vectors.shape[1:3]
    left, right = _mean(vectors[:, :, : width // 3]), _mean(vectors[:, :, -(width // 3) :])
    walls, low = _mean(vectors[:, height // 4 : height // 2]), _mean(vectors[:, -(height // 3) :])
    across = int(np.abs(left - right).argmax())
    first, second = (channel for channel in range(3) if channel != across)
    along, upright = (first, second) if abs(walls[first]) > abs(walls[second]) else (second, first)
    clear = vectors[..., along][np.abs(vectors[..., along]) > 0.1]
    sign = np.sign(clear).mean() if clear.size else 0
    if abs(sign) < 0.9 or abs(left[across] - right[across]) < 0.05 or abs(low[upright]) < 0.05:
        return ""
    letters = [""] * 3
    letters[along] = "f" if sign < 0 else "b"  # they point against the view
    letters[upright] = "u" if low[upright] > 0 else "d"
    letters[across] = "r" if left[across] > right[across] else "l"
    return "".join(letters)


def _mean(vectors: Raw) -> npt.NDArray[np.float32]:
    """The mean of the vectors [..., 3] that are not zero; zero if all are."""
    known = np.abs(vectors).sum(-1) > 0.5
    mean: npt.NDArray[np.float32] = vectors[known].sum(0) / max(int(known.sum()), 1)
    return mean


def _number(file: str, source: Path) -> int:
    """The number of a frame from the name of one of its files."""
    stem = file.replace("\\", "/").rpartition("/")[2].partition(".")[0]
    if not stem.isdecimal() or int(stem) >= FRAMES:
        raise UsageError(f"file '{source}' names '{file}', which is no frame; get it again.")
    return int(stem)
