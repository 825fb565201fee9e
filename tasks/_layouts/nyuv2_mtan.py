"""NYU v2 as .npy files: the layout of MTAN."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from auxbench.data.prepared.layout import Finding, Rows
from auxbench.errors import UsageError

from .encode import (
    Raw,
    is_order,
    normal_steps,
    picked,
    picture,
    read_array,
)
from .nyuv2_frames import NORMAL_ORDER, Nyuv2Layout


class Mtan(Nyuv2Layout):
    """The arrays of MTAN, which most code in the field reads: 13 classes, depth and normals.

    `axes` says where the three channels of the normals point (letters r, l, u, d, f, b for right,
    left, up, down, forward, backward); it is needed only if they cannot be told from the normals.
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
                f"axes '{axes}' is not an axis order; write one letter per channel, such as "
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
        """Return the axis order of the normals: the user's, or one measured on up to 32 files."""
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


def measured_order(samples: list[Raw]) -> str:
    """The axis order of normals [H, W, 3] of rooms, inferred from their values; "" if unclear.

    The horizontal channel points right on the left of a picture and left on the right, where the
    side walls are. Of the other two, the one along the view is larger in the upper half, where
    walls are, and has a single sign, since a camera never sees the back of a surface; the vertical
    one points up in the lower third, where floors and seats are.
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
