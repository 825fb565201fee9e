"""Two overlapping garments in one picture, made from Fashion-MNIST: classify both.

Every picture holds two grey garments of different classes, one shifted to the upper left and one
to the lower right, so that most of their area overlaps. The primary task is the class of the left
garment, the auxiliary task that of the right one: the same features serve both, and knowing one
garment tells what it hides of the other.

The construction is that of MultiMNIST (Sabour et al.): a canvas of 36 x 36 pixels, two items of
the same part of the source and of different classes, each shifted by up to 4 pixels from the
middle. As in Sener and Koltun's loader and in Pareto MTL, which applied it to Fashion-MNIST, one
lies towards the upper left and one towards the lower right, and the brighter pixel shows. The
choices made here: each is shifted by 1 to 4 pixels along both axes, so that left and right can
always be told apart; training pictures get new shifts every time they are used; the canvas is
scaled to `side` and never reduced to 28 pixels first; every source picture is the left garment of
one pair, and pairs do not change. Scores are therefore not comparable with published ones.

Training and validation pairs come from disjoint pictures of Fashion-MNIST's training part, the
test pairs from its test part. The four files are looked for in the folder `data` if that is given,
else in the cache folder and where Debian's package dataset-fashion-mnist puts them. If they are in
neither, they are downloaded from where torchvision gets them.

Sources: Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms, 2017, https://arxiv.org/abs/1708.07747; for the construction, Sabour, Frosst
and Hinton, Dynamic Routing Between Capsules, NeurIPS 2017, https://arxiv.org/abs/1710.09829;
Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization, NeurIPS 2018,
https://arxiv.org/abs/1810.04650; Lin, Zhen, Li, Zhang and Kwong, Pareto Multi-Task Learning,
NeurIPS 2019, https://arxiv.org/abs/1912.12854
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torchvision.datasets import FashionMNIST  # type: ignore[import-untyped]

from auxbench import DATASETS, Batch, Dataset, Samples
from auxbench.data.arrays import ArraySamples, Rows, normalised
from auxbench.data.dataset import Indices, InMemory, Task, named
from auxbench.data.kinds import Label
from auxbench.data.prepared import cache
from auxbench.data.prepared.download import download
from auxbench.errors import UsageError
from auxbench.spec.marks import Help, Place

from ._idx import read_idx
from ._scale import check_side, scaled

NAMES = (
    "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
    "ankle boot",
)  # fmt: skip
CLASSES = len(NAMES)
ITEM, CANVAS, SHIFT = 28, 36, 4  # sides of a garment and of a picture, and the largest shift
SHARE = 5 / 6  # of the training part that is for training; the rest is for validation
SPLITS = ("train", "validation", "test")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FILES = {
    part: (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
    for part in ("train", "t10k")
}

Bytes = npt.NDArray[np.uint8]


class Garments(NamedTuple):
    """Source pictures [N, 28, 28] and their classes [N]."""

    images: Bytes
    labels: Indices


@DATASETS.register
class MultiFashion(Dataset):
    """Overlaid garments at `side` x `side` pixels, with a chosen number of pairs in each split.

    The splits have up to 50,000, 10,000 and 10,000; a larger one begins with the pairs of a smaller
    one. `data` is the folder with the four files of Fashion-MNIST, or the root folder that
    torchvision was given.

    Errors: `UsageError` for files that are missing and cannot be downloaded, that are not what
    their names say, or that hold fewer pairs than are asked for.
    """

    licence = "MIT (Fashion-MNIST)"
    tasks: Mapping[str, Task] = named({"left": Label(NAMES), "right": Label(NAMES)})
    primary = "left"
    auxiliaries = ("right",)

    def __init__(
        self,
        *,
        side: Annotated[int, Help("Image side in pixels.")] = 64,
        train: Annotated[int, Help("Number of training pairs.")] = 50_000,
        validation: Annotated[int, Help("Number of validation pairs.")] = 2_000,
        test: Annotated[int, Help("Number of test pairs.")] = 10_000,
        data: Annotated[
            Place,
            Help(
                "Folder with the four files of Fashion-MNIST, or the root folder given "
                "to torchvision; by default the system's, or one in the cache folder."
            ),
        ] = "",
    ) -> None:
        check_side("multifashion", side)
        self.side = side
        self.size = (side, side)
        self.counts = dict(zip(SPLITS, (train, validation, test), strict=True))
        for split, count in self.counts.items():
            if count < 1:
                raise UsageError(
                    f"{split} '{count}' of 'multifashion' is too small; choose 1 or more."
                )
        self.data = data

    @classmethod
    def tiny(cls) -> Dataset:
        """A few drawn garments per split: bars whose position tells their class."""
        data, rng = cls(side=32, train=8, validation=4, test=4), np.random.default_rng(28)
        data.sources = {
            split: _drawn(max(count, CLASSES), rng) for split, count in data.counts.items()
        }
        return InMemory(data, data.samples)

    def prepare(self) -> None:
        for split in SPLITS:
            self.samples(split)

    def samples(self, split: str) -> Samples:
        source, count = self.sources[split], self.counts[split]
        if count > len(source.labels):
            raise UsageError(
                f"{split} '{count}' of 'multifashion' is more than the {len(source.labels)} that "
                "there are; choose fewer."
            )
        rows = {name: array[:count] for name, array in _pairs(source.labels, split).items()}
        return ArraySamples(rows, partial(_batch, source, self.side))

    @cached_property
    def sources(self) -> dict[str, Garments]:
        """The garments of each split; no picture is in two of them."""
        folder = self.folder()
        known, test = (_read(*(folder / name for name in FILES[part])) for part in FILES)
        order = np.random.default_rng([2017, 0]).permutation(len(known.labels))
        pieces = np.split(order, [round(SHARE * len(order))])
        train, validation = (Garments(known.images[p], known.labels[p]) for p in pieces)
        return {"train": train, "validation": validation, "test": test}

    def folder(self) -> Path:
        """The folder that holds the four files, which are downloaded if there is none."""
        home = cache.root() / "fashion-mnist"
        given = Path(self.data).expanduser()
        # torchvision keeps them two folders below the root folder that it is given
        places = [given, given / "FashionMNIST" / "raw"] if self.data else [home, DEBIAN]
        for place in places:
            if all((place / name).is_file() for names in FILES.values() for name in names):
                return place
        if self.data:
            missing = next(
                n for names in FILES.values() for n in names if not (given / n).is_file()
            )
            raise UsageError(
                f"folder '{given}' of 'multifashion' has no '{missing}'; name the folder with the "
                "four files of Fashion-MNIST, or leave 'data' out to have them downloaded."
            )
        remedy = f"install Debian's package dataset-fashion-mnist, or put the file into '{home}'."
        for name, md5 in FashionMNIST.resources:
            download(FashionMNIST.mirrors[0] + name, home / name, f"md5:{md5}", remedy)
        return home


def _read(images: Path, labels: Path) -> Garments:
    file = images
    try:
        pictures = read_idx(file, (ITEM, ITEM))
        file = labels
        classes = read_idx(file).astype(np.int64)
        if len(classes) != len(pictures):
            raise ValueError(f"it has {len(classes)} labels for {len(pictures)} pictures")
        if classes.max() >= CLASSES:
            raise ValueError(f"it has the class {classes.max()}, and the last one is {CLASSES - 1}")
        if len(np.unique(classes)) < 2:
            raise ValueError("it has one class only")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"data set 'multifashion' cannot use '{file}' ({reason}); get the file again."
        ) from None
    return Garments(pictures, classes)


def _pairs(labels: Indices, split: str) -> Rows:
    """For each pair, the numbers of the left and right garments, and both shifts [N, 2, 2]."""
    rng = np.random.default_rng([2017, 1, SPLITS.index(split)])
    left = np.arange(len(labels))
    right = rng.integers(0, len(labels), len(labels))
    while len(same := np.flatnonzero(labels[right] == labels)):
        right[same] = rng.integers(0, len(labels), len(same))
    return {"left": left, "right": right, "shifts": _shifts(len(labels), rng)}


def _shifts(count: int, rng: np.random.Generator) -> Indices:
    """Return the shifts of all garments, [N, 2 garments, 2 axes]; left ones move up and left."""
    shifts: Indices = rng.integers(1, SHIFT + 1, (count, 2, 2)) * np.array([-1, 1])[:, None]
    return shifts


def _batch(source: Garments, side: int, rows: Rows, rng: np.random.Generator | None) -> Batch:
    left, right, shifts = rows["left"], rows["right"], rows["shifts"]
    if rng is not None:
        shifts = _shifts(len(left), rng)
    canvas = np.zeros((len(left), CANVAS, CANVAS), np.uint8)
    corners = (CANVAS - ITEM) // 2 + shifts
    for place, garments in enumerate((left, right)):
        images = source.images[garments]
        for picture, image, (row, column) in zip(canvas, images, corners[:, place], strict=True):
            area = picture[row : row + ITEM, column : column + ITEM]
            np.maximum(area, image, out=area)
    targets = {"left": source.labels[left], "right": source.labels[right]}
    return Batch(
        normalised(scaled(canvas, side)),
        {name: torch.from_numpy(classes) for name, classes in targets.items()},
    )


def _drawn(count: int, rng: np.random.Generator) -> Garments:
    labels = np.arange(count) % CLASSES
    images = rng.integers(0, 60, (count, ITEM, ITEM)).astype(np.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        bar = image if label < CLASSES // 2 else image.T
        bar[5 * (label % 5) + 2 : 5 * (label % 5) + 5] += 150
    return Garments(images, labels)
