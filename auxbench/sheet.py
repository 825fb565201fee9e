"""A contact sheet: samples of a data set as one picture, a row each, and a column per task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from auxbench.errors import UsageError
from auxbench.problem import Dataset, Task

Bytes = npt.NDArray[np.uint8]

MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]  # by which inputs were normalised
STD = np.array([0.229, 0.224, 0.225])[:, None, None]
EDGE = 4  # pixels between two cells
TITLE = 14  # pixels of height of a line of text
NONE = (40, 40, 40)  # the colour of what has no label


def sheet(dataset: Dataset, split: str, count: int, augment: bool = False) -> Image.Image:
    """The first `count` samples of a split, as they are or as training sees them.

    Classes have a colour each, depths and other numbers are grey from the smallest to the largest
    of the sample, normals are red, green, blue = x, y, z from -1 to 1, labels of whole samples are
    written; dark grey is what has no label.

    Errors: `UsageError` for a data set that has no pictures.
    """
    samples = dataset.samples(split)
    indices = np.arange(min(count, len(samples)))
    batch = samples.batch(indices, np.random.default_rng(0) if augment else None)
    if batch.inputs.ndim != 4:
        raise UsageError("the data set has vectors, not pictures, so there is nothing to show.")
    height, width = batch.inputs.shape[-2:]
    scale = max(1, round(128 / height))
    names = ["image", *dataset.tasks]
    cell = (height * scale + TITLE + EDGE, max(width * scale, 96) + EDGE)
    page = Image.new("RGB", (cell[1] * len(names), cell[0] * len(indices)), "white")
    pen = ImageDraw.Draw(page)
    for row in range(len(indices)):
        for column, name in enumerate(names):
            top, left = row * cell[0], column * cell[1]
            pen.text((left, top), name, fill="black")
            if name == "image":
                value = _inputs(batch.inputs[row].numpy())
            else:
                task, target = dataset.tasks[name], batch.targets[name][row].numpy()
                if not task.dense:
                    pen.text((left, top + TITLE), _words(target), fill="black")
                    continue
                value = _painted(task, target)
            tile = Image.fromarray(value).resize(
                (width * scale, height * scale), Image.Resampling.NEAREST
            )
            page.paste(tile, (left, top + TITLE))
    return page


def _inputs(planar: npt.NDArray[np.float32]) -> Bytes:
    picture = (planar * STD + MEAN).clip(0, 1) * 255
    return np.ascontiguousarray(np.rint(picture).astype(np.uint8).transpose(1, 2, 0))


def _painted(task: Task, target: npt.NDArray[np.generic]) -> Bytes:
    if task.classes:
        return _palette(task.classes)[target.astype(np.int64)]
    values = target.astype(np.float64).reshape(-1, *target.shape[-2:])
    if len(values) == 3:
        known = np.abs(values).sum(0) > 0
        colours = np.rint((values.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    else:
        number = values[0]
        known = np.isfinite(number) & ((number > 0) | (task.loss.__name__ != "depth_l1"))
        low, high = (number[known].min(), number[known].max()) if known.any() else (0, 1)
        grey = np.where(known, number - low, 0) / max(high - low, 1e-12) * 255
        colours = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1)
    colours[~known] = NONE
    return np.ascontiguousarray(colours)


def _palette(classes: int) -> Bytes:
    """Colours far apart, one per class, and the colour of no label as the last, index -1."""
    turn = (np.arange(classes) * 0.618034) % 1.0
    light = 0.55 + 0.45 * (np.arange(classes) % 3) / 2
    phases = np.abs((turn[:, None] * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    colours = np.rint(255 * light[:, None] * (0.25 + 0.75 * phases.clip(0, 1))).astype(np.uint8)
    return np.concatenate([colours, np.array([NONE], np.uint8)])


def _words(target: npt.NDArray[np.generic]) -> str:
    numbers = np.ravel(target)
    words = [f"{number:g}" for number in numbers[:4]]
    return " ".join(words) + (" ..." if len(numbers) > 4 else "")
