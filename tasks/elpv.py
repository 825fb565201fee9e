"""Photographs of solar cells that glow under current, graded by how likely each is defective.

The 2,624 grey images of 300 x 300 pixels were cut from electroluminescence images of 44 modules.
The primary task is the grade (defective with probability 0, 1/3, 2/3 or 1; more than half of the
cells are sound); the auxiliary task is the kind of cell, mono- or polycrystalline.

The data set cannot show that the labels of an auxiliary task help: the kind of a cell says next to
nothing about its grade (0.2 % of the grade's entropy, Cramér's V 0.07). It can show what a method
costs on real photographs, and whether it does harm when there is nothing to gain.

The data are not part of auxbench: they come with the package `elpv-dataset` and are licensed
CC BY-NC-SA 4.0, so they may be used for non-commercial purposes only. The package does not say
which module a cell comes from, but lists neighbours together, so the splits are made of blocks of
72 neighbours. In the first such split, 14 of 656 test cells have a training cell that looks the
same (a correlation above 0.99 at 64 x 64 pixels); in a random split of single cells, 102 of 654 do.
The shares of grades and kinds differ between training and test.

Source: Buerhop-Lutz, Deitsch, Maier, Gallwitz, Berger, Doll, Hauch, Camus and Brabec, A Benchmark
for Visual Identification of Defective Solar Cells in Electroluminescence Imagery, EU PVSEC 2018,
https://doi.org/10.4229/35thEUPVSEC20182018-5CV.3.15; Deitsch, Christlein, Berger, Buerhop-Lutz,
Maier, Gallwitz and Riess, Automatic Classification of Defective Photovoltaic Module Cells in
Electroluminescence Images, Solar Energy 185, 2019, https://doi.org/10.1016/j.solener.2019.02.067;
Deitsch, Buerhop-Lutz, Sovetkin, Steland, Maier, Gallwitz and Riess, Segmentation of Photovoltaic
Module Cells in Uncalibrated Electroluminescence Images, Machine Vision and Applications 32, 2021,
https://doi.org/10.1007/s00138-021-01191-9. Data: https://github.com/zae-bayern/elpv-dataset
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from auxbench import DATASETS, Batch, Dataset, Samples
from auxbench.data.arrays import ArraySamples, Rows, normalised
from auxbench.data.dataset import Draw, Indices, InMemory, Task, named
from auxbench.data.kinds import Label
from auxbench.data.metrics import Accuracy, BalancedAccuracy
from auxbench.data.prepared import cache
from auxbench.data.prepared.kept import Arrays, kept
from auxbench.errors import UsageError
from auxbench.spec.marks import Help

GRADES = ("sound", "perhaps sound", "perhaps defective", "defective")
KINDS = ("mono", "poly")
SPLITS = ("train", "validation", "test")
BLOCK = 72  # cells that stay together: the package lists 60 or 72 per module in a row

Bytes = npt.NDArray[np.uint8]


class Cells(NamedTuple):
    """The labels of all cells: image files, grades and kinds, one entry per cell."""

    files: tuple[Path, ...]
    grades: Indices
    kinds: Indices


@DATASETS.register
class Elpv(Dataset):
    """Defect grades of solar cells at `side` x `side` pixels, split at random.

    60 % of the cells are for training, 15 % for validation and 25 % for the test, by blocks of
    neighbours. There is no official split: every seed draws its own. The shrunk images are kept in
    the cache folder.

    Errors: `UsageError` when the package `elpv-dataset` is missing or cannot be read.
    """

    licence = "CC BY-NC-SA 4.0 (non-commercial use only)"
    extra = "elpv"
    tasks: Mapping[str, Task] = named(
        {
            "defect": Label(GRADES, (partial(BalancedAccuracy, len(GRADES)), Accuracy)),
            "cell": Label(KINDS),
        }
    )
    primary = "defect"
    auxiliaries = ("cell",)

    def __init__(
        self,
        *,
        side: Annotated[int, Help("Image side in pixels.")] = 64,
        draw: Draw = None,
    ) -> None:
        if side < 8:
            raise UsageError(f"side '{side}' of 'elpv' is too small; choose 8 or more.")
        self.side = side
        self.size = (side, side)
        self.draw = draw or 0

    @classmethod
    def tiny(cls) -> Dataset:
        """Sixteen drawn cells, two of every grade and kind, one of them for training."""
        data, rng = cls(side=32), np.random.default_rng(2624)
        grades, kinds = np.repeat([0, 3, 1, 2, 2, 1, 3, 0], 2), np.tile([0, 0, 1, 1], 4)
        images = [_drawn(*both, data.side, rng) for both in zip(grades, kinds, strict=True)]
        arrays: Rows = {"images": np.stack(images), "defect": grades, "cell": kinds}
        first, second = np.arange(0, 16, 2), np.arange(1, 16, 2)
        rows = {"train": first, "validation": second[:4], "test": second[4:]}

        def samples(split: str) -> Samples:
            return ArraySamples({k: array[rows[split]] for k, array in arrays.items()}, _batch)

        return InMemory(data, samples)

    def prepare(self) -> None:
        _ = self.images

    def identity(self) -> dict[str, Any]:
        return {"elpv-dataset": version("elpv-dataset")}

    def samples(self, split: str) -> Samples:
        rows = self.rows()[split]
        arrays: Rows = {
            "images": self.images[rows],
            "defect": self.cells.grades[rows],
            "cell": self.cells.kinds[rows],
        }
        return ArraySamples(arrays, _batch)

    def rows(self) -> dict[str, Indices]:
        """Return the cells of every split: neighbours in the package's order stay together."""
        rng = np.random.default_rng([2624, self.draw])
        cells = np.arange(len(self.cells.grades))
        blocks = np.split(cells, range(BLOCK, len(cells), BLOCK))
        order = np.concatenate([blocks[place] for place in rng.permutation(len(blocks))])
        parts = np.split(order, [round(0.6 * len(order)), round(0.75 * len(order))])
        return {name: np.sort(part) for name, part in zip(SPLITS, parts, strict=True)}

    @cached_property
    def cells(self) -> Cells:
        """The labels of all cells in the package's order."""
        table = _folder() / "labels.csv"
        try:
            rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines()]
        except OSError as error:
            raise _unreadable(table, error) from None
        return Cells(
            tuple(table.parent / row[0] for row in rows),
            np.array([round(3 * float(row[1])) for row in rows]),
            np.array([KINDS.index(row[2]) for row in rows]),
        )

    @cached_property
    def images(self) -> Bytes:
        """All cells in grey, [N, side, side], from the cache if it holds them intact."""
        # the name must change with anything that changes a pixel
        file = cache.root() / f"elpv-{version('elpv-dataset')}-bicubic-{self.side}.npz"

        def shrunk() -> Arrays:
            return {"images": np.stack([_shrunk(path, self.side) for path in self.cells.files])}

        images: Bytes = kept(file, shrunk, (len(self.cells.files), self.side, self.side))["images"]
        return images


def _folder() -> Path:
    # found without importing it, since its reader decodes every image at full size
    found = find_spec("elpv_dataset")
    if found is None or found.origin is None:
        raise UsageError(
            "data set 'elpv' needs the package elpv-dataset; pip install 'auxbench[elpv]'."
        )
    return Path(found.origin).parent / "data"


def _unreadable(path: Path, error: OSError) -> UsageError:
    why = error.strerror or "not an image"
    return UsageError(
        f"data set 'elpv' cannot read '{path}' ({why}); reinstall the package elpv-dataset."
    )


def _shrunk(path: Path, side: int) -> Bytes:
    try:
        with Image.open(path) as image:
            # Pillow widens the filter with the reduction, so that thin cracks do not alias
            small = image.convert("L").resize((side, side), Image.Resampling.BICUBIC)
    except OSError as error:
        raise _unreadable(path, error) from None
    return np.asarray(small)


def _batch(rows: Rows, rng: np.random.Generator | None) -> Batch:
    images = rows["images"]
    if rng is not None:
        # a cell has no up or right: the eight symmetries of the square keep both labels
        down, right, turned = rng.integers(0, 2, (3, len(images))).astype(bool)
        images[down] = images[down, ::-1]
        images[right] = images[right, :, ::-1]
        images[turned] = images[turned].transpose(0, 2, 1)
    return Batch(
        normalised(images), {name: torch.from_numpy(rows[name]) for name in ("defect", "cell")}
    )


def _drawn(grade: int, kind: int, side: int, rng: np.random.Generator) -> Bytes:
    """A cell with bus bars, corners (mono) or grains (poly), and cracks by its grade."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    light = 0.7 + 0.1 * rng.random() - 0.2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    if kind == KINDS.index("mono"):
        light = np.where(abs(x - 0.5) + abs(y - 0.5) > 0.85, 0.05, light)
    else:
        seeds = rng.random((30, 2))
        nearest = ((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2).argmin(-1)
        light = light + 0.15 * (rng.random(30)[nearest] - 0.5)
    light = np.where(abs(y % (1 / 3) - 1 / 6) < 0.02, 0.3, light)
    for _ in range(grade):
        (top, left), slope = rng.random(2), rng.normal()
        crack = abs((y - top) - slope * (x - left)) < 0.03 * np.hypot(1, slope)
        light = np.where(crack & (abs(x - left) < 0.4), 0.1, light)
    noisy = light + rng.normal(0, 0.02, light.shape)
    return (255 * noisy.clip(0, 1)).astype(np.uint8)
