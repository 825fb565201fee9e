"""A contact sheet: samples of a data set as one picture, a row each, and a column per task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from auxbench.data.dataset import Dataset, Task
from auxbench.errors import UsageError

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.generic]

MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]  # by which inputs were normalised
STD = np.array([0.229, 0.224, 0.225])[:, None, None]
EDGE = 4  # pixels between two cells
LINE = 14  # pixels of height of a line of text
FONT = 10  # pixels
WIDEST = 34  # characters of a line over a tile of 160 pixels
TILE = 128  # pixels of height to which small pictures are enlarged
NARROWEST = 160  # pixels of width, so that a name fits
NONE = (40, 40, 40)  # the colour of what has no label


def sheet(dataset: Dataset, split: str, count: int, augment: bool = False) -> Image.Image:
    """The first `count` samples of a split, as they are or as training sees them.

    Classes have a colour each, and the names of those that occur stand below with their share of
    the sheet. Depths and other numbers are grey from the smallest to the largest of the sample,
    which are written above. Normals are red, green, blue = x, y, z from -1 to 1. Labels of whole
    samples are written. Dark grey is what has no label.

    Errors: `UsageError` for a data set that has no pictures.
    """
    samples = dataset.samples(split)
    indices = np.arange(min(count, len(samples)))
    batch = samples.batch(indices, np.random.default_rng(0) if augment else None)
    if batch.inputs.ndim != 4:
        raise UsageError("the data set has vectors, not pictures, so there is nothing to show.")
    height, width = batch.inputs.shape[-2:]
    scale = max(1, round(TILE / height))
    targets = {name: batch.targets[name].numpy() for name in dataset.tasks}
    legends = {
        name: _legend(task, targets[name]) if task.dense else ()
        for name, task in dataset.tasks.items()
    }
    cell = (height * scale + LINE + EDGE, max(width * scale, NARROWEST) + EDGE)
    below = LINE * max(map(len, legends.values()), default=0)
    page = Image.new(
        "RGB", (cell[1] * (1 + len(targets)), LINE + cell[0] * len(indices) + below), "white"
    )
    pen = ImageDraw.Draw(page)
    pen.font = ImageFont.load_default(FONT)

    def place(row: int, column: int, painted: Bytes) -> None:
        tile = Image.fromarray(painted).resize(
            (width * scale, height * scale), Image.Resampling.NEAREST
        )
        page.paste(tile, (column * cell[1], LINE + row * cell[0] + LINE))

    pen.text((0, 0), f"{split}, {height} x {width} pixels", fill="black")
    for row in range(len(indices)):
        place(row, 0, _inputs(batch.inputs[row].numpy()))
    for column, (name, task) in enumerate(dataset.tasks.items(), 1):
        left = column * cell[1]
        pen.text((left, 0), name, fill="black")
        for row, target in enumerate(targets[name]):
            words = _range(task, target) if task.dense else _words(task, target)
            pen.text((left, LINE + row * cell[0]), words[:WIDEST], fill="black")
            if task.dense:
                place(row, column, _painted(task, target))
        for line, (colour, words) in enumerate(legends[name]):
            top = LINE + len(indices) * cell[0] + line * LINE
            if colour is not None:
                pen.rectangle((left, top + 2, left + FONT, top + 2 + FONT), colour, "black")
            pen.text((left + LINE, top), words[: WIDEST - 3], fill="black")
    return page


def _inputs(planar: npt.NDArray[np.float32]) -> Bytes:
    picture = (planar * STD + MEAN).clip(0, 1) * 255
    return np.ascontiguousarray(np.rint(picture).astype(np.uint8).transpose(1, 2, 0))


def _painted(task: Task, target: Labels) -> Bytes:
    if task.classes:
        return _palette(task.classes)[target.astype(np.int64)]
    values, known = _numbers(task, target)
    if len(values) == 3:
        colours = np.rint((values.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    else:
        low, high = _ends(values[0], known)
        grey = np.where(known, values[0] - low, 0) / max(high - low, 1e-12) * 255
        colours = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1)
    colours[~known] = NONE
    return np.ascontiguousarray(colours)


def _numbers(task: Task, target: Labels) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The values [channels, H, W], and where they are labels [H, W]."""
    values = target.astype(np.float64).reshape(-1, *target.shape[-2:])
    if len(values) == 3:
        return values, np.abs(values).sum(0) > 0
    known = np.isfinite(values[0]) & ((values[0] > 0) | (task.loss.__name__ != "depth_l1"))
    return values, known


def _ends(values: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> tuple[float, float]:
    return (float(values[known].min()), float(values[known].max())) if known.any() else (0, 1)


def _range(task: Task, target: Labels) -> str:
    """What stands over a picture of numbers: the smallest, the largest, and their unit."""
    if task.classes:
        return ""
    values, known = _numbers(task, target)
    if not known.any():
        return "no label"
    if len(values) == 3:
        return ""
    low, high = _ends(values[0], known)
    unit = task.metrics[0]().unit
    of = f" (first of {len(values)})" if len(values) > 1 else ""
    return f"{low:.3g} to {high:.3g}{f' {unit}' if unit in ('m', '°') else ''}{of}"


def _legend(task: Task, targets: Labels) -> Sequence[tuple[tuple[int, ...] | None, str]]:
    """Colours and words below a column."""
    if not task.classes:
        return [(None, "red x, green y, blue z")] if targets.shape[1] == 3 else []
    found, counts = np.unique(targets.astype(np.int64), return_counts=True)
    palette, names = _palette(task.classes), {-1: "no label", **dict(enumerate(task.names))}
    return [
        (
            tuple(map(int, palette[found[place]])),
            f"{names.get(int(found[place]), found[place])} {counts[place] / counts.sum():.1%}",
        )
        for place in np.argsort(-counts, kind="stable")
    ]


def _palette(classes: int) -> Bytes:
    """Colours far apart, one per class, and the colour of no label as the last, index -1."""
    turn = (np.arange(classes) * 0.618034) % 1.0
    light = 0.55 + 0.45 * (np.arange(classes) % 3) / 2
    phases = np.abs((turn[:, None] * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    colours = np.rint(255 * light[:, None] * (0.25 + 0.75 * phases.clip(0, 1))).astype(np.uint8)
    return np.concatenate([colours, np.array([NONE], np.uint8)])


def _words(task: Task, target: Labels) -> str:
    """The label of a whole sample: a class, the likeliest class of many, or numbers."""
    numbers = np.ravel(target)
    if task.classes and np.issubdtype(numbers.dtype, np.integer):
        number = int(numbers[0])
        return "no label" if number < 0 else _called(task, number)
    if task.names and len(numbers) == len(task.names):
        if not np.isfinite(numbers).all():
            return "no label"
        return f"{_called(task, int(numbers.argmax()))} {numbers.max():.0%}"
    unit = task.metrics[0]().unit
    words = " ".join(f"{number:g}" for number in numbers[:4])
    return f"{words}{' ...' if len(numbers) > 4 else ''}{f' {unit}' if unit in ('m', '°') else ''}"


def _called(task: Task, number: int) -> str:
    return task.names[number] if task.names else str(number)
