"""Files of Taskonomy: lists of buildings, averaged maps, probabilities."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from auxbench.errors import UsageError

from .encode import Raw, read_array, read_image, unreadable

FRAME = (512, 512)
SPLITS = {"train": "train", "validation": "val", "test": "test"}  # with their columns


def read_list(path: Path) -> dict[str, str]:
    """The split of every building, from an official list: id,train,val,test, one 1 per line.

    Errors: `UsageError` for a file that is missing or not such a list.
    """
    try:
        # with universal newlines, since most of these files end lines with a lone carriage return
        with path.open(encoding="utf-8-sig", newline=None) as file:
            table = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, error) from None
    columns = ["id", *SPLITS.values()]
    if not table or [word.strip() for word in table[0]] != columns:
        raise UsageError(f"file '{path}' does not begin with {','.join(columns)}; get it again.")
    listed: dict[str, str] = {}
    for row in table[1:]:
        building, *marks = (word.strip() for word in row) if row else ("",)
        if not building and not any(marks):
            continue
        if sorted(marks) != ["0", "0", "1"]:
            raise UsageError(
                f"file '{path}' puts the building '{building}' into {marks.count('1')} splits, "
                "not one; get it again."
            )
        split = list(SPLITS)[marks.index("1")]
        if listed.setdefault(building, split) != split:
            raise UsageError(
                f"file '{path}' puts the building '{building}' into {listed[building]} and "
                f"{split}; get it again."
            )
    return listed


def averaged(values: Raw, seen: Raw | None, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Numbers [H, W] scaled down by averaging; NaN where less than half is `seen`.

    >>> averaged(np.array([[1, 3], [5, 7]]), np.array([[True, True], [False, True]]), (1, 1))
    array([[3.6666667]], dtype=float32)
    """
    if seen is None or seen.all():
        return _boxes(values, size)
    share = _boxes(seen, size)
    total = _boxes(np.where(seen, values, 0), size)
    known = share >= 0.5
    return np.where(known, total / np.where(known, share, 1), np.nan).astype(np.float32)


def _boxes(values: Raw, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    image = Image.fromarray(values.astype(np.float32))
    return np.array(image.resize((size[1], size[0]), Image.Resampling.BOX), np.float32)


def _frame(path: Path, mode: str) -> Raw:
    """The pixels of a whole picture."""
    pixels = read_image(path, mode)
    if pixels.shape[:2] != FRAME:
        raise UsageError(
            f"picture '{path}' is {pixels.shape[0]} x {pixels.shape[1]} pixels, not "
            f"{FRAME[0]} x {FRAME[1]}; get it again."
        )
    return pixels


def _chances(path: Path, count: int, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The teacher's probabilities of the classes that are kept, rescaled to a sum of 1.

    A file holds either the probabilities of all classes or their logits.
    """
    array = read_array(path, (count,), (1, count)).reshape(count).astype(np.float64)
    if not np.isfinite(array).all():
        raise UsageError(f"array '{path}' has numbers that are not finite; get that file again.")
    kept = array[numbers]
    if array.min() < 0 or abs(array.sum() - 1) > 0.01 or not kept.any():
        kept = np.exp(kept - kept.max())
    result: npt.NDArray[np.float32] = (kept / kept.sum()).astype(np.float32)
    return result
