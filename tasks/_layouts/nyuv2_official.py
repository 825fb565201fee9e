"""The .mat file of NYU v2's authors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auxbench.data.prepared.layout import Finding, Rows
from auxbench.errors import UsageError

from .encode import (
    normal_steps,
    picture,
    unreadable,
)
from .nyuv2_classes import SCENES
from .nyuv2_frames import (
    FRAME,
    FRAMES,
    NORMAL_ORDER,
    SITE,
    Frames,
    decoded_normals,
    forty,
    frame_image,
    read_splits,
)

if TYPE_CHECKING:
    import h5py


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
        """Return whether Eigen's normals are next to the file."""
        return (self.folder / "normals_gt" / "normals").is_dir()

    def find_splits(self) -> dict[str, list[int]]:
        return read_splits(self.folder / "splits.mat")

    @cached_property
    def file(self) -> h5py.File:
        """The opened file, once the shapes of its parts have been checked."""
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
        tall = (FRAME[1], FRAME[0])  # MATLAB varies the first axis fastest, so all are reversed
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
            yield Finding("normals", "note", "no folder normals_gt, so no task 'normals'")

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
