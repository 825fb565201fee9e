"""Tiny copies of NYU Depth v2 in every true format, written by hand and not by what reads them.

Every frame shows one room: a wall ahead, walls on both sides, a floor, an unlabelled band at the
top. Frame n is n * 0.25 m farther away than frame 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.io import savemat

FRAME = (480, 640)
TRAIN, TEST = (2, 3, 4, 5, 6, 7), (0, 1)  # counted from 0
CHAIR, WALL, FLOOR = 5, 21, 11  # labels of 894
SIDES = {"left": (0.6, 0.0, -0.8), "ahead": (0.0, 0.0, -1.0), "right": (-0.6, 0.0, -0.8)}
UP = (0.0, -1.0, 0.0)  # what a floor's normal is when y points down

Raw = npt.NDArray[Any]


def picture(frame: int, size: tuple[int, int] = FRAME) -> Raw:
    """RGB bytes: red grows to the right, green downwards, blue with the frame."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    red, green = 255 * x // (size[1] - 1), 255 * y // (size[0] - 1)
    return np.stack([red, green, np.full_like(red, 20 * frame)], -1).astype(np.uint8)


def regions(size: tuple[int, int] = FRAME) -> dict[str, Raw]:
    """Return masks of the things in the frame."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    y, x = y / size[0], x / size[1]
    void, floor = y < 0.25, y >= 0.65
    middle = ~void & ~floor
    return {
        "void": void,
        "floor": floor,
        "left": middle & (x < 0.3),
        "ahead": middle & (x >= 0.3) & (x < 0.7),
        "right": middle & (x >= 0.7),
    }


def depth(frame: int, size: tuple[int, int] = FRAME) -> Raw:
    """Metres: 2 m and something, one value per column; 0 in the void."""
    metres = 2 + 0.25 * frame + np.tile(np.arange(size[1]) / size[1], (size[0], 1))
    return np.where(regions(size)["void"], 0, metres).astype(np.float32)


def normals(size: tuple[int, int] = FRAME) -> Raw:
    """Unit vectors with x right, y down, z forward; zero in the void."""
    vectors = np.zeros((*size, 3), np.float32)
    for name, where in regions(size).items():
        vectors[where] = {**SIDES, "floor": UP, "void": (0, 0, 0)}[name]
    return vectors


def labels(size: tuple[int, int] = FRAME) -> Raw:
    """Labels of 894: a chair on the left, walls else, a floor, nothing in the void."""
    where = regions(size)
    numbers = np.full(size, WALL)
    numbers[where["left"]], numbers[where["floor"]], numbers[where["void"]] = CHAIR, FLOOR, 0
    return numbers


def write_splits(folder: Path, train: Any = TRAIN, test: Any = TEST) -> None:
    """splits.mat in MATLAB's version 5, counted from 1, as columns of uint16."""
    content = {
        name: np.array(frames, np.uint16)[:, None] + 1
        for name, frames in (("trainNdxs", train), ("testNdxs", test))
    }
    savemat(folder / "splits.mat", content)


def write_official(folder: Path, with_normals: bool = False, **changed: Raw) -> Path:
    """The authors' file as MATLAB writes it: all axes reversed, texts behind references."""
    import h5py

    folder.mkdir(parents=True)
    count = len(TRAIN) + len(TEST)
    arrays: dict[str, Raw] = {
        "images": np.stack([picture(n).transpose(2, 1, 0) for n in range(count)]),
        "depths": np.stack([depth(n).T for n in range(count)]),
        "labels": np.stack([labels().T for _ in range(count)]).astype(np.uint16),
        **changed,
    }
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = array
        texts = {
            "sceneTypes": ["kitchen", "office"] * (count // 2),
            "names": ["book", "bottle"],
        }
        for name, words in texts.items():
            table = file.create_dataset(name, (1, len(words)), h5py.ref_dtype)
            for index, word in enumerate(words):
                text = file.create_dataset(
                    f"#refs#/{name}{index}", data=np.array([[ord(c)] for c in word], np.uint16)
                )
                table[0, index] = text.ref
    write_splits(folder)
    if with_normals:
        for part in ("normals", "masks"):
            (folder / "normals_gt" / part).mkdir(parents=True)
        for n in range(count):
            colours, mask = coloured(), np.where(regions()["void"], 0, 255).astype(np.uint8)
            Image.fromarray(colours).save(folder / "normals_gt" / "normals" / f"{n:04d}.png")
            Image.fromarray(mask).save(folder / "normals_gt" / "masks" / f"{n:04d}.png")
    return folder


def coloured(void: int = 127) -> Raw:
    """Normals in eight bits: red is x right, green is z forward, blue is up."""
    x, y, z = np.moveaxis(normals(), -1, 0)
    colours = np.rint((np.stack([x, z, -y], -1) + 1) * 127.5).astype(np.uint8)
    colours[regions()["void"]] = void
    return colours


def write_nddr(folder: Path, lists: bool = True) -> Path:
    """PNG files with 255 as what to ignore, and lists of pairs."""
    for part in ("img", "seg", "normal_mask"):
        (folder / part).mkdir(parents=True)
    where = regions()
    classes = np.zeros(FRAME, np.uint8)  # wall
    classes[where["left"]], classes[where["floor"]], classes[where["void"]] = 4, 1, 255
    colours = coloured(255)
    colours[FRAME[0] // 2, :] = 127  # undefined, inside of the mask
    for n in (*TRAIN, *TEST):
        Image.fromarray(picture(n)).save(folder / "img" / f"{n:04d}.png")
        Image.fromarray(classes).save(folder / "seg" / f"{n:04d}.png")
        Image.fromarray(colours).save(folder / "normal_mask" / f"{n:04d}.png")
    if lists:
        (folder / "list").mkdir()
        for word, frames in (("training", TRAIN), ("testing", TEST)):
            lines = [f"nyu_v2/img/{n:04d}.png nyu_v2/seg/{n:04d}.png\n" for n in frames]
            (folder / "list" / f"{word}_seg.txt").write_text("".join(lines))
    return folder


def write_adashare(folder: Path) -> Path:
    """The files of NDDR-CNN with depth, and the list of AdaShare."""
    write_nddr(folder, lists=False)
    (folder / "depth").mkdir()
    for n in (*TRAIN, *TEST):
        np.save(folder / "depth" / f"{n:04d}.npy", depth(n))
    parts = ("img/{}.png", "seg/{}.png", "normal_mask/{}.png", "depth/{}.npy")
    lists = {
        mode: [[part.format(f"{n:04d}") for part in parts] for n in frames]
        for mode, frames in (("train", TRAIN), ("test", TEST))
    }
    (folder / "nyu_v2_3task.json").write_text(json.dumps(lists))
    return folder


def write_mtan(folder: Path, order: tuple[int, int, int] = (0, 2, -1)) -> Path:
    """Float arrays; a normal's channels are +-x, +-y, +-z by `order`, here right, forward, up."""
    size = (288, 384)
    where, vectors = regions(size), normals(size)
    classes = np.full(size, 11.0)  # wall
    classes[where["left"]], classes[where["floor"]], classes[where["void"]] = 3, 4, -1
    signs = [-1.0 if axis < 0 else 1.0 for axis in order]
    turned = np.stack([s * vectors[..., abs(a)] for s, a in zip(signs, order, strict=True)], -1)
    for split, frames in (("train", TRAIN), ("val", TEST)):
        for part in ("image", "label", "depth", "normal"):
            (folder / split / part).mkdir(parents=True)
        for index, n in enumerate(frames):
            arrays = {
                "image": picture(n, size) / 255,
                "label": classes,
                "depth": depth(n, size)[..., None],
                "normal": turned,
            }
            for part, array in arrays.items():
                np.save(folder / split / part / f"{index}.npy", array.astype(np.float32))
    return folder
