"""Pictures and maps: read from files, or given as arrays, and brought to one form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from auxbench.errors import UsageError, reason

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Place = Callable[[int], str]

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy")
GREY = ("I;16", "I;16B", "I;16L", "I", "F", "1", "L", "P")  # of Pillow, with one number a pixel
WHITE = 65535  # in pictures of 16 bits


def array_of(values: Any) -> Array:
    """An array of numbers from an array, a tensor, a picture of Pillow or a list.

    Errors: `UsageError` for lists of different lengths.

    >>> array_of([[1, 2]]).shape
    (1, 2)
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # which numpy does not have
            values = values.float()
    if isinstance(values, list | tuple):  # numpy cannot read all tensors in them itself
        values = [array_of(one) if hasattr(one, "detach") else one for one in values]
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UsageError(
            f"these values have different shapes ({reason(error)}); give all of them the "
            "same shape."
        ) from None


def inside(folder: Path, name: str, where: str) -> Path:
    """The path of a file in a folder; errors: `UsageError` for one that leaves the folder."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UsageError(f"{where}: file '{name}' leaves the folder; name one that lies in it.")
    path = folder / path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{where}: file '{name}' is a link out of the folder; copy it into it.")
    if not path.is_file():
        raise UsageError(f"{where}: file '{name}' does not exist; correct its name.")
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{where}: file '{name}' is no {', '.join(ENDINGS)}; convert it.")
    return path


def picture(path: Path, where: str) -> Bytes:
    """The picture in a file, [C, H, W] with one or three channels.

    Photographs are turned upright, and an alpha channel is dropped. Errors: `UsageError`.
    """
    found = _open(path, where, upright=True)
    if found.ndim == 3 and found.shape[0] not in (1, 3) and found.shape[2] == 4:
        found = found[:, :, :3]
    one: Bytes = planes(found[None], lambda row: where)[0]
    return one


def map_of(path: Path, where: str) -> Array:
    """The map in a file as it is, [H, W] or [H, W, C]; errors: `UsageError`."""
    return _open(path, where, upright=False)


def _open(path: Path, where: str, upright: bool) -> Array:
    try:
        if path.suffix.lower() == ".npy":
            found: Array = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as image:
                shown = ImageOps.exif_transpose(image) if upright else image
                if shown.mode not in GREY or (upright and shown.mode in "1P"):
                    shown = shown.convert("RGB")
                found = np.asarray(shown)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UsageError(
            f"{where}: file '{path.name}' cannot be read ({reason(error)}); repair or replace it."
        ) from None
    if found.ndim not in (2, 3) or 0 in found.shape or found.dtype.kind not in "biuf":
        raise UsageError(
            f"{where}: file '{path.name}' holds {found.dtype} of shape {found.shape}; give numbers "
            "of the shape (height, width) or (height, width, channels)."
        )
    return found


def white_of(values: Array) -> int:
    """White in pictures of integers: 65535 in those of 16 bits and above bytes, or else 255."""
    return WHITE if values.dtype.itemsize == 2 or values.max() > 255 else 255


def planes(values: Array, place: Place, white: int | None = None) -> Bytes:
    """Pictures as planar bytes, [B, C, H, W] with C = 1 or 3.

    `values` are [B, H, W], [B, C, H, W] or [B, H, W, C]: bytes, 16-bit integers, or numbers from 0
    to 1. `white` is that of integers if these are only some of the pictures. Errors: `UsageError`
    for other shapes and numbers, with the place of the sample.

    >>> planes(np.ones((2, 4, 5, 3)), str).shape
    (2, 3, 4, 5)
    """
    if values.ndim == 3:
        values = values[:, None]
    elif values.ndim == 4 and values.shape[1] not in (1, 3) and values.shape[3] in (1, 3):
        values = np.moveaxis(values, 3, 1)
    if values.ndim != 4 or values.shape[1] not in (1, 3):
        raise UsageError(
            f"{place(0)}: pictures of shape {values.shape[1:]} have neither one nor three "
            "channels; choose three."
        )
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == bool:
        return np.ascontiguousarray(values).astype(np.uint8) * 255
    whole = values.dtype.kind in "iu"
    top = (white or white_of(values)) if whole else 1
    low, high = (0, top) if whole else (-1e-6, 1 + 1e-6)
    flat = values.reshape(len(values), -1)
    least, most = flat.min(1), flat.max(1)
    good = (least >= low) & (most <= high)
    if not good.all():
        row = int(np.argmin(good))
        what = (
            "NaN" if np.isnan(least[row]) else f"numbers from {least[row]:.4g} to {most[row]:.4g}"
        )
        raise UsageError(
            f"{place(row)}: its picture has {what}; give bytes, or numbers from 0 to 1."
        )
    result: Bytes = (
        np.rint(np.ascontiguousarray(values) * (255 / top)).clip(0, 255).astype(np.uint8)
    )
    return result
