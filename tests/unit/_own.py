"""Data of a user's own for tests: a folder of pictures with a table, and the same as arrays."""

from __future__ import annotations

import atexit
import csv
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from auxbench.data.dataset import Dataset, make_dataset
from auxbench.data.kinds import Classes, Depth, Label, Number
from auxbench.data.own.adapters import from_huggingface, from_torch
from auxbench.data.own.array_dataset import ArrayDataset
from auxbench.spec.files import REGISTRIES

HEADER = ("picture", "kind:class", "weight:number", "depth:depth:far=10", "mask:classes:names=a/b")
NAMES = ("raw", "ripe")


def arrays(count: int = 24, side: int = 20) -> dict[str, Any]:
    """Pictures of discs, with what they show: kind, weight, depth and mask."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:side, 0:side]
    pictures = rng.integers(0, 60, (count, side, side, 3)).astype(np.uint8)
    radius = rng.uniform(0.2, 0.45, count) * side
    mask = (y - side / 2) ** 2 + (x - side / 2) ** 2 < radius[:, None, None] ** 2
    kind = np.arange(count) % 2
    for picture, disc, one in zip(pictures, mask, kind, strict=True):
        picture[disc, one] = 220
    depth = np.where(mask, 1.5, 3).astype(np.float32)
    return {"picture": pictures, "kind": kind, "weight": radius, "depth": depth, "mask": mask}


def write(folder: Path, split: list[str] | None = None, count: int = 24) -> Path:
    """Write the same as a folder whose header says what the columns hold."""
    found = arrays(count)
    folder.mkdir(parents=True)
    rows = []
    for row in range(count):
        ending = ("png", "tif", "npy", "bmp")[row % 4]
        names = [f"{row}.{ending}", f"{row}-depth.png", f"{row}-mask.png"]
        if ending == "npy":
            np.save(folder / names[0], found["picture"][row])
        else:
            Image.fromarray(found["picture"][row]).save(folder / names[0])
        Image.fromarray((1000 * found["depth"][row]).astype(np.uint16)).save(folder / names[1])
        Image.fromarray(found["mask"][row].astype(np.uint8)).save(folder / names[2])
        labels = [NAMES[found["kind"][row]], f"{found['weight'][row]:.4f}"]
        rows.append([names[0], *labels, *names[1:]])
    head = list(HEADER)
    if split is not None:
        head.append("split")
        rows = [[*row, part] for row, part in zip(rows, split, strict=True)]
    with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return folder


def vectors(folder: Path, count: int = 40) -> Path:
    """Write a table of numbers: two inputs, a number and a class."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    lines = ["red:input,size:input,weight:number,ripe:class"]
    for red, size in rng.random((count, 2)):
        lines.append(f"{red:.4f},{size:.4f},{100 + 50 * size:.4f},{'yes' if red > 0.5 else 'no'}")
    (folder / "samples.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


class Pairs:
    """A data set of torch: samples by index, as dictionaries."""

    def __init__(self, count: int = 24, first: int = 0) -> None:
        self.arrays, self.rows = arrays(), range(first, first + count)
        self.features = {
            "picture": object(),
            "kind": type("ClassLabel", (), {"names": list(NAMES)})(),
            "weight": type("Value", (), {"dtype": "float32"})(),
            "depth": object(),
        }

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        found = {name: array[self.rows[index]] for name, array in self.arrays.items()}
        return {**found, "picture": Image.fromarray(found["picture"])}


def forget() -> None:
    """Forget all parts that were added from files."""
    for registry in REGISTRIES.values():
        for name in list(registry._added):
            registry.remove(name)


def of_arrays(**options: Any) -> ArrayDataset:
    """The pictures as a data set in memory."""
    found = arrays()
    tasks = {
        "kind": (found["kind"], Label(NAMES)),
        "weight": (found["weight"], Number()),
        "depth": (found["depth"], Depth(far=10)),
        "mask": (found["mask"], Classes(2)),
    }
    return ArrayDataset(found["picture"], tasks, name="discs", **options)


def of_folder(write: Callable[[Path], Path], **options: str) -> Dataset:
    """A folder that lasts as long as the process."""
    place = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = write(Path(place) / "mine")
    text = ":".join([f"folder:data={folder}", *(f"{k}={v}" for k, v in options.items())])
    return make_dataset(text, 32, 0)


def of_torch(**options: Any) -> ArrayDataset:
    """The pictures from a data set of torch."""
    tasks = {"kind": ("kind", Label(NAMES)), "depth": ("depth", Depth())}
    return from_torch(Pairs(), "picture", tasks, side=16, **options)  # type: ignore[arg-type]


def of_huggingface(**options: Any) -> ArrayDataset:
    """The pictures from something that looks like a data set of Hugging Face."""
    parts = {"train": Pairs(16), "test": Pairs(8, 16)}
    return from_huggingface(parts, "picture", ["kind", "weight"], **options)


MADE: Mapping[str, Callable[[], Dataset]] = {
    "own arrays": of_arrays,
    "own folder": lambda: of_folder(write),
    "own table": lambda: of_folder(vectors),
    "own torch": of_torch,
    "own huggingface": of_huggingface,
}
TASKS: Mapping[str, tuple[str, ...]] = {
    "own arrays": ("kind", "weight", "depth", "mask"),
    "own folder": ("kind", "weight", "depth", "mask"),
    "own table": ("weight", "ripe"),
    "own torch": ("kind", "depth"),
    "own huggingface": ("kind", "weight"),
}
