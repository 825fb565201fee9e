"""Labels as a user has them, brought to the form of targets: types, axes, missing values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from auxbench.data.kinds import Depth, Kind
from auxbench.data.losses import IGNORE
from auxbench.data.own.pictures import Array, Place, array_of
from auxbench.errors import UsageError, suggestion

VOID = 255  # a byte that marks a pixel without a label, as in PASCAL VOC and Cityscapes
SHOWN = 40  # characters of a value in an error
DEEP = 1000  # metres; larger integers are depths in millimetres


def of_classes(kind: Kind) -> bool:
    """Return whether labels of a kind are numbers of classes."""
    return bool(kind.classes) and kind.missing == IGNORE


def is_number(kind: Kind) -> bool:
    """Return whether a kind has numbers for every sample, which can be standardised."""
    return not (kind.dense or kind.classes)


def targets(
    name: str, kind: Kind, values: Any, size: tuple[int, int] | None, place: Place
) -> Array:
    """The targets of a task, with a first axis of samples, from labels in their natural form.

    Classes are numbers, or names where the kind has names; other labels are numbers. None, "", NaN
    and pandas' NA are missing labels, and so is a class of -1, and of 255 in bytes with fewer
    classes. Maps are [B, H, W], [B, C, H, W] or [B, H, W, C], of the pictures' `size`.

    Errors: `UsageError` with the place of the sample: classes that the kind does not have, shapes
    that do not fit, infinite numbers, maps of another size than their picture, depths as integers
    that must be millimetres.
    """
    found = _objects(values)
    if of_classes(kind):
        found = _numbered(name, kind, found, place)
    elif found.dtype == object:
        found = _numbers(name, found, place)
    if found.dtype.kind not in "biuf":
        raise UsageError(f"{place(0)}: labels of '{name}' are {found.dtype}; give numbers.")
    found = _shaped(name, kind, found, place)
    if kind.dense and size is not None and found.shape[-2:] != size:
        got, wanted = (" x ".join(map(str, both)) for both in (found.shape[-2:], size))
        raise UsageError(
            f"{place(0)}: the map of '{name}' has {got} pixels and its picture {wanted}; make "
            "them equal."
        )
    if of_classes(kind):
        return _classes(name, kind, found, place)
    if isinstance(kind, Depth) and found.dtype.kind in "iu":
        _refuse_millimetres(name, found, place)
    result = found.astype(np.float32)
    infinite = np.isinf(result).reshape(len(result), -1).any(1)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise UsageError(f"{place(row)}: a label of '{name}' is infinite; correct or leave it out.")
    given: Array = kind.given(torch.from_numpy(result)).numpy()
    return given


def labelled(kind: Kind, values: Array) -> npt.NDArray[np.bool_]:
    """Mark the samples of some targets that have any label."""
    if of_classes(kind):
        known = values != IGNORE
    elif kind.missing == 0:
        known = values != 0
    else:
        known = ~np.isnan(values)
    marks: npt.NDArray[np.bool_] = known.reshape(len(values), -1).any(1)
    return marks


def empty(kind: Kind, size: tuple[int, int]) -> Array:
    """The target of a map task on a sample without a label: [...] of the given size."""
    if of_classes(kind):
        return np.full(size, IGNORE, np.int16)
    return np.full((kind.outputs, *size), kind.missing, np.float32)


def _objects(values: Any) -> Array:
    """Values as an array; what is missing from a list of names must not become a name itself."""
    if isinstance(values, list) and any(isinstance(one, str) for one in values):
        return np.array(values, object)
    return array_of(values)


def _numbers(name: str, found: Array, place: Place) -> Array:
    """Objects as numbers, with NaN for what is missing."""
    from pandas import isna  # which knows None, NaN and its own NA

    plain = np.where(isna(found), np.nan, found)
    for row, values in enumerate(plain):
        try:
            np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise UsageError(
                f"{place(row)}: a label of '{name}' is '{str(values)[:SHOWN]}'; give numbers."
            ) from None
    return plain.astype(np.float64)


def _numbered(name: str, kind: Kind, found: Array, place: Place) -> Array:
    """Classes as numbers, where they may be names or missing."""
    if found.dtype.kind not in "OUS":
        return found
    from pandas import isna

    gaps = isna(found)
    numbers = {one: number for number, one in enumerate(kind.names)} | {"": IGNORE}
    result = np.full(found.shape, IGNORE, np.int64)
    for row, value in enumerate(found.tolist()):
        if np.all(gaps[row]):
            continue
        known = numbers.get(value) if isinstance(value, str) else value
        if isinstance(known, float) and known.is_integer():  # so pandas has them beside gaps
            known = int(known)
        if not isinstance(known, int):
            words = kind.names or [str(number) for number in range(kind.classes)]
            raise UsageError(
                f"{place(row)}: '{name}' has no class '{str(value)[:SHOWN]}'; "
                f"{suggestion(str(value), words)}"
            )
        result[row] = known
    return result


def _shaped(name: str, kind: Kind, found: Array, place: Place) -> Array:
    """The values with the axes that targets of the kind have."""
    count, channels = len(found), kind.outputs
    if of_classes(kind):
        axes = 3 if kind.dense else 1
        if found.ndim == axes + 1 and found.shape[1] == 1:
            found = found[:, 0]
        elif kind.dense and found.ndim == 4 and found.shape[3] == 1:
            found = found[..., 0]
        fits, wanted = found.ndim == axes, "(count, height, width)" if kind.dense else "(count)"
    elif kind.dense:
        if found.ndim == 3 and channels == 1:
            found = found[:, None]
        elif found.ndim == 4 and found.shape[1] != channels and found.shape[3] == channels:
            found = np.moveaxis(found, 3, 1)
        fits = found.ndim == 4 and found.shape[1] == channels
        wanted = f"(count, {channels}, height, width)"
    else:
        if found.ndim == 1 and channels == 1:
            found = found[:, None]
        fits, wanted = found.shape == (count, channels), f"(count, {channels})"
    if not fits:
        raise UsageError(
            f"{place(0)}: labels of '{name}' have the shape {found.shape}; give {wanted}."
        )
    return found


def _refuse_millimetres(name: str, found: Array, place: Place) -> None:
    """Refuse depths, as integers, that are too large for metres."""
    most = found.reshape(len(found), -1).max(1)
    if (most > DEEP).any():
        row = int(np.argmax(most > DEEP))
        raise UsageError(
            f"{place(row)}: a depth of '{name}' is {most[row]} m, and integers of this size look "
            "like millimetres; divide by 1000."
        )


def _classes(name: str, kind: Kind, found: Array, place: Place) -> Array:
    """Classes as small integers, with -1 where there is none."""
    if found.dtype.kind == "f":
        found = np.where(np.isnan(found), IGNORE, found)
        if found.size and (found != np.rint(found)).any():
            row = int(np.argmax((found != np.rint(found)).reshape(len(found), -1).any(1)))
            raise UsageError(f"{place(row)}: a class of '{name}' is no whole number; give classes.")
    if found.dtype == np.uint8 and kind.classes <= VOID:
        found = np.where(found == VOID, IGNORE, found.astype(np.int16))
    flat = found.reshape(len(found), -1)
    wrong = (flat < IGNORE) | (flat >= kind.classes)
    if wrong.any():
        row = int(np.argmax(wrong.any(1)))
        value = int(flat[row][np.argmax(wrong[row])])
        raise UsageError(
            f"{place(row)}: '{name}' has no class {value}; its classes are 0 to "
            f"{kind.classes - 1}, and -1 is no label."
        )
    result: Array = found.astype(np.int16 if kind.classes < 2**15 else np.int64)
    return result
