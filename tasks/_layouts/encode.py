"""Reading others' files into the compact types of the prepared form; nothing here needs torch.

What all layouts share: reading pictures and arrays with errors in one line, cutting and scaling
a picture with its labels, axis orders of normals, and the two filters of Taskonomy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from auxbench.data.prepared.form import DEPTH, NORMAL, RESPONSE
from auxbench.errors import UsageError, reason

from .._filters import edges, surf_keypoints
from .._rooms.shapes import Floats

Raw = npt.NDArray[Any]
Size = tuple[int, int]
Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two are exclusive

KEYPOINT = 10 * RESPONSE  # steps of a keypoint response of 1; uint16 reaches 0.1

# Where a channel of a normal points: the letters of an axis order, one per channel.
_WAYS = {
    "r": (0, 1),  # right
    "l": (0, -1),  # left
    "d": (1, 1),  # down
    "u": (1, -1),  # up
    "f": (2, 1),  # forward, away from the camera
    "b": (2, -1),  # backward, towards the camera
}


def parse_size(text: str, least: int = 8) -> Size:
    """The (height, width) that `text` such as 288x384 stands for.

    Errors: `UsageError` for anything else, and for a side below `least`.

    >>> parse_size("288x384")
    (288, 384)
    """
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise UsageError(f"size '{text}' is not height x width; write one such as 288x384.")
    height, width = int(sides[0]), int(sides[1])
    if min(height, width) < least:
        raise UsageError(f"size '{text}' is too small; choose {least} pixels or more.")
    return height, width


def read_image(path: Path, *modes: str) -> Raw:
    """The pixels of a picture in one of Pillow's `modes`: RGB, L, I;16 and so on.

    Palettes are not applied: the pixels of a picture of mode P, as some labels are, are its
    indices, and it is accepted wherever L is.

    Errors: `UsageError` for a file that is missing, truncated, not a picture or of another mode.
    """
    try:
        with Image.open(path) as image:
            mode = "L" if image.mode == "P" else image.mode
            if mode == "I" and "I;16" in modes:  # how older versions of Pillow read 16 bits
                pixels, mode = np.asarray(image).astype(np.uint16), "I;16"
            else:
                pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise unreadable(path, error) from None
    if mode not in modes:
        raise UsageError(
            f"picture '{path}' has pixels of kind '{mode}', not {' or '.join(modes)}; "
            "get that file again."
        )
    return pixels


def read_array(path: Path, *shapes: tuple[int, ...], integers: bool = False) -> Raw:
    """The numbers of an .npy file of one of these shapes: floats, or also `integers`.

    Errors: `UsageError` for a file that is missing, truncated, or of another type or shape.
    """
    try:
        array: Raw = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(path, error) from None
    if array.dtype.kind not in ("iuf" if integers else "f"):
        raise UsageError(
            f"array '{path}' has dtype '{array.dtype}', where "
            f"{'numbers are' if integers else 'a float is'} expected; get that file again."
        )
    if array.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise UsageError(
            f"array '{path}' has shape '{array.shape}', not {expected}; get that file again."
        )
    return array


def unreadable(path: Path, error: Exception) -> UsageError:
    """The error about a file that cannot be read."""
    return UsageError(f"file '{path}' cannot be read ({reason(error)}); get it again.")


def picture(rgb: npt.NDArray[np.uint8], size: Size, box: Box | None = None) -> Raw:
    """Planar bytes [3, h, w] from RGB [H, W, 3]: cut to the box, then scaled without aliasing."""
    top, left, bottom, right = box or (0, 0, *rgb.shape[:2])
    piece = np.ascontiguousarray(rgb[top:bottom, left:right])
    if piece.shape[:2] != size:
        # Pillow widens the filter with the reduction
        image = Image.fromarray(piece).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        piece = np.asarray(image)
    return np.ascontiguousarray(piece.transpose(2, 0, 1))


def picked(labels: Raw, size: Size, box: Box | None = None) -> Raw:
    """Labels [H, W, ...] cut to the box and scaled by nearest neighbour, never averaged.

    Each pixel of the result takes the element in which its centre lies.

    >>> picked(np.arange(16).reshape(4, 4), (2, 2)).tolist()
    [[5, 7], [13, 15]]
    """
    top, left, bottom, right = box or (0, 0, *labels.shape[:2])
    rows = top + ((np.arange(size[0]) + 0.5) * (bottom - top) / size[0]).astype(np.int64)
    columns = left + ((np.arange(size[1]) + 0.5) * (right - left) / size[1]).astype(np.int64)
    result: Raw = labels[rows[:, None], columns]
    return result


def depth_steps(metres: Raw, per_metre: float = DEPTH) -> npt.NDArray[np.uint16]:
    """Depths as uint16 steps; those that are not positive and finite become 0, no label.

    Errors: `ValueError` for a depth that is too large for the type.
    """
    known = np.isfinite(metres) & (metres > 0)
    steps = np.where(known, metres, 0) * per_metre
    if steps.max(initial=0) >= 65535.5:
        raise ValueError(f"a depth of {steps.max() / per_metre:g} m is out of range")
    # a measured depth, however small, must not become 0, which means no label
    return np.where(known, np.maximum(np.rint(steps), 1), 0).astype(np.uint16)


def house(vectors: Raw, order: str) -> Raw:
    """Vectors [..., 3] in the house convention (x right, y down, z forward) from an axis order.

    The order names where each channel points: r(ight), l(eft), d(own), u(p), f(orward, away from
    the camera), b(ackward).

    >>> house(np.array([[1.0, 2.0, 3.0]]), "rfu").tolist()
    [[1.0, -3.0, 2.0]]
    """
    result = np.empty_like(vectors)
    axes = [_WAYS[letter] for letter in order]
    for channel, (axis, sign) in enumerate(axes):
        result[..., axis] = sign * vectors[..., channel]
    return result


def is_order(order: str) -> bool:
    """Return whether the text is an axis order: three letters, one for each axis."""
    return len(order) == 3 and sorted(_WAYS[c][0] for c in order if c in _WAYS) == [0, 1, 2]


def normal_steps(vectors: Raw, order: str) -> npt.NDArray[np.int8]:
    """Normals as int8 [3, H, W] in the house convention, from [H, W, 3] of any length.

    A vector that is shorter than a half or not finite has no reliable direction: it becomes zero,
    which means no label.
    """
    x, y, z = np.moveaxis(house(vectors.astype(np.float32), order), -1, 0)
    length = np.sqrt(x * x + y * y + z * z)
    known = np.isfinite(length) & (length >= 0.5)
    factor = np.where(known, NORMAL / np.where(known, length, 1), 0)
    planar = np.where(known, np.stack([x, y, z]), 0)
    steps: npt.NDArray[np.int8] = np.rint(planar * factor).astype(np.int8)
    return steps


FILTERS: Mapping[str, Callable[[npt.NDArray[np.uint8]], Floats]] = {
    "edges": lambda rgb: edges(rgb) * np.float32(RESPONSE),
    "keypoints": lambda rgb: surf_keypoints(rgb) * np.float32(KEYPOINT),
}


def filtered(
    planar: npt.NDArray[np.uint8], names: Collection[str]
) -> dict[str, npt.NDArray[np.uint16]]:
    """Compute Taskonomy's edges and keypoints of a picture [3, H, W], those in `names` only.

    They are uint16 [H, W]: a response of 1 is `RESPONSE` steps for edges and `KEYPOINT` steps for
    keypoints.
    """
    rgb = np.ascontiguousarray(planar.transpose(1, 2, 0))
    return {
        name: np.rint(np.clip(make(rgb), 0, RESPONSE)).astype(np.uint16)
        for name, make in FILTERS.items()
        if name in names
    }
