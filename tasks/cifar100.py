"""Small photographs in 20 coarse and 100 fine classes: a classic task pair of auxiliary learning.

The primary task is to name one of 20 superclasses (fish, flowers, vehicles, ...), the auxiliary
task one of 100 classes, five in each (ray, shark, trout, ...): its labels say more than the primary
task needs. The 60,000 colour pictures have 32 x 32 pixels and are scaled to `side`.

The official 50,000 training pictures are divided once and for all: a tenth of every fine class is
for validation. The test split is the official one. Training mirrors half of the pictures and shifts
all by up to 4 pixels, with black coming in from the edges.

The files are those of the official binary version; the version for Python consists of pickles,
which can run any code and are therefore not read. `train.bin` and `test.bin`, or the archive that
holds them, are looked for in the folder `data`. If no folder is given, it is one in the cache
folder, and missing files are downloaded there from their authors' page.

Sources: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto,
2009, https://www.cs.toronto.edu/~kriz/cifar.html; for the augmentation, He, Zhang, Ren and Sun,
Deep Residual Learning for Image Recognition, CVPR 2016, https://arxiv.org/abs/1512.03385; for
coarse and fine classes as primary and auxiliary task, Liu, Davison and Johns, Self-Supervised
Generalisation with Meta Auxiliary Learning, NeurIPS 2019, https://arxiv.org/abs/1901.08933
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from torchvision.datasets.utils import check_md5  # type: ignore[import-untyped]

from auxbench import DATASETS, Batch, Dataset, Samples
from auxbench.data.arrays import ArraySamples, Rows, normalised
from auxbench.data.dataset import Indices, InMemory, Task, named
from auxbench.data.kinds import Label
from auxbench.data.prepared import cache
from auxbench.data.prepared.download import download
from auxbench.errors import UsageError
from auxbench.spec.marks import Help, Place

from ._scale import check_side, scaled

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
MD5 = "03b5dce01913d631647c71ecec9e9cb8"
ARCHIVE = "cifar-100-binary.tar.gz"
FOLDER = "cifar-100-binary"  # in the archive
FILES = ("train.bin", "test.bin")
# The names of the official files, in the order of their numbers.
COARSE = (
    "aquatic mammals", "fish", "flowers", "food containers", "fruit and vegetables",
    "household electrical devices", "household furniture", "insects", "large carnivores",
    "large man-made outdoor things", "large natural outdoor scenes",
    "large omnivores and herbivores", "medium-sized mammals", "non-insect invertebrates", "people",
    "reptiles", "small mammals", "trees", "vehicles 1", "vehicles 2",
)  # fmt: skip
FINE = (
    "apple", "aquarium fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup",
    "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house",
    "kangaroo", "keyboard", "lamp", "lawn mower", "leopard", "lion", "lizard", "lobster", "man",
    "maple tree", "motorcycle", "mountain", "mouse", "mushroom", "oak tree", "orange", "orchid",
    "otter", "palm tree", "pear", "pickup truck", "pine tree", "plain", "plate", "poppy",
    "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal",
    "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar",
    "sunflower", "sweet pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow tree", "wolf", "woman",
    "worm",
)  # fmt: skip
SIDE, PAD = 32, 4
RECORD = 2 + 3 * SIDE * SIDE  # coarse class, fine class, then red, green and blue row by row
SPLITS = ("train", "validation", "test")

Bytes = npt.NDArray[np.uint8]


@DATASETS.register
class Cifar100(Dataset):
    """CIFAR-100 at `side` x `side` pixels, with a chosen number of pictures in each split.

    The splits have up to 45,000, 5,000 and 10,000; a smaller one has all fine classes in the same
    shares, and a larger one begins with the pictures of a smaller one.

    Errors: `UsageError` for files that are missing and cannot be downloaded, that are not what
    their names say, or that hold fewer pictures than are asked for.
    """

    licence = "none stated; its authors ask for a citation of their report"
    tasks: Mapping[str, Task] = named({"coarse": Label(COARSE, top=5), "fine": Label(FINE, top=5)})
    primary = "coarse"
    auxiliaries = ("fine",)

    def __init__(
        self,
        *,
        side: Annotated[int, Help("Image side in pixels.")] = 64,
        train: Annotated[int, Help("Number of training samples.")] = 45_000,
        validation: Annotated[int, Help("Number of validation samples.")] = 5_000,
        test: Annotated[int, Help("Number of test samples.")] = 10_000,
        data: Annotated[
            Place,
            Help(
                "Folder with train.bin and test.bin, or with their archive; by default "
                "one in the cache folder, filled by a download."
            ),
        ] = "",
    ) -> None:
        check_side("cifar100", side)
        self.side = side
        self.size = (side, side)
        self.counts = dict(zip(SPLITS, (train, validation, test), strict=True))
        for split, count in self.counts.items():
            if count < 1:
                raise UsageError(f"{split} '{count}' of 'cifar100' is too small; choose 1 or more.")
        self.data = data

    @classmethod
    def tiny(cls) -> Dataset:
        """Sixteen drawn pictures: noise, and a colour and a stripe that tell the classes."""
        data, rng = cls(side=32, train=8, validation=4, test=4), np.random.default_rng(100)
        data.sources = {
            split: (_drawn(count, rng), np.arange(count)) for split, count in data.counts.items()
        }
        return InMemory(data, data.samples)

    def prepare(self) -> None:
        for split in SPLITS:
            self.samples(split)

    def samples(self, split: str) -> Samples:
        records, rows = self.sources[split]
        count = self.counts[split]
        if count > len(rows):
            raise UsageError(
                f"{split} '{count}' of 'cifar100' is more than the {len(rows)} that there are; "
                "choose fewer."
            )
        return ArraySamples({"rows": rows[:count]}, partial(_batch, records, self.side))

    @cached_property
    def sources(self) -> dict[str, tuple[Bytes, Indices]]:
        """For each split, the records of its file, left on disk, and which of them belong to it."""
        folder = self.folder()
        known, test = (_open(folder / name) for name in FILES)
        train, validation = _carved(known[:, 1])
        return {
            "train": (known, train),
            "validation": (known, validation),
            "test": (test, np.concatenate(_carved(test[:, 1], 1.0))),
        }

    def folder(self) -> Path:
        """The folder that holds both files, downloaded and unpacked if need be."""
        home = Path(self.data).expanduser() if self.data else cache.root() / "cifar100"
        for place in (home, home / FOLDER):
            if all((place / name).is_file() for name in FILES):
                return place
        archive = home / ARCHIVE
        if not archive.is_file():
            if self.data:
                pickles = (home / "cifar-100-python").exists()
                but = "; it has the version for Python, of pickles that are not read" * pickles
                raise UsageError(
                    f"folder '{home}' of 'cifar100' has no '{ARCHIVE}'{but}; put it there from "
                    f"{URL}, or leave 'data' out to have it downloaded."
                )
            remedy = f"put the file into '{home}' from a machine that can."
            download(URL, archive, f"md5:{MD5}", remedy)
        return _unpacked(archive)


def _unpacked(archive: Path) -> Path:
    """The folder beside the archive that holds its two files; nothing else is extracted."""
    try:
        if not check_md5(archive, MD5):
            raise ValueError("its MD5 is not the official one")
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".part-") as part:
            with tarfile.open(archive) as tar:
                for name in FILES:
                    source = tar.extractfile(f"{FOLDER}/{name}")
                    if source is None:
                        raise ValueError(f"'{name}' in it is not a file")
                    with source, (Path(part) / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
            folder = archive.parent / FOLDER
            folder.mkdir(exist_ok=True)
            for name in FILES:
                os.replace(Path(part) / name, folder / name)
    except (OSError, ValueError, KeyError, EOFError, zlib.error, tarfile.TarError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip("\"'")
        raise UsageError(
            f"data set 'cifar100' cannot unpack '{archive}' ({reason}); get it again from {URL}."
        ) from None
    return folder


def _open(file: Path) -> Bytes:
    """The records [N, 3074] of a file, read from disk as they are used."""
    try:
        size = file.stat().st_size
        if not size or size % RECORD:
            raise ValueError(f"its {size} bytes are not a whole number of records of {RECORD}")
        records = np.memmap(file, np.uint8, "r").reshape(-1, RECORD)
        coarse, fine = records[:, 0].astype(np.int64), records[:, 1].astype(np.int64)
        if coarse.max() >= len(COARSE) or fine.max() >= len(FINE):
            raise ValueError(
                f"it has classes beyond {len(COARSE) - 1} coarse and {len(FINE) - 1} fine ones"
            )
        if len(np.unique(coarse * len(FINE) + fine)) > len(np.unique(fine)):
            raise ValueError("it has fine classes that lie in two coarse ones")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"data set 'cifar100' cannot use '{file}' ({reason}); get it again from {URL}."
        ) from None
    return records


def _carved(fine: Bytes, share: float = 0.9) -> tuple[Indices, Indices]:
    """The first `share` of every fine class, and the rest; the classes take turns in both."""
    order = np.random.default_rng([2009, len(fine)]).permutation(len(fine))
    rank, size = np.empty(len(fine), np.int64), np.bincount(fine, minlength=len(FINE))
    for label in range(len(FINE)):
        members = order[fine[order] == label]
        rank[members] = np.arange(len(members))
    turns = order[np.argsort(rank[order], kind="stable")]
    first = rank[turns] < np.round(share * size[fine[turns]])
    return turns[first], turns[~first]


def _batch(records: Bytes, side: int, rows: Rows, rng: np.random.Generator | None) -> Batch:
    chosen = np.asarray(records[rows["rows"]])
    images = chosen[:, 2:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    if rng is not None:
        images = _augmented(images, rng)
    coarse, fine = (torch.from_numpy(chosen[:, column].astype(np.int64)) for column in (0, 1))
    return Batch(normalised(scaled(images, side)), {"coarse": coarse, "fine": fine})


def _augmented(images: Bytes, rng: np.random.Generator) -> Bytes:
    count = len(images)
    mirrored = rng.random(count) < 0.5
    corners = rng.integers(0, 2 * PAD + 1, (2, count, 1)) + np.arange(SIDE)
    images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
    padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
    picture = np.arange(count)[:, None, None]
    cropped: Bytes = padded[picture, corners[0][:, :, None], corners[1][:, None]]
    return cropped


def _drawn(count: int, rng: np.random.Generator) -> Bytes:
    fine = np.arange(count) * 37 % len(FINE)
    coarse = fine // 5
    pixels = rng.integers(0, 60, (count, 3, SIDE, SIDE))
    pixels += (coarse * 7 % 180)[:, None, None, None] * np.array([1, 0, 1])[:, None, None]
    for picture, stripe in zip(pixels, (fine % 5).tolist(), strict=True):
        picture[1, :, 6 * stripe : 6 * stripe + 6] += 180
    labels = np.stack([coarse, fine], 1)
    return np.concatenate([labels, pixels.reshape(count, -1)], 1).astype(np.uint8)
