"""A contact sheet: samples of a data set as one picture, with a row each and a column per task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from auxbench.data.colours import Bytes
from auxbench.data.dataset import Dataset
from auxbench.errors import UsageError

MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]  # used to normalise the inputs
STD = np.array([0.229, 0.224, 0.225])[:, None, None]
EDGE = 4  # pixels between two cells
LINE = 14  # height of a line of text in pixels
FONT = 10  # font size in pixels
WIDEST = 34  # characters that fit on a line above a tile 160 pixels wide
TILE = 128  # height in pixels to which small pictures are enlarged
NARROWEST = 160  # width of a cell in pixels, so that a name fits


def preview(dataset: Dataset, split: str, count: int, augment: bool = False) -> Image.Image:
    """The first `count` samples of a split, unaugmented or as training sees them.

    Each class has a colour; a legend below names the classes that occur, with their share of the
    sheet. Depths are shown from dark blue to yellow and other numbers from black to white, from the
    sample's smallest to its largest number, which are printed above. Normals are red, green, blue =
    x, y, z from -1 to 1. Labels of whole samples are printed as text. Elements without a label are
    dark grey.

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
    legends = {name: task.kind.legend(targets[name]) for name, task in dataset.tasks.items()}
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
        place(row, 0, picture(batch.inputs[row].numpy()))
    for column, (name, task) in enumerate(dataset.tasks.items(), 1):
        left = column * cell[1]
        pen.text((left, 0), name, fill="black")
        for row, target in enumerate(targets[name]):
            words = task.kind.caption(target)
            pen.text((left, LINE + row * cell[0]), words[:WIDEST], fill="black")
            if task.dense:
                place(row, column, task.kind.paint(target))
        for line, (colour, words) in enumerate(legends[name]):
            top = LINE + len(indices) * cell[0] + line * LINE
            if colour is not None:
                pen.rectangle((left, top + 2, left + FONT, top + 2 + FONT), colour, "black")
            pen.text((left + LINE, top), words[: WIDEST - 3], fill="black")
    return page


def picture(planar: npt.NDArray[np.float32]) -> Bytes:
    """An input picture [3, H, W] of a network as colours [H, W, 3]."""
    shown = (planar * STD + MEAN).clip(0, 1) * 255
    return np.ascontiguousarray(np.rint(shown).astype(np.uint8).transpose(1, 2, 0))
