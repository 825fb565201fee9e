"""NYU v2 as PNG files: the layouts of NDDR-CNN, Aux-NAS and AdaShare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from auxbench.data.prepared.layout import Rows
from auxbench.errors import UsageError

from .encode import (
    normal_steps,
    picture,
    read_array,
)
from .nyuv2_frames import (
    FRAME,
    NORMAL_ORDER,
    SITE,
    SPLITS,
    VOID,
    WORDS,
    Frames,
    _number,
    decoded_normals,
    frame_image,
    read_splits,
)


class Nddr(Frames):
    """The pictures that NDDR-CNN and Aux-NAS train on: 40 classes and normals.

    Three arrangements are read: that of NDDR-CNN, with nyu_train_val beside the folder of the
    lists; both in one folder; and that of Aux-NAS, with a folder for each split.
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
        """Find the folder of the pictures: this one or nyu_train_val, with or without splits."""
        for place in (folder, folder / "nyu_train_val"):
            if cls.holds(place) or all(cls.holds(place / word) for word in WORDS.values()):
                return place
        return None

    @classmethod
    def holds(cls, folder: Path) -> bool:
        """Return whether a folder holds pictures of all kinds."""
        return all((folder / part).is_dir() for part in cls.parts)

    @cached_property
    def pictures(self) -> Path:
        """The folder of the pictures."""
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
                f"splits.mat from {SITE} into it."
            )
        return read_splits(official)

    def lacking(self, split: str) -> list[Path]:
        frames, parts = range(len(self.splits[split])), self.parts
        paths = [self.file(part, split, index) for part in parts for index in frames]
        return [path for path in paths if not path.is_file()]

    def file(self, part: str, split: str, index: int) -> Path:
        """The file of one part of a sample."""
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
        """The frames for which a folder has a file of any kind, in order."""
        kinds = self.parts.items()
        files = [path for part, kind in kinds for path in (folder / part).glob(f"*.{kind}")]
        return sorted({_number(path.name, path) for path in files})


class AdaShare(Nddr):
    """The files that AdaShare trains on: those of NDDR-CNN plus depth."""

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
